package autograd_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/integer"
	"github.com/bitgrad/bitgrad/quant"
)

// lowerAll builds the integer model of an evaluation program whose node "codes"
// quantizes the float input x.
func lowerAll(t *testing.T, p *autograd.Program, grid quant.Grid, c, h, w int) (*integer.Model, error) {
	t.Helper()
	b := integer.NewBuilder("net")
	refs := map[*autograd.Node]integer.Ref{}
	last := integer.NoRef
	var failed error
	p.Steps(func(n *autograd.Node, s autograd.Step, _ autograd.View) {
		switch {
		case failed != nil:
		case n.Op() == nil:
			refs[n] = integer.NoRef
		case n.Name() == "codes":
			one := slices.Repeat([]float32{1}, c)
			refs[n] = b.InputFloat("codes", integer.InputFloat{C: c, H: h, W: w, A: one, B: make([]float32, c), Grid: grid})
		default:
			var in []integer.Ref
			for _, k := range n.Inputs() {
				in = append(in, refs[k])
			}
			refs[n], failed = s.(integer.Lowerer).Lower(b, n.Name(), in)
		}
		last = refs[n]
	})
	if failed != nil {
		return nil, failed
	}
	m, _, err := b.Build(last)
	return m, err
}

func TestMovesAreTheirIntegerForm(t *testing.T) {
	const c, h, w = 5, 6, 4
	nets := map[string]func(q *autograd.Node) *autograd.Node{
		"relu":    func(q *autograd.Node) *autograd.Node { return autograd.ReLU("y", q) },
		"relu6":   func(q *autograd.Node) *autograd.Node { return autograd.ReLU6("y", q) },
		"flatten": func(q *autograd.Node) *autograd.Node { return autograd.Flatten("y", q) },
		"reshape": func(q *autograd.Node) *autograd.Node { return autograd.Reshape("y", q, 4, 5, 6) },
		"pad": func(q *autograd.Node) *autograd.Node {
			return autograd.Pad("y", q, autograd.Border{Top: 1, Left: 2, Bottom: 3})
		},
		"slice": func(q *autograd.Node) *autograd.Node {
			return autograd.Slice("y", q, autograd.SliceAttrs{C: autograd.Range{Start: 1, Step: 3}, W: autograd.Range{Stop: 3, Step: 2}})
		},
		"concat": func(q *autograd.Node) *autograd.Node {
			return autograd.Concat("y", q, autograd.ReLU("r", q), q)
		},
		"dropout": func(q *autograd.Node) *autograd.Node {
			return autograd.ReLU("y", autograd.Dropout("d", q, 0.5))
		},
	}
	for _, grid := range []quant.Grid{grids[0], grids[1], grids[2], grids[3], {BitWidth: 16, ZeroPoint: 20000, Scale: []float32{0.001}}} {
		for name, build := range nets {
			g := autograd.NewGraph("net")
			q := g.Apply("codes", quantizeOp{grid}, g.Input("x", autograd.Float32, c, h, w))
			g.SetOutput("y", build(q))
			p := compile(t, g, autograd.CompileOptions{Batch: 1})
			r := rand.New(rand.NewPCG(1, 2))
			x := make([]float32, c*h*w)
			for i := range x {
				x[i] = float32(r.NormFloat64() * 4)
			}
			if err := p.LoadFloats("x", x); err != nil {
				t.Fatal(err)
			}
			p.Forward()
			m, err := lowerAll(t, p, grid, c, h, w)
			if err != nil {
				t.Errorf("%s on %v: %v", name, grid, err)
				continue
			}
			var want []int64
			if _, err := integer.InterpretFloat(m, x, func(_ int, codes []int64) { want = slices.Clone(codes) }); err != nil {
				t.Fatal(err)
			}
			y, _ := p.View("y")
			if got := y.Codes(nil); !slices.Equal(got, want) {
				t.Errorf("%s on %v: got codes %v, want %v", name, grid, got, want)
			}
		}
	}
}

func TestFloatsHaveNoIntegerForm(t *testing.T) {
	for name, build := range map[string]func(x *autograd.Node) *autograd.Node{
		"flatten": func(x *autograd.Node) *autograd.Node { return autograd.Flatten("y", x) },
		"pad":     func(x *autograd.Node) *autograd.Node { return autograd.Pad("y", x, autograd.Border{Top: 1}) },
		"slice":   func(x *autograd.Node) *autograd.Node { return autograd.Slice("y", x, autograd.SliceAttrs{}) },
		"concat":  func(x *autograd.Node) *autograd.Node { return autograd.Concat("y", x, x) },
		"dropout": func(x *autograd.Node) *autograd.Node { return autograd.Dropout("y", x, 0.5) },
	} {
		g := autograd.NewGraph("net")
		g.SetOutput("y", build(g.Input("x", autograd.Float32, 2, 2, 2)))
		p := compile(t, g, autograd.CompileOptions{Batch: 1})
		if _, err := lowerAll(t, p, quant.Grid{}, 2, 2, 2); err == nil {
			t.Errorf("%s of real numbers has an integer form", name)
		}
	}
}

func TestConcatOfTwoGridsHasNoIntegerForm(t *testing.T) {
	format := &quant.UniformFormat{BitWidth: 8, Signed: true}
	g := autograd.NewGraph("grids")
	x := g.Input("x", autograd.Float32, 2)
	a := g.Apply("codes", sharedFormatOp{quantizeOp{grids[0]}, format}, x)
	other := grids[0]
	other.Scale = []float32{1}
	b := g.Apply("b", sharedFormatOp{quantizeOp{other}, format}, x)
	g.SetOutput("y", autograd.Concat("y", a, b))
	p := compile(t, g, autograd.CompileOptions{Batch: 1})
	p.Forward()
	p.Steps(func(n *autograd.Node, s autograd.Step, _ autograd.View) {
		if n.Name() != "y" {
			return
		}
		if _, err := s.(integer.Lowerer).Lower(integer.NewBuilder("net"), "y", []integer.Ref{0, 1}); err == nil {
			t.Error("codes of different grids were joined without a rule")
		}
	})
}
