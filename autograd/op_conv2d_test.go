package autograd_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/autograd/optest"
	"github.com/bitgrad/bitgrad/internal/parallel"
	"github.com/bitgrad/bitgrad/quant"
)

// convCase is a convolution of an image c×h×w with o kernels kh×kw.
type convCase struct {
	batch, c, h, w, o, kh, kw int
	bias                      bool
	grid                      *quant.Grid // of the input
	attrs                     autograd.ConvAttrs
}

func (k convCase) groups() int { return max(k.attrs.Groups, 1) }

func (k convCase) optest() optest.Case {
	a := k.attrs
	c := optest.Case{
		Name:  fmt.Sprintf("conv2d %dx%dx%dx%d with %dx%dx%d %s bias %v grid %v", k.batch, k.c, k.h, k.w, k.o, k.kh, k.kw, a, k.bias, k.grid),
		Batch: k.batch,
		Inputs: []optest.Input{
			{Name: "x", Shape: []int{k.c, k.h, k.w}, Grid: k.grid},
			{Name: "w", Shape: []int{k.o, k.c / k.groups(), k.kh, k.kw}, Param: true},
		},
		Build: func(_ *autograd.Graph, in []*autograd.Node) *autograd.Node {
			return autograd.Conv2D("conv", in[0], in[1], append(in, nil)[2], a)
		},
		Ref: func(in []optest.Array) optest.Array { return convRef(in, a) },
	}
	if min(k.c, k.o) >= 16 && k.kh >= 3 { // these go by tiles, whose sums have larger terms
		c.Tol = 1e-4
	}
	if k.bias {
		c.Inputs = append(c.Inputs, optest.Input{Name: "b", Shape: []int{k.o}, Param: true})
	}
	return c
}

// convRef is the convolution by its definition.
func convRef(in []optest.Array, a autograd.ConvAttrs) optest.Array {
	x, w := in[0], in[1]
	sh, sw, dh, dw, g := max(a.StrideH, 1), max(a.StrideW, 1), max(a.DilH, 1), max(a.DilW, 1), max(a.Groups, 1)
	n, c, h, wd := x.Shape[0], x.Shape[1], x.Shape[2], x.Shape[3]
	o, cg, kh, kw := w.Shape[0], w.Shape[1], w.Shape[2], w.Shape[3]
	oh := (h+a.Pad.Top+a.Pad.Bottom-dh*(kh-1)-1)/sh + 1
	ow := (wd+a.Pad.Left+a.Pad.Right-dw*(kw-1)-1)/sw + 1
	y := optest.NewArray(n, o, oh, ow)
	for n := range n {
		for o1 := range o {
			group := o1 / (o / g)
			for i := range oh {
				for j := range ow {
					sum := 0.0
					if len(in) == 3 {
						sum = in[2].At(o1)
					}
					for p := range kh {
						for q := range kw {
							r, s := i*sh+p*dh-a.Pad.Top, j*sw+q*dw-a.Pad.Left
							if r < 0 || r >= h || s < 0 || s >= wd {
								continue
							}
							for k := range cg {
								sum += w.Data[((o1*cg+k)*kh+p)*kw+q] * x.Data[((n*c+group*cg+k)*h+r)*wd+s]
							}
						}
					}
					y.Data[((n*o+o1)*oh+i)*ow+j] = sum
				}
			}
		}
	}
	return y
}

