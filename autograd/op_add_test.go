package autograd_test

import (
	"fmt"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/autograd/optest"
)

// aligned returns the element of x that meets the element at of the result,
// where the axes of x begin at axis first of the result.
func aligned(x optest.Array, first int, at []int) float64 {
	i := make([]int, len(x.Shape))
	for k, e := range x.Shape {
		if e > 1 {
			i[k] = at[first+k]
		}
	}
	return x.At(i...)
}

// binaryCase is a pair of operands of a broadcast operation.
type binaryCase struct {
	a, b  optest.Input
	shape []int // of one sample of the result, or of a plain result
	plain bool
}

func binaryCases() []binaryCase {
	batched := func(name string, shape ...int) optest.Input { return optest.Input{Name: name, Shape: shape} }
	param := func(name string, shape ...int) optest.Input {
		return optest.Input{Name: name, Shape: shape, Param: true}
	}
	codes := batched("b", 3, 4, 5)
	codes.Grid, codes.Draw = &grids[1], optest.Levels(grids[1])
	few := batched("a", 3, 1, 1)
	few.Grid, few.Draw = &grids[3], optest.Levels(grids[3])
	return []binaryCase{
		{batched("a", 3, 4, 5), batched("b", 3, 4, 5), []int{3, 4, 5}, false},
		{batched("a", 17, 3, 1), batched("b", 17, 3, 1), []int{17, 3, 1}, false},
		{batched("a", 7), batched("b", 7), []int{7}, false},
		{batched("a", 3, 4, 5), batched("b", 3, 1, 1), []int{3, 4, 5}, false},
		{batched("a", 3, 1, 1), batched("b", 3, 4, 5), []int{3, 4, 5}, false},
		{batched("a", 3, 4, 1), batched("b", 1, 1, 5), []int{3, 4, 5}, false},
		{batched("a", 1, 4, 5), batched("b", 3, 4, 5), []int{3, 4, 5}, false},
		{batched("a", 3, 4, 5), param("b", 3, 1, 1), []int{3, 4, 5}, false},
		{batched("a", 3, 4, 5), param("b", 1, 3, 4, 1), []int{3, 4, 5}, false},
		{param("a", 4, 5), batched("b", 3, 4, 5), []int{3, 4, 5}, false},
		{batched("a", 3, 4, 5), param("b", 1), []int{3, 4, 5}, false},
		{batched("a", 6), param("b", 6), []int{6}, false},
		{batched("a", 1), param("b", 6), []int{6}, false},
		{param("a", 2, 3, 2, 2), param("b", 2, 3, 2, 2), []int{2, 3, 2, 2}, true},
		{param("a", 2, 1, 2, 1, 2), param("b", 2, 1, 2, 1, 2), []int{2, 1, 2, 1, 2}, true},
		{param("a", 4, 3), param("b", 4, 1), []int{4, 3}, true},
		{param("a", 3), param("b", 4, 3), []int{4, 3}, true},
		{batched("a", 3, 4, 5), codes, []int{3, 4, 5}, false},
		{few, codes, []int{3, 4, 5}, false},
	}
}

func init() {
	ops := []struct {
		op autograd.Op
		f  func(a, b float64) float64
	}{
		{autograd.AddOp{}, func(a, b float64) float64 { return a + b }},
		{autograd.SubtractOp{}, func(a, b float64) float64 { return a - b }},
		{autograd.MultiplyOp{}, func(a, b float64) float64 { return a * b }},
	}
	for _, o := range ops {
		for _, k := range binaryCases() {
			for _, batch := range []int{1, 3} {
				suite.Add(optest.Case{
					Name:   fmt.Sprintf("%s %v%v", o.op.Name(), k.a.Shape, k.b.Shape),
					Batch:  batch,
					Inputs: []optest.Input{k.a, k.b},
					Build: func(g *autograd.Graph, in []*autograd.Node) *autograd.Node {
						return g.Apply("y", o.op, in...)
					},
					Ref: func(in []optest.Array) optest.Array {
						shape := k.shape
						if !k.plain {
							shape = append([]int{batch}, shape...)
						}
						y := optest.NewArray(shape...)
						y.Each(func(_ float64, at []int) {
							var v [2]float64
							for i, x := range in {
								v[i] = aligned(x, len(shape)-len(x.Shape), at)
							}
							y.Set(o.f(v[0], v[1]), at...)
						})
						return y
					},
				})
			}
		}
		suite.Add(optest.Case{
			Name:   o.op.Name() + " of a value with itself",
			Inputs: []optest.Input{{Name: "a", Shape: []int{3, 4, 5}}},
			Build: func(g *autograd.Graph, in []*autograd.Node) *autograd.Node {
				return g.Apply("y", o.op, in[0], in[0])
			},
			Ref: func(in []optest.Array) optest.Array {
				return in[0].Map(func(x float64) float64 { return o.f(x, x) })
			},
		})
	}
}

func TestBroadcastRefuses(t *testing.T) {
	refused(t, autograd.AddOp{}, []int{3})
	refused(t, autograd.AddOp{}, []int{3}, []int{4})
	refused(t, autograd.AddOp{}, []int{3, 4, 5}, []int{3})
	refused(t, autograd.AddOp{}, []int{3, 4, 5}, []int{2, 4, 5})
	refused(t, autograd.AddOp{}, []int{3}, []int{3}, []int{3})
	refused(t, autograd.AddOp{}, nil, nil) // labels
	for _, shape := range [][]int{{2, 3}, {5, 3, 4, 5}, {1, 1, 3, 4, 5}, {4}} {
		g := autograd.NewGraph("bad")
		autograd.Multiply("y", g.Input("x", autograd.Float32, 3, 4, 5), g.Param("w", autograd.Weight, nil, shape...))
		if g.Err() == nil {
			t.Errorf("[N 3 4 5] times a parameter %v was accepted", shape)
		}
	}
}
