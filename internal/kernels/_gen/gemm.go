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
	f := newFunction(c, "gemmTile32", "Tiles of up to 14 rows and 17 to 32 columns, times lines of them. Z4 to Z31 are the accumulators, Z0 and Z1 a row of B, Z2 and Z3 broadcast elements of A.")
	f.begin()
	f.dispatch("rows32", 14, func(label string, rows int) { f.gemm512(label, rows, 2) })
	f = newFunction(c, "gemmTile16", "Tiles of up to 18 rows and 1 to 16 columns, times lines of them. Z4 to Z21 are the accumulators, Z0 is a row of B.")
	f.begin()
	f.dispatch("rows16", 18, func(label string, rows int) { f.gemm512(label, rows, 1) })
	f = newFunction(c, "gemmTile16AVX2", "Tiles of up to 6 rows and 16 columns, times lines of them. Y4 to Y15 are the accumulators, Y0 and Y1 a row of B, Y2 and Y3 broadcast elements of A.")
	f.begin()
	f.dispatch("avx2", 6, func(label string, rows int) { f.gemm256(label, rows, 2) })
	f = newFunction(c, "gemmTile8AVX2", "Tiles of up to 8 rows and 1 to 8 columns, which lanes masks and mask counts, times lines of them. Y4 to Y11 are the accumulators, Y0 is a row of B, Y2 and Y3 broadcast elements of A, Y12 is the mask.")
	f.begin()
	f.dispatch("narrow", 8, func(label string, rows int) { f.gemm256(label, rows, 1) })
}

// A walk is how a tile goes over segments and k.
type walk struct {
	// unroll terms at a time share what a turn of the inner loop costs. Their rows of B lie at b, b+bs, b+2·bs and b+3·bs.
	unroll int
	// lines is how many lines of the rows of A that come next a turn fetches; 0 stands for one with each term.
	lines int
}

// loops writes the loops over segments and k around body, which reads rows and b.
func (f function) loops(label string, n int, w walk, body func(r *rows, b Mem)) {
	r := f.newRows(n)
	b, p := f.GP64(), f.GP64()
	cs, bs, ahead := f.load("cs"), f.load("bs"), f.GP64()
	at := []Mem{{Base: b}, {Base: b, Index: bs, Scale: 1}, {Base: b, Index: bs, Scale: 2}, {}}
	if w.unroll > 3 {
		at[3] = Mem{Base: b, Index: f.GP64(), Scale: 1}
		f.LEAQ(Mem{Base: bs, Index: bs, Scale: 2}, at[3].Index)
	}
	fetch := func(lines int) {
		for line := range lines {
			f.PREFETCHT0(Mem{Base: ahead, Disp: 64 * line})
		}
		f.ADDQ(f.field("pace"), ahead)
	}
	s := f.GP64()
	f.XORQ(s, s)
	f.Label(label + "_segment")
	f.CMPQ(s, f.field("segments"))
	f.JGE(LabelRef(label + "_store"))
	f.MOVQ(f.field("aoff"), p)
	f.MOVQ(Mem{Base: p, Index: s, Scale: 8}, p)
	f.SHLQ(Imm(2), p)
	f.ADDQ(f.field("row"), p)
	f.start(r, p)
	f.ADDQ(f.field("ahead"), p)
	f.MOVQ(p, ahead)
	f.MOVQ(f.field("boff"), b)
	f.MOVQ(Mem{Base: b, Index: s, Scale: 8}, b)
	f.SHLQ(Imm(2), b)
	f.ADDQ(f.field("weights"), b)
	f.INCQ(s)
	f.unrolled(label, w.unroll, func(terms int) {
		for u := range terms {
			body(r, at[u])
			f.advance(r, cs)
			if w.lines == 0 {
				fetch(1)
			}
		}
		if terms == 1 {
			f.ADDQ(bs, b)
			return
		}
		if w.lines > 0 {
			fetch(w.lines)
		}
		f.LEAQ(Mem{Base: b, Index: bs, Scale: uint8(terms)}, b)
	})
}

