package export_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/datasets"
	"github.com/bitgrad/bitgrad/export"
	"github.com/bitgrad/bitgrad/fakequant"
	"github.com/bitgrad/bitgrad/integer"
	"github.com/bitgrad/bitgrad/layers"
	"github.com/bitgrad/bitgrad/train"
)

// reverseOp is an operation from outside the module: it puts the channels in
// reverse order, on integers as one slice per channel and a concatenation.
type reverseOp struct {
	part string // how the name of a slice goes on
	off  int    // 0 for the right order
}

func (reverseOp) Name() string { return "reverse" }

func (reverseOp) Infer(_ autograd.Env, in []autograd.Type) (autograd.Spec, error) {
	return autograd.Spec{Out: in[0], Moves: true}, nil
}

func (o reverseOp) Bind(b *autograd.Binding) autograd.Step { return reverse{o, b} }

type reverse struct {
	op reverseOp
	*autograd.Binding
}

func (s reverse) Forward(*autograd.Context) {
	x, y := s.In[0], s.Out
	rows, n := y.Rows()
	for r := range rows {
		for i := range n {
			from, to := x.Row(r)+i/y.L.C*y.L.C+y.L.C-1-i%y.L.C, y.Row(r)+i
			if y.IsCodes() {
				y.SetCode(to, x.Code(from))
			} else {
				y.F32[to] = x.F32[from]
			}
		}
	}
}

func (reverse) Backward(*autograd.Context) {}

func (s reverse) Lower(b *integer.Builder, name string, in []integer.Ref) (integer.Ref, error) {
	var parts []integer.Ref
	for c := range s.Out.L.C {
		from := (s.Out.L.C - 1 - c + s.op.off) % s.Out.L.C
		parts = append(parts, b.Slice(fmt.Sprint(name, s.op.part, c), in[0], integer.Slice{C: integer.Range{Start: from, Stop: from + 1}}))
	}
	return b.Concat(name, parts, integer.Concat{Grid: b.Node(in[0]).Grid}), nil
}

func TestAFormOfSeveralNodes(t *testing.T) {
	pixels := make([]uint8, 6*3*4*4)
	for i := range pixels {
		pixels[i] = uint8(i * 37)
	}
	data, err := datasets.FromPixels(datasets.Info{C: 3, H: 4, W: 4}, pixels, []int32{0, 1, 2, 0, 1, 2})
	if err != nil {
		t.Fatal(err)
	}
	verify := func(op reverseOp) (*export.Diff, error) {
		b := layers.New("net", layers.Input{C: 3, H: 4, W: 4})
		x := autograd.Apply("mine", op, b.Conv("conv", b.X, 4, 3))
		net := b.Classifier(b.Linear("fc", x, 3))
		g, _, err := fakequant.Prepare(net.Graph, fakequant.DFP(8))
		if err != nil {
			t.Fatal(err)
		}
		if err := train.Calibrate(t.Context(), g, data, train.CalibrateOptions{}); err != nil {
			t.Fatal(err)
		}
		m, err := export.Lower(g)
		if err != nil {
			t.Fatal(err)
		}
		return export.Verify(t.Context(), m, g, data, export.VerifyOptions{})
	}
	d, err := verify(reverseOp{part: "/"})
	if err != nil {
		t.Fatal(err)
	}
	if d.Mismatches != 0 || len(d.Layers) != 9 || d.Layers[2].Name != "mine/0" || d.Layers[2].Codes != 6*4 {
		t.Errorf("%d differ, %+v", d.Mismatches, d.Layers)
	}
	if d, err = verify(reverseOp{part: "/", off: 1}); err != nil || d.Mismatches == 0 || !strings.Contains(d.First, "mine, code") {
		t.Errorf("another order than the program's: %+v, %v", d, err)
	}
	if _, err = verify(reverseOp{part: "."}); !errors.Is(err, export.ErrMismatch) || !strings.Contains(err.Error(), `"mine.0"`) {
		t.Errorf("a name of nothing in the graph: %v", err)
	}
}

// A product with one number per channel trains, but it has no integer form.
func TestOperandsOfTwoShapesAreRefused(t *testing.T) {
	data, err := datasets.FromPixels(datasets.Info{C: 3, H: 4, W: 4}, make([]uint8, 48), []int32{0})
	if err != nil {
		t.Fatal(err)
	}
	b := layers.New("net", layers.Input{C: 3, H: 4, W: 4})
	x := b.ReLU("relu", b.Conv("conv", b.X, 4, 3))
	x = autograd.Multiply("scale", x, autograd.Sigmoid("gate", b.Conv("squeeze", b.GlobalAveragePool("pool", x), 4, 1)))
	g, _, err := fakequant.Prepare(b.Classifier(b.Linear("fc", x, 3)).Graph, fakequant.DFP(8))
	if err != nil {
		t.Fatal(err)
	}
	if err := train.Calibrate(t.Context(), g, data, train.CalibrateOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err = export.Lower(g)
	if !errors.Is(err, export.ErrUnsupported) || !strings.Contains(err.Error(), "scale (multiply): operands of two shapes, [N 4 2 2] and [N 4 1 1]") {
		t.Error(err)
	}
	notes, err := fakequant.Explain(g, autograd.Evaluate)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range notes {
		if n.Name == "scale" && !strings.HasPrefix(n.Why, "operands of two shapes") {
			t.Errorf("%+v", n)
		}
	}
}
