package export

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/datasets"
	"github.com/bitgrad/bitgrad/integer"
	"github.com/bitgrad/bitgrad/quant"
)

// A rounding is a fault of one unit in the requantization of conv2. Adding to the
// accumulator first makes another rounding of the same shift: ⌊a/2^n + ½⌋ becomes ⌈a/2^n − ½⌉
// with −1, and ⌊a/2^n⌋ with −2^(n−1).
type rounding struct {
	name string
	add  func(n int32) int64
}

var roundings = []rounding{
	{"half down", func(int32) int64 { return -1 }},
	{"floor", func(n int32) int64 { return -1 << (n - 1) }},
}

const faulty = "conv2"

// plant returns the model with the fault.
func (r rounding) plant(m *integer.Model) *integer.Model {
	i := slices.IndexFunc(m.Nodes, func(n integer.Node) bool { return n.Name == faulty })
	op := *m.Nodes[i].Op.(*integer.Conv)
	op.Bias = slices.Clone(op.Bias)
	for c := range op.Bias {
		op.Bias[c] += r.add(op.Requant.Shift[0])
	}
	return swapped(m, i, &op)
}

// TestPlantedRounding plants a wrong rounding in one of the three programs that Verify
// compares, or in what Lower hands over: it must be seen at that node and nowhere before,
// and the report must show who is alone.
func TestPlantedRounding(t *testing.T) {
	ds := noise(t, 8)
	for _, r := range roundings {
		for party, test := range map[string]struct {
			plant func(t *testing.T, q *autograd.Graph, m *integer.Model) *verifier
			odd   string // who computes something else than the others
		}{
			"kernel": {func(t *testing.T, q *autograd.Graph, m *integer.Model) *verifier {
				v := verifierOf(t, r.plant(m), q, ds)
				v.m = m // what the interpreter reads
				return v
			}, "engine"},
			"interpreter": {func(t *testing.T, q *autograd.Graph, m *integer.Model) *verifier {
				v := verifierOf(t, m, q, ds)
				v.m = r.plant(m)
				return v
			}, "interpreter"},
			"program": {func(t *testing.T, q *autograd.Graph, m *integer.Model) *verifier {
				q.Use(wrap(func(s autograd.Step, b *autograd.Binding) autograd.Step { return biased{s, b, r} }))
				return verifierOf(t, m, q, ds)
			}, "program"},
			"Lower": {func(t *testing.T, q *autograd.Graph, _ *integer.Model) *verifier {
				q.Use(wrap(func(s autograd.Step, _ *autograd.Binding) autograd.Step { return misled{s, s.(integer.Lowerer), r} }))
				m, err := Lower(q)
				if err != nil {
					t.Fatal(err)
				}
				return verifierOf(t, m, q, ds)
			}, "program"},
		} {
			t.Run(party+"/"+r.name, func(t *testing.T) {
				q := dfpWorkshop(t, ds)
				m, err := Lower(q)
				if err != nil {
					t.Fatal(err)
				}
				v := test.plant(t, q, m)
				defer v.close()
				d, err := v.verify(context.Background(), nil)
				if err != nil {
					t.Fatal(err)
				}
				wantFirst(t, d, faulty)
				var program, interpreter, engine int
				_, codes, _ := strings.Cut(d.First, ": program")
				if _, err := fmt.Sscanf("program"+codes, "program %d, interpreter %d, engine %d", &program, &interpreter, &engine); err != nil {
					t.Fatalf("%s: %v", d.First, err)
				}
				odd := map[bool]string{interpreter == engine: "program", program == engine: "interpreter", program == interpreter: "engine"}[true]
				if odd != test.odd {
					t.Errorf("%s: the %s is alone, want the %s", d.First, odd, test.odd)
				}
			})
		}
	}
}

