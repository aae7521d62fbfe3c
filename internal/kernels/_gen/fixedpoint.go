package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const (
	fixedParams = "func(dst *uint8, acc, mantissa, exponent *int32, pixels, channels int, lo, hi, z int32)"
	onceDoc     = "dst = clamp((acc·mantissa + 2^(30-exponent)) >> (31-exponent), lo, hi) + z, per channel"
	twiceDoc    = "dst = clamp(h / 2^max(-exponent, 0) half away from 0, lo, hi) + z, h = (sat(acc << max(exponent, 0))·mantissa + 2^30) >> 31, per channel"
)

// fixedPoint writes requantization by fixed-point multipliers that rounds once or twice, for AVX2 and
// AVX-512. Products of 64 bits are computed of the even elements and of the odd ones, which are
// shifted into the places of the even.
func fixedPoint(c *build.Context) {
	for _, twice := range []bool{false, true} {
		fixedPoint8(c, twice)
		fixedPoint16(c, twice)
	}
}

func fixedName(twice bool, level string) (name, doc string) {
	if twice {
		return fmt.Sprintf("requantizeTwice%s", level), twiceDoc
	}
	return fmt.Sprintf("requantizeOnce%s", level), onceDoc
}

func fixedPoint8(c *build.Context, twice bool) {
	name, doc := fixedName(twice, "AVX2")
	k := newRowKernel(c, name, fixedParams, doc+"; at least 8 channels")
	dst, acc := k.walk("dst", 1), k.walk("acc", 4)
	mantissa, exponent := k.channels("mantissa", 4), k.channels("exponent", 4)
	for i, name := range []string{"lo", "hi"} { // Y6 and Y7, as wide as the results
		k.VBROADCASTSS(k.param(name), ymm(6+i))
		if !twice {
			k.VPMOVSXDQ(xmm(6+i), ymm(6+i))
		}
	}
	k.VBROADCASTSS(k.param("z"), ymm(8))
	k.constant8(255, 15)
	k.VPXOR(ymm(12), ymm(12), ymm(12))
	k.VPCMPEQD(ymm(9), ymm(9), ymm(9))
	if twice {
		k.VMOVDQA(ymm(9), ymm(13)) // -1
		k.VPSRLQ(Imm(63), ymm(9), ymm(10))
		k.VPSLLQ(Imm(30), ymm(10), ymm(10)) // 2^30 in 64 bits
		k.VPSRLD(Imm(1), ymm(9), ymm(11))   // the largest of 32 bits
		k.VPSRLD(Imm(31), ymm(9), ymm(9))   // 1
	} else {
		k.VPSRLQ(Imm(63), ymm(9), ymm(9))  // 1 in 64 bits
		k.VPSLLQ(Imm(63), ymm(9), ymm(10)) // -2^63
		k.constant8(31, 11)
	}
	k.strips(8, k.load("pixels"), k.load("channels"), func(reg.Register) {
		k.VMOVDQU(at(acc), ymm(0))
		k.VMOVDQU(at(mantissa), ymm(1))
		k.VMOVDQU(at(exponent), ymm(2))
		if twice {
			k.twice8()
		} else {
			k.once8()
		}
		k.VPADDD(ymm(8), ymm(0), ymm(0))
	}, func() { k.storeBytes(dst) })
	k.RET()
}

