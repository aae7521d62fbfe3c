package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// intwinograd writes the transforms of Winograd's convolution F(4×4, 3×3) for AVX2. A point is
// one of the 6×6 places of a transformed tile. A transform goes along the columns first and
// keeps what it gets in temp.
func intwinograd(c *build.Context) {
	winogradInput(c, "winogradInputAVX2", func(k *rowKernel) func(ops ...Op) { return k.VPMOVZXBW })
	winogradInput(c, "winogradInputSignedAVX2", func(k *rowKernel) func(ops ...Op) { return k.VPMOVSXBW })
	winogradOutput(c)
	winogradWeights(c)
	for v := 1; v <= 3; v++ {
		winogradProduct(c, v)
	}
}

// A stride is the distance of six places in memory, in registers.
type stride struct{ one, three, five reg.Register }

func (k *rowKernel) stride(one reg.Register) stride {
	s := stride{one, k.GP64(), k.GP64()}
	k.LEAQ(Mem{Base: one, Index: one, Scale: 2}, s.three)
	k.LEAQ(Mem{Base: one, Index: one, Scale: 4}, s.five)
	return s
}

// at returns place i of those from base on.
func (s stride) at(base reg.Register, i int) Mem {
	switch i {
	case 0:
		return Mem{Base: base}
	case 3:
		return Mem{Base: base, Index: s.three, Scale: 1}
	case 5:
		return Mem{Base: base, Index: s.five, Scale: 1}
	}
	return Mem{Base: base, Index: s.one, Scale: uint8(i)}
}

// temporary returns place (i, j) of a 6×6 buffer of vectors.
func temporary(base reg.Register, i, j int) Mem { return Mem{Base: base, Disp: 32 * (6*i + j)} }

// winogradInput writes the transform of the input, 16 channels at a time.
func winogradInput(c *build.Context, name string, widen func(k *rowKernel) func(ops ...Op)) {
	k := newRowKernel(c, name, "func(dst, x, temp *uint8, tiles, blocks, point, tile, xTile, row, column int)",
		"dst[point][tile] = Bᵀ·x·B for blocks of 16 channels; temp has 36 vectors")
	dst, x, temp := k.load("dst"), k.load("x"), k.load("temp")
	point, row := k.stride(k.load("point")), k.stride(k.load("row"))
	blocks, from, to, p := k.GP64(), k.GP64(), k.GP64(), k.GP64()
	k.Label("tile")
	k.MOVQ(x, from)
	k.MOVQ(dst, to)
	k.MOVQ(k.param("blocks"), blocks)
	k.Label("block")
	k.MOVQ(from, p)
	for j := range 6 {
		for i := range 6 {
			widen(k)(row.at(p, i), ymm(i))
		}
		k.transformCodes()
		for i := range 6 {
			k.VMOVDQU(ymm(6+i), temporary(temp, i, j))
		}
		if j < 5 {
			k.ADDQ(k.param("column"), p)
		}
	}
	k.MOVQ(to, p)
	for i := range 6 {
		for j := range 6 {
			k.VMOVDQU(temporary(temp, i, j), ymm(j))
		}
		k.transformCodes()
		for j := range 6 {
			k.VMOVDQU(ymm(6+j), point.at(p, j))
		}
		if i < 5 {
			k.LEAQ(Mem{Base: p, Index: point.three, Scale: 2}, p)
		}
	}
	k.ADDQ(Imm(16), from)
	k.ADDQ(Imm(32), to)
	k.DECQ(blocks)
	k.JNE(LabelRef("block"))
	k.ADDQ(k.param("xTile"), x)
	k.ADDQ(k.param("tile"), dst)
	k.DECQ(k.param("tiles"))
	k.JNE(LabelRef("tile"))
	k.VZEROUPPER()
	k.RET()
}