func init() {
	grid := &quant.Grid{BitWidth: 8, ZeroPoint: 37, Scale: []float32{0.03}}
	signed := &quant.Grid{BitWidth: 4, Signed: true, Scale: []float32{0.25}}
	for _, k := range []convCase{
		{batch: 2, c: 3, h: 6, w: 7, o: 4, kh: 3, kw: 3, bias: true, attrs: autograd.ConvAttrs{Pad: autograd.Same(3)}},
		{batch: 1, c: 1, h: 8, w: 8, o: 17, kh: 5, kw: 5},
		{batch: 3, c: 17, h: 5, w: 4, o: 3, kh: 1, kw: 1, bias: true},
		{batch: 2, c: 3, h: 8, w: 8, o: 5, kh: 3, kw: 3, attrs: autograd.ConvAttrs{StrideH: 2, StrideW: 2, Pad: autograd.Border{Bottom: 1, Right: 1}}},
		{batch: 2, c: 2, h: 9, w: 10, o: 3, kh: 3, kw: 2, bias: true, attrs: autograd.ConvAttrs{StrideH: 3, StrideW: 2, Pad: autograd.Border{Top: 2, Left: 1, Right: 3}}},
		{batch: 2, c: 3, h: 9, w: 8, o: 2, kh: 3, kw: 2, attrs: autograd.ConvAttrs{DilH: 2, DilW: 3, Pad: autograd.Border{Top: 1, Left: 2, Bottom: 3, Right: 0}}},
		{batch: 2, c: 2, h: 9, w: 9, o: 4, kh: 2, kw: 3, attrs: autograd.ConvAttrs{StrideH: 2, StrideW: 3, DilH: 3, DilW: 2, Pad: autograd.Border{Left: 2, Bottom: 1}}},
		{batch: 2, c: 6, h: 5, w: 5, o: 9, kh: 3, kw: 3, bias: true, attrs: autograd.ConvAttrs{Groups: 3, Pad: autograd.Same(3)}},
		{batch: 2, c: 17, h: 5, w: 6, o: 17, kh: 3, kw: 3, bias: true, attrs: autograd.ConvAttrs{Groups: 17, StrideH: 2, StrideW: 2, Pad: autograd.Same(3)}},
		{batch: 1, c: 3, h: 4, w: 4, o: 6, kh: 3, kw: 3, attrs: autograd.ConvAttrs{Groups: 3, StrideH: 1, StrideW: 2}},
		{batch: 2, c: 2, h: 3, w: 3, o: 2, kh: 3, kw: 3, attrs: autograd.ConvAttrs{StrideH: 1 << 29, StrideW: 7}},
		{batch: 37, c: 2, h: 3, w: 3, o: 3, kh: 2, kw: 2, bias: true},
		{batch: 1, c: 2, h: 21, w: 3, o: 3, kh: 3, kw: 2, bias: true, attrs: autograd.ConvAttrs{StrideH: 1, Pad: autograd.Same(3)}},
		{batch: 2, c: 3, h: 5, w: 5, o: 4, kh: 3, kw: 3, bias: true, grid: grid, attrs: autograd.ConvAttrs{Pad: autograd.Same(3)}},
		// By tiles, where a row and a column of them are cut.
		{batch: 2, c: 16, h: 7, w: 5, o: 24, kh: 3, kw: 3, bias: true, attrs: autograd.ConvAttrs{Pad: autograd.Same(3)}},
		{batch: 1, c: 24, h: 9, w: 6, o: 16, kh: 3, kw: 3, attrs: autograd.ConvAttrs{Pad: autograd.Border{Top: 2, Right: 1}}},
		{batch: 3, c: 16, h: 6, w: 4, o: 16, kh: 3, kw: 3, bias: true, grid: grid, attrs: autograd.ConvAttrs{Pad: autograd.Same(3)}},
		{batch: 2, c: 4, h: 5, w: 5, o: 4, kh: 3, kw: 3, grid: signed, attrs: autograd.ConvAttrs{Groups: 4, Pad: autograd.Same(3)}},
	} {
		suite.Add(k.optest())
	}
	suite.Add(optest.Case{
		Name: "conv2d of a value with itself as its second operand's source",
		Inputs: []optest.Input{
			{Name: "x", Shape: []int{2, 5, 5}},
			{Name: "w", Shape: []int{2, 2, 3, 3}, Param: true},
		},
		Build: func(_ *autograd.Graph, in []*autograd.Node) *autograd.Node {
			a := autograd.ConvAttrs{Pad: autograd.Same(3)}
			return autograd.Conv2D("second", autograd.Conv2D("first", in[0], in[1], nil, a), in[1], nil, a)
		},
		Ref: func(in []optest.Array) optest.Array {
			a := autograd.ConvAttrs{Pad: autograd.Same(3)}
			return convRef([]optest.Array{convRef(in, a), in[1]}, a)
		},
	})
}

