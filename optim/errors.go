package optim

import (
	"errors"
	"fmt"
)

// Errors of this package wrap one of these.
var (
	// ErrConfig marks a configuration that cannot work.
	ErrConfig = errors.New("optim: invalid configuration")
	// ErrNotFinite marks a gradient that holds a NaN or an infinity.
	ErrNotFinite = errors.New("optim: gradient is not finite")
	// ErrState marks a saved state that does not belong to the optimizer.
	ErrState = errors.New("optim: state does not fit")
)

// NotFiniteError names the first bad number that a step met. The step changed
// nothing.
type NotFiniteError struct {
	// Param is the name of the parameter, Index the row-major position in its
	// gradient, Value what stood there.
	Param string
	Index int
	Value float32
	// Step numbers the step that was refused, from 0.
	Step int64
}

func (e *NotFiniteError) Error() string {
	return fmt.Sprintf("%v: %s: %v at element %d in step %d", ErrNotFinite, e.Param, e.Value, e.Index, e.Step)
}

// Unwrap returns [ErrNotFinite].
func (e *NotFiniteError) Unwrap() error { return ErrNotFinite }

// StateError names the vector or counter that kept a state from being restored.
type StateError struct {
	Name   string
	Reason string
}

func (e *StateError) Error() string { return fmt.Sprintf("%v: %s: %s", ErrState, e.Name, e.Reason) }

// Unwrap returns [ErrState].
func (e *StateError) Unwrap() error { return ErrState }

// configurationError is a reason under [ErrConfig]; however deep it was found,
// the sentinel is printed once.
type configurationError struct{ reason error }

func (e *configurationError) Error() string   { return fmt.Sprintf("%v: %v", ErrConfig, e.reason) }
func (e *configurationError) Unwrap() []error { return []error{ErrConfig, e.reason} }

func configError(format string, args ...any) error {
	return &configurationError{fmt.Errorf(format, args...)}
}

// within says where the setting stands that err, which may be nil, is about.
func within(where string, err error) error {
	if err == nil {
		return nil
	}
	var c *configurationError
	if errors.As(err, &c) {
		err = c.reason
	}
	return configError("%s: %w", where, err)
}
