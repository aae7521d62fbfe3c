package kernels

import "github.com/bitgrad/bitgrad/quant"

// AddShift sets dst[i] = r.Apply(a[i], b[i]) for codes in bytes; those of a signed operand are
// int8 bit patterns. The clamp of r must fit into a byte.
func AddShift(dst, a, b []uint8, signedA, signedB bool, r *quant.AddShift) {
	a, b = a[:len(dst)], b[:len(dst)]
	s, ok := newShiftSum(r, signedA, signedB)
	switch {
	case len(dst) == 0:
	case ok:
		addShift(dst, a, b, &s)
	default:
		flipA, zeroA := flipOf(signedA, 0)
		flipB, zeroB := flipOf(signedB, 0)
		for i := range dst {
			dst[i] = uint8(r.Apply(int32(a[i])^flipA-zeroA, int32(b[i])^flipB-zeroB))
		}
	}
}

// A shiftSum is a sum of codes in 32 bits:
//
//	t = (a ^ flipA)·ma + (b ^ flipB)·mb + start,  q = clamp((t >> n) + (t >> (n−1) & half)), n > 0
type shiftSum struct {
	flipA, flipB, ma, mb, start, n, lo, hi int32
	half                                   int32 // 0 if the output is mid-rise, else 1
}

// shiftLimit keeps the sum of two bytes shifted left within 32 bits.
const shiftLimit = 21

// newShiftSum returns false if the sum needs more than 32 bits.
func newShiftSum(r *quant.AddShift, signedA, signedB bool) (shiftSum, bool) {
	f := max(int64(r.FA), int64(r.FB))
	left, right, n := f-int64(r.FA), f-int64(r.FB), f-int64(r.FY)
	if n < 1 { // shift left by 1 − n more and then right by 1
		left, right, n = left+1-n, right+1-n, 1
	}
	if left > shiftLimit || right > shiftLimit || n > 31 {
		return shiftSum{}, false
	}
	s := shiftSum{ma: 1 << left, mb: 1 << right, n: int32(n), lo: r.Lo, hi: r.Hi, half: 1}
	if r.MidRise {
		s.half = 0
	}
	if r.Subtract {
		s.mb = -s.mb
	}
	var zeroA, zeroB int32
	s.flipA, zeroA = flipOf(signedA, 0)
	s.flipB, zeroB = flipOf(signedB, 0)
	s.start = -zeroA*s.ma - zeroB*s.mb
	return s, true
}

func addShiftPortable(dst, a, b []uint8, s *shiftSum) {
	n := uint32(s.n) & 31
	for i, p := range a {
		t := (int32(p)^s.flipA)*s.ma + (int32(b[i])^s.flipB)*s.mb + s.start
		t = t>>n + t>>(n-1)&s.half
		dst[i] = uint8(min(max(t, s.lo), s.hi))
	}
}

// AddFloat sets dst[i] = r.Apply(a[i], b[i]) for codes in bytes; those of a signed operand are
// int8 bit patterns. The clamp of r must fit into a byte.
func AddFloat(dst, a, b []uint8, signedA, signedB bool, r *quant.AddFloat) {
	a, b = a[:len(dst)], b[:len(dst)]
	s := floatSum{ma: r.Ma, mb: r.Mb, lo: float32(r.Lo - r.Zy), hi: float32(r.Hi - r.Zy), z: r.Zy, midRise: r.MidRise}
	s.flipA, s.za = flipOf(signedA, r.Za)
	s.flipB, s.zb = flipOf(signedB, r.Zb)
	const limit = 0x1p100 // far from infinite products
	switch {
	case len(dst) == 0:
	case r.Ma < limit && r.Ma > -limit && r.Mb < limit && r.Mb > -limit:
		addFloat(dst, a, b, &s)
	default:
		for i := range dst {
			dst[i] = uint8(r.Apply(int32(a[i])^s.flipA-s.za+r.Za, int32(b[i])^s.flipB-s.zb+r.Zb))
		}
	}
}

// A floatSum is a quant.AddFloat of codes in bytes.
type floatSum struct {
	flipA, flipB, za, zb, z int32
	ma, mb, lo, hi          float32
	midRise                 bool
}

func addFloatPortable(dst, a, b []uint8, s *floatSum) {
	for i, p := range a {
		v := float32(float32(int32(p)^s.flipA-s.za)*s.ma) + float32(float32(int32(b[i])^s.flipB-s.zb)*s.mb)
		// The ends are whole numbers, so clamping before rounding gives the same.
		v = min(max(v, s.lo), s.hi)
		even := float32(v+magic) - magic
		if s.midRise && even > v {
			even--
		}
		dst[i] = uint8(int32(even) + s.z)
	}
}
