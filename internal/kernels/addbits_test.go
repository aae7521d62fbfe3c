package kernels

import (
	"math"
	"testing"

	"github.com/bitgrad/bitgrad/quant"
)

func TestAddShiftBits(t *testing.T) {
	forEach(t, "add bits", func(t *testing.T) {
		r := testRand()
		for n := range 68 {
			for range 12 {
				rule := quant.AddShift{FA: int32(r.IntN(14)), FB: int32(r.IntN(14)), FY: int32(r.IntN(20)), Subtract: r.IntN(2) == 0, MidRise: r.IntN(3) == 0}
				if r.IntN(4) == 0 { // far apart
					rule.FA = 31
				}
				signedA, signedB := r.IntN(2) == 0, r.IntN(2) == 0
				a, qa := codesOf(r, n, signedA)
				b, qb := codesOf(r, n, signedB)
				sums := make([]int64, n)
				least, most := int64(math.MaxInt64), int64(math.MinInt64)
				for i := range a {
					sums[i] = rule.Sum(qa[i], qb[i])
					least, most = min(least, sums[i]), max(most, sums[i])
				}
				first, last := int64(math.MinInt64), int64(math.MaxInt64)
				if n > 1 && r.IntN(4) > 0 { // ends that occur
					first, last = sums[r.IntN(n)], sums[r.IntN(n)]
				}
				bits := guard[uint8](BitBytes(n), 99, 1)
				lo, hi := AddShiftBits(bits.in, a, b, signedA, signedB, &rule, first, last)
				if lo != least || hi != most {
					t.Fatalf("%+v: sums from %d to %d, want %d to %d", rule, lo, hi, least, most)
				}
				checkBits(t, bits.in, n, func(i int) bool { return first <= sums[i] && sums[i] <= last })
				bits.check(t, "add shift bits")
			}
		}
	})
}

func TestAddFloatBits(t *testing.T) {
	forEach(t, "add bits", func(t *testing.T) {
		r := testRand()
		for n := range 68 {
			for range 12 {
				rule := quant.AddFloat{Za: int32(r.IntN(64)), Zb: -int32(r.IntN(64))}
				for _, m := range []*float32{&rule.Ma, &rule.Mb} {
					*m = float32(math.Ldexp(1+r.Float64(), r.IntN(12)-8))
					if r.IntN(20) == 0 {
						*m = 0x1p125 // sums that are infinite, or NaN
					}
				}
				if r.IntN(2) == 0 {
					rule.Mb = -rule.Mb
				}
				signedA, signedB := r.IntN(2) == 0, r.IntN(2) == 0
				a, qa := codesOf(r, n, signedA)
				b, qb := codesOf(r, n, signedB)
				sums := make([]float32, n)
				least, most := float32(math.Inf(1)), float32(math.Inf(-1))
				for i := range a {
					sums[i] = rule.Sum(qa[i], qb[i])
					if v := sums[i]; v == v {
						least, most = min(least, v), max(most, v)
					}
				}
				first, last := float32(math.Inf(-1)), float32(math.Inf(1))
				if n > 1 && r.IntN(4) > 0 {
					first, last = sums[r.IntN(n)], sums[r.IntN(n)]
				}
				bits := guard[uint8](BitBytes(n), 99, 1)
				lo, hi := AddFloatBits(bits.in, a, b, signedA, signedB, &rule, first, last)
				if lo != least || hi != most {
					t.Fatalf("%+v: sums from %v to %v, want %v to %v", rule, lo, hi, least, most)
				}
				checkBits(t, bits.in, n, func(i int) bool { return first <= sums[i] && sums[i] <= last })
				bits.check(t, "add float bits")
			}
		}
	})
}

// checkBits compares the bits of a row of n elements; those behind the last must be 0.
func checkBits(t *testing.T, bits []uint8, n int, want func(i int) bool) {
	t.Helper()
	for i := range 8 * len(bits) {
		if got := bits[i/8]>>(i%8)&1 != 0; got != (i < n && want(i)) {
			t.Fatalf("bit %d of %d is %v", i, n, got)
		}
	}
}
