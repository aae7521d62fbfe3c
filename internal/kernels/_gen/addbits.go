package main

import (
	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// addBits writes the pass bits and ranges of sums of codes. They are exact.
func addBits(c *build.Context) {
	k := newRowKernel(c, "addShiftBitsAVX512", "func(ends *int32, bits, a, b *uint8, n int, flipA, flipB, ma, mb, start, first, last int32)",
		"t = (a ^ flipA)·ma + (b ^ flipB)·mb + start; bit = first <= t <= last; ends = least and largest t of 16 lanes")
	a, b, bits := k.walk("a", 1), k.walk("b", 1), k.load("bits")
	for i, name := range []string{"flipA", "flipB", "ma", "mb", "start", "first", "last"} {
		k.broadcast(name, zmm(4+i))
	}
	k.constant(0x7fffffff, zmm(16))
	k.constant(0x80000000, zmm(17))
	k.rows(nil, k.load("n"), func(mask reg.Register, lanes Op) {
		k.byteLevels(a, mask, 0, zmm(4))
		k.byteLevels(b, mask, 1, zmm(5))
		k.VPMULLD(zmm(6), zmm(0), zmm(0))
		k.VPMULLD(zmm(7), zmm(1), zmm(1))
		k.VPADDD(zmm(8), zmm(0), zmm(0))
		k.VPADDD(zmm(1), zmm(0), zmm(0))
		k.VPMINSD(zmm(0), zmm(16), mask, zmm(16))
		k.VPMAXSD(zmm(0), zmm(17), mask, zmm(17))
		k.VPCMPD(Imm(lessEqual), zmm(0), zmm(9), mask, reg.K3)
		k.VPCMPD(Imm(lessEqual), zmm(10), zmm(0), reg.K3, reg.K3)
		k.storeBits(bits, mask, lanes)
	})
	k.storeEnds()

	k = newRowKernel(c, "addFloatBitsAVX512", "func(ends *float32, bits, a, b *uint8, n int, flipA, flipB, za, zb int32, ma, mb, first, last float32)",
		"v = float32((a ^ flipA) - za)·ma + float32((b ^ flipB) - zb)·mb; bit = first <= v <= last; ends = least and largest v of 16 lanes")
	a, b, bits = k.walk("a", 1), k.walk("b", 1), k.load("bits")
	for i, name := range []string{"flipA", "flipB", "za", "zb", "ma", "mb", "first", "last"} {
		k.broadcast(name, zmm(4+i))
	}
	k.constant(0x7f800000, zmm(16))
	k.constant(0xff800000, zmm(17))
	k.rows(nil, k.load("n"), func(mask reg.Register, lanes Op) {
		k.byteLevels(a, mask, 0, zmm(4))
		k.byteLevels(b, mask, 1, zmm(5))
		for i := range 2 {
			k.VPSUBD(zmm(6+i), zmm(i), zmm(i))
			k.VCVTDQ2PS(zmm(i), zmm(i))
			k.VMULPS(zmm(8+i), zmm(i), zmm(i))
		}
		k.VADDPS(zmm(1), zmm(0), zmm(0))
		k.VMINPS(zmm(16), zmm(0), mask, zmm(16)) // the former least if v is NaN
		k.VMAXPS(zmm(17), zmm(0), mask, zmm(17))
		k.VCMPPS(Imm(atLeast), zmm(10), zmm(0), mask, reg.K3)
		k.VCMPPS(Imm(lessEqual), zmm(11), zmm(0), reg.K3, reg.K3)
		k.storeBits(bits, mask, lanes)
	})
	k.storeEnds()
}

// storeBits writes the bits of K3, as many as there are lanes, and moves bits on.
func (k *rowKernel) storeBits(bits, mask reg.Register, lanes Op) {
	some := k.GP32()
	k.KMOVW(reg.K3, some)
	if mask == full {
		k.MOVW(some.As16(), Mem{Base: bits})
		k.ADDQ(Imm(2), bits)
		return
	}
	one, done := k.label("one"), k.label("stored")
	k.CMPQ(lanes, Imm(8))
	k.JLE(LabelRef(one)) // there is one byte only
	k.MOVW(some.As16(), Mem{Base: bits})
	k.JMP(LabelRef(done))
	k.Label(one)
	k.MOVB(some.As8(), Mem{Base: bits})
	k.Label(done)
}

// storeEnds writes Z16 and Z17 and returns.
func (k *rowKernel) storeEnds() {
	ends := k.load("ends")
	k.VMOVUPS(zmm(16), Mem{Base: ends})
	k.VMOVUPS(zmm(17), Mem{Base: ends, Disp: 64})
	k.VZEROUPPER()
	k.RET()
}
