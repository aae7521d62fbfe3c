package main

import (
	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// intwinograd writes the transforms of Winograd's convolution F(2×2, 3×3) for AVX2. A point is
// one of the 4×4 places of a transformed tile.
func intwinograd(c *build.Context) {
	winogradInput(c, "winogradInputAVX2", func(k *rowKernel) func(ops ...Op) { return k.VPMOVZXBW })
	winogradInput(c, "winogradInputSignedAVX2", func(k *rowKernel) func(ops ...Op) { return k.VPMOVSXBW })
	winogradOutput(c)
}

// winogradInput writes the transform of the input, 16 channels at a time.
func winogradInput(c *build.Context, name string, widen func(k *rowKernel) func(ops ...Op)) {
	k := newRowKernel(c, name, "func(dst, x *uint8, tiles, blocks, point, tile, xTile, row, row3, column, column3 int)",
		"dst[point][tile] = Bᵀ·x·B for blocks of 16 channels; row3 and column3 are the places of the last row and column")
	dst, x, tiles := k.load("dst"), k.load("x"), k.load("tiles")
	point, row, column, column3 := k.load("point"), k.load("row"), k.load("column"), k.load("column3")
	point3, blocks, from, to, p, q := k.GP64(), k.GP64(), k.GP64(), k.GP64(), k.GP64(), k.GP64()
	k.LEAQ(Mem{Base: point, Index: point, Scale: 2}, point3)
	k.Label("tile")
	k.MOVQ(x, from)
	k.MOVQ(dst, to)
	k.MOVQ(k.param("blocks"), blocks)
	k.Label("block")
	// line makes Y4i+j the j-th value of row i, transformed along the row.
	line := func(i int) {
		places := []Mem{{Base: p}, {Base: p, Index: column, Scale: 1}, {Base: p, Index: column, Scale: 2}, {Base: p, Index: column3, Scale: 1}}
		for j, m := range places {
			widen(k)(m, ymm(12+j))
		}
		k.VPSUBW(ymm(14), ymm(12), ymm(4*i))
		k.VPADDW(ymm(14), ymm(13), ymm(4*i+1))
		k.VPSUBW(ymm(13), ymm(14), ymm(4*i+2))
		k.VPSUBW(ymm(15), ymm(13), ymm(4*i+3))
	}
	// store writes four points from Y12 on.
	store := func() {
		for j, m := range []Mem{{Base: q}, {Base: q, Index: point, Scale: 1}, {Base: q, Index: point, Scale: 2}, {Base: q, Index: point3, Scale: 1}} {
			k.VMOVDQU(ymm(12+j), m)
		}
		k.LEAQ(Mem{Base: q, Index: point, Scale: 4}, q)
	}
	k.MOVQ(from, p)
	k.MOVQ(to, q)
	for i := range 3 {
		line(i)
		if i < 2 {
			k.ADDQ(row, p)
		}
	}
	for j := range 4 {
		k.VPSUBW(ymm(8+j), ymm(j), ymm(12+j))
	}
	store()
	for j := range 4 {
		k.VPADDW(ymm(8+j), ymm(4+j), ymm(12+j))
	}
	store()
	for j := range 4 {
		k.VPSUBW(ymm(4+j), ymm(8+j), ymm(12+j))
	}
	store()
	k.MOVQ(from, p)
	k.ADDQ(k.param("row3"), p)
	line(0)
	for j := range 4 {
		k.VPSUBW(ymm(j), ymm(4+j), ymm(12+j))
	}
	store()
	k.ADDQ(Imm(16), from)
	k.ADDQ(Imm(32), to)
	k.DECQ(blocks)
	k.JNE(LabelRef("block"))
	k.ADDQ(k.param("xTile"), x)
	k.ADDQ(k.param("tile"), dst)
	k.DECQ(tiles)
	k.JNE(LabelRef("tile"))
	k.VZEROUPPER()
	k.RET()
}

// winogradOutput writes the transform of the products, eight channels at a time. They are four
// times those of the convolution.
func winogradOutput(c *build.Context) {
	k := newRowKernel(c, "winogradOutputAVX2", "func(acc, m, start *int32, tiles, vectors, point, tile, row, pixel int)",
		"acc = start + Aᵀ·m·A/4 for 2×2 pixels of each tile, the first pixel last; vectors of 8 channels")
	acc, m, tiles := k.load("acc"), k.load("m"), k.load("tiles")
	point, row, pixel := k.load("point"), k.load("row"), k.load("pixel")
	point4, point12 := k.GP64(), k.GP64()
	start, vectors, from, to, below, q := k.GP64(), k.GP64(), k.GP64(), k.GP64(), k.GP64(), k.GP64()
	k.MOVQ(point, point4)
	k.SHLQ(Imm(2), point4)
	k.LEAQ(Mem{Base: point4, Index: point4, Scale: 2}, point12)
	k.Label("tile")
	k.MOVQ(m, from)
	k.MOVQ(acc, to)
	k.MOVQ(k.param("start"), start)
	k.MOVQ(k.param("vectors"), vectors)
	k.Label("vector")
	k.MOVQ(from, q)
	for j := range 4 { // Yj and Y4+j: the rows of Aᵀ·m
		k.VMOVDQU(Mem{Base: q, Index: point4, Scale: 1}, ymm(8))
		k.VMOVDQU(Mem{Base: q, Index: point4, Scale: 2}, ymm(9))
		k.VPADDD(ymm(9), ymm(8), ymm(10))
		k.VPSUBD(ymm(9), ymm(8), ymm(8))
		k.VPADDD(Mem{Base: q}, ymm(10), ymm(j))
		k.VPSUBD(Mem{Base: q, Index: point12, Scale: 1}, ymm(8), ymm(4+j))
		if j < 3 {
			k.ADDQ(point, q)
		}
	}
	k.VMOVDQU(Mem{Base: start}, ymm(15))
	for i := range 2 { // Y8+2i and Y9+2i: the pixels of row i
		t, left, right := 4*i, ymm(8+2*i), ymm(9+2*i)
		k.VPADDD(ymm(t+2), ymm(t+1), left)
		k.VPSUBD(ymm(t+2), ymm(t+1), right)
		k.VPADDD(ymm(t), left, left)
		k.VPSUBD(ymm(t+3), right, right)
		for _, y := range []Op{left, right} {
			k.VPSRAD(Imm(2), y, y)
			k.VPADDD(ymm(15), y, y)
		}
	}
	k.LEAQ(Mem{Base: to, Index: row, Scale: 1}, below)
	k.VMOVDQU(ymm(11), Mem{Base: below, Index: pixel, Scale: 1})
	k.VMOVDQU(ymm(10), Mem{Base: below})
	k.VMOVDQU(ymm(9), Mem{Base: to, Index: pixel, Scale: 1})
	k.VMOVDQU(ymm(8), Mem{Base: to})
	k.ADDQ(Imm(32), from)
	k.ADDQ(Imm(32), to)
	k.ADDQ(Imm(32), start)
	k.DECQ(vectors)
	k.JNE(LabelRef("vector"))
	k.ADDQ(k.param("tile"), m)
	k.LEAQ(Mem{Base: acc, Index: pixel, Scale: 2}, acc)
	k.DECQ(tiles)
	k.JNE(LabelRef("tile"))
	k.VZEROUPPER()
	k.RET()
}
