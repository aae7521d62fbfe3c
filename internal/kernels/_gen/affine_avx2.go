package main

import (
	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// affine8 writes the AVX2 forms of affine.
func affine8(c *build.Context) {
	for _, up := range []bool{false, true} {
		name, doc := "requantizeAffineEvenAVX2", "dst = roundEven(clamp(float32(acc)·a + off, lo, hi)) + z, per channel; at least 8 channels"
		if up {
			name, doc = "requantizeAffineUpAVX2", "dst = roundUp(clamp(float32(acc)·a + off, lo, hi)) + z, per channel; at least 8 channels; z is 2·z + 1"
		}
		k := newRowKernel(c, name, "func(dst *uint8, acc *int32, a, off *float32, pixels, channels int, lo, hi float32, z int32)", doc)
		dst, acc := k.walk("dst", 1), k.walk("acc", 4)
		a, off := k.channels("a", 4), k.channels("off", 4)
		k.VBROADCASTSS(k.param("lo"), ymm(4))
		k.VBROADCASTSS(k.param("hi"), ymm(5))
		k.VBROADCASTSS(k.param("z"), ymm(6))
		k.constant8(255, 15)
		k.bulkConstants()
		// code makes y the codes of elements 8i to 8i+7.
		code := func(i int, y, scratch reg.VecPhysical) {
			k.VCVTDQ2PS(acc.part(i), y)
			k.VMULPS(a.part(i), y, y)
			k.VADDPS(off.part(i), y, y)
			k.VCMPPS(Imm(ordered), y, y, scratch)
			k.VANDPS(scratch, y, y) // 0 for NaN
			k.VMAXPS(ymm(4), y, y)
			k.VMINPS(ymm(5), y, y)
			if up { // ⌊x + ½⌋ + z = (⌊2x⌋ + 1 + 2z) >> 1
				k.VADDPS(y, y, y)
				k.VROUNDPS(Imm(1), y, y)
			}
			k.VCVTPS2DQ(y, y)
			k.VPADDD(ymm(6), y, y)
			if up {
				k.VPSRAD(Imm(1), y, y)
			}
		}
		k.bulkStrips(8, k.load("pixels"), k.load("channels"), func() {
			for i := range 4 {
				code(i, ymm(i), ymm(7))
			}
			for _, y := range []int{0, 2} {
				k.VPACKSSDW(ymm(y+1), ymm(y), ymm(y))
				k.VPAND(ymm(11), ymm(y), ymm(y))
			}
			k.bulkBytes(dst)
		}, func(reg.Register) { code(0, ymm(0), ymm(1)) }, func() { k.storeBytes(dst) })
		k.RET()
	}

	k := newRowKernel(c, "accumulatorRangeAVX2", "func(least, most, acc *int32, pixels, step int)",
		"least = min(least, acc), most = max(most, acc) over pixels step bytes apart; 8 channels")
	least, most, acc := k.load("least"), k.load("most"), k.load("acc")
	step, pixels := k.load("step"), k.load("pixels")
	k.VMOVDQU(Mem{Base: least}, ymm(0))
	k.VMOVDQU(Mem{Base: most}, ymm(1))
	k.Label("pixel")
	k.VMOVDQU(Mem{Base: acc}, ymm(2))
	k.VPMINSD(ymm(2), ymm(0), ymm(0))
	k.VPMAXSD(ymm(2), ymm(1), ymm(1))
	k.ADDQ(step, acc)
	k.DECQ(pixels)
	k.JNE(LabelRef("pixel"))
	k.VMOVDQU(ymm(0), Mem{Base: least})
	k.VMOVDQU(ymm(1), Mem{Base: most})
	k.VZEROUPPER()
	k.RET()

	k = newRowKernel(c, "finiteRangeAVX2", "func(ends, x *float32, n int) int",
		"least and largest finite x, 16 of each; returns how many x are not finite; n is a positive multiple of 16")
	ends, x, left := k.load("ends"), k.load("x"), k.load("n")
	for i := range 4 {
		k.VMOVUPS(Mem{Base: ends, Disp: 32 * i}, ymm(8+i))
	}
	k.VPXOR(ymm(4), ymm(4), ymm(4)) // minus the number of those that are not
	k.Label("sixteen")
	for h := range 2 {
		k.VMOVUPS(Mem{Base: x, Disp: 32 * h}, ymm(0))
		k.VSUBPS(ymm(0), ymm(0), ymm(1)) // 0, or NaN unless x is finite
		k.VCMPPS(Imm(unordered), ymm(1), ymm(1), ymm(2))
		k.VPADDD(ymm(2), ymm(4), ymm(4))
		k.VORPS(ymm(1), ymm(0), ymm(0))
		k.VMINPS(ymm(8+h), ymm(0), ymm(8+h)) // the second operand if one is NaN
		k.VMAXPS(ymm(10+h), ymm(0), ymm(10+h))
	}
	k.ADDQ(Imm(64), x)
	k.SUBQ(Imm(16), left)
	k.JNE(LabelRef("sixteen"))
	for i := range 4 {
		k.VMOVUPS(ymm(8+i), Mem{Base: ends, Disp: 32 * i})
	}
	k.VEXTRACTI128(Imm(1), ymm(4), xmm(0))
	k.VPADDD(xmm(0), xmm(4), xmm(4))
	k.VPSHUFD(Imm(0x4e), xmm(4), xmm(0))
	k.VPADDD(xmm(0), xmm(4), xmm(4))
	k.VPSHUFD(Imm(0xb1), xmm(4), xmm(0))
	k.VPADDD(xmm(0), xmm(4), xmm(4))
	bad := k.GP64()
	k.VMOVD(xmm(4), bad.As32())
	k.NEGL(bad.As32())
	k.VZEROUPPER()
	k.Store(bad, k.ReturnIndex(0))
	k.RET()
}
