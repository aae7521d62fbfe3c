package main

import (
	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// rows8 is rows for AVX2: eight elements at a time, of which n is a positive multiple.
func (k *rowKernel) rows8(count, n reg.Register, body func()) {
	left := k.GP64()
	next, inner := k.label("row"), k.label("vector")
	if count != nil {
		k.Label(next)
		for _, p := range k.pointers {
			if p.rewind {
				k.Load(k.Param(p.name), p.reg)
			}
		}
	}
	k.MOVQ(n, left)
	k.Label(inner)
	body()
	for _, p := range k.pointers {
		k.ADDQ(Imm(uint64(8*p.size)), p.reg)
	}
	k.SUBQ(Imm(8), left)
	k.JNE(LabelRef(inner))
	if count != nil {
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

// elementwise8 writes the AVX2 forms of elementwise.
func elementwise8(c *build.Context) {
	k := newRowKernel(c, "reluAVX2", "func(dst, x *float32, n int, limit float32)", "dst = min(max(x, 0), limit)")
	dst, x := k.walk("dst", 4), k.walk("x", 4)
	k.VBROADCASTSS(k.param("limit"), ymm(1))
	k.VXORPS(ymm(2), ymm(2), ymm(2))
	k.rows8(nil, k.load("n"), func() {
		k.VMAXPS(at(x), ymm(2), ymm(0)) // the second operand if one is NaN
		k.VADDPS(ymm(2), ymm(0), ymm(0))
		k.VMINPS(ymm(0), ymm(1), ymm(0))
		k.VMOVUPS(ymm(0), at(dst))
	})
	k.RET()

	for _, add := range []bool{false, true} {
		name, doc := "reluBackwardAVX2", "dx = dy where 0 < y < limit, else 0"
		if add {
			name, doc = "reluBackwardAddAVX2", "dx += dy where 0 < y < limit"
		}
		k := newRowKernel(c, name, "func(dx, dy, y *float32, n int, limit float32)", doc)
		dx, dy, y := k.walk("dx", 4), k.walk("dy", 4), k.walk("y", 4)
		k.VBROADCASTSS(k.param("limit"), ymm(1))
		k.VXORPS(ymm(2), ymm(2), ymm(2))
		k.rows8(nil, k.load("n"), func() {
			k.VMOVUPS(at(y), ymm(0))
			k.VCMPPS(Imm(greater), ymm(2), ymm(0), ymm(3))
			k.VCMPPS(Imm(less), ymm(1), ymm(0), ymm(0))
			k.VANDPS(ymm(3), ymm(0), ymm(0))
			k.VANDPS(at(dy), ymm(0), ymm(0))
			if add {
				k.VADDPS(at(dx), ymm(0), ymm(0))
			}
			k.VMOVUPS(ymm(0), at(dx))
		})
		k.RET()
	}

	k = newRowKernel(c, "addAVX2", "func(dst, a, b *float32, n int)", "dst = a + b")
	dst, a, b := k.walk("dst", 4), k.walk("a", 4), k.walk("b", 4)
	k.rows8(nil, k.load("n"), func() {
		k.VMOVUPS(at(a), ymm(0))
		k.VADDPS(at(b), ymm(0), ymm(0))
		k.VMOVUPS(ymm(0), at(dst))
	})
	k.RET()

	k = newRowKernel(c, "axpyAVX2", "func(dst, x *float32, n int, alpha float32)", "dst += alpha·x")
	dst, x = k.walk("dst", 4), k.walk("x", 4)
	k.VBROADCASTSS(k.param("alpha"), ymm(2))
	k.rows8(nil, k.load("n"), func() {
		k.VMULPS(at(x), ymm(2), ymm(0))
		k.VADDPS(at(dst), ymm(0), ymm(0))
		k.VMOVUPS(ymm(0), at(dst))
	})
	k.RET()

	k = newRowKernel(c, "scaleBiasAVX2", "func(dst, x, scale, bias *float32, pixels, channels int)", "dst = x·scale + bias, per channel")
	dst, x = k.walk("dst", 4), k.walk("x", 4)
	scale, bias := k.channels("scale", 4), k.channels("bias", 4)
	k.rows8(k.load("pixels"), k.load("channels"), func() {
		k.VMOVUPS(at(x), ymm(0))
		k.VMULPS(at(scale), ymm(0), ymm(0))
		k.VADDPS(at(bias), ymm(0), ymm(0))
		k.VMOVUPS(ymm(0), at(dst))
	})
	k.RET()
}

// quantize8 writes the AVX2 forms of quantize.
func quantize8(c *build.Context) {
	k := newRowKernel(c, "requantizeShiftAVX2", "func(dst *uint8, acc, shift *int32, pixels, channels int, lo, hi int32)", "dst = clamp((acc >> n) + (acc >> (n-1) & 1), lo, hi), n > 0 per channel")
	dst, acc, shift := k.walk("dst", 1), k.walk("acc", 4), k.channels("shift", 4)
	k.VBROADCASTSS(k.param("lo"), ymm(4))
	k.VBROADCASTSS(k.param("hi"), ymm(5))
	k.constant8(1, 6)
	k.constant8(255, 15)
	k.rows8(k.load("pixels"), k.load("channels"), func() {
		k.VMOVDQU(at(acc), ymm(0))
		k.VMOVDQU(at(shift), ymm(1))
		k.VPSUBD(ymm(6), ymm(1), ymm(2))
		k.VPSRAVD(ymm(1), ymm(0), ymm(1))
		k.VPSRAVD(ymm(2), ymm(0), ymm(2))
		k.VPAND(ymm(6), ymm(2), ymm(2))
		k.VPADDD(ymm(2), ymm(1), ymm(0))
		k.VPMAXSD(ymm(4), ymm(0), ymm(0))
		k.VPMINSD(ymm(5), ymm(0), ymm(0))
		k.storeBytes(dst)
	})
	k.RET()

	k = newRowKernel(c, "requantizeFloatAVX2", "func(dst *uint8, acc *int32, mult *float32, pixels, channels int, lo, hi float32, z int32)", "dst = roundEven(clamp(float32(acc)·mult, lo, hi)) + z, mult per channel")
	dst, acc = k.walk("dst", 1), k.walk("acc", 4)
	mult := k.channels("mult", 4)
	k.VBROADCASTSS(k.param("lo"), ymm(4))
	k.VBROADCASTSS(k.param("hi"), ymm(5))
	k.VBROADCASTSS(k.param("z"), ymm(6))
	k.constant8(255, 15)
	k.rows8(k.load("pixels"), k.load("channels"), func() {
		k.VCVTDQ2PS(at(acc), ymm(0))
		k.VMULPS(at(mult), ymm(0), ymm(0))
		k.VMAXPS(ymm(4), ymm(0), ymm(0))
		k.VMINPS(ymm(5), ymm(0), ymm(0))
		k.VCVTPS2DQ(ymm(0), ymm(0))
		k.VPADDD(ymm(6), ymm(0), ymm(0))
		k.storeBytes(dst)
	})
	k.RET()

	k = newRowKernel(c, "passBitsAVX2", "func(bits *uint8, acc, first, last *int32, pixels, channels int)", "bit = first <= acc <= last, per channel")
	bits := k.load("bits")
	acc = k.walk("acc", 4)
	first, last := k.channels("first", 4), k.channels("last", 4)
	some := k.GP32()
	k.rows8(k.load("pixels"), k.load("channels"), func() {
		k.VMOVDQU(at(acc), ymm(0))
		k.VMOVDQU(at(first), ymm(1))
		k.VPCMPGTD(ymm(0), ymm(1), ymm(1)) // first > acc
		k.VPCMPGTD(at(last), ymm(0), ymm(0))
		k.VPOR(ymm(1), ymm(0), ymm(0))
		k.VMOVMSKPS(ymm(0), some)
		k.NOTL(some)
		k.MOVB(some.As8(), Mem{Base: bits})
		k.INCQ(bits)
	})
	k.RET()

	for _, fake := range []bool{false, true} {
		for _, rounding := range []string{"Even", "Up", "Floor"} {
			quantizer8(c, fake, rounding)
		}
	}

	for _, signed := range []bool{false, true} {
		name := "dequantizeAVX2"
		if signed {
			name = "dequantizeSignedAVX2"
		}
		k := newRowKernel(c, name, "func(dst *float32, codes *uint8, n int, z int32, s float32)", "dst = (code - z)·s")
		dst, codes := k.walk("dst", 4), k.walk("codes", 1)
		k.VBROADCASTSS(k.param("z"), ymm(1))
		k.VBROADCASTSS(k.param("s"), ymm(2))
		k.rows8(nil, k.load("n"), func() {
			if signed {
				k.VPMOVSXBD(at(codes), ymm(0))
			} else {
				k.VPMOVZXBD(at(codes), ymm(0))
			}
			k.VPSUBD(ymm(1), ymm(0), ymm(0))
			k.VCVTDQ2PS(ymm(0), ymm(0))
			k.VMULPS(ymm(2), ymm(0), ymm(0))
			k.VMOVUPS(ymm(0), at(dst))
		})
		k.RET()
	}
}

func quantizer8(c *build.Context, fake bool, rounding string) {
	var k *rowKernel
	size := 1
	if fake {
		size = 4
		k = newRowKernel(c, "fakeQuantize"+rounding+"AVX2", "func(dst, x, scale *float32, pixels, channels int, lo, hi, half float32, reciprocal int) int",
			"dst = (round(clamp(x/scale, lo, hi)) + half)·scale, 0 for NaN; returns how many x are not finite")
	} else {
		k = newRowKernel(c, "quantize"+rounding+"AVX2", "func(dst *uint8, x, scale *float32, pixels, channels int, lo, hi float32, z int32, reciprocal int) int",
			"dst = round(clamp(x/scale, lo, hi)) + z, z for NaN; returns how many x are not finite")
	}
	dst, x, scale := k.walk("dst", size), k.walk("x", 4), k.channels("scale", 4)
	k.VBROADCASTSS(k.param("lo"), ymm(4))
	k.VBROADCASTSS(k.param("hi"), ymm(5))
	if fake {
		k.VBROADCASTSS(k.param("half"), ymm(6))
	} else {
		k.VBROADCASTSS(k.param("z"), ymm(6))
		k.constant8(255, 15)
	}
	k.constant8(0x4b400000, 7) // 1.5·2^23
	k.constant8(0x3f800000, 8) // 1
	k.constant8(0x3f000000, 9) // 1/2
	bad, some, reciprocal := k.GP64(), k.GP32(), k.load("reciprocal")
	k.XORQ(bad, bad)
	k.rows8(k.load("pixels"), k.load("channels"), func() {
		k.VMOVUPS(at(x), ymm(0))
		k.VMOVUPS(at(scale), ymm(1))
		k.VSUBPS(ymm(0), ymm(0), ymm(2)) // NaN unless x is finite
		k.VCMPPS(Imm(unordered), ymm(2), ymm(2), ymm(2))
		k.VMOVMSKPS(ymm(2), some)
		k.POPCNTL(some, some)
		k.ADDQ(some.As64(), bad)
		divide, done := k.label("divide"), k.label("steps")
		k.TESTQ(reciprocal, reciprocal)
		k.JEQ(LabelRef(divide))
		k.VDIVPS(ymm(1), ymm(8), ymm(2))
		k.VMULPS(ymm(2), ymm(0), ymm(0))
		k.JMP(LabelRef(done))
		k.Label(divide)
		k.VDIVPS(ymm(1), ymm(0), ymm(0))
		k.Label(done)
		k.VCMPPS(Imm(ordered), ymm(0), ymm(0), ymm(2))
		k.VMAXPS(ymm(4), ymm(0), ymm(0))
		k.VMINPS(ymm(5), ymm(0), ymm(0))
		k.VANDPS(ymm(2), ymm(0), ymm(0))
		switch rounding {
		case "Even":
			k.VADDPS(ymm(7), ymm(0), ymm(0))
			k.VSUBPS(ymm(7), ymm(0), ymm(0))
		case "Floor":
			k.VROUNDPS(Imm(1), ymm(0), ymm(0))
		case "Up": // floor, and 1 more if the fraction is at least 1/2
			k.VROUNDPS(Imm(1), ymm(0), ymm(2))
			k.VSUBPS(ymm(2), ymm(0), ymm(3))
			k.VCMPPS(Imm(13), ymm(9), ymm(3), ymm(3)) // at least
			k.VANDPS(ymm(8), ymm(3), ymm(3))
			k.VADDPS(ymm(3), ymm(2), ymm(0))
		}
		if fake {
			k.VADDPS(ymm(6), ymm(0), ymm(0))
			k.VMULPS(ymm(1), ymm(0), ymm(0))
			k.VMOVUPS(ymm(0), at(dst))
		} else {
			k.VCVTPS2DQ(ymm(0), ymm(0))
			k.VPADDD(ymm(6), ymm(0), ymm(0))
			k.storeBytes(dst)
		}
	})
	k.Store(bad, k.ReturnIndex(0))
	k.RET()
}
