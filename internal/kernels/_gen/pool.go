package main

import (
	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// pool writes the max-pooling loops over the window of one output pixel, 16 channels at a
// time. X1 counts the taps; K1 masks the channels.
func pool(c *build.Context) {
	for _, codes := range []bool{false, true} {
		maxWindow(c, codes)
	}
	maxWindowBackward(c)
}

// chunks runs body for each group of up to 16 channels, masked by K1, and then moves the
// pointers on.
func (k *rowKernel) chunks(body func()) {
	left, lanes, sixteen, ones := k.load("channels"), k.GP64(), k.GP64(), k.GP32()
	k.MOVQ(U32(16), sixteen)
	k.Label("chunk")
	k.MOVQ(left, lanes)
	k.CMPQ(left, sixteen)
	k.CMOVQGT(sixteen, lanes)
	k.MOVL(U32(0xffff), ones)
	k.BZHIL(lanes.As32(), ones, ones)
	k.KMOVW(ones, reg.K1)
	body()
	for _, p := range k.pointers {
		k.ADDQ(Imm(uint64(16*p.size)), p.reg)
	}
	k.SUBQ(Imm(16), left)
	k.JG(LabelRef("chunk"))
	k.VZEROUPPER()
}

// taps runs body for each tap of the window whose first pixel is at start.
func (k *rowKernel) taps(start *pointer, body func(pixel Mem)) {
	row, pixel, rows, columns := k.GP64(), k.GP64(), k.GP64(), k.GP64()
	k.VPBROADCASTB(k.param("tap"), xmm(1))
	k.MOVQ(start.reg, row)
	k.MOVQ(k.param("rows"), rows)
	k.Label("tap_row")
	k.MOVQ(row, pixel)
	k.MOVQ(k.param("columns"), columns)
	k.Label("tap")
	body(Mem{Base: pixel})
	k.VPADDB(xmm(2), xmm(1), xmm(1))
	k.ADDQ(k.param("columnStep"), pixel)
	k.DECQ(columns)
	k.JNE(LabelRef("tap"))
	k.VPADDB(xmm(3), xmm(1), xmm(1))
	k.ADDQ(k.param("rowStep"), row)
	k.DECQ(rows)
	k.JNE(LabelRef("tap_row"))
}

// tapConstants sets X2 to ones and X3 to the taps between the rows of the window.
func (k *rowKernel) tapConstants() {
	one := k.GP32()
	k.MOVL(U32(1), one)
	k.VPBROADCASTB(one, xmm(2))
	k.VPBROADCASTB(k.param("skip"), xmm(3))
}

const windowParams = "channels, rows, columns, rowStep, columnStep int, tap, skip uint8"

func maxWindow(c *build.Context, codes bool) {
	name, element, size := "maxWindowAVX512", "float32", 4
	if codes {
		name, element, size = "maxWindowCodesAVX512", "uint8", 1
	}
	k := newRowKernel(c, name, "func(d *"+element+", idx *uint8, x *"+element+", "+windowParams+", flip uint8, noted uint16)",
		"d = maximum over the window at x, idx = number of its first tap, unless noted is 0")
	d, idx, x := k.walk("d", size), k.walk("idx", 1), k.walk("x", size)
	k.tapConstants()
	k.KMOVW(k.param("noted"), reg.K5)
	if codes {
		k.VPBROADCASTB(k.param("flip"), xmm(7))
	}
	// Z4 and X4 are the maximum, X5 its tap.
	k.chunks(func() {
		k.VPBROADCASTB(k.param("tap"), xmm(5))
		if codes {
			k.VMOVDQU8_Z(at(x), reg.K1, xmm(4))
			k.VPXORD(xmm(7), xmm(4), xmm(4))
		} else {
			k.VMOVUPS_Z(at(x), reg.K1, zmm(4))
		}
		k.taps(x, func(pixel Mem) {
			if codes {
				k.VMOVDQU8_Z(pixel, reg.K1, xmm(0))
				k.VPXORD(xmm(7), xmm(0), xmm(0))
				k.VPCMPUB(Imm(6), xmm(4), xmm(0), reg.K1, reg.K3) // greater
				k.VMOVDQU8(xmm(0), reg.K3, xmm(4))
			} else {
				k.VMOVUPS_Z(pixel, reg.K1, zmm(0))
				k.VCMPPS(Imm(greater), zmm(4), zmm(0), reg.K1, reg.K3)
				k.VCMPPS(Imm(unordered), zmm(0), zmm(0), reg.K1, reg.K4)
				k.VCMPPS(Imm(ordered), zmm(4), zmm(4), reg.K4, reg.K4)
				k.KORW(reg.K3, reg.K4, reg.K3)
				k.VMOVAPS(zmm(0), reg.K3, zmm(4))
			}
			k.VMOVDQU8(xmm(1), reg.K3, xmm(5))
		})
		if codes {
			k.VPXORD(xmm(7), xmm(4), xmm(4))
			k.VMOVDQU8(xmm(4), reg.K1, at(d))
		} else {
			k.VMOVUPS(zmm(4), reg.K1, at(d))
		}
		k.KANDW(reg.K1, reg.K5, reg.K3)
		k.VMOVDQU8(xmm(5), reg.K3, at(idx))
	})
	k.RET()
}

func maxWindowBackward(c *build.Context) {
	k := newRowKernel(c, "maxWindowBackwardAVX512", "func(dx, dy *float32, idx *uint8, "+windowParams+")",
		"dx += dy at the tap that idx names, over the window at dx")
	dx, dy, idx := k.walk("dx", 4), k.walk("dy", 4), k.walk("idx", 1)
	k.tapConstants()
	k.chunks(func() {
		k.VMOVUPS_Z(at(dy), reg.K1, zmm(4))
		k.VMOVDQU8_Z(at(idx), reg.K1, xmm(5))
		k.taps(dx, func(pixel Mem) {
			k.VPCMPUB(Imm(0), xmm(5), xmm(1), reg.K1, reg.K3) // equal
			k.VMOVUPS_Z(pixel, reg.K3, zmm(0))
			k.VADDPS(zmm(4), zmm(0), zmm(0))
			k.VMOVUPS(zmm(0), reg.K3, pixel)
		})
	})
	k.RET()
}
