package integer

import (
	"errors"
	"fmt"
)

// Errors of building a model.
var (
	// ErrShape reports extents that do not fit one another.
	ErrShape = errors.New("shapes do not fit")
	// ErrGrid reports codes, grids or rules that do not fit one another.
	ErrGrid = errors.New("grids do not fit")
	// ErrBound reports an accumulator that cannot be proved to fit its type.
	ErrBound = errors.New("accumulator is not bounded")
	// ErrGraph reports nodes that do not form a model: names used twice, references
	// to nodes that do not exist, no input.
	ErrGraph = errors.New("not a model")
)

// Errors of running and reading a model.
var (
	// ErrInput reports data that does not fit the input of the model.
	ErrInput = errors.New("input does not fit")
	// ErrFormat reports a file that is not a model, or a damaged one.
	ErrFormat = errors.New("not an integer model")
)

// NodeError says which node is wrong and why. It unwraps to a sentinel of this
// package or to the error of package quant that caused it.
type NodeError struct {
	Node   string // name of the node
	Kind   string // kind of its op: "conv"
	Reason string
	Err    error
}

// Error returns "integer: node (kind): reason".
func (e *NodeError) Error() string {
	return fmt.Sprintf("integer: %s (%s): %s", e.Node, e.Kind, e.Reason)
}

// Unwrap returns the sentinel.
func (e *NodeError) Unwrap() error { return e.Err }

// reason is an error whose text names no node yet; the builder wraps it into a
// NodeError.
type reason struct {
	err  error
	text string
}

func (r *reason) Error() string { return r.text }
func (r *reason) Unwrap() error { return r.err }

func refuse(sentinel error, format string, args ...any) error {
	return &reason{sentinel, fmt.Sprintf(format, args...)}
}

// newNodeError names the node at which a check failed.
func newNodeError(node, kind string, err error) *NodeError {
	sentinel := err
	if r := (*reason)(nil); errors.As(err, &r) {
		sentinel = r.err
	}
	return &NodeError{Node: node, Kind: kind, Reason: err.Error(), Err: sentinel}
}
