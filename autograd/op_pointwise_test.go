package autograd_test

import (
	"errors"
	"math"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/autograd/optest"
	"github.com/bitgrad/bitgrad/quant"
)

// shapes1 are the sample shapes that element by element operations are tested on.
var shapes1 = [][]int{{3, 4, 5}, {17, 3, 2}, {1, 1, 1}, {7}}

// grids are the grids that operations on codes are tested on.
var grids = []quant.Grid{
	{BitWidth: 8, Signed: true, Scale: []float32{1. / 16}},
	{BitWidth: 8, ZeroPoint: 100, Scale: []float32{0.0625}},
	{BitWidth: 4, ZeroPoint: 3, Scale: []float32{0.7}},
	{BitWidth: 12, Signed: true, Scale: []float32{0.01}},
}

// unary adds the cases of y = op(x) with y = f(x) element by element.
func unary(op autograd.Op, draw optest.Sampler, f func(x float64) float64, extra ...optest.Case) {
	base := optest.Case{
		Name:  op.Name(),
		Build: func(g *autograd.Graph, in []*autograd.Node) *autograd.Node { return g.Apply("y", op, in...) },
		Ref:   func(in []optest.Array) optest.Array { return in[0].Map(f) },
	}
	for i, shape := range shapes1 {
		c := base
		c.Batch = 1 + i
		c.Inputs = []optest.Input{{Name: "x", Shape: shape, Draw: draw}}
		suite.Add(c)
	}
	c := base
	c.Name += " of a parameter"
	c.Inputs = []optest.Input{{Name: "w", Shape: []int{3, 2, 2, 2}, Param: true, Draw: draw}}
	suite.Add(c)
	for _, e := range extra {
		e.Build, e.Name = base.Build, op.Name()+" "+e.Name
		if e.Ref == nil {
			e.Ref = base.Ref
		}
		suite.Add(e)
	}
}

// onCodes returns cases with codes as operand.
func onCodes() []optest.Case {
	var cs []optest.Case
	for _, g := range grids {
		cs = append(cs, optest.Case{Name: "on " + g.String(),
			Inputs: []optest.Input{{Name: "x", Shape: []int{3, 4, 5}, Grid: &g, Draw: optest.Levels(g)}}})
	}
	return cs
}

func init() {
	softplus := autograd.Pointwise("softplus",
		func(x float32) float32 { return float32(math.Log1p(math.Exp(float64(x)))) },
		func(x float32) float32 { return float32(1 / (1 + math.Exp(-float64(x)))) })
	unary(softplus, optest.Normal(2), func(x float64) float64 { return math.Log1p(math.Exp(x)) }, onCodes()...)

	named := func(f func(string, *autograd.Node) *autograd.Node) autograd.Op {
		g := autograd.NewGraph("")
		return f("y", g.Input("x", autograd.Float32, 1)).Op()
	}
	unary(named(autograd.Sigmoid), optest.Normal(3), func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }, onCodes()...)
	unary(named(autograd.Tanh), optest.Normal(2), math.Tanh, onCodes()...)
	unary(named(autograd.HardSwish), optest.Away(-6, 6, 0.01, -3, 3),
		func(x float64) float64 { return x * min(max(x+3, 0), 6) / 6 })
}

func TestPointwiseFarOut(t *testing.T) {
	// The derivatives must neither overflow nor become NaN.
	for _, op := range []struct {
		name string
		f    func(string, *autograd.Node) *autograd.Node
		x    []float64
		y    []float32
	}{
		{"sigmoid", autograd.Sigmoid, []float64{-1000, -100, 0, 100, 1000}, []float32{0, 3.783506e-44, 0.5, 1, 1}},
		{"tanh", autograd.Tanh, []float64{-1000, -20, 0, 20, 1000}, []float32{-1, -1, 0, 1, 1}},
		{"hardswish", autograd.HardSwish, []float64{-1000, -3, 0, 3, 1000}, []float32{0, 0, 0, 3, 1000}},
	} {
		y, dx := oneSample(t, op.f, op.x)
		for i, want := range op.y {
			if y[i] != want {
				t.Errorf("%s(%v) = %v, want %v", op.name, op.x[i], y[i], want)
			}
			if d := float64(dx[i]); math.IsNaN(d) || math.IsInf(d, 0) {
				t.Errorf("derivative of %s at %v is %v", op.name, op.x[i], d)
			}
		}
	}
}

// oneSample returns y = f(x) and dΣy/dx for one sample of features.
func oneSample(t *testing.T, f func(string, *autograd.Node) *autograd.Node, x []float64) (y, dx []float32) {
	t.Helper()
	g := autograd.NewGraph("one")
	in := g.Input("x", autograd.Float32, len(x))
	out := f("y", in)
	ones := g.Param("ones", autograd.Weight, autograd.Ones(), 1, len(x))
	g.SetOutput("y", out)
	g.SetOutput("loss", autograd.Linear("sum", out, ones, nil))
	g.Initialize(1)
	p, err := g.Compile(autograd.CompileOptions{Mode: autograd.Train, Batch: 1, Loss: "loss", InputGrad: true, Poison: true})
	if err != nil {
		// A Linear of one output is [N 1], which with one sample is one number.
		t.Fatal(err)
	}
	v, _ := p.View("x")
	for i, e := range x {
		v.F32[v.Row(0)+i] = float32(e)
	}
	p.Forward()
	p.Backward()
	yv, _ := p.View("y")
	dv, ok := p.GradView("x")
	if !ok {
		t.Fatal("no gradient of x")
	}
	return yv.Floats(nil), dv.Floats(nil)
}

func TestPointwiseRefusesHalfAnOperation(t *testing.T) {
	f := func(x float32) float32 { return x }
	for _, op := range []autograd.Op{
		autograd.Pointwise("", f, f), autograd.Pointwise("f", nil, f), autograd.Pointwise("f", f, nil),
	} {
		refused(t, op, []int{3})
	}
	refused(t, autograd.Pointwise("f", f, f))
}

// refused fails unless op refuses operands of the given sample shapes.
func refused(t *testing.T, op autograd.Op, shapes ...[]int) {
	t.Helper()
	g := autograd.NewGraph("bad")
	var in []*autograd.Node
	for i, s := range shapes {
		in = append(in, g.Input(string(rune('a'+i)), autograd.Float32, s...))
	}
	if g.Err() != nil {
		t.Fatal(g.Err())
	}
	g.Apply("y", op, in...)
	var ne *autograd.NodeError
	if err := g.Err(); !errors.As(err, &ne) || !errors.Is(err, autograd.ErrShape) || ne.Node != "y" {
		t.Errorf("%s%+v of %v: got error %v, want one of the node", op.Name(), op, shapes, err)
	}
}
