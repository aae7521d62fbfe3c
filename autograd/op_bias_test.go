package autograd_test

import (
	"fmt"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/autograd/optest"
	"github.com/bitgrad/bitgrad/quant"
)

// perChannel returns f of each element of a value [N C] or [N C H W] and its
// channel.
func perChannel(x optest.Array, f func(v float64, c int) float64) optest.Array {
	y := x.Clone()
	for k, v := range x.Data {
		y.Data[k] = f(v, channelOf(x, k))
	}
	return y
}

func channelOf(x optest.Array, k int) int {
	for _, e := range x.Shape[2:] {
		k /= e
	}
	return k % x.Shape[1]
}

func init() {
	for _, k := range []struct {
		batch int
		shape []int
		grid  *quant.Grid
	}{
		{2, []int{3, 4, 5}, nil}, {1, []int{17, 1, 1}, nil}, {3, []int{5}, nil}, {60, []int{3, 6, 6}, nil},
		{2, []int{3, 4, 5}, &quant.Grid{BitWidth: 8, ZeroPoint: 9, Scale: []float32{0.1}}},
	} {
		suite.Add(optest.Case{
			Name:  fmt.Sprintf("bias add %d %v grid %v", k.batch, k.shape, k.grid),
			Batch: k.batch,
			Inputs: []optest.Input{
				{Name: "x", Shape: k.shape, Grid: k.grid},
				{Name: "b", Shape: k.shape[:1], Param: true},
			},
			Build: func(_ *autograd.Graph, in []*autograd.Node) *autograd.Node {
				return autograd.BiasAdd("bias", in[0], in[1])
			},
			Ref: func(in []optest.Array) optest.Array {
				return perChannel(in[0], func(v float64, c int) float64 { return v + in[1].At(c) })
			},
		})
	}
}

func TestBiasAddErrors(t *testing.T) {
	g := autograd.NewGraph("net")
	autograd.BiasAdd("bias", g.Input("x", autograd.Float32, 3, 2, 2), g.Param("b", autograd.Bias, nil, 2))
	if err := g.Err(); err == nil || err.Error() != "bias: bias_add [N 3 2 2] × [2]: bias [2]: must be [3]" {
		t.Errorf("error %v", err)
	}
}
