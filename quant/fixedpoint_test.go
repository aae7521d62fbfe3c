package quant

import (
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

// divHalfAway returns num/den rounded half away from zero, for den > 0.
func divHalfAway(num, den *big.Int) *big.Int {
	a := new(big.Int).Abs(num)
	a.Lsh(a, 1).Add(a, den)
	a.Div(a, new(big.Int).Lsh(den, 1))
	if num.Sign() < 0 {
		a.Neg(a)
	}
	return a
}

func pow2(k int32) *big.Int { return new(big.Int).Lsh(big.NewInt(1), uint(k)) }

// refMultiply is the fixed-point rule as its definition reads, in unbounded integers.
func refMultiply(acc, mantissa, exponent int32, double bool) int32 {
	a, m := big.NewInt(int64(acc)), big.NewInt(int64(mantissa))
	if !double {
		num := new(big.Int).Mul(a, m)
		den := pow2(31 - exponent)
		num.Lsh(num, 1).Add(num, den)
		return clampBig(floorOf(num, den.Lsh(den, 1)), math.MinInt32, math.MaxInt32)
	}
	a.Lsh(a, uint(max(exponent, 0)))
	a.SetInt64(int64(clampBig(a, math.MinInt32, math.MaxInt32)))
	product := new(big.Int).Mul(a, m)
	// Truncation of (p + 1 − 2^30)/2^31 for p < 0 sends ties up: it is the floor of p/2^31 + ½.
	h := new(big.Int).Lsh(product, 1)
	h.Add(h, pow2(31))
	h = floorOf(h, pow2(32))
	return clampBig(divHalfAway(h, pow2(max(-exponent, 0))), math.MinInt32, math.MaxInt32)
}

func TestMultiplyAgainstBigIntegers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		acc := rapid.Int32().Draw(t, "acc") >> rapid.UintRange(0, 31).Draw(t, "by")
		mantissa := rapid.Int32Range(1<<30, math.MaxInt32).Draw(t, "mantissa")
		exponent := rapid.Int32Range(-31, 30).Draw(t, "exponent")
		for _, double := range []bool{false, true} {
			got, want := MultiplyByQuantizedMultiplier(acc, mantissa, exponent, double), refMultiply(acc, mantissa, exponent, double)
			if got != want {
				t.Fatalf("double %v: %d·%d·2^(%d-31) = %d, want %d", double, acc, mantissa, exponent, got, want)
			}
		}
	})
}

func TestMultiplyByHand(t *testing.T) {
	half := int32(1 << 30) // 0.5 with exponent 0
	for _, c := range []struct {
		acc, mantissa, exponent, single, double int32
	}{
		{3, half, 0, 2, 2}, {-3, half, 0, -1, -1}, // 1.5 and −1.5: h rounds ties up
		{3, half, 1, 3, 3},         // times one
		{6, half, -1, 2, 2},        // 1.5
		{-6, half, -1, -1, -2},     // −1.5: half up, or −3/2 away from zero
		{15, 1717986918, -3, 1, 2}, // just below 1.5 is rounded twice
		{math.MaxInt32, math.MaxInt32, 30, math.MaxInt32, math.MaxInt32 - 1},
		{math.MinInt32, math.MaxInt32, 30, math.MinInt32, -math.MaxInt32},
		{math.MinInt32, math.MaxInt32, -31, -1, -1},
		{math.MaxInt32, 0, 0, 0, 0},
	} {
		if got := MultiplyByQuantizedMultiplier(c.acc, c.mantissa, c.exponent, false); got != c.single {
			t.Errorf("single: %d·%d·2^(%d-31) = %d, want %d", c.acc, c.mantissa, c.exponent, got, c.single)
		}
		if got := MultiplyByQuantizedMultiplier(c.acc, c.mantissa, c.exponent, true); got != c.double {
			t.Errorf("double: %d·%d·2^(%d-31) = %d, want %d", c.acc, c.mantissa, c.exponent, got, c.double)
		}
	}
	// Out of range arguments are taken as the nearest end.
	for _, double := range []bool{false, true} {
		if a, b := MultiplyByQuantizedMultiplier(100, half, 99, double), MultiplyByQuantizedMultiplier(100, half, 30, double); a != b {
			t.Errorf("exponent 99 gives %d, exponent 30 %d", a, b)
		}
		if got := MultiplyByQuantizedMultiplier(100, -5, -99, double); got != 0 {
			t.Errorf("a negative mantissa gives %d", got)
		}
	}
}

func TestFixedPointMultiplier(t *testing.T) {
	for _, c := range []struct {
		m                  float64
		mantissa, exponent int32
	}{
		{0.75, 1610612736, 0}, {0.1, 1717986918, -3}, {1, 1 << 30, 1}, {0.5, 1 << 30, 0},
		{math.Nextafter(1, 0), 1 << 30, 1}, // the mantissa rounds up to 2^31
		{math.Ldexp(1, -32), 1 << 30, -31}, {math.Ldexp(0.9, -32), 0, 0},
		{math.Ldexp(1, 29), 1 << 30, 30}, {math.Ldexp(1, 30), math.MaxInt32, 30}, {math.Inf(1), math.MaxInt32, 30},
		{0, 0, 0}, {-1, 0, 0}, {math.NaN(), 0, 0}, {5e-324, 0, 0},
	} {
		if m, e := FixedPointMultiplier(c.m); m != c.mantissa || e != c.exponent {
			t.Errorf("FixedPointMultiplier(%v) = %d, %d, want %d, %d", c.m, m, e, c.mantissa, c.exponent)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		m := math.Ldexp(rapid.Float64Range(0.5, 1).Draw(t, "fraction"), rapid.IntRange(-30, 29).Draw(t, "exponent"))
		q, e := FixedPointMultiplier(m)
		if q < 1<<30 {
			t.Fatalf("mantissa %d of %v", q, m)
		}
		if back := math.Ldexp(float64(q), int(e)-31); math.Abs(back-m) > m*0x1p-31 {
			t.Fatalf("%v comes back as %v", m, back)
		}
	})
}
