package main

import (
	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// intweave writes what interleaves the rows that a kernel of few channels reads.
func intweave(c *build.Context) {
	k := newRowKernel(c, "weaveAVX512", "func(dst, src, table *uint8, blocks, vectors, rows, dstStep, srcStep, rowStep int, offset uint32)",
		"dst[64v+i] = offset + the code table[v][row][i] of the one row that has it there, for each block of 16 codes of src")
	dst, src, blocks := k.load("dst"), k.load("src"), k.load("blocks")
	dstStep, srcStep, rowStep := k.load("dstStep"), k.load("srcStep"), k.load("rowStep")
	k.broadcast("offset", zmm(2))
	d, s, table, vectors, rows := k.GP64(), k.GP64(), k.GP64(), k.GP64(), k.GP64()
	k.Label("block")
	k.MOVQ(dst, d)
	k.Load(k.Param("table"), table)
	k.Load(k.Param("vectors"), vectors)
	k.Label("vector")
	k.MOVQ(src, s)
	k.Load(k.Param("rows"), rows)
	k.VMOVDQA32(zmm(2), zmm(0))
	k.Label("row")
	k.VBROADCASTI32X4(Mem{Base: s}, zmm(1))
	k.VPSHUFB(Mem{Base: table}, zmm(1), zmm(1))
	k.VPADDB(zmm(1), zmm(0), zmm(0))
	k.ADDQ(rowStep, s)
	k.ADDQ(Imm(64), table)
	k.DECQ(rows)
	k.JNE(LabelRef("row"))
	k.VMOVDQU32(zmm(0), Mem{Base: d})
	k.ADDQ(Imm(64), d)
	k.DECQ(vectors)
	k.JNE(LabelRef("vector"))
	k.ADDQ(dstStep, dst)
	k.ADDQ(srcStep, src)
	k.DECQ(blocks)
	k.JNE(LabelRef("block"))
	k.VZEROUPPER()
	k.RET()
}
