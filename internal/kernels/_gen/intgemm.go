package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// intgemm writes the AVX2 products of integer convolutions. A panel of weights has 8, 16 or 24
// columns; 32 bytes of it belong to eight columns, with a pair of 16-bit weights or four bytes for
// each. Accumulators take twelve registers, whatever the width: 12, 6 or 4 rows.
func intgemm(c *build.Context) {
	for v := 1; v <= 3; v++ {
		pairs := tiles{vectors: v, elements: 1}
		pairs.write(c, fmt.Sprint("pairTiles", 8*v), fmt.Sprintf("Tiles of up to %d rows and %d columns of 16-bit operands. "+
			"Y4 to Y15 are the accumulators, Y0 and Y1 weights, Y2 a pair of codes, Y3 products.", 12/v, 8*v))
		narrow := tiles{vectors: v, elements: 0, narrow: true}
		narrow.write(c, fmt.Sprint("narrowTiles", 8*v), fmt.Sprintf("Tiles of up to %d rows and %d columns of bytes. "+
			"Y4 to Y15 are 16-bit accumulators, which sums on the stack take in after every block steps, Y0 and Y1 weights, Y2 four codes, Y3 products.", 12/v, 8*v))
	}
}

// tiles is a product of lines of m rows each, tile by tile. What moves lies in fields that are
// not pointers: the last values would point behind the operands.
type tiles struct {
	function
	vectors  int
	elements uint64 // logarithm of the bytes of a code
	narrow   bool   // bytes, with accumulators of 16 bits
	sums     Mem    // narrow: 32-bit accumulators
}

func (f tiles) write(c *build.Context, name, doc string) {
	f.function = newFunction(c, name, doc)
	most := 12 / f.vectors
	if f.narrow {
		f.sums = f.AllocLocal(32 * most * f.vectors)
	}
	label := func(rows int) string { return fmt.Sprint(name, "_", rows) }
	f.MOVQ(f.load("c"), f.field("out"))
	f.MOVQ(f.load("b"), f.field("weights"))
	line := f.load("a")
	f.Label(name + "_line")
	f.MOVQ(line, f.field("line"))
	f.MOVQ(line, f.field("row"))
	f.MOVQ(f.load("m"), f.field("left"))
	f.Label(name + "_next")
	m := f.load("left")
	f.CMPQ(m, Imm(uint64(most)))
	f.JGE(LabelRef(label(most)))
	for rows := most - 1; rows > 0; rows-- {
		f.CMPQ(m, Imm(uint64(rows)))
		f.JEQ(LabelRef(label(rows)))
	}
	f.Label(name + "_done")
	f.ADDQ(f.load("bs"), f.field("weights"))
	f.MOVQ(f.field("line"), line)
	f.ADDQ(f.field("lineStep"), line)
	f.DECQ(f.field("lines"))
	f.JNE(LabelRef(name + "_line"))
	f.VZEROUPPER()
	f.RET()
	for rows := most; rows > 0; rows-- {
		f.Label(label(rows))
		f.tile(label(rows), rows)
		if rows < most {
			f.JMP(LabelRef(name + "_done"))
			continue
		}
		rs := f.load("rs")
		f.IMUL3Q(Imm(uint64(most)), rs, rs)
		f.ADDQ(rs, f.field("row"))
		f.SUBQ(Imm(uint64(most)), f.field("left"))
		f.JMP(LabelRef(name + "_next"))
	}
}

func (f tiles) acc(i, v int) reg.VecPhysical { return ymm(4 + i*f.vectors + v) }

func (f tiles) sum(i, v int) Mem { return f.sums.Offset(32 * (i*f.vectors + v)) }

