package quant

import (
	"fmt"
	"math"
)

// Rounding says which neighbouring integer a real number becomes. The zero value
// is HalfEven.
type Rounding uint8

// The rounding rules. They differ only where x lies exactly between two integers,
// except Floor and Stochastic.
const (
	HalfEven   Rounding = iota // ties to the even neighbour: 0.5 → 0, 1.5 → 2, −2.5 → −2
	HalfUp                     // ties upwards: 0.5 → 1, −0.5 → 0, −1.5 → −1
	HalfAway                   // ties away from zero: 0.5 → 1, −0.5 → −1
	Floor                      // always downwards: 0.9 → 0, −0.1 → −1
	Stochastic                 // upwards with the probability of the fraction; see [RoundStochastic]
)

var roundingNames = [...]string{"half-even", "half-up", "half-away", "floor", "stochastic"}

// String returns the name of the rule in configurations: "half-even", "half-up",
// "half-away", "floor" or "stochastic".
func (r Rounding) String() string {
	if int(r) < len(roundingNames) {
		return roundingNames[r]
	}
	return fmt.Sprintf("rounding(%d)", uint8(r))
}

// MarshalText returns the name of the rule.
func (r Rounding) MarshalText() ([]byte, error) {
	if int(r) >= len(roundingNames) {
		return nil, fail(ErrFormat, "unknown", "rounding %d", uint8(r))
	}
	return []byte(r.String()), nil
}

// UnmarshalText accepts what String returns.
func (r *Rounding) UnmarshalText(text []byte) error {
	for i, name := range roundingNames {
		if string(text) == name {
			*r = Rounding(i)
			return nil
		}
	}
	return fail(ErrFormat, "must be half-even, half-up, half-away, floor or stochastic", "rounding %q", text)
}

// Round returns x rounded to an integer. NaN and infinities return themselves, and
// the sign of a zero result carries no meaning.
//
// HalfUp is ⌊x⌋ plus one where the fraction is at least ½. It is not ⌊x+½⌋ in
// floating point: that sum rounds 0.49999999999999994 up to 1.
//
// Stochastic needs a random number, see [RoundStochastic]; where none is drawn (in
// evaluation and in export) it rounds like HalfEven, and so does an unknown rule.
func (r Rounding) Round(x float64) float64 {
	switch r {
	case HalfUp:
		f := math.Floor(x)
		if float64(x)-f >= 0.5 { // the conversion keeps a caller's product from fusing
			return f + 1
		}
		return f
	case HalfAway:
		return math.Round(x)
	case Floor:
		return math.Floor(x)
	}
	return math.RoundToEven(x)
}

// Round32 returns x rounded to an integer, as [Rounding.Round] does. The result is
// exact: the integers next to a float32 are float32 themselves.
func (r Rounding) Round32(x float32) float32 { return float32(r.Round(float64(x))) }

// RoundStochastic returns ⌊x⌋, plus one where u < x − ⌊x⌋. With u uniform on [0, 1),
// as [KeyedRand.At] draws it, the mean of the result is x, and an x that is an integer
// stays.
//
// For example x = 2.25 becomes 3 for u = 0.1 and 2 for u = 0.25.
func RoundStochastic(x, u float32) float32 {
	f := math.Floor(float64(x))
	if float64(u) < float64(x)-f {
		f++
	}
	return float32(f)
}
