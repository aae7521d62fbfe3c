package quant

import (
	"errors"
	"fmt"
)

// Errors of formats and grids.
var (
	// ErrBitWidth reports a bit width outside 1 to 16.
	ErrBitWidth = errors.New("bit width out of range")
	// ErrFormat reports properties of a format that exclude one another.
	ErrFormat = errors.New("contradictory format")
	// ErrScale reports a scale that is missing, not positive, or outside 2^-126 to 2^126.
	ErrScale = errors.New("bad scale")
	// ErrZeroPoint reports a zero point outside the codes of its grid.
	ErrZeroPoint = errors.New("bad zero point")
	// ErrRange reports a range of real numbers that gives no grid.
	ErrRange = errors.New("bad range")
)

// Errors of rules that compute on codes.
var (
	// ErrShift reports a difference of fractional lengths beyond 31, or a scale that
	// is no power of two where the shift rule needs one.
	ErrShift = errors.New("no shift")
	// ErrMultiplier reports a multiplier that is not positive, finite and normal.
	ErrMultiplier = errors.New("bad multiplier")
	// ErrRule reports an unknown rule, or one that does not exist for these grids.
	ErrRule = errors.New("no such rule")
)

// Error says what is wrong and why. It unwraps to one of the sentinels of this
// package.
type Error struct {
	What string // the thing with its value: "bit width 33"
	Why  string // the reason, with the remedy where there is exactly one
	Err  error  // the sentinel
}

// Error returns "quant: what: why".
func (e *Error) Error() string { return "quant: " + e.What + ": " + e.Why }

// Unwrap returns the sentinel.
func (e *Error) Unwrap() error { return e.Err }

func fail(sentinel error, why, what string, args ...any) error {
	return &Error{What: fmt.Sprintf(what, args...), Why: why, Err: sentinel}
}
