package main

import (
	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// channelSums writes channel sums of up to 32 channels, which stay in registers. Each channel is
// added in the order of the pixels.
func channelSums(c *build.Context) {
	k := newRowKernel(c, "channelSumsAVX512", "func(sum *float64, x *float32, rows, pixels, rowStep, step, channels int)",
		"sum += x over rows and pixels rowStep and step bytes apart; at most 32 channels")
	sum, x := k.load("sum"), k.load("x")
	rows, pixels, rowStep, step := k.load("rows"), k.load("pixels"), k.load("rowStep"), k.load("step")
	at, left, mask := k.GP64(), k.GP64(), k.GP32()
	k.channelMask(mask)
	masks := []reg.Register{reg.K1, reg.K2, reg.K3, reg.K4} // of eight channels each
	for q, m := range masks {
		k.KMOVW(mask, m)
		k.SHRL(Imm(8), mask)
		k.VMOVUPD_Z(Mem{Base: sum, Disp: 64 * q}, m, zmm(q))
	}
	k.Label("row")
	k.MOVQ(x, at)
	k.MOVQ(pixels, left)
	k.Label("pixel")
	for q, m := range masks {
		k.VCVTPS2PD_Z(Mem{Base: at, Disp: 32 * q}, m, zmm(4+q))
		k.VADDPD(zmm(4+q), zmm(q), zmm(q))
	}
	k.ADDQ(step, at)
	k.DECQ(left)
	k.JNE(LabelRef("pixel"))
	k.ADDQ(rowStep, x)
	k.DECQ(rows)
	k.JNE(LabelRef("row"))
	for q, m := range masks {
		k.VMOVUPD(zmm(q), m, Mem{Base: sum, Disp: 64 * q})
	}
	k.VZEROUPPER()
	k.RET()
}
