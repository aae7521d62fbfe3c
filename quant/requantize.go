package quant

import (
	"fmt"
	"math"
)

// Rule names a way to requantize: to turn an accumulator at one scale into a code at
// another.
type Rule uint8

// The requantization rules.
const (
	Shift      Rule = iota // an arithmetic shift; every scale is a power of two
	Float                  // a float32 product, rounded half to even
	FixedPoint             // a 31-bit multiplier and a shift, as TensorFlow Lite computes
)

var ruleNames = [...]string{"shift", "float", "fixedpoint"}

// String returns the name of the rule in files: "shift", "float" or "fixedpoint".
func (r Rule) String() string {
	if int(r) < len(ruleNames) {
		return ruleNames[r]
	}
	return fmt.Sprintf("rule(%d)", uint8(r))
}

// MarshalText returns the name of the rule.
func (r Rule) MarshalText() ([]byte, error) {
	if int(r) >= len(ruleNames) {
		return nil, fail(ErrRule, "unknown", "rule %d", uint8(r))
	}
	return []byte(r.String()), nil
}

// UnmarshalText accepts what String returns.
func (r *Rule) UnmarshalText(text []byte) error {
	for i, name := range ruleNames {
		if string(text) == name {
			*r = Rule(i)
			return nil
		}
	}
	return fail(ErrRule, "must be shift, float or fixedpoint", "rule %q", text)
}

// Rounding returns how the rule rounds: HalfUp for Shift, HalfEven for Float, HalfAway
// for FixedPoint. Constants that meet its codes, such as the 6 of ReLU6, round alike.
func (r Rule) Rounding() Rounding {
	switch r {
	case Shift:
		return HalfUp
	case FixedPoint:
		return HalfAway
	}
	return HalfEven
}

// A Requantizer turns an accumulator into a code of an output grid. Slices have one
// entry per tensor or one per channel; only those of the Rule are used.
type Requantizer struct {
	Rule           Rule
	Shift          []int32   // Shift: n, −31 to 31; positive shifts right
	Multiplier     []float32 // Float: M > 0
	Mantissa       []int32   // FixedPoint: 2^30 to 2^31−1, or 0
	Exponent       []int32   // FixedPoint: −31 to 30; the factor is Mantissa·2^(Exponent−31)
	DoubleRounding bool      // FixedPoint: round twice, see [MultiplyByQuantizedMultiplier]
	MidRise        bool      // the output grid is mid-rise: Shift and Float round by Floor
	ZeroPoint      int32     // of the output grid
	Lo, Hi         int32     // the codes that may leave: QMin and QMax, narrowed by ReLU
}

// AccScale returns the scale of one unit of the products of levels of x and w (see
// [Grid.Level]): s_x·s_w[c] for each channel of w, halved once for each grid that is
// mid-rise. The products are exact. A per-channel x is not allowed where its products are summed
// over channels, so x must have one scale; AccScale returns nil if x has more or w has
// none.
func AccScale(x, w Grid) []float64 {
	if len(x.Scale) != 1 {
		return nil
	}
	scales := make([]float64, len(w.Scale))
	for c := range scales {
		scales[c] = x.LevelScale(0) * w.LevelScale(c)
	}
	return scales
}

