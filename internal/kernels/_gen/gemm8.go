package main

import (
	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// gemm8 writes the tile kernels of the 8-bit product. W is read from front to back.
func gemm8(c *build.Context) {
	for _, tile := range []struct {
		name, doc string
		vectors   int
	}{
		{"gemm8Tile32", "A tile of up to 14 rows and one panel of 32 outputs. Z4 to Z31 are the accumulators, Z0 and Z1 weights, Z2 four elements of A.", 2},
		{"gemm8Tile16", "A tile of up to 14 rows and one panel of 16 outputs. Z4 to Z17 are the accumulators, Z0 weights, Z2 four elements of A.", 1},
	} {
		f := newFunction(c, tile.name, tile.doc)
		f.dispatch(tile.name, 14, func(label string, rows int) { f.vnni(label, rows, tile.vectors) })
	}
}

// loops8 writes the loops over segments and groups of four elements around body,
// which reads rows and four bytes per output at w.
func (f function) loops8(label string, n int, body func(r *rows, w reg.Register)) {
	r := f.newRows(n)
	w, k, p := f.load("b"), f.GP64(), f.GP64()
	bs, s := f.load("bs"), f.GP64()
	f.XORQ(s, s)
	f.Label(label + "_segment")
	f.CMPQ(s, f.field("segments"))
	f.JGE(LabelRef(label + "_store"))
	f.MOVQ(f.field("aoff"), p)
	f.MOVQ(Mem{Base: p, Index: s, Scale: 8}, p)
	f.ADDQ(f.field("a"), p)
	f.start(r, p)
	f.INCQ(s)
	f.MOVQ(f.field("k"), k)
	f.Label(label + "_k")
	body(r, w)
	f.advance(r, Imm(4))
	f.ADDQ(bs, w)
	f.DECQ(k)
	f.JNE(LabelRef(label + "_k"))
	f.JMP(LabelRef(label + "_segment"))
	f.Label(label + "_store")
}

func (f function) vnni(label string, n, vectors int) {
	acc := func(i, v int) reg.VecPhysical { return zmm(4 + i*vectors + v) }
	mask := reg.K1 // of the last vector
	f.KMOVW(f.field("mask"), mask)
	start := f.load("init")
	f.TESTQ(start, start)
	f.JNE(LabelRef(label + "_init"))
	for i := range n {
		for v := range vectors {
			f.VPXORD(acc(i, v), acc(i, v), acc(i, v))
		}
	}
	f.JMP(LabelRef(label + "_begin"))
	f.Label(label + "_init")
	for v := range vectors {
		m := Mem{Base: start, Disp: 64 * v}
		if v == vectors-1 {
			f.VMOVDQU32_Z(m, mask, acc(0, v))
		} else {
			f.VMOVDQU32(m, acc(0, v))
		}
		for i := 1; i < n; i++ {
			f.VMOVDQA32(acc(0, v), acc(i, v))
		}
	}
	f.Label(label + "_begin")
	f.loops8(label, n, func(r *rows, w reg.Register) {
		for v := range vectors {
			f.VMOVDQU32(Mem{Base: w, Disp: 64 * v}, zmm(v))
		}
		for i := range n {
			f.VPBROADCASTD(r.at(i), zmm(2))
			for v := range vectors {
				f.VPDPBUSD(zmm(v), zmm(2), acc(i, v))
			}
		}
	})
	c, ldc := f.load("c"), f.load("ldc")
	for i := range n {
		for v := range vectors {
			m := Mem{Base: c, Disp: 64 * v}
			if v == vectors-1 {
				f.VMOVDQU32(acc(i, v), mask, m)
			} else {
				f.VMOVDQU32(acc(i, v), m)
			}
		}
		if i < n-1 {
			f.ADDQ(ldc, c)
		}
	}
}