// transformCodes computes Y6 to Y11 = Bᵀ·(Y0 to Y5) in 16 bits.
func (k *rowKernel) transformCodes() {
	x, y := func(i int) reg.VecPhysical { return ymm(i) }, func(i int) reg.VecPhysical { return ymm(6 + i) }
	a, b := ymm(12), ymm(13)
	k.VPSLLW(Imm(2), x(2), a)
	k.VPSUBW(a, x(4), a) // x4 − 4·x2
	k.VPSLLW(Imm(2), x(1), b)
	k.VPSUBW(b, x(3), b) // x3 − 4·x1
	k.VPADDW(b, a, y(1))
	k.VPSUBW(b, a, y(2))
	k.VPSUBW(x(2), x(4), a)
	k.VPSUBW(x(1), x(3), b)
	k.VPADDW(b, b, b) // 2·(x3 − x1)
	k.VPADDW(b, a, y(3))
	k.VPSUBW(b, a, y(4))
	k.VPSUBW(x(2), x(0), y(0)) // 4·(x0 − x2) + x4 − x2
	k.VPSLLW(Imm(2), y(0), y(0))
	k.VPADDW(a, y(0), y(0))
	k.VPADDW(b, b, b)
	k.VPSUBW(x(3), x(5), y(5)) // x5 − x3 − 4·(x3 − x1)
	k.VPSUBW(b, y(5), y(5))
}

// winogradOutput writes the transform of the products, eight channels at a time.
func winogradOutput(c *build.Context) {
	k := newRowKernel(c, "winogradOutputAVX2", "func(acc, m, base *int32, temp *uint8, tiles, vectors, point, tile, row, pixel, baseRow, basePixel int)",
		"acc = base + Aᵀ·m·A for 4×4 pixels of each tile; vectors of 8 channels; temp has 36 vectors")
	acc, m, base, temp := k.load("acc"), k.load("m"), k.load("base"), k.load("temp")
	line := k.GP64() // of points
	k.MOVQ(k.param("point"), line)
	k.LEAQ(Mem{Base: line, Index: line, Scale: 2}, line)
	k.ADDQ(line, line)
	lines := k.stride(line)
	pixel := k.load("pixel")
	pixel3, vectors, channel, p, q := k.GP64(), k.GP64(), k.GP64(), k.GP64(), k.GP64()
	k.LEAQ(Mem{Base: pixel, Index: pixel, Scale: 2}, pixel3)
	k.constant8(0x38e38e39, 15) // the inverse of 9 modulo 2^32
	k.Label("tile")
	k.XORQ(channel, channel)
	k.MOVQ(k.param("vectors"), vectors)
	k.Label("vector")
	k.LEAQ(Mem{Base: m, Index: channel, Scale: 1}, p)
	for j := range 6 {
		for i := range 6 {
			k.VMOVDQU(lines.at(p, i), ymm(i))
		}
		k.transformProducts()
		for i := range 4 {
			k.VMOVDQU(ymm(6+i), temporary(temp, i, j))
		}
		if j < 5 {
			k.ADDQ(k.param("point"), p)
		}
	}
	k.LEAQ(Mem{Base: acc, Index: channel, Scale: 1}, p)
	k.LEAQ(Mem{Base: base, Index: channel, Scale: 1}, q)
	shifts := [4]uint64{3, 2, 1, 1}
	for i := range 4 {
		for j := range 6 {
			k.VMOVDQU(temporary(temp, i, j), ymm(j))
		}
		k.transformProducts()
		at := q
		b := k.GP64()
		for j := range 4 {
			y := ymm(6 + j)
			k.VPMULLD(ymm(15), y, y)
			k.VPSRAD(Imm(shifts[i]+shifts[j]), y, y)
			if j == 1 {
				k.MOVQ(q, b)
				at = b
			}
			if j > 0 {
				k.ADDQ(k.param("basePixel"), b)
			}
			k.VPADDD(Mem{Base: at}, y, y)
			place := Mem{Base: p, Index: pixel, Scale: uint8(j)}
			switch j {
			case 0:
				place = Mem{Base: p}
			case 3:
				place = Mem{Base: p, Index: pixel3, Scale: 1}
			}
			k.VMOVDQU(y, place)
		}
		if i < 3 {
			k.ADDQ(k.param("row"), p)
			k.ADDQ(k.param("baseRow"), q)
		}
	}
	k.ADDQ(Imm(32), channel)
	k.DECQ(vectors)
	k.JNE(LabelRef("vector"))
	k.ADDQ(k.param("tile"), m)
	k.LEAQ(Mem{Base: acc, Index: pixel, Scale: 4}, acc)
	k.MOVQ(k.param("basePixel"), p)
	k.LEAQ(Mem{Base: base, Index: p, Scale: 4}, base)
	k.DECQ(k.param("tiles"))
	k.JNE(LabelRef("tile"))
	k.VZEROUPPER()
	k.RET()
}

