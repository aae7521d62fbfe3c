package main

import (
	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// transpose writes the transpose of up to 16×16 elements of 32 bits: pairs of rows, then
// of pairs, are interleaved within lanes of 128 bits, then the lanes are exchanged.
func transpose(c *build.Context) {
	k := newRowKernel(c, "transposeAVX512", "func(dst, src *uint32, dstStep, srcStep, rows, columns int)",
		"dst[j][i] = src[i][j] for 1 to 16 rows and columns; rows of dst are dstStep bytes apart, those of src srcStep")
	dst, src := k.load("dst"), k.load("src")
	dstStep, step, rows, columns := k.load("dstStep"), k.load("srcStep"), k.load("rows"), k.load("columns")
	ones, mask, zero := k.GP32(), k.GP32(), k.GP64()
	k.MOVL(U32(0xffff), ones)
	k.BZHIL(columns.(reg.GP).As32(), ones, mask)
	k.KMOVW(mask, reg.K1)
	k.BZHIL(rows.(reg.GP).As32(), ones, mask)
	k.KMOVW(mask, reg.K2)
	k.XORQ(zero, zero)
	for i := range 16 {
		k.VMOVDQU32_Z(Mem{Base: src}, reg.K1, zmm(i))
		k.DECQ(rows)
		k.CMOVQEQ(zero, step) // after the last row, read it again
		k.ADDQ(step, src)
	}
	for i := range 8 { // Z16+2i, Z17+2i: rows 2i and 2i+1
		k.VPUNPCKLDQ(zmm(2*i+1), zmm(2*i), zmm(16+2*i))
		k.VPUNPCKHDQ(zmm(2*i+1), zmm(2*i), zmm(17+2*i))
	}
	for g := range 4 { // Z4g+j: rows 4g to 4g+3 of columns j, 4+j, 8+j, 12+j
		k.VPUNPCKLQDQ(zmm(16+4*g+2), zmm(16+4*g), zmm(4*g))
		k.VPUNPCKHQDQ(zmm(16+4*g+2), zmm(16+4*g), zmm(4*g+1))
		k.VPUNPCKLQDQ(zmm(16+4*g+3), zmm(16+4*g+1), zmm(4*g+2))
		k.VPUNPCKHQDQ(zmm(16+4*g+3), zmm(16+4*g+1), zmm(4*g+3))
	}
	for j := range 4 { // lanes of groups 0 and 1, of groups 2 and 3
		k.VSHUFI32X4(Imm(0x88), zmm(4+j), zmm(j), zmm(16+4*j))
		k.VSHUFI32X4(Imm(0xdd), zmm(4+j), zmm(j), zmm(17+4*j))
		k.VSHUFI32X4(Imm(0x88), zmm(12+j), zmm(8+j), zmm(18+4*j))
		k.VSHUFI32X4(Imm(0xdd), zmm(12+j), zmm(8+j), zmm(19+4*j))
	}
	for j := range 4 { // Zi: column i
		k.VSHUFI32X4(Imm(0x88), zmm(18+4*j), zmm(16+4*j), zmm(j))
		k.VSHUFI32X4(Imm(0xdd), zmm(18+4*j), zmm(16+4*j), zmm(8+j))
		k.VSHUFI32X4(Imm(0x88), zmm(19+4*j), zmm(17+4*j), zmm(4+j))
		k.VSHUFI32X4(Imm(0xdd), zmm(19+4*j), zmm(17+4*j), zmm(12+j))
	}
	for i := range 16 {
		k.VMOVDQU32(zmm(i), reg.K2, Mem{Base: dst})
		k.DECQ(columns)
		k.JEQ(LabelRef("done"))
		k.ADDQ(dstStep, dst)
	}
	k.Label("done")
	k.VZEROUPPER()
	k.RET()
}
