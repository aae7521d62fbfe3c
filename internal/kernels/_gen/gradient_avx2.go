package main

import (
	"math"

	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// gradient8 writes the AVX2 forms of gradient. Y8 to Y11 are the 16 sums.
func gradient8(c *build.Context) {
	k := newRowKernel(c, "dotCodesAVX2", "func(sums *float64, x *float32, codes *uint8, n int, flip, z int32)",
		"sums += x·((code ^ flip) - z), 16 sums by turns; n is a positive multiple of 16")
	sums := k.load("sums")
	x, codes := k.walk("x", 4), k.walk("codes", 1)
	// The bits of 2⁵² and a small number more are those of 2⁵² or-ed with that number.
	bits := k.load("flip")
	magic := k.GP64()
	k.MOVQ(U64(math.Float64bits(1<<52)), magic)
	k.VMOVQ(magic, xmm(0))
	k.VPBROADCASTQ(xmm(0), ymm(0))
	k.VBROADCASTSS(k.param("z"), ymm(7))
	k.VCVTDQ2PD(xmm(7), ymm(7))
	k.VADDPD(ymm(0), ymm(7), ymm(7)) // 2⁵² + z
	k.ORQ(magic, bits)
	k.VMOVQ(bits, xmm(6))
	k.VPBROADCASTQ(xmm(6), ymm(6)) // makes a code 2⁵² + (code ^ flip)
	k.sums16(sums, func() {
		for i := range 4 {
			k.VPMOVZXBQ(at(codes).Offset(4*i), ymm(0))
			k.VPXOR(ymm(6), ymm(0), ymm(0))
			k.VSUBPD(ymm(7), ymm(0), ymm(0))
			k.VCVTPS2PD(at(x).Offset(16*i), ymm(1))
			k.VFMADD231PD(ymm(1), ymm(0), ymm(8+i))
		}
	})

	for _, add := range []bool{false, true} {
		name, doc := "selectRangeAVX2", "dst = src where lo <= x <= hi, else 0; sums += src·x there, 16 sums by turns; n is a positive multiple of 16"
		if add {
			name, doc = "selectRangeAddAVX2", "dst += src where lo <= x <= hi; sums += src·x there, 16 sums by turns; n is a positive multiple of 16"
		}
		k := newRowKernel(c, name, "func(sums *float64, dst, src, x *float32, n int, lo, hi float32)", doc)
		sums := k.load("sums")
		dst, src, x := k.walk("dst", 4), k.walk("src", 4), k.walk("x", 4)
		k.VBROADCASTSS(k.param("lo"), ymm(6))
		k.VBROADCASTSS(k.param("hi"), ymm(7))
		k.sums16(sums, func() {
			for h := range 2 {
				here := func(p *pointer) Mem { return at(p).Offset(32 * h) }
				k.VMOVUPS(here(x), ymm(0))
				k.VCMPPS(Imm(atLeast), ymm(6), ymm(0), ymm(1))
				k.VCMPPS(Imm(lessEqual), ymm(7), ymm(0), ymm(2))
				k.VANDPS(ymm(2), ymm(1), ymm(1))
				k.VANDPS(ymm(1), ymm(0), ymm(0))
				k.VANDPS(here(src), ymm(1), ymm(1))
				if add {
					k.VADDPS(here(dst), ymm(1), ymm(2))
					k.VMOVUPS(ymm(2), here(dst))
				} else {
					k.VMOVUPS(ymm(1), here(dst))
				}
				k.VEXTRACTF128(Imm(1), ymm(0), xmm(2))
				k.VEXTRACTF128(Imm(1), ymm(1), xmm(3))
				for i, pair := range [][2]int{{0, 1}, {2, 3}} {
					k.VCVTPS2PD(xmm(pair[0]), ymm(pair[0]))
					k.VCVTPS2PD(xmm(pair[1]), ymm(pair[1]))
					k.VFMADD231PD(ymm(pair[0]), ymm(pair[1]), ymm(8+2*h+i))
				}
			}
		})
	}

	selectAccumulators8(c)

	k = newRowKernel(c, "mixAccumulatorsAVX2", "func(d *float32, acc *int32, a, b, k *float64, pixels, channels int)",
		"d = a·d + (b + k·acc) in float64, per channel; at least 8 channels")
	d, acc := k.walk("d", 4), k.walk("acc", 4)
	fa, fb, fk := k.channels("a", 8), k.channels("b", 8), k.channels("k", 8)
	k.strips(8, k.load("pixels"), k.load("channels"), func(reg.Register) {
		for h := range 2 {
			half := func(p *pointer) Mem { return at(p).Offset(4 * p.size * h) }
			k.VCVTDQ2PD(half(acc), ymm(2))
			k.VMULPD(half(fk), ymm(2), ymm(2))
			k.VADDPD(half(fb), ymm(2), ymm(2))
			k.VCVTPS2PD(half(d), ymm(3))
			k.VMULPD(half(fa), ymm(3), ymm(3))
			k.VADDPD(ymm(2), ymm(3), ymm(3))
			k.VCVTPD2PSY(ymm(3), xmm(h))
		}
		k.VINSERTF128(Imm(1), xmm(1), ymm(0), ymm(0))
	}, func() { k.VMOVUPS(ymm(0), at(d)) })
	k.RET()
}

// sums16 runs body for each 16 of n elements, with 16 sums in Y8 to Y11.
func (k *rowKernel) sums16(sums reg.Register, body func()) {
	left := k.load("n")
	for i := range 4 {
		k.VMOVUPD(Mem{Base: sums, Disp: 32 * i}, ymm(8+i))
	}
	k.Label("sixteen")
	body()
	for _, p := range k.pointers {
		k.ADDQ(Imm(uint64(16*p.size)), p.reg)
	}
	k.SUBQ(Imm(16), left)
	k.JNE(LabelRef("sixteen"))
	for i := range 4 {
		k.VMOVUPD(ymm(8+i), Mem{Base: sums, Disp: 32 * i})
	}
	k.VZEROUPPER()
	k.RET()
}

func selectAccumulators8(c *build.Context) {
	k := newRowKernel(c, "selectAccumulatorsAVX2", "func(d *float32, acc, first, last *int32, sum, product *float64, pixels, step int)",
		"d = 0 unless first <= acc <= last; sum += d, product += d·acc over pixels step bytes apart; 8 channels")
	d, acc, step := k.load("d"), k.load("acc"), k.load("step")
	sum, product, pixels := k.load("sum"), k.load("product"), k.load("pixels")
	first, last := k.load("first"), k.load("last")
	k.VMOVDQU(Mem{Base: first}, ymm(4))
	k.VMOVDQU(Mem{Base: last}, ymm(5))
	for h := range 2 { // Y8 and Y9 sums, Y10 and Y11 products
		k.VMOVUPD(Mem{Base: sum, Disp: 32 * h}, ymm(8+h))
		k.VMOVUPD(Mem{Base: product, Disp: 32 * h}, ymm(10+h))
	}
	k.Label("pixel")
	k.VMOVDQU(Mem{Base: acc}, ymm(0))
	k.VPCMPGTD(ymm(0), ymm(4), ymm(1)) // first > acc
	k.VPCMPGTD(ymm(5), ymm(0), ymm(2)) // acc > last
	k.VPOR(ymm(2), ymm(1), ymm(1))
	k.VANDNPS(Mem{Base: d}, ymm(1), ymm(1))
	k.VMOVUPS(ymm(1), Mem{Base: d})
	k.VEXTRACTI128(Imm(1), ymm(0), xmm(2))
	k.VEXTRACTF128(Imm(1), ymm(1), xmm(3))
	for h, pair := range [][2]int{{0, 1}, {2, 3}} {
		k.VCVTDQ2PD(xmm(pair[0]), ymm(pair[0]))
		k.VCVTPS2PD(xmm(pair[1]), ymm(pair[1]))
		k.VMULPD(ymm(pair[1]), ymm(pair[0]), ymm(pair[0]))
		k.VADDPD(ymm(pair[1]), ymm(8+h), ymm(8+h))
		k.VADDPD(ymm(pair[0]), ymm(10+h), ymm(10+h))
	}
	k.ADDQ(step, acc)
	k.ADDQ(step, d)
	k.DECQ(pixels)
	k.JNE(LabelRef("pixel"))
	for h := range 2 {
		k.VMOVUPD(ymm(8+h), Mem{Base: sum, Disp: 32 * h})
		k.VMOVUPD(ymm(10+h), Mem{Base: product, Disp: 32 * h})
	}
	k.VZEROUPPER()
	k.RET()
}