// transformProducts computes Y6 to Y9 = Aᵀ·(Y0 to Y5), times 24, 12, 6 and 6, in 32 bits.
func (k *rowKernel) transformProducts() {
	m, y := func(i int) reg.VecPhysical { return ymm(i) }, func(i int) reg.VecPhysical { return ymm(6 + i) }
	s1, d1, s2, d2, t := ymm(10), ymm(11), ymm(12), ymm(13), ymm(14)
	k.VPADDD(m(2), m(1), s1)
	k.VPSUBD(m(2), m(1), d1)
	k.VPADDD(m(4), m(3), s2)
	k.VPSUBD(m(4), m(3), d2)
	k.VPADDD(s1, m(0), t) // 2·(m0 + 2·(m0 + s1)) + s2
	k.VPADDD(t, t, t)
	k.VPADDD(m(0), t, t)
	k.VPADDD(t, t, t)
	k.VPADDD(s2, t, y(0))
	k.VPADDD(d1, d1, t)
	k.VPADDD(d2, t, y(1))
	k.VPADDD(s2, s1, y(2))
	k.VPADDD(m(5), m(5), t) // 2·(3·m5 + d2) + d1
	k.VPADDD(m(5), t, t)
	k.VPADDD(d2, t, t)
	k.VPADDD(t, t, t)
	k.VPADDD(d1, t, y(3))
}

// winogradWeights writes the transform of the weights, 16 at a time.
func winogradWeights(c *build.Context) {
	k := newRowKernel(c, "winogradWeightsAVX2", "func(dst, src, temp *int16, vectors, point, tap int)",
		"dst[point] = G·g·Gᵀ for vectors of 16 kernels, whose 3×3 taps are tap bytes apart; temp has 36 vectors")
	dst, src, temp, vectors := k.load("dst"), k.load("src"), k.load("temp"), k.load("vectors")
	tap, point := k.load("tap"), k.stride(k.load("point"))
	p := k.GP64()
	tap3 := k.GP64()
	k.LEAQ(Mem{Base: tap, Index: tap, Scale: 2}, tap3)
	k.Label("vector")
	k.MOVQ(src, p)
	for j := range 3 {
		k.VMOVDQU(Mem{Base: p}, ymm(0))
		k.VMOVDQU(Mem{Base: p, Index: tap3, Scale: 1}, ymm(1))
		k.VMOVDQU(Mem{Base: p, Index: tap3, Scale: 2}, ymm(2))
		k.transformKernel()
		for i := range 6 {
			k.VMOVDQU(ymm(6+i), temporary(temp, i, j))
		}
		k.ADDQ(tap, p)
	}
	k.MOVQ(dst, p)
	for i := range 6 {
		for j := range 3 {
			k.VMOVDQU(temporary(temp, i, j), ymm(j))
		}
		k.transformKernel()
		for j := range 6 {
			k.VMOVDQU(ymm(6+j), point.at(p, j))
		}
		k.LEAQ(Mem{Base: p, Index: point.three, Scale: 2}, p)
	}
	k.ADDQ(Imm(32), src)
	k.ADDQ(Imm(32), dst)
	k.DECQ(vectors)
	k.JNE(LabelRef("vector"))
	k.VZEROUPPER()
	k.RET()
}

// transformKernel computes Y6 to Y11 = G·(Y0 to Y2) in 16 bits.
func (k *rowKernel) transformKernel() {
	a, b := ymm(12), ymm(13)
	k.VMOVDQA(ymm(0), ymm(6))
	k.VMOVDQA(ymm(2), ymm(11))
	k.VPADDW(ymm(2), ymm(0), a)
	k.VPADDW(ymm(1), a, b)
	k.VPXOR(ymm(7), ymm(7), ymm(7))
	k.VPSUBW(b, ymm(7), ymm(7))
	k.VPSUBW(a, ymm(1), ymm(8))
	k.VPSLLW(Imm(2), ymm(2), a)
	k.VPADDW(ymm(0), a, a)
	k.VPADDW(ymm(1), ymm(1), b)
	k.VPADDW(b, a, ymm(9))
	k.VPSUBW(b, a, ymm(10))
}

