package autograd_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/integer"
	"github.com/bitgrad/bitgrad/quant"
)

// lowered returns the integer model of one step of an evaluation program whose
// operand has the given grid.
func lowered(t *testing.T, p *autograd.Program, name string, c, h, w int, grid quant.Grid) (*integer.Model, error) {
	t.Helper()
	b := integer.NewBuilder("net")
	one := slices.Repeat([]float32{1}, c)
	y := integer.NoRef
	var err error
	p.Steps(func(n *autograd.Node, s autograd.Step, _ autograd.View) {
		if n.Name() != name {
			return
		}
		x := b.InputFloat("input", integer.InputFloat{C: c, H: h, W: w, A: one, B: make([]float32, c), Grid: grid})
		y, err = s.(integer.Lowerer).Lower(b, name, []integer.Ref{x})
	})
	if err != nil {
		return nil, err
	}
	m, _, err := b.Build(y)
	return m, err
}

func TestMaxPoolIsItsIntegerForm(t *testing.T) {
	for _, k := range poolCases() {
		if k.grid == nil || k.grid.BitWidth > 8 {
			k.grid = &quant.Grid{BitWidth: 4, Signed: true, Scale: []float32{0.5}}
		}
		g := autograd.NewGraph("net")
		x := g.Input("x", autograd.Float32, k.c, k.h, k.w)
		g.SetOutput("y", autograd.MaxPool("pool", g.Apply("codes", quantizeOp{*k.grid}, x), k.attrs))
		p, err := g.Compile(autograd.CompileOptions{Batch: 1})
		if err != nil {
			t.Fatal(err)
		}
		r := rand.New(rand.NewPCG(1, 2))
		image := make([]float32, k.h*k.w*k.c)
		for i := range image {
			image[i] = float32(r.NormFloat64() * 2)
		}
		if err := p.LoadFloats("x", image); err != nil {
			t.Fatal(err)
		}
		p.Forward()
		m, err := lowered(t, p, "pool", k.c, k.h, k.w, *k.grid)
		if err != nil {
			t.Fatalf("%s: %v", k.attrs, err)
		}
		var want []int64
		if _, err := integer.InterpretFloat(m, image, func(_ int, codes []int64) { want = slices.Clone(codes) }); err != nil {
			t.Fatal(err)
		}
		y, _ := p.View("y")
		if got := y.Codes(nil); !slices.Equal(got, want) {
			t.Errorf("%s: got codes %v, want %v", k.attrs, got, want)
		}
	}
}

func TestMaxPoolOfFloatsHasNoIntegerForm(t *testing.T) {
	g := autograd.NewGraph("net")
	g.SetOutput("y", autograd.MaxPool("pool", g.Input("x", autograd.Float32, 1, 2, 2), autograd.PoolAttrs{}))
	p, err := g.Compile(autograd.CompileOptions{Batch: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lowered(t, p, "pool", 1, 2, 2, quant.Grid{BitWidth: 8, Scale: []float32{1}}); err == nil {
		t.Error("lowered")
	}
}
