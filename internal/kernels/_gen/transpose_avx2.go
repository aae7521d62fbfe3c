package main

import (
	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// transpose8 writes the transpose of 8×8 elements of 32 bits, whose rows lie anywhere. Rows i and
// 4 + i share a vector, so that interleaving within its halves is enough.
func transpose8(c *build.Context) {
	k := newRowKernel(c, "transposeAVX2", "func(dst, src *uint32, to, from *[8]int)",
		"dst[j][i] = src[i][j], where row j of dst begins to[j] bytes after dst and row i of src from[i] bytes after src")
	dst, src, to, from, row := k.load("dst"), k.load("src"), k.load("to"), k.load("from"), k.GP64()
	element := func(base, table reg.Register, i, disp int) Mem {
		k.MOVQ(Mem{Base: table, Disp: 8 * i}, row)
		return Mem{Base: base, Index: row, Scale: 1, Disp: 4 * disp}
	}
	for half := range 2 { // columns 4·half to 4·half + 3
		for i := range 4 {
			k.VMOVUPS(element(src, from, i, 4*half), xmm(i))
		}
		for i := range 4 {
			k.VINSERTF128(Imm(1), element(src, from, 4+i, 4*half), ymm(i), ymm(i))
		}
		for i := range 2 { // Y4+2i, Y5+2i: rows 2i and 2i+1
			k.VUNPCKLPS(ymm(2*i+1), ymm(2*i), ymm(4+2*i))
			k.VUNPCKHPS(ymm(2*i+1), ymm(2*i), ymm(5+2*i))
		}
		k.VUNPCKLPD(ymm(6), ymm(4), ymm(0))
		k.VUNPCKHPD(ymm(6), ymm(4), ymm(1))
		k.VUNPCKLPD(ymm(7), ymm(5), ymm(2))
		k.VUNPCKHPD(ymm(7), ymm(5), ymm(3))
		for j := range 4 {
			k.VMOVUPS(ymm(j), element(dst, to, 4*half+j, 0))
		}
	}
	k.VZEROUPPER()
	k.RET()
}
