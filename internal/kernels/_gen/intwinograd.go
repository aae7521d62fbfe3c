package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// intwinograd writes the transforms of Winograd's convolution for AVX2, with strides of 1 and 2. A point is
// one of the places of a transformed tile.
func intwinograd(c *build.Context) {
	for _, t := range []tiling{
		{"", 6, 6, transformCodes, transformProducts, transformKernel, [4]uint64{3, 2, 1, 1}},
		{"2", 9, 5, transformCodes2, transformProducts2, transformKernel2, [4]uint64{1, 1, 1, 1}},
	} {
		t.input(c, "winogradInput"+t.suffix+"AVX2", func(k *rowKernel) func(ops ...Op) { return k.VPMOVZXBW })
		t.input(c, "winogradInputSigned"+t.suffix+"AVX2", func(k *rowKernel) func(ops ...Op) { return k.VPMOVSXBW })
		t.output(c)
		t.weights(c)
	}
	for v := 1; v <= 3; v++ {
		winogradProduct(c, v)
	}
}

// A tiling is Winograd's convolution with one stride. Its transforms take vectors from Y0 on and return where they
// leave theirs: of a row or column of codes, of points, and of a kernel.
type tiling struct {
	suffix                  string // of the functions
	window                  int    // codes of a row and of a column of a tile
	apart                   int    // rows of points that are window points apart
	codes, products, kernel func(k *rowKernel) []reg.VecPhysical
	shifts                  [winogradTile]uint64 // of rows and columns of pixels
}

const (
	winogradTile   = 4
	winogradWeight = 6 // different points of a row and of a column of a kernel
)

// A stride is the distance of places in memory, in registers.
type stride struct{ one, three, five, seven reg.Register }

// stride prepares for n places.
func (k *rowKernel) stride(one reg.Register, n int) stride {
	s := stride{one: one}
	if n > 3 {
		s.three = k.GP64()
		k.LEAQ(Mem{Base: one, Index: one, Scale: 2}, s.three)
	}
	if n > 5 {
		s.five = k.GP64()
		k.LEAQ(Mem{Base: one, Index: one, Scale: 4}, s.five)
	}
	if n > 7 {
		s.seven = k.GP64()
		k.LEAQ(Mem{Base: s.three, Index: one, Scale: 4}, s.seven)
	}
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
	case 6:
		return Mem{Base: base, Index: s.three, Scale: 2}
	case 7:
		return Mem{Base: base, Index: s.seven, Scale: 1}
	}
	return Mem{Base: base, Index: s.one, Scale: uint8(i)}
}

// temporary returns place (i, j) of a buffer of vectors.
func (t tiling) temporary(base reg.Register, i, j int) Mem {
	return Mem{Base: base, Disp: 32 * (t.window*i + j)}
}

// points walks through the columns of the points of a tile. Rows of points are a line apart up to the last
// ones of stride 2, which share their weights: those of a column follow one another there.
type points struct {
	tiling
	k           *rowKernel
	line, point stride
	p, q        reg.Register // first of the column, and of its last rows
}

// points prepares for the points that are so many bytes apart.
func (t tiling) points(k *rowKernel, point reg.Register) *points {
	line := k.GP64()
	k.IMUL3Q(Imm(uint64(t.window)), point, line)
	w := &points{tiling: t, k: k, line: k.stride(line, t.apart), p: k.GP64()}
	w.point = k.stride(point, t.window-t.apart)
	if t.apart < t.window {
		w.q = k.GP64()
	}
	return w
}

// start goes to the first column of a tile at p.
func (w *points) start() {
	if w.q != nil {
		w.k.LEAQ(Mem{Base: w.p, Index: w.line.one, Scale: 4}, w.q) // apart is 5
		w.k.ADDQ(w.line.one, w.q)
	}
}

// at returns row i of the column.
func (w *points) at(i int) Mem {
	if i < w.apart {
		return w.line.at(w.p, i)
	}
	return w.point.at(w.q, i-w.apart)
}

func (w *points) next() {
	w.k.ADDQ(w.point.one, w.p)
	if w.q != nil {
		w.k.LEAQ(Mem{Base: w.q, Index: w.point.one, Scale: 4}, w.q)
	}
}

