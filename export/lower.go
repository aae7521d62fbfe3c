// Package export turns a trained, quantization-aware graph into an integer
// model and proves that the two compute the same.
//
// [Lower] asks every node of the evaluation program for its integer form; a
// node without one is refused by name, nothing is skipped. [Verify] reads the
// model back from its file, runs it in the reference interpreter and in the
// engine, and compares every tensor of every image with the codes of the
// evaluation program. The bar is zero.
//
//	model, err := export.Lower(graph)
//	if err != nil {
//		return nil, err
//	}
//	diff, err := export.Verify(ctx, model, graph, data.Test, export.VerifyOptions{})
//	// diff.Mismatches == 0
//
// The folders below this one write other formats.
package export

import (
	"errors"
	"fmt"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/integer"
)

// Errors of this package wrap one of these.
var (
	// ErrUnsupported marks a node that has no integer form.
	ErrUnsupported = errors.New("export: no integer form")
	// ErrMismatch marks a model that does not fit the graph it is compared with.
	ErrMismatch = errors.New("export: model and graph differ")
)

// Lower returns the integer model of a quantization-aware graph with the output
// "logits". It compiles the evaluation program and takes the constants that it
// computes with. The model's bounds are proved on the way ([integer.Model.Proof]).
//
// A node that has no integer form gives an error that wraps [ErrUnsupported],
// names the node and says why.
func Lower(g *autograd.Graph) (*integer.Model, error) {
	p, err := compile(g, 1, nil)
	if err != nil {
		return nil, err
	}
	p.Forward()
	b := integer.NewBuilder(g.Name())
	refs := map[*autograd.Node]integer.Ref{}
	output := integer.NoRef
	p.Steps(func(n *autograd.Node, s autograd.Step, v autograd.View) {
		refs[n] = integer.NoRef
		if err != nil || s == nil || v.Plain {
			return
		}
		in := make([]integer.Ref, len(n.Inputs()))
		for i, k := range n.Inputs() {
			in[i] = refs[k]
		}
		l, ok := s.(integer.Lowerer)
		if !ok {
			err = unsupported(n, errors.New(why(n)))
			return
		}
		r, e := l.Lower(b, n.Name(), in)
		if e != nil {
			err = unsupported(n, e)
			return
		}
		if e := b.Err(); e != nil {
			err = e
			return
		}
		refs[n], output = r, r
	})
	if err != nil {
		return nil, err
	}
	m, _, err := b.Build(output)
	return m, err
}

func compile(g *autograd.Graph, batch int, pool *autograd.Pool) (*autograd.Program, error) {
	if g == nil {
		return nil, fmt.Errorf("%w: the graph is nil", ErrUnsupported)
	}
	return g.Compile(autograd.CompileOptions{Mode: autograd.Evaluate, Batch: batch, Outputs: []string{"logits"}, Unfused: true, Pool: pool})
}

func unsupported(n *autograd.Node, err error) error {
	return fmt.Errorf("%w: %s (%s): %w", ErrUnsupported, n.Name(), n.Kind(), err)
}

// why says what keeps a node from being lowered.
func why(n *autograd.Node) string {
	for _, i := range n.Inputs() {
		if t := i.Type(); !t.Plain && !t.IsCodes() && i.Op() != nil {
			return fmt.Sprintf("reads %s, which is computed in floats", i.Name())
		}
	}
	if len(n.Inputs()) > 0 && !n.Inputs()[0].Type().IsCodes() {
		return "reads values that are not quantized"
	}
	if in := n.Inputs(); len(in) == 2 && !in[0].Type().SameShape(in[1].Type()) {
		return fmt.Sprintf("operands of two shapes, %v and %v: the rules on integers take one", in[0].Type().Floats(), in[1].Type().Floats())
	}
	return "the operation has no rule on integers"
}
