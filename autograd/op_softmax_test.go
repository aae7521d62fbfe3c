package autograd_test

import (
	"math"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/autograd/optest"
)

// softmaxRef is the textbook softmax over axis 1.
func softmaxRef(x optest.Array) optest.Array {
	e := x.Map(math.Exp)
	y := e.Clone()
	e.Each(func(v float64, at []int) {
		sum := 0.0
		k := append([]int(nil), at...)
		for k[1] = range x.Shape[1] {
			sum += e.At(k...)
		}
		y.Set(v/sum, at...)
	})
	return y
}

func init() {
	for _, shape := range shapes1 {
		suite.Add(optest.Case{
			Name:   "softmax",
			Batch:  3,
			Inputs: []optest.Input{{Name: "x", Shape: shape, Draw: optest.Normal(2)}},
			Build: func(_ *autograd.Graph, in []*autograd.Node) *autograd.Node {
				return autograd.Softmax("y", in[0])
			},
			Ref: func(in []optest.Array) optest.Array { return softmaxRef(in[0]) },
		})
	}
	for _, c := range onCodes() {
		c.Name = "softmax " + c.Name
		c.Build = func(_ *autograd.Graph, in []*autograd.Node) *autograd.Node { return autograd.Softmax("y", in[0]) }
		c.Ref = func(in []optest.Array) optest.Array { return softmaxRef(in[0]) }
		suite.Add(c)
	}
}

func TestSoftmaxDoesNotOverflow(t *testing.T) {
	y, dx := oneSample(t, func(n string, x *autograd.Node) *autograd.Node { return autograd.Softmax(n, x) },
		[]float64{1e38, 1e38, -1e38})
	if y[0] != 0.5 || y[1] != 0.5 || y[2] != 0 {
		t.Errorf("softmax of large numbers is %v", y)
	}
	for _, d := range dx {
		if d != 0 { // the probabilities always sum to 1
			t.Errorf("gradient of the sum is %v, want 0", dx)
		}
	}
}

func TestSoftmaxRefuses(t *testing.T) {
	refused(t, autograd.SoftmaxOp{})
	refused(t, autograd.SoftmaxOp{}, nil)
	refused(t, autograd.SoftmaxOp{}, []int{3}, []int{3})
}
