//go:build amd64 && !purego

package kernels

import (
	"math"

	"github.com/bitgrad/bitgrad/internal/cpu"
)

//go:noescape
func addShiftBitsAVX2(ends *int32, bits, a, b *uint8, n int, flipA, flipB, ma, mb, start, first, last int32)

//go:noescape
func addFloatBitsAVX2(ends *float32, bits, a, b *uint8, n int, flipA, flipB, za, zb int32, ma, mb, first, last float32)

// addBitsLevel says which variant runs; see gradientLevel.
var addBitsLevel cpu.ISA

func init() {
	for _, level := range []cpu.ISA{cpu.Portable, cpu.AVX2} {
		register("add bits", level, func() { addBitsLevel = level })
	}
}

func addShiftBits(bits, a, b []uint8, s *shiftSum, first, last int32) (least, most int32) {
	n := 0
	least, most = math.MaxInt32, math.MinInt32
	if n = len(a) &^ 7; addBitsLevel == cpu.Portable {
		n = 0
	}
	if n > 0 {
		var ends [2][8]int32 // of eight lanes
		addShiftBitsAVX2(&ends[0][0], &bits[0], &a[0], &b[0], n, s.flipA, s.flipB, s.ma, s.mb, s.start, first, last)
		for i := range ends[0] {
			least, most = min(least, ends[0][i]), max(most, ends[1][i])
		}
	}
	if n < len(a) {
		lo, hi := addShiftBitsPortable(bits[n/8:], a[n:], b[n:], s, first, last)
		least, most = min(least, lo), max(most, hi)
	}
	return least, most
}

func addFloatBits(bits, a, b []uint8, s *floatSum, first, last float32) (least, most float32) {
	n := 0
	least, most = float32(math.Inf(1)), float32(math.Inf(-1))
	if n = len(a) &^ 7; addBitsLevel == cpu.Portable {
		n = 0
	}
	if n > 0 {
		var ends [2][8]float32
		addFloatBitsAVX2(&ends[0][0], &bits[0], &a[0], &b[0], n, s.flipA, s.flipB, s.za, s.zb, s.ma, s.mb, first, last)
		for i := range ends[0] {
			least, most = min(least, ends[0][i]), max(most, ends[1][i])
		}
	}
	if n < len(a) {
		lo, hi := addFloatBitsPortable(bits[n/8:], a[n:], b[n:], s, first, last)
		least, most = min(least, lo), max(most, hi)
	}
	return least, most
}
