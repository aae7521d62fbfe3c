package autograd_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/autograd/optest"
)

func init() {
	for _, smoothing := range []float64{0, 0.1, 1} {
		for _, k := range []struct {
			batch int
			shape []int
		}{{1, []int{10}}, {5, []int{3}}, {4, []int{1}}, {3, []int{17, 1, 1}}} {
			classes := k.shape[0]
			c := optest.Case{
				Name:  fmt.Sprintf("cross-entropy %v smoothing %v", k.shape, smoothing),
				Batch: k.batch,
				Inputs: []optest.Input{
					{Name: "logits", Shape: k.shape, Draw: optest.Normal(3)},
					{Name: "labels", DType: autograd.Int32, Draw: optest.Integers(0, classes-1)},
				},
				Build: func(_ *autograd.Graph, in []*autograd.Node) *autograd.Node {
					return autograd.SoftmaxCrossEntropy("y", in[0], in[1], float32(smoothing))
				},
				Ref: func(in []optest.Array) optest.Array {
					x := optest.Array{Shape: []int{k.batch, classes}, Data: in[0].Data}
					p := softmaxRef(x)
					y := optest.NewArray(1)
					p.Each(func(v float64, at []int) {
						t := smoothing / float64(classes)
						if float64(at[1]) == in[1].At(at[0]) {
							t += 1 - smoothing
						}
						y.Add(-t*math.Log(v)/float64(k.batch), 0)
					})
					return y
				},
			}
			suite.Add(c)
			c.Name += " on codes"
			c.Inputs = append([]optest.Input(nil), c.Inputs...)
			c.Inputs[0].Grid, c.Inputs[0].Draw = &grids[1], optest.Levels(grids[1])
			suite.Add(c)
		}
	}
}

// lossProgram is a training program of the cross-entropy of two samples.
func lossProgram(t *testing.T, classes int) *autograd.Program {
	t.Helper()
	g := autograd.NewGraph("loss")
	x, l := g.Input("x", autograd.Float32, classes), g.Input("labels", autograd.Int32)
	g.SetOutput("loss", autograd.SoftmaxCrossEntropy("loss", x, l, 0))
	p, err := g.Compile(autograd.CompileOptions{Mode: autograd.Train, Batch: 2, InputGrad: true, Poison: true})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestCrossEntropyOfHugeLogits(t *testing.T) {
	p := lossProgram(t, 3)
	x, _ := p.View("x")
	l, _ := p.View("labels")
	copy(x.F32, []float32{1e38, -1e38, 0, float32(math.Inf(-1)), 5, 5})
	copy(l.I32, []int32{0, 1})
	p.Forward()
	p.Backward()
	if got, want := p.Loss(), float32(math.Ln2/2); got != want || p.NaNs() != 0 {
		t.Errorf("loss %v with %d bad numbers, want %v", got, p.NaNs(), want)
	}
	dx, _ := p.GradView("x")
	if got, want := fmt.Sprint(dx.Floats(nil)), "[0 0 0 0 -0.25 0.25]"; got != want {
		t.Errorf("gradient %v, want %v", got, want)
	}
}

func TestCrossEntropyOfBadLabels(t *testing.T) {
	for _, bad := range []int32{-1, 3, math.MaxInt32, math.MinInt32} {
		p := lossProgram(t, 3)
		l, _ := p.View("labels")
		copy(l.I32, []int32{1, bad})
		p.Forward()
		p.Backward()
		if loss := p.Loss(); loss == loss || p.NaNs() != 1 {
			t.Errorf("label %d: loss %v and %d bad numbers, want NaN and 1", bad, loss, p.NaNs())
		}
		if p.FirstBad() != "loss" {
			t.Errorf("label %d: first bad node %q, want the loss", bad, p.FirstBad())
		}
		dx, _ := p.GradView("x")
		if d := dx.Floats(nil); d[0] != d[0] || d[3] == d[3] {
			t.Errorf("label %d: gradients %v, want NaN for the second sample only", bad, d)
		}
	}
}

func TestCrossEntropyRefuses(t *testing.T) {
	build := func(f func(g *autograd.Graph) *autograd.Node) error {
		g := autograd.NewGraph("bad")
		f(g)
		return g.Err()
	}
	for name, f := range map[string]func(g *autograd.Graph) *autograd.Node{
		"image": func(g *autograd.Graph) *autograd.Node {
			return autograd.SoftmaxCrossEntropy("y", g.Input("x", autograd.Float32, 3, 2, 2), g.Input("l", autograd.Int32), 0)
		},
		"float labels": func(g *autograd.Graph) *autograd.Node {
			return autograd.SoftmaxCrossEntropy("y", g.Input("x", autograd.Float32, 3), g.Input("l", autograd.Float32), 0)
		},
		"one-hot labels": func(g *autograd.Graph) *autograd.Node {
			return autograd.SoftmaxCrossEntropy("y", g.Input("x", autograd.Float32, 3), g.Input("l", autograd.Int32, 3), 0)
		},
		"no labels": func(g *autograd.Graph) *autograd.Node {
			return autograd.SoftmaxCrossEntropy("y", g.Input("x", autograd.Float32, 3), nil, 0)
		},
		"smoothing": func(g *autograd.Graph) *autograd.Node {
			return autograd.SoftmaxCrossEntropy("y", g.Input("x", autograd.Float32, 3), g.Input("l", autograd.Int32), 1.5)
		},
		"smoothing NaN": func(g *autograd.Graph) *autograd.Node {
			return autograd.SoftmaxCrossEntropy("y", g.Input("x", autograd.Float32, 3), g.Input("l", autograd.Int32), float32(math.NaN()))
		},
	} {
		if build(f) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
