package autograd_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/autograd/optest"
)

func init() {
	add := func(x optest.Input, sample ...int) {
		const batch = 2
		suite.Add(optest.Case{
			Name:   fmt.Sprintf("reshape %v to %v", x.Shape, sample),
			Batch:  batch,
			Inputs: []optest.Input{x},
			Build: func(_ *autograd.Graph, in []*autograd.Node) *autograd.Node {
				return autograd.Reshape("y", in[0], sample...)
			},
			Ref: func(in []optest.Array) optest.Array {
				return optest.Array{Shape: append([]int{batch}, sample...), Data: in[0].Data}
			},
		})
		if len(sample) > 1 {
			return
		}
		suite.Add(optest.Case{
			Name:   fmt.Sprintf("flatten %v", x.Shape),
			Batch:  batch,
			Inputs: []optest.Input{x},
			Build: func(_ *autograd.Graph, in []*autograd.Node) *autograd.Node {
				return autograd.Flatten("y", in[0])
			},
			Ref: func(in []optest.Array) optest.Array {
				return optest.Array{Shape: append([]int{batch}, sample...), Data: in[0].Data}
			},
		})
	}
	add(optest.Input{Name: "x", Shape: []int{3, 4, 5}}, 60)
	add(optest.Input{Name: "x", Shape: []int{17, 1, 1}}, 17)
	add(optest.Input{Name: "x", Shape: []int{60}}, 60)
	add(optest.Input{Name: "x", Shape: []int{60}}, 3, 4, 5)
	add(optest.Input{Name: "x", Shape: []int{3, 4, 5}}, 5, 2, 6)
	for _, g := range grids {
		add(optest.Input{Name: "x", Shape: []int{3, 4, 5}, Grid: &g, Draw: optest.Levels(g)}, 60)
		add(optest.Input{Name: "x", Shape: []int{3, 4, 5}, Grid: &g, Draw: optest.Levels(g)}, 4, 5, 3)
	}
}

func TestReshapeRefuses(t *testing.T) {
	for _, sample := range [][]int{nil, {59}, {0}, {-60}, {60, 1}, {3, 4, 6}, {-3, -4, 5}, {math.MaxInt, math.MaxInt, math.MaxInt}, {120}} {
		refused(t, autograd.ReshapeOp{Sample: sample}, []int{3, 4, 5})
	}
	refused(t, autograd.FlattenOp{}, nil)
	refused(t, autograd.FlattenOp{}, []int{3}, []int{3})
}
