package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// gemm writes the tile kernels of the float32 product. Each result is one lane of one
// accumulator, which takes one fused multiply-add per term.
func gemm(c *build.Context) {
	f := newFunction(c, "gemmTile32", "A tile of up to 14 rows and 17 to 32 columns. Z4 to Z31 are the accumulators, Z0 and Z1 a row of B, Z2 and Z3 broadcast elements of A.")
	f.dispatch("rows32", 14, func(label string, rows int) { f.gemm512(label, rows, 2) })
	f = newFunction(c, "gemmTile16", "A tile of up to 14 rows and 1 to 16 columns. Z4 to Z17 are the accumulators, Z0 is a row of B.")
	f.dispatch("rows16", 14, func(label string, rows int) { f.gemm512(label, rows, 1) })
	f = newFunction(c, "gemmTile16AVX2", "A tile of up to 6 rows and 16 columns. Y4 to Y15 are the accumulators, Y0 and Y1 a row of B, Y2 and Y3 broadcast elements of A.")
	f.dispatch("avx2", 6, func(label string, rows int) { f.gemm256(label, rows, false) })
	f = newFunction(c, "gemmTail16AVX2", "A tile of up to 4 rows and 1 to 15 columns, which lanes masks. Y4 to Y11 are the accumulators, Y0 and Y1 a row of B, Y2 broadcast elements of A, Y12 and Y13 the masks.")
	f.dispatch("tail", 4, func(label string, rows int) { f.gemm256(label, rows, true) })
}

// loops writes the loops over segments and k around body, which reads rows and b.
func (f function) loops(label string, n int, body func(r *rows, b reg.Register)) {
	r := f.newRows(n)
	b, k, p := f.GP64(), f.GP64(), f.GP64()
	cs, bs, ahead := f.load("cs"), f.load("bs"), f.GP64()
	s := f.GP64()
	f.XORQ(s, s)
	f.Label(label + "_segment")
	f.CMPQ(s, f.field("segments"))
	f.JGE(LabelRef(label + "_store"))
	f.MOVQ(f.field("aoff"), p)
	f.MOVQ(Mem{Base: p, Index: s, Scale: 8}, p)
	f.SHLQ(Imm(2), p)
	f.ADDQ(f.field("a"), p)
	f.start(r, p)
	f.ADDQ(f.field("ahead"), p)
	f.MOVQ(p, ahead)
	f.MOVQ(f.field("boff"), b)
	f.MOVQ(Mem{Base: b, Index: s, Scale: 8}, b)
	f.SHLQ(Imm(2), b)
	f.ADDQ(f.field("b"), b)
	f.INCQ(s)
	f.MOVQ(f.field("k"), k)
	f.Label(label + "_k")
	body(r, b)
	f.PREFETCHT0(Mem{Base: ahead})
	f.advance(r, cs)
	f.ADDQ(bs, b)
	f.ADDQ(f.field("pace"), ahead)
	f.DECQ(k)
	f.JNE(LabelRef(label + "_k"))
	f.JMP(LabelRef(label + "_segment"))
	f.Label(label + "_store")
}

func (f function) gemm512(label string, n, vectors int) {
	acc := func(i, v int) reg.VecPhysical { return zmm(4 + i*vectors + v) }
	mask := reg.K1 // of the last vector
	f.KMOVW(f.field("mask"), mask)
	load := func(m Mem, v int, z reg.VecPhysical) {
		if v == vectors-1 {
			f.VMOVUPS_Z(m.Offset(64*v), mask, z)
		} else {
			f.VMOVUPS(m.Offset(64*v), z)
		}
	}
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
		load(Mem{Base: start}, v, acc(0, v))
		for i := 1; i < n; i++ {
			f.VMOVAPS(acc(0, v), acc(i, v))
		}
	}
	f.Label(label + "_begin")
	f.loops(label, n, func(r *rows, b reg.Register) {
		for v := range vectors {
			load(Mem{Base: b}, v, zmm(v))
		}
		for i := range n {
			if vectors == 1 {
				f.VFMADD231PS_BCST(r.at(i), zmm(0), acc(i, 0))
				continue
			}
			f.VBROADCASTSS(r.at(i), zmm(2+i%2))
			for v := range vectors {
				f.VFMADD231PS(zmm(v), zmm(2+i%2), acc(i, v))
			}
		}
	})
	c, ldc := f.load("c"), f.load("ldc")
	f.CMPQ(f.field("add"), Imm(0))
	f.JEQ(LabelRef(label + "_assign"))
	for _, add := range []bool{true, false} {
		if !add {
			f.RETfrom(label + "_assign")
		}
		for i := range n {
			for v := range vectors {
				m := Mem{Base: c, Disp: 64 * v}
				if add {
					load(Mem{Base: c}, v, zmm(0))
					f.VADDPS(zmm(0), acc(i, v), acc(i, v))
				}
				if v == vectors-1 {
					f.VMOVUPS(acc(i, v), mask, m)
				} else {
					f.VMOVUPS(acc(i, v), m)
				}
			}
			if i < n-1 {
				f.ADDQ(ldc, c)
			}
		}
	}
}

