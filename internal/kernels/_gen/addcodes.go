package main

import (
	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// addCodes writes the sums of two tensors of codes. They are exact.
func addCodes(c *build.Context) {
	k := newRowKernel(c, "addShiftAVX512", "func(dst, a, b *uint8, n int, flipA, flipB, ma, mb, start, shift, lo, hi, half int32)",
		"t = (a ^ flipA)·ma + (b ^ flipB)·mb + start; dst = clamp((t >> n) + (t >> (n-1) & half), lo, hi)")
	dst, a, b := k.walk("dst", 1), k.walk("a", 1), k.walk("b", 1)
	for i, name := range []string{"flipA", "flipB", "ma", "mb", "start", "shift", "lo", "hi", "half"} {
		k.broadcast(name, zmm(4+i))
	}
	k.constant(1, zmm(13))
	k.VPSUBD(zmm(13), zmm(9), zmm(13))
	k.rows(nil, k.load("n"), func(mask reg.Register, _ Op) {
		k.byteLevels(a, mask, 0, zmm(4))
		k.byteLevels(b, mask, 1, zmm(5))
		k.VPMULLD(zmm(6), zmm(0), zmm(0))
		k.VPMULLD(zmm(7), zmm(1), zmm(1))
		k.VPADDD(zmm(8), zmm(0), zmm(0))
		k.VPADDD(zmm(1), zmm(0), zmm(0))
		k.VPSRAVD(zmm(9), zmm(0), zmm(1))
		k.VPSRAVD(zmm(13), zmm(0), zmm(2))
		k.VPANDD(zmm(12), zmm(2), zmm(2))
		k.VPADDD(zmm(2), zmm(1), zmm(0))
		k.VPMAXSD(zmm(10), zmm(0), zmm(0))
		k.VPMINSD(zmm(11), zmm(0), zmm(0))
		k.VPMOVDB(zmm(0), mask, at(dst))
	})
	k.RET()

	for _, floor := range []bool{false, true} {
		name, round := addName(floor)
		k := newRowKernel(c, name+"AVX512", "func(dst, a, b *uint8, n int, flipA, flipB, za, zb int32, ma, mb, lo, hi float32, z int32)",
			"dst = "+round+"(clamp(float32((a ^ flipA) - za)·ma + float32((b ^ flipB) - zb)·mb, lo, hi)) + z")
		dst, a, b = k.walk("dst", 1), k.walk("a", 1), k.walk("b", 1)
		for i, name := range []string{"flipA", "flipB", "za", "zb", "ma", "mb", "lo", "hi", "z"} {
			k.broadcast(name, zmm(4+i))
		}
		k.rows(nil, k.load("n"), func(mask reg.Register, _ Op) {
			k.byteLevels(a, mask, 0, zmm(4))
			k.byteLevels(b, mask, 1, zmm(5))
			for i := range 2 {
				k.VPSUBD(zmm(6+i), zmm(i), zmm(i))
				k.VCVTDQ2PS(zmm(i), zmm(i))
				k.VMULPS(zmm(8+i), zmm(i), zmm(i))
			}
			k.VADDPS(zmm(1), zmm(0), zmm(0))
			k.VMAXPS(zmm(10), zmm(0), zmm(0))
			k.VMINPS(zmm(11), zmm(0), zmm(0))
			if floor {
				k.VRNDSCALEPS(Imm(1), zmm(0), zmm(0))
			}
			k.VCVTPS2DQ(zmm(0), zmm(0))
			k.VPADDD(zmm(12), zmm(0), zmm(0))
			k.VPMOVDB(zmm(0), mask, at(dst))
		})
		k.RET()
	}
}

// addName returns the name of the loop that adds codes through floats and that of its rounding.
func addName(floor bool) (name, rounding string) {
	if floor {
		return "addFloor", "floor"
	}
	return "addFloat", "roundEven"
}

// byteLevels loads 16 bytes at p, flips them and widens them to 32 bits in vector i.
func (k *rowKernel) byteLevels(p *pointer, mask reg.Register, i int, flip reg.VecPhysical) {
	k.VMOVDQU8_Z(at(p), mask, xmm(i))
	k.VPMOVZXBD(xmm(i), zmm(i))
	k.VPXORD(flip, zmm(i), zmm(i))
}
