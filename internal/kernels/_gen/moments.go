package main

import (
	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// moments writes the sums over pixels of up to 16 or 8 channels, which stay in registers.
// Each channel is added in the order of the pixels. Products of float32 are exact in float64,
// so that fusing them with the sum changes nothing.
func moments(c *build.Context) {
	k := newRowKernel(c, "momentsAVX512", "func(sum, product *float64, a, b *float32, pixels, astep, bstep, channels int)",
		"sum += a, product += a·b over pixels astep and bstep bytes apart; at most 16 channels")
	sum, product := k.load("sum"), k.load("product")
	a, b := k.load("a"), k.load("b")
	astep, bstep := k.load("astep"), k.load("bstep")
	mask := k.GP32()
	k.channelMask(mask)
	k.KMOVW(mask, reg.K1)
	k.SHRL(Imm(8), mask)
	k.KMOVW(mask, reg.K2)
	masks := []reg.Register{reg.K1, reg.K2}
	for h, m := range masks { // Z0 and Z1 sums, Z2 and Z3 products; K1 selects its low eight lanes
		k.VMOVUPD_Z(Mem{Base: sum, Disp: 64 * h}, m, zmm(h))
		k.VMOVUPD_Z(Mem{Base: product, Disp: 64 * h}, m, zmm(2+h))
	}
	pixels := k.load("pixels")
	k.Label("pixel")
	k.VMOVUPS_Z(Mem{Base: a}, reg.K1, zmm(4))
	k.VMOVUPS_Z(Mem{Base: b}, reg.K1, zmm(5))
	k.VEXTRACTF64X4(Imm(1), zmm(4), ymm(6))
	k.VEXTRACTF64X4(Imm(1), zmm(5), ymm(7))
	k.VCVTPS2PD(ymm(4), zmm(4))
	k.VCVTPS2PD(ymm(5), zmm(5))
	k.VCVTPS2PD(ymm(6), zmm(6))
	k.VCVTPS2PD(ymm(7), zmm(7))
	k.VADDPD(zmm(4), zmm(0), zmm(0))
	k.VADDPD(zmm(6), zmm(1), zmm(1))
	k.VFMADD231PD(zmm(4), zmm(5), zmm(2))
	k.VFMADD231PD(zmm(6), zmm(7), zmm(3))
	k.ADDQ(astep, a)
	k.ADDQ(bstep, b)
	k.DECQ(pixels)
	k.JNE(LabelRef("pixel"))
	for h, m := range masks {
		k.VMOVUPD(zmm(h), m, Mem{Base: sum, Disp: 64 * h})
		k.VMOVUPD(zmm(2+h), m, Mem{Base: product, Disp: 64 * h})
	}
	k.VZEROUPPER()
	k.RET()

	k = newRowKernel(c, "accMomentsAVX512", "func(sum *int64, low, high *uint64, acc *int32, pixels, step, channels int)",
		"sum += acc; low and high += the halves of acc·acc, over pixels step bytes apart; at most 8 channels")
	pointers := []reg.Register{k.load("sum"), k.load("low"), k.load("high")}
	acc, step := k.load("acc"), k.load("step")
	mask = k.GP32()
	k.channelMask(mask)
	k.KMOVW(mask, reg.K1)
	for i, p := range pointers {
		k.VMOVDQU64_Z(Mem{Base: p}, reg.K1, zmm(i))
	}
	low := k.GP64()
	k.MOVL(U32(0xffffffff), low.As32())
	k.VPBROADCASTQ(low, zmm(5))
	pixels = k.load("pixels")
	k.Label("pixel")
	k.VMOVDQU32_Z(Mem{Base: acc}, reg.K1, zmm(3))
	k.VPMOVSXDQ(ymm(3), zmm(3))
	k.VPADDQ(zmm(3), zmm(0), zmm(0))
	k.VPMULDQ(zmm(3), zmm(3), zmm(3))
	k.VPANDQ(zmm(5), zmm(3), zmm(4))
	k.VPSRLQ(Imm(32), zmm(3), zmm(3))
	k.VPADDQ(zmm(4), zmm(1), zmm(1))
	k.VPADDQ(zmm(3), zmm(2), zmm(2))
	k.ADDQ(step, acc)
	k.DECQ(pixels)
	k.JNE(LabelRef("pixel"))
	for i, p := range pointers {
		k.VMOVDQU64(zmm(i), reg.K1, Mem{Base: p})
	}
	k.VZEROUPPER()
	k.RET()
}

// channelMask sets as many low bits of mask as there are channels, at most 32.
func (k *rowKernel) channelMask(mask reg.GPVirtual) {
	k.MOVL(U32(0xffffffff), mask)
	k.BZHIL(k.load("channels").(reg.GP).As32(), mask, mask)
}
