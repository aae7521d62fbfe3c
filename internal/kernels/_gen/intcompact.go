package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// intcompact writes the loops that unpack weights of four bits and of two.
func intcompact(c *build.Context) {
	for _, width := range []int{4, 2} {
		parts := 8 / width
		k := newRowKernel(c, fmt.Sprintf("unpack%dAVX2", width), "func(dst, src *int8, vectors int)",
			fmt.Sprintf("byte i of part j of dst = bits %[1]d·j to %[1]d·j + %[2]d of byte i of src, sign-extended; %[3]d parts of 32 bytes for each vector of src", width, width-1, parts))
		dst, src, vectors := k.load("dst"), k.load("src"), k.load("vectors")
		// Y14 is a mask, Y15 maps values to bytes with a sign.
		mask, signed := uint32(0x0f0f0f0f), [2]uint64{0x0706050403020100, 0xfffefdfcfbfaf9f8}
		if width == 2 {
			mask, signed = 0x03030303, [2]uint64{0xfffe0100, 0}
		}
		k.constant8(mask, 14)
		low, high := k.GP64(), k.GP64()
		k.MOVQ(U64(signed[0]), low)
		k.MOVQ(U64(signed[1]), high)
		k.VMOVQ(low, xmm(15))
		k.VPINSRQ(Imm(1), high, xmm(15), xmm(15))
		k.VINSERTI128(Imm(1), xmm(15), ymm(15), ymm(15))
		k.Label("vector")
		k.VMOVDQU(Mem{Base: src}, ymm(0))
		for j := range parts {
			if j > 0 {
				k.VPSRLW(Imm(uint64(width)), ymm(0), ymm(0))
			}
			k.VPAND(ymm(14), ymm(0), ymm(1))
			k.VPSHUFB(ymm(1), ymm(15), ymm(1))
			k.VMOVDQU(ymm(1), Mem{Base: dst, Disp: 32 * j})
		}
		k.ADDQ(Imm(32), src)
		k.ADDQ(Imm(uint64(32*parts)), dst)
		k.DECQ(vectors)
		k.JNE(LabelRef("vector"))
		k.VZEROUPPER()
		k.RET()
	}
}
