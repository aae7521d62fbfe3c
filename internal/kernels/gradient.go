package kernels

import "fmt"

// The straight-through estimators pass a gradient where a value lies in an interval. These
// loops cut gradients and take the sums that the gradients of ranges and of batch norm
// need, in float64 and, whatever the level, in the same order: elements of a row go to 16
// sums by turns, and sums per channel follow the pixels.

const sumLanes = 16

// total adds the sums of the lanes, halves first.
func total(s *[sumLanes]float64) float64 {
	s0, s1, s2, s3 := s[0]+s[8], s[1]+s[9], s[2]+s[10], s[3]+s[11]
	s0, s1, s2, s3 = s0+(s[4]+s[12]), s1+(s[5]+s[13]), s2+(s[6]+s[14]), s3+(s[7]+s[15])
	return (s0 + s2) + (s1 + s3)
}

// DotCodes returns Σ x[i]·(q[i] − z) over the codes q; with signed, they are int8 bit
// patterns.
func DotCodes(x []float32, codes []uint8, signed bool, z int32) float64 {
	if codes = codes[:len(x)]; len(x) == 0 {
		return 0
	}
	var sums [sumLanes]float64
	flip, z := flipOf(signed, z)
	dotCodes(&sums, x, codes, flip, z)
	return total(&sums)
}

// flipOf brings codes to unsigned ones: q − z is int32(byte ^ flip) − zero.
func flipOf(signed bool, z int32) (flip, zero int32) {
	if signed {
		return 0x80, z + 0x80
	}
	return 0, z
}

func dotCodesPortable(sums *[sumLanes]float64, x []float32, codes []uint8, flip, z int32) {
	for i, v := range x {
		q := int32(codes[i]) ^ flip - z
		sums[i%sumLanes] += float64(float64(v) * float64(q))
	}
}

// SelectRange sets dst[i] to src[i] where lo ≤ x[i] ≤ hi and to 0 elsewhere, or with add
// adds src[i] there. It returns Σ src[i]·x[i] over those elements. dst may be src.
func SelectRange(dst, src, x []float32, lo, hi float32, add bool) float64 {
	if src, x = src[:len(dst)], x[:len(dst)]; len(dst) == 0 {
		return 0
	}
	var sums [sumLanes]float64
	selectRange(&sums, dst, src, x, lo, hi, add)
	return total(&sums)
}

func selectRangePortable(sums *[sumLanes]float64, dst, src, x []float32, lo, hi float32, add bool) {
	for i, v := range x {
		var d float32
		if lo <= v && v <= hi {
			d = src[i]
			sums[i%sumLanes] += float64(float64(d) * float64(v))
		}
		if add {
			d += dst[i]
		}
		dst[i] = d
	}
}

// SelectAccumulators sets d[i] to 0 unless first[c] ≤ acc[i] ≤ last[c], c = i mod C, for rows d
// and acc [pixels C]. What is left it adds to sum[c], and its product with acc[i] to
// product[c].
func SelectAccumulators(d []float32, acc, first, last []int32, sum, product []float64) {
	channels := len(sum)
	checkRow("select accumulators", len(d), len(acc), channels)
	first, last, product = first[:channels], last[:channels], product[:channels]
	if len(acc) > 0 {
		selectAccumulators(d, acc, first, last, sum, product)
	}
}

func selectAccumulatorsPortable(d []float32, acc, first, last []int32, sum, product []float64) {
	channels := len(sum)
	for i := 0; i < len(acc); i += channels {
		row := d[i : i+channels]
		for c, v := range acc[i : i+channels] {
			if first[c] <= v && v <= last[c] {
				g := float64(row[c])
				sum[c] += g
				product[c] += float64(g * float64(v))
			} else {
				row[c] = 0
			}
		}
	}
}

// MixAccumulators sets d[i] = a[c]·d[i] + (b[c] + k[c]·acc[i]), c = i mod C, for rows d and acc
// [pixels C]. Products and sums are float64, each rounded on its own.
func MixAccumulators(d []float32, acc []int32, a, b, k []float64) {
	checkRow("mix accumulators", len(d), len(acc), len(a))
	if len(b) != len(a) || len(k) != len(a) {
		panic(fmt.Sprintf("kernels: mix accumulators: %d, %d and %d factors", len(a), len(b), len(k)))
	}
	if len(acc) > 0 {
		mixAccumulators(d, acc, a, b, k)
	}
}

func mixAccumulatorsPortable(d []float32, acc []int32, a, b, k []float64) {
	for i := 0; i < len(acc); i += len(a) {
		row := d[i : i+len(a)]
		for c, v := range acc[i : i+len(a)] {
			t := b[c] + float64(k[c]*float64(v))
			row[c] = float32(float64(a[c]*float64(row[c])) + t)
		}
	}
}
