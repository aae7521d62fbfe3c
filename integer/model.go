package integer

import (
	"fmt"
	"sync"

	"github.com/bitgrad/bitgrad/quant"
)

// Model is a network of integer operations. It never changes after
// [Builder.Build] or [Load] returned it, and every method is safe for
// concurrent use. Nobody may write to what its fields refer to.
type Model struct {
	Name   string
	Nodes  []Node            // in topological order; node 0 is the input
	Output int               // the node whose codes Run returns
	Meta   map[string]string // free text that travels with the file; nil for none

	proof  *Proof
	engine func() (*Engine, error)
}

// Node is one operation of a model and the codes that it computes.
type Node struct {
	Name string
	Op   Op
	In   []int // the nodes whose codes it reads
	Out  Type
	// Grid says what the codes of the output stand for, one scale per tensor. For
	// accumulators BitWidth is 32 or 64 and code·Scale[0] is the real value.
	Grid quant.Grid

	bound Bound
}

// MACs returns the multiply-accumulates of a convolution or a linear layer for one
// image, 0 for other operations.
func (n *Node) MACs() int64 {
	switch o := n.Op.(type) {
	case *Conv:
		return int64(len(o.Weight)/max(o.O, 1)) * int64(n.Out.Len())
	case *Linear:
		return int64(len(o.Weight))
	}
	return 0
}

// Type describes the codes of one image.
type Type struct {
	C, H, W int
	// Bits is the width of a code, 1 to 16, or 32 or 64 for accumulators. The engine
	// stores up to 8 bits in a byte, up to 32 in an int32 and 64 in an int64.
	Bits   int
	Signed bool
}

// Len returns the number of codes of one image.
func (t Type) Len() int { return t.C * t.H * t.W }

// Accumulator reports whether the values are accumulators and not codes of a grid
// of up to 16 bits.
func (t Type) Accumulator() bool { return t.Bits > 16 }

// String returns the type in words: "int4 [16 32 32]".
func (t Type) String() string {
	sign := "u"
	if t.Signed {
		sign = ""
	}
	return fmt.Sprintf("%sint%d [%d %d %d]", sign, t.Bits, t.C, t.H, t.W)
}

// maxElements bounds the elements of one image at any node, so that no index of
// a small batch overflows an int32.
const maxElements = 1 << 28

// validate checks extents and width.
func (t Type) validate() error {
	if t.C < 1 || t.H < 1 || t.W < 1 {
		return refuse(ErrShape, "shape [%d %d %d]: every extent must be at least 1", t.C, t.H, t.W)
	}
	if t.C > maxElements || t.H > maxElements || t.W > maxElements ||
		int64(t.C)*int64(t.H) > maxElements || int64(t.C)*int64(t.H)*int64(t.W) > maxElements {
		return refuse(ErrShape, "shape [%d %d %d]: more than 2^28 elements", t.C, t.H, t.W)
	}
	return nil
}

// typeOf returns the type of codes on grid g with the given extents.
func typeOf(g quant.Grid, c, h, w int) Type {
	return Type{C: c, H: h, W: w, Bits: g.BitWidth, Signed: g.Signed}
}

// checkGrid accepts a grid of activations: valid, one scale.
func checkGrid(g quant.Grid) error {
	if err := g.Validate(); err != nil {
		return &reason{err, "grid of the output: " + err.Error()}
	}
	if g.PerChannel() {
		return refuse(ErrGrid, "grid of the output has %d scales: activations have one per tensor", len(g.Scale))
	}
	return nil
}

// Input returns the input node.
func (m *Model) Input() *Node { return &m.Nodes[0] }

// Node returns the node with the given name, or nil.
func (m *Model) Node(name string) *Node {
	for i := range m.Nodes {
		if m.Nodes[i].Name == name {
			return &m.Nodes[i]
		}
	}
	return nil
}

// Proof returns what Build proved about the accumulators.
func (m *Model) Proof() *Proof { return m.proof }

// operands returns the nodes that node i reads.
func (m *Model) operands(i int) []*Node {
	in := make([]*Node, len(m.Nodes[i].In))
	for k, j := range m.Nodes[i].In {
		in[k] = &m.Nodes[j]
	}
	return in
}

func newModel(name string, nodes []Node, output int, meta map[string]string, p *Proof) *Model {
	m := &Model{Name: name, Nodes: nodes, Output: output, Meta: meta, proof: p}
	m.engine = sync.OnceValues(func() (*Engine, error) { return NewEngine(m, EngineOptions{}) })
	return m
}