// winogradProduct writes the product of transformed codes and a panel of transformed weights at each
// point, for panels of v vectors.
func winogradProduct(c *build.Context, v int) {
	name := fmt.Sprintf("winogradProduct%d", 8*v)
	k := newRowKernel(c, name, "func(m *int32, a *uint8, b *int8, points, tiles, channels, rs, ldc int)",
		fmt.Sprintf("m = a·b for each point and %d columns, tiles of a rs bytes apart, those of m ldc bytes. "+
			"Y4 to Y15 are the accumulators, Y0 and Y1 weights, Y2 a pair of codes, Y3 products.", 8*v))
	m, a, b, ldc := k.load("m"), k.load("a"), k.load("b"), k.load("ldc")
	rows := k.stride(k.load("rs"))
	left, quads, p, w := k.GP64(), k.GP64(), k.GP64(), k.GP64()
	most := min(12/v, 6)
	label := func(n int) string { return fmt.Sprint(name, "_", n) }
	acc := func(i, j int) reg.VecPhysical { return ymm(4 + i*v + j) }
	// step multiplies one pair of channels of n tiles.
	step := func(n, pair int, first bool) {
		weights := func(j int) Mem { return Mem{Base: w, Disp: 32 * (pair*v + j)} }
		for j := range min(v, 2) {
			k.VMOVDQU(weights(j), ymm(j))
		}
		for i := range n {
			k.VPBROADCASTD(rows.at(p, i).Offset(4*pair), ymm(2))
			for j := range v {
				var weight Op = ymm(j)
				if j == 2 { // there is no register for it
					weight = weights(j)
				}
				if first {
					k.VPMADDWD(weight, ymm(2), acc(i, j))
					continue
				}
				product := ymm(3)
				if j == v-1 {
					product = ymm(2)
				}
				k.VPMADDWD(weight, ymm(2), product)
				k.VPADDD(product, acc(i, j), acc(i, j))
			}
		}
	}
	next := func() {
		k.ADDQ(Imm(8), p)
		k.ADDQ(Imm(uint64(64*v)), w)
	}
	k.Label(name + "_point")
	k.MOVQ(k.param("tiles"), left)
	k.Label(name + "_next")
	k.CMPQ(left, Imm(uint64(most)))
	k.JGE(LabelRef(label(most)))
	for n := most - 1; n > 0; n-- {
		k.CMPQ(left, Imm(uint64(n)))
		k.JEQ(LabelRef(label(n)))
	}
	k.Label(name + "_done")
	k.MOVQ(w, b)
	k.DECQ(k.param("points"))
	k.JNE(LabelRef(name + "_point"))
	k.VZEROUPPER()
	k.RET()
	for n := most; n > 0; n-- {
		k.Label(label(n))
		k.MOVQ(a, p)
		k.MOVQ(b, w)
		k.MOVQ(k.param("channels"), quads)
		step(n, 0, true)
		step(n, 1, false)
		next()
		k.SUBQ(Imm(4), quads)
		k.Label(label(n) + "_quad")
		step(n, 0, false)
		step(n, 1, false)
		next()
		k.SUBQ(Imm(4), quads)
		k.JNE(LabelRef(label(n) + "_quad"))
		for i := range n {
			for j := range v {
				k.VMOVDQU(acc(i, j), Mem{Base: m, Disp: 32 * j})
			}
			k.ADDQ(ldc, m)
		}
		k.LEAQ(rows.at(a, n-1), a)
		k.ADDQ(rows.one, a)
		if n < most {
			k.JMP(LabelRef(name + "_done"))
			continue
		}
		k.SUBQ(Imm(uint64(most)), left)
		k.JMP(LabelRef(name + "_next"))
	}
}
