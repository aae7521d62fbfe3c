package main

import (
	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// intdepthwise writes the AVX2 form of depthwise integer convolution: 16 channels of a row of
// pixels, two taps at a time. Y0 and Y1 are the sums of channels 0 to 3 and 8 to 11, and 4 to 7
// and 12 to 15.
func intdepthwise(c *build.Context) {
	for _, signed := range []bool{false, true} {
		name := "depthTapsAVX2"
		if signed {
			name = "depthTapsSignedAVX2"
		}
		k := newRowKernel(c, name, "func(acc *int32, x *uint8, w *int8, start *int32, taps *int, pairs, pixels, accStep, xStep int)",
			"acc = start + Σ x[taps]·w for 16 channels of each pixel")
		widen := k.VPMOVZXBW
		if signed {
			widen = k.VPMOVSXBW
		}
		acc, x, start, pixels := k.load("acc"), k.load("x"), k.load("start"), k.load("pixels")
		accStep, xStep := k.load("accStep"), k.load("xStep")
		w, taps, left, at := k.GP64(), k.GP64(), k.GP64(), k.GP64()
		for h := range 2 {
			k.VMOVDQU(Mem{Base: start, Disp: 32 * h}, ymm(6+h))
		}
		k.Label("pixel")
		k.MOVQ(k.param("w"), w)
		k.MOVQ(k.param("taps"), taps)
		k.MOVQ(k.param("pairs"), left)
		k.VPXOR(ymm(0), ymm(0), ymm(0))
		k.VPXOR(ymm(1), ymm(1), ymm(1))
		k.Label("pair")
		for t := range 2 {
			k.MOVQ(Mem{Base: taps, Disp: 8 * t}, at)
			widen(Mem{Base: x, Index: at, Scale: 1}, ymm(2+t))
		}
		k.VPUNPCKLWD(ymm(3), ymm(2), ymm(4))
		k.VPUNPCKHWD(ymm(3), ymm(2), ymm(5))
		for h := range 2 {
			k.VPMADDWD(Mem{Base: w, Disp: 32 * h}, ymm(4+h), ymm(4+h))
			k.VPADDD(ymm(4+h), ymm(h), ymm(h))
		}
		k.ADDQ(Imm(16), taps)
		k.ADDQ(Imm(64), w)
		k.DECQ(left)
		k.JNE(LabelRef("pair"))
		for h, lanes := range []uint64{0x20, 0x31} {
			k.VPERM2I128(Imm(lanes), ymm(1), ymm(0), ymm(2))
			k.VPADDD(ymm(6+h), ymm(2), ymm(2))
			k.VMOVDQU(ymm(2), Mem{Base: acc, Disp: 32 * h})
		}
		k.ADDQ(accStep, acc)
		k.ADDQ(xStep, x)
		k.DECQ(pixels)
		k.JNE(LabelRef("pixel"))
		k.VZEROUPPER()
		k.RET()
	}
}
