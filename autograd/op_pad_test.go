package autograd_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/autograd/optest"
	"github.com/bitgrad/bitgrad/quant"
)

func padRef(x optest.Array, f autograd.Border) optest.Array {
	y := optest.NewArray(x.Shape[0], x.Shape[1], x.Shape[2]+f.Top+f.Bottom, x.Shape[3]+f.Left+f.Right)
	x.Each(func(v float64, at []int) { y.Set(v, at[0], at[1], at[2]+f.Top, at[3]+f.Left) })
	return y
}

func init() {
	add := func(name string, x optest.Input, f autograd.Border) {
		suite.Add(optest.Case{
			Name:   fmt.Sprintf("pad %s %v %v", name, x.Shape, f),
			Inputs: []optest.Input{x},
			Build: func(_ *autograd.Graph, in []*autograd.Node) *autograd.Node {
				return autograd.Pad("y", in[0], f)
			},
			Ref: func(in []optest.Array) optest.Array { return padRef(in[0], f) },
		})
	}
	for _, f := range []autograd.Border{{}, {Top: 1, Left: 2, Bottom: 3, Right: 4}, {Bottom: 1}, {Left: 1}} {
		for _, shape := range shapes1[:3] {
			add("", optest.Input{Name: "x", Shape: shape}, f)
		}
	}
	rise := quant.Grid{BitWidth: 4, Signed: true, MidRise: true, Scale: []float32{0.25}}
	for _, g := range append([]quant.Grid{rise}, grids...) {
		add("on "+g.String(), optest.Input{Name: "x", Shape: []int{3, 4, 5}, Grid: &g, Draw: optest.Levels(g)},
			autograd.Border{Top: 1, Left: 2, Bottom: 0, Right: 1})
	}
}

func TestPadRefuses(t *testing.T) {
	refused(t, autograd.PadOp{}, []int{3})
	refused(t, autograd.PadOp{Frame: autograd.Border{Top: -1}}, []int{3, 4, 5})
	refused(t, autograd.PadOp{Frame: autograd.Border{Top: math.MaxInt, Bottom: math.MaxInt}}, []int{3, 4, 5})
	refused(t, autograd.PadOp{Frame: autograd.Border{Top: 1 << 28, Left: 1 << 28, Bottom: 1 << 28, Right: 1 << 28}}, []int{1 << 29, 4, 5})
}
