package autograd_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/internal/parallel"
	"github.com/bitgrad/bitgrad/quant"
	"pgregory.net/rapid"
)

// builder grows a random network.
type builder struct {
	t      *rapid.T
	g      *autograd.Graph
	values []*autograd.Node // images
	n      int
}

func (b *builder) name(kind string) string {
	b.n++
	return fmt.Sprintf("%s%d", kind, b.n)
}

func (b *builder) pick() *autograd.Node {
	// Prefer late values, so that graphs get deep.
	n := len(b.values)
	return b.values[n-1-rapid.IntRange(0, min(n-1, 3)).Draw(b.t, "operand")]
}

func (b *builder) param(shape ...int) *autograd.Node {
	return b.g.Param(b.name("p"), autograd.Weight, autograd.Uniform(0.5), shape...)
}

// join reads two values.
func join(b *builder, x *autograd.Node, c, h, w int) *autograd.Node {
	y := b.pick()
	yc, yh, yw := y.Type().CHW()
	switch {
	case c == yc && h == yh && w == yw:
		return autograd.Subtract(b.name("difference"), x, y)
	case h == yh && w == yw && c+yc < 12:
		return autograd.Concat(b.name("concat"), x, y, x)
	}
	return nil
}

// steps are the operations to choose from; nil means that the operation does
// not fit.
var steps = []func(b *builder, x *autograd.Node, c, h, w int) *autograd.Node{
	func(b *builder, x *autograd.Node, _, _, _ int) *autograd.Node {
		return autograd.ReLU(b.name("relu"), x)
	},
	func(b *builder, x *autograd.Node, _, _, _ int) *autograd.Node {
		return autograd.ReLU6(b.name("relu6"), x)
	},
	func(b *builder, x *autograd.Node, _, _, _ int) *autograd.Node {
		return autograd.LeakyReLU(b.name("leaky"), x, 0.3)
	},
	func(b *builder, x *autograd.Node, _, _, _ int) *autograd.Node {
		return autograd.Tanh(b.name("tanh"), x)
	},
	func(b *builder, x *autograd.Node, _, _, _ int) *autograd.Node {
		return autograd.Softmax(b.name("softmax"), x)
	},
	func(b *builder, x *autograd.Node, _, _, _ int) *autograd.Node {
		return autograd.Dropout(b.name("dropout"), x, 0.2)
	},
	func(b *builder, x *autograd.Node, c, _, _ int) *autograd.Node {
		return autograd.Add(b.name("shift"), x, b.param(c, 1, 1))
	},
	func(b *builder, x *autograd.Node, c, _, _ int) *autograd.Node {
		return autograd.Multiply(b.name("gate"), x, autograd.Sigmoid(b.name("sigmoid"), b.param(c, 1, 1)))
	},
	join, join, join, join, join, // so that values have several readers
	func(b *builder, x *autograd.Node, c, _, _ int) *autograd.Node {
		o := rapid.IntRange(1, 5).Draw(b.t, "outputs")
		return autograd.Conv2D(b.name("conv"), x, b.param(o, c, 3, 3), b.param(o), autograd.ConvAttrs{Pad: autograd.Same(3)})
	},
	func(b *builder, x *autograd.Node, _, h, w int) *autograd.Node {
		if h < 2 || w < 2 {
			return nil
		}
		return autograd.MaxPool(b.name("pool"), x, autograd.PoolAttrs{KH: 2, KW: 2})
	},
	func(b *builder, x *autograd.Node, c, _, _ int) *autograd.Node {
		return autograd.BatchNorm(b.name("bn"), x, b.param(c), b.param(c), autograd.BatchNormAttrs{})
	},
	func(b *builder, x *autograd.Node, _, h, w int) *autograd.Node {
		if h*w > 80 {
			return nil
		}
		return autograd.Pad(b.name("pad"), x, autograd.Border{Top: 1, Right: 2})
	},
	func(b *builder, x *autograd.Node, _, h, _ int) *autograd.Node {
		if h < 2 {
			return nil
		}
		return autograd.Slice(b.name("slice"), x, autograd.SliceAttrs{H: autograd.Range{Start: 1, Step: 2}})
	},
	func(b *builder, x *autograd.Node, c, h, w int) *autograd.Node {
		return autograd.Reshape(b.name("reshape"), x, h, c, w)
	},
	func(b *builder, x *autograd.Node, _, _, _ int) *autograd.Node {
		if x.Type().IsCodes() {
			return nil
		}
		return b.g.Apply(b.name("codes"), quantizeOp{quant.Grid{BitWidth: 8, Signed: true, Scale: []float32{0.05}}}, x)
	},
}

