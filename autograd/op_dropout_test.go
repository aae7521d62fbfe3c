package autograd_test

import (
	"math"
	"slices"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/autograd/optest"
	"github.com/bitgrad/bitgrad/quant"
)

func init() {
	// The seed, step and micro-batch that the checker runs with.
	const seed, step, micro = 7, 3, 1
	train := []autograd.Mode{autograd.Train, autograd.Frozen}
	other := []autograd.Mode{autograd.Evaluate, autograd.Calibrate}
	for _, rate := range []float32{0, 0.25, 0.9} {
		for _, x := range []optest.Input{
			{Name: "x", Shape: []int{3, 4, 5}}, {Name: "x", Shape: []int{40}},
			{Name: "x", Shape: []int{3, 4, 5}, Grid: &grids[1], Draw: optest.Levels(grids[1])},
		} {
			c := optest.Case{
				Name:   "dropout",
				Batch:  3,
				Modes:  train,
				Inputs: []optest.Input{x},
				Build: func(_ *autograd.Graph, in []*autograd.Node) *autograd.Node {
					return autograd.Dropout("y", in[0], rate)
				},
				Ref: func(in []optest.Array) optest.Array {
					y := in[0].Clone()
					for i := range y.Data { // in the order [N C H W]
						if quant.Uniform(seed, step, micro, "y", uint64(i)) < rate {
							y.Data[i] = 0
						} else {
							y.Data[i] /= 1 - float64(rate)
						}
					}
					return y
				},
			}
			suite.Add(c)
			c.Modes = other
			c.Ref = func(in []optest.Array) optest.Array { return in[0].Clone() }
			suite.Add(c)
		}
	}
}

func TestDropoutIsKeyed(t *testing.T) {
	run := func(name string, seed, step uint64, micro uint32) []float32 {
		g := autograd.NewGraph("drop")
		x := g.Input("x", autograd.Float32, 1000)
		g.SetOutput("y", autograd.Dropout(name, x, 0.3))
		p, err := g.Compile(autograd.CompileOptions{Mode: autograd.Train, Batch: 2, Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		v, _ := p.View("x")
		for i := range v.F32 {
			v.F32[i] = 1
		}
		p.SetStep(step, micro)
		p.Forward()
		y, _ := p.View("y")
		return y.Floats(nil)
	}
	base := run("d", 1, 2, 3)
	if !slices.Equal(base, run("d", 1, 2, 3)) {
		t.Error("the same key drops other elements")
	}
	for what, other := range map[string][]float32{
		"name": run("e", 1, 2, 3), "seed": run("d", 2, 2, 3), "step": run("d", 1, 3, 3), "micro-batch": run("d", 1, 2, 4),
	} {
		if slices.Equal(base, other) {
			t.Errorf("another %s drops the same elements", what)
		}
	}
	if slices.Equal(base[:1000], base[1000:]) {
		t.Error("two samples lose the same elements")
	}
	sum := 0.0
	for _, v := range base {
		sum += float64(v)
	}
	// 2000 elements of mean 1 and variance 0.3/0.7: five deviations are 73.
	if math.Abs(sum-2000) > 73 {
		t.Errorf("the sum of 2000 ones became %v", sum)
	}
}

func TestDropoutRefuses(t *testing.T) {
	for _, r := range []float64{-0.1, 1, 2, math.NaN()} {
		refused(t, autograd.DropoutOp{Rate: float32(r)}, []int{3})
	}
}
