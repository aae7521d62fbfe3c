package kernels

import "math"

// RequantizeAffine sets dst[i] = clamp(round(float32(float32(acc[i])·a[c]) + off[c]) + z, lo, hi),
// c = i mod C, for a row acc [pixels C]: batch norm and requantization in one. It rounds half
// up or half to even; the clamp is in float32 and must fit into a byte. NaN gives the code
// nearest to z.
func RequantizeAffine(dst []uint8, acc []int32, a, off []float32, z, lo, hi int32, up bool) {
	checkRow("requantize affine", len(dst), len(acc), len(a))
	if off = off[:len(a)]; len(acc) > 0 {
		requantizeAffine(dst, acc, a, off, z, lo, hi, up)
	}
}

func requantizeAffinePortable(dst []uint8, acc []int32, a, off []float32, z, lo, hi int32, up bool) {
	flo, fhi := float32(lo-z), float32(hi-z)
	for i := 0; i < len(acc); i += len(a) {
		d := dst[i : i+len(a)]
		for c, v := range acc[i : i+len(a)] {
			x := float32(float32(v)*a[c]) + off[c]
			if x != x {
				x = 0
			}
			x = min(max(x, flo), fhi)
			even := float32(x+magic) - magic
			if up && x-even >= 0.5 { // a tie that went down
				even++
			}
			d[c] = uint8(int32(even) + z)
		}
	}
}

// AccumulatorRange takes the accumulators acc [pixels C] into the extremes of their
// channels.
func AccumulatorRange(least, most, acc []int32) {
	checkRow("accumulator range", len(acc), len(acc), len(least))
	if most = most[:len(least)]; len(acc) > 0 {
		accumulatorRange(least, most, acc)
	}
}

func accumulatorRangePortable(least, most, acc []int32) {
	for i := 0; i < len(acc); i += len(least) {
		for c, v := range acc[i : i+len(least)] {
			least[c], most[c] = min(least[c], v), max(most[c], v)
		}
	}
}

// FiniteRange returns the least and the largest of the finite elements of x, +Inf and −Inf if
// there are none, and how many are not finite. A zero that it returns has no sign.
func FiniteRange(x []float32) (lo, hi float32, bad int) {
	var ends [2][rangeLanes]float32
	for i := range ends[0] {
		ends[0][i], ends[1][i] = float32(math.Inf(1)), float32(math.Inf(-1))
	}
	if len(x) > 0 {
		bad = finiteRange(&ends, x)
	}
	lo, hi = ends[0][0], ends[1][0]
	for i := range ends[0] {
		lo, hi = min(lo, ends[0][i]), max(hi, ends[1][i])
	}
	return lo + 0, hi + 0, bad // −0 + 0 = 0
}

const rangeLanes = 16

func finiteRangePortable(ends *[2][rangeLanes]float32, x []float32) (bad int) {
	lo, hi := ends[0][0], ends[1][0]
	for _, v := range x {
		if v-v != 0 { // Inf − Inf and NaN − NaN are NaN
			bad++
			continue
		}
		lo, hi = min(lo, v), max(hi, v)
	}
	ends[0][0], ends[1][0] = lo, hi
	return bad
}
