package export

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/datasets"
	"github.com/bitgrad/bitgrad/fakequant"
)

// drawGraph builds a random network of every operation that lowers.
type drawGraph struct {
	t *rapid.T
	g *autograd.Graph
	n int
}

func (d *drawGraph) int(name string, lo, hi int) int {
	return rapid.IntRange(lo, hi).Draw(d.t, fmt.Sprintf("%s%d", name, d.n))
}

func (d *drawGraph) name(kind string) string {
	d.n++
	return fmt.Sprintf("%s%d", kind, d.n)
}

func (d *drawGraph) param(name string, role autograd.Role, shape ...int) *autograd.Node {
	// Wide weights saturate, narrow ones leave most codes unused.
	std := rapid.SampledFrom([]float64{0.02, 0.3, 2}).Draw(d.t, name)
	init := autograd.Normal(std)
	if role == autograd.Gamma {
		init = autograd.Uniform(1.5)
	}
	return d.g.Param(name, role, init, shape...)
}

func (d *drawGraph) maybeReLU(x *autograd.Node) *autograd.Node {
	switch d.int("act", 0, 3) {
	case 0:
		return autograd.ReLU(d.name("relu"), x)
	case 1:
		return autograd.ReLU6(d.name("relu6"), x)
	}
	return x
}

func (d *drawGraph) conv(x *autograd.Node) *autograd.Node {
	c, h, w := x.Type().CHW()
	groups, out := 1, d.int("out", 1, 7)
	switch d.int("groups", 0, 3) {
	case 0:
		groups, out = c, c
	case 1:
		if c%2 == 0 {
			groups, out = 2, 2*d.int("half", 1, 3)
		}
	}
	k := d.int("k", 1, 3)
	a := autograd.ConvAttrs{StrideH: d.int("sh", 1, 3), StrideW: d.int("sw", 1, 2), Groups: groups,
		Pad: autograd.Border{Top: d.int("top", 0, 2), Left: d.int("left", 0, 2), Bottom: d.int("bottom", 0, 2), Right: d.int("right", 0, 2)}}
	if d.int("dil", 0, 3) == 0 && (k-1)*2+1 <= min(h, w) {
		a.DilH, a.DilW = 2, 2
	}
	if k > min(h, w) {
		k = 1
	}
	name := d.name("conv")
	var b *autograd.Node
	if d.int("bias", 0, 1) == 1 {
		b = d.param(name+".bias", autograd.Bias, out)
	}
	y := autograd.Conv2D(name, x, d.param(name+".weight", autograd.Weight, out, c/groups, k, k), b, a)
	if d.int("bn", 0, 1) == 1 {
		bn := name + ".bn"
		y = autograd.BatchNorm(bn, y, d.param(bn+".weight", autograd.Gamma, out), d.param(bn+".bias", autograd.Beta, out), autograd.BatchNormAttrs{})
	}
	return d.maybeReLU(y)
}

// layer adds one random layer.
func (d *drawGraph) layer(x *autograd.Node) *autograd.Node {
	c, h, w := x.Type().CHW()
	switch d.int("layer", 0, 12) {
	case 0, 1, 2:
		return d.conv(x)
	case 3:
		k := min(d.int("pool", 1, 3), h, w)
		return autograd.MaxPool(d.name("maxpool"), x, autograd.PoolAttrs{KH: k, KW: k, StrideH: d.int("ps", 1, 2), StrideW: 2,
			Size: autograd.PoolSize(d.int("ceil", 0, 1))})
	case 4:
		k := min(d.int("pool", 2, 3), h, w)
		pad := min(d.int("pp", 0, 1), k-1)
		return autograd.AveragePool(d.name("avgpool"), x, autograd.AveragePoolAttrs{PoolAttrs: autograd.PoolAttrs{KH: k, KW: k,
			StrideH: d.int("ps", 1, 2), StrideW: 1, Pad: autograd.Border{Top: pad, Left: pad}, Size: autograd.PoolSize(d.int("ceil", 0, 1))},
			CountPad: d.int("count", 0, 1) == 1})
	case 5, 6:
		y := d.conv2(x, c)
		op := [...]func(string, *autograd.Node, *autograd.Node) *autograd.Node{autograd.Add, autograd.Subtract, autograd.Multiply}[d.int("pair", 0, 2)]
		return d.maybeReLU(op(d.name("pair"), y, x))
	case 7:
		return autograd.Concat(d.name("concat"), x, d.conv2(x, d.int("more", 1, 3)))
	case 8:
		return autograd.Pad(d.name("pad"), x, autograd.Border{Top: 1, Right: d.int("pr", 0, 2)})
	case 9:
		if c > 1 && h > 1 {
			return autograd.Slice(d.name("slice"), x, autograd.SliceAttrs{C: autograd.Range{Stop: c, Step: d.int("step", 1, 2)},
				H: autograd.Range{Start: d.int("from", 0, 1), Stop: h, Step: d.int("hstep", 1, 2)}})
		}
		return x
	case 10:
		return autograd.ChannelPad(d.name("chpad"), x, d.int("before", 0, 1), d.int("after", 0, 2))
	case 11:
		f := [...]func(string, *autograd.Node) *autograd.Node{autograd.Tanh, autograd.Sigmoid, autograd.HardSwish}[d.int("f", 0, 2)]
		return f(d.name("table"), x)
	default:
		return autograd.LeakyReLU(d.name("leaky"), x, 0.125)
	}
}

