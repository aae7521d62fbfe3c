package cgen

import (
	"errors"
	"fmt"

	"github.com/bitgrad/bitgrad/integer"
)

// Errors of writing a model.
var (
	// ErrUnsupported reports a node that has no exact form in C.
	ErrUnsupported = errors.New("no form in C")
	// ErrPrefix reports a prefix from which no identifiers of C can be made.
	ErrPrefix = errors.New("not a prefix of C identifiers")
	// ErrVectors reports test vectors that do not fit the input of the model.
	ErrVectors = errors.New("test vectors do not fit")
)

// UnsupportedError names the node that has no form in C. It unwraps to
// [ErrUnsupported].
type UnsupportedError struct {
	Node   string // name of the node
	Kind   string // kind of its op: "conv"
	Reason string
}

// Error returns "cgen: node (kind): reason".
func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("cgen: %s (%s): %s", e.Node, e.Kind, e.Reason)
}

// Unwrap returns ErrUnsupported.
func (e *UnsupportedError) Unwrap() error { return ErrUnsupported }

func unsupported(n *integer.Node, format string, args ...any) error {
	kind := "no op"
	if n.Op != nil {
		kind = n.Op.Kind()
	}
	return &UnsupportedError{n.Name, kind, fmt.Sprintf(format, args...)}
}
