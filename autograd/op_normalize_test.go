package autograd_test

import (
	"math"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/autograd/optest"
)

func init() {
	for _, c := range []int{1, 3, 17} {
		scale, offset := make([]float32, c), make([]float32, c)
		for i := range scale {
			scale[i], offset[i] = 0.01*float32(i+1), 0.5-float32(i)
		}
		suite.Add(optest.Case{
			Name:   "normalize",
			Inputs: []optest.Input{{Name: "x", Shape: []int{c, 4, 5}, DType: autograd.Uint8, Draw: optest.Integers(0, 255)}},
			Build: func(_ *autograd.Graph, in []*autograd.Node) *autograd.Node {
				return autograd.Normalize("y", in[0], scale, offset)
			},
			Ref: func(in []optest.Array) optest.Array {
				y := in[0].Clone()
				y.Each(func(v float64, at []int) {
					y.Set(float64(float32(v)*scale[at[1]])+float64(offset[at[1]]), at...)
				})
				return y
			},
		})
	}
}

func TestNormalizeKeepsItsOwnNumbers(t *testing.T) {
	scale := []float32{2}
	g := autograd.NewGraph("pixels")
	y := autograd.Normalize("y", g.Input("x", autograd.Uint8, 1, 1, 1), scale, []float32{1})
	scale[0] = 100
	if got := y.Op().(autograd.NormalizeOp).Scale[0]; got != 2 {
		t.Errorf("scale %v, want the 2 it was made with", got)
	}
}

func TestNormalizeRefuses(t *testing.T) {
	one, nan := []float32{1}, []float32{float32(math.NaN())}
	inf := []float32{float32(math.Inf(1))}
	refused(t, autograd.NormalizeOp{Scale: one, Offset: one}, []int{1, 2, 2}) // float32
	for _, k := range []struct{ scale, offset []float32 }{{nil, nil}, {one, nil}, {one, nan}, {inf, one}, {[]float32{1, 1}, one}} {
		g := autograd.NewGraph("bad")
		autograd.Normalize("y", g.Input("x", autograd.Uint8, 1, 2, 2), k.scale, k.offset)
		if g.Err() == nil {
			t.Errorf("scale %v and offset %v: accepted", k.scale, k.offset)
		}
	}
}
