package main

import (
	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// quotients ends a kernel that stores rounded quotients, which rounded leaves in y for elements 8i to 8i+7,
// between lo and hi. Y6 holds ones; Y8 and Y9 are scratch.
func (k *rowKernel) quotients(dst *pointer, count, n string, rounded func(i int, y reg.VecPhysical)) {
	k.VBROADCASTSS(k.param("lo"), ymm(4))
	k.VBROADCASTSS(k.param("hi"), ymm(5))
	k.constant8(1, 6)
	k.constant8(255, 15)
	k.VMOVDQA(ymm(4), ymm(12))
	k.VMOVDQA(ymm(5), ymm(13))
	k.bulkEnds()
	k.bulkConstants()
	k.bulkStrips(8, k.load(count), k.load(n), func() {
		for i := range 4 {
			rounded(i, ymm(i))
		}
		k.bulkStore(dst, 0)
	}, func(reg.Register) {
		rounded(0, ymm(0))
		k.VPMAXSD(ymm(4), ymm(0), ymm(0))
		k.VPMINSD(ymm(5), ymm(0), ymm(0))
	}, func() { k.storeBytes(dst) })
	k.RET()
}

// quantize8 writes the AVX2 forms of quantize.
func quantize8(c *build.Context) {
	k := newRowKernel(c, "requantizeShiftAVX2", "func(dst *uint8, acc, shift *int32, pixels, channels, gap int, lo, hi int32)",
		"dst = clamp((acc >> n) + (acc >> (n-1) & 1), lo, hi), n > 0 per channel; gap bytes of dst between pixels")
	dst, acc, shift := k.walk("dst", 1), k.walk("acc", 4), k.channels("shift", 4)
	dst.gap = k.param("gap")
	k.quotients(dst, "pixels", "channels", func(i int, y reg.VecPhysical) {
		k.VMOVDQU(acc.part(i), y)
		k.VMOVDQU(shift.part(i), ymm(8))
		k.VPSUBD(ymm(6), ymm(8), ymm(9))
		k.VPSRAVD(ymm(9), y, ymm(9))
		k.VPSRAVD(ymm(8), y, y)
		k.VPAND(ymm(6), ymm(9), ymm(9))
		k.VPADDD(ymm(9), y, y)
	})

	k = newRowKernel(c, "requantizeShiftEqualAVX2", "func(dst *uint8, acc *int32, rows, n, gap int, shift uint64, lo, hi int32)",
		"dst = clamp(((acc >> shift) + 1) >> 1, lo, hi), shift > 0; rows of at least 8 elements, gap bytes of dst between them")
	dst, acc = k.walk("dst", 1), k.walk("acc", 4)
	dst.gap = k.param("gap")
	k.VMOVQ(k.param("shift"), xmm(7))
	k.quotients(dst, "rows", "n", func(i int, y reg.VecPhysical) {
		k.VMOVDQU(acc.part(i), y)
		k.VPSRAD(xmm(7), y, y)
		k.VPADDD(ymm(6), y, y)
		k.VPSRAD(Imm(1), y, y)
	})

	k = newRowKernel(c, "requantizeShiftsAVX2", "func(dst *uint8, acc, shift *int32, pixels, channels int, lo, hi, half int32)", shiftsDoc)
	dst, acc, shift = k.walk("dst", 1), k.walk("acc", 4), k.channels("shift", 4)
	for i, name := range []string{"lo", "hi", "half"} {
		k.VBROADCASTSS(k.param(name), ymm(4+i))
	}
	k.VPXOR(ymm(7), ymm(7), ymm(7))
	k.constant8(1, 8)
	k.constant8(1<<leftBits, 9)
	k.VPSUBD(ymm(9), ymm(7), ymm(10))
	k.constant8(leftBits, 11)
	k.constant8(255, 15)
	k.strips(8, k.load("pixels"), k.load("channels"), func(reg.Register) {
		k.VMOVDQU(at(acc), ymm(0))
		k.VMOVDQU(at(shift), ymm(1))
		k.VPSUBD(ymm(8), ymm(1), ymm(2))
		k.VPSRAVD(ymm(2), ymm(0), ymm(2))
		k.VPAND(ymm(6), ymm(2), ymm(2))
		k.VPSRAVD(ymm(1), ymm(0), ymm(3))
		k.VPADDD(ymm(3), ymm(2), ymm(2)) // of shifts to the right
		k.VPMINSD(ymm(9), ymm(0), ymm(0))
		k.VPMAXSD(ymm(10), ymm(0), ymm(0))
		k.VPSUBD(ymm(1), ymm(7), ymm(3))
		k.VPMINSD(ymm(11), ymm(3), ymm(3))
		k.VPSLLVD(ymm(3), ymm(0), ymm(0))
		k.VPCMPGTD(ymm(7), ymm(1), ymm(1))
		k.VPBLENDVB(ymm(1), ymm(2), ymm(0), ymm(0))
		k.VPMAXSD(ymm(4), ymm(0), ymm(0))
		k.VPMINSD(ymm(5), ymm(0), ymm(0))
	}, func() { k.storeBytes(dst) })
	k.RET()

	for _, floor := range []bool{false, true} {
		name, doc := floatName(floor, "AVX2")
		k = newRowKernel(c, name, "func(dst *uint8, acc *int32, mult *float32, pixels, channels, gap int, lo, hi float32, z int32)", doc+"; gap bytes of dst between pixels")
		dst, acc = k.walk("dst", 1), k.walk("acc", 4)
		dst.gap = k.param("gap")
		mult := k.channels("mult", 4)
		k.VBROADCASTSS(k.param("lo"), ymm(4))
		k.VBROADCASTSS(k.param("hi"), ymm(5))
		k.VBROADCASTSS(k.param("z"), ymm(6))
		k.constant8(255, 15)
		for i, y := range []int{12, 13} { // the ends
			k.VCVTPS2DQ(ymm(4+i), ymm(y))
			k.VPADDD(ymm(6), ymm(y), ymm(y))
		}
		k.bulkEnds()
		k.bulkConstants()
		k.VPACKSSDW(ymm(6), ymm(6), ymm(7))
		// scaled makes y the products of elements 8i to 8i+7, no larger than the upper end.
		scaled := func(i int, y reg.VecPhysical) {
			k.VCVTDQ2PS(acc.part(i), y)
			k.VMULPS(mult.part(i), y, y)
			k.VMINPS(ymm(5), y, y)
		}
		rounded := func(y reg.VecPhysical) {
			if floor {
				k.VROUNDPS(Imm(1), y, y)
			}
			k.VCVTPS2DQ(y, y)
		}
		k.bulkStrips(8, k.load("pixels"), k.load("channels"), func() {
			for i := range 4 {
				scaled(i, ymm(i))
				rounded(ymm(i)) // far below, the least int32
			}
			k.bulkStore(dst, 7)
		}, func(reg.Register) {
			scaled(0, ymm(0))
			k.VMAXPS(ymm(4), ymm(0), ymm(0))
			rounded(ymm(0))
			k.VPADDD(ymm(6), ymm(0), ymm(0))
		}, func() { k.storeBytes(dst) })
		k.RET()
	}

	passBits8(c)
	for _, add := range []bool{false, true} {
		selectBits8(c, add)
	}

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
		k.strips(8, nil, k.load("n"), func(reg.Register) {
			if signed {
				k.VPMOVSXBD(at(codes), ymm(0))
			} else {
				k.VPMOVZXBD(at(codes), ymm(0))
			}
			k.VPSUBD(ymm(1), ymm(0), ymm(0))
			k.VCVTDQ2PS(ymm(0), ymm(0))
			k.VMULPS(ymm(2), ymm(0), ymm(0))
		}, func() { k.VMOVUPS(ymm(0), at(dst)) })
		k.RET()
	}
}

