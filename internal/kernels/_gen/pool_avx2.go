package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// pool8 writes the AVX2 forms of pool: eight channels at a time, or 16 of codes.
func pool8(c *build.Context) {
	maxWindow8(c)
	maxWindowCodes8(c, 8)
	maxWindowCodes8(c, 16)
	maxWindowBackward8(c)
}

// runParams are the parameters of windows side by side: next bytes apart, of output pixels
// outStep bytes apart.
const runParams = "count, next, outStep int"

// overlapping runs body for each width of the channels, of which there are as many at least, of
// each pixel. The last ones overlap those before; again is how many, 0 for the others.
func (k *rowKernel) overlapping(width int, steps map[*pointer]string, body func(again reg.Register)) {
	index, last, again, count := k.GP64(), k.load("channels"), k.GP64(), k.load("count")
	for _, p := range k.pointers {
		p.index = index
	}
	k.SUBQ(Imm(uint64(width)), last)
	k.Label("pixel")
	k.XORQ(index, index)
	k.XORQ(again, again)
	k.Label("chunk")
	body(again)
	k.CMPQ(index, last)
	k.JGE(LabelRef("next"))
	k.ADDQ(Imm(uint64(width)), index)
	k.CMPQ(index, last)
	k.JLE(LabelRef("chunk"))
	k.MOVQ(index, again)
	k.SUBQ(last, again)
	k.MOVQ(last, index)
	k.JMP(LabelRef("chunk"))
	k.Label("next")
	for _, p := range k.pointers {
		k.ADDQ(k.param(steps[p]), p.reg)
	}
	k.DECQ(count)
	k.JNE(LabelRef("pixel"))
	k.VZEROUPPER()
	k.RET()
}

// taps8 runs body for each tap of the window at start. Y6 holds its number in each lane: add is
// VPADDD or VPADDB, Y7 holds ones, Y8 the taps between the rows of the window.
func (k *rowKernel) taps8(start *pointer, add func(a, b, dst Op), body func(pixel Mem)) {
	row, pixel, rows, columns := k.GP64(), k.GP64(), k.GP64(), k.GP64()
	k.LEAQ(at(start), row)
	k.MOVQ(k.param("rows"), rows)
	k.Label("tap_row")
	k.MOVQ(row, pixel)
	k.MOVQ(k.param("columns"), columns)
	k.Label("tap")
	body(Mem{Base: pixel})
	add(ymm(7), ymm(6), ymm(6))
	k.ADDQ(k.param("columnStep"), pixel)
	k.DECQ(columns)
	k.JNE(LabelRef("tap"))
	add(ymm(8), ymm(6), ymm(6))
	k.ADDQ(k.param("rowStep"), row)
	k.DECQ(rows)
	k.JNE(LabelRef("tap_row"))
}

// byteLanes fills the lanes of 32 bits of a vector with a parameter of one byte.
func (k *rowKernel) byteLanes(name string, y int) {
	r := k.GP32()
	k.MOVBLZX(k.param(name), r)
	k.VMOVD(r, xmm(y))
	k.VPBROADCASTD(xmm(y), ymm(y))
}

func maxWindow8(c *build.Context) {
	k := newRowKernel(c, "maxWindowAVX2", "func(d *float32, idx *uint8, x *float32, "+windowParams+", noted uint8, "+runParams+")",
		"d = maximum over the window at x, idx = number of its first tap, unless noted is 0; at least 8 channels")
	d, idx, x := k.walk("d", 4), k.walk("idx", 1), k.walk("x", 4)
	k.constant8(1, 7)
	k.byteLanes("skip", 8)
	k.byteLanes("tap", 9)
	k.overlapping(8, map[*pointer]string{d: "outStep", idx: "channels", x: "next"}, func(reg.Register) { // Y4 is the maximum, Y0 its tap
		k.VMOVUPS(at(x), ymm(4))
		k.VMOVDQA(ymm(9), ymm(0))
		k.VMOVDQA(ymm(9), ymm(6))
		k.taps8(x, func(a, b, dst Op) { k.VPADDD(a, b, dst) }, func(pixel Mem) {
			k.VMOVUPS(pixel, ymm(5))
			k.VCMPPS(Imm(notLessEqual), ymm(4), ymm(5), ymm(2)) // greater, or one of the two is NaN
			k.VCMPPS(Imm(ordered), ymm(4), ymm(4), ymm(3))      // the maximum is not
			k.VANDPS(ymm(3), ymm(2), ymm(2))
			k.VBLENDVPS(ymm(2), ymm(5), ymm(4), ymm(4))
			k.VBLENDVPS(ymm(2), ymm(6), ymm(0), ymm(0))
		})
		k.VMOVUPS(ymm(4), at(d))
		k.unlessZero("noted", func() {
			k.VEXTRACTI128(Imm(1), ymm(0), xmm(1))
			k.VPACKUSDW(xmm(1), xmm(0), xmm(0))
			k.VPACKUSWB(xmm(0), xmm(0), xmm(0))
			k.VMOVQ(xmm(0), at(idx))
		})
	})
}