// NewRequantizer returns the requantizer from accumulators with the given scales, one
// per tensor or one per output channel, to the grid y, which has one scale.
//
//	Shift       n[c] = log2(s_y / accScale[c]), an integer from −31 to 31; no zero point
//	Float  M[c] = float32(float32(accScale[c]) / s_y), normal
//	FixedPoint  accScale[c]/s_y in float64, through [FixedPointMultiplier]
//
// FixedPoint rounds once; set DoubleRounding for the other form. Lo and Hi are the ends
// of y. The error wraps ErrShift, ErrMultiplier, ErrScale, ErrRule or what y.Validate wraps.
//
// For example x of 2^-7, w of 2^-6 and y of 2^-4: n = 7 + 6 − 4 = 9, and the accumulator 1280 becomes
// (1280 + 256) >> 9 = 3.
func NewRequantizer(rule Rule, accScale []float64, y Grid) (Requantizer, error) {
	if err := y.Validate(); err != nil {
		return Requantizer{}, err
	}
	if y.PerChannel() {
		return Requantizer{}, fail(ErrScale, "an output has one scale", "output grid %v", y)
	}
	if len(accScale) == 0 {
		return Requantizer{}, fail(ErrScale, "missing", "accumulator scale")
	}
	r := Requantizer{Rule: rule, MidRise: y.MidRise, ZeroPoint: y.ZeroPoint, Lo: y.QMin(), Hi: y.QMax()}
	sy := y.ScaleAt(0)
	for c, s := range accScale {
		if !(s > 0) || math.IsInf(s, 0) {
			return Requantizer{}, fail(ErrScale, "must be positive and finite", "accumulator scale %v of channel %d", s, c)
		}
		switch rule {
		case Shift:
			n, ok := log2Exact(s / float64(sy))
			if !ok {
				return Requantizer{}, fail(ErrShift, "no power of two", "scale ratio %v of channel %d", s/float64(sy), c)
			}
			r.Shift = append(r.Shift, int32(n))
		case Float:
			r.Multiplier = append(r.Multiplier, float32(float32(s)/sy))
		case FixedPoint:
			m, e := FixedPointMultiplier(s / float64(sy))
			r.Mantissa, r.Exponent = append(r.Mantissa, m), append(r.Exponent, e)
		}
	}
	return r, r.Validate(len(accScale))
}

// Validate returns an error unless r can requantize accumulators of the given number
// of channels; it is what a reader of model files calls.
func (r *Requantizer) Validate(channels int) error {
	count := func(n int) error {
		if n != 1 && n != channels {
			return fail(ErrRule, fmt.Sprintf("must be 1 or %d", channels), "%s rule with %d entries", r.Rule, n)
		}
		return nil
	}
	if r.Lo > r.Hi || r.Lo < -1<<16 || r.Hi > 1<<16 || r.ZeroPoint < -1<<16 || r.ZeroPoint > 1<<16 {
		return fail(ErrZeroPoint, "codes have 16 bits", "clamp %d to %d with zero point %d", r.Lo, r.Hi, r.ZeroPoint)
	}
	switch r.Rule {
	case Shift:
		for c, n := range r.Shift {
			if n < -31 || n > 31 {
				return fail(ErrShift, "must be -31 to 31", "shift %d of channel %d", n, c)
			}
		}
		if r.ZeroPoint != 0 {
			return fail(ErrZeroPoint, "the shift rule has none", "zero point %d", r.ZeroPoint)
		}
		return count(len(r.Shift))
	case Float:
		for c, m := range r.Multiplier {
			if !(m >= MinScale && m <= math.MaxFloat32) {
				return fail(ErrMultiplier, "must be a positive normal float32", "multiplier %v of channel %d", m, c)
			}
		}
		return count(len(r.Multiplier))
	case FixedPoint:
		if r.MidRise {
			return fail(ErrRule, "mid-rise outputs use shift or float", "fixedpoint")
		}
		if len(r.Mantissa) != len(r.Exponent) {
			return fail(ErrRule, "must be as many", "%d mantissas and %d exponents", len(r.Mantissa), len(r.Exponent))
		}
		for c, m := range r.Mantissa {
			if err := validateMultiplier(m, r.Exponent[c]); err != nil {
				return err
			}
		}
		return count(len(r.Mantissa))
	}
	return fail(ErrRule, "unknown", "%s", r.Rule)
}

// ReLU returns r with the clamp of max(x, 0): Lo is raised to the zero point (code 0 of a
// mid-rise grid, whose value is s/2).
func (r Requantizer) ReLU() Requantizer {
	r.Lo = min(max(r.Lo, r.ZeroPoint), r.Hi)
	return r
}

// ReLU6 returns r with the clamp of min(max(x, 0), 6) on the output grid y: Hi is lowered
// to the code of 6, rounded as the rule rounds.
//
// For example uint8 with s = 0.1: Hi = 60. With s = 0.02 it stays 255, which is 5.1.
func (r Requantizer) ReLU6(y Grid) Requantizer {
	r = r.ReLU()
	r.Hi = max(min(r.Hi, y.Quantize(6, 0, r.Rule.Rounding())), r.Lo)
	return r
}

