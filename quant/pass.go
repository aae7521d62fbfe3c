package quant

import (
	"math"
)

// PassRange returns the accumulators of channel c whose value lies inside the codes lo
// to hi, as the first and the last of them, −2^62 to 2^62; first > last if there are none. The
// gradient of a clipped straight-through estimator passes where first ≤ acc ≤ last.
//
// With rounded, inside means that the code before the clamp is at least lo and at most
// hi. Without, the unrounded value v in steps of the output grid is what counts: lo − z < v <
// hi − z, or lo < v < hi + 1 where the output is mid-rise. v is acc·2^-n, float32(float32(acc)·M), or
// acc·mantissa·2^(exponent−31).
//
// For example a shift by 4 into int4: rounded gives −136 to 119 (−8.5 rounds up to −8, 7.4375
// down to 7), unrounded −127 to 111.
func (r *Requantizer) PassRange(c int, lo, hi int32, rounded bool) (first, last int64) {
	var reaches, stays func(acc int64) bool // both monotone: from false to true, from true to false
	if rounded {
		wide := *r
		wide.Lo, wide.Hi = lo-1, hi+1
		reaches = func(acc int64) bool { return wide.Apply(acc, c) >= lo }
		stays = func(acc int64) bool { return wide.Apply(acc, c) <= hi }
	} else {
		below, above := float64(lo)-float64(r.ZeroPoint), float64(hi)-float64(r.ZeroPoint)
		if r.MidRise {
			above++
		}
		reaches = func(acc int64) bool { return r.compare(acc, c, below) > 0 }
		stays = func(acc int64) bool { return r.compare(acc, c, above) < 0 }
	}
	first = search(reaches)
	last = search(func(acc int64) bool { return !stays(acc) }) - 1
	return first, last
}

const passLimit = 1 << 62

// search returns the smallest acc from −2^62 to 2^62 + 1 with f(acc), where f is monotone; the
// end of the interval if there is none.
func search(f func(acc int64) bool) int64 {
	lo, hi := int64(-passLimit), int64(passLimit+1)
	for lo < hi {
		mid := lo + int64(uint64(hi-lo)/2)
		if f(mid) {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo
}

// compare returns the sign of v − limit for a whole limit of up to 18 bits, where v is
// the unrounded value of acc in steps of the output grid.
func (r *Requantizer) compare(acc int64, c int, limit float64) int {
	switch r.Rule {
	case Shift:
		return compareScaled(acc, int(at(r.Shift, c)), limit)
	case Float:
		v := float32(float32(acc) * at(r.Multiplier, c))
		return sign(float64(v) - limit)
	}
	mantissa, exponent := at(r.Mantissa, c), at(r.Exponent, c)
	a := min(max(acc, math.MinInt32), math.MaxInt32)
	return compareScaled(a*int64(mantissa), int(31-exponent), limit)
}

// compareScaled returns the sign of a·2^-n − limit, exactly: floor and remainder are
// compared on their own, so nothing is rounded.
func compareScaled(a int64, n int, limit float64) int {
	whole := float64(0)
	part := int64(0)
	if n > 0 {
		n := uint(min(n, 63))
		whole, part = float64(a>>n), a&(1<<n-1)
	} else {
		whole = math.Ldexp(float64(a), -n)
	}
	if s := sign(whole - limit); s != 0 || part == 0 {
		return s
	}
	return 1
}

func sign(x float64) int {
	switch {
	case x > 0:
		return 1
	case x < 0:
		return -1
	}
	return 0
}