// input writes the transform of the input, 16 channels at a time.
func (t tiling) input(c *build.Context, name string, widen func(k *rowKernel) func(ops ...Op)) {
	k := newRowKernel(c, name, "func(dst, x, temp *uint8, tiles, blocks, point, tile, xTile, row, column int)",
		fmt.Sprintf("dst[point][tile] = Bᵀ·x·B for blocks of 16 channels; temp has %d vectors", t.window*t.window))
	temp, blocks, from, to := k.load("temp"), k.GP64(), k.GP64(), k.GP64()
	column, w := k.stride(k.load("column"), t.window), t.points(k, k.load("point"))
	// next adds a parameter to a pointer that is one, in registers there are too few.
	next := func(pointer, step string) {
		k.MOVQ(k.param(step), w.p)
		k.ADDQ(w.p, k.param(pointer))
	}
	k.Label("tile")
	k.MOVQ(k.param("x"), from)
	k.MOVQ(k.param("dst"), to)
	k.MOVQ(k.param("blocks"), blocks)
	k.Label("block")
	k.MOVQ(from, w.p)
	for i := range t.window {
		for j := range t.window {
			widen(k)(column.at(w.p, j), ymm(j))
		}
		for j, y := range t.codes(k) {
			k.VMOVDQU(y, t.temporary(temp, i, j))
		}
		if i < t.window-1 {
			k.ADDQ(k.param("row"), w.p)
		}
	}
	k.MOVQ(to, w.p)
	w.start()
	for j := range t.window {
		for i := range t.window {
			k.VMOVDQU(t.temporary(temp, i, j), ymm(i))
		}
		for i, y := range t.codes(k) {
			k.VMOVDQU(y, w.at(i))
		}
		w.next()
	}
	k.ADDQ(Imm(16), from)
	k.ADDQ(Imm(32), to)
	k.DECQ(blocks)
	k.JNE(LabelRef("block"))
	next("x", "xTile")
	next("dst", "tile")
	k.DECQ(k.param("tiles"))
	k.JNE(LabelRef("tile"))
	k.VZEROUPPER()
	k.RET()
}

// transformCodes computes Bᵀ·(Y0 to Y5) in 16 bits.
func transformCodes(k *rowKernel) []reg.VecPhysical {
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
	return ymms(6, 7, 8, 9, 10, 11)
}

// ymms returns registers.
func ymms(ids ...int) (y []reg.VecPhysical) {
	for _, i := range ids {
		y = append(y, ymm(i))
	}
	return y
}

// transformCodes2 computes Bᵀ·(Y0, Y2, Y4, Y6, Y8) in 16 bits; the codes between them remain what they are.
func transformCodes2(k *rowKernel) []reg.VecPhysical {
	x, y := func(i int) reg.VecPhysical { return ymm(2 * i) }, func(i int) reg.VecPhysical { return ymm(9 + i) }
	a, b := ymm(14), ymm(15)
	k.VPSUBW(x(1), x(3), y(3)) // x3 − x1
	k.VPSUBW(x(2), x(0), y(0)) // 2·(x0 − x2) + x3 − x1
	k.VPADDW(y(0), y(0), y(0))
	k.VPADDW(y(3), y(0), y(0))
	k.VPADDW(x(2), x(1), a) // x3 − x1 − (x1 + x2)
	k.VPSUBW(a, y(3), y(1))
	k.VPSUBW(x(2), x(1), a) // x3 − x1 + 3·(x1 − x2)
	k.VPADDW(a, a, b)
	k.VPADDW(b, a, a)
	k.VPADDW(a, y(3), y(2))
	k.VPSUBW(x(2), x(4), y(4)) // x4 − x2 − 2·(x3 − x1)
	k.VPADDW(y(3), y(3), a)
	k.VPSUBW(a, y(4), y(4))
	return ymms(9, 10, 11, 12, 13, 1, 3, 5, 7)
}