// Apply returns the code of the accumulator acc of channel c:
//
//	Shift       clamp((acc + 2^(n−1)) >> n)               n > 0, in int64; see [RequantizeShift]
//	Float  clamp(roundEven(float32(acc)·M[c])) + z   clamped in float32 to [Lo−z, Hi−z]
//	FixedPoint  clamp(multiply(acc, Mantissa, Exponent) + z), acc saturated to int32
//
// float32(acc) rounds half to even; it is exact for |acc| ≤ 2^24. A mid-rise output takes the
// floor instead of the rounding: acc >> n, or ⌊float32(acc)·M⌋. The code never decreases
// as acc grows.
func (r *Requantizer) Apply(acc int64, c int) int32 {
	switch r.Rule {
	case Shift:
		n := at(r.Shift, c)
		if r.MidRise {
			return floorShift(acc, n, r.Lo, r.Hi)
		}
		return RequantizeShift(acc, n, r.Lo, r.Hi)
	case Float:
		v := float32(float32(acc) * at(r.Multiplier, c))
		return clampFloat(roundLevel(v, r.MidRise), r.ZeroPoint, r.Lo, r.Hi)
	}
	a := int32(min(max(acc, math.MinInt32), math.MaxInt32))
	v := int64(MultiplyByQuantizedMultiplier(a, at(r.Mantissa, c), at(r.Exponent, c), r.DoubleRounding))
	return int32(min(max(v+int64(r.ZeroPoint), int64(r.Lo)), int64(r.Hi)))
}

// roundLevel rounds v half to even, or down where the output is mid-rise.
func roundLevel(v float32, midRise bool) float32 {
	if midRise {
		return Floor.Round32(v)
	}
	return HalfEven.Round32(v)
}

// RoundingTerm returns what the rule adds to an accumulator of channel c before it
// shifts, the last term of [AccumulatorBound]: 2^(n−1) for a right shift, else 0.
func (r *Requantizer) RoundingTerm(c int) int64 {
	if r.Rule != Shift || r.MidRise {
		return 0
	}
	if n := at(r.Shift, c); n > 0 && n < 63 {
		return 1 << uint(n-1)
	}
	return 0
}

// RequantizeShift returns clamp(⌊acc·2^-n + ½⌋, lo, hi), exactly:
//
//	n > 0   (acc + (1 << (n−1))) >> n       arithmetic shift, rounds half up
//	n = 0   acc
//	n < 0   acc << −n                       saturating
//
// No intermediate value overflows, whatever acc and n. For example n = 3: 12 → 2 (1.5 rounds up),
// 11 → 1, −12 → −1 (−1.5 rounds up), −13 → −2. n = −2, lo = −128, hi = 127: 31 → 124, 32 → 127.
func RequantizeShift(acc int64, n, lo, hi int32) int32 {
	if n > 0 {
		// ⌊acc/2^n⌋ plus the bit below the point: the same number as above, without the sum that could wrap.
		acc = acc>>uint(n) + acc>>uint(n-1)&1
		return int32(min(max(acc, int64(lo)), int64(hi)))
	}
	return shiftLeft(acc, n, lo, hi)
}

// floorShift returns clamp(⌊acc·2^-n⌋, lo, hi), the rule of mid-rise outputs.
func floorShift(acc int64, n, lo, hi int32) int32 {
	if n > 0 {
		return int32(min(max(acc>>uint(n), int64(lo)), int64(hi)))
	}
	return shiftLeft(acc, n, lo, hi)
}

// shiftLeft returns clamp(acc·2^-n, lo, hi) for n ≤ 0. It compares acc with the ends
// divided by 2^-n, so that the product is only formed where it fits.
func shiftLeft(acc int64, n, lo, hi int32) int32 {
	m := uint(-int64(n))
	if acc > int64(hi)>>m {
		return hi
	}
	if acc < -(-int64(lo) >> m) {
		return lo
	}
	return int32(acc << m)
}
