package quant

import (
	"math"
	"math/bits"
	"sort"
)

// AccumulatorBound returns a bound of every value that the accumulator of one output
// channel can take, in any order of summation:
//
//	A = maxAbsX·Σ|w| + |bias| + rounding
//
// maxAbsX is the largest magnitude of an input level ([Grid.MaxLevel]), w the weight
// levels of the channel ([Grid.Level]), bias its code and rounding what requantization
// adds ([Requantizer.RoundingTerm]). A bound that does not fit is MaxInt64.
//
// For example nine weights of ±127, uint8 inputs, bias 1000, a shift by 8:
// 255·1143 + 1000 + 128 = 292593.
func AccumulatorBound(maxAbsX int64, w []int32, bias, rounding int64) int64 {
	var sum uint64
	for _, q := range w {
		sum += magnitude(int64(q))
	}
	hi, a := bits.Mul64(magnitude(maxAbsX), sum)
	for _, term := range [2]int64{bias, rounding} {
		var carry uint64
		a, carry = bits.Add64(a, magnitude(term), 0)
		hi += carry
	}
	if hi != 0 || a > math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(a)
}

// magnitude returns |v|, which a uint64 can hold for every v.
func magnitude(v int64) uint64 {
	if v < 0 {
		return -uint64(v)
	}
	return uint64(v)
}

// Fits24 reports whether sums bounded by a may be formed in float32 without any rounding:
// a ≤ 2^24.
func Fits24(a int64) bool { return a >= 0 && a <= 1<<24 }

// Fits32 reports whether sums bounded by a fit an int32: a < 2^31.
func Fits32(a int64) bool { return a >= 0 && a < 1<<31 }

// MaxBias is the largest magnitude of a bias code.
const MaxBias = 1 << 30

// BiasCode returns the code of bias b at the scale s = float32(s_x·s_w) of its accumulator:
// float64(b)/float64(s) rounded half to even. It saturates at ±MaxBias, and ok is then
// false; [RaiseWeightScale] is the remedy. NaN, or a scale that is not positive, gives 0 and false.
//
// For example b = 0.3, s = 2^-13: 2457.6 becomes 2458.
func BiasCode(b, s float32) (code int64, ok bool) {
	if b != b || !(s > 0) {
		return 0, false
	}
	v := math.RoundToEven(float64(b) / float64(s))
	switch {
	case v > MaxBias:
		return MaxBias, false
	case v < -MaxBias:
		return -MaxBias, false
	}
	return int64(v), true
}

// RaiseWeightScale returns the smallest scale not below sw with which the bias b has a
// code, |b| ≤ 2^30·float32(sx·sw), and whether that is above sw; with powerOfTwo, the smallest such
// power of two not below sw. A channel whose weights are all zero would otherwise
// get a scale that its bias does not fit. ok is false where no scale up to 2^126 is
// large enough, or an argument is not positive and finite.
//
// For example b = 1024, sx = 2^-8, sw = 2^-20: the code would be 2^38; the raised scale is 2^-12.
func RaiseWeightScale(b, sx, sw float32, powerOfTwo bool) (scale float32, raised, ok bool) {
	if b != b || math.IsInf(float64(b), 0) || !(sx >= MinScale && sx <= MaxScale) || !(sw >= MinScale && sw <= MaxScale) {
		return sw, false, false
	}
	need := math.Abs(float64(b)) / MaxBias
	holds := func(bits int) bool { return need <= float64(float32(sx*math.Float32frombits(uint32(bits)))) }
	// Positive floats are ordered like their bits, and holds is monotone, so the
	// smallest scale is found by bisection; a power of two has only exponent bits.
	unit := 1
	if powerOfTwo {
		unit = 1 << 23
	}
	first := int(math.Float32bits(sw))
	if holds(first) {
		return sw, false, true
	}
	first = first / unit * unit
	steps := sort.Search((int(math.Float32bits(MaxScale))-first)/unit+1, func(i int) bool { return holds(first + i*unit) })
	scale = math.Float32frombits(uint32(first + steps*unit))
	return scale, true, scale <= MaxScale
}