// conv2 is a convolution that keeps the image's size, for sums and products.
func (d *drawGraph) conv2(x *autograd.Node, out int) *autograd.Node {
	c, _, _ := x.Type().CHW()
	name := d.name("conv")
	return autograd.Conv2D(name, x, d.param(name+".weight", autograd.Weight, out, c, 3, 3), d.param(name+".bias", autograd.Bias, out),
		autograd.ConvAttrs{Pad: autograd.Same(3)})
}

func (d *drawGraph) build() {
	c, h, w := d.int("C", 1, 3), d.int("H", 5, 9), d.int("W", 5, 9)
	scale, offset := make([]float32, c), make([]float32, c)
	for i := range scale {
		scale[i] = 1.0 / 64
		offset[i] = rapid.SampledFrom([]float32{0, -1.7, -2}).Draw(d.t, fmt.Sprintf("offset%d", i))
	}
	x := autograd.Normalize("normalize", d.g.Input("input", autograd.Uint8, c, h, w), scale, offset)
	for range d.int("layers", 1, 6) {
		if x = d.layer(x); d.g.Err() != nil {
			return
		}
	}
	switch d.int("head", 0, 2) {
	case 0:
		x = autograd.MeanHW(d.name("mean"), x)
	case 1:
		x = autograd.Flatten(d.name("flat"), autograd.GlobalAveragePool(d.name("gap"), x))
	default:
		x = autograd.Flatten(d.name("flat"), x)
	}
	f, _, _ := x.Type().CHW()
	name := d.name("fc")
	d.g.SetOutput("logits", autograd.Linear(name, x, d.param(name+".weight", autograd.Weight, 4, f), d.param(name+".bias", autograd.Bias, 4)))
}

// drawSpec draws a scheme and widths.
func drawSpec(t *rapid.T) fakequant.Spec {
	bits := func(what string) int { return rapid.SampledFrom([]int{1, 2, 3, 4, 5, 8, 8, 8, 12, 16}).Draw(t, what) }
	s := fakequant.DFP(8)
	if rapid.Bool().Draw(t, "int8") {
		s = fakequant.Int(8)
	}
	s.WeightBits, s.OutBits = bits("w"), bits("a")
	if s.Scheme == fakequant.Integer && (s.OutBits > 8 || s.WeightBits > 8) {
		s.OutBits, s.WeightBits = min(s.OutBits, 8), min(s.WeightBits, 8)
	}
	pc := rapid.Bool().Draw(t, "per-channel")
	s.PerChannel = &pc
	if rapid.Bool().Draw(t, "ste") {
		s.Estimator = fakequant.STE{}
	}
	return s
}

// trainedOnce calibrates the quantized graph on the images and runs a training
// step or two, so that ranges are not those of calibration alone.
func trainedOnce(t fataler, g *autograd.Graph, pixels []uint8, batch int) {
	p, err := g.Compile(autograd.CompileOptions{Mode: autograd.Calibrate, Batch: batch})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.LoadPixels("input", pixels); err != nil {
		t.Fatal(err)
	}
	p.Forward()
	p.Commit()
	if err := fakequant.FinishCalibration(g); err != nil {
		t.Fatal(err)
	}
	if p, err = g.Compile(autograd.CompileOptions{Mode: autograd.Train, Batch: batch, Outputs: []string{"logits"}}); err != nil {
		t.Fatal(err)
	}
	if err := p.LoadPixels("input", pixels); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		p.Forward()
		p.Commit()
	}
}

type fataler interface{ Fatal(args ...any) }

// TestRandomGraphs: interpreter, engine and evaluation program agree in every
// tensor of random networks.
func TestRandomGraphs(t *testing.T) {
	if !testing.Short() {
		if err := flag.Set("rapid.checks", "200"); err != nil {
			t.Fatal(err)
		}
	}
	lowered, failed, refused := 0, 0, map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		d := &drawGraph{t: t, g: autograd.NewGraph("random")}
		d.build()
		if err := d.g.Err(); err != nil {
			if !errors.Is(err, autograd.ErrShape) {
				t.Fatal(err)
			}
			t.Skip("shapes do not fit: ", err)
		}
		d.g.Initialize(uint64(d.int("seed", 0, 1000)))
		q, _, err := fakequant.Prepare(d.g, drawSpec(t))
		if err != nil {
			t.Fatal(err)
		}
		c, h, w := q.Node("input").Type().CHW()
		const n = 3
		pixels := rapid.SliceOfN(rapid.Byte(), n*c*h*w, n*c*h*w).Draw(t, "pixels")
		trainedOnce(t, q, pixels, n)
		m, err := Lower(q)
		if err != nil {
			if !errors.Is(err, ErrUnsupported) {
				t.Fatal(err)
			}
			refused[err.Error()]++
			failed++
			return
		}
		lowered++
		ds, err := datasets.FromPixels(datasets.Info{Name: "random", N: n, C: c, H: h, W: w, Classes: 4}, pixels, make([]int32, n))
		if err != nil {
			t.Fatal(err)
		}
		diff, err := Verify(context.Background(), m, q, ds, VerifyOptions{Batch: 2})
		if err != nil {
			t.Fatal(err)
		}
		if diff.Mismatches != 0 {
			t.Fatalf("%d of %d codes differ: %s", diff.Mismatches, diff.Codes, diff.First)
		}
	})
	t.Logf("%d lowered and verified", lowered)
	for why, n := range refused {
		t.Logf("refused %d: %s", n, why)
	}
	if lowered == 0 || failed > lowered/2 {
		t.Errorf("only %d graphs were lowered, %d refused: the generator draws too much that has no integer form", lowered, failed)
	}
}
