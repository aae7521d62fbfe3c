package main

import (
	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// multiplyCodes writes the products of two tensors of codes, for AVX2 and for AVX-512.
func multiplyCodes(c *build.Context) {
	const params, formula = "func(dst *int32, a, b *uint8, n int, flipA, flipB, za, zb int32)", "dst = ((a ^ flipA) - za)·((b ^ flipB) - zb)"

	k := newRowKernel(c, "multiplyCodesAVX2", params, formula+"; at least 8 codes")
	dst, a, b := k.walk("dst", 4), k.walk("a", 1), k.walk("b", 1)
	for i, name := range []string{"flipA", "flipB", "za", "zb"} {
		k.VBROADCASTSS(k.param(name), ymm(2+i))
	}
	k.strips(8, nil, k.load("n"), func(reg.Register) {
		for i, p := range []*pointer{a, b} {
			k.VPMOVZXBD(at(p), ymm(i))
			k.VPXOR(ymm(2+i), ymm(i), ymm(i))
			k.VPSUBD(ymm(4+i), ymm(i), ymm(i))
		}
		k.VPMULLD(ymm(1), ymm(0), ymm(0))
	}, func() { k.VMOVDQU(ymm(0), at(dst)) })
	k.RET()

	k = newRowKernel(c, "multiplyCodesAVX512", params, formula)
	dst, a, b = k.walk("dst", 4), k.walk("a", 1), k.walk("b", 1)
	for i, name := range []string{"flipA", "flipB", "za", "zb"} {
		k.broadcast(name, zmm(2+i))
	}
	k.rows(nil, k.load("n"), func(mask reg.Register, _ Op) {
		for i, p := range []*pointer{a, b} {
			k.byteLevels(p, mask, i, zmm(2+i))
			k.VPSUBD(zmm(4+i), zmm(i), zmm(i))
		}
		k.VPMULLD(zmm(1), zmm(0), zmm(0))
		k.VMOVDQU32(zmm(0), mask, at(dst))
	})
	k.RET()
}