// RETfrom ends one way out of a body and begins the other at a label.
func (f function) RETfrom(label string) {
	f.VZEROUPPER()
	f.RET()
	f.Label(label)
}

func (f function) gemm256(label string, n int, masked bool) {
	const vectors = 2
	acc := func(i, v int) reg.VecPhysical { return ymm(4 + i*vectors + v) }
	mask := func(v int) reg.VecPhysical { return ymm(12 + v) }
	if masked {
		lanes := f.load("lanes")
		for v := range vectors {
			f.VMOVUPS(Mem{Base: lanes, Disp: 32 * v}, mask(v))
		}
	}
	load := func(m Mem, v int, y reg.VecPhysical) {
		if masked {
			f.VMASKMOVPS(m.Offset(32*v), mask(v), y)
		} else {
			f.VMOVUPS(m.Offset(32*v), y)
		}
	}
	start := f.load("init")
	f.TESTQ(start, start)
	f.JNE(LabelRef(label + "_init"))
	for i := range n {
		for v := range vectors {
			f.VXORPS(acc(i, v), acc(i, v), acc(i, v))
		}
	}
	f.JMP(LabelRef(label + "_begin"))
	f.Label(label + "_init")
	for v := range vectors {
		load(Mem{Base: start}, v, acc(0, v))
		for i := 1; i < n; i++ {
			f.VMOVAPS(acc(0, v), acc(i, v))
		}
	}
	f.Label(label + "_begin")
	f.loops(label, n, func(r *rows, b reg.Register) {
		for v := range vectors {
			load(Mem{Base: b}, v, ymm(v))
		}
		for i := range n {
			f.VBROADCASTSS(r.at(i), ymm(2+i%2))
			for v := range vectors {
				f.VFMADD231PS(ymm(v), ymm(2+i%2), acc(i, v))
			}
		}
	})
	c, ldc := f.load("c"), f.load("ldc")
	f.CMPQ(f.field("add"), Imm(0))
	f.JEQ(LabelRef(label + "_assign"))
	for _, add := range []bool{true, false} {
		if !add {
			f.RETfrom(label + "_assign")
		}
		for i := range n {
			for v := range vectors {
				m := Mem{Base: c, Disp: 32 * v}
				if add {
					load(Mem{Base: c}, v, ymm(0))
					f.VADDPS(ymm(0), acc(i, v), acc(i, v))
				}
				if masked {
					f.VMASKMOVPS(acc(i, v), mask(v), m)
				} else {
					f.VMOVUPS(acc(i, v), m)
				}
			}
			if i < n-1 {
				f.ADDQ(ldc, c)
			}
		}
	}
}

func zmm(i int) reg.VecPhysical { return vectors[fmt.Sprint("Z", i)] }
func ymm(i int) reg.VecPhysical { return vectors[fmt.Sprint("Y", i)] }
func xmm(i int) reg.VecPhysical { return vectors[fmt.Sprint("X", i)] }

// vectors are the vector registers by name.
var vectors = func() map[string]reg.VecPhysical {
	m := map[string]reg.VecPhysical{}
	for _, r := range reg.Vector.Registers() {
		if v, ok := r.(reg.VecPhysical); ok {
			m[v.Asm()] = v
		}
	}
	return m
}()