// wantFirst checks that codes differ at a node and at none before.
func wantFirst(t *testing.T, d *Diff, name string) {
	t.Helper()
	for _, l := range d.Layers {
		if l.Mismatches > 0 || l.Name == name {
			if l.Name != name || l.Mismatches == 0 || d.First == "" {
				t.Errorf("%d codes of %s differ, want some of %s; the first is %q", l.Mismatches, l.Name, name, d.First)
			}
			return
		}
	}
	t.Errorf("there is no node %s", name)
}

func verifierOf(t *testing.T, m *integer.Model, q *autograd.Graph, ds datasets.Dataset) *verifier {
	t.Helper()
	v, err := newVerifier(m, q, ds, VerifyOptions{Batch: 4, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// wrap returns a pass that puts a step around that of the faulty node.
func wrap(around func(s autograd.Step, b *autograd.Binding) autograd.Step) autograd.Pass {
	return autograd.Pass{Name: "planted fault", Apply: func(_ autograd.Mode, e *autograd.Edit) error {
		n := e.Node(faulty)
		e.SetOp(n, wrapped{n.Op(), around}, n.Inputs()...)
		return nil
	}}
}

type wrapped struct {
	autograd.Op
	around func(s autograd.Step, b *autograd.Binding) autograd.Step
}

func (w wrapped) Bind(b *autograd.Binding) autograd.Step { return w.around(w.Op.Bind(b), b) }

// biased is a convolution on integers whose bias is another one while it runs.
type biased struct {
	autograd.Step
	b *autograd.Binding
	r rounding
}

func (s biased) Forward(c *autograd.Context) {
	x, w, bias := s.b.In[0].Grid, s.b.In[1].Grid, s.b.In[2].F32
	right := slices.Clone(bias)
	unit := x.Scale[0] * w.Scale[0]
	n, err := quant.NewRequantizer(quant.Shift, quant.AccScale(*x, *w), *s.b.Out.Grid)
	if err != nil {
		panic(err)
	}
	for i := range bias {
		bias[i] += float32(s.r.add(n.Shift[0])) * unit
	}
	s.Step.Forward(c)
	copy(bias, right)
}

// misled is a step that hands other biases to the model than it computes with.
type misled struct {
	autograd.Step
	integer.Lowerer
	r rounding
}

func (s misled) Lower(b *integer.Builder, name string, in []integer.Ref) (integer.Ref, error) {
	ref, err := s.Lowerer.Lower(b, name, in)
	if err != nil {
		return ref, err
	}
	op := b.Node(ref).Op.(*integer.Conv)
	for c := range op.Bias {
		op.Bias[c] += s.r.add(op.Requant.Shift[0])
	}
	return ref, nil
}

// TestPlantedStructure plants faults that a lowering could make without any number being
// wrong: each gives a model that the builder accepts.
func TestPlantedStructure(t *testing.T) {
	ds := noise(t, 8)
	q := dfpWorkshop(t, ds)
	m, err := Lower(q)
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range []struct {
		name, node string
		edit       func(n *integer.Node)
	}{
		{"b − a for a − b", "difference", func(n *integer.Node) {
			rule, err := quant.NewAddShift(m.Nodes[n.In[1]].Grid, m.Nodes[n.In[0]].Grid, n.Grid, true)
			if err != nil {
				t.Fatal(err)
			}
			n.In, n.Op = []int{n.In[1], n.In[0]}, &integer.Add{Rule: rule, Grid: n.Grid}
		}},
		{"operands of a concatenation in the wrong order", "joined", func(n *integer.Node) {
			op := *n.Op.(*integer.Concat)
			op.Requant = []*quant.Requantizer{op.Requant[1], op.Requant[0]}
			n.In, n.Op = []int{n.In[1], n.In[0]}, &op
		}},
		{"a frame moved by one row", "conv2", edited(func(op *integer.Conv) { op.Pad.Top--; op.Pad.Bottom++ })},
		{"a frame moved by one column", "conv1", edited(func(op *integer.Conv) { op.Pad.Left++; op.Pad.Right-- })},
		{"rows of a kernel for columns", "conv1", edited(func(op *integer.Conv) {
			w := slices.Clone(op.Weight)
			for i := range w {
				at, k, l := i/9*9, i/3%3, i%3
				op.Weight[at+3*l+k] = w[i]
			}
		})},
		{"input channels for output channels", "conv3", edited(func(op *integer.Conv) {
			w := slices.Clone(op.Weight) // [O=4 I=4 6]
			for i := range w {
				o, in, k := i/24, i/6%4, i%6
				op.Weight[(in*4+o)*6+k] = w[i]
			}
		})},
		{"the bias of the next channel", "conv1", edited(func(op *integer.Conv) { op.Bias = append(op.Bias[1:], op.Bias[0]) })},
		{"no bias", "conv1", edited(func(op *integer.Conv) { op.Bias = nil })},
		{"the weights of the next channel", "conv2", edited(func(op *integer.Conv) {
			op.Weight = slices.Concat(op.Weight[6:], op.Weight[:6])
		})},
		{"features in the order H W C", "fc1", edited(func(op *integer.Linear) { // of [C=5 H=2 W=2]
			w := slices.Clone(op.Weight)
			for i := range w {
				o, c, at := i/20, i/4%5, i%4
				op.Weight[o*20+at*5+c] = w[i]
			}
		})},
		{"ReLU6 forgotten", "conv1", edited(func(op *integer.Conv) {
			r := *op.Requant
			r.Hi = op.Grid.QMax()
			op.Requant = &r
		})},
		{"the other divisor", "counted", edited(func(op *integer.AvgPool) { op.CountPad = false })},
		{"the table of another function", "tanh", edited(func(op *integer.Table) {
			table := slices.Clone(op.Codes[0])
			slices.Reverse(table)
			op.Codes = [][]int32{table}
		})},
		{"even channels for odd ones", "part", edited(func(op *integer.Slice) { op.C = integer.Range{Start: 0, Stop: 8, Step: 2} })},
	} {
		altered, err := rebuilt(m, func(_ int, n *integer.Node) {
			if n.Name == fault.node {
				fault.edit(n)
			}
		})
		if err != nil {
			t.Errorf("%s: %v", fault.name, err)
			continue
		}
		d, err := Verify(context.Background(), altered, q, ds, VerifyOptions{Workers: 1})
		if err != nil {
			t.Errorf("%s: %v", fault.name, err)
			continue
		}
		t.Run(fault.name, func(t *testing.T) { wantFirst(t, d, fault.node) })
	}
}

// edited returns an edit of a copy of an operation.
func edited[T any](f func(op *T)) func(n *integer.Node) {
	return func(n *integer.Node) {
		n.Op = copied(n.Op)
		f(any(n.Op).(*T))
	}
}

// TestOtherGridsAreRefused: codes that agree are not enough, they must stand for the same
// numbers.
func TestOtherGridsAreRefused(t *testing.T) {
	ds := noise(t, 8)
	for name, q := range map[string]*autograd.Graph{"dfp": dfpWorkshop(t, ds), "int8": int8Workshop(t, ds)} {
		m, err := Lower(q)
		if err != nil {
			t.Fatal(err)
		}
		for i := range m.Nodes {
			for what, change := range map[string]func(g *quant.Grid){
				"scale": func(g *quant.Grid) { g.Scale[0] *= 2 }, "zero point": func(g *quant.Grid) { g.ZeroPoint++ },
			} {
				other := *m
				other.Nodes = slices.Clone(m.Nodes)
				n := &other.Nodes[i]
				n.Grid = n.Grid.Clone()
				change(&n.Grid)
				d, err := VerifyModel(context.Background(), &other, q, ds, VerifyOptions{Images: 1, Batch: 1})
				if !errors.Is(err, ErrMismatch) || !strings.Contains(err.Error(), n.Name) {
					t.Errorf("%s: %s with another %s: %+v, %v", name, n.Name, what, d, err)
				}
			}
		}
	}
}
