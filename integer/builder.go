package integer

import (
	"fmt"
	"maps"
)

// Ref is a node of a model under construction.
type Ref int

// A Builder makes a [Model], node by node. Its methods return no error: the first one
// sticks, later calls do nothing, and Build (or Err) returns it with the name of
// the node. The builder keeps the slices that it is given; nobody may write to them
// afterwards.
//
//	b := integer.NewBuilder("net")
//	x := b.Input("input", integer.Input{C: 1, H: 28, W: 28, A: a, B: o, Grid: g})
//	x = b.Conv("conv1", x, integer.Conv{O: 8, KH: 5, KW: 5, Weight: w, WeightGrid: wg, Requant: r, Grid: yg})
//	x = b.Linear("fc", b.Flatten("flat", x), integer.Linear{O: 10, Weight: v, WeightGrid: vg})
//	m, proof, err := b.Build(x)
type Builder struct {
	name  string
	nodes []Node
	names map[string]bool
	meta  map[string]string
	err   error
}

// NewBuilder returns an empty builder of a model with the given name.
func NewBuilder(name string) *Builder {
	return &Builder{name: name, names: map[string]bool{}, meta: map[string]string{}}
}

// Err returns the first error, or nil.
func (b *Builder) Err() error { return b.err }

// SetMeta stores free text that travels with the model's file.
func (b *Builder) SetMeta(key, value string) { b.meta[key] = value }

// Node returns a copy of the node that r refers to: its type and its grid are known. It
// is empty after an error.
func (b *Builder) Node(r Ref) Node {
	if b.err != nil || r < 0 || int(r) >= len(b.nodes) {
		return Node{}
	}
	return b.nodes[r]
}

// Input starts the model with pixels. It must be the first node.
func (b *Builder) Input(name string, p Input) Ref { return b.apply(name, &p) }

// InputFloat starts the model with float32 samples. It must be the first node.
func (b *Builder) InputFloat(name string, p InputFloat) Ref { return b.apply(name, &p) }

// Conv adds a convolution.
func (b *Builder) Conv(name string, x Ref, p Conv) Ref {
	p.defaults()
	return b.apply(name, &p, x)
}

// Linear adds a fully connected layer.
func (b *Builder) Linear(name string, x Ref, p Linear) Ref { return b.apply(name, &p, x) }

// Add adds an elementwise sum or difference.
func (b *Builder) Add(name string, x, y Ref, p Add) Ref { return b.apply(name, &p, x, y) }

// Multiply adds an elementwise product.
func (b *Builder) Multiply(name string, x, y Ref, p Multiply) Ref { return b.apply(name, &p, x, y) }

// MaxPool adds a maximum over windows.
func (b *Builder) MaxPool(name string, x Ref, p MaxPool) Ref { return b.apply(name, &p, x) }

// AvgPool adds an average over windows.
func (b *Builder) AvgPool(name string, x Ref, p AvgPool) Ref { return b.apply(name, &p, x) }

// Concat joins tensors along C.
func (b *Builder) Concat(name string, x []Ref, p Concat) Ref { return b.apply(name, &p, x...) }

// Pad surrounds an image with the code of zero.
func (b *Builder) Pad(name string, x Ref, p Pad) Ref { return b.apply(name, &p, x) }

// Slice selects channels, rows and columns.
func (b *Builder) Slice(name string, x Ref, p Slice) Ref { return b.apply(name, &p, x) }

// Reshape gives the codes new extents.
func (b *Builder) Reshape(name string, x Ref, p Reshape) Ref { return b.apply(name, &p, x) }

// Flatten makes [C·H·W 1 1] of [C H W].
func (b *Builder) Flatten(name string, x Ref) Ref {
	return b.apply(name, &Reshape{b.Node(x).Out.Len(), 1, 1}, x)
}

// Table maps every code to a code.
func (b *Builder) Table(name string, x Ref, p Table) Ref { return b.apply(name, &p, x) }

// Requantize moves codes to another grid.
func (b *Builder) Requantize(name string, x Ref, p Requantize) Ref { return b.apply(name, &p, x) }

// apply checks op on its operands and appends a node.
func (b *Builder) apply(name string, op Op, in ...Ref) Ref {
	if b.err != nil {
		return -1
	}
	n := Node{Name: name, Op: op}
	var operands []*Node
	fail := func(err error) Ref {
		b.err = newNodeError(name, op.Kind(), err)
		return -1
	}
	if name == "" || b.names[name] {
		return fail(refuse(ErrGraph, "the name %q is empty or used twice", name))
	}
	_, pixels := op.(*Input)
	_, floats := op.(*InputFloat)
	if first := len(b.nodes) == 0; first != (pixels || floats) {
		return fail(refuse(ErrGraph, "a model has one input, its first node"))
	}
	for _, r := range in {
		if r < 0 || int(r) >= len(b.nodes) {
			return fail(refuse(ErrGraph, "reads node %d of %d", int(r), len(b.nodes)))
		}
		n.In = append(n.In, int(r))
		operands = append(operands, &b.nodes[r])
	}
	out, err := op.infer(operands)
	if err != nil {
		return fail(err)
	}
	n.Out, n.Grid, n.bound = out.Type, out.Grid, out.Bound
	b.names[name] = true
	b.nodes = append(b.nodes, n)
	return Ref(len(b.nodes) - 1)
}

// Build returns the model whose output is the given node, and the proof of its
// accumulators. Nodes that the output does not depend on are refused. The
// builder cannot be used afterwards.
func (b *Builder) Build(output Ref) (*Model, *Proof, error) {
	if b.err != nil {
		return nil, nil, b.err
	}
	if output < 0 || int(output) >= len(b.nodes) {
		b.err = fmt.Errorf("integer: model %s: %w: output is node %d of %d", b.name, ErrGraph, int(output), len(b.nodes))
		return nil, nil, b.err
	}
	used := make([]bool, len(b.nodes))
	used[output] = true
	for i := len(b.nodes) - 1; i >= 0; i-- {
		if !used[i] {
			b.err = &NodeError{b.nodes[i].Name, b.nodes[i].Op.Kind(), "the output does not depend on it", ErrGraph}
			return nil, nil, b.err
		}
		for _, j := range b.nodes[i].In {
			used[j] = true
		}
	}
	p := &Proof{}
	for i, n := range b.nodes {
		p.Nodes = append(p.Nodes, NodeProof{i, n.Name, n.bound})
	}
	var meta map[string]string
	if len(b.meta) > 0 {
		meta = maps.Clone(b.meta)
	}
	m := newModel(b.name, b.nodes, int(output), meta, p)
	b.err = fmt.Errorf("integer: model %s: %w: built already", b.name, ErrGraph)
	return m, p, nil
}
