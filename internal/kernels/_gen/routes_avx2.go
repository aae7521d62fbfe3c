package main

import (
	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// routes8 writes the AVX2 forms of what sorts the gradient of a pool's output for sparse products.
func routes8(c *build.Context) {
	placeTerms8(c)
	keepPassed8(c)
	sortTaps8(c)
}

// eightByEight runs body for eight elements at a time, of n that are at least as many; the last
// eight may overlap those before. i is the index of the first.
func (k *rowKernel) eightByEight(n reg.Register, body func(i reg.Register)) {
	i, last := k.GP64(), k.GP64()
	k.XORQ(i, i)
	k.LEAQ(Mem{Base: n, Disp: -8}, last)
	loop := k.label("eight")
	k.Label(loop)
	body(i)
	k.CMPQ(i, last)
	end := k.label("end")
	k.JEQ(LabelRef(end))
	k.ADDQ(Imm(8), i)
	k.CMPQ(i, last)
	k.CMOVQGT(last, i)
	k.JMP(LabelRef(loop))
	k.Label(end)
	k.VZEROUPPER()
	k.RET()
}

// lookUp fills ymm(y) with the elements of a table that eight bytes of index name. It uses ymm(y+1) and ymm(y+2).
func (k *rowKernel) lookUp(table reg.Register, index Mem, y int) {
	k.VPMOVZXBD(index, ymm(y+1))
	k.VPCMPEQD(ymm(y+2), ymm(y+2), ymm(y+2))
	k.VPGATHERDD(ymm(y+2), Mem{Base: table, Index: ymm(y + 1), Scale: 4}, ymm(y))
}

// broadcastInt fills ymm(y) with a parameter of 32 bits.
func (k *rowKernel) broadcastInt(name string, y int) {
	k.VMOVD(k.Load(k.Param(name), k.GP32()), xmm(y))
	k.VPBROADCASTD(xmm(y), ymm(y))
}

func placeTerms8(c *build.Context) {
	k := newRowKernel(c, "placeTermsAVX2", "func(terms *byte, values *float32, index *uint8, n int, places *int32, first int32)",
		"terms[i] = {first + places[index[i]], values[i]} for n ≥ 8 terms")
	terms, values, index, n, places := k.load("terms"), k.load("values"), k.load("index"), k.load("n"), k.load("places")
	k.broadcastInt("first", 0)
	k.eightByEight(n, func(i reg.Register) {
		k.lookUp(places, Mem{Base: index, Index: i, Scale: 1}, 1)
		k.VPADDD(ymm(0), ymm(1), ymm(1))
		k.VMOVUPS(Mem{Base: values, Index: i, Scale: 4}, ymm(2))
		k.VPUNPCKLDQ(ymm(2), ymm(1), ymm(3)) // terms 0 1 4 5
		k.VPUNPCKHDQ(ymm(2), ymm(1), ymm(4)) // terms 2 3 6 7
		k.VPERM2I128(Imm(0x20), ymm(4), ymm(3), ymm(1))
		k.VPERM2I128(Imm(0x31), ymm(4), ymm(3), ymm(2))
		k.VMOVDQU(ymm(1), Mem{Base: terms, Index: i, Scale: 8})
		k.VMOVDQU(ymm(2), Mem{Base: terms, Index: i, Scale: 8, Disp: 32})
	})
}

func keepPassed8(c *build.Context) {
	k := newRowKernel(c, "keepPassedAVX2", "func(values *float32, index *uint8, n int, places *int32, first int32, pass *uint8)",
		"values[i] = 0 unless bit first + places[index[i]] + i of pass is set, for n ≥ 8 values; three bytes behind the last are read")
	values, index, n, places, pass := k.load("values"), k.load("index"), k.load("n"), k.load("places"), k.load("pass")
	k.broadcastInt("first", 0)
	seven, iota := k.GP32(), k.GP64()
	k.MOVL(U32(7), seven)
	k.VMOVD(seven, xmm(5))
	k.VPBROADCASTD(xmm(5), ymm(5))
	k.MOVQ(U64(0x0706050403020100), iota)
	k.VMOVQ(iota, xmm(6))
	k.VPMOVZXBD(xmm(6), ymm(6))
	k.VPADDD(ymm(6), ymm(0), ymm(0))
	k.eightByEight(n, func(i reg.Register) {
		k.lookUp(places, Mem{Base: index, Index: i, Scale: 1}, 1)
		k.VMOVD(i.(reg.GPVirtual).As32(), xmm(2))
		k.VPBROADCASTD(xmm(2), ymm(2))
		k.VPADDD(ymm(0), ymm(1), ymm(1))
		k.VPADDD(ymm(2), ymm(1), ymm(1))
		k.VPAND(ymm(5), ymm(1), ymm(2))
		k.VPSRLD(Imm(3), ymm(1), ymm(1))
		k.VPCMPEQD(ymm(3), ymm(3), ymm(3))
		k.VPGATHERDD(ymm(3), Mem{Base: pass, Index: ymm(1), Scale: 1}, ymm(4))
		k.VPSRLVD(ymm(2), ymm(4), ymm(4))
		k.VPSLLD(Imm(31), ymm(4), ymm(4))
		k.VPSRAD(Imm(31), ymm(4), ymm(4))
		k.VANDPS(Mem{Base: values, Index: i, Scale: 4}, ymm(4), ymm(4))
		k.VMOVUPS(ymm(4), Mem{Base: values, Index: i, Scale: 4})
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
