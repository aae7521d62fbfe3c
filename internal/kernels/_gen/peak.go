package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// peakVectors is the number of accumulators that are in flight: enough for two
// instructions each cycle with a latency of up to six.
const peakVectors = 12

// peak writes the loops that do nothing but multiply and add in registers.
func peak(c *build.Context) {
	peakLoop(c, "peakFMAAVX512", "func(acc *[192]float32, a, b float32, rounds int)", "acc = acc·a + b, rounds times", func(k *rowKernel, acc Mem) {
		k.VBROADCASTSS(k.param("a"), zmm(14))
		k.VBROADCASTSS(k.param("b"), zmm(15))
		k.peakPass("all", func(i int) {
			k.VMOVUPS(acc.Offset(64*i), zmm(i))
		}, func(i int) {
			k.VFMADD213PS(zmm(15), zmm(14), zmm(i))
		}, func(i int) {
			k.VMOVUPS(zmm(i), acc.Offset(64*i))
		})
	})
	peakLoop(c, "peakFMAAVX2", "func(acc *[192]float32, a, b float32, rounds int)", "acc = acc·a + b, rounds times, one half after the other", func(k *rowKernel, acc Mem) {
		k.VBROADCASTSS(k.param("a"), ymm(14))
		k.VBROADCASTSS(k.param("b"), ymm(15))
		for half := range 2 {
			m := acc.Offset(32 * peakVectors * half)
			k.peakPass(fmt.Sprint("half", half), func(i int) {
				k.VMOVUPS(m.Offset(32*i), ymm(i))
			}, func(i int) {
				k.VFMADD213PS(ymm(15), ymm(14), ymm(i))
			}, func(i int) {
				k.VMOVUPS(ymm(i), m.Offset(32*i))
			})
		}
	})
	dot := "func(acc *[192]int32, x *[64]uint8, w *[64]int8, rounds int)"
	peakLoop(c, "peakDotVNNI", dot, "acc += four products each, rounds times", func(k *rowKernel, acc Mem) {
		k.VMOVDQU32(Mem{Base: k.Load(k.Param("x"), k.GP64())}, zmm(14))
		k.VMOVDQU32(Mem{Base: k.Load(k.Param("w"), k.GP64())}, zmm(15))
		k.peakPass("all", func(i int) {
			k.VMOVDQU32(acc.Offset(64*i), zmm(i))
		}, func(i int) {
			k.VPDPBUSD(zmm(15), zmm(14), zmm(i))
		}, func(i int) {
			k.VMOVDQU32(zmm(i), acc.Offset(64*i))
		})
	})
	peakLoop(c, "peakDotAVX2", dot, "acc += four products each, rounds times, by pairs of 16 bits; one half of each 16 after the other", func(k *rowKernel, acc Mem) {
		x, w := k.Load(k.Param("x"), k.GP64()), k.Load(k.Param("w"), k.GP64())
		ones := k.GP32()
		k.MOVL(U32(0x00010001), ones)
		k.VMOVD(ones, xmm(14))
		k.VPBROADCASTD(xmm(14), ymm(14))
		for half := range 2 {
			k.VMOVDQU(Mem{Base: x, Disp: 32 * half}, ymm(15))
			m := acc.Offset(32 * half)
			k.peakPass(fmt.Sprint("half", half), func(i int) {
				k.VMOVDQU(m.Offset(64*i), ymm(i))
			}, func(i int) {
				k.VPMADDUBSW(Mem{Base: w, Disp: 32 * half}, ymm(15), ymm(13))
				k.VPMADDWD(ymm(14), ymm(13), ymm(13))
				k.VPADDD(ymm(13), ymm(i), ymm(i))
			}, func(i int) {
				k.VMOVDQU(ymm(i), m.Offset(64*i))
			})
		}
	})
}

func peakLoop(c *build.Context, name, signature, doc string, body func(k *rowKernel, acc Mem)) {
	k := newRowKernel(c, name, signature, doc)
	body(k, Mem{Base: k.Load(k.Param("acc"), k.GP64())})
	k.VZEROUPPER()
	k.RET()
}

// peakPass loads the accumulators, runs the loop and stores them.
func (k *rowKernel) peakPass(name string, load, step, store func(i int)) {
	for i := range peakVectors {
		load(i)
	}
	rounds := k.Load(k.Param("rounds"), k.GP64())
	label := k.label(name)
	k.Label(label)
	for i := range peakVectors {
		step(i)
	}
	k.DECQ(rounds)
	k.JNE(LabelRef(label))
	for i := range peakVectors {
		store(i)
	}
}
