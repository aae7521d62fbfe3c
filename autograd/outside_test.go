package autograd_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/quant"
)

// outsideOp stands for the operation of somebody who wrote only what the
// documentation of Op asks for, or less.
type outsideOp struct {
	name string
	spec func(x autograd.Type) autograd.Spec
	step autograd.Step
}

func (o outsideOp) Name() string { return o.name }

func (o outsideOp) Infer(_ autograd.Env, in []autograd.Type) (autograd.Spec, error) {
	return o.spec(in[0]), nil
}

func (o outsideOp) Bind(*autograd.Binding) autograd.Step { return o.step }

type idle struct{}

func (idle) Forward(*autograd.Context)  {}
func (idle) Backward(*autograd.Context) {}

func TestAnUnfinishedOperationIsRefused(t *testing.T) {
	same := func(x autograd.Type) autograd.Spec { return autograd.Spec{Out: x} }
	for _, c := range []struct {
		op   outsideOp
		says string
	}{
		{outsideOp{"", same, idle{}}, "no name"},
		{outsideOp{"op", func(autograd.Type) autograd.Spec { return autograd.Spec{} }, idle{}}, "no shape"},
		{outsideOp{"op", same, nil}, "no step"},
		{outsideOp{"op", same, idle{}}, "Moves"}, // codes, and nobody says on which grid
	} {
		g := autograd.NewGraph("net")
		codes := g.Apply("codes", quantizeOp{quant.Grid{BitWidth: 8, Scale: []float32{1}}}, g.Input("x", autograd.Float32, 2))
		g.SetOutput("y", g.Apply("mine", c.op, codes))
		_, err := g.Compile(autograd.CompileOptions{Batch: 1})
		var node *autograd.NodeError
		if !errors.As(err, &node) || node.Node != "mine" || !strings.Contains(err.Error(), c.says) {
			t.Errorf("got %v, want it to name the node and to say %q", err, c.says)
		}
	}
}

// What moves codes has the grid of its operand without doing anything for it.
func TestTheProgramHandsGridsOn(t *testing.T) {
	moves := func(x autograd.Type) autograd.Spec { return autograd.Spec{Out: x, Moves: true} }
	grid := quant.Grid{BitWidth: 8, ZeroPoint: 7, Scale: []float32{0.25}}
	g := autograd.NewGraph("net")
	x := g.Apply("codes", quantizeOp{grid}, g.Input("x", autograd.Float32, 1, 2, 2))
	y := autograd.Pad("pad", g.Apply("mine", outsideOp{"op", moves, idle{}}, x), autograd.Border{Top: 1})
	g.SetOutput("y", y)
	p, err := g.Compile(autograd.CompileOptions{Batch: 1, Wanted: []string{"mine"}})
	if err != nil {
		t.Fatal(err)
	}
	p.Forward()
	for _, name := range []string{"mine", "y"} {
		if v, _ := p.View(name); !v.Grid.Equal(grid) {
			t.Errorf("%s is on %v, want %v", name, v.Grid, grid)
		}
	}
	if v, _ := p.View("y"); v.Code(v.Row(0)) != 7 {
		t.Errorf("the frame has code %d, want the zero point", v.Code(v.Row(0)))
	}
}
