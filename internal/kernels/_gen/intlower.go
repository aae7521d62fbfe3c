package main

import (
	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// intlower writes what brings the operands of integer convolutions into the order of their
// products.
func intlower(c *build.Context) {
	for _, form := range []struct {
		name, doc string
		bytes     uint64 // of a code in dst
		load      func(k *rowKernel, m Mem)
	}{
		{"widen", "dst = src, zero-extended", 2, func(k *rowKernel, m Mem) { k.VPMOVZXBW(m, ymm(0)) }},
		{"widenSigned", "dst = src, sign-extended", 2, func(k *rowKernel, m Mem) { k.VPMOVSXBW(m, ymm(0)) }},
		{"offset", "dst = src + offset", 1, func(k *rowKernel, m Mem) {
			k.VMOVDQU(m, ymm(0))
			k.VPADDB(ymm(1), ymm(0), ymm(0))
		}},
	} {
		lowerRows(c, form.name, form.doc, form.bytes, form.load)
		lowerTaps(c, form.name, form.doc, form.bytes, form.load)
	}
	packColumns8(c, true)
	packColumns8(c, false)
	codeSums(c)
}

// lowerRows writes the loop over rows of n codes, 32 bytes of dst at a time.
func lowerRows(c *build.Context, name, doc string, bytes uint64, load func(k *rowKernel, m Mem)) {
	k := newRowKernel(c, name+"RowsAVX2", "func(dst, src *uint8, n, rows, dstStep, srcStep int, offset uint32)",
		doc+" for rows of n codes, of which up to 31 more are read and written")
	dst, src, n, rows := k.load("dst"), k.load("src"), k.load("n"), k.load("rows")
	dstStep, srcStep := k.load("dstStep"), k.load("srcStep")
	k.VBROADCASTSS(k.param("offset"), ymm(1))
	d, s, left := k.GP64(), k.GP64(), k.GP64()
	k.Label("row")
	k.MOVQ(dst, d)
	k.MOVQ(src, s)
	k.MOVQ(n, left)
	k.Label("codes")
	load(k, Mem{Base: s})
	k.VMOVDQU(ymm(0), Mem{Base: d})
	k.ADDQ(Imm(32/bytes), s)
	k.ADDQ(Imm(32), d)
	k.SUBQ(Imm(32/bytes), left)
	k.JG(LabelRef("codes"))
	k.ADDQ(dstStep, dst)
	k.ADDQ(srcStep, src)
	k.DECQ(rows)
	k.JNE(LabelRef("row"))
	k.VZEROUPPER()
	k.RET()
}

// lowerTaps writes the loop that gathers the kernel rows of each pixel of one row.
func lowerTaps(c *build.Context, name, doc string, bytes uint64, load func(k *rowKernel, m Mem)) {
	k := newRowKernel(c, name+"TapsAVX2", "func(dst, src *uint8, pixels, taps, dstStep, srcStep, dstTap, srcTap int, offset uint32)",
		doc+" for the kernel rows of each pixel: 32 bytes of dst each, the later over the earlier")
	dst, src, pixels, taps := k.load("dst"), k.load("src"), k.load("pixels"), k.load("taps")
	dstStep, srcStep, dstTap, srcTap := k.load("dstStep"), k.load("srcStep"), k.load("dstTap"), k.load("srcTap")
	k.VBROADCASTSS(k.param("offset"), ymm(1))
	d, s, left := k.GP64(), k.GP64(), k.GP64()
	k.Label("pixel")
	k.MOVQ(dst, d)
	k.MOVQ(src, s)
	k.MOVQ(taps, left)
	k.Label("tap")
	load(k, Mem{Base: s})
	k.VMOVDQU(ymm(0), Mem{Base: d})
	k.ADDQ(srcTap, s)
	k.ADDQ(dstTap, d)
	k.DECQ(left)
	k.JNE(LabelRef("tap"))
	k.ADDQ(dstStep, dst)
	k.ADDQ(srcStep, src)
	k.DECQ(pixels)
	k.JNE(LabelRef("pixel"))
	k.VZEROUPPER()
	k.RET()
}

// packColumns8 writes the transposition of eight rows of 16 weights at a time into 32 bytes per
// pair of weights, widened, or per four weights.
func packColumns8(c *build.Context, pairs bool) {
	name, doc := "packNarrowAVX2", "dst[i] = codes 4i to 4i+3 of each of eight columns, which are srcStep bytes apart; the units of dst are dstStep bytes apart; 16 codes per block"
	if pairs {
		name, doc = "packPairsAVX2", "dst[i] = codes 2i and 2i+1, widened, of each of eight columns, which are srcStep bytes apart; the units of dst are dstStep bytes apart; 16 codes per block"
	}
	k := newRowKernel(c, name, "func(dst *int8, src *uint8, blocks, dstStep, srcStep int)", doc)
	dst, src, blocks, dstStep := k.load("dst"), k.load("src"), k.load("blocks"), k.load("dstStep")
	f := function{Context: c}
	r := &rows{first: src, rs: k.load("srcStep"), r3: k.GP64(), r5: k.GP64(), r7: k.GP64()}
	k.LEAQ(Mem{Base: r.rs, Index: r.rs, Scale: 2}, r.r3)
	k.LEAQ(Mem{Base: r.r3, Index: r.rs, Scale: 2}, r.r5)
	k.LEAQ(Mem{Base: r.r5, Index: r.rs, Scale: 2}, r.r7)
	k.Label("block")
	if pairs {
		k.transposePairs(r, dst, dstStep)
	} else {
		k.transposeQuads(r, dst, dstStep)
	}
	f.advance(r, Imm(16))
	k.DECQ(blocks)
	k.JNE(LabelRef("block"))
	k.VZEROUPPER()
	k.RET()
}

// transposePairs transposes 8×8 elements of 16 bits.
func (k *rowKernel) transposePairs(r *rows, dst, step reg.Register) {
	for i := range 8 {
		k.VMOVDQU(r.at(i), xmm(i))
	}
	for i := range 4 { // X8+2i, X9+2i: rows 2i and 2i+1
		k.VPUNPCKLWD(xmm(2*i+1), xmm(2*i), xmm(8+2*i))
		k.VPUNPCKHWD(xmm(2*i+1), xmm(2*i), xmm(9+2*i))
	}
	for i := range 2 { // X4i to X4i+3: rows 4i to 4i+3, two columns each
		a, b := 8+4*i, 10+4*i
		k.interleave(a, b, 4*i)
		k.interleave(a+1, b+1, 4*i+2)
	}
	for j := range 4 {
		k.VPUNPCKLQDQ(xmm(4+j), xmm(j), xmm(8))
		k.VPUNPCKHQDQ(xmm(4+j), xmm(j), xmm(9))
		for h := range 2 {
			k.VPMOVSXBW(xmm(8+h), ymm(8+h))
			k.VMOVDQU(ymm(8+h), Mem{Base: dst})
			k.ADDQ(step, dst)
		}
	}
}

// interleave interleaves the elements of 32 bits of registers a and b into two registers.
func (k *rowKernel) interleave(a, b, to int) {
	k.VPUNPCKLDQ(xmm(b), xmm(a), xmm(to))
	k.VPUNPCKHDQ(xmm(b), xmm(a), xmm(to+1))
}

// transposeQuads transposes 8×4 elements of 32 bits.
func (k *rowKernel) transposeQuads(r *rows, dst, step reg.Register) {
	for i := range 8 {
		k.VMOVDQU(r.at(i), xmm(i))
	}
	for i := range 2 { // X8+4i to X11+4i: rows 4i to 4i+3, one column each
		a := 4 * i
		for j := range 2 {
			k.VPUNPCKLDQ(xmm(a+2*j+1), xmm(a+2*j), xmm(8+a+2*j))
			k.VPUNPCKHDQ(xmm(a+2*j+1), xmm(a+2*j), xmm(9+a+2*j))
		}
	}
	for j := range 2 { // columns 2j and 2j+1
		for i := range 2 {
			k.VPUNPCKLQDQ(xmm(10+4*i+j), xmm(8+4*i+j), xmm(2*i))
			k.VPUNPCKHQDQ(xmm(10+4*i+j), xmm(8+4*i+j), xmm(2*i+1))
		}
		for h := range 2 {
			for i := range 2 {
				k.VMOVDQU(xmm(2*i+h), Mem{Base: dst, Disp: 16 * i})
			}
			k.ADDQ(step, dst)
		}
	}
}

// codeSums writes the sums and the largest absolute value of rows of codes.
func codeSums(c *build.Context) {
	k := newRowKernel(c, "codeSumsAVX2", "func(sums *int32, codes *uint8, rows, n int) uint32",
		"sums[i] = the sum of the n signed codes of row i; returns the largest absolute value of all")
	sums, codes, rows, n := k.load("sums"), k.load("codes"), k.load("rows"), k.load("n")
	left, sum, code, most, size := k.GP64(), k.GP64(), k.GP64(), k.GP64(), k.GP64()
	// Y0 makes codes unsigned, Y1 is zero, Y2 the largest value, Y3 sums.
	k.constant8(0x80808080, 0)
	k.VPXOR(ymm(1), ymm(1), ymm(1))
	k.VPXOR(ymm(2), ymm(2), ymm(2))
	k.XORQ(most, most)
	k.Label("row")
	k.MOVQ(n, left)
	k.XORQ(sum, sum)
	k.CMPQ(left, Imm(32))
	k.JLT(LabelRef("rest"))
	k.VPXOR(ymm(3), ymm(3), ymm(3))
	k.Label("codes")
	k.VMOVDQU(Mem{Base: codes}, ymm(4))
	k.VPABSB(ymm(4), ymm(5))
	k.VPMAXUB(ymm(5), ymm(2), ymm(2))
	k.VPXOR(ymm(0), ymm(4), ymm(4))
	k.VPSADBW(ymm(1), ymm(4), ymm(4))
	k.VPADDQ(ymm(4), ymm(3), ymm(3))
	k.ADDQ(Imm(32), codes)
	k.SUBQ(U32(128*32), sum)
	k.SUBQ(Imm(32), left)
	k.CMPQ(left, Imm(32))
	k.JGE(LabelRef("codes"))
	k.VEXTRACTI128(Imm(1), ymm(3), xmm(4))
	k.VPADDQ(xmm(4), xmm(3), xmm(3))
	k.VPSRLDQ(Imm(8), xmm(3), xmm(4))
	k.VPADDQ(xmm(4), xmm(3), xmm(3))
	k.VMOVQ(xmm(3), code)
	k.ADDQ(code, sum)
	k.Label("rest")
	k.TESTQ(left, left)
	k.JEQ(LabelRef("done"))
	k.Label("code")
	k.MOVBQSX(Mem{Base: codes}, code)
	k.ADDQ(code, sum)
	k.MOVQ(code, size)
	k.NEGQ(size)
	k.CMOVQLT(code, size)
	k.CMPQ(size, most)
	k.CMOVQGT(size, most)
	k.INCQ(codes)
	k.DECQ(left)
	k.JNE(LabelRef("code"))
	k.Label("done")
	k.MOVL(sum.As32(), Mem{Base: sums})
	k.ADDQ(Imm(4), sums)
	k.DECQ(rows)
	k.JNE(LabelRef("row"))
	k.VEXTRACTI128(Imm(1), ymm(2), xmm(3))
	k.VPMAXUB(xmm(3), xmm(2), xmm(2))
	for _, bytes := range []uint64{8, 4, 2, 1} {
		k.VPSRLDQ(Imm(bytes), xmm(2), xmm(3))
		k.VPMAXUB(xmm(3), xmm(2), xmm(2))
	}
	k.VPEXTRB(Imm(0), xmm(2), code.As32())
	k.CMPQ(code, most)
	k.CMOVQGT(code, most)
	k.Store(most.As32(), k.ReturnIndex(0))
	k.VZEROUPPER()
	k.RET()
}
