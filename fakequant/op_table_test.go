package fakequant

import (
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
)

// TestReLUBehindAFunction: a function that becomes a table has a quantizer of its
// own, also where a ReLU follows, which then clamps the codes.
func TestReLUBehindAFunction(t *testing.T) {
	for name, f := range map[string]func(string, *autograd.Node) *autograd.Node{
		"tanh": autograd.Tanh, "sigmoid": autograd.Sigmoid, "hard-swish": autograd.HardSwish,
		"leaky": func(name string, x *autograd.Node) *autograd.Node { return autograd.LeakyReLU(name, x, 0.25) },
	} {
		g := autograd.NewGraph(name)
		x := f("f", g.Input("input", autograd.Float32, 3))
		x = autograd.ReLU6("clip", autograd.ReLU("relu", x))
		g.SetOutput("logits", autograd.Linear("fc", x, g.Param("fc.weight", autograd.Weight, autograd.HeNormal(), 2, 3), nil))
		g.Initialize(1)
		q, _, err := Prepare(g, Int(8))
		if err != nil {
			t.Fatal(err)
		}
		p, err := q.Compile(autograd.CompileOptions{Mode: autograd.Calibrate, Batch: 1})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.LoadFloats("input", []float32{-1, 0.5, 2}); err != nil {
			t.Fatal(err)
		}
		p.Forward()
		p.Commit()
		if err := FinishCalibration(q); err != nil {
			t.Fatal(err)
		}
		notes, err := Explain(q, autograd.Evaluate)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range notes {
			if !n.Integers {
				t.Errorf("%s: %s (%s) computes in floats: %s", name, n.Name, n.Kind, n.Why)
			}
		}
	}
}
