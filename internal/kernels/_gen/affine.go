package main

import (
	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// affine writes the loops that turn accumulators into codes through batch norm, and the
// ranges that observers see. They are exact.
func affine(c *build.Context) {
	for _, up := range []bool{false, true} {
		name, doc := "requantizeAffineEvenAVX512", "dst = roundEven(clamp(float32(acc)·a + off, lo, hi)) + z, per channel"
		if up {
			name, doc = "requantizeAffineUpAVX512", "dst = roundUp(clamp(float32(acc)·a + off, lo, hi)) + z, per channel"
		}
		k := newRowKernel(c, name, "func(dst *uint8, acc *int32, a, off *float32, pixels, channels int, lo, hi float32, z int32)", doc)
		dst, acc := k.walk("dst", 1), k.walk("acc", 4)
		a, off := k.channels("a", 4), k.channels("off", 4)
		k.broadcast("lo", zmm(4))
		k.broadcast("hi", zmm(5))
		k.broadcast("z", zmm(6))
		k.constant(0x3f800000, zmm(8)) // 1
		k.constant(0x3f000000, zmm(9)) // 1/2
		k.rows(k.load("pixels"), k.load("channels"), func(mask reg.Register, _ Op) {
			k.VMOVDQU32_Z(at(acc), mask, zmm(0))
			k.VMOVUPS_Z(at(a), mask, zmm(1))
			k.VMOVUPS_Z(at(off), mask, zmm(2))
			k.VCVTDQ2PS(zmm(0), zmm(0))
			k.VMULPS(zmm(1), zmm(0), zmm(0))
			k.VADDPS(zmm(2), zmm(0), zmm(0))
			k.VCMPPS(Imm(ordered), zmm(0), zmm(0), mask, reg.K3)
			k.VMOVAPS_Z(zmm(0), reg.K3, zmm(0)) // 0 for NaN
			k.VMAXPS(zmm(4), zmm(0), zmm(0))
			k.VMINPS(zmm(5), zmm(0), zmm(0))
			if up { // floor, and 1 more if the fraction is at least 1/2
				k.VRNDSCALEPS(Imm(1), zmm(0), zmm(2))
				k.VSUBPS(zmm(2), zmm(0), zmm(3))
				k.VCMPPS(Imm(atLeast), zmm(9), zmm(3), reg.K3)
				k.VMOVAPS(zmm(2), zmm(0))
				k.VADDPS(zmm(8), zmm(2), reg.K3, zmm(0))
			}
			k.VCVTPS2DQ(zmm(0), zmm(0))
			k.VPADDD(zmm(6), zmm(0), zmm(0))
			k.VPMOVDB(zmm(0), mask, at(dst))
		})
		k.RET()
	}

	k := newRowKernel(c, "accumulatorRangeAVX512", "func(least, most, acc *int32, pixels, step, channels int)",
		"least = min(least, acc), most = max(most, acc) over pixels step bytes apart; at most 16 channels")
	least, most := k.load("least"), k.load("most")
	acc, step := k.load("acc"), k.load("step")
	mask := k.GP32()
	k.channelMask(mask)
	k.KMOVW(mask, reg.K1)
	k.VMOVDQU32_Z(Mem{Base: least}, reg.K1, zmm(0))
	k.VMOVDQU32_Z(Mem{Base: most}, reg.K1, zmm(1))
	pixels := k.load("pixels")
	k.Label("pixel")
	k.VMOVDQU32_Z(Mem{Base: acc}, reg.K1, zmm(2))
	k.VPMINSD(zmm(2), zmm(0), zmm(0))
	k.VPMAXSD(zmm(2), zmm(1), zmm(1))
	k.ADDQ(step, acc)
	k.DECQ(pixels)
	k.JNE(LabelRef("pixel"))
	k.VMOVDQU32(zmm(0), reg.K1, Mem{Base: least})
	k.VMOVDQU32(zmm(1), reg.K1, Mem{Base: most})
	k.VZEROUPPER()
	k.RET()

	k = newRowKernel(c, "finiteRangeAVX512", "func(ends, x *float32, n int) int", "least and largest finite x, 16 of each; returns how many x are not finite")
	ends := k.load("ends")
	x := k.walk("x", 4)
	k.VMOVUPS(Mem{Base: ends}, zmm(16))
	k.VMOVUPS(Mem{Base: ends, Disp: 64}, zmm(17))
	good, some, n := k.GP64(), k.GP32(), k.load("n")
	k.XORQ(good, good)
	k.rows(nil, n, func(mask reg.Register, _ Op) {
		k.VMOVUPS_Z(at(x), mask, zmm(0))
		k.VSUBPS(zmm(0), zmm(0), zmm(2)) // NaN unless x is finite
		k.VCMPPS(Imm(ordered), zmm(2), zmm(2), mask, reg.K3)
		k.VMINPS(zmm(0), zmm(16), reg.K3, zmm(16))
		k.VMAXPS(zmm(0), zmm(17), reg.K3, zmm(17))
		k.KMOVW(reg.K3, some)
		k.POPCNTL(some, some)
		k.ADDQ(some.As64(), good)
	})
	k.VMOVUPS(zmm(16), Mem{Base: ends})
	k.VMOVUPS(zmm(17), Mem{Base: ends, Disp: 64})
	bad := k.GP64()
	k.MOVQ(n, bad)
	k.SUBQ(good, bad)
	k.VZEROUPPER()
	k.Store(bad, k.ReturnIndex(0))
	k.RET()
}