// randomNet draws a network with the input x, the output y and a loss.
func randomNet(t *rapid.T) *autograd.Graph {
	b := &builder{t: t, g: autograd.NewGraph("random")}
	b.values = append(b.values, b.g.Input("x", autograd.Float32, 2, 4, 5))
	for range rapid.IntRange(1, 16).Draw(t, "nodes") {
		x := b.pick()
		c, h, w := x.Type().CHW()
		step := steps[rapid.IntRange(0, len(steps)-1).Draw(t, "step")]
		if y := step(b, x, c, h, w); y != nil {
			b.values = append(b.values, y)
		}
	}
	last := b.values[len(b.values)-1]
	flat := autograd.Flatten("flat", last)
	y := autograd.Linear("fc", flat, b.param(3, flat.Type().Shape[1]), nil)
	b.g.SetOutput("y", y)
	b.g.SetOutput("loss", autograd.SoftmaxCrossEntropy("loss", y, b.g.Input("labels", autograd.Int32), 0))
	b.g.Initialize(1)
	return b.g
}

// outcome runs one step and returns the bits of the output and of all gradients.
func outcome(t interface{ Fatal(...any) }, g *autograd.Graph, opt autograd.CompileOptions) []uint32 {
	opt.Mode, opt.Batch, opt.InputGrad = autograd.Train, 3, true
	p, err := g.Compile(opt)
	if err != nil {
		t.Fatal(err)
	}
	x, _ := p.View("x")
	rows, length := x.Rows()
	for r := range rows {
		for i := range length {
			x.F32[x.Row(r)+i] = float32(math.Sin(float64(r*length+i) * 2.3))
		}
	}
	p.Forward()
	p.Backward()
	var bits []uint32
	add := func(values []float32) {
		for _, v := range values {
			bits = append(bits, math.Float32bits(v))
		}
	}
	y, _ := p.View("y")
	add(y.Floats(nil))
	for _, q := range p.Params() {
		add(q.Grad)
		clear(q.Grad)
	}
	if dx, ok := p.GradView("x"); ok {
		add(dx.Floats(nil))
	}
	return bits
}

func TestMemoryPlanChangesNoByte(t *testing.T) {
	pool := parallel.New(2)
	defer pool.Close()
	rapid.Check(t, func(t *rapid.T) {
		g := randomNet(t)
		if err := g.Err(); err != nil {
			t.Fatal(err)
		}
		want := outcome(t, g, autograd.CompileOptions{})
		if got := outcome(t, g, autograd.CompileOptions{Poison: true, Pool: pool}); !slices.Equal(got, want) {
			t.Fatalf("poisoned memory and workers change the result of\n%s", shape(g))
		}
		// With every value wanted, nothing is freed, nothing works in place and nothing is fused.
		unfused := outcome(t, g, autograd.CompileOptions{Unfused: true})
		var all []string
		for _, n := range g.Nodes() {
			all = append(all, n.Name())
		}
		if got := outcome(t, g, autograd.CompileOptions{Wanted: all}); !slices.Equal(got, unfused) {
			t.Fatalf("memory reuse changes the result of\n%s", shape(g))
		}
		if mostReaders(g) < 3 && !slices.Equal(want, unfused) && !pooled(t, g) {
			t.Fatalf("fusions change the result of\n%s", shape(g))
		}
	})
}