// output writes the transform of the products, eight channels at a time.
func (t tiling) output(c *build.Context) {
	k := newRowKernel(c, "winogradOutput"+t.suffix+"AVX2", "func(acc, m, base *int32, temp *uint8, tiles, vectors, point, tile, row, pixel, baseRow, basePixel int)",
		fmt.Sprintf("acc = base + Aᵀ·m·A for 4×4 pixels of each tile; vectors of 8 channels; temp has %d vectors", winogradTile*t.window))
	acc, m, base, temp := k.load("acc"), k.load("m"), k.load("base"), k.load("temp")
	w := t.points(k, k.load("point"))
	channel, to, from, row := k.GP64(), k.GP64(), k.GP64(), k.GP64()
	k.constant8(0x38e38e39, 15)        // the inverse of 9 modulo 2^32
	k.SHLQ(Imm(5), k.param("vectors")) // bytes
	k.Label("tile")
	k.XORQ(channel, channel)
	k.Label("vector")
	k.LEAQ(Mem{Base: m, Index: channel, Scale: 1}, w.p)
	w.start()
	for j := range t.window {
		for i := range t.window {
			k.VMOVDQU(w.at(i), ymm(i))
		}
		for i, y := range t.products(k) {
			k.VMOVDQU(y, t.temporary(temp, i, j))
		}
		w.next()
	}
	k.LEAQ(Mem{Base: acc, Index: channel, Scale: 1}, row)
	k.LEAQ(Mem{Base: base, Index: channel, Scale: 1}, w.p) // the row of the base
	for i := range winogradTile {
		for j := range t.window {
			k.VMOVDQU(t.temporary(temp, i, j), ymm(j))
		}
		k.MOVQ(row, to)
		k.MOVQ(w.p, from)
		for j, y := range t.products(k) {
			if j > 0 {
				k.ADDQ(k.param("pixel"), to)
				k.ADDQ(k.param("basePixel"), from)
			}
			k.VPMULLD(ymm(15), y, y)
			k.VPSRAD(Imm(t.shifts[i]+t.shifts[j]), y, y)
			k.VPADDD(Mem{Base: from}, y, y)
			k.VMOVDQU(y, Mem{Base: to})
		}
		if i < winogradTile-1 {
			k.ADDQ(k.param("row"), row)
			k.ADDQ(k.param("baseRow"), w.p)
		}
	}
	k.ADDQ(Imm(32), channel)
	k.CMPQ(channel, k.param("vectors"))
	k.JLT(LabelRef("vector"))
	k.ADDQ(k.param("tile"), m)
	for _, next := range []struct {
		pointer reg.Register
		step    string
	}{{acc, "pixel"}, {base, "basePixel"}} {
		k.MOVQ(k.param(next.step), w.p)
		k.LEAQ(Mem{Base: next.pointer, Index: w.p, Scale: winogradTile}, next.pointer)
	}
	k.DECQ(k.param("tiles"))
	k.JNE(LabelRef("tile"))
	k.VZEROUPPER()
	k.RET()
}

// transformProducts computes Aᵀ·(Y0 to Y5), times 24, 12, 6 and 6, in 32 bits.
func transformProducts(k *rowKernel) []reg.VecPhysical {
	m, y := func(i int) reg.VecPhysical { return ymm(i) }, func(i int) reg.VecPhysical { return ymm(6 + i) }
	s1, d1, s2, d2, t := ymm(10), ymm(11), ymm(12), ymm(13), ymm(14)
	k.VPADDD(m(2), m(1), s1)
	k.VPSUBD(m(2), m(1), d1)
	k.VPADDD(m(4), m(3), s2)
	k.VPSUBD(m(4), m(3), d2)
	k.VPSLLD(Imm(2), s1, t) // m0 + 4·s1 + s2
	k.VPADDD(m(0), s2, y(0))
	k.VPADDD(t, y(0), y(0))
	k.VPADDD(d1, d1, t)
	k.VPADDD(d2, t, y(1))
	k.VPADDD(s2, s1, y(2))
	k.VPADDD(d2, d2, t) // d1 + 2·d2 + m5
	k.VPADDD(m(5), d1, y(3))
	k.VPADDD(t, y(3), y(3))
	return ymms(6, 7, 8, 9)
}

// transformProducts2 computes Aᵀ·(Y0 to Y8) in 32 bits. The last four are those of the codes that were not
// transformed.
func transformProducts2(k *rowKernel) []reg.VecPhysical {
	m, odd := func(i int) reg.VecPhysical { return ymm(i) }, func(i int) reg.VecPhysical { return ymm(5 + i) }
	s, d := ymm(9), ymm(10)
	k.VPADDD(m(2), m(1), s)
	k.VPSUBD(m(2), m(1), d)
	k.VPADDD(odd(0), m(0), m(0)) // m0 + s + m3
	k.VPADDD(m(3), m(0), m(0))
	k.VPADDD(s, m(0), m(0))
	k.VPADDD(m(3), m(3), m(3)) // d + 2·m3
	k.VPADDD(odd(1), d, m(1))
	k.VPADDD(m(3), m(1), m(1))
	k.VPADDD(m(3), m(3), m(3)) // s + 4·m3
	k.VPADDD(odd(2), s, m(2))
	k.VPADDD(m(3), m(2), m(2))
	k.VPADDD(m(3), m(3), m(3)) // d + 8·m3 + m4
	k.VPADDD(odd(3), d, d)
	k.VPADDD(m(4), m(3), m(3))
	k.VPADDD(d, m(3), m(3))
	return ymms(0, 1, 2, 3)
}

