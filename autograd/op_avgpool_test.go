package autograd_test

import (
	"fmt"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/autograd/optest"
	"github.com/bitgrad/bitgrad/quant"
)

func mean(window []float64) float64 {
	sum := 0.0
	for _, v := range window {
		sum += v
	}
	return sum / float64(len(window))
}

func init() {
	for _, k := range poolCases() {
		if k.grid != nil && k.grid.BitWidth > 8 {
			k.grid.Scale[0] = 0.01
		}
		for _, count := range []bool{false, true} {
			a := autograd.AveragePoolAttrs{PoolAttrs: k.attrs, CountPad: count}
			suite.Add(optest.Case{
				Name:   fmt.Sprintf("average pool %dx%dx%dx%d %s count pad %v grid %v", k.batch, k.c, k.h, k.w, a, count, k.grid),
				Batch:  k.batch,
				Inputs: []optest.Input{{Name: "x", Shape: []int{k.c, k.h, k.w}, Grid: k.grid}},
				Build: func(_ *autograd.Graph, in []*autograd.Node) *autograd.Node {
					return autograd.AveragePool("pool", in[0], a)
				},
				Ref: func(in []optest.Array) optest.Array {
					return poolRef(in[0], k.attrs, k.oh, k.ow, func(window []float64, cells int) float64 {
						if count {
							return mean(window) * float64(len(window)) / float64(cells)
						}
						return mean(window)
					})
				},
			})
		}
	}
	for _, k := range []struct {
		batch, c, h, w int
		grid           *quant.Grid
	}{
		{1, 1, 1, 1, nil}, {2, 17, 4, 3, nil}, {3, 3, 1, 5, nil},
		{2, 3, 4, 4, &quant.Grid{BitWidth: 4, Signed: true, Scale: []float32{0.5}}},
	} {
		for _, image := range []bool{false, true} {
			suite.Add(optest.Case{
				Name:   fmt.Sprintf("mean of %dx%dx%dx%d as image %v grid %v", k.batch, k.c, k.h, k.w, image, k.grid),
				Batch:  k.batch,
				Inputs: []optest.Input{{Name: "x", Shape: []int{k.c, k.h, k.w}, Grid: k.grid}},
				Build: func(_ *autograd.Graph, in []*autograd.Node) *autograd.Node {
					if image {
						return autograd.GlobalAveragePool("mean", in[0])
					}
					return autograd.MeanHW("mean", in[0])
				},
				Ref: func(in []optest.Array) optest.Array {
					y := poolRef(in[0], autograd.PoolAttrs{KH: k.h, KW: k.w}, 1, 1, func(window []float64, _ int) float64 { return mean(window) })
					if !image {
						y.Shape = y.Shape[:2]
					}
					return y
				},
			})
		}
	}
}

// A window that sticks out of an image of 5 columns with 1 column of padding:
// columns −1..1, 1..3, 3..5 (5 is padding). Counted, each divides by 3.
func TestAveragePoolDivisors(t *testing.T) {
	for _, c := range []struct {
		count bool
		want  [3]float32
	}{{false, [3]float32{1.5, 3, 4.5}}, {true, [3]float32{1, 3, 3}}} {
		g := autograd.NewGraph("net")
		x := g.Input("x", autograd.Float32, 1, 1, 5)
		g.SetOutput("y", autograd.AveragePool("pool", x, autograd.AveragePoolAttrs{
			PoolAttrs: autograd.PoolAttrs{KW: 3, StrideW: 2, Pad: autograd.Border{Left: 1, Right: 1}}, CountPad: c.count}))
		p, err := g.Compile(autograd.CompileOptions{Batch: 1})
		if err != nil {
			t.Fatal(err)
		}
		v, _ := p.View("x")
		copy(v.F32[v.Row(0):], []float32{1, 2, 3, 4, 5})
		p.Forward()
		y, _ := p.View("y")
		if got := [3]float32(y.Floats(nil)); got != c.want {
			t.Errorf("count pad %v: got %v, want %v", c.count, got, c.want)
		}
	}
}
