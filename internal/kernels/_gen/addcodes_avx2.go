package main

import (
	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// addCodes8 writes the AVX2 forms of addCodes, for 32 codes at a time. Bytes widen by
// interleaving within the halves of a vector and narrow by packing within them, which brings
// them back into their order.
func addCodes8(c *build.Context) {
	k := newRowKernel(c, "addShiftAVX2", "func(dst, a, b *uint8, rows, n, gap, gapA, gapB int, flipA, flipB uint8, ma, mb int16, start, shift int32, lo, hi int16)",
		"dst = clamp(((a ^ flipA)·ma + (b ^ flipB)·mb + start) >> shift, lo, hi); rows of at least 32 codes, with gaps between them")
	dst, a, b := k.codeRows()
	k.codeConstants()
	k.VPBROADCASTW(k.param("ma"), ymm(10))
	k.VPBROADCASTW(k.param("mb"), ymm(11))
	k.VPUNPCKLWD(ymm(11), ymm(10), ymm(10)) // ma, mb, ma, mb, …
	k.VBROADCASTSS(k.param("start"), ymm(11))
	k.VBROADCASTSS(k.param("shift"), ymm(12))
	k.VPBROADCASTW(k.param("hi"), ymm(6))
	k.strips(32, k.load("rows"), k.load("n"), func(reg.Register) {
		k.VPXOR(at(a), ymm(8), ymm(0))
		k.VPXOR(at(b), ymm(9), ymm(1))
		k.VPUNPCKHBW(ymm(1), ymm(0), ymm(2)) // a, b, a, b, … in bytes, then in words
		k.VPUNPCKLBW(ymm(1), ymm(0), ymm(0))
		for _, i := range []int{0, 2} {
			k.VPUNPCKHBW(ymm(7), ymm(i), ymm(i+1))
			k.VPUNPCKLBW(ymm(7), ymm(i), ymm(i))
		}
		for i := range 4 {
			k.VPMADDWD(ymm(10), ymm(i), ymm(i))
			k.VPADDD(ymm(11), ymm(i), ymm(i))
			k.VPSRAVD(ymm(12), ymm(i), ymm(i))
		}
		k.packCodes(func(y int) { k.VPMINSW(ymm(6), ymm(y), ymm(y)) })
	}, func() { k.VMOVDQU(ymm(0), at(dst)) })
	k.RET()

	for _, floor := range []bool{false, true} {
		name, round := addName(floor)
		k := newRowKernel(c, name+"AVX2", "func(dst, a, b *uint8, rows, n, gap, gapA, gapB int, flipA, flipB uint8, za, zb, ma, mb, top float32, z, lo int16)",
			"dst = max("+round+"(min((2^23 + (a ^ flipA) - za)·ma + (2^23 + (b ^ flipB) - zb)·mb, top)) + z, lo); rows of at least 32 codes, with gaps between them")
		dst, a, b = k.codeRows()
		k.codeConstants()
		k.VPBROADCASTW(k.param("z"), ymm(10))
		k.constant8(0x4b004b00, 11) // above a word, 2^23 + word
		k.VBROADCASTSS(k.param("top"), ymm(12))
		k.strips(32, k.load("rows"), k.load("n"), func(reg.Register) {
			for i, p := range []*pointer{a, b} { // into Y0 to Y3, then by halves into Y4 and Y5
				for half := range 2 {
					y := 2*half + 4*i
					if i == 1 {
						y = 4
					}
					k.VPXOR(at(p), ymm(8+i), ymm(y))
					if half == 0 {
						k.VPUNPCKLBW(ymm(7), ymm(y), ymm(y))
					} else {
						k.VPUNPCKHBW(ymm(7), ymm(y), ymm(y))
					}
					k.VPUNPCKHWD(ymm(11), ymm(y), ymm(y+1))
					k.VPUNPCKLWD(ymm(11), ymm(y), ymm(y))
					k.VBROADCASTSS(k.param([]string{"za", "zb"}[i]), ymm(6))
					for j := range 2 {
						k.VSUBPS(ymm(6), ymm(y+j), ymm(y+j))
					}
					k.VBROADCASTSS(k.param([]string{"ma", "mb"}[i]), ymm(6))
					for j := range 2 {
						k.VMULPS(ymm(6), ymm(y+j), ymm(y+j))
						if i == 1 {
							k.VADDPS(ymm(y+j), ymm(2*half+j), ymm(2*half+j))
						}
					}
				}
			}
			for i := range 4 {
				k.VMINPS(ymm(12), ymm(i), ymm(i))
				if floor {
					k.VROUNDPS(Imm(1), ymm(i), ymm(i))
				}
				k.VCVTPS2DQ(ymm(i), ymm(i)) // far below, the least int32
			}
			k.packCodes(func(y int) { k.VPADDSW(ymm(10), ymm(y), ymm(y)) })
		}, func() { k.VMOVDQU(ymm(0), at(dst)) })
		k.RET()
	}
}

// codeRows returns the pointers to rows with gaps.
func (k *rowKernel) codeRows() (dst, a, b *pointer) {
	dst, a, b = k.walk("dst", 1), k.walk("a", 1), k.walk("b", 1)
	dst.gap, a.gap, b.gap = k.param("gap"), k.param("gapA"), k.param("gapB")
	return dst, a, b
}

// codeConstants sets Y7 to zero, Y8 and Y9 to what flips the bits of two operands, Y13 to the
// lower end and Y15 to 255 in each word.
func (k *rowKernel) codeConstants() {
	k.VPXOR(ymm(7), ymm(7), ymm(7))
	k.VPBROADCASTB(k.param("flipA"), ymm(8))
	k.VPBROADCASTB(k.param("flipB"), ymm(9))
	k.VPBROADCASTW(k.param("lo"), ymm(13))
	k.constant8(0x00ff00ff, 15)
}

// packCodes narrows Y0 to Y3 to words, to which it applies f and the lower end, and then to the
// bytes of Y0.
func (k *rowKernel) packCodes(f func(y int)) {
	for _, y := range []int{0, 2} {
		k.VPACKSSDW(ymm(y+1), ymm(y), ymm(y))
		f(y)
		k.VPMAXSW(ymm(13), ymm(y), ymm(y))
		k.VPAND(ymm(15), ymm(y), ymm(y))
	}
	k.VPACKUSWB(ymm(2), ymm(0), ymm(0))
}
