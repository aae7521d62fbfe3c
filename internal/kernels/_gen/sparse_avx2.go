package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// sparseVectors says how many vectors of a row a tile of so many rows has at most: 14
// accumulators.
var sparseVectors = [...]int{1: 14, 2: 7, 3: 4, 4: 3, 5: 2, 6: 2}

// sparse8 writes the AVX2 form of the sparse product: a tile of some rows and vectors for all
// groups. Y0 to Y13 are the accumulators, Y14 the value of a term.
func sparse8(c *build.Context) {
	k := newRowKernel(c, "sparseAVX2", "func(dst, src *float32, groups, terms *byte, n, termStep, dstStep, srcStep, rows, vectors int)",
		"dst[group] += Σ value·src[term] over the terms of each of n groups, for a tile of rows and vectors")
	dst, src, groups, n := k.load("dst"), k.load("src"), k.load("groups"), k.load("n")
	step, out := k.strides("srcStep"), k.strides("dstStep")
	tile := k.GP64()
	k.MOVQ(k.param("rows"), tile)
	k.SHLQ(Imm(4), tile)
	k.ORQ(k.param("vectors"), tile)
	label := func(rows, vectors int) string { return fmt.Sprintf("tile%dx%d", rows, vectors) }
	each := func(f func(rows, vectors int)) {
		for rows := 1; rows < len(sparseVectors); rows++ {
			for vectors := 1; vectors <= sparseVectors[rows]; vectors++ {
				f(rows, vectors)
			}
		}
	}
	each(func(rows, vectors int) {
		k.CMPQ(tile, Imm(uint64(rows<<4|vectors)))
		k.JEQ(LabelRef(label(rows, vectors)))
	})
	k.RET()
	each(func(rows, vectors int) {
		k.Label(label(rows, vectors))
		k.sparseTile(label(rows, vectors), rows, vectors, dst, src, groups, n, step, out)
	})
}

// strides are once, three times and five times what lies between rows.
type strides struct{ s, s3, s5 reg.Register }

func (k *rowKernel) strides(name string) *strides {
	s := &strides{k.load(name), k.GP64(), k.GP64()}
	k.LEAQ(Mem{Base: s.s, Index: s.s, Scale: 2}, s.s3)
	k.LEAQ(Mem{Base: s.s, Index: s.s, Scale: 4}, s.s5)
	return s
}

// row returns the place of vector v of row r behind p.
func (s *strides) row(p reg.Register, r, v int) Mem {
	switch r {
	case 0:
		return Mem{Base: p, Disp: 32 * v}
	case 3:
		return Mem{Base: p, Index: s.s3, Scale: 1, Disp: 32 * v}
	case 5:
		return Mem{Base: p, Index: s.s5, Scale: 1, Disp: 32 * v}
	}
	return Mem{Base: p, Index: s.s, Scale: uint8(r), Disp: 32 * v}
}

func (k *rowKernel) sparseTile(label string, rows, vectors int, dst, src, groups, n reg.Register, step, out *strides) {
	acc := func(r, v int) reg.VecPhysical { return ymm(r*vectors + v) }
	p, count, term, next := k.GP64(), k.GP64(), k.GP64(), k.load("termStep")
	k.Label(label + "_group")
	for r := range rows {
		for v := range vectors {
			k.VXORPS(acc(r, v), acc(r, v), acc(r, v))
		}
	}
	k.MOVLQSX(Mem{Base: groups, Disp: 4}, term)
	k.SHLQ(Imm(3), term)
	k.ADDQ(k.param("terms"), term)
	k.MOVLQSX(Mem{Base: groups, Disp: 8}, count)
	k.TESTQ(count, count)
	k.JEQ(LabelRef(label + "_add"))
	k.Label(label + "_term")
	k.MOVLQSX(Mem{Base: term}, p)
	k.VBROADCASTSS(Mem{Base: term, Disp: 4}, ymm(14))
	k.LEAQ(Mem{Base: src, Index: p, Scale: 4}, p)
	k.ADDQ(next, term)
	for r := range rows {
		for v := range vectors {
			k.VFMADD231PS(step.row(p, r, v), ymm(14), acc(r, v))
		}
	}
	k.DECQ(count)
	k.JNE(LabelRef(label + "_term"))
	k.Label(label + "_add")
	k.MOVLQSX(Mem{Base: groups}, p)
	k.LEAQ(Mem{Base: dst, Index: p, Scale: 4}, p)
	for r := range rows {
		for v := range vectors {
			m := out.row(p, r, v)
			k.VADDPS(m, acc(r, v), acc(r, v))
			k.VMOVUPS(acc(r, v), m)
		}
	}
	k.ADDQ(Imm(12), groups)
	k.DECQ(n)
	k.JNE(LabelRef(label + "_group"))
	k.VZEROUPPER()
	k.RET()
}