// passBits8 writes the bits of a row one after the other: those that do not fill a byte yet wait
// in a register.
func passBits8(c *build.Context) {
	k := newRowKernel(c, "passBitsAVX2", "func(bits *uint8, acc, first, last *int32, pixels, channels int)", "bit = first <= acc <= last, per channel; at least 8 channels")
	bits, acc, first, last := k.load("bits"), k.load("acc"), k.load("first"), k.load("last")
	channels, pixels := k.load("channels"), k.load("pixels")
	i, left, rest, again := k.GP64(), k.GP64(), k.GP64(), k.GP64()
	waiting, count, some := k.GP32(), k.GP64(), k.GP32()
	// beyond sets the elements of y that lie outside; disp counts bytes from i on.
	beyond := func(disp int, y, scratch reg.VecPhysical) {
		p := func(base reg.Register) Mem { return Mem{Base: base, Index: i, Scale: 4, Disp: disp} }
		k.VMOVDQU(p(acc), y)
		k.VMOVDQU(p(first), scratch)
		k.VPCMPGTD(y, scratch, scratch) // first > acc
		k.VPCMPGTD(p(last), y, y)
		k.VPOR(scratch, y, y)
	}
	group := func() { // the bits of the elements at i
		beyond(0, ymm(0), ymm(1))
		k.VMOVMSKPS(ymm(0), some)
		k.XORL(Imm(0xff), some)
	}
	k.bulkConstants()
	flush := func() {
		k.MOVB(waiting.As8(), Mem{Base: bits})
		k.INCQ(bits)
		k.SHRL(Imm(8), waiting)
	}
	k.MOVQ(channels, rest)
	k.ANDQ(Imm(7), rest)
	k.MOVQ(U32(8), again)
	k.SUBQ(rest, again)
	k.XORL(waiting, waiting)
	k.XORQ(count, count)
	k.Label("row")
	k.XORQ(i, i)
	k.MOVQ(channels, left)
	k.TESTQ(count, count) // 32 at a time where bytes begin with a row
	k.JNE(LabelRef("vector"))
	k.Label("bulk")
	k.CMPQ(left, Imm(bulkWidth))
	k.JLT(LabelRef("few"))
	for j := range 4 {
		beyond(32*j, ymm(j), ymm(4))
	}
	for _, y := range []int{0, 2} {
		k.VPACKSSDW(ymm(y+1), ymm(y), ymm(y))
	}
	k.VPACKSSWB(ymm(2), ymm(0), ymm(0))
	k.VPERMD(ymm(0), ymm(10), ymm(0))
	k.VPMOVMSKB(ymm(0), some)
	k.NOTL(some)
	k.MOVL(some, Mem{Base: bits})
	k.ADDQ(Imm(4), bits)
	k.ADDQ(Imm(bulkWidth), i)
	k.SUBQ(Imm(bulkWidth), left)
	k.JMP(LabelRef("bulk"))
	k.Label("few")
	k.TESTQ(left, left)
	k.JEQ(LabelRef("next"))
	k.CMPQ(left, Imm(8))
	k.JLT(LabelRef("last"))
	k.Label("vector")
	group()
	k.SHLXL(count.As32(), some, some)
	k.ORL(some, waiting)
	flush()
	k.ADDQ(Imm(8), i)
	k.SUBQ(Imm(8), left)
	k.CMPQ(left, Imm(8))
	k.JGE(LabelRef("vector"))
	k.TESTQ(left, left)
	k.JEQ(LabelRef("next"))
	k.Label("last")
	k.SUBQ(again, i) // the last eight elements, of which some are done
	group()
	k.SHRXL(again.As32(), some, some)
	k.SHLXL(count.As32(), some, some)
	k.ORL(some, waiting)
	k.ADDQ(rest, count)
	k.CMPQ(count, Imm(8))
	k.JLT(LabelRef("next"))
	flush()
	k.SUBQ(Imm(8), count)
	k.Label("next")
	k.LEAQ(Mem{Base: acc, Index: channels, Scale: 4}, acc)
	k.DECQ(pixels)
	k.JNE(LabelRef("row"))
	k.TESTQ(count, count)
	k.JEQ(LabelRef("done"))
	k.MOVB(waiting.As8(), Mem{Base: bits})
	k.Label("done")
	k.VZEROUPPER()
	k.RET()
}

