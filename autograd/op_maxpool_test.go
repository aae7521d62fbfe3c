package autograd_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/autograd/optest"
	"github.com/bitgrad/bitgrad/quant"
)

// poolRef applies f to the values of each window, in row-major order, and to
// the number of its cells inside the padded image.
func poolRef(x optest.Array, a autograd.PoolAttrs, oh, ow int, f func(window []float64, cells int) float64) optest.Array {
	kh, kw, sh, sw := max(a.KH, 1), max(a.KW, 1), max(a.StrideH, 1), max(a.StrideW, 1)
	n, c, h, w := x.Shape[0], x.Shape[1], x.Shape[2], x.Shape[3]
	y := optest.NewArray(n, c, oh, ow)
	window := make([]float64, 0, kh*kw)
	y.Each(func(_ float64, at []int) {
		window = window[:0]
		cells := 0
		for p := range kh {
			for q := range kw {
				r, s := at[2]*sh+p-a.Pad.Top, at[3]*sw+q-a.Pad.Left
				if r < h+a.Pad.Bottom && s < w+a.Pad.Right {
					cells++
				}
				if r >= 0 && r < h && s >= 0 && s < w {
					window = append(window, x.Data[((at[0]*c+at[1])*h+r)*w+s])
				}
			}
		}
		y.Data[((at[0]*c+at[1])*oh+at[2])*ow+at[3]] = f(window, cells)
	})
	return y
}

// poolCase is a pool over an image c×h×w with an output oh×ow.
type poolCase struct {
	batch, c, h, w, oh, ow int
	grid                   *quant.Grid
	attrs                  autograd.PoolAttrs
}

func poolCases() []poolCase {
	return []poolCase{
		{2, 3, 6, 6, 3, 3, nil, autograd.PoolAttrs{KH: 2, KW: 2, StrideH: 2, StrideW: 2}},
		{1, 17, 7, 5, 3, 2, nil, autograd.PoolAttrs{KH: 2, KW: 2, StrideH: 2, StrideW: 2}},
		{2, 1, 7, 5, 4, 3, nil, autograd.PoolAttrs{KH: 2, KW: 2, StrideH: 2, StrideW: 2, Size: autograd.PoolCeil}},
		{2, 2, 6, 6, 3, 3, nil, autograd.PoolAttrs{KH: 3, KW: 3, StrideH: 2, StrideW: 2, Size: autograd.PoolCaffe}},
		{2, 3, 6, 7, 3, 4, nil, autograd.PoolAttrs{KH: 3, KW: 3, StrideH: 2, StrideW: 2, Pad: autograd.Border{Top: 1, Left: 1, Bottom: 1, Right: 1}}},
		// Rounding up gives 4 rows; the last would begin at row 5 = 4 + 1, in the padding.
		{2, 3, 4, 6, 3, 4, nil, autograd.PoolAttrs{KH: 2, KW: 2, StrideH: 2, StrideW: 2, Pad: autograd.Border{Top: 1, Left: 1, Bottom: 1, Right: 1}, Size: autograd.PoolCeil}},
		{2, 3, 8, 9, 3, 3, nil, autograd.PoolAttrs{KH: 3, KW: 2, StrideH: 3, StrideW: 3, Pad: autograd.Border{Bottom: 2}}},
		{2, 2, 5, 5, 5, 4, nil, autograd.PoolAttrs{KH: 3, KW: 4, Pad: autograd.Border{Top: 2, Left: 0, Bottom: 0, Right: 2}}},
		{1, 2, 18, 17, 2, 1, nil, autograd.PoolAttrs{KH: 17, KW: 17}}, // more than 256 taps
		{2, 3, 6, 6, 3, 3, &quant.Grid{BitWidth: 8, ZeroPoint: 128, Scale: []float32{0.02}}, autograd.PoolAttrs{KH: 2, KW: 2, StrideH: 2, StrideW: 2}},
		{2, 3, 6, 6, 3, 3, &quant.Grid{BitWidth: 8, Signed: true, Scale: []float32{0.02}}, autograd.PoolAttrs{KH: 2, KW: 2, StrideH: 2, StrideW: 2}},
		{2, 3, 6, 6, 3, 3, &quant.Grid{BitWidth: 12, Signed: true, Scale: []float32{0.001}}, autograd.PoolAttrs{KH: 2, KW: 2, StrideH: 2, StrideW: 2}},
	}
}

