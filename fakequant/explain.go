package fakequant

import (
	"fmt"

	"github.com/bitgrad/bitgrad/autograd"
)

// NodeNote says how one node of a program computes.
type NodeNote struct {
	Name, Kind string
	// Integers is true where the node computes on codes.
	Integers bool
	// Fused names what was joined into the node, "" where it stands alone.
	Fused string
	// Why says what keeps the node on floats.
	Why string
}

// Explain returns a note for every node that computes on activations in a
// program of the given mode, after all passes.
func Explain(g *autograd.Graph, mode autograd.Mode) ([]NodeNote, error) {
	p, err := g.Compile(autograd.CompileOptions{Mode: mode, Batch: 1, Outputs: []string{"logits"}, Unfused: true})
	if err != nil {
		return nil, err
	}
	var notes []NodeNote
	for _, n := range p.Graph().Nodes() {
		if n.Op() == nil || n.Type().Plain {
			continue
		}
		note := NodeNote{Name: n.Name(), Kind: n.Kind(), Integers: n.Type().IsCodes()}
		switch o := n.Op().(type) {
		case IntConvOp:
			note.Fused = o.parts()
		case IntMathOp:
			note.Fused = parts(o.Float.Name(), o.act, o.Out)
		case TableOp:
			if o.Float != nil {
				note.Fused = parts(o.Float.Name(), linear, o.Q)
			}
		case TableInputOp:
			note.Fused = parts("normalize", linear, o.Q)
		}
		if !note.Integers {
			note.Why = whyFloat(n)
		}
		notes = append(notes, note)
	}
	return notes, nil
}

func (o IntConvOp) parts() string {
	s := o.Conv.Name()
	if o.HasBias {
		s += " + bias"
	}
	if o.Norm != nil {
		s += " + batch norm"
	}
	return parts(s, o.act, o.Out)
}

func parts(s string, act activation, q *Quantizer) string {
	if act != linear {
		s += " + " + activationNames[act]
	}
	if q != nil {
		s += " + quantize"
	}
	return s
}

// whyFloat says what keeps a node from integers.
func whyFloat(n *autograd.Node) string {
	for i, k := range n.Inputs() {
		t := k.Type()
		switch {
		case t.IsCodes():
		case t.Plain && weighted(n) && i == 1:
			return fmt.Sprintf("its weight %s is not quantized", k.Name())
		case t.Plain:
		case k.Op() == nil && t.DType == autograd.Uint8:
			return "pixels are normalized to floats: no quantizer stands behind"
		default:
			return fmt.Sprintf("reads %s, which is computed in floats", k.Name())
		}
	}
	switch {
	case weighted(n):
		return "nothing quantizes its output, which other nodes read"
	case lowersAs(n.Op(), operandTypes(n)) || scalarFunction(n.Op()) != nil:
		return "nothing quantizes its output"
	case len(n.Inputs()) == 2 && lowersAs(n.Op(), []autograd.Type{n.Input(0).Type(), n.Input(0).Type()}):
		return fmt.Sprintf("operands of two shapes, %v and %v: the rules on integers take one", n.Input(0).Type().Floats(), n.Input(1).Type().Floats())
	default:
		return "the operation has no rule on integers"
	}
}