// pooled reports whether a convolution is fused with a pool, which sums its gradients in another order.
func pooled(t interface{ Fatal(...any) }, g *autograd.Graph) bool {
	p, err := g.Compile(autograd.CompileOptions{Mode: autograd.Train, Batch: 3, InputGrad: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range p.Graph().Nodes() {
		if _, ok := n.Op().(autograd.PooledConvOp); ok {
			return true
		}
	}
	return false
}

// mostReaders returns how often the most read value is an operand. The gradients of three readers are added in
// the order in which these run, which fusing may change.
func mostReaders(g *autograd.Graph) int {
	most, readers := 0, map[*autograd.Node]int{}
	for _, n := range g.Nodes() {
		for _, x := range n.Inputs() {
			if x != nil {
				readers[x]++
				most = max(most, readers[x])
			}
		}
	}
	return most
}

// lyingOp is y = x², whose backward pass reads x without claiming it.
type lyingOp struct{ honest bool }

func (lyingOp) Name() string { return "square" }

func (o lyingOp) Infer(_ autograd.Env, in []autograd.Type) (autograd.Spec, error) {
	return autograd.Spec{Out: in[0], ReadsIn: []bool{o.honest}}, nil
}

func (o lyingOp) Bind(b *autograd.Binding) autograd.Step { return lyingStep{b} }

type lyingStep struct{ *autograd.Binding }

func (s lyingStep) each(f func(x, y int)) {
	rows, n := s.Out.Rows()
	for r := range rows {
		for i := range n {
			f(s.In[0].Row(r)+i, s.Out.Row(r)+i)
		}
	}
}

func (s lyingStep) Forward(*autograd.Context) {
	s.each(func(x, y int) { s.Out.F32[y] = s.In[0].F32[x] * s.In[0].F32[x] })
}

func (s lyingStep) Backward(*autograd.Context) {
	dx, dy := s.GradIn[0], s.GradOut
	rows, n := dx.Rows()
	for r := range rows {
		for i := range n {
			d := 2 * s.In[0].F32[s.In[0].Row(r)+i] * dy.F32[dy.Row(r)+i]
			if dx.Add {
				d += dx.F32[dx.Row(r)+i]
			}
			dx.F32[dx.Row(r)+i] = d
		}
	}
}

// TestPoisonShowsFalseClaims proves that the test above can fail.
func TestPoisonShowsFalseClaims(t *testing.T) {
	build := func(honest bool) *autograd.Graph {
		g := autograd.NewGraph("liar")
		x := g.Input("x", autograd.Float32, 2, 4, 5)
		h := autograd.Add("shift", x, g.Param("p", autograd.Weight, autograd.Ones(), 2, 1, 1))
		h = autograd.Flatten("flat", g.Apply("square", lyingOp{honest}, h))
		y := autograd.Linear("fc", h, g.Param("w", autograd.Weight, autograd.Uniform(1), 3, 40), nil)
		g.SetOutput("y", y)
		g.SetOutput("loss", autograd.SoftmaxCrossEntropy("loss", y, g.Input("labels", autograd.Int32), 0))
		g.Initialize(1)
		return g
	}
	for _, honest := range []bool{true, false} {
		g := build(honest)
		want := outcome(t, g, autograd.CompileOptions{Wanted: []string{"shift"}})
		same := slices.Equal(outcome(t, g, autograd.CompileOptions{Poison: true}), want)
		if same != honest {
			t.Errorf("claim honest %t: poison changes nothing %t", honest, same)
		}
	}
}

// The gradient of a convolution of few channels is summed row by row. Another one, to which it is added, comes
// before it or after it as the convolution is fused with what follows or not.
func TestOrderOfGradientsChangesNoByte(t *testing.T) {
	g := autograd.NewGraph("branches")
	x := autograd.ReLU("branch", g.Input("x", autograd.Float32, 2, 4, 5))
	w := g.Param("weight", autograd.Weight, autograd.Uniform(1), 1, 2, 3, 3)
	conv := autograd.Conv2D("conv", x, w, nil, autograd.ConvAttrs{Pad: autograd.Same(3)})
	second := autograd.ReLU("second", autograd.ReLU("first", x))
	k := autograd.ReLU("relu", conv)
	flat := autograd.Flatten("flat", autograd.Concat("concat", autograd.ReLU("third", k), second))
	y := autograd.Linear("fc", flat, g.Param("fc.weight", autograd.Weight, autograd.Uniform(1), 3, 3*4*5), nil)
	g.SetOutput("y", y)
	g.SetOutput("loss", autograd.SoftmaxCrossEntropy("loss", y, g.Input("labels", autograd.Int32), 0))
	g.Initialize(1)
	if err := g.Err(); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(outcome(t, g, autograd.CompileOptions{}), outcome(t, g, autograd.CompileOptions{Unfused: true})) {
		t.Error("the order in which gradients are added changes the result")
	}
}