// once8 brings the clamped results of Y0, Y1 and Y2 into Y0.
func (k *rowKernel) once8() {
	k.VPSUBD(ymm(2), ymm(11), ymm(2))
	for i := range 3 {
		k.VPSRLQ(Imm(32), ymm(i), ymm(3+i))
	}
	k.VPBLENDD(Imm(0xaa), ymm(12), ymm(2), ymm(2))
	for i := 0; i < 6; i += 3 {
		v, m, n := ymm(i), ymm(i+1), ymm(i+2)
		k.VPMULDQ(m, v, v)
		k.VPSUBQ(ymm(9), n, m)
		k.VPSLLVQ(m, ymm(9), m)
		k.VPADDQ(m, v, v)
		k.VPXOR(ymm(10), v, v) // v + 2^63, whose logical shift is the arithmetic one of v and 2^63 >> n more
		k.VPSRLVQ(n, v, v)
		k.VPSRLVQ(n, ymm(10), m)
		k.VPSUBQ(m, v, v)
		k.VPCMPGTQ(v, ymm(6), m)
		k.VBLENDVPD(m, ymm(6), v, v)
		k.VPCMPGTQ(ymm(7), v, m)
		k.VBLENDVPD(m, ymm(7), v, v)
	}
	k.VPSLLQ(Imm(32), ymm(3), ymm(3))
	k.VPBLENDD(Imm(0xaa), ymm(3), ymm(0), ymm(0))
}

// twice8 does the same for two roundings.
func (k *rowKernel) twice8() {
	k.VPMAXSD(ymm(12), ymm(2), ymm(3)) // left
	k.VPSUBD(ymm(3), ymm(2), ymm(2))
	k.VPSUBD(ymm(2), ymm(12), ymm(2)) // right
	k.VPSRAVD(ymm(3), ymm(11), ymm(4))
	k.VPCMPGTD(ymm(4), ymm(0), ymm(5)) // too large
	k.VPXOR(ymm(13), ymm(4), ymm(4))   // the least that fits
	k.VPMAXSD(ymm(4), ymm(0), ymm(0))
	k.VPSLLVD(ymm(3), ymm(0), ymm(0))
	k.VBLENDVPS(ymm(5), ymm(11), ymm(0), ymm(0))

	k.VPSRLQ(Imm(32), ymm(0), ymm(3))
	k.VPSRLQ(Imm(32), ymm(1), ymm(4))
	k.VPMULDQ(ymm(1), ymm(0), ymm(0))
	k.VPMULDQ(ymm(4), ymm(3), ymm(3))
	k.VPADDQ(ymm(10), ymm(0), ymm(0))
	k.VPADDQ(ymm(10), ymm(3), ymm(3))
	k.VPSRLQ(Imm(31), ymm(0), ymm(0))
	k.VPADDQ(ymm(3), ymm(3), ymm(3)) // >> 31 in the places of the odd
	k.VPBLENDD(Imm(0xaa), ymm(3), ymm(0), ymm(0))

	k.VPABSD(ymm(0), ymm(1))
	k.VPSLLVD(ymm(2), ymm(9), ymm(3))
	k.VPSRLD(Imm(1), ymm(3), ymm(3))
	k.VPADDD(ymm(3), ymm(1), ymm(1))
	k.VPSRLVD(ymm(2), ymm(1), ymm(1))
	k.VPSIGND(ymm(0), ymm(1), ymm(0))
	k.VPMAXSD(ymm(6), ymm(0), ymm(0))
	k.VPMINSD(ymm(7), ymm(0), ymm(0))
}

func fixedPoint16(c *build.Context, twice bool) {
	name, doc := fixedName(twice, "AVX512")
	k := newRowKernel(c, name, fixedParams, doc)
	dst, acc := k.walk("dst", 1), k.walk("acc", 4)
	mantissa, exponent := k.channels("mantissa", 4), k.channels("exponent", 4)
	for i, name := range []string{"lo", "hi"} { // Z6 and Z7, as wide as the results
		k.broadcast(name, zmm(6+i))
		if !twice {
			k.VPMOVSXDQ(ymm(6+i), zmm(6+i))
		}
	}
	k.broadcast("z", zmm(8))
	k.VPXORD(zmm(12), zmm(12), zmm(12))
	k.constant(1, zmm(9))
	odd := k.GP32()
	k.MOVL(U32(0xaaaa), odd)
	k.KMOVW(odd, reg.K4)
	if twice {
		k.constant(0x7fffffff, zmm(11)) // the largest of 32 bits
		k.constant(0x80000000, zmm(13)) // and the least
		k.VPSRLQ(Imm(32), zmm(9), zmm(10))
		k.VPSLLQ(Imm(30), zmm(10), zmm(10)) // 2^30 in 64 bits
	} else {
		k.VPSRLQ(Imm(32), zmm(9), zmm(9)) // 1 in 64 bits
		k.constant(31, zmm(11))
	}
	k.rows(k.load("pixels"), k.load("channels"), func(mask reg.Register, _ Op) {
		k.VMOVDQU32_Z(at(acc), mask, zmm(0))
		k.VMOVDQU32_Z(at(mantissa), mask, zmm(1))
		k.VMOVDQU32_Z(at(exponent), mask, zmm(2))
		if twice {
			k.twice16()
		} else {
			k.once16()
		}
		k.VPADDD(zmm(8), zmm(0), zmm(0))
		k.VPMOVDB(zmm(0), mask, at(dst))
	})
	k.RET()
}

