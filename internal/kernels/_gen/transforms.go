package main

import (
	"fmt"
	"math"
	"slices"

	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The points of Winograd besides 0 and infinity are these and their opposites.
const (
	pointA, pointB = 5.0 / 8, 3.0 / 2
	a2, b2         = pointA * pointA, pointB * pointB
	a3, b3         = pointA * a2, pointB * b2
	n0             = a2 * b2
	nA, nB         = 2 * a2 * (a2 - b2), 2 * b2 * (b2 - a2)
)

// A width is a size of vectors, with the registers that hold them.
type width struct {
	level            string // what names of functions end in
	bytes, registers int
	register         func(i int) reg.VecPhysical
}

var (
	eights   = width{"AVX2", 32, 16, ymm}
	sixteens = width{"AVX512", 64, 32, zmm}
)

// A transform multiplies a line of vectors x by a matrix, whose entries it makes from constants c. It works in registers
// v, the first of which hold the line.
type transform struct {
	constants []float64
	work      int   // registers
	memory    []int // of the line, what may be in memory instead, where a square takes most registers
	results   []int // of the registers, those that hold the results in the end
	multiply  func(k *tileKernel, x []Op, v, c []reg.VecPhysical)
}

// A tileKernel is a function that transforms tiles by vectors of one width, along their rows and columns.
type tileKernel struct {
	*rowKernel
	width
	transform
	factors []reg.VecPhysical // the constants, in the last registers
	temp    reg.Register      // a square of vectors in memory, if there are too few registers for it
}

// kernel begins a function for vectors of one width.
func (t transform) kernel(c *build.Context, w width, name, signature, doc string) *tileKernel {
	doc += fmt.Sprintf("; vectors of %d channels", w.bytes/4)
	return &tileKernel{rowKernel: newRowKernel(c, name+w.level, signature, doc), width: w, transform: t}
}

// loadConstants loads the constants.
func (k *tileKernel) loadConstants() {
	for i, v := range k.constants {
		id, bits := k.registers-len(k.constants)+i, math.Float32bits(float32(v))
		if k.wide() {
			k.constant(bits, k.register(id))
		} else {
			k.constant8(bits, id)
		}
		k.factors = append(k.factors, k.register(id))
	}
}

// wide reports whether registers hold a square of vectors.
func (k *tileKernel) wide() bool { return k.registers == 32 }

// square makes a place on the stack for a square of vectors, if they need one. It begins where one does in memory: to store
// across two lines of a cache takes twice as long.
func (k *tileKernel) square() {
	if k.wide() {
		return
	}
	k.Attributes(0) // such a frame needs a check of the stack
	k.temp = k.GP64()
	k.LEAQ(k.AllocLocal(k.bytes*floatTiles.window*floatTiles.window+k.bytes), k.temp)
	k.ADDQ(Imm(uint64(k.bytes-1)), k.temp)
	k.ANDQ(I32(-k.bytes), k.temp)
}

// line transforms a line, each vector of which is in memory or in a register that may be used up. Registers from free
// on, but for those, are free too. The results go to given registers, or where it suits.
func (k *tileKernel) line(x []Op, free int, to ...reg.VecPhysical) (results []reg.VecPhysical) {
	v := make([]reg.VecPhysical, k.work)
	for i, r := range to {
		v[k.results[i]] = r
	}
	for i := range v {
		var from Op
		if i < len(x) {
			from = x[i]
		}
		if r, ok := from.(reg.VecPhysical); ok {
			v[i] = r
			continue
		}
		stays := from != nil && k.wide() && slices.Contains(k.memory, i)
		if v[i] == nil && (!stays || slices.Contains(k.results, i)) {
			for slices.Contains(x, Op(k.register(free))) {
				free++
			}
			v[i] = k.register(free)
			free++
		}
		if from != nil && !stays {
			k.VMOVUPS(from, v[i])
			x[i] = v[i]
		}
	}
	if most := k.registers - len(k.factors); free > most {
		panic(fmt.Sprintf("%s: %d registers, of %d besides the constants", k.name, free, most))
	}
	k.multiply(k, x, v, k.factors)
	for _, i := range k.results {
		results = append(results, v[i])
	}
	return results
}

// A crossing transforms lines and what crosses them: the rows and the columns of a square. In between, their vectors stay
// in registers if there are enough, and in memory if not.
type crossing struct {
	*tileKernel
	lines int
}

// kept returns the register of result i of a line.
func (k crossing) kept(line, i int) reg.VecPhysical { return k.register(len(k.results)*line + i) }

// first transforms n vectors from memory.
func (k crossing) first(line, n int, from func(i int) Mem) {
	x := make([]Op, n)
	for i := range x {
		x[i] = from(i)
	}
	if !k.wide() {
		for i, y := range k.line(x, 0) {
			k.VMOVUPS(y, floatTiles.temporary(k.temp, i, line))
		}
		return
	}
	to := make([]reg.VecPhysical, len(k.results))
	for i := range to {
		to[i] = k.kept(line, i)
	}
	k.line(x, k.lines*len(k.results), to...)
}

// second transforms result i of all lines.
func (k crossing) second(i int) []reg.VecPhysical {
	x := make([]Op, k.lines)
	for line := range x {
		if k.wide() {
			x[line] = k.kept(line, i)
		} else {
			x[line] = floatTiles.temporary(k.temp, i, line)
		}
	}
	free := 0
	if k.wide() {
		free = k.lines * len(k.results)
	}
	return k.line(x, free)
}

// inputTransform is Bᵀ.
var inputTransform = transform{
	constants: []float64{pointA, pointB, a2, b2, a2 + b2, n0},
	work:      9,
	results:   []int{4, 0, 6, 1, 7, 5},
	multiply: func(k *tileKernel, _ []Op, v, c []reg.VecPhysical) {
		k.VFNMADD231PS(v[3], c[4], v[5]) // V5: n₀·x1 + x5 − (a²+b²)·x3
		k.VFMADD231PS(v[1], c[5], v[5])
		even, odd := v[6:8], []reg.VecPhysical{v[8], v[3]} // x4 − b²·x2 and x4 − a²·x2, x3 − b²·x1 and x3 − a²·x1
		k.VMOVAPS(v[3], v[8])
		for i, factor := range []reg.VecPhysical{c[3], c[2]} {
			k.VMOVAPS(v[4], even[i])
			k.VFNMADD231PS(v[2], factor, even[i])
			k.VFNMADD231PS(v[1], factor, odd[i])
		}
		k.VFNMADD231PS(v[2], c[4], v[4]) // V4: n₀·x0 + x4 − (a²+b²)·x2
		k.VFMADD231PS(v[0], c[5], v[4])
		for i := range 2 {
			k.VMOVAPS(even[i], v[i])
			k.VFMADD231PS(odd[i], c[i], v[i])
			k.VFNMADD231PS(odd[i], c[i], even[i])
		}
	},
}

// sums computes the sums and differences of the products of a pair of points: V6 and V7 the sums, V1 and V3 the
// differences.
func (k *tileKernel) sums(x []Op, v []reg.VecPhysical) {
	for i := range 2 {
		k.VADDPS(x[2+2*i], v[1+2*i], v[6+i])
		k.VSUBPS(x[2+2*i], v[1+2*i], v[1+2*i])
	}
}

// outputTransform is Aᵀ.
var outputTransform = transform{
	constants: []float64{pointA, pointB, a2, b2, a3, b3},
	work:      8,
	memory:    []int{0, 2, 4},
	results:   []int{0, 1, 6, 5},
	multiply: func(k *tileKernel, x []Op, v, c []reg.VecPhysical) {
		k.sums(x, v)
		k.VADDPS(x[0], v[6], v[0])
		k.VADDPS(v[7], v[0], v[0])
		for i := range 2 {
			k.VFMADD231PS(v[1+2*i], c[4+i], v[5])
		}
		k.VMULPS(v[1], c[0], v[1])
		k.VMULPS(v[6], c[2], v[6])
		k.VFMADD231PS(v[3], c[1], v[1])
		k.VFMADD231PS(v[7], c[3], v[6])
	},
}

// gradientTransform is A.
var gradientTransform = transform{
	constants: []float64{pointA, pointB, a2, b2},
	work:      8,
	results:   []int{0, 6, 4, 7, 2, 3},
	multiply: func(k *tileKernel, _ []Op, v, c []reg.VecPhysical) {
		even, odd := []reg.VecPhysical{v[4], v[2]}, []reg.VecPhysical{v[5], v[1]} // d0 + a²·d2 and d0 + b²·d2, d1 + a²·d3 and d1 + b²·d3
		k.VMOVAPS(v[0], even[0])
		k.VFMADD231PS(v[2], c[2], even[0])
		k.VFMADD213PS(v[0], c[3], even[1])
		k.VMOVAPS(v[1], odd[0])
		for i := range 2 {
			k.VFMADD231PS(v[3], c[2+i], odd[i])
			k.VMOVAPS(even[i], v[6+i])
			k.VFMADD231PS(odd[i], c[i], v[6+i])
			k.VFNMADD231PS(odd[i], c[i], even[i])
		}
	},
}

// kernelFactors are what transforms of weights multiply with: 1/n₀, and p^i/n of either pair of points p.
var kernelFactors = []float64{1 / n0, 1 / nA, pointA / nA, a2 / nA, 1 / nB, pointB / nB, b2 / nB}

// kernelTransform is G.
var kernelTransform = transform{
	constants: kernelFactors,
	work:      9,
	results:   []int{0, 7, 3, 8, 5, 2},
	multiply: func(k *tileKernel, _ []Op, v, c []reg.VecPhysical) {
		for i := range 2 {
			of, even, odd := c[1+3*i:], v[3+2*i], v[4+2*i]
			k.VMULPS(v[0], of[0], even)
			k.VMULPS(v[1], of[1], odd)
			k.VFMADD231PS(v[2], of[2], even)
			k.VADDPS(odd, even, v[7+i])
			k.VSUBPS(odd, even, even)
		}
		k.VMULPS(v[0], c[0], v[0])
	},
}

// tapTransform is Gᵀ.
var tapTransform = transform{
	constants: kernelFactors,
	work:      8,
	memory:    []int{0, 2, 4},
	results:   []int{0, 1, 5},
	multiply: func(k *tileKernel, x []Op, v, c []reg.VecPhysical) {
		k.sums(x, v)
		k.VMULPS(x[0], c[0], v[0])
		k.VMULPS(v[1], c[2], v[1])
		k.VFMADD231PS(v[3], c[5], v[1])
		for i := range 2 {
			k.VFMADD231PS(v[6+i], c[1+3*i], v[0])
			k.VFMADD231PS(v[6+i], c[3+3*i], v[5])
		}
	},
}
