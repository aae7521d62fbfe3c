package main

import (
	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// routes8 writes the AVX2 forms of what sorts the gradient of a pool's output for sparse products.
func routes8(c *build.Context) {
	placeTerms8(c)
	winnerBits8(c)
	sortTaps8(c)
}

// fewOrManyTaps writes body twice, for a table of up to eight places, which stays in Y15, and for larger ones.
// lookUp fills ymm(y) with the places that eight bytes of index name, and uses the next two.
func (k *rowKernel) fewOrManyTaps(places reg.Register, body func(lookUp func(index Mem, y int))) {
	k.CMPQ(k.param("taps"), Imm(8))
	k.JG(LabelRef("many"))
	k.VMOVDQU(Mem{Base: places}, ymm(15))
	body(func(index Mem, y int) {
		k.VPMOVZXBD(index, ymm(y))
		k.VPERMD(ymm(15), ymm(y), ymm(y))
	})
	k.VZEROUPPER()
	k.RET()
	k.Label("many")
	body(func(index Mem, y int) {
		k.VPMOVZXBD(index, ymm(y+1))
		k.VPCMPEQD(ymm(y+2), ymm(y+2), ymm(y+2))
		k.VPGATHERDD(ymm(y+2), Mem{Base: places, Index: ymm(y + 1), Scale: 4}, ymm(y))
	})
	k.VZEROUPPER()
	k.RET()
}

// broadcastInt fills ymm(y) with a parameter of 32 bits.
func (k *rowKernel) broadcastInt(name string, y int) {
	k.VMOVD(k.Load(k.Param(name), k.GP32()), xmm(y))
	k.VPBROADCASTD(xmm(y), ymm(y))
}

func placeTerms8(c *build.Context) {
	k := newRowKernel(c, "placeTermsAVX2", "func(terms *byte, values *float32, index *uint8, n, windows int, places *int32, taps int, first, next, step int32)",
		"terms[w][i] = {first + w·next + i·step + places[index[w][i]], values[w][i]} for windows of n ≥ 8 terms, the last eight of which may overlap those before")
	terms, values, index, windows, places := k.load("terms"), k.load("values"), k.load("index"), k.load("windows"), k.load("places")
	n, last := k.load("n"), k.GP64()
	k.LEAQ(Mem{Base: n, Disp: -8}, last)
	k.broadcastInt("step", 5)
	k.upToSeven(6)
	k.VPMULLD(ymm(5), ymm(6), ymm(6)) // of the terms from i on
	k.broadcastInt("first", 0)
	k.VPADDD(ymm(6), ymm(0), ymm(6))
	k.broadcastInt("next", 7)
	k.fewOrManyTaps(places, func(lookUp func(index Mem, y int)) {
		i, window, loop, end := k.GP32(), k.label("window"), k.label("eight"), k.label("end")
		k.Label(window)
		k.XORL(i, i)
		k.Label(loop)
		lookUp(Mem{Base: index, Index: i.As64(), Scale: 1}, 1)
		k.VMOVD(i, xmm(0))
		k.VPBROADCASTD(xmm(0), ymm(0))
		k.VPMULLD(ymm(5), ymm(0), ymm(0))
		k.VPADDD(ymm(6), ymm(1), ymm(1))
		k.VPADDD(ymm(0), ymm(1), ymm(1))
		k.VMOVUPS(Mem{Base: values, Index: i.As64(), Scale: 4}, ymm(2))
		k.VPUNPCKLDQ(ymm(2), ymm(1), ymm(3)) // terms 0 1 4 5
		k.VPUNPCKHDQ(ymm(2), ymm(1), ymm(4)) // terms 2 3 6 7
		k.VPERM2I128(Imm(0x20), ymm(4), ymm(3), ymm(1))
		k.VPERM2I128(Imm(0x31), ymm(4), ymm(3), ymm(2))
		k.VMOVDQU(ymm(1), Mem{Base: terms, Index: i.As64(), Scale: 8})
		k.VMOVDQU(ymm(2), Mem{Base: terms, Index: i.As64(), Scale: 8, Disp: 32})
		k.CMPQ(i.As64(), last)
		k.JEQ(LabelRef(end))
		k.ADDQ(Imm(8), i.As64())
		k.CMPQ(i.As64(), last)
		k.CMOVQGT(last, i.As64())
		k.JMP(LabelRef(loop))
		k.Label(end)
		k.VPADDD(ymm(7), ymm(6), ymm(6))
		k.ADDQ(n, index)
		k.LEAQ(Mem{Base: values, Index: n, Scale: 4}, values)
		k.LEAQ(Mem{Base: terms, Index: n, Scale: 8}, terms)
		k.DECQ(windows)
		k.JNE(LabelRef(window))
	})
}

// upToSeven fills ymm(y) with the numbers from 0 to 7.
func (k *rowKernel) upToSeven(y int) {
	numbers := k.GP64()
	k.MOVQ(U64(0x0706050403020100), numbers)
	k.VMOVQ(numbers, xmm(y))
	k.VPMOVZXBD(xmm(y), ymm(y))
}

// winnerBits8 goes through sixteen outputs at a time, tap by tap: which of them it won, and the bits that they have
// there. Bytes of dst are stored when they are complete.
func winnerBits8(c *build.Context) {
	k := newRowKernel(c, "winnerBitsAVX2", "func(dst, index *uint8, n, windows int, places *int32, taps int, first, next int32, bits *uint8)",
		"bit w·n+i of dst = bit first + w·next + places[index[w][i]] + i of bits for windows of n bits, the last byte filled with zeros; of index sixteen bytes are read at a time, of bits four")
	dst, index, places, bits := k.load("dst"), k.load("index"), k.load("places"), k.load("bits")
	left, tap, first, from := k.GP64(), k.GP64(), k.GP64(), k.GP64()
	members, shift, at, word := k.GP32(), k.GP64(), k.GP64(), k.GP32()
	found, fill, zero := k.GP64(), k.GP64(), k.GP64()
	k.XORQ(zero, zero)
	k.XORQ(found, found)
	k.XORQ(fill, fill)
	k.MOVLQSX(k.param("first"), from)
	k.VPCMPEQB(xmm(2), xmm(2), xmm(2)) // -1: the next tap is 1 larger
	k.Label("window")
	k.MOVQ(k.param("n"), left)
	k.MOVQ(from, first)
	k.Label("sixteen")
	k.VMOVDQU(Mem{Base: index}, xmm(0))
	k.VPXOR(xmm(1), xmm(1), xmm(1))
	k.XORQ(tap, tap)
	k.Label("tap")
	k.VPCMPEQB(xmm(1), xmm(0), xmm(3))
	k.VPMOVMSKB(xmm(3), members)
	k.CMPQ(left, Imm(16))
	k.JGE(LabelRef("whole"))
	k.BZHIL(left.As32(), members, members)
	k.Label("whole")
	k.MOVLQSX(Mem{Base: places, Index: tap, Scale: 4}, shift)
	k.ADDQ(first, shift)
	k.TESTL(members, members)
	k.CMOVQEQ(zero, shift) // a tap that did not win may lie outside
	k.MOVQ(shift, at)
	k.SHRQ(Imm(3), at)
	k.ANDQ(Imm(7), shift)
	k.MOVL(Mem{Base: bits, Index: at, Scale: 1}, word)
	k.SHRXL(shift.As32(), word, word)
	k.ANDL(members, word)
	k.SHLXQ(fill, word.(reg.GPVirtual).As64(), at)
	k.ORQ(at, found)
	k.VPSUBB(xmm(2), xmm(1), xmm(1))
	k.INCQ(tap)
	k.CMPQ(tap, k.param("taps"))
	k.JNE(LabelRef("tap"))
	k.MOVQ(left, tap)
	k.CMPQ(left, Imm(16))
	k.JLE(LabelRef("filled"))
	k.MOVL(U32(16), tap.As32())
	k.Label("filled")
	k.ADDQ(tap, fill)
	k.ADDQ(tap, index)
	k.ADDQ(tap, first)
	k.Label("byte")
	k.CMPQ(fill, Imm(8))
	k.JLT(LabelRef("stored"))
	k.MOVB(found.As8(), Mem{Base: dst})
	k.SHRQ(Imm(8), found)
	k.INCQ(dst)
	k.SUBQ(Imm(8), fill)
	k.JMP(LabelRef("byte"))
	k.Label("stored")
	k.SUBQ(tap, left)
	k.JNE(LabelRef("sixteen"))
	k.MOVLQSX(k.param("next"), at)
	k.ADDQ(at, from)
	k.DECQ(k.param("windows"))
	k.JNE(LabelRef("window"))
	k.TESTQ(fill, fill)
	k.JEQ(LabelRef("end"))
	k.MOVB(found.As8(), Mem{Base: dst})
	k.Label("end")
	k.RET()
}

func sortTaps8(c *build.Context) {
	k := newRowKernel(c, "sortTapsAVX2", "func(terms *byte, at *int32, values *float32, index *uint8, n, windows int, counts *int32, taps int, orders *[8]int32)",
		"terms[w] = {at[i], values[w][i]} sorted by index[w][i], tap by tap, and counts[w] their numbers, for windows of n terms; three elements behind the last are read, four terms written")
	terms, ats, values, index := k.load("terms"), k.load("at"), k.load("values"), k.load("index")
	counts, orders := k.load("counts"), k.load("orders")
	i, tap, left, mask, from, order, four := k.GP64(), k.GP64(), k.GP64(), k.GP64(), k.GP64(), k.GP64(), k.GP64()
	k.MOVL(U32(4), four.As32())
	k.Label("window")
	k.XORQ(tap, tap)
	k.Label("tap")
	k.VMOVD(tap.As32(), xmm(3))
	k.VPBROADCASTB(xmm(3), xmm(3))
	k.XORQ(i, i)
	k.MOVQ(k.param("n"), left)
	k.MOVQ(terms, from)
	k.Label("four")
	k.VMOVD(Mem{Base: index, Index: i, Scale: 1}, xmm(0))
	k.VPCMPEQB(xmm(0), xmm(3), xmm(0))
	k.VPMOVMSKB(xmm(0), mask.As32())
	k.ANDL(Imm(15), mask.As32())
	k.MOVQ(four, order)
	k.CMPQ(left, four)
	k.CMOVQLT(left, order)
	k.BZHIL(order.As32(), mask.As32(), mask.As32())
	k.VMOVDQU(Mem{Base: ats, Index: i, Scale: 4}, xmm(0))
	k.VMOVDQU(Mem{Base: values, Index: i, Scale: 4}, xmm(1))
	k.VPUNPCKHDQ(xmm(1), xmm(0), xmm(2))
	k.VPUNPCKLDQ(xmm(1), xmm(0), xmm(0))
	k.VINSERTI128(Imm(1), xmm(2), ymm(0), ymm(0))
	k.MOVQ(mask, order)
	k.SHLQ(Imm(5), order)
	k.VMOVDQU(Mem{Base: orders, Index: order, Scale: 1}, ymm(1))
	k.VPERMD(ymm(0), ymm(1), ymm(0))
	k.VMOVDQU(ymm(0), Mem{Base: terms})
	k.POPCNTL(mask.As32(), mask.As32())
	k.LEAQ(Mem{Base: terms, Index: mask, Scale: 8}, terms)
	k.ADDQ(Imm(4), i)
	k.SUBQ(Imm(4), left)
	k.JG(LabelRef("four"))
	k.MOVQ(terms, left)
	k.SUBQ(from, left)
	k.SHRQ(Imm(3), left)
	k.MOVL(left.As32(), Mem{Base: counts})
	k.ADDQ(Imm(4), counts)
	k.INCQ(tap)
	k.CMPQ(tap, k.param("taps"))
	k.JNE(LabelRef("tap"))
	k.MOVQ(k.param("n"), left)
	k.ADDQ(left, index)
	k.LEAQ(Mem{Base: values, Index: left, Scale: 4}, values)
	k.DECQ(k.param("windows"))
	k.JNE(LabelRef("window"))
	k.VZEROUPPER()
	k.RET()
}