func TestConv2DErrors(t *testing.T) {
	img := []int{16, 32, 32}
	huge := 1 << 62 >> (62 - 30) // 2^30
	for _, c := range []struct {
		name  string
		x     []int
		w     []int
		b     []int
		attrs autograd.ConvAttrs
		want  string
	}{
		{"channels", img, []int{32, 8, 3, 3}, nil, autograd.ConvAttrs{}, "conv: conv2d [N 16 32 32] × [32 8 3 3]: 16 input channels, weight has 8"},
		{"group channels", img, []int{32, 16, 3, 3}, nil, autograd.ConvAttrs{Groups: 2}, "16 input channels in 2 groups, weight has 16 for each, not 8"},
		{"groups", img, []int{32, 8, 3, 3}, nil, autograd.ConvAttrs{Groups: 3}, "not divisible into 3 groups"},
		{"negative groups", img, []int{32, 8, 3, 3}, nil, autograd.ConvAttrs{Groups: -1}, "-1 groups: must be positive"},
		{"kernel", []int{1, 2, 9}, []int{1, 1, 3, 3}, nil, autograd.ConvAttrs{}, "rows: the kernel covers 3, the padded input has 2"},
		{"dilated kernel", []int{1, 9, 4}, []int{1, 1, 3, 3}, nil, autograd.ConvAttrs{DilW: 2}, "columns: the kernel covers 5, the padded input has 4"},
		{"stride", img, []int{1, 16, 3, 3}, nil, autograd.ConvAttrs{StrideH: -2}, "rows: stride -2: must be positive"},
		{"dilation", img, []int{1, 16, 3, 3}, nil, autograd.ConvAttrs{DilH: -2}, "rows: dilation -2: must be positive"},
		{"padding", img, []int{1, 16, 3, 3}, nil, autograd.ConvAttrs{Pad: autograd.Border{Left: -1}}, "columns: padding -1 and 0: must not be negative"},
		{"huge padding", img, []int{1, 16, 3, 3}, nil, autograd.ConvAttrs{Pad: autograd.Border{Top: huge, Left: huge, Bottom: huge, Right: huge}}, "rows: the padded input has 2147483680, more than 2^30"},
		{"much padding", img, []int{1, 16, 3, 3}, nil, autograd.ConvAttrs{Pad: autograd.Border{Top: huge / 2, Left: huge / 2, Bottom: huge / 4, Right: huge / 4}}, "padding: the value has too many elements"},
		{"weight", img, []int{32, 16}, nil, autograd.ConvAttrs{}, "the weight must be [O I H W]"},
		{"image", []int{16}, []int{1, 16, 3, 3}, nil, autograd.ConvAttrs{}, "the input must be an image [N C H W]"},
		{"bias", img, []int{32, 16, 3, 3}, []int{16}, autograd.ConvAttrs{}, "bias [16]: must be [32]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := autograd.NewGraph("net")
			x := g.Input("x", autograd.Float32, c.x...)
			w := g.Param("w", autograd.Weight, nil, c.w...)
			var b *autograd.Node
			if c.b != nil {
				b = g.Param("b", autograd.Bias, nil, c.b...)
			}
			autograd.Conv2D("conv", x, w, b, c.attrs)
			if err := g.Err(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestWeightIsPackedAgainAfterTouch(t *testing.T) {
	g := autograd.NewGraph("net")
	x := g.Input("x", autograd.Float32, 1, 1, 1)
	w := g.Param("w", autograd.Weight, autograd.Ones(), 1, 1, 1, 1)
	g.SetOutput("y", autograd.Conv2D("conv", x, w, nil, autograd.ConvAttrs{}))
	g.Initialize(1)
	p, err := g.Compile(autograd.CompileOptions{Batch: 1})
	if err != nil {
		t.Fatal(err)
	}
	in, _ := p.View("x")
	in.F32[in.Row(0)] = 3
	y, _ := p.View("y")
	for _, v := range []float32{1, -2} {
		w.Param().Value[0] = v
		w.Param().Touch()
		p.Forward()
		if got := y.Floats(nil)[0]; got != 3*v {
			t.Errorf("weight %v: got %v, want %v", v, got, 3*v)
		}
	}
}

// Bands and groups of images are cut differently for every batch. Tiles are not: an image has the
// same bytes alone and in company, on any number of workers.
func TestTilesDoNotDependOnTheBatch(t *testing.T) {
	g := autograd.NewGraph("net")
	x := g.Input("x", autograd.Float32, 16, 23, 9)
	w := g.Param("w", autograd.Weight, autograd.HeNormal(), 32, 16, 3, 3)
	g.SetOutput("y", autograd.Conv2D("conv", x, w, nil, autograd.ConvAttrs{Pad: autograd.Same(3)}))
	g.Initialize(3)
	pool := parallel.New(3)
	defer pool.Close()
	const most = 7
	images := func(batch, from int, p *autograd.Pool) []float32 {
		program := compile(t, g, autograd.CompileOptions{Mode: autograd.Evaluate, Batch: batch, Pool: p, Poison: true})
		in, _ := program.View("x")
		rows, length := in.Rows()
		for r := range rows {
			for i := range length {
				in.F32[in.Row(r)+i] = float32(math.Sin(float64((from*23+r)*length+i) * 1.7))
			}
		}
		program.Forward()
		y, _ := program.View("y")
		return y.Floats(nil)
	}
	want := images(most, 0, nil)
	for _, p := range []*autograd.Pool{nil, pool} {
		for _, batch := range []int{1, 2, 3} {
			got := images(batch, most-batch, p)
			if !slices.Equal(got, want[len(want)-len(got):]) {
				t.Errorf("batch %d, %d workers: other bytes", batch, p.Workers())
			}
		}
	}
}
