package main

import (
	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// quantize writes the loops between floats, accumulators and codes. They are exact.
func quantize(c *build.Context) {
	k := newRowKernel(c, "requantizeShiftAVX512", "func(dst *uint8, acc, shift *int32, pixels, channels int, lo, hi int32)", "dst = clamp((acc >> n) + (acc >> (n-1) & 1), lo, hi), n > 0 per channel")
	dst, acc, shift := k.walk("dst", 1), k.walk("acc", 4), k.channels("shift", 4)
	k.broadcast("lo", zmm(4))
	k.broadcast("hi", zmm(5))
	k.constant(1, zmm(6))
	k.rows(k.load("pixels"), k.load("channels"), func(mask reg.Register, _ Op) {
		k.VMOVDQU32_Z(at(acc), mask, zmm(0))
		k.VMOVDQU32_Z(at(shift), mask, zmm(1))
		k.VPSUBD(zmm(6), zmm(1), zmm(2))
		k.VPSRAVD(zmm(1), zmm(0), zmm(1))
		k.VPSRAVD(zmm(2), zmm(0), zmm(2))
		k.VPANDD(zmm(6), zmm(2), zmm(2))
		k.VPADDD(zmm(2), zmm(1), zmm(0))
		k.VPMAXSD(zmm(4), zmm(0), zmm(0))
		k.VPMINSD(zmm(5), zmm(0), zmm(0))
		k.VPMOVDB(zmm(0), mask, at(dst))
	})
	k.RET()

	k = newRowKernel(c, "requantizeShiftsAVX512", "func(dst *uint8, acc, shift *int32, pixels, channels int, lo, hi, half int32)", shiftsDoc)
	dst, acc, shift = k.walk("dst", 1), k.walk("acc", 4), k.channels("shift", 4)
	for i, name := range []string{"lo", "hi", "half"} {
		k.broadcast(name, zmm(4+i))
	}
	k.VPXORD(zmm(7), zmm(7), zmm(7))
	k.constant(1, zmm(8))
	k.constant(1<<leftBits, zmm(9))
	k.VPSUBD(zmm(9), zmm(7), zmm(10))
	k.constant(leftBits, zmm(11))
	k.rows(k.load("pixels"), k.load("channels"), func(mask reg.Register, _ Op) {
		k.VMOVDQU32_Z(at(acc), mask, zmm(0))
		k.VMOVDQU32_Z(at(shift), mask, zmm(1))
		k.VPCMPD(Imm(6), zmm(7), zmm(1), reg.K3) // greater: to the right
		k.VPMINSD(zmm(9), zmm(0), zmm(2))
		k.VPMAXSD(zmm(10), zmm(2), zmm(2))
		k.VPSUBD(zmm(1), zmm(7), zmm(3))
		k.VPMINSD(zmm(11), zmm(3), zmm(3))
		k.VPSLLVD(zmm(3), zmm(2), zmm(2))
		k.VPSUBD(zmm(8), zmm(1), zmm(3))
		k.VPSRAVD(zmm(3), zmm(0), zmm(3))
		k.VPANDD(zmm(6), zmm(3), zmm(3))
		k.VPSRAVD(zmm(1), zmm(0), zmm(0))
		k.VPADDD(zmm(3), zmm(0), reg.K3, zmm(2))
		k.VPMAXSD(zmm(4), zmm(2), zmm(0))
		k.VPMINSD(zmm(5), zmm(0), zmm(0))
		k.VPMOVDB(zmm(0), mask, at(dst))
	})
	k.RET()

	for _, floor := range []bool{false, true} {
		name, doc := floatName(floor, "AVX512")
		k = newRowKernel(c, name, "func(dst *uint8, acc *int32, mult *float32, pixels, channels int, lo, hi float32, z int32)", doc)
		dst, acc = k.walk("dst", 1), k.walk("acc", 4)
		mult := k.channels("mult", 4)
		k.broadcast("lo", zmm(4))
		k.broadcast("hi", zmm(5))
		k.broadcast("z", zmm(6))
		k.rows(k.load("pixels"), k.load("channels"), func(mask reg.Register, _ Op) {
			k.VMOVDQU32_Z(at(acc), mask, zmm(0))
			k.VMOVUPS_Z(at(mult), mask, zmm(1))
			k.VCVTDQ2PS(zmm(0), zmm(0))
			k.VMULPS(zmm(1), zmm(0), zmm(0))
			k.VMAXPS(zmm(4), zmm(0), zmm(0))
			k.VMINPS(zmm(5), zmm(0), zmm(0))
			if floor {
				k.VRNDSCALEPS(Imm(1), zmm(0), zmm(0))
			}
			k.VCVTPS2DQ(zmm(0), zmm(0))
			k.VPADDD(zmm(6), zmm(0), zmm(0))
			k.VPMOVDB(zmm(0), mask, at(dst))
		})
		k.RET()
	}

	k = newRowKernel(c, "passBitsAVX512", "func(bits *uint8, acc, first, last *int32, pixels, channels int)", "bit = first <= acc <= last, per channel; bits are gathered in a register and leave in groups of 32")
	acc = k.walk("acc", 4)
	first, last := k.channels("first", 4), k.channels("last", 4)
	bits, gathered, count, some := k.load("bits"), k.GP64(), k.GP64(), k.GP64()
	k.XORQ(gathered, gathered)
	k.XORQ(count, count)
	k.rows(k.load("pixels"), k.load("channels"), func(mask reg.Register, lanes Op) {
		k.VMOVDQU32_Z(at(acc), mask, zmm(0))
		k.VMOVDQU32_Z(at(first), mask, zmm(1))
		k.VMOVDQU32_Z(at(last), mask, zmm(2))
		k.VPCMPD(Imm(lessEqual), zmm(0), zmm(1), mask, reg.K3)
		k.VPCMPD(Imm(lessEqual), zmm(2), zmm(0), reg.K3, reg.K3)
		k.KMOVW(reg.K3, some.As32())
		k.SHLXQ(count, some, some)
		k.ORQ(some, gathered)
		k.ADDQ(lanes, count)
		k.CMPQ(count, Imm(32))
		more := k.label("more")
		k.JLT(LabelRef(more))
		k.MOVL(gathered.As32(), Mem{Base: bits})
		k.ADDQ(Imm(4), bits)
		k.SHRQ(Imm(32), gathered)
		k.SUBQ(Imm(32), count)
		k.Label(more)
	})
	k.Label("flush")
	k.CMPQ(count, Imm(0))
	k.JLE(LabelRef("done"))
	k.MOVB(gathered.As8(), Mem{Base: bits})
	k.INCQ(bits)
	k.SHRQ(Imm(8), gathered)
	k.SUBQ(Imm(8), count)
	k.JMP(LabelRef("flush"))
	k.Label("done")
	k.RET()

	for _, add := range []bool{false, true} {
		name, doc := "selectBitsAVX512", "dst = src where the bit is set, else 0"
		if add {
			name, doc = "selectBitsAddAVX512", "dst += src where the bit is set"
		}
		k := newRowKernel(c, name, "func(dst, src *float32, bits *uint8, n int)", doc)
		dst, src := k.walk("dst", 4), k.walk("src", 4)
		bits, some := k.load("bits"), k.GP32()
		k.rows(nil, k.load("n"), func(mask reg.Register, lanes Op) {
			if mask == full {
				k.MOVWLZX(Mem{Base: bits}, some)
				k.ADDQ(Imm(2), bits)
			} else { // there may be one byte only
				k.MOVBLZX(Mem{Base: bits}, some)
				one := k.label("one")
				k.CMPQ(lanes, Imm(8))
				k.JLE(LabelRef(one))
				k.MOVWLZX(Mem{Base: bits}, some)
				k.Label(one)
			}
			k.KMOVW(some, reg.K3)
			k.KANDW(reg.K3, mask, reg.K3)
			k.VMOVUPS_Z(at(src), reg.K3, zmm(0))
			if add {
				k.VMOVUPS_Z(at(dst), mask, zmm(1))
				k.VADDPS(zmm(1), zmm(0), zmm(0))
			}
			k.VMOVUPS(zmm(0), mask, at(dst))
		})
		k.RET()
	}

	for _, fake := range []bool{false, true} {
		for _, rounding := range []string{"Even", "Up", "Floor"} {
			quantizer(c, fake, rounding)
		}
	}

	for _, signed := range []bool{false, true} {
		name := "dequantizeAVX512"
		if signed {
			name = "dequantizeSignedAVX512"
		}
		k := newRowKernel(c, name, "func(dst *float32, codes *uint8, n int, z int32, s float32)", "dst = (code - z)·s")
		dst, codes := k.walk("dst", 4), k.walk("codes", 1)
		k.broadcast("z", zmm(1))
		k.broadcast("s", zmm(2))
		k.rows(nil, k.load("n"), func(mask reg.Register, _ Op) {
			k.VMOVDQU8_Z(at(codes), mask, xmm(0))
			if signed {
				k.VPMOVSXBD(xmm(0), zmm(0))
			} else {
				k.VPMOVZXBD(xmm(0), zmm(0))
			}
			k.VPSUBD(zmm(1), zmm(0), zmm(0))
			k.VCVTDQ2PS(zmm(0), zmm(0))
			k.VMULPS(zmm(2), zmm(0), zmm(0))
			k.VMOVUPS(zmm(0), mask, at(dst))
		})
		k.RET()
	}
}

// leftBits is the least number of bits by which a shift to the left brings any number but 0 beyond the
// codes of a byte, like a number of 2^leftBits without a shift.
const leftBits = 9

const shiftsDoc = "dst = clamp((acc >> n) + (acc >> (n-1) & half), lo, hi) for n > 0, else clamp(acc << -n, lo, hi), per channel"

func floatName(floor bool, level string) (name, doc string) {
	if floor {
		return "requantizeFloor" + level, "dst = floor(clamp(float32(acc)·mult, lo, hi)) + z, mult per channel"
	}
	return "requantizeFloat" + level, "dst = roundEven(clamp(float32(acc)·mult, lo, hi)) + z, mult per channel"
}

// quantizer writes a loop that quantizes floats, to codes or back to floats.
func quantizer(c *build.Context, fake bool, rounding string) {
	var k *rowKernel
	if fake {
		k = newRowKernel(c, "fakeQuantize"+rounding+"AVX512", "func(dst, x, scale *float32, pixels, channels int, lo, hi, half float32, reciprocal int) int",
			"dst = (round(clamp(x/scale, lo, hi)) + half)·scale, 0 for NaN; returns how many x are not finite")
	} else {
		k = newRowKernel(c, "quantize"+rounding+"AVX512", "func(dst *uint8, x, scale *float32, pixels, channels int, lo, hi float32, z int32, reciprocal int) int",
			"dst = round(clamp(x/scale, lo, hi)) + z, z for NaN; returns how many x are not finite")
	}
	size := 1
	if fake {
		size = 4
	}
	dst, x, scale := k.walk("dst", size), k.walk("x", 4), k.channels("scale", 4)
	k.broadcast("lo", zmm(4))
	k.broadcast("hi", zmm(5))
	if fake {
		k.broadcast("half", zmm(6))
	} else {
		k.broadcast("z", zmm(6))
	}
	k.constant(0x4b400000, zmm(7)) // 1.5·2^23
	k.constant(0x3f800000, zmm(8)) // 1
	k.constant(0x3f000000, zmm(9)) // 1/2
	bad, some := k.GP64(), k.GP32()
	k.XORQ(bad, bad)
	reciprocal := k.load("reciprocal")
	k.rows(k.load("pixels"), k.load("channels"), func(mask reg.Register, _ Op) {
		k.VMOVUPS_Z(at(x), mask, zmm(0))
		k.VMOVUPS_Z(at(scale), mask, zmm(1))
		k.VSUBPS(zmm(0), zmm(0), zmm(2)) // NaN unless x is finite
		k.VCMPPS(Imm(unordered), zmm(2), zmm(2), mask, reg.K3)
		k.KMOVW(reg.K3, some)
		k.POPCNTL(some, some)
		k.ADDQ(some.As64(), bad)
		divide, done := k.label("divide"), k.label("steps")
		k.TESTQ(reciprocal, reciprocal)
		k.JEQ(LabelRef(divide))
		k.VDIVPS(zmm(1), zmm(8), zmm(2))
		k.VMULPS(zmm(2), zmm(0), zmm(0))
		k.JMP(LabelRef(done))
		k.Label(divide)
		k.VDIVPS(zmm(1), zmm(0), zmm(0))
		k.Label(done)
		k.VCMPPS(Imm(ordered), zmm(0), zmm(0), mask, reg.K3)
		k.VMAXPS_Z(zmm(4), zmm(0), reg.K3, zmm(0))
		k.VMINPS(zmm(5), zmm(0), zmm(0))
		switch rounding {
		case "Even":
			k.VADDPS(zmm(7), zmm(0), zmm(0))
			k.VSUBPS(zmm(7), zmm(0), zmm(0))
		case "Floor":
			k.VRNDSCALEPS(Imm(1), zmm(0), zmm(0))
		case "Up": // floor, and 1 more if the fraction is at least 1/2
			k.VRNDSCALEPS(Imm(1), zmm(0), zmm(2))
			k.VSUBPS(zmm(2), zmm(0), zmm(3))
			k.VCMPPS(Imm(13), zmm(9), zmm(3), reg.K3) // at least
			k.VMOVAPS(zmm(2), zmm(0))
			k.VADDPS(zmm(8), zmm(2), reg.K3, zmm(0))
		}
		if fake {
			k.VADDPS(zmm(6), zmm(0), zmm(0))
			k.VMULPS(zmm(1), zmm(0), zmm(0))
			k.VMOVUPS(zmm(0), mask, at(dst))
		} else {
			k.VCVTPS2DQ(zmm(0), zmm(0))
			k.VPADDD(zmm(6), zmm(0), zmm(0))
			k.VPMOVDB(zmm(0), mask, at(dst))
		}
	})
	k.Store(bad, k.ReturnIndex(0))
	k.RET()
}
