package autograd_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/autograd/optest"
	"github.com/bitgrad/bitgrad/quant"
)

// lrnRef is local response normalization by its definition.
func lrnRef(x optest.Array, a autograd.LRNAttrs) optest.Array {
	y := x.Clone()
	n := float64(a.Size)
	if a.WithinChannel {
		n *= n
	}
	near := func(at, other []int) bool {
		if !a.WithinChannel {
			d := other[1] - at[1]
			return at[2] == other[2] && at[3] == other[3] && d >= -(a.Size/2) && d <= (a.Size-1)/2
		}
		r := a.Size / 2
		return at[1] == other[1] && max(at[2]-other[2], other[2]-at[2]) <= r && max(at[3]-other[3], other[3]-at[3]) <= r
	}
	x.Each(func(v float64, at []int) {
		at = append([]int(nil), at...)
		sum := 0.0
		x.Each(func(u float64, other []int) {
			if at[0] == other[0] && near(at, other) {
				sum += u * u
			}
		})
		y.Set(v*math.Pow(float64(a.K)+float64(a.Alpha)/n*sum, -float64(a.Beta)), at...)
	})
	return y
}

func init() {
	grid := &quant.Grid{BitWidth: 8, Signed: true, Scale: []float32{0.03}}
	for _, k := range []struct {
		shape []int
		grid  *quant.Grid
		attrs autograd.LRNAttrs
	}{
		{[]int{7, 2, 2}, nil, autograd.LRNAttrs{Size: 3, Alpha: 0.5, Beta: 0.75, K: 1}},
		{[]int{6, 2, 1}, nil, autograd.LRNAttrs{Size: 4, Alpha: 1, Beta: 0.5, K: 2}},
		{[]int{1, 3, 3}, nil, autograd.LRNAttrs{Size: 5, Alpha: 1, Beta: 0.75, K: 1}},
		{[]int{2, 4, 5}, nil, autograd.LRNAttrs{Size: 3, Alpha: 2, Beta: 0.75, K: 1, WithinChannel: true}},
		{[]int{3, 3, 3}, nil, autograd.LRNAttrs{Size: 9, Alpha: 1, Beta: 1.5, K: 1, WithinChannel: true}},
		{[]int{4, 2, 3}, grid, autograd.LRNAttrs{Size: 3, Alpha: 0.5, Beta: 0.75, K: 1}},
	} {
		suite.Add(optest.Case{
			Name:   fmt.Sprintf("lrn %v %+v grid %v", k.shape, k.attrs, k.grid),
			Inputs: []optest.Input{{Name: "x", Shape: k.shape, Grid: k.grid}},
			Build: func(_ *autograd.Graph, in []*autograd.Node) *autograd.Node {
				return autograd.LRN("norm", in[0], k.attrs)
			},
			Ref: func(in []optest.Array) optest.Array { return lrnRef(in[0], k.attrs) },
		})
	}
}

func TestLRNErrors(t *testing.T) {
	for _, c := range []struct {
		attrs autograd.LRNAttrs
		want  string
	}{
		{autograd.LRNAttrs{Size: -3}, "norm: lrn [N 3 2 2]: size -3: must be from 1 to 32768"},
		{autograd.LRNAttrs{Size: 4, WithinChannel: true}, "size 4: must be odd within a channel"},
		{autograd.LRNAttrs{Alpha: -1}, "alpha -1: must be positive"},
		{autograd.LRNAttrs{K: -1}, "k -1: must be positive"},
		{autograd.LRNAttrs{Beta: float32(math.Inf(1))}, "beta +Inf: must be finite"},
	} {
		g := autograd.NewGraph("net")
		autograd.LRN("norm", g.Input("x", autograd.Float32, 3, 2, 2), c.attrs)
		if err := g.Err(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one with %q", err, c.want)
		}
	}
}
