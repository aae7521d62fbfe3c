package main

import (
	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// addBits8 writes the AVX2 forms of the pass bits and ranges of sums of codes, for a positive multiple
// of eight elements.
func addBits8(c *build.Context) {
	for _, float := range []bool{false, true} {
		var k *rowKernel
		var names []string
		if float {
			k = newRowKernel(c, "addFloatBitsAVX2", "func(ends *float32, bits, a, b *uint8, n int, flipA, flipB, za, zb int32, ma, mb, first, last float32)",
				"v = float32((a ^ flipA) - za)·ma + float32((b ^ flipB) - zb)·mb; bit = first <= v <= last; ends = least and largest v of eight lanes")
			names = []string{"flipA", "flipB", "ma", "mb", "first", "last", "za", "zb"}
		} else {
			k = newRowKernel(c, "addShiftBitsAVX2", "func(ends *int32, bits, a, b *uint8, n int, flipA, flipB, ma, mb, start, first, last int32)",
				"t = (a ^ flipA)·ma + (b ^ flipB)·mb + start; bit = first <= t <= last; ends = least and largest t of eight lanes")
			names = []string{"flipA", "flipB", "ma", "mb", "first", "last", "start"}
		}
		ends, bits := k.load("ends"), k.load("bits")
		a, b := k.walk("a", 1), k.walk("b", 1)
		for i, name := range names {
			k.VBROADCASTSS(k.param(name), ymm(4+i))
		}
		flips, factors, first, last := [2]reg.VecPhysical{ymm(4), ymm(5)}, [2]reg.VecPhysical{ymm(6), ymm(7)}, ymm(8), ymm(9)
		least, most := ymm(12), ymm(13)
		if float {
			k.constant8(0x7f800000, 12)
			k.constant8(0xff800000, 13)
		} else {
			k.constant8(0x7fffffff, 12)
			k.constant8(0x80000000, 13)
		}
		some, n := k.GP32(), k.load("n")
		k.Label("vector")
		for i, p := range []*pointer{a, b} {
			k.VPMOVZXBD(at(p), ymm(i))
			k.VPXOR(flips[i], ymm(i), ymm(i))
			if float {
				k.VPSUBD(ymm(10+i), ymm(i), ymm(i))
				k.VCVTDQ2PS(ymm(i), ymm(i))
				k.VMULPS(factors[i], ymm(i), ymm(i))
			} else {
				k.VPMULLD(factors[i], ymm(i), ymm(i))
			}
		}
		if float {
			k.VADDPS(ymm(1), ymm(0), ymm(0))
			k.VMINPS(least, ymm(0), least) // the former least if v is NaN
			k.VMAXPS(most, ymm(0), most)
			k.VCMPPS(Imm(13), first, ymm(0), ymm(1)) // at least
			k.VCMPPS(Imm(2), last, ymm(0), ymm(2))   // at most
			k.VANDPS(ymm(2), ymm(1), ymm(1))
			k.VMOVMSKPS(ymm(1), some)
		} else {
			k.VPADDD(ymm(1), ymm(0), ymm(0))
			k.VPADDD(ymm(10), ymm(0), ymm(0))
			k.VPMINSD(ymm(0), least, least)
			k.VPMAXSD(ymm(0), most, most)
			k.VPCMPGTD(ymm(0), first, ymm(1)) // first > t
			k.VPCMPGTD(last, ymm(0), ymm(2))
			k.VPOR(ymm(2), ymm(1), ymm(1))
			k.VMOVMSKPS(ymm(1), some)
			k.NOTL(some)
		}
		k.MOVB(some.As8(), Mem{Base: bits})
		for _, p := range []reg.Register{a.reg, b.reg} {
			k.ADDQ(Imm(8), p)
		}
		k.INCQ(bits)
		k.SUBQ(Imm(8), n)
		k.JNE(LabelRef("vector"))
		k.VMOVUPS(least, Mem{Base: ends})
		k.VMOVUPS(most, Mem{Base: ends, Disp: 32})
		k.VZEROUPPER()
		k.RET()
	}
}
