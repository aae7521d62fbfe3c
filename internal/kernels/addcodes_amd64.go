//go:build amd64 && !purego

package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

//go:noescape
func addShiftAVX512(dst, a, b *uint8, n int, flipA, flipB, ma, mb, start, shift, lo, hi, half int32)

//go:noescape
func addFloatAVX512(dst, a, b *uint8, n int, flipA, flipB, za, zb int32, ma, mb, lo, hi float32, z int32)

//go:noescape
func addFloorAVX512(dst, a, b *uint8, n int, flipA, flipB, za, zb int32, ma, mb, lo, hi float32, z int32)

//go:noescape
func addShiftAVX2(dst, a, b *uint8, rows, n, gap, gapA, gapB int, flipA, flipB uint8, ma, mb int16, start, shift int32, lo, hi int16)

//go:noescape
func addFloatAVX2(dst, a, b *uint8, rows, n, gap, gapA, gapB int, flipA, flipB uint8, za, zb, ma, mb, top float32, z, lo int16)

//go:noescape
func addFloorAVX2(dst, a, b *uint8, rows, n, gap, gapA, gapB int, flipA, flipB uint8, za, zb, ma, mb, top float32, z, lo int16)

// addCodesLevel says which variant runs; see gradientLevel.
var addCodesLevel cpu.ISA

func init() {
	for _, level := range []cpu.ISA{cpu.Portable, cpu.AVX2, cpu.AVX512} {
		register("add codes", level, func() { addCodesLevel = level })
	}
}

// byteStrip is the least number of codes that the AVX2 kernels take, and wordLimit the end of
// what they keep in 16 bits.
const (
	byteStrip = 32
	wordLimit = 1 << 14
)

func addShift(dst, a, b CodeRows, rows, n int, s *shiftSum) {
	switch {
	case addCodesLevel == cpu.AVX512:
		for h := range rows {
			d, p, q := dst.row(h, n), a.row(h, n), b.row(h, n)
			addShiftAVX512(&d[0], &p[0], &q[0], n, s.flipA, s.flipB, s.ma, s.mb, s.start, s.n, s.lo, s.hi, s.half)
		}
	case addCodesLevel == cpu.AVX2 && n >= byteStrip && s.ma <= wordLimit && max(s.mb, -s.mb) <= wordLimit:
		half := s.half << (s.n - 1) // the sum is far from the ends of int32
		addShiftAVX2(&dst.Codes[0], &a.Codes[0], &b.Codes[0], rows, n, dst.Step-n, a.Step-n, b.Step-n,
			uint8(s.flipA), uint8(s.flipB), int16(s.ma), int16(s.mb), s.start+half, s.n, int16(s.lo), int16(s.hi))
	default:
		addShiftPortable(dst, a, b, rows, n, s)
	}
}

func addFloat(dst, a, b CodeRows, rows, n int, s *floatSum) {
	switch {
	case addCodesLevel == cpu.AVX512:
		for h := range rows {
			d, p, q := dst.row(h, n), a.row(h, n), b.row(h, n)
			if s.midRise {
				addFloorAVX512(&d[0], &p[0], &q[0], n, s.flipA, s.flipB, s.za, s.zb, s.ma, s.mb, s.lo, s.hi, s.z)
			} else {
				addFloatAVX512(&d[0], &p[0], &q[0], n, s.flipA, s.flipB, s.za, s.zb, s.ma, s.mb, s.lo, s.hi, s.z)
			}
		}
	case addCodesLevel == cpu.AVX2 && n >= byteStrip && max(s.za, s.zb, s.z) <= wordLimit && min(s.za, s.zb, s.z) >= -wordLimit:
		za, zb, lo := 0x1p23+float32(s.za), 0x1p23+float32(s.zb), int16(s.lo)+int16(s.z)
		d, p, q, gap, gapA, gapB := &dst.Codes[0], &a.Codes[0], &b.Codes[0], dst.Step-n, a.Step-n, b.Step-n
		if s.midRise {
			addFloorAVX2(d, p, q, rows, n, gap, gapA, gapB, uint8(s.flipA), uint8(s.flipB), za, zb, s.ma, s.mb, s.hi, int16(s.z), lo)
		} else {
			addFloatAVX2(d, p, q, rows, n, gap, gapA, gapB, uint8(s.flipA), uint8(s.flipB), za, zb, s.ma, s.mb, s.hi, int16(s.z), lo)
		}
	default:
		addFloatPortable(dst, a, b, rows, n, s)
	}
}