func init() {
	for _, k := range poolCases() {
		draw := optest.Distinct(0.01)
		c := optest.Case{
			Name:   fmt.Sprintf("max pool %dx%dx%dx%d %s grid %v", k.batch, k.c, k.h, k.w, k.attrs, k.grid),
			Batch:  k.batch,
			Inputs: []optest.Input{{Name: "x", Shape: []int{k.c, k.h, k.w}, Draw: draw, Grid: k.grid}},
			Build: func(_ *autograd.Graph, in []*autograd.Node) *autograd.Node {
				return autograd.MaxPool("pool", in[0], k.attrs)
			},
			Ref: func(in []optest.Array) optest.Array {
				return poolRef(in[0], k.attrs, k.oh, k.ow, func(window []float64, _ int) float64 { return slices.Max(window) })
			},
		}
		if k.grid != nil {
			// Every element is a level of its own, none saturates.
			c.Inputs[0].Draw = optest.Distinct(2 * float64(k.grid.Scale[0]))
			if k.grid.BitWidth == 8 {
				c.Batch, c.Inputs[0].Shape = 1, []int{3, 6, 6}
			}
		}
		suite.Add(c)
	}
}

func TestPoolErrors(t *testing.T) {
	for _, c := range []struct {
		name  string
		x     []int
		attrs autograd.PoolAttrs
		want  string
	}{
		{"window", []int{3, 4, 4}, autograd.PoolAttrs{KH: 5}, "pool: max_pool [N 3 4 4]: rows: the kernel covers 5, the padded input has 4"},
		{"padding", []int{3, 4, 4}, autograd.PoolAttrs{KH: 2, KW: 2, Pad: autograd.Border{Right: 2}}, "columns: padding 0 and 2: must be smaller than the window, 2"},
		{"negative", []int{3, 4, 4}, autograd.PoolAttrs{KH: -2}, "rows: kernel -2: must be positive"},
		{"overflow", []int{3, 4, 4}, autograd.PoolAttrs{StrideW: math.MaxInt}, "columns: stride"},
		{"empty window", []int{3, 5, 5}, autograd.PoolAttrs{StrideH: 3, Size: autograd.PoolCaffe}, "rows: the last window begins beyond the input and covers nothing"},
		{"rule", []int{3, 5, 5}, autograd.PoolAttrs{Size: 9}, "size rule 9: unknown"},
		{"features", []int{3}, autograd.PoolAttrs{}, "the input must be an image [N C H W]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := autograd.NewGraph("net")
			autograd.MaxPool("pool", g.Input("x", autograd.Float32, c.x...), c.attrs)
			if err := g.Err(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

// pool runs a max pool of 2×2 over one row of pixels [1 1 2 W] and returns its
// value and, for an upstream gradient of one per window, its gradient.
func runMaxPool(t *testing.T, top, bottom []float32) (y, dx []float32) {
	t.Helper()
	g := autograd.NewGraph("net")
	x := g.Input("x", autograd.Float32, 1, 2, len(top))
	g.SetOutput("y", autograd.MaxPool("pool", x, autograd.PoolAttrs{KH: 2, KW: 2, StrideH: 2, StrideW: 2}))
	g.SetOutput("loss", autograd.MaxPool("all", g.Output("y"), autograd.PoolAttrs{KH: 1, KW: len(top) / 2}))
	p, err := g.Compile(autograd.CompileOptions{Batch: 1, Mode: autograd.Train, InputGrad: true})
	if err != nil {
		t.Fatal(err)
	}
	v, _ := p.View("x")
	copy(v.F32[v.Row(0):], top)
	copy(v.F32[v.Row(1):], bottom)
	p.Forward()
	p.Backward()
	out, _ := p.View("y")
	grad, _ := p.GradView("x")
	return out.Floats(nil), grad.Floats(nil)
}

func TestMaxPoolTiesGoToTheFirst(t *testing.T) {
	y, dx := runMaxPool(t, []float32{1, 2}, []float32{2, 2})
	if y[0] != 2 || !slices.Equal(dx, []float32{0, 1, 0, 0}) {
		t.Errorf("got value %v and gradient %v, want 2 and [0 1 0 0]", y, dx)
	}
	_, dx = runMaxPool(t, []float32{0, 0, 0, 0}, []float32{0, 0, 0, 0})
	if !slices.Equal(dx, []float32{1, 0, 0, 0, 0, 0, 0, 0}) {
		t.Errorf("all equal: got gradient %v, want it at the first element", dx)
	}
}

func TestMaxPoolKeepsNaN(t *testing.T) {
	nan := float32(math.NaN())
	for i := range 4 {
		v := []float32{1, 2, 3, 4}
		v[i] = nan
		if y, _ := runMaxPool(t, v[:2], v[2:]); y[0] == y[0] {
			t.Errorf("NaN as element %d: got %v, want NaN", i, y[0])
		}
	}
}
