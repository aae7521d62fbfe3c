package main

import (
	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// depthwiseRow8 writes the AVX2 form of a row of pixels of a depthwise convolution 3×3: eight channels at a time,
// whose weights stay in Y7 to Y15. Multiply and add are separate, so that the results are those of Go.
func depthwiseRow8(c *build.Context) {
	k := newRowKernel(c, "depthwiseRowAVX2", "func(d, start, x, w *float32, channels, pixels, dStep, startStep, xStep, xRow, xColumn, wRow, wColumn int)",
		"d[i] = start[i] + Σ x[i]·w over 3×3 taps for each pixel i and for channels that are a multiple of 8 and not 0; steps are in bytes")
	d, start, x, w, channels := k.load("d"), k.load("start"), k.load("x"), k.load("w"), k.load("channels")
	column, row, pd, ps, left := k.load("xColumn"), k.GP64(), k.GP64(), k.GP64(), k.GP64()
	p := [3]reg.Register{k.GP64(), k.GP64(), k.GP64()}
	tap := func(r, k int) reg.VecPhysical { return ymm(7 + 3*r + k) }
	k.Label("channels")
	k.MOVQ(w, p[0])
	for r := range 3 {
		k.MOVQ(p[0], p[1])
		for i := range 3 {
			k.VMOVUPS(Mem{Base: p[1]}, tap(r, i))
			if i < 2 {
				k.ADDQ(k.param("wColumn"), p[1])
			}
		}
		if r < 2 {
			k.ADDQ(k.param("wRow"), p[0])
		}
	}
	k.MOVQ(k.param("xRow"), row)
	k.MOVQ(x, p[0])
	k.LEAQ(Mem{Base: x, Index: row, Scale: 1}, p[1])
	k.LEAQ(Mem{Base: x, Index: row, Scale: 2}, p[2])
	k.MOVQ(k.param("xStep"), row)
	k.MOVQ(d, pd)
	k.MOVQ(start, ps)
	k.MOVQ(k.param("pixels"), left)
	k.Label("pixel")
	k.VMOVUPS(Mem{Base: ps}, ymm(0))
	for r := range 3 {
		for i := range 3 {
			m, product := Mem{Base: p[r]}, ymm(1+(3*r+i)%6)
			if i > 0 {
				m.Index, m.Scale = column, uint8(i)
			}
			k.VMULPS(m, tap(r, i), product)
			k.VADDPS(product, ymm(0), ymm(0))
		}
	}
	k.VMOVUPS(ymm(0), Mem{Base: pd})
	for _, q := range p {
		k.ADDQ(row, q)
	}
	k.ADDQ(k.param("dStep"), pd)
	k.ADDQ(k.param("startStep"), ps)
	k.DECQ(left)
	k.JNE(LabelRef("pixel"))
	for _, q := range []reg.Register{d, start, x, w} {
		k.ADDQ(Imm(32), q)
	}
	k.SUBQ(Imm(8), channels)
	k.JNE(LabelRef("channels"))
	k.VZEROUPPER()
	k.RET()
}
