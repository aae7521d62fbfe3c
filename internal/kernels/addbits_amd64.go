//go:build amd64 && !purego

package kernels

import (
	"math"

	"github.com/bitgrad/bitgrad/internal/cpu"
)

//go:noescape
func addShiftBitsAVX512(ends *int32, bits, a, b *uint8, n int, flipA, flipB, ma, mb, start, first, last int32)

//go:noescape
func addFloatBitsAVX512(ends *float32, bits, a, b *uint8, n int, flipA, flipB, za, zb int32, ma, mb, first, last float32)

//go:noescape
func addShiftBitsAVX2(ends *int32, bits, a, b *uint8, n int, flipA, flipB, ma, mb, start, first, last int32)

//go:noescape
func addFloatBitsAVX2(ends *float32, bits, a, b *uint8, n int, flipA, flipB, za, zb int32, ma, mb, first, last float32)

// addBitsLevel says which variant runs; see gradientLevel.
var addBitsLevel cpu.ISA

func init() {
	for _, level := range []cpu.ISA{cpu.Portable, cpu.AVX2, cpu.AVX512} {
		register("add bits", level, func() { addBitsLevel = level })
	}
}

// addBitsWidth returns how many of n elements the vectors take, and their lanes.
func addBitsWidth(n int) (whole, lanes int) {
	switch addBitsLevel {
	case cpu.Portable:
		return 0, 0
	case cpu.AVX2:
		return n &^ 7, 8
	}
	return n, 16
}

func addShiftBits(bits, a, b []uint8, s *shiftSum, first, last int32) (least, most int32) {
	least, most = math.MaxInt32, math.MinInt32
	n, lanes := addBitsWidth(len(a))
	if n > 0 {
		var ends [32]int32 // the least of each lane, then the largest
		if addBitsLevel == cpu.AVX2 {
			addShiftBitsAVX2(&ends[0], &bits[0], &a[0], &b[0], n, s.flipA, s.flipB, s.ma, s.mb, s.start, first, last)
		} else {
			addShiftBitsAVX512(&ends[0], &bits[0], &a[0], &b[0], n, s.flipA, s.flipB, s.ma, s.mb, s.start, first, last)
		}
		for i := range lanes {
			least, most = min(least, ends[i]), max(most, ends[lanes+i])
		}
	}
	if n < len(a) {
		lo, hi := addShiftBitsPortable(bits[n/8:], a[n:], b[n:], s, first, last)
		least, most = min(least, lo), max(most, hi)
	}
	return least, most
}

func addFloatBits(bits, a, b []uint8, s *floatSum, first, last float32) (least, most float32) {
	least, most = float32(math.Inf(1)), float32(math.Inf(-1))
	n, lanes := addBitsWidth(len(a))
	if n > 0 {
		var ends [32]float32
		if addBitsLevel == cpu.AVX2 {
			addFloatBitsAVX2(&ends[0], &bits[0], &a[0], &b[0], n, s.flipA, s.flipB, s.za, s.zb, s.ma, s.mb, first, last)
		} else {
			addFloatBitsAVX512(&ends[0], &bits[0], &a[0], &b[0], n, s.flipA, s.flipB, s.za, s.zb, s.ma, s.mb, first, last)
		}
		for i := range lanes {
			least, most = min(least, ends[i]), max(most, ends[lanes+i])
		}
	}
	if n < len(a) {
		lo, hi := addFloatBitsPortable(bits[n/8:], a[n:], b[n:], s, first, last)
		least, most = min(least, lo), max(most, hi)
	}
	return least, most
}
