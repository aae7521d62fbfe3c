package quant

import "math"

// FixedPointMultiplier returns the mantissa and exponent that stand for m ≥ 0:
//
//	m ≈ mantissa · 2^(exponent−31),  2^30 ≤ mantissa < 2^31
//
// The mantissa is round(f·2^31), half away from zero, of m = f·2^exponent with f in [½, 1);
// a mantissa of 2^31 becomes 2^30 with the next exponent. An m below 2^-32, negative, or NaN gives
// 0, 0; one of 2^30 or more gives the largest multiplier, 2^31−1 and 30.
//
// For example 0.75 gives 1610612736 = 0.75·2^31 and 0; 0.1 gives 1717986918 = 0.8·2^31 and −3.
func FixedPointMultiplier(m float64) (mantissa, exponent int32) {
	if !(m > 0) {
		return 0, 0
	}
	if m >= 1<<30 {
		return math.MaxInt32, 30
	}
	f, e := math.Frexp(m)
	q := int64(math.Round(f * (1 << 31)))
	if q == 1<<31 {
		q, e = q/2, e+1
	}
	if e < -31 {
		return 0, 0
	}
	if e > 30 {
		return math.MaxInt32, 30
	}
	return int32(q), int32(e)
}

// MultiplyByQuantizedMultiplier returns acc·mantissa·2^(exponent−31), rounded to an integer
// and saturated to int32. The mantissa is not negative, the exponent is −31 to 30; values
// outside are taken as the nearest end.
//
// With double false it rounds once, half up, from the 64-bit product:
//
//	(acc·mantissa + 2^(30−exponent)) >> (31−exponent)
//
// With double true it rounds twice, as the reference int8 kernels of TensorFlow Lite do:
//
//	a = acc << max(exponent, 0)                        saturated to int32
//	h = (a·mantissa + nudge) / 2^31                    truncated; nudge = 2^30 if a·mantissa ≥ 0, else 1 − 2^30
//	result = h / 2^k rounded half away from zero       k = max(−exponent, 0)
//
// For example 0.1 as (1717986918, −3), acc = 15: 1.4999999979 rounds once to 1, but h = 12
// and 12/8 = 1.5 rounds to 2.
func MultiplyByQuantizedMultiplier(acc, mantissa, exponent int32, double bool) int32 {
	mantissa = max(mantissa, 0)
	exponent = min(max(exponent, -31), 30)
	if !double {
		product := int64(acc) * int64(mantissa) // below 2^62
		result := (product + 1<<uint(30-exponent)) >> uint(31-exponent)
		return saturateInt32(result)
	}
	left, right := uint(max(exponent, 0)), uint(max(-exponent, 0))
	return roundingDivideByPOT(roundingDoublingHighMul(saturateInt32(int64(acc)<<left), mantissa), right)
}

func validateMultiplier(mantissa, exponent int32) error {
	if mantissa < 0 || exponent < -31 || exponent > 30 {
		return fail(ErrMultiplier, "mantissa must be 0 or more, exponent -31 to 30", "multiplier %d·2^(%d-31)", mantissa, exponent)
	}
	return nil
}

func saturateInt32(v int64) int32 { return int32(min(max(v, math.MinInt32), math.MaxInt32)) }

// roundingDoublingHighMul returns the upper 32 bits of 2·a·m, rounded half up. m is not negative, so the one product that
// would not fit, MinInt32 squared, does not occur.
func roundingDoublingHighMul(a, m int32) int32 {
	product := int64(a) * int64(m)
	nudge := int64(1) << 30
	if product < 0 {
		nudge = 1 - nudge
	}
	return int32((product + nudge) / (1 << 31))
}

// roundingDivideByPOT returns x / 2^k rounded half away from zero, for k from 0 to 31.
func roundingDivideByPOT(x int32, k uint) int32 {
	mask := int64(1)<<k - 1
	remainder := int64(x) & mask
	threshold := mask >> 1
	if x < 0 {
		threshold++
	}
	quotient := x >> k
	if remainder > threshold {
		quotient++
	}
	return quotient
}
