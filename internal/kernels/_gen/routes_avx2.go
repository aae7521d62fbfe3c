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
	k := newRowKernel(c, "placeTermsAVX2", "func(terms *byte, values *float32, index *uint8, n int, places *int32, taps int, first, step int32)",
		"terms[i] = {first + i·step + places[index[i]], values[i]} for n ≥ 8 terms, the last eight of which may overlap those before")
	terms, values, index, last, places := k.load("terms"), k.load("values"), k.load("index"), k.load("n"), k.load("places")
	k.SUBQ(Imm(8), last)
	k.broadcastInt("step", 5)
	k.upToSeven(6)
	k.VPMULLD(ymm(5), ymm(6), ymm(6)) // of the terms from i on
	k.broadcastInt("first", 0)
	k.VPADDD(ymm(6), ymm(0), ymm(6))
	k.fewOrManyTaps(places, func(lookUp func(index Mem, y int)) {
		i, loop, end := k.GP32(), k.label("eight"), k.label("end")
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
	})
}

// upToSeven fills ymm(y) with the numbers from 0 to 7.
func (k *rowKernel) upToSeven(y int) {
	numbers := k.GP64()
	k.MOVQ(U64(0x0706050403020100), numbers)
	k.VMOVQ(numbers, xmm(y))
	k.VPMOVZXBD(xmm(y), ymm(y))
}

func winnerBits8(c *build.Context) {
	k := newRowKernel(c, "winnerBitsAVX2", "func(dst, index *uint8, n int, places *int32, taps int, first int32, bits *uint8)",
		"bit i of dst = bit first + places[index[i]] + i of bits for n > 0 bits, the last byte filled with zeros; of index eight bytes are read at a time, of bits four")
	dst, index, places, bits := k.load("dst"), k.load("index"), k.load("places"), k.load("bits")
	left := k.GP64()
	k.MOVQ(k.param("n"), left)
	k.broadcastInt("first", 0)
	seven, eight := k.GP32(), k.GP32()
	k.MOVL(U32(7), seven)
	k.VMOVD(seven, xmm(5))
	k.VPBROADCASTD(xmm(5), ymm(5))
	k.MOVL(U32(8), eight)
	k.VMOVD(eight, xmm(6))
	k.VPBROADCASTD(xmm(6), ymm(6))
	k.upToSeven(7)
	k.VPADDD(ymm(7), ymm(0), ymm(0))
	k.fewOrManyTaps(places, func(lookUp func(index Mem, y int)) {
		byte, loop := k.GP32(), k.label("eight")
		k.Label(loop)
		lookUp(Mem{Base: index}, 1)
		k.VPADDD(ymm(0), ymm(1), ymm(1))
		k.VPADDD(ymm(6), ymm(0), ymm(0))
		k.VPAND(ymm(5), ymm(1), ymm(2))
		k.VPSRLD(Imm(3), ymm(1), ymm(1))
		k.VMOVD(left.As32(), xmm(3)) // what lies behind the last bit is left alone, and 0
		k.VPBROADCASTD(xmm(3), ymm(3))
		k.VPCMPGTD(ymm(7), ymm(3), ymm(3))
		k.VPXOR(ymm(4), ymm(4), ymm(4))
		k.VPGATHERDD(ymm(3), Mem{Base: bits, Index: ymm(1), Scale: 1}, ymm(4))
		k.VPSRLVD(ymm(2), ymm(4), ymm(4))
		k.VPSLLD(Imm(31), ymm(4), ymm(4))
		k.VMOVMSKPS(ymm(4), byte)
		k.MOVB(byte.As8(), Mem{Base: dst})
		k.INCQ(dst)
		k.ADDQ(Imm(8), index)
		k.SUBQ(Imm(8), left)
		k.JG(LabelRef(loop))
	})
}

func sortTaps8(c *build.Context) {
	k := newRowKernel(c, "sortTapsAVX2", "func(terms *byte, at *int32, values *float32, index *uint8, n int, counts *int32, taps int, orders *[8]int32)",
		"terms = {at[i], values[i]} sorted by index[i], tap by tap, and counts their numbers; three elements behind the last are read, four terms written")
	terms, ats, values, index, n := k.load("terms"), k.load("at"), k.load("values"), k.load("index"), k.load("n")
	counts, taps, orders := k.load("counts"), k.load("taps"), k.load("orders")
	i, tap, left, mask, from, order, four := k.GP64(), k.GP64(), k.GP64(), k.GP64(), k.GP64(), k.GP64(), k.GP64()
	k.MOVL(U32(4), four.As32())
	k.XORQ(tap, tap)
	k.Label("tap")
	k.VMOVD(tap.As32(), xmm(3))
	k.VPBROADCASTB(xmm(3), xmm(3))
	k.XORQ(i, i)
	k.MOVQ(n, left)
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
	k.MOVL(left.As32(), Mem{Base: counts, Index: tap, Scale: 4})
	k.INCQ(tap)
	k.CMPQ(tap, taps)
	k.JNE(LabelRef("tap"))
	k.VZEROUPPER()
	k.RET()
}
