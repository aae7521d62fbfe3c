package main

import (
	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const strideParams = "channels, rows, columns, xRow, xColumn, wRow, wColumn int"

// depthwise writes d += Σ x·w over a grid of pixels, channel by channel. Z4 and Z5 are
// the sums of 32 channels; K1 and K2 mask them. Multiply and add are separate, so that the results
// are those of Go.
func depthwise(c *build.Context) {
	k := newRowKernel(c, "mulAddGridAVX512", "func(d, x, w *float32, "+strideParams+")", "d += x·w over the grid")
	k.grid(4, 4, 4, func() {}, func(x, w Mem, masks [2]reg.Register) {
		for v, m := range masks {
			k.VMOVUPS_Z(x.Offset(64*v), m, zmm(v))
			k.VMOVUPS_Z(w.Offset(64*v), m, zmm(2+v))
			k.VMULPS(zmm(2+v), zmm(v), zmm(v))
			k.VADDPS(zmm(v), zmm(4+v), zmm(4+v))
		}
	})
	k = newRowKernel(c, "mulAddGridCodesAVX512", "func(d *int32, x *uint8, w *int8, "+strideParams+", flip uint32)", "d += (x ^ flip)·w over the grid")
	k.grid(4, 1, 1, func() { k.VBROADCASTSS(k.param("flip"), xmm(7)) }, func(x, w Mem, masks [2]reg.Register) {
		for v, m := range masks {
			k.VMOVDQU8_Z(x.Offset(16*v), m, xmm(v))
			k.VMOVDQU8_Z(w.Offset(16*v), m, xmm(2+v))
			k.VPXOR(xmm(7), xmm(v), xmm(v))
			k.VPMOVZXBD(xmm(v), zmm(v))
			k.VPMOVSXBD(xmm(2+v), zmm(2+v))
			k.VPMULLD(zmm(2+v), zmm(v), zmm(v))
			k.VPADDD(zmm(v), zmm(4+v), zmm(4+v))
		}
	})
}

// grid runs body for each pixel of the grid and each group of 32 channels.
func (k *rowKernel) grid(dSize, xSize, wSize int, constants func(), body func(x, w Mem, masks [2]reg.Register)) {
	masks := [2]reg.Register{reg.K1, reg.K2}
	d, x, w, left := k.load("d"), k.load("x"), k.load("w"), k.load("channels")
	xRow, wRow, px, pw, rows, columns := k.GP64(), k.GP64(), k.GP64(), k.GP64(), k.GP64(), k.GP64()
	constants()
	k.Label("chunk")
	lanes, most, ones := k.GP64(), k.GP64(), k.GP64()
	k.MOVQ(U32(32), most)
	k.MOVQ(left, lanes)
	k.CMPQ(left, most)
	k.CMOVQGT(most, lanes)
	k.MOVQ(U64(0xffffffff), ones)
	k.BZHIQ(lanes, ones, ones)
	k.KMOVW(ones.As32(), reg.K1)
	k.SHRQ(Imm(16), ones)
	k.KMOVW(ones.As32(), reg.K2)
	for v, m := range masks {
		k.VMOVUPS_Z(Mem{Base: d, Disp: 64 * v}, m, zmm(4+v))
	}
	k.MOVQ(x, xRow)
	k.MOVQ(w, wRow)
	k.MOVQ(k.param("rows"), rows)
	k.Label("row")
	k.MOVQ(xRow, px)
	k.MOVQ(wRow, pw)
	k.MOVQ(k.param("columns"), columns)
	k.Label("column")
	body(Mem{Base: px}, Mem{Base: pw}, masks)
	k.ADDQ(k.param("xColumn"), px)
	k.ADDQ(k.param("wColumn"), pw)
	k.DECQ(columns)
	k.JNE(LabelRef("column"))
	k.ADDQ(k.param("xRow"), xRow)
	k.ADDQ(k.param("wRow"), wRow)
	k.DECQ(rows)
	k.JNE(LabelRef("row"))
	for v, m := range masks {
		k.VMOVUPS(zmm(4+v), m, Mem{Base: d, Disp: 64 * v})
	}
	k.ADDQ(Imm(uint64(32*dSize)), d)
	k.ADDQ(Imm(uint64(32*xSize)), x)
	k.ADDQ(Imm(uint64(32*wSize)), w)
	k.SUBQ(Imm(32), left)
	k.JG(LabelRef("chunk"))
	k.VZEROUPPER()
	k.RET()
}
