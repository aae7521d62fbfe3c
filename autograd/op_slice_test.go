package autograd_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/autograd/optest"
)

func sliceRef(x optest.Array, a autograd.SliceAttrs) optest.Array {
	shape := []int{x.Shape[0]}
	var picks [][]int
	for i, r := range []autograd.Range{a.C, a.H, a.W}[:len(x.Shape)-1] {
		stop, step := r.Stop, max(r.Step, 1)
		if stop == 0 {
			stop = x.Shape[i+1]
		}
		var p []int
		for k := r.Start; k < stop; k += step {
			p = append(p, k)
		}
		picks = append(picks, p)
		shape = append(shape, len(p))
	}
	y := optest.NewArray(shape...)
	y.Each(func(_ float64, at []int) {
		from := append([]int(nil), at...)
		for i, p := range picks {
			from[i+1] = p[at[i+1]]
		}
		y.Set(x.At(from...), at...)
	})
	return y
}

func init() {
	add := func(x optest.Input, a autograd.SliceAttrs) {
		suite.Add(optest.Case{
			Name:   fmt.Sprintf("slice %v %v", x.Shape, a),
			Inputs: []optest.Input{x},
			Build: func(_ *autograd.Graph, in []*autograd.Node) *autograd.Node {
				return autograd.Slice("y", in[0], a)
			},
			Ref: func(in []optest.Array) optest.Array { return sliceRef(in[0], a) },
		})
	}
	for _, a := range []autograd.SliceAttrs{
		{},
		{C: autograd.Range{Start: 1, Stop: 3}},
		{C: autograd.Range{Step: 2}},
		{H: autograd.Range{Start: 1, Step: 2}, W: autograd.Range{Start: 0, Stop: 7, Step: 3}},
		{C: autograd.Range{Start: 4, Stop: 5}, H: autograd.Range{Start: 5}, W: autograd.Range{Stop: 1}},
		{C: autograd.Range{Start: 0, Stop: 5, Step: 3}, H: autograd.Range{Stop: 5, Step: 4}, W: autograd.Range{Start: 2, Stop: 7, Step: 2}},
	} {
		add(optest.Input{Name: "x", Shape: []int{5, 6, 8}}, a)
		for _, g := range grids {
			add(optest.Input{Name: "x", Shape: []int{5, 6, 8}, Grid: &g, Draw: optest.Levels(g)}, a)
		}
	}
	add(optest.Input{Name: "x", Shape: []int{9}}, autograd.SliceAttrs{C: autograd.Range{Start: 1, Stop: 8, Step: 3}})
}

func TestSliceRefuses(t *testing.T) {
	for _, r := range []autograd.Range{
		{Start: 3}, {Start: -1}, {Stop: 4}, {Start: 2, Stop: 2}, {Start: 2, Stop: 1}, {Step: -1},
		{Start: math.MinInt}, {Stop: math.MinInt}, {Start: math.MaxInt, Stop: math.MaxInt}, {Step: math.MinInt},
	} {
		refused(t, autograd.SliceOp{SliceAttrs: autograd.SliceAttrs{W: r}}, []int{3, 3, 3})
	}
	refused(t, autograd.SliceOp{SliceAttrs: autograd.SliceAttrs{H: autograd.Range{Stop: 1}}}, []int{3})
	refused(t, autograd.SliceOp{}, nil)
}
