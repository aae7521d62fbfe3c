package main

import (
	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// atLeast is a predicate of VCMPPS.
const atLeast = 13

// gradient writes the loops that cut gradients and sum them in float64.
func gradient(c *build.Context) {
	k := newRowKernel(c, "dotCodesAVX512", "func(sums *float64, x *float32, codes *uint8, n int, flip, z int32)", "sums += x·((code ^ flip) - z), 16 sums by turns")
	sums := k.load("sums")
	x, codes := k.walk("x", 4), k.walk("codes", 1)
	k.broadcast("flip", zmm(2))
	k.broadcast("z", zmm(3))
	k.loadSums(sums)
	k.rows(nil, k.load("n"), func(mask reg.Register, _ Op) {
		k.VMOVUPS_Z(at(x), mask, zmm(4))
		k.VMOVDQU8_Z(at(codes), mask, xmm(5))
		k.VPMOVZXBD(xmm(5), zmm(5))
		k.VPXORD(zmm(2), zmm(5), zmm(5))
		k.VPSUBD(zmm(3), zmm(5), zmm(5))
		k.VCVTDQ2PS(zmm(5), zmm(5))
		k.addProducts(zmm(4), zmm(5), 6)
	})
	k.storeSums(sums)
	k.VZEROUPPER()
	k.RET()

	for _, add := range []bool{false, true} {
		name, doc := "selectRangeAVX512", "dst = src where lo <= x <= hi, else 0; sums += src·x there, 16 sums by turns"
		if add {
			name, doc = "selectRangeAddAVX512", "dst += src where lo <= x <= hi; sums += src·x there, 16 sums by turns"
		}
		k := newRowKernel(c, name, "func(sums *float64, dst, src, x *float32, n int, lo, hi float32)", doc)
		sums := k.load("sums")
		dst, src, x := k.walk("dst", 4), k.walk("src", 4), k.walk("x", 4)
		k.broadcast("lo", zmm(2))
		k.broadcast("hi", zmm(3))
		k.loadSums(sums)
		k.rows(nil, k.load("n"), func(mask reg.Register, _ Op) {
			k.VMOVUPS_Z(at(x), mask, zmm(5))
			k.VCMPPS(Imm(atLeast), zmm(2), zmm(5), mask, reg.K3)
			k.VCMPPS(Imm(lessEqual), zmm(3), zmm(5), reg.K3, reg.K3)
			k.VMOVUPS_Z(at(src), reg.K3, zmm(4))
			k.VMOVAPS_Z(zmm(5), reg.K3, zmm(5))
			if add {
				k.VMOVUPS_Z(at(dst), mask, zmm(8))
				k.VADDPS(zmm(8), zmm(4), zmm(8))
				k.VMOVUPS(zmm(8), mask, at(dst))
			} else {
				k.VMOVUPS(zmm(4), mask, at(dst))
			}
			k.addProducts(zmm(4), zmm(5), 6)
		})
		k.storeSums(sums)
		k.VZEROUPPER()
		k.RET()
	}

	selectAccumulators(c)

	k = newRowKernel(c, "mixAccumulatorsAVX512", "func(d *float32, acc *int32, a, b, k *float64, pixels, channels int)", "d = a·d + (b + k·acc) in float64, per channel")
	d, acc := k.walk("d", 4), k.walk("acc", 4)
	fa, fb, fk := k.channels("a", 8), k.channels("b", 8), k.channels("k", 8)
	k.rows(k.load("pixels"), k.load("channels"), func(mask reg.Register, _ Op) {
		k.KSHIFTRW(Imm(8), mask, reg.K4)
		k.VMOVUPS_Z(at(d), mask, zmm(0))
		k.VMOVDQU32_Z(at(acc), mask, zmm(2))
		k.VEXTRACTF64X4(Imm(1), zmm(0), ymm(1))
		k.VEXTRACTF64X4(Imm(1), zmm(2), ymm(3))
		for h, m := range []reg.Register{mask, reg.K4} {
			k.VCVTPS2PD(ymm(h), zmm(h))
			k.VCVTDQ2PD(ymm(2+h), zmm(2+h))
			half := func(p *pointer) Mem { return Mem{Base: p.reg, Disp: 64 * h} }
			k.VMOVUPD_Z(half(fa), m, zmm(4))
			k.VMOVUPD_Z(half(fb), m, zmm(5))
			k.VMOVUPD_Z(half(fk), m, zmm(6))
			k.VMULPD(zmm(6), zmm(2+h), zmm(2+h))
			k.VADDPD(zmm(5), zmm(2+h), zmm(2+h))
			k.VMULPD(zmm(4), zmm(h), zmm(h))
			k.VADDPD(zmm(2+h), zmm(h), zmm(h))
			k.VCVTPD2PS(zmm(h), ymm(h))
		}
		k.VINSERTF64X4(Imm(1), ymm(1), zmm(0), zmm(0))
		k.VMOVUPS(zmm(0), mask, at(d))
	})
	k.RET()
}

// loadSums loads 16 sums into Z16 and Z17, which the end of rows leaves alone.
func (k *rowKernel) loadSums(p reg.Register) {
	k.VMOVUPD(Mem{Base: p}, zmm(16))
	k.VMOVUPD(Mem{Base: p, Disp: 64}, zmm(17))
}

func (k *rowKernel) storeSums(p reg.Register) {
	k.VMOVUPD(zmm(16), Mem{Base: p})
	k.VMOVUPD(zmm(17), Mem{Base: p, Disp: 64})
}

// addProducts adds a·b to Z16 and Z17. The products must be exact in float64. a, b and two
// vectors from scratch on are overwritten.
func (k *rowKernel) addProducts(a, b reg.VecPhysical, scratch int) {
	k.VEXTRACTF64X4(Imm(1), a, ymm(scratch))
	k.VEXTRACTF64X4(Imm(1), b, ymm(scratch+1))
	k.VCVTPS2PD(a.AsY(), a)
	k.VCVTPS2PD(b.AsY(), b)
	k.VCVTPS2PD(ymm(scratch), zmm(scratch))
	k.VCVTPS2PD(ymm(scratch+1), zmm(scratch+1))
	k.VFMADD231PD(a, b, zmm(16))
	k.VFMADD231PD(zmm(scratch), zmm(scratch+1), zmm(17))
}

func selectAccumulators(c *build.Context) {
	k := newRowKernel(c, "selectAccumulatorsAVX512", "func(d *float32, acc, first, last *int32, sum, product *float64, pixels, step, channels int)",
		"d = 0 unless first <= acc <= last; sum += d, product += d·acc over pixels step bytes apart; at most 16 channels")
	d, acc, step := k.load("d"), k.load("acc"), k.load("step")
	sum, product := k.load("sum"), k.load("product")
	mask := k.GP32()
	k.channelMask(mask)
	k.KMOVW(mask, reg.K1)
	k.SHRL(Imm(8), mask)
	k.KMOVW(mask, reg.K2)
	k.VMOVDQU32_Z(Mem{Base: k.load("first")}, reg.K1, zmm(4))
	k.VMOVDQU32_Z(Mem{Base: k.load("last")}, reg.K1, zmm(5))
	masks := []reg.Register{reg.K1, reg.K2}
	for h, m := range masks { // Z0 and Z1 sums, Z2 and Z3 products; K1 selects its low eight lanes
		k.VMOVUPD_Z(Mem{Base: sum, Disp: 64 * h}, m, zmm(h))
		k.VMOVUPD_Z(Mem{Base: product, Disp: 64 * h}, m, zmm(2+h))
	}
	pixels := k.load("pixels")
	k.Label("pixel")
	k.VMOVDQU32_Z(Mem{Base: acc}, reg.K1, zmm(6))
	k.VPCMPD(Imm(lessEqual), zmm(6), zmm(4), reg.K1, reg.K3)
	k.VPCMPD(Imm(lessEqual), zmm(5), zmm(6), reg.K3, reg.K3)
	k.VMOVUPS_Z(Mem{Base: d}, reg.K3, zmm(7))
	k.VMOVUPS(zmm(7), reg.K1, Mem{Base: d})
	k.VEXTRACTF64X4(Imm(1), zmm(6), ymm(8))
	k.VEXTRACTF64X4(Imm(1), zmm(7), ymm(9))
	for h, pair := range [][2]int{{6, 7}, {8, 9}} {
		k.VCVTDQ2PD(ymm(pair[0]), zmm(pair[0]))
		k.VCVTPS2PD(ymm(pair[1]), zmm(pair[1]))
		k.VMULPD(zmm(pair[1]), zmm(pair[0]), zmm(pair[0]))
		k.VADDPD(zmm(pair[1]), zmm(h), zmm(h))
		k.VADDPD(zmm(pair[0]), zmm(2+h), zmm(2+h))
	}
	k.ADDQ(step, acc)
	k.ADDQ(step, d)
	k.DECQ(pixels)
	k.JNE(LabelRef("pixel"))
	for h, m := range masks {
		k.VMOVUPD(zmm(h), m, Mem{Base: sum, Disp: 64 * h})
		k.VMOVUPD(zmm(2+h), m, Mem{Base: product, Disp: 64 * h})
	}
	k.VZEROUPPER()
	k.RET()
}
