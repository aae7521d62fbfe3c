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
	w, k, p, s := f.load("weights"), f.GP64(), f.GP64(), f.GP64()
	turn := func(groups int) {
		for g := range groups {
			body(r, w, g)
		}
		f.advance(r, Imm(uint64(4*groups)))
		f.ADDQ(U32(uint32(64*vectors*groups)), w)
	}
	f.XORQ(s, s)
	f.Label(label + "_segment")
	f.CMPQ(s, f.field("segments"))
	f.JGE(LabelRef(label + "_store"))
	f.MOVQ(f.field("aoff"), p)
	f.MOVQ(Mem{Base: p, Index: s, Scale: 8}, p)
	f.ADDQ(f.field("row"), p)
	f.start(r, p)
	f.INCQ(s)
	f.MOVQ(f.field("k"), k)
	f.SUBQ(Imm(uint64(unroll)), k)
	f.JL(LabelRef(label + "_rest"))
	f.Label(label + "_several")
	turn(unroll)
	f.SUBQ(Imm(uint64(unroll)), k)
	f.JGE(LabelRef(label + "_several"))
	f.Label(label + "_rest")
	f.ADDQ(Imm(uint64(unroll)), k)
	f.JEQ(LabelRef(label + "_segment"))
	f.Label(label + "_k")
	turn(1)
	f.DECQ(k)
	f.JNE(LabelRef(label + "_k"))
	f.JMP(LabelRef(label + "_segment"))
	f.Label(label + "_store")
}

// weightsAhead is how far in front of the weights at hand a panel of 32 outputs is fetched: it takes turns in the first-level
// cache with others, and lines that come from the second one would cost more than the products of a group.
const weightsAhead = 1024

func (f function) vnni(label string, n, vectors, unroll int) {
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
				f.VPDPBUSD(zmm(v), zmm(2+i%2), acc(i, v))
			}
		}
	})
	c, ldc := f.load("out"), f.load("ldc")
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
	f.next(label)
}
