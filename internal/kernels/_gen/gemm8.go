package main

import (
	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// gemm8 writes the tile kernels of the 8-bit product. W is read from front to back, 64 bytes for each vector and group of
// four elements.
func gemm8(c *build.Context) {
	f := newFunction(c, "gemm8Tile32", "Tiles of up to 14 rows and one panel of 32 outputs, times lines of them. Z4 to Z31 are the accumulators, Z0 and Z1 weights, Z2 and Z3 four elements of A.")
	f.begin()
	f.dispatch("gemm8Tile32", 14, func(label string, rows int) { f.vnni(label, rows, 2, 2) })
	f = newFunction(c, "gemm8Tile16", "Tiles of up to 18 rows and one panel of 16 outputs, times lines of them. Z4 to Z21 are the accumulators, Z0 weights, Z2 and Z3 four elements of A.")
	f.begin()
	f.dispatch("gemm8Tile16", 18, func(label string, rows int) { f.vnni(label, rows, 1, 4) })
}

// loops8 writes the loops over segments and groups of four elements around body, which reads its rows and weights some bytes
// behind r and w. unroll groups share what a turn of the inner loop costs.
func (f function) loops8(label string, n, vectors, unroll int, body func(r *rows, w reg.Register, group int)) {
	r := f.newRows(n)
	w, p, s := f.load("weights"), f.GP64(), f.GP64()
	f.XORQ(s, s)
	f.Label(label + "_segment")
	f.CMPQ(s, f.field("segments"))
	f.JGE(LabelRef(label + "_store"))
	f.MOVQ(f.field("aoff"), p)
	f.MOVQ(Mem{Base: p, Index: s, Scale: 8}, p)
	f.ADDQ(f.field("row"), p)
	f.start(r, p)
	f.INCQ(s)
	f.unrolled(label, unroll, func(groups int) {
		for g := range groups {
			body(r, w, g)
		}
		f.advance(r, Imm(uint64(4*groups)))
		f.ADDQ(U32(uint32(64*vectors*groups)), w)
	})
}

func (f function) vnni(label string, n, vectors, unroll int) {
	t := wideTile{f, n, vectors}
	t.begin(label)
	f.loops8(label, n, vectors, unroll, func(r *rows, w reg.Register, group int) {
		for v := range vectors {
			m := Mem{Base: w, Disp: 64 * (vectors*group + v)}
			f.VMOVDQU32(m, zmm(v))
			if vectors > 1 {
				f.PREFETCHT0(m.Offset(weightsAhead))
			}
		}
		for i := range n {
			f.VPBROADCASTD(r.at(i).Offset(4*group), zmm(2+i%2))
			for v := range vectors {
				f.VPDPBUSD(zmm(v), zmm(2+i%2), t.acc(i, v))
			}
		}
	})
	c, ldc := f.load("out"), f.load("ldc")
	for i := range n {
		for v := range vectors {
			t.store(i, v, c)
		}
		if i < n-1 {
			f.ADDQ(ldc, c)
		}
	}
	f.next(label)
}
