package autograd_test

import (
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/autograd/optest"
)

func init() {
	for i, shape := range shapes1 {
		x := optest.Input{Name: "x", Shape: shape}
		if i == 1 {
			x.Grid, x.Draw = &grids[1], optest.Levels(grids[1])
		}
		suite.Add(optest.Case{
			Name:   "mean squared error",
			Batch:  1 + i,
			Inputs: []optest.Input{x, {Name: "target", Shape: shape}},
			Build: func(_ *autograd.Graph, in []*autograd.Node) *autograd.Node {
				return autograd.MeanSquaredError("y", in[0], in[1])
			},
			Ref: func(in []optest.Array) optest.Array {
				y := optest.NewArray(1)
				for i, v := range in[0].Data {
					d := v - in[1].Data[i]
					y.Data[0] += d * d / float64(len(in[0].Data))
				}
				return y
			},
		})
	}
}

func TestMeanSquaredErrorRefuses(t *testing.T) {
	refused(t, autograd.MeanSquaredErrorOp{}, []int{3})
	refused(t, autograd.MeanSquaredErrorOp{}, []int{3}, []int{4})
	refused(t, autograd.MeanSquaredErrorOp{}, []int{3}, []int{3, 1, 1})
	refused(t, autograd.MeanSquaredErrorOp{}, nil, nil)
}
