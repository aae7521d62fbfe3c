package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// channelSums8 writes the AVX2 forms of channel sums, for 16 and for 8 channels.
func channelSums8(c *build.Context) {
	for _, channels := range []int{16, 8} {
		quads := channels / 4
		k := newRowKernel(c, fmt.Sprintf("channelSums%dAVX2", channels), "func(sum *float64, x *float32, rows, pixels, rowStep, step int)",
			fmt.Sprintf("sum += x over rows and pixels rowStep and step bytes apart; %d channels", channels))
		sum, x := k.load("sum"), k.load("x")
		rows, pixels, rowStep, step := k.load("rows"), k.load("pixels"), k.load("rowStep"), k.load("step")
		at, left := k.GP64(), k.GP64()
		for q := range quads {
			k.VMOVUPD(Mem{Base: sum, Disp: 32 * q}, ymm(q))
		}
		k.Label("row")
		k.MOVQ(x, at)
		k.MOVQ(pixels, left)
		k.Label("pixel")
		for q := range quads {
			k.VCVTPS2PD(Mem{Base: at, Disp: 16 * q}, ymm(4+q))
			k.VADDPD(ymm(4+q), ymm(q), ymm(q))
		}
		k.ADDQ(step, at)
		k.DECQ(left)
		k.JNE(LabelRef("pixel"))
		k.ADDQ(rowStep, x)
		k.DECQ(rows)
		k.JNE(LabelRef("row"))
		for q := range quads {
			k.VMOVUPD(ymm(q), Mem{Base: sum, Disp: 32 * q})
		}
		k.VZEROUPPER()
		k.RET()
	}
}
