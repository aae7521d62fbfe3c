package autograd

import (
	"errors"
	"fmt"
	"strings"
)

// Errors of this package wrap one of these.
var (
	// ErrGraph marks a mistake made while building or rewriting a graph.
	ErrGraph = errors.New("autograd: invalid graph")
	// ErrShape marks operands whose shapes or types do not fit.
	ErrShape = errors.New("autograd: shapes do not fit")
	// ErrInput marks data that does not fit the program it is given to.
	ErrInput = errors.New("autograd: invalid input")
)

// NodeError is a mistake found at a node. It prints the node's name, the
// operation, the operands and the reason:
//
//	stage1.block0.conv1: conv2d [N 16 32 32] × [32 8 3 3]: 16 input channels, weight has 8
type NodeError struct {
	Node string
	Op   string
	In   []Type
	Err  error
	kind error
}

func (e *NodeError) Error() string {
	var b strings.Builder
	b.WriteString(e.Node)
	if e.Op != "" {
		b.WriteString(": ")
		b.WriteString(e.Op)
	}
	for i, t := range e.In {
		if i > 0 {
			b.WriteString(" ×")
		}
		b.WriteByte(' ')
		b.WriteString(t.String())
	}
	fmt.Fprintf(&b, ": %v", e.Err)
	return b.String()
}

// Unwrap gives the reason and the kind of the mistake.
func (e *NodeError) Unwrap() []error { return []error{e.Err, e.kind} }