// unrolled writes the loop over the terms of a segment. A turn does as many as it is told, unroll of them or one. The loop
// goes on with the next segment, and ends with the label of what follows the last one.
func (f function) unrolled(label string, unroll int, turn func(terms int)) {
	k := f.load("k")
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

// fetch fetches what a tile of n rows is going to be written to, while its products are computed: that many lines of each.
func (f function) fetch(n, lines int, c, ldc reg.Register) {
	for i := range n {
		for line := range lines {
			f.PREFETCHT0(Mem{Base: c, Disp: 64 * line})
		}
		if i < n-1 {
			f.ADDQ(ldc, c)
		}
	}
}

// A wideTile is a tile of rows of one or two vectors of 32-bit accumulators, from Z4 on, of floats or of integers.
type wideTile struct {
	function
	rows, vectors int
}

func (t wideTile) acc(i, v int) reg.VecPhysical { return zmm(4 + i*t.vectors + v) }

// wideMask is the mask of the columns of the last vector.
var wideMask = reg.K1

// load loads vector v of a row.
func (t wideTile) load(m Mem, v int, z reg.VecPhysical) {
	if v == t.vectors-1 {
		t.VMOVUPS_Z(m.Offset(64*v), wideMask, z)
	} else {
		t.VMOVUPS(m.Offset(64*v), z)
	}
}

// store stores an accumulator at vector v of a row.
func (t wideTile) store(i, v int, c reg.Register) {
	m := Mem{Base: c, Disp: 64 * v}
	if v == t.vectors-1 {
		t.VMOVUPS(t.acc(i, v), wideMask, m)
	} else {
		t.VMOVUPS(t.acc(i, v), m)
	}
}

// begin sets the accumulators to the initial values of the columns, or to zero.
func (t wideTile) begin(label string) {
	t.KMOVW(t.field("mask"), wideMask)
	start := t.function.load("init")
	t.TESTQ(start, start)
	t.JNE(LabelRef(label + "_init"))
	for i := range t.rows {
		for v := range t.vectors {
			t.VPXORD(t.acc(i, v), t.acc(i, v), t.acc(i, v))
		}
	}
	t.JMP(LabelRef(label + "_begin"))
	t.Label(label + "_init")
	for v := range t.vectors {
		t.load(Mem{Base: start}, v, t.acc(0, v))
		for i := 1; i < t.rows; i++ {
			t.VMOVAPS(t.acc(0, v), t.acc(i, v))
		}
	}
	t.Label(label + "_begin")
}

// weightsAhead is how far in front of the weights at hand a panel of 32 columns is fetched: it takes turns in the first-level
// cache with others, and lines that come from the second one would cost more than the products of a step.
const weightsAhead = 1024

func (f function) gemm512(label string, n, vectors int) {
	t := wideTile{f, n, vectors}
	t.begin(label)
	f.fetch(n, vectors, f.load("out"), f.load("ldc"))
	f.loops(label, n, walk{unroll: 6 - 2*vectors}, func(r *rows, b Mem) {
		for v := range vectors {
			t.load(b, v, zmm(v))
			if vectors > 1 {
				f.PREFETCHT0(b.Offset(64*v + weightsAhead))
			}
		}
		for i := range n {
			if vectors == 1 {
				f.VFMADD231PS_BCST(r.at(i), zmm(0), t.acc(i, 0))
				continue
			}
			f.VBROADCASTSS(r.at(i), zmm(2+i%2))
			for v := range vectors {
				f.VFMADD231PS(zmm(v), zmm(2+i%2), t.acc(i, v))
			}
		}
	})
	c, ldc := f.load("out"), f.load("ldc")
	f.CMPQ(f.field("add"), Imm(0))
	f.JEQ(LabelRef(label + "_assign"))
	for _, add := range []bool{true, false} {
		if !add {
			f.JMP(LabelRef(label + "_next"))
			f.Label(label + "_assign")
		}
		for i := range n {
			for v := range vectors {
				if add {
					t.load(Mem{Base: c}, v, zmm(0))
					f.VADDPS(zmm(0), t.acc(i, v), t.acc(i, v))
				}
				t.store(i, v, c)
			}
			if i < n-1 {
				f.ADDQ(ldc, c)
			}
		}
	}
	f.next(label)
}

// begin sets the fields that move from tile to tile.
func (f function) begin() {
	for _, m := range [][2]string{{"a", "row"}, {"b", "weights"}, {"c", "out"}, {"lines", "left"}} {
		f.MOVQ(f.load(m[0]), f.field(m[1]))
	}
}

// next goes on with the next tile of a line or the first one of the next line, if one is left.
func (f function) next(label string) {
	move := func(a, b, c string) {
		for _, m := range [][2]string{{a, "row"}, {b, "weights"}, {c, "out"}} {
			f.ADDQ(f.load(m[0]), f.field(m[1]))
		}
	}
	f.Label(label + "_next")
	f.DECQ(f.field("left"))
	f.JEQ(LabelRef(label + "_line"))
	move("stepA", "stepB", "stepC")
	f.JMP(LabelRef(label))
	f.Label(label + "_line")
	move("lineA", "lineB", "lineC")
	f.MOVQ(f.load("lines"), f.field("left"))
	f.DECQ(f.field("times"))
	f.JNE(LabelRef(label))
}

// gemm256 writes a tile of 16 columns in two vectors, or of up to 8 in one.
func (f function) gemm256(label string, n, vectors int) {
	acc := func(i, v int) reg.VecPhysical { return ymm(4 + i*vectors + v) }
	mask := ymm(12)
	if vectors == 1 {
		lanes := f.load("lanes")
		f.VMOVUPS(Mem{Base: lanes}, mask)
	}
	load := func(m Mem, v int, y reg.VecPhysical) {
		if vectors == 1 {
			f.VMASKMOVPS(m, mask, y)
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
	f.fetch(n, 1, f.load("out"), f.load("ldc"))
	f.loops(label, n, walk{unroll: 4, lines: 2}, func(r *rows, b Mem) {
		for v := range vectors {
			load(b, v, ymm(v))
		}
		for i := range n {
			f.VBROADCASTSS(r.at(i), ymm(2+i%2))
			for v := range vectors {
				f.VFMADD231PS(ymm(v), ymm(2+i%2), acc(i, v))
			}
		}
	})
	c, ldc := f.load("out"), f.load("ldc")
	if vectors == 1 {
		f.storeColumns(label, n, mask, c, ldc)
		f.next(label)
		return
	}
	f.CMPQ(f.field("add"), Imm(0))
	f.JEQ(LabelRef(label + "_assign"))
	for _, add := range []bool{true, false} {
		if !add {
			f.JMP(LabelRef(label + "_next"))
			f.Label(label + "_assign")
		}
		for i := range n {
			for v := range vectors {
				m := Mem{Base: c, Disp: 32 * v}
				if add {
					f.VADDPS(m, acc(i, v), acc(i, v))
				}
				f.VMOVUPS(acc(i, v), m)
			}
			if i < n-1 {
				f.ADDQ(ldc, c)
			}
		}
	}
	f.next(label)
}

// storeColumns stores or adds the first one to eight columns of the rows in Y4 and those that
// follow. Masked stores would be slow on some processors.
func (f function) storeColumns(label string, n int, mask reg.Register, c, ldc reg.GPVirtual) {
	columns, p := f.load("mask"), f.GP64()
	f.CMPQ(f.field("add"), Imm(0))
	f.JEQ(LabelRef(label + "_assign"))
	f.MOVQ(c, p)
	for i := range n {
		f.VMASKMOVPS(Mem{Base: p}, mask, ymm(0))
		f.VADDPS(ymm(0), ymm(4+i), ymm(4+i))
		f.ADDQ(ldc, p)
	}
	f.Label(label + "_assign")
	for i := range n {
		y, x := ymm(4+i), xmm(4+i)
		at := func(what string) string { return fmt.Sprint(label, "_", what, i) }
		f.CMPQ(columns, Imm(8))
		f.JNE(LabelRef(at("four")))
		f.VMOVUPS(y, Mem{Base: c})
		f.JMP(LabelRef(at("stored")))
		f.Label(at("four"))
		f.MOVQ(c, p)
		f.TESTQ(U32(4), columns)
		f.JEQ(LabelRef(at("two")))
		f.VMOVUPS(x, Mem{Base: p})
		f.VEXTRACTF128(Imm(1), y, x)
		f.ADDQ(Imm(16), p)
		f.Label(at("two"))
		f.TESTQ(U32(2), columns)
		f.JEQ(LabelRef(at("one")))
		f.VMOVLPS(x, Mem{Base: p})
		f.VMOVHLPS(x, x, x)
		f.ADDQ(Imm(8), p)
		f.Label(at("one"))
		f.TESTQ(U32(1), columns)
		f.JEQ(LabelRef(at("stored")))
		f.VMOVSS(x, Mem{Base: p})
		f.Label(at("stored"))
		if i < n-1 {
			f.ADDQ(ldc, c)
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