// unlessZero skips body if a parameter of one byte is 0.
func (k *rowKernel) unlessZero(name string, body func()) {
	skip := k.label("unless")
	k.CMPB(k.param(name), Imm(0))
	k.JEQ(LabelRef(skip))
	body()
	k.Label(skip)
}

func maxWindowCodes8(c *build.Context, width int) {
	k := newRowKernel(c, fmt.Sprintf("maxWindowCodes%dAVX2", width), "func(d *uint8, idx *uint8, x *uint8, "+windowParams+", flip, noted uint8, "+runParams+")",
		fmt.Sprintf("d = maximum of signed x ^ flip over the window at x, ^ flip; idx = number of its first tap, unless noted is 0; at least %d channels", width))
	d, idx, x := k.walk("d", 1), k.walk("idx", 1), k.walk("x", 1)
	move := k.VMOVQ
	if width == 16 {
		move = k.VMOVDQU
	}
	one := k.GP32()
	k.MOVL(U32(0x01010101), one)
	k.VMOVD(one, xmm(7))
	k.VPBROADCASTD(xmm(7), ymm(7))
	k.VPBROADCASTB(k.param("skip"), ymm(8))
	k.VPBROADCASTB(k.param("tap"), ymm(9))
	k.VPBROADCASTB(k.param("flip"), ymm(10))
	k.overlapping(width, map[*pointer]string{d: "outStep", idx: "channels", x: "next"}, func(reg.Register) { // X4 is the maximum, X0 its tap
		move(at(x), xmm(4))
		k.VPXOR(xmm(10), xmm(4), xmm(4))
		k.VMOVDQA(xmm(9), xmm(0))
		k.VMOVDQA(xmm(9), xmm(6))
		k.taps8(x, func(a, b, dst Op) { k.VPADDB(a, b, dst) }, func(pixel Mem) {
			move(pixel, xmm(5))
			k.VPXOR(xmm(10), xmm(5), xmm(5))
			k.VPCMPGTB(xmm(4), xmm(5), xmm(2))
			k.VPMAXSB(xmm(5), xmm(4), xmm(4))
			k.VPBLENDVB(xmm(2), xmm(6), xmm(0), xmm(0))
		})
		k.VPXOR(xmm(10), xmm(4), xmm(4))
		move(xmm(4), at(d))
		k.unlessZero("noted", func() { move(xmm(0), at(idx)) })
	})
}

func maxWindowBackward8(c *build.Context) {
	k := newRowKernel(c, "maxWindowBackwardAVX2", "func(dx, dy *float32, idx *uint8, "+windowParams+", "+runParams+")",
		"dx += dy at the tap that idx names, over the window at dx; at least 8 channels")
	dx, dy, idx := k.walk("dx", 4), k.walk("dy", 4), k.walk("idx", 1)
	k.constant8(1, 7)
	k.byteLanes("skip", 8)
	k.byteLanes("tap", 9)
	k.upToSeven(10) // the numbers of the lanes
	k.overlapping(8, map[*pointer]string{dx: "next", dy: "outStep", idx: "channels"}, func(again reg.Register) {
		k.VMOVUPS(at(dy), ymm(4))
		k.VPMOVZXBD(at(idx), ymm(0))
		k.VMOVD(again.(reg.GP).As32(), xmm(1))
		k.VPBROADCASTD(xmm(1), ymm(1))
		k.VPCMPGTD(ymm(10), ymm(1), ymm(1))
		k.VPOR(ymm(1), ymm(0), ymm(0)) // no tap for what is done
		k.VMOVDQA(ymm(9), ymm(6))
		k.taps8(dx, func(a, b, dst Op) { k.VPADDD(a, b, dst) }, func(pixel Mem) {
			k.VPCMPEQD(ymm(6), ymm(0), ymm(2))
			k.VMOVUPS(pixel, ymm(5))
			k.VADDPS(ymm(4), ymm(5), ymm(3))
			k.VBLENDVPS(ymm(2), ymm(3), ymm(5), ymm(5))
			k.VMOVUPS(ymm(5), pixel)
		})
	})
}