// once16 brings the clamped results of Z0, Z1 and Z2 into Z0. K4 masks the odd elements.
func (k *rowKernel) once16() {
	k.VPSUBD(zmm(2), zmm(11), zmm(2))
	for i := range 3 {
		k.VPSRLQ(Imm(32), zmm(i), zmm(3+i))
	}
	k.VMOVDQA32(zmm(12), reg.K4, zmm(2))
	for i := 0; i < 6; i += 3 {
		v, m, n := zmm(i), zmm(i+1), zmm(i+2)
		k.VPMULDQ(m, v, v)
		k.VPSUBQ(zmm(9), n, m)
		k.VPSLLVQ(m, zmm(9), m)
		k.VPADDQ(m, v, v)
		k.VPSRAVQ(n, v, v)
		k.VPMAXSQ(zmm(6), v, v)
		k.VPMINSQ(zmm(7), v, v)
	}
	k.VPSLLQ(Imm(32), zmm(3), zmm(3))
	k.VMOVDQA32(zmm(3), reg.K4, zmm(0))
}

// twice16 does the same for two roundings.
func (k *rowKernel) twice16() {
	k.VPMAXSD(zmm(12), zmm(2), zmm(3)) // left
	k.VPSUBD(zmm(3), zmm(2), zmm(2))
	k.VPSUBD(zmm(2), zmm(12), zmm(2)) // right
	k.VPSRAVD(zmm(3), zmm(11), zmm(4))
	k.VPCMPD(Imm(6), zmm(4), zmm(0), reg.K3) // greater: too large
	k.VPSRAVD(zmm(3), zmm(13), zmm(4))
	k.VPMAXSD(zmm(4), zmm(0), zmm(0))
	k.VPSLLVD(zmm(3), zmm(0), zmm(0))
	k.VMOVDQA32(zmm(11), reg.K3, zmm(0))

	k.VPSRLQ(Imm(32), zmm(0), zmm(3))
	k.VPSRLQ(Imm(32), zmm(1), zmm(4))
	k.VPMULDQ(zmm(1), zmm(0), zmm(0))
	k.VPMULDQ(zmm(4), zmm(3), zmm(3))
	k.VPADDQ(zmm(10), zmm(0), zmm(0))
	k.VPADDQ(zmm(10), zmm(3), zmm(3))
	k.VPSRLQ(Imm(31), zmm(0), zmm(0))
	k.VPADDQ(zmm(3), zmm(3), zmm(3)) // >> 31 in the places of the odd
	k.VMOVDQA32(zmm(3), reg.K4, zmm(0))

	k.VPABSD(zmm(0), zmm(1))
	k.VPSLLVD(zmm(2), zmm(9), zmm(3))
	k.VPSRLD(Imm(1), zmm(3), zmm(3))
	k.VPADDD(zmm(3), zmm(1), zmm(1))
	k.VPSRLVD(zmm(2), zmm(1), zmm(1))
	k.VPCMPD(Imm(less), zmm(12), zmm(0), reg.K3)
	k.VPSUBD(zmm(1), zmm(12), reg.K3, zmm(1))
	k.VPMAXSD(zmm(6), zmm(1), zmm(0))
	k.VPMINSD(zmm(7), zmm(0), zmm(0))
}
