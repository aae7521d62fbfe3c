package main

import (
	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// sums8 writes the AVX2 forms of depthwise and moments.
func sums8(c *build.Context) {
	for _, codes := range []bool{false, true} {
		var k *rowKernel
		size := 4
		if codes {
			size = 1
			k = newRowKernel(c, "mulAddGridCodesAVX2", "func(d *int32, x *uint8, w *int8, "+strideParams+", flip uint32)", "d += (x ^ flip)·w over the grid")
			k.VBROADCASTSS(k.param("flip"), xmm(7))
		} else {
			k = newRowKernel(c, "mulAddGridAVX2", "func(d, x, w *float32, "+strideParams+")", "d += x·w over the grid")
		}
		d, x, w := k.walk("d", 4), k.walk("x", size), k.walk("w", size)
		xRow, wRow, px, pw, rows, columns := k.GP64(), k.GP64(), k.GP64(), k.GP64(), k.GP64(), k.GP64()
		k.strips(8, nil, k.load("channels"), func(reg.Register) {
			row, column := k.label("row"), k.label("column")
			k.VMOVUPS(at(d), ymm(0))
			k.LEAQ(at(x), xRow)
			k.LEAQ(at(w), wRow)
			k.MOVQ(k.param("rows"), rows)
			k.Label(row)
			k.MOVQ(xRow, px)
			k.MOVQ(wRow, pw)
			k.MOVQ(k.param("columns"), columns)
			k.Label(column)
			if codes {
				k.VMOVQ(Mem{Base: px}, xmm(1))
				k.VPXOR(xmm(7), xmm(1), xmm(1))
				k.VPMOVZXBD(xmm(1), ymm(1))
				k.VPMOVSXBD(Mem{Base: pw}, ymm(2))
				k.VPMULLD(ymm(2), ymm(1), ymm(1))
				k.VPADDD(ymm(1), ymm(0), ymm(0))
			} else {
				k.VMOVUPS(Mem{Base: px}, ymm(1))
				k.VMULPS(Mem{Base: pw}, ymm(1), ymm(1))
				k.VADDPS(ymm(1), ymm(0), ymm(0))
			}
			k.ADDQ(k.param("xColumn"), px)
			k.ADDQ(k.param("wColumn"), pw)
			k.DECQ(columns)
			k.JNE(LabelRef(column))
			k.ADDQ(k.param("xRow"), xRow)
			k.ADDQ(k.param("wRow"), wRow)
			k.DECQ(rows)
			k.JNE(LabelRef(row))
		}, func() { k.VMOVUPS(ymm(0), at(d)) })
		k.RET()
	}

	k := newRowKernel(c, "momentsAVX2", "func(sum, product *float64, a, b *float32, pixels, astep, bstep int)",
		"sum += a, product += a·b over pixels astep and bstep bytes apart; 8 channels")
	sum, product, a, b := k.load("sum"), k.load("product"), k.load("a"), k.load("b")
	astep, bstep, pixels := k.load("astep"), k.load("bstep"), k.load("pixels")
	for h := range 2 { // Y0 and Y1 sums, Y2 and Y3 products
		k.VMOVUPD(Mem{Base: sum, Disp: 32 * h}, ymm(h))
		k.VMOVUPD(Mem{Base: product, Disp: 32 * h}, ymm(2+h))
	}
	k.Label("pixel")
	for h := range 2 {
		k.VCVTPS2PD(Mem{Base: a, Disp: 16 * h}, ymm(4+h))
		k.VCVTPS2PD(Mem{Base: b, Disp: 16 * h}, ymm(6+h))
		k.VADDPD(ymm(4+h), ymm(h), ymm(h))
		k.VFMADD231PD(ymm(4+h), ymm(6+h), ymm(2+h))
	}
	k.ADDQ(astep, a)
	k.ADDQ(bstep, b)
	k.DECQ(pixels)
	k.JNE(LabelRef("pixel"))
	for h := range 2 {
		k.VMOVUPD(ymm(h), Mem{Base: sum, Disp: 32 * h})
		k.VMOVUPD(ymm(2+h), Mem{Base: product, Disp: 32 * h})
	}
	k.VZEROUPPER()
	k.RET()

	k = newRowKernel(c, "accMomentsAVX2", "func(sum *int64, low, high *uint64, acc *int32, pixels, step int)",
		"sum += acc; low and high += the halves of acc·acc, over pixels step bytes apart; 4 channels")
	s, low, high, acc := k.load("sum"), k.load("low"), k.load("high"), k.load("acc")
	step, pixels := k.load("step"), k.load("pixels")
	k.VMOVDQU(Mem{Base: s}, ymm(0))
	k.VMOVDQU(Mem{Base: low}, ymm(1))
	k.VMOVDQU(Mem{Base: high}, ymm(2))
	k.VPCMPEQD(ymm(5), ymm(5), ymm(5))
	k.VPSRLQ(Imm(32), ymm(5), ymm(5))
	k.Label("pixel")
	k.VPMOVSXDQ(Mem{Base: acc}, ymm(3))
	k.VPADDQ(ymm(3), ymm(0), ymm(0))
	k.VPMULDQ(ymm(3), ymm(3), ymm(3))
	k.VPAND(ymm(5), ymm(3), ymm(4))
	k.VPSRLQ(Imm(32), ymm(3), ymm(3))
	k.VPADDQ(ymm(4), ymm(1), ymm(1))
	k.VPADDQ(ymm(3), ymm(2), ymm(2))
	k.ADDQ(step, acc)
	k.DECQ(pixels)
	k.JNE(LabelRef("pixel"))
	k.VMOVDQU(ymm(0), Mem{Base: s})
	k.VMOVDQU(ymm(1), Mem{Base: low})
	k.VMOVDQU(ymm(2), Mem{Base: high})
	k.VZEROUPPER()
	k.RET()
}
