package main

import (
	"math"

	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// winograd writes the transforms of Winograd's convolution F(4×4, 3×3) in float32 for AVX2, eight
// channels at a time. A point is one of the 6×6 places of a transformed tile. Those of pixels into points keep a row
// of points in registers; the others go over rows and columns with a square of vectors between them in memory.
func winograd(c *build.Context) {
	spreadTiles(c)
	gatherTiles(c, "gatherTilesAVX2", false)
	gatherTiles(c, "gatherTilesAddAVX2", true)
	spreadWeights(c)
	spreadGradients(c)
	gatherWeights(c)
}

// floatTiles is the tiling of floats; it has its own transforms.
var floatTiles = tiling{window: 6, apart: 6}

// The points of Winograd besides 0 and infinity are these and their opposites.
const (
	pointA, pointB = 5.0 / 8, 3.0 / 2
	a2, b2         = pointA * pointA, pointB * pointB
	a3, b3         = pointA * a2, pointB * b2
	n0             = a2 * b2
	nA, nB         = 2 * a2 * (a2 - b2), 2 * b2 * (b2 - a2)
)

// A transform multiplies vectors from Y0 on by a matrix and returns where it leaves them. Its constants lie in
// the last registers.
type transform struct {
	constants []float64
	multiply  func(k *rowKernel, c []reg.VecPhysical) []reg.VecPhysical
}

// square returns the place of a square of vectors on the stack, which begins where one does in memory: to store across
// two lines of a cache takes twice as long.
func (k *rowKernel) square() reg.Register {
	const size = 32
	k.Attributes(0) // such a frame needs a check of the stack
	p := k.GP64()
	k.LEAQ(k.AllocLocal(size*floatTiles.window*floatTiles.window+size), p)
	k.ADDQ(Imm(size-1), p)
	k.ANDQ(I32(-size), p)
	return p
}

// load loads the constants.
func (t transform) load(k *rowKernel) []reg.VecPhysical {
	c := make([]reg.VecPhysical, len(t.constants))
	for i, v := range t.constants {
		id := 16 - len(c) + i
		k.constant8(math.Float32bits(float32(v)), id)
		c[i] = ymm(id)
	}
	return c
}

// prepare loads the constants and returns what transforms n vectors that load tells and hands them out.
func (t transform) prepare(k *rowKernel) func(n int, load func(i int) Mem, each func(i int, y reg.VecPhysical)) {
	c := t.load(k)
	return func(n int, load func(i int) Mem, each func(i int, y reg.VecPhysical)) {
		for i := range n {
			k.VMOVUPS(load(i), ymm(i))
		}
		for i, y := range t.multiply(k, c) {
			each(i, y)
		}
	}
}

// to returns what stores vectors at places.
func (k *rowKernel) to(place func(i int) Mem) func(i int, y reg.VecPhysical) {
	return func(i int, y reg.VecPhysical) { k.VMOVUPS(y, place(i)) }
}

// inputTransform is Bᵀ.
var inputTransform = transform{
	[]float64{pointA, pointB, a2, b2, a2 + b2, n0},
	func(k *rowKernel, c []reg.VecPhysical) []reg.VecPhysical {
		for i, factor := range []reg.VecPhysical{c[3], c[2]} { // Y6 and Y7: x4 − b²·x2 and x4 − a²·x2; Y8 and Y9: x3 and x1
			k.VMOVAPS(ymm(4), ymm(6+i))
			k.VFNMADD231PS(ymm(2), factor, ymm(6+i))
			k.VMOVAPS(ymm(3), ymm(8+i))
			k.VFNMADD231PS(ymm(1), factor, ymm(8+i))
		}
		for i := range 2 { // Y4 and Y5: n₀·x0 + x4 − (a²+b²)·x2, n₀·x1 + x5 − (a²+b²)·x3
			k.VFNMADD231PS(ymm(2+i), c[4], ymm(4+i))
			k.VFMADD231PS(ymm(i), c[5], ymm(4+i))
		}
		for i := range 2 {
			k.VMOVAPS(ymm(6+i), ymm(i))
			k.VFMADD231PS(ymm(8+i), c[i], ymm(i))
			k.VFNMADD231PS(ymm(8+i), c[i], ymm(6+i))
		}
		return ymms(4, 0, 6, 1, 7, 5)
	},
}

// sums computes the sums and differences of the products of a pair of points: Y6 and Y7 the sums, Y8 and Y9 the
// differences.
func (k *rowKernel) sums() {
	for i := range 2 {
		k.VADDPS(ymm(2+2*i), ymm(1+2*i), ymm(6+i))
		k.VSUBPS(ymm(2+2*i), ymm(1+2*i), ymm(8+i))
	}
}

// outputTransform is Aᵀ.
var outputTransform = transform{
	[]float64{pointA, pointB, a2, b2, a3, b3},
	func(k *rowKernel, c []reg.VecPhysical) []reg.VecPhysical {
		k.sums()
		for i := range 2 {
			k.VADDPS(ymm(6+i), ymm(0), ymm(0))
			k.VFMADD231PS(ymm(8+i), c[4+i], ymm(5))
		}
		k.VMULPS(ymm(8), c[0], ymm(1))
		k.VMULPS(ymm(6), c[2], ymm(2))
		k.VFMADD231PS(ymm(9), c[1], ymm(1))
		k.VFMADD231PS(ymm(7), c[3], ymm(2))
		return ymms(0, 1, 2, 5)
	},
}

// gradientTransform is A.
var gradientTransform = transform{
	[]float64{pointA, pointB, a2, b2},
	func(k *rowKernel, c []reg.VecPhysical) []reg.VecPhysical {
		for i := range 2 {
			even, odd := ymm(4+i), ymm(6+i) // d0 + a²·d2, d1 + a²·d3
			k.VMOVAPS(ymm(0), even)
			k.VMOVAPS(ymm(1), odd)
			k.VFMADD231PS(ymm(2), c[2+i], even)
			k.VFMADD231PS(ymm(3), c[2+i], odd)
			k.VMOVAPS(even, ymm(8+i))
			k.VFMADD231PS(odd, c[i], ymm(8+i))
			k.VFNMADD231PS(odd, c[i], even)
		}
		return ymms(0, 8, 4, 9, 5, 3)
	},
}

// kernelFactors are what transforms of weights multiply with: 1/n₀, and p^i/n of either pair of points p.
var kernelFactors = []float64{1 / n0, 1 / nA, pointA / nA, a2 / nA, 1 / nB, pointB / nB, b2 / nB}

// kernelTransform is G.
var kernelTransform = transform{
	kernelFactors,
	func(k *rowKernel, c []reg.VecPhysical) []reg.VecPhysical {
		for i := range 2 {
			of, even, odd := c[1+3*i:], ymm(3+2*i), ymm(4+2*i)
			k.VMULPS(ymm(0), of[0], even)
			k.VMULPS(ymm(1), of[1], odd)
			k.VFMADD231PS(ymm(2), of[2], even)
			k.VADDPS(odd, even, ymm(7+i))
			k.VSUBPS(odd, even, even)
		}
		k.VMULPS(ymm(0), c[0], ymm(0))
		return ymms(0, 7, 3, 8, 5, 2)
	},
}

// tapTransform is Gᵀ.
var tapTransform = transform{
	kernelFactors,
	func(k *rowKernel, c []reg.VecPhysical) []reg.VecPhysical {
		k.VADDPS(ymm(2), ymm(1), ymm(6))
		k.VSUBPS(ymm(2), ymm(1), ymm(1))
		k.VADDPS(ymm(4), ymm(3), ymm(7))
		k.VSUBPS(ymm(4), ymm(3), ymm(3))
		k.VMULPS(ymm(0), c[0], ymm(0))
		k.VMULPS(ymm(1), c[2], ymm(1))
		k.VFMADD231PS(ymm(3), c[5], ymm(1))
		for i := range 2 {
			k.VFMADD231PS(ymm(6+i), c[1+3*i], ymm(0))
			k.VFMADD231PS(ymm(6+i), c[3+3*i], ymm(5))
		}
		return ymms(0, 1, 5)
	},
}

// ahead fetches the four rows of pixels behind the row at p, of the tile below, for two vectors at a time.
func (k *rowKernel) ahead(p, vectors reg.Register, pixel stride) {
	k.TESTQ(U32(1), vectors)
	k.JNE(LabelRef("near"))
	for range winogradTile {
		k.ADDQ(k.param("row"), p)
		for j := range winogradTile {
			k.PREFETCHT0(pixel.at(p, j))
		}
	}
	k.Label("near")
}

// add adds a parameter to a pointer that is one, through a register.
func (k *rowKernel) add(step string, pointer string, through reg.Register) {
	k.MOVQ(k.param(step), through)
	k.ADDQ(through, k.param(pointer))
}

// endLoop ends a loop that counts down.
func (k *rowKernel) endLoop(counter Op, label string) {
	k.DECQ(counter)
	k.JNE(LabelRef(label))
}

// A spreader writes a transform of a square of pixels into points. It makes a row of points from columns of pixels and
// transforms it while it is in registers; two rows for opposite points have their terms in common, and one of them waits in
// memory.
type spreader struct {
	*rowKernel
	transform
	edge       int // pixels of a row
	constants  []reg.VecPhysical
	row, point stride
	temp       reg.Register
	from, to   reg.Register
	p          reg.Register
}

// x returns the pixel of row i in the column at hand.
func (s *spreader) x(i int) Mem { return s.row.at(s.p, i) }

// columns writes f for each column.
func (s *spreader) columns(f func(j int)) {
	s.MOVQ(s.from, s.p)
	for j := range s.edge {
		f(j)
		if j < s.edge-1 {
			s.ADDQ(s.param("pixel"), s.p)
		}
	}
}

// line transforms vectors from Y0 on into row i of the points.
func (s *spreader) line(i int) {
	s.IMUL3Q(Imm(uint64(floatTiles.window*i)), s.point.one, s.p)
	s.ADDQ(s.to, s.p)
	for j, y := range s.multiply(s.rowKernel, s.constants) {
		s.VMOVUPS(y, s.point.at(s.p, j))
	}
}

// pair writes rows i and i+1 of the points, where terms makes the first vector the sum of the even terms of a column and
// the second that of the odd ones: the rows are their sum and their difference, of which the odd terms are factor times.
func (s *spreader) pair(i int, factor Op, terms func(even, odd reg.VecPhysical)) {
	even, odd := ymm(6), ymm(7)
	waits := func(j int) Mem { return Mem{Base: s.temp, Disp: 32 * j} }
	s.columns(func(j int) {
		terms(even, odd)
		s.VMOVAPS(even, ymm(j))
		s.VFMADD231PS(odd, factor, ymm(j))
		s.VFNMADD231PS(odd, factor, even)
		s.VMOVUPS(even, waits(j))
	})
	s.line(i)
	for j := range s.edge {
		s.VMOVUPS(waits(j), ymm(j))
	}
	s.line(i + 1)
}

// spread writes a kernel, of which rows writes the rows of points of a vector of channels.
func (t transform) spread(c *build.Context, name, source, step, doc string, edge int, rows func(s *spreader)) {
	k := newRowKernel(c, name, "func(dst, "+source+" *float32, tiles, vectors, point, tile, "+step+", row, pixel int)",
		"dst[point][tile] = "+doc+"; vectors of 8 channels")
	s := &spreader{rowKernel: k, transform: t, edge: edge, temp: k.square(), from: k.GP64(), to: k.GP64(), p: k.GP64()}
	s.row, s.point = k.stride(k.load("row"), edge), k.stride(k.load("point"), floatTiles.window)
	pixel, vectors := k.stride(k.load("pixel"), winogradTile), k.GP64()
	s.constants = t.load(k)
	k.Label("tile")
	k.MOVQ(k.param(source), s.from)
	k.MOVQ(k.param("dst"), s.to)
	k.MOVQ(k.param("vectors"), vectors)
	k.Label("vector")
	rows(s)
	k.LEAQ(s.row.at(s.from, edge-1), s.p)
	k.ahead(s.p, vectors, pixel)
	k.ADDQ(Imm(32), s.from)
	k.ADDQ(Imm(32), s.to)
	k.endLoop(vectors, "vector")
	k.add(step, source, s.p)
	k.add("tile", "dst", s.p)
	k.endLoop(k.param("tiles"), "tile")
	k.VZEROUPPER()
	k.RET()
}

// spreadTiles writes the transform of the input.
func spreadTiles(c *build.Context) {
	inputTransform.spread(c, "spreadTilesAVX2", "x", "xTile", "Bᵀ·x·B", floatTiles.window, func(s *spreader) {
		a, b, squareA, squareB, sum, product := s.constants[0], s.constants[1], s.constants[2], s.constants[3], s.constants[4], s.constants[5]
		for i := range 2 { // n₀·x0 + x4 − (a²+b²)·x2, n₀·x1 + x5 − (a²+b²)·x3
			s.columns(func(j int) {
				s.VMOVUPS(s.x(4+i), ymm(j))
				s.VFNMADD231PS(s.x(2+i), sum, ymm(j))
				s.VFMADD231PS(s.x(i), product, ymm(j))
			})
			s.line(5 * i)
		}
		for i, of := range [][2]reg.VecPhysical{{a, squareB}, {b, squareA}} { // x4 − b²·x2 and x3 − b²·x1, likewise with a²
			s.pair(1+2*i, of[0], func(even, odd reg.VecPhysical) {
				s.VMOVUPS(s.x(4), even)
				s.VMOVUPS(s.x(3), odd)
				s.VFNMADD231PS(s.x(2), of[1], even)
				s.VFNMADD231PS(s.x(1), of[1], odd)
			})
		}
	})
}

// spreadGradients writes the transform of the gradient of the output.
func spreadGradients(c *build.Context) {
	gradientTransform.spread(c, "spreadGradientsAVX2", "dy", "yTile", "A·dy·Aᵀ for 4×4 pixels of each tile", winogradTile, func(s *spreader) {
		for i := range 2 { // d0 and d3
			s.columns(func(j int) { s.VMOVUPS(s.x(3*i), ymm(j)) })
			s.line(5 * i)
		}
		for i := range 2 { // d0 + a²·d2 and d1 + a²·d3, likewise with b²
			square := s.constants[2+i]
			s.pair(1+2*i, s.constants[i], func(even, odd reg.VecPhysical) {
				s.VMOVUPS(s.x(0), even)
				s.VMOVUPS(s.x(1), odd)
				s.VFMADD231PS(s.x(2), square, even)
				s.VFMADD231PS(s.x(3), square, odd)
			})
		}
	})
}

// gatherTiles writes the transform of the products.
func gatherTiles(c *build.Context, name string, add bool) {
	k := newRowKernel(c, name, "func(y, m, bias *float32, tiles, vectors, point, tile, row, pixel, biasStep int)",
		"y = Aᵀ·m·A + bias for 4×4 pixels of each tile; vectors of 8 channels")
	temp, vectors, from, to, bias := k.square(), k.GP64(), k.GP64(), k.GP64(), k.GP64()
	pixel, w := k.stride(k.load("pixel"), winogradTile), floatTiles.points(k, k.load("point"))
	line := outputTransform.prepare(k)
	at := func(i, j int) Mem { return floatTiles.temporary(temp, i, j) }
	k.Label("tile")
	k.MOVQ(k.param("m"), from)
	k.MOVQ(k.param("y"), to)
	k.MOVQ(k.param("bias"), bias)
	k.MOVQ(k.param("vectors"), vectors)
	k.Label("vector")
	k.MOVQ(from, w.p)
	for j := range floatTiles.window {
		line(floatTiles.window, w.at, k.to(func(i int) Mem { return at(i, j) }))
		w.next()
	}
	k.MOVQ(to, w.p)
	for i := range winogradTile {
		line(floatTiles.window, func(j int) Mem { return at(i, j) }, func(j int, y reg.VecPhysical) {
			k.VADDPS(Mem{Base: bias}, y, y)
			if add {
				k.VADDPS(pixel.at(w.p, j), y, y)
			}
			k.VMOVUPS(y, pixel.at(w.p, j))
		})
		if i < winogradTile-1 {
			k.ADDQ(k.param("row"), w.p)
		}
	}
	k.ahead(w.p, vectors, pixel)
	k.ADDQ(Imm(32), from)
	k.ADDQ(Imm(32), to)
	k.ADDQ(k.param("biasStep"), bias)
	k.endLoop(vectors, "vector")
	k.add("tile", "m", w.p)
	k.MOVQ(pixel.one, w.p)
	k.SHLQ(Imm(2), w.p)
	k.ADDQ(w.p, k.param("y"))
	k.endLoop(k.param("tiles"), "tile")
	k.VZEROUPPER()
	k.RET()
}

// spreadWeights writes the transform of kernels whose taps lie in planes into 36 planes.
func spreadWeights(c *build.Context) {
	k := newRowKernel(c, "spreadWeightsAVX2", "func(u, taps *float32, vectors, plane, tap, tapRow int)",
		"u[point] = G·taps·Gᵀ for vectors of 8 kernels, whose 3×3 taps are tap bytes apart and their rows tapRow")
	u, taps, temp, vectors := k.load("u"), k.load("taps"), k.square(), k.load("vectors")
	w, tap, tapRow := floatTiles.points(k, k.load("plane")), k.load("tap"), k.load("tapRow")
	line := kernelTransform.prepare(k)
	at := func(i, j int) Mem { return floatTiles.temporary(temp, i, j) }
	k.Label("vector")
	k.MOVQ(taps, w.p)
	for i := range 3 {
		line(3, func(j int) Mem { return stride{one: tap}.at(w.p, j) }, k.to(func(j int) Mem { return at(i, j) }))
		k.ADDQ(tapRow, w.p)
	}
	k.MOVQ(u, w.p)
	for j := range floatTiles.window {
		line(3, func(i int) Mem { return at(i, j) }, k.to(w.at))
		w.next()
	}
	k.ADDQ(Imm(32), taps)
	k.ADDQ(Imm(32), u)
	k.endLoop(vectors, "vector")
	k.VZEROUPPER()
	k.RET()
}

// gatherWeights writes the last transform of the gradient of the weights.
func gatherWeights(c *build.Context) {
	k := newRowKernel(c, "gatherWeightsAVX2", "func(u *float32, vectors, plane int)",
		"Gᵀ·u·G for 36 planes, into the first nine of them; vectors of 8 elements")
	u, temp, vectors := k.load("u"), k.square(), k.load("vectors")
	w := floatTiles.points(k, k.load("plane"))
	plane := k.stride(w.point.one, 4)
	line := tapTransform.prepare(k)
	at := func(i, j int) Mem { return floatTiles.temporary(temp, i, j) }
	k.Label("vector")
	k.MOVQ(u, w.p)
	for j := range floatTiles.window {
		line(floatTiles.window, w.at, k.to(func(i int) Mem { return at(i, j) }))
		w.next()
	}
	k.MOVQ(u, w.p)
	for i := range 3 {
		line(floatTiles.window, func(j int) Mem { return at(i, j) }, k.to(func(j int) Mem { return plane.at(w.p, j) }))
		k.ADDQ(plane.three, w.p)
	}
	k.ADDQ(Imm(32), u)
	k.endLoop(vectors, "vector")
	k.VZEROUPPER()
	k.RET()
}
