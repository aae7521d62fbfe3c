package main

import (
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// strips walks over rows of n elements, width at a time and at least width in all, without
// masks: the AVX2 form of rows; count is nil for a single row. compute brings the results
// of width elements into Y0 and leaves Y14 alone, store writes them.
//
// The last strip of a row that is no multiple of width overlaps the one before. It is computed
// first and waits in Y14 until the others are stored, so that results may take the place of
// operands. It gets the number of its elements that other strips compute too, which is nil for
// those.
func (k *rowKernel) strips(width int, count, n reg.Register, compute func(again reg.Register), store func()) {
	k.bulkStrips(width, count, n, nil, compute, store)
}

// bulkStrips is strips whose body bulk, which stores as well, takes bulkWidth elements as long as there
// are so many. It leaves Y14 alone.
func (k *rowKernel) bulkStrips(width int, count, n reg.Register, bulk func(), compute func(again reg.Register), store func()) {
	index, whole, last, again := k.GP64(), k.GP64(), k.GP64(), k.GP64()
	next, main, inner, end := k.label("row"), k.label("main"), k.label("strip"), k.label("next")
	for _, p := range k.pointers {
		p.index = index
	}
	k.MOVQ(n, whole)
	k.ANDQ(I32(-int32(width)), whole)
	k.LEAQ(Mem{Base: n, Disp: -width}, last)
	k.MOVQ(n, again)
	k.NEGQ(again)
	k.ANDQ(Imm(uint64(width-1)), again)
	if count != nil {
		k.Label(next)
	}
	k.TESTQ(again, again)
	k.JEQ(LabelRef(main))
	k.MOVQ(last, index)
	compute(again)
	k.VMOVAPS(ymm(0), ymm(14))
	k.Label(main)
	k.XORQ(index, index)
	var rest string
	if bulk != nil {
		rest = k.label("rest")
		loop, few, behind := k.label("bulk"), k.label("few"), k.GP64()
		k.LEAQ(Mem{Base: n, Disp: -bulkWidth}, behind)
		k.Label(loop)
		k.CMPQ(index, behind)
		k.JGT(LabelRef(few))
		bulk()
		k.ADDQ(Imm(bulkWidth), index)
		k.JMP(LabelRef(loop))
		k.Label(few)
		k.CMPQ(index, whole)
		k.JGE(LabelRef(rest))
	}
	k.Label(inner)
	compute(nil)
	store()
	k.ADDQ(Imm(uint64(width)), index)
	k.CMPQ(index, whole)
	k.JLT(LabelRef(inner))
	if bulk != nil {
		k.Label(rest)
	}
	k.TESTQ(again, again)
	k.JEQ(LabelRef(end))
	k.MOVQ(last, index)
	k.VMOVAPS(ymm(14), ymm(0))
	store()
	k.Label(end)
	if count != nil {
		for _, p := range k.pointers {
			if !p.rewind {
				k.LEAQ(Mem{Base: p.reg, Index: n, Scale: uint8(p.size)}, p.reg)
				if p.gap != nil {
					k.ADDQ(p.gap, p.reg)
				}
			}
		}
		k.DECQ(count)
		k.JNE(LabelRef(next))
	}
	k.VZEROUPPER()
}

// constant8 fills a vector with a 32-bit constant.
func (k *rowKernel) constant8(bits uint32, y int) {
	r := k.GP32()
	k.MOVL(U32(bits), r)
	k.VMOVD(r, xmm(y))
	k.VPBROADCASTD(xmm(y), ymm(y))
}

// storeBytes stores the low bytes of the eight elements of Y0 at p. Y15 holds 255 in each
// element; Y1 is scratch.
func (k *rowKernel) storeBytes(p *pointer) {
	k.VPAND(ymm(15), ymm(0), ymm(0))
	k.VEXTRACTI128(Imm(1), ymm(0), xmm(1))
	k.VPACKUSDW(xmm(1), xmm(0), xmm(0))
	k.VPACKUSWB(xmm(0), xmm(0), xmm(0))
	k.VMOVQ(xmm(0), at(p))
}

// bulkWidth is the number of elements whose bytes fill a vector.
const bulkWidth = 32

// part returns elements 8i to 8i+7 of a bulk strip.
func (p *pointer) part(i int) Mem { return at(p).Offset(8 * i * p.size) }

// bulkStore narrows the 32-bit elements of Y0 to Y3 to codes, after adding to them the words of z unless
// that is 0, and stores them. The words of Y12 and Y13 are the ends of codes, those of Y11 255,
// and Y10 holds bulkOrder.
func (k *rowKernel) bulkStore(dst *pointer, z int) {
	for _, y := range []int{0, 2} {
		k.VPACKSSDW(ymm(y+1), ymm(y), ymm(y))
		if z > 0 {
			k.VPADDSW(ymm(z), ymm(y), ymm(y))
		}
		k.VPMAXSW(ymm(12), ymm(y), ymm(y))
		k.VPMINSW(ymm(13), ymm(y), ymm(y))
		k.VPAND(ymm(11), ymm(y), ymm(y))
	}
	k.bulkBytes(dst)
}

// bulkBytes stores the words of Y0 and Y2, from 0 to 255, as bytes.
func (k *rowKernel) bulkBytes(dst *pointer) {
	k.VPACKUSWB(ymm(2), ymm(0), ymm(0))
	k.VPERMD(ymm(0), ymm(10), ymm(0))
	k.VMOVDQU(ymm(0), at(dst))
}

// bulkEnds makes words of the 32-bit ends in Y12 and Y13, for bulkStore.
func (k *rowKernel) bulkEnds() {
	for _, y := range []int{12, 13} {
		k.VPACKSSDW(ymm(y), ymm(y), ymm(y))
	}
}

// bulkConstants sets Y10 and Y11.
func (k *rowKernel) bulkConstants() {
	k.constant8(0x00ff00ff, 11)
	order := k.GP64() // Packing works within halves: 0, 4, 1, 5, 2, 6, 3, 7 undoes it.
	k.MOVQ(U64(0x0703060205010400), order)
	k.VMOVQ(order, xmm(10))
	k.VPMOVZXBD(xmm(10), ymm(10))
}