func selectBits8(c *build.Context, add bool) {
	name, doc := "selectBitsAVX2", "dst = src where the bit is set, else 0"
	if add {
		name, doc = "selectBitsAddAVX2", "dst += src where the bit is set"
	}
	k := newRowKernel(c, name, "func(dst, src *float32, bits *uint8, n int)", doc)
	dst, src := k.walk("dst", 4), k.walk("src", 4)
	bits, each, byte, shift := k.load("bits"), k.GP64(), k.GP64(), k.GP64()
	k.MOVQ(U64(0x8040201008040201), each) // Y2: bit i of element i
	k.VMOVQ(each, xmm(2))
	k.VPMOVZXBD(xmm(2), ymm(2))
	k.strips(8, nil, k.load("n"), func(again reg.Register) {
		k.MOVQ(dst.index, byte)
		k.SHRQ(Imm(3), byte)
		if again == nil {
			k.VPBROADCASTB(Mem{Base: bits, Index: byte, Scale: 1}, ymm(0))
		} else { // the bits lie in two bytes
			k.MOVQ(dst.index, shift)
			k.ANDQ(Imm(7), shift)
			k.MOVWLZX(Mem{Base: bits, Index: byte, Scale: 1}, byte.As32())
			k.SHRXL(shift.As32(), byte.As32(), byte.As32())
			k.VMOVD(byte.As32(), xmm(0))
			k.VPBROADCASTB(xmm(0), ymm(0))
		}
		k.VPAND(ymm(2), ymm(0), ymm(0))
		k.VPCMPEQD(ymm(2), ymm(0), ymm(0))
		k.VANDPS(at(src), ymm(0), ymm(0))
		if add {
			k.VADDPS(at(dst), ymm(0), ymm(0))
		}
	}, func() { k.VMOVUPS(ymm(0), at(dst)) })
	k.RET()
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
	k.strips(8, k.load("pixels"), k.load("channels"), func(again reg.Register) {
		k.VMOVUPS(at(x), ymm(0))
		k.VMOVUPS(at(scale), ymm(1))
		k.VSUBPS(ymm(0), ymm(0), ymm(2)) // NaN unless x is finite
		k.VCMPPS(Imm(unordered), ymm(2), ymm(2), ymm(2))
		k.VMOVMSKPS(ymm(2), some)
		if again != nil {
			k.SHRXL(again.(reg.GP).As32(), some, some)
		}
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
		} else {
			k.VCVTPS2DQ(ymm(0), ymm(0))
			k.VPADDD(ymm(6), ymm(0), ymm(0))
		}
	}, func() {
		if fake {
			k.VMOVUPS(ymm(0), at(dst))
		} else {
			k.storeBytes(dst)
		}
	})
	k.Store(bad, k.ReturnIndex(0))
	k.RET()
}
