package main

import (
	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// winograd writes the transforms of Winograd's convolution F(2×2, 3×3) in float32 for AVX2, eight
// channels at a time. A point is one of the 4×4 places of a transformed tile.
func winograd(c *build.Context) {
	spreadTiles(c)
	gatherTiles(c, "gatherTilesAVX2", false)
	gatherTiles(c, "gatherTilesAddAVX2", true)
	spreadWeights(c)
	spreadGradients(c)
	gatherWeights(c)
}

// four returns the places of four neighbours step bytes apart; step3 is three times step, or where
// the last one lies.
func four(base, step, step3 reg.Register) [4]Mem {
	return [4]Mem{{Base: base}, {Base: base, Index: step, Scale: 1}, {Base: base, Index: step, Scale: 2}, {Base: base, Index: step3, Scale: 1}}
}

// spreadTiles writes the transform of the input.
func spreadTiles(c *build.Context) {
	k := newRowKernel(c, "spreadTilesAVX2", "func(dst, x *float32, tiles, vectors, point, tile, xTile, row, row3, column, column3 int)",
		"dst[point][tile] = Bᵀ·x·B for vectors of 8 channels; row3 and column3 are the places of the last row and column")
	dst, x, tiles := k.load("dst"), k.load("x"), k.load("tiles")
	point, row, column, column3 := k.load("point"), k.load("row"), k.load("column"), k.load("column3")
	point3, vectors, from, to, p, q, ahead := k.GP64(), k.GP64(), k.GP64(), k.GP64(), k.GP64(), k.GP64(), k.GP64()
	k.LEAQ(Mem{Base: point, Index: point, Scale: 2}, point3)
	k.Label("tile")
	k.MOVQ(x, from)
	k.MOVQ(dst, to)
	k.MOVQ(k.param("vectors"), vectors)
	k.Label("vector")
	// line makes Y4i+j the j-th value of row i, transformed along the row.
	line := func(i int) {
		x := four(p, column, column3)
		k.VMOVUPS(x[1], ymm(14))
		k.VMOVUPS(x[2], ymm(15))
		k.VMOVUPS(x[0], ymm(13))
		k.VSUBPS(ymm(15), ymm(13), ymm(4*i))
		k.VADDPS(ymm(15), ymm(14), ymm(4*i+1))
		k.VSUBPS(ymm(14), ymm(15), ymm(4*i+2))
		k.VSUBPS(x[3], ymm(14), ymm(4*i+3))
	}
	// store writes four points from Y12 on.
	store := func() {
		for j, m := range four(q, point, point3) {
			k.VMOVUPS(ymm(12+j), m)
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
	for range 2 { // two pixels of the tile below
		k.LEAQ(Mem{Base: p, Index: row, Scale: 2}, ahead)
		k.PREFETCHT0(Mem{Base: ahead})
		k.PREFETCHT0(Mem{Base: ahead, Index: column, Scale: 1})
		k.ADDQ(row, p)
	}
	for j := range 4 {
		k.VSUBPS(ymm(8+j), ymm(j), ymm(12+j))
	}
	store()
	for j := range 4 {
		k.VADDPS(ymm(8+j), ymm(4+j), ymm(12+j))
	}
	store()
	for j := range 4 {
		k.VSUBPS(ymm(4+j), ymm(8+j), ymm(12+j))
	}
	store()
	k.MOVQ(from, p)
	k.ADDQ(k.param("row3"), p)
	line(0)
	for j := range 4 {
		k.VSUBPS(ymm(j), ymm(4+j), ymm(12+j))
	}
	store()
	k.ADDQ(Imm(32), from)
	k.ADDQ(Imm(32), to)
	k.DECQ(vectors)
	k.JNE(LabelRef("vector"))
	k.ADDQ(k.param("xTile"), x)
	k.ADDQ(k.param("tile"), dst)
	k.DECQ(tiles)
	k.JNE(LabelRef("tile"))
	k.VZEROUPPER()
	k.RET()
}

// gatherTiles writes the transform of the products.
func gatherTiles(c *build.Context, name string, add bool) {
	k := newRowKernel(c, name, "func(y, m, bias *float32, tiles, vectors, point, tile, row, pixel, biasStep int)",
		"y = Aᵀ·m·A + bias for 2×2 pixels of each tile, the first pixel last; vectors of 8 channels")
	y, m, tiles := k.load("y"), k.load("m"), k.load("tiles")
	point, row, pixel := k.load("point"), k.load("row"), k.load("pixel")
	point4, point12 := k.GP64(), k.GP64()
	bias, vectors, from, to, below, q := k.GP64(), k.GP64(), k.GP64(), k.GP64(), k.GP64(), k.GP64()
	k.MOVQ(point, point4)
	k.SHLQ(Imm(2), point4)
	k.LEAQ(Mem{Base: point4, Index: point4, Scale: 2}, point12)
	k.Label("tile")
	k.MOVQ(m, from)
	k.MOVQ(y, to)
	k.MOVQ(k.param("bias"), bias)
	k.MOVQ(k.param("vectors"), vectors)
	k.Label("vector")
	k.MOVQ(from, q)
	for j := range 4 { // Yj and Y4+j: the rows of Aᵀ·m
		m := four(q, point4, point12)
		k.VMOVUPS(m[1], ymm(8))
		k.VMOVUPS(m[2], ymm(9))
		k.VADDPS(ymm(9), ymm(8), ymm(10))
		k.VSUBPS(ymm(9), ymm(8), ymm(8))
		k.VADDPS(m[0], ymm(10), ymm(j))
		k.VSUBPS(m[3], ymm(8), ymm(4+j))
		if j < 3 {
			k.ADDQ(point, q)
		}
	}
	k.VMOVUPS(Mem{Base: bias}, ymm(15))
	k.LEAQ(Mem{Base: to, Index: row, Scale: 1}, below)
	pixels := [4]Mem{{Base: to}, {Base: to, Index: pixel, Scale: 1}, {Base: below}, {Base: below, Index: pixel, Scale: 1}}
	for i := range 2 { // Y8+2i and Y9+2i: the pixels of row i
		t, left, right := 4*i, ymm(8+2*i), ymm(9+2*i)
		k.VADDPS(ymm(t+2), ymm(t+1), left)
		k.VSUBPS(ymm(t+2), ymm(t+1), right)
		k.VADDPS(ymm(t), left, left)
		k.VSUBPS(ymm(t+3), right, right)
		for j, v := range []reg.VecPhysical{left, right} {
			k.VADDPS(ymm(15), v, v)
			if add {
				k.VADDPS(pixels[2*i+j], v, v)
			}
		}
	}
	for i := 3; i >= 0; i-- {
		k.VMOVUPS(ymm(8+i), pixels[i])
	}
	for range 2 { // the tile below
		k.ADDQ(row, below)
		k.PREFETCHT0(Mem{Base: below})
		k.PREFETCHT0(Mem{Base: below, Index: pixel, Scale: 1})
	}
	k.ADDQ(Imm(32), from)
	k.ADDQ(Imm(32), to)
	k.ADDQ(k.param("biasStep"), bias)
	k.DECQ(vectors)
	k.JNE(LabelRef("vector"))
	k.ADDQ(k.param("tile"), m)
	k.LEAQ(Mem{Base: y, Index: pixel, Scale: 2}, y)
	k.DECQ(tiles)
	k.JNE(LabelRef("tile"))
	k.VZEROUPPER()
	k.RET()
}

// spreadWeights writes the transform of kernels whose nine taps lie in planes into 16 planes.
func spreadWeights(c *build.Context) {
	k := newRowKernel(c, "spreadWeightsAVX2", "func(u, taps *float32, vectors, plane int)",
		"u[point] = G·taps·Gᵀ for vectors of 8 kernels; u and taps may overlap plane by plane")
	u, taps, vectors, plane := k.load("u"), k.load("taps"), k.load("vectors"), k.load("plane")
	plane3, p, q := k.GP64(), k.GP64(), k.GP64()
	k.LEAQ(Mem{Base: plane, Index: plane, Scale: 2}, plane3)
	half := ymm(15)
	k.constant8(0x3f000000, 15)
	// line stores the four values of a row whose three are given, and makes the third one the sum of
	// the outer ones.
	line := func(a, b, c reg.VecPhysical) {
		to := four(q, plane, plane3)
		k.VMOVUPS(a, to[0])
		k.VMOVUPS(c, to[3])
		k.VADDPS(c, a, c)
		k.VADDPS(b, c, ymm(12))
		k.VSUBPS(b, c, ymm(13))
		for i := range 2 {
			k.VMULPS(half, ymm(12+i), ymm(12+i))
			k.VMOVUPS(ymm(12+i), to[1+i])
		}
	}
	k.Label("vector")
	k.MOVQ(taps, p)
	k.MOVQ(u, q)
	for i := range 9 {
		k.VMOVUPS(Mem{Base: p}, ymm(i))
		if i < 8 {
			k.ADDQ(plane, p)
		}
	}
	for j := range 3 { // Y9+j and Y3+j: the rows in the middle
		k.VADDPS(ymm(6+j), ymm(j), ymm(12))
		k.VADDPS(ymm(3+j), ymm(12), ymm(9+j))
		k.VSUBPS(ymm(3+j), ymm(12), ymm(3+j))
		k.VMULPS(half, ymm(9+j), ymm(9+j))
		k.VMULPS(half, ymm(3+j), ymm(3+j))
	}
	for _, first := range []int{0, 9, 3, 6} {
		line(ymm(first), ymm(first+1), ymm(first+2))
		k.LEAQ(Mem{Base: q, Index: plane, Scale: 4}, q)
	}
	k.ADDQ(Imm(32), taps)
	k.ADDQ(Imm(32), u)
	k.DECQ(vectors)
	k.JNE(LabelRef("vector"))
	k.VZEROUPPER()
	k.RET()
}

// spreadGradients writes the transform of the gradient of the output.
func spreadGradients(c *build.Context) {
	k := newRowKernel(c, "spreadGradientsAVX2", "func(dst, dy *float32, tiles, vectors, point, tile, yTile, row, pixel int)",
		"dst[point][tile] = A·dy·Aᵀ for 2×2 pixels of each tile; vectors of 8 channels")
	dst, dy, tiles := k.load("dst"), k.load("dy"), k.load("tiles")
	point, row, pixel := k.load("point"), k.load("row"), k.load("pixel")
	point3, vectors, from, below, to, q := k.GP64(), k.GP64(), k.GP64(), k.GP64(), k.GP64(), k.GP64()
	k.LEAQ(Mem{Base: point, Index: point, Scale: 2}, point3)
	k.VXORPS(ymm(15), ymm(15), ymm(15))
	k.Label("tile")
	k.MOVQ(dy, from)
	k.LEAQ(Mem{Base: dy, Index: row, Scale: 1}, below)
	k.MOVQ(dst, to)
	k.MOVQ(k.param("vectors"), vectors)
	k.Label("vector")
	for j := range 2 { // Yj and Y2+j: a column of dy; Y4+j and Y6+j: their sum and difference
		place := func(base reg.Register) Mem {
			if j == 0 {
				return Mem{Base: base}
			}
			return Mem{Base: base, Index: pixel, Scale: 1}
		}
		k.VMOVUPS(place(from), ymm(j))
		k.VMOVUPS(place(below), ymm(2+j))
		k.VADDPS(ymm(2+j), ymm(j), ymm(4+j))
		k.VSUBPS(ymm(2+j), ymm(j), ymm(6+j))
		k.VSUBPS(ymm(2+j), ymm(15), ymm(2+j))
	}
	k.MOVQ(to, q)
	for i, a := range []int{0, 4, 6, 2} {
		at := four(q, point, point3)
		k.VADDPS(ymm(a+1), ymm(a), ymm(8))
		k.VSUBPS(ymm(a+1), ymm(a), ymm(9))
		k.VSUBPS(ymm(a+1), ymm(15), ymm(10))
		k.VMOVUPS(ymm(a), at[0])
		k.VMOVUPS(ymm(8), at[1])
		k.VMOVUPS(ymm(9), at[2])
		k.VMOVUPS(ymm(10), at[3])
		if i < 3 {
			k.LEAQ(Mem{Base: q, Index: point, Scale: 4}, q)
		}
	}
	for _, p := range []reg.Register{from, below, to} {
		k.ADDQ(Imm(32), p)
	}
	k.DECQ(vectors)
	k.JNE(LabelRef("vector"))
	k.ADDQ(k.param("yTile"), dy)
	k.ADDQ(k.param("tile"), dst)
	k.DECQ(tiles)
	k.JNE(LabelRef("tile"))
	k.VZEROUPPER()
	k.RET()
}

// gatherWeights writes the last transform of the gradient of the weights.
func gatherWeights(c *build.Context) {
	k := newRowKernel(c, "gatherWeightsAVX2", "func(u *float32, vectors, plane int)",
		"Gᵀ·u·G for 16 planes, into the first nine of them; vectors of 8 elements")
	u, vectors, plane := k.load("u"), k.load("vectors"), k.load("plane")
	plane3, p, half := k.GP64(), k.GP64(), k.GP32()
	k.LEAQ(Mem{Base: plane, Index: plane, Scale: 2}, plane3)
	plane4, plane12 := k.GP64(), k.GP64()
	k.MOVQ(plane, plane4)
	k.SHLQ(Imm(2), plane4)
	k.LEAQ(Mem{Base: plane4, Index: plane4, Scale: 2}, plane12)
	k.MOVL(U32(0x3f000000), half)
	k.VMOVD(half, xmm(15))
	k.VPBROADCASTD(xmm(15), ymm(15))
	// taps makes Ya, Yb and Yc Gᵀ·(Ya to Yd); it uses Y13 and Y14.
	taps := func(a, b, c, d reg.VecPhysical) {
		k.VADDPS(c, b, ymm(13))
		k.VSUBPS(c, b, ymm(14))
		k.VMULPS(ymm(15), ymm(13), ymm(13))
		k.VMULPS(ymm(15), ymm(14), b)
		k.VADDPS(ymm(13), a, a)
		k.VADDPS(d, ymm(13), c)
	}
	k.Label("vector")
	k.MOVQ(u, p)
	for j := range 4 { // Yj, Y4+j, Y8+j: column j of Gᵀ·u
		for i, m := range four(p, plane4, plane12) {
			y := ymm(4*i + j)
			if i == 3 {
				y = ymm(12)
			}
			k.VMOVUPS(m, y)
		}
		taps(ymm(j), ymm(4+j), ymm(8+j), ymm(12))
		if j < 3 {
			k.ADDQ(plane, p)
		}
	}
	k.MOVQ(u, p)
	for i := range 3 {
		taps(ymm(4*i), ymm(4*i+1), ymm(4*i+2), ymm(4*i+3))
		at := four(p, plane, plane3)
		for j := range 3 {
			k.VMOVUPS(ymm(4*i+j), at[j])
		}
		if i < 2 {
			k.ADDQ(plane3, p)
		}
	}
	k.ADDQ(Imm(32), u)
	k.DECQ(vectors)
	k.JNE(LabelRef("vector"))
	k.VZEROUPPER()
	k.RET()
}