// weights writes the transform of the weights, 16 at a time.
func (t tiling) weights(c *build.Context) {
	const kernel = 3
	k := newRowKernel(c, "winogradWeights"+t.suffix+"AVX2", "func(dst, src, temp *int16, vectors, point, tap int)",
		"dst[point] = G·g·Gᵀ for vectors of 16 kernels, whose 3×3 taps are tap bytes apart; temp has 36 vectors")
	dst, src, temp, vectors := k.load("dst"), k.load("src"), k.load("temp"), k.load("vectors")
	tap, point := k.stride(k.load("tap"), kernel+1), k.stride(k.load("point"), winogradWeight)
	p := k.GP64()
	place := func(i, j int) Mem { return Mem{Base: temp, Disp: 32 * (kernel*i + j)} }
	k.Label("vector")
	k.MOVQ(src, p)
	for j := range kernel {
		for i := range kernel {
			m := tap.at(p, 0)
			if i > 0 {
				m = Mem{Base: p, Index: tap.three, Scale: uint8(i)}
			}
			k.VMOVDQU(m, ymm(i))
		}
		for i, y := range t.kernel(k) {
			k.VMOVDQU(y, place(i, j))
		}
		k.ADDQ(tap.one, p)
	}
	k.MOVQ(dst, p)
	for i := range winogradWeight {
		for j := range kernel {
			k.VMOVDQU(place(i, j), ymm(j))
		}
		for j, y := range t.kernel(k) {
			k.VMOVDQU(y, point.at(p, j))
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

// triple computes y = 3·x in 16 bits.
func (k *rowKernel) triple(x, y reg.VecPhysical) {
	k.VPADDW(x, x, y)
	k.VPADDW(x, y, y)
}

// transformKernel computes G·(Y0 to Y2) in 16 bits.
func transformKernel(k *rowKernel) []reg.VecPhysical {
	w, y := func(i int) reg.VecPhysical { return ymm(i) }, func(i int) reg.VecPhysical { return ymm(6 + i) }
	a, b := ymm(12), ymm(13)
	for i, end := range []int{0, 5} { // 6·w0 and 6·w2
		k.VPADDW(w(2*i), w(2*i), a)
		k.triple(a, y(end))
	}
	k.VPADDW(w(2), w(0), a) // −(w0 + w2) − w1 and −(w0 + w2) + w1
	k.VPADDW(w(1), a, b)
	k.VPXOR(y(1), y(1), y(1))
	k.VPSUBW(b, y(1), y(1))
	k.VPSUBW(a, w(1), y(2))
	k.VPSLLW(Imm(2), w(2), a) // w0 + 4·w2 + 2·w1 and w0 + 4·w2 − 2·w1
	k.VPADDW(w(0), a, a)
	k.VPADDW(w(1), w(1), b)
	k.VPADDW(b, a, y(3))
	k.VPSUBW(b, a, y(4))
	return ymms(6, 7, 8, 9, 10, 11)
}

// transformKernel2 computes G·(Y0 to Y2) in 16 bits.
func transformKernel2(k *rowKernel) []reg.VecPhysical {
	w, y := func(i int) reg.VecPhysical { return ymm(i) }, func(i int) reg.VecPhysical { return ymm(6 + i) }
	a := ymm(12)
	k.triple(w(0), y(0)) // 3·w0
	k.VPADDW(w(2), w(0), a)
	k.triple(a, y(1)) // −3·(w0 + w2)
	k.VPXOR(a, a, a)
	k.VPSUBW(y(1), a, y(1))
	k.VPSUBW(w(0), w(2), y(2))
	k.VPADDW(w(2), w(2), a)
	k.VPADDW(w(0), a, y(3)) // w0 + 2·w2
	k.triple(a, y(4))       // 6·w2
	k.VPADDW(w(1), w(1), a)
	k.triple(a, y(5)) // 6·w1
	return ymms(6, 7, 8, 9, 10, 11)
}

// winogradProduct writes the product of transformed codes and a panel of transformed weights at each
// point, for panels of v vectors.
func winogradProduct(c *build.Context, v int) {
	name := fmt.Sprintf("winogradProduct%d", 8*v)
	k := newRowKernel(c, name, "func(m *int32, a *uint8, b *int8, points, tiles, channels, rs, ldc int)",
		fmt.Sprintf("m = a·b for each point and %d columns, tiles of a rs bytes apart, those of m ldc bytes. "+
			"Y4 to Y15 are the accumulators, Y0 and Y1 weights, Y2 a pair of codes, Y3 products.", 8*v))
	most := min(12/v, 6)
	m, a, b, ldc := k.load("m"), k.load("a"), k.load("b"), k.load("ldc")
	rows := k.stride(k.load("rs"), most)
	left, quads, p, w := k.GP64(), k.GP64(), k.GP64(), k.GP64()
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
			productsFirst(v, func(j int, product reg.VecPhysical) {
				var weight Op = ymm(j)
				if j == 2 { // there is no register for it
					weight = weights(j)
				}
				if first {
					product = acc(i, j)
				}
				k.VPMADDWD(weight, ymm(2), product)
			}, func(j int, product reg.VecPhysical) {
				if !first {
					k.VPADDD(product, acc(i, j), acc(i, j))
				}
			})
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