// tile computes n rows and moves c behind them.
func (f tiles) tile(label string, n int) {
	start := f.load("init")
	for v := range f.vectors {
		m := Mem{Base: start, Disp: 32 * v}
		f.VMOVDQU(m, f.acc(0, v))
		for i := range n {
			switch {
			case f.narrow:
				f.VMOVDQU(f.acc(0, v), f.sum(i, v))
			case i > 0:
				f.VMOVDQA(f.acc(0, v), f.acc(i, v))
			}
		}
	}
	left := f.GP64()
	if f.narrow {
		for i := range n * f.vectors {
			f.VPXOR(ymm(4+i), ymm(4+i), ymm(4+i))
		}
		f.MOVQ(f.field("block"), left)
	}
	r := f.newRows(n)
	w, k, p, s := f.load("weights"), f.GP64(), f.GP64(), f.GP64()
	f.XORQ(s, s)
	f.Label(label + "_segment")
	f.CMPQ(s, f.field("segments"))
	f.JGE(LabelRef(label + "_store"))
	f.MOVQ(f.field("aoff"), p)
	f.MOVQ(Mem{Base: p, Index: s, Scale: 8}, p)
	if f.elements > 0 {
		f.SHLQ(Imm(f.elements), p)
	}
	f.ADDQ(f.field("row"), p)
	f.start(r, p)
	f.INCQ(s)
	f.MOVQ(f.field("k"), k)
	f.Label(label + "_k")
	for step := range 2 {
		f.step(r, w, step, n)
	}
	f.advance(r, Imm(8))
	f.ADDQ(Imm(uint64(64*f.vectors)), w)
	if f.narrow {
		f.DECQ(left)
		f.JEQ(LabelRef(label + "_flush"))
		f.Label(label + "_flushed")
	}
	f.DECQ(k)
	f.JNE(LabelRef(label + "_k"))
	f.JMP(LabelRef(label + "_segment"))
	if f.narrow {
		f.Label(label + "_flush")
		f.ones(ymm(0))
		for i := range n {
			for v := range f.vectors {
				f.VPMADDWD(ymm(0), f.acc(i, v), ymm(3))
				f.VPADDD(f.sum(i, v), ymm(3), ymm(3))
				f.VMOVDQU(ymm(3), f.sum(i, v))
				f.VPXOR(f.acc(i, v), f.acc(i, v), f.acc(i, v))
			}
		}
		f.MOVQ(f.field("block"), left)
		f.JMP(LabelRef(label + "_flushed"))
	}
	f.Label(label + "_store")
	if f.narrow {
		f.ones(ymm(0))
	}
	c, ldc := f.load("out"), f.load("ldc")
	for i := range n {
		for v := range f.vectors {
			if f.narrow {
				f.VPMADDWD(ymm(0), f.acc(i, v), f.acc(i, v))
				f.VPADDD(f.sum(i, v), f.acc(i, v), f.acc(i, v))
			}
			f.VMOVDQU(f.acc(i, v), Mem{Base: c, Disp: 32 * v})
		}
		f.ADDQ(ldc, c)
	}
	f.MOVQ(c, f.field("out"))
}

// step multiplies the step-th four bytes of each row with as many weights of each column.
func (f tiles) step(r *rows, w reg.Register, step, n int) {
	weights := func(v int) Op { return Mem{Base: w, Disp: 32 * (step*f.vectors + v)} }
	multiply, add := f.VPMADDWD, f.VPADDD
	if f.narrow {
		multiply, add = f.VPMADDUBSW, f.VPADDW
	}
	held := min(f.vectors, 2) // there is no register for the third
	for v := range held {
		f.VMOVDQU(weights(v), ymm(v))
	}
	for i := range n {
		f.VPBROADCASTD(r.at(i).Offset(4*step), ymm(2))
		productsFirst(f.vectors, func(v int, product reg.VecPhysical) {
			var weight Op = ymm(v)
			if v >= held {
				weight = weights(v)
			}
			multiply(weight, ymm(2), product)
		}, func(v int, product reg.VecPhysical) { add(product, f.acc(i, v), f.acc(i, v)) })
	}
}

// productsFirst multiplies what Y2 holds with some vectors and adds the products to sums. Y3 takes products, Y2 the last
// one. Two products in a row before their sums keep the ports busy that can multiply: it takes 3 to 4 percent less time than
// taking turns.
func productsFirst(vectors int, multiply, add func(v int, product reg.VecPhysical)) {
	product := func(v int) reg.VecPhysical {
		if v == vectors-1 {
			return ymm(2)
		}
		return ymm(3)
	}
	for v := range vectors {
		multiply(v, product(v))
		if v < vectors-2 {
			add(v, product(v))
		}
	}
	for v := max(vectors-2, 0); v < vectors; v++ {
		add(v, product(v))
	}
}

// ones fills a register with 16-bit ones.
func (f tiles) ones(y reg.VecPhysical) {
	f.VPCMPEQW(y, y, y)
	f.VPSRLW(Imm(15), y, y)
}
