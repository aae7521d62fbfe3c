package kernels

import (
	"math"

	"github.com/bitgrad/bitgrad/quant"
)

// What training needs of a sum of codes besides its code: whether the unrounded value lies in an
// interval, and the range of the values.

// AddShiftBits sets bit i to first ≤ t ≤ last for the sum t = (a << (f−FA)) ± (b << (f−FB)),
// f = max(FA, FB), of which r.Apply(a[i], b[i]) is the rounded form, and returns the least and the largest t. Codes
// lie in bytes, those of a signed operand as int8 bit patterns.
// Without elements least is larger than most.
func AddShiftBits(bits, a, b []uint8, signedA, signedB bool, r *quant.AddShift, first, last int64) (least, most int64) {
	b, bits = b[:len(a)], bits[:BitBytes(len(a))]
	least, most = math.MaxInt64, math.MinInt64
	if len(a) == 0 {
		return least, most
	}
	s, ok := newShiftSum(r, signedA, signedB)
	if !ok {
		flipA, zeroA := flipOf(signedA, 0)
		flipB, zeroB := flipOf(signedB, 0)
		for i := range a {
			t := r.Sum(int32(a[i])^flipA-zeroA, int32(b[i])^flipB-zeroB)
			least, most = min(least, t), max(most, t)
			SetBit(bits, i, first <= t && t <= last)
		}
		return least, most
	}
	// The sums of s are t << up.
	up := uint(max(0, 1-(int64(max(r.FA, r.FB))-int64(r.FY))))
	const limit = math.MaxInt32
	first, last = max(first, -limit>>up), min(last, limit>>up)
	if first > last {
		first, last = 1, 0
	}
	lo, hi := addShiftBits(bits, a, b, &s, int32(first<<up), int32(last<<up))
	return int64(lo) >> up, int64(hi) >> up
}

// SetBit writes bit i of a row whose bits are written in order.
func SetBit(bits []uint8, i int, on bool) {
	if i&7 == 0 {
		bits[i>>3] = 0
	}
	if on {
		bits[i>>3] |= 1 << (i & 7)
	}
}

func addShiftBitsPortable(bits, a, b []uint8, s *shiftSum, first, last int32) (least, most int32) {
	least, most = math.MaxInt32, math.MinInt32
	for i, p := range a {
		t := (int32(p)^s.flipA)*s.ma + (int32(b[i])^s.flipB)*s.mb + s.start
		least, most = min(least, t), max(most, t)
		SetBit(bits, i, first <= t && t <= last)
	}
	return least, most
}

// AddFloatBits is AddShiftBits for the sum v = float32(float32((a−Za)·Ma) + float32((b−Zb)·Mb)) of r. A zero
// that it returns has no sign.
func AddFloatBits(bits, a, b []uint8, signedA, signedB bool, r *quant.AddFloat, first, last float32) (least, most float32) {
	b, bits = b[:len(a)], bits[:BitBytes(len(a))]
	least, most = float32(math.Inf(1)), float32(math.Inf(-1))
	if len(a) == 0 {
		return least, most
	}
	s := floatSum{ma: r.Ma, mb: r.Mb}
	s.flipA, s.za = flipOf(signedA, r.Za)
	s.flipB, s.zb = flipOf(signedB, r.Zb)
	least, most = addFloatBits(bits, a, b, &s, first, last)
	return least + 0, most + 0 // −0 + 0 = 0
}

func addFloatBitsPortable(bits, a, b []uint8, s *floatSum, first, last float32) (least, most float32) {
	least, most = float32(math.Inf(1)), float32(math.Inf(-1))
	for i, p := range a {
		v := float32(float32(int32(p)^s.flipA-s.za)*s.ma) + float32(float32(int32(b[i])^s.flipB-s.zb)*s.mb)
		if v < least {
			least = v
		}
		if v > most {
			most = v
		}
		SetBit(bits, i, first <= v && v <= last)
	}
	return least, most
}
