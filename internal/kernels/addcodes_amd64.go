//go:build amd64 && !purego

package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

//go:noescape
func addShiftAVX512(dst, a, b *uint8, n int, flipA, flipB, ma, mb, start, shift, lo, hi int32)

//go:noescape
func addFloatAVX512(dst, a, b *uint8, n int, flipA, flipB, za, zb int32, ma, mb, lo, hi float32, z int32)

// addCodesLevel says which variant runs; see gradientLevel.
var addCodesLevel cpu.ISA

func init() {
	for _, level := range []cpu.ISA{cpu.Portable, cpu.AVX512} {
		register("add codes", level, func() { addCodesLevel = level })
	}
}

func addShift(dst, a, b []uint8, s *shiftSum) {
	if addCodesLevel == cpu.Portable {
		addShiftPortable(dst, a, b, s)
		return
	}
	addShiftAVX512(&dst[0], &a[0], &b[0], len(dst), s.flipA, s.flipB, s.ma, s.mb, s.start, s.n, s.lo, s.hi)
}

func addFloat(dst, a, b []uint8, s *floatSum) {
	if addCodesLevel == cpu.Portable {
		addFloatPortable(dst, a, b, s)
		return
	}
	addFloatAVX512(&dst[0], &a[0], &b[0], len(dst), s.flipA, s.flipB, s.za, s.zb, s.ma, s.mb, s.lo, s.hi, s.z)
}
