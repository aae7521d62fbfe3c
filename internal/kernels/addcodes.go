package kernels

import (
	"fmt"

	"github.com/bitgrad/bitgrad/quant"
)

// CodeRows are rows of codes in bytes, which begin Step elements apart.
type CodeRows struct {
	Codes []uint8
	Step  int
}

// row returns n codes of row i.
func (c CodeRows) row(i, n int) []uint8 { return c.Codes[i*c.Step:][:n] }

// check makes sure that there are rows rows of n codes.
func (c CodeRows) check(rows, n int) {
	if rows > 0 && (c.Step < 0 || (rows-1)*c.Step+n > len(c.Codes)) {
		panic(fmt.Sprintf("kernels: add: %d rows of %d codes, %d apart, in %d", rows, n, c.Step, len(c.Codes)))
	}
}

// AddShift sets dst[i] = r.Apply(a[i], b[i]) for codes in bytes; those of a signed operand are
// int8 bit patterns. The clamp of r must fit into a byte.
func AddShift(dst, a, b []uint8, signedA, signedB bool, r *quant.AddShift) {
	AddShiftRows(CodeRows{Codes: dst}, CodeRows{Codes: a}, CodeRows{Codes: b}, 1, len(dst), signedA, signedB, r)
}

// AddShiftRows is AddShift for rows of n codes.
func AddShiftRows(dst, a, b CodeRows, rows, n int, signedA, signedB bool, r *quant.AddShift) {
	for _, c := range [...]CodeRows{dst, a, b} {
		c.check(rows, n)
	}
	s, ok := newShiftSum(r, signedA, signedB)
	switch {
	case min(rows, n) < 1:
	case ok:
		addShift(dst, a, b, rows, n, &s)
	default:
		flipA, zeroA := flipOf(signedA, 0)
		flipB, zeroB := flipOf(signedB, 0)
		eachSum(dst, a, b, rows, n, func(p, q int32) int32 { return r.Apply(p^flipA-zeroA, q^flipB-zeroB) })
	}
}

// eachSum adds one code after the other.
func eachSum(dst, a, b CodeRows, rows, n int, sum func(p, q int32) int32) {
	for h := range rows {
		p, q := a.row(h, n), b.row(h, n)
		for i := range n {
			dst.Codes[h*dst.Step+i] = uint8(sum(int32(p[i]), int32(q[i])))
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

func addShiftPortable(dst, a, b CodeRows, rows, n int, s *shiftSum) {
	shift := uint32(s.n) & 31
	for h := range rows {
		d, q := dst.row(h, n), b.row(h, n)
		for i, p := range a.row(h, n) {
			t := (int32(p)^s.flipA)*s.ma + (int32(q[i])^s.flipB)*s.mb + s.start
			t = t>>shift + t>>(shift-1)&s.half
			d[i] = uint8(min(max(t, s.lo), s.hi))
		}
	}
}

// AddFloat sets dst[i] = r.Apply(a[i], b[i]) for codes in bytes; those of a signed operand are
// int8 bit patterns. The clamp of r must fit into a byte.
func AddFloat(dst, a, b []uint8, signedA, signedB bool, r *quant.AddFloat) {
	AddFloatRows(CodeRows{Codes: dst}, CodeRows{Codes: a}, CodeRows{Codes: b}, 1, len(dst), signedA, signedB, r)
}

// AddFloatRows is AddFloat for rows of n codes.
func AddFloatRows(dst, a, b CodeRows, rows, n int, signedA, signedB bool, r *quant.AddFloat) {
	for _, c := range [...]CodeRows{dst, a, b} {
		c.check(rows, n)
	}
	s := floatSum{ma: r.Ma, mb: r.Mb, lo: float32(r.Lo - r.Zy), hi: float32(r.Hi - r.Zy), z: r.Zy, midRise: r.MidRise}
	s.flipA, s.za = flipOf(signedA, r.Za)
	s.flipB, s.zb = flipOf(signedB, r.Zb)
	const limit = 0x1p100 // far from infinite products
	switch {
	case min(rows, n) < 1:
	case r.Ma < limit && r.Ma > -limit && r.Mb < limit && r.Mb > -limit:
		addFloat(dst, a, b, rows, n, &s)
	default:
		eachSum(dst, a, b, rows, n, func(p, q int32) int32 { return r.Apply(p^s.flipA-s.za+r.Za, q^s.flipB-s.zb+r.Zb) })
	}
}

// A floatSum is a quant.AddFloat of codes in bytes.
type floatSum struct {
	flipA, flipB, za, zb, z int32
	ma, mb, lo, hi          float32
	midRise                 bool
}

func addFloatPortable(dst, a, b CodeRows, rows, n int, s *floatSum) {
	for h := range rows {
		d, q := dst.row(h, n), b.row(h, n)
		for i, p := range a.row(h, n) {
			v := float32(float32(int32(p)^s.flipA-s.za)*s.ma) + float32(float32(int32(q[i])^s.flipB-s.zb)*s.mb)
			// The ends are whole numbers, so clamping before rounding gives the same.
			v = min(max(v, s.lo), s.hi)
			even := float32(v+magic) - magic
			if s.midRise && even > v {
				even--
			}
			d[i] = uint8(int32(even) + s.z)
		}
	}
}
