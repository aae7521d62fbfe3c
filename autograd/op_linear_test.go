package autograd_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/autograd/optest"
	"github.com/bitgrad/bitgrad/quant"
)

// linearRef is x·wᵀ + b by its definition.
func linearRef(in []optest.Array) optest.Array {
	x, w := in[0], in[1]
	n, i, o := x.Shape[0], x.Shape[1], w.Shape[0]
	y := optest.NewArray(n, o)
	for r := range n {
		for c := range o {
			sum := 0.0
			if len(in) == 3 {
				sum = in[2].At(c)
			}
			for k := range i {
				sum += x.Data[r*i+k] * w.Data[c*i+k]
			}
			y.Set(sum, r, c)
		}
	}
	return y
}

func init() {
	for _, k := range []struct {
		n, i, o int
		bias    bool
		grid    *quant.Grid
	}{
		{1, 1, 1, true, nil},
		{1, 17, 3, false, nil},
		{3, 1, 17, true, nil},
		{30, 40, 33, true, nil},
		{64, 3, 10, false, nil},
		{2, 65, 70, true, nil},
		{5, 9, 4, true, &quant.Grid{BitWidth: 8, Signed: true, Scale: []float32{0.03125}}},
		{2, 5, 4, false, &quant.Grid{BitWidth: 8, ZeroPoint: 200, Scale: []float32{0.01}}},
	} {
		c := optest.Case{
			Name:  fmt.Sprintf("linear [%d %d] with %d outputs bias %v grid %v", k.n, k.i, k.o, k.bias, k.grid),
			Batch: k.n,
			Inputs: []optest.Input{
				{Name: "x", Shape: []int{k.i}, Grid: k.grid},
				{Name: "w", Shape: []int{k.o, k.i}, Param: true},
			},
			Build: func(_ *autograd.Graph, in []*autograd.Node) *autograd.Node {
				return autograd.Linear("fc", in[0], in[1], append(in, nil)[2])
			},
			Ref: linearRef,
		}
		if k.bias {
			c.Inputs = append(c.Inputs, optest.Input{Name: "b", Shape: []int{k.o}, Param: true})
		}
		suite.Add(c)
	}
}

func TestLinearErrors(t *testing.T) {
	for _, c := range []struct {
		name    string
		x, w, b []int
		want    string
	}{
		{"features", []int{4}, []int{2, 5}, nil, "fc: linear [N 4] × [2 5]: 4 input features, weight has 5"},
		{"image", []int{4, 1, 1}, []int{2, 4}, nil, "the input is an image: flatten it first"},
		{"weight", []int{4}, []int{2, 4, 1, 1}, nil, "the weight must be [O I]"},
		{"bias", []int{4}, []int{2, 4}, []int{4}, "bias [4]: must be [2]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := autograd.NewGraph("net")
			var b *autograd.Node
			x, w := g.Input("x", autograd.Float32, c.x...), g.Param("w", autograd.Weight, nil, c.w...)
			if c.b != nil {
				b = g.Param("b", autograd.Bias, nil, c.b...)
			}
			autograd.Linear("fc", x, w, b)
			if err := g.Err(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

// framingOp reads features and asks for a border around them.
type framingOp struct{ weightedOp }

func (o framingOp) Infer(env autograd.Env, in []autograd.Type) (autograd.Spec, error) {
	s, err := o.weightedOp.Infer(env, in)
	b := autograd.Border{Top: 1, Left: 2, Bottom: 3, Right: 4}
	s.Border, s.GradBorder = []autograd.Border{b}, b
	return s, err
}

func TestFeaturesHaveNoBorder(t *testing.T) {
	g := autograd.NewGraph("net")
	x := g.Input("x", autograd.Float32, 3)
	g.SetOutput("y", autograd.Linear("fc", x, g.Param("w", autograd.Weight, autograd.Ones(), 1, 3), nil))
	g.SetOutput("other", g.Apply("framing", framingOp{weightedOp{[]float64{1, 1, 1, 1, 1, 1}}}, x))
	g.Initialize(1)
	p, err := g.Compile(autograd.CompileOptions{Batch: 2})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.LoadFloats("x", []float32{1, 2, 3, 4, 5, 6}); err != nil {
		t.Fatal(err)
	}
	p.Forward()
	y, _ := p.View("y")
	if got := y.Floats(nil); got[0] != 6 || got[1] != 15 {
		t.Errorf("got %v, want [6 15]", got)
	}
}
