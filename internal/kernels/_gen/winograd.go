package main

import (
	"github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// winograd writes the transforms of Winograd's convolution F(4×4, 3×3) in float32 for AVX-512, 16 channels at a
// time, and winograd8 those for AVX2, eight at a time. A point is one of the 6×6 places of a transformed tile. Those of
// pixels into points keep rows of points in registers; the others go over rows and columns with a square of vectors
// between them, which AVX2 has in memory. Both round alike.
func winograd(c *build.Context)  { winogradTransforms(c, sixteens) }
func winograd8(c *build.Context) { winogradTransforms(c, eights) }

func winogradTransforms(c *build.Context, w width) {
	spreadTiles(c, w)
	gatherTiles(c, w, "gatherTiles", false)
	gatherTiles(c, w, "gatherTilesAdd", true)
	spreadWeights(c, w)
	spreadGradients(c, w)
	gatherWeights(c, w)
}

// floatTiles is the tiling of floats; it has its own transforms.
var floatTiles = tiling{window: 6, apart: 6}

// ahead fetches the four rows of pixels behind the row at p, of the tile below, for a line of the cache at a time.
func (k *tileKernel) ahead(p, vectors reg.Register, pixel stride) {
	if !k.wide() {
		k.TESTQ(U32(1), vectors)
		k.JNE(LabelRef("near"))
	}
	for range winogradTile {
		k.ADDQ(k.param("row"), p)
		for j := range winogradTile {
			k.PREFETCHT0(pixel.at(p, j))
		}
	}
	if !k.wide() {
		k.Label("near")
	}
}

// advance moves pointers on by a vector.
func (k *tileKernel) advance(pointers ...Op) {
	for _, p := range pointers {
		k.ADDQ(Imm(uint64(k.bytes)), p)
	}
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
// transforms it while it is in registers; two rows for opposite points have their terms in common, and one of them waits.
type spreader struct {
	*tileKernel
	edge       int // pixels of a row
	row, point stride
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

// put transforms vectors into row i of the points.
func (s *spreader) put(i int, vectors func(j int) Op) {
	s.IMUL3Q(Imm(uint64(floatTiles.window*i)), s.point.one, s.p)
	s.ADDQ(s.to, s.p)
	x := make([]Op, s.edge)
	for j := range x {
		x[j] = vectors(j)
	}
	for j, y := range s.line(x, 0) {
		s.VMOVUPS(y, s.point.at(s.p, j))
	}
}

// vector returns the vector of a column in a row that is transformed next.
func (s *spreader) vector(j int) Op { return s.register(j) }

// waits returns the vector of a column in a row that waits.
func (s *spreader) waits(j int) Op {
	if s.wide() {
		return s.register(s.work + j)
	}
	return Mem{Base: s.temp, Disp: s.bytes * j}
}

// pair writes rows i and i+1 of the points, where terms makes the first vector the sum of the even terms of a column and
// the second that of the odd ones: the rows are their sum and their difference, of which the odd terms are factor times.
func (s *spreader) pair(i int, factor Op, terms func(even, odd Op)) {
	s.columns(func(j int) {
		even, odd := Op(s.register(6)), s.register(7)
		if s.wide() {
			even = s.waits(j)
		}
		terms(even, odd)
		s.VMOVAPS(even, s.vector(j))
		s.VFMADD231PS(odd, factor, s.vector(j))
		s.VFNMADD231PS(odd, factor, even)
		if !s.wide() {
			s.VMOVUPS(even, s.waits(j))
		}
	})
	s.put(i, s.vector)
	s.put(i+1, s.waits)
}

// spread writes a kernel, of which rows writes the rows of points of a vector of channels.
func (t transform) spread(c *build.Context, w width, name, source, step, doc string, edge int, rows func(s *spreader)) {
	k := t.kernel(c, w, name, "func(dst, "+source+" *float32, tiles, vectors, point, tile, "+step+", row, pixel int)", "dst[point][tile] = "+doc)
	k.square()
	s := &spreader{tileKernel: k, edge: edge, from: k.GP64(), to: k.GP64(), p: k.GP64()}
	s.row, s.point = k.stride(k.load("row"), edge), k.stride(k.load("point"), floatTiles.window)
	pixel, vectors := k.stride(k.load("pixel"), winogradTile), k.GP64()
	k.loadConstants()
	k.Label("tile")
	k.MOVQ(k.param(source), s.from)
	k.MOVQ(k.param("dst"), s.to)
	k.MOVQ(k.param("vectors"), vectors)
	k.Label("vector")
	rows(s)
	k.LEAQ(s.row.at(s.from, edge-1), s.p)
	k.ahead(s.p, vectors, pixel)
	k.advance(s.from, s.to)
	k.endLoop(vectors, "vector")
	k.add(step, source, s.p)
	k.add("tile", "dst", s.p)
	k.endLoop(k.param("tiles"), "tile")
	k.VZEROUPPER()
	k.RET()
}

// spreadTiles writes the transform of the input.
func spreadTiles(c *build.Context, w width) {
	inputTransform.spread(c, w, "spreadTiles", "x", "xTile", "Bᵀ·x·B", floatTiles.window, func(s *spreader) {
		a, b, squareA, squareB, sum, product := s.factors[0], s.factors[1], s.factors[2], s.factors[3], s.factors[4], s.factors[5]
		for i := range 2 { // n₀·x0 + x4 − (a²+b²)·x2, n₀·x1 + x5 − (a²+b²)·x3
			s.columns(func(j int) {
				s.VMOVUPS(s.x(4+i), s.vector(j))
				s.VFNMADD231PS(s.x(2+i), sum, s.vector(j))
				s.VFMADD231PS(s.x(i), product, s.vector(j))
			})
			s.put(5*i, s.vector)
		}
		for i, of := range [][2]reg.VecPhysical{{a, squareB}, {b, squareA}} { // x4 − b²·x2 and x3 − b²·x1, likewise with a²
			s.pair(1+2*i, of[0], func(even, odd Op) {
				s.VMOVUPS(s.x(4), even)
				s.VMOVUPS(s.x(3), odd)
				s.VFNMADD231PS(s.x(2), of[1], even)
				s.VFNMADD231PS(s.x(1), of[1], odd)
			})
		}
	})
}

// spreadGradients writes the transform of the gradient of the output.
func spreadGradients(c *build.Context, w width) {
	gradientTransform.spread(c, w, "spreadGradients", "dy", "yTile", "A·dy·Aᵀ for 4×4 pixels of each tile", winogradTile, func(s *spreader) {
		for i := range 2 { // d0 and d3
			s.columns(func(j int) { s.VMOVUPS(s.x(3*i), s.vector(j)) })
			s.put(5*i, s.vector)
		}
		for i := range 2 { // d0 + a²·d2 and d1 + a²·d3, likewise with b²
			square := s.factors[2+i]
			s.pair(1+2*i, s.factors[i], func(even, odd Op) {
				s.VMOVUPS(s.x(0), even)
				s.VMOVUPS(s.x(1), odd)
				s.VFMADD231PS(s.x(2), square, even)
				s.VFMADD231PS(s.x(3), square, odd)
			})
		}
	})
}

// gatherTiles writes the transform of the products.
func gatherTiles(c *build.Context, w width, name string, add bool) {
	k := outputTransform.kernel(c, w, name, "func(y, m, bias *float32, tiles, vectors, point, tile, row, pixel, biasStep int)",
		"y = Aᵀ·m·A + bias for 4×4 pixels of each tile")
	k.square()
	vectors, from, to, bias := k.GP64(), k.GP64(), k.GP64(), k.GP64()
	pixel, m := k.stride(k.load("pixel"), winogradTile), floatTiles.points(k.rowKernel, k.load("point"))
	k.loadConstants()
	square := crossing{k, floatTiles.window}
	k.Label("tile")
	k.MOVQ(k.param("m"), from)
	k.MOVQ(k.param("y"), to)
	k.MOVQ(k.param("bias"), bias)
	k.MOVQ(k.param("vectors"), vectors)
	k.Label("vector")
	k.MOVQ(from, m.p)
	for j := range floatTiles.window {
		square.first(j, floatTiles.window, m.at)
		m.next()
	}
	k.MOVQ(to, m.p)
	for i := range winogradTile {
		for j, y := range square.second(i) {
			k.VADDPS(Mem{Base: bias}, y, y)
			if add {
				k.VADDPS(pixel.at(m.p, j), y, y)
			}
			k.VMOVUPS(y, pixel.at(m.p, j))
		}
		if i < winogradTile-1 {
			k.ADDQ(k.param("row"), m.p)
		}
	}
	k.ahead(m.p, vectors, pixel)
	k.advance(from, to)
	k.ADDQ(k.param("biasStep"), bias)
	k.endLoop(vectors, "vector")
	k.add("tile", "m", m.p)
	k.MOVQ(pixel.one, m.p)
	k.SHLQ(Imm(2), m.p)
	k.ADDQ(m.p, k.param("y"))
	k.endLoop(k.param("tiles"), "tile")
	k.VZEROUPPER()
	k.RET()
}

// spreadWeights writes the transform of kernels whose taps lie in planes into 36 planes.
func spreadWeights(c *build.Context, w width) {
	k := kernelTransform.kernel(c, w, "spreadWeights", "func(u, taps *float32, vectors, plane, tap, tapRow int)",
		"u[point] = G·taps·Gᵀ, whose 3×3 taps are tap bytes apart and their rows tapRow")
	u, taps := k.load("u"), k.load("taps")
	k.square()
	vectors := k.load("vectors")
	p, tap, tapRow := floatTiles.points(k.rowKernel, k.load("plane")), k.load("tap"), k.load("tapRow")
	k.loadConstants()
	square := crossing{k, 3}
	k.Label("vector")
	k.MOVQ(taps, p.p)
	for i := range 3 {
		square.first(i, 3, func(j int) Mem { return stride{one: tap}.at(p.p, j) })
		k.ADDQ(tapRow, p.p)
	}
	k.MOVQ(u, p.p)
	for j := range floatTiles.window {
		for i, y := range square.second(j) {
			k.VMOVUPS(y, p.at(i))
		}
		p.next()
	}
	k.advance(taps, u)
	k.endLoop(vectors, "vector")
	k.VZEROUPPER()
	k.RET()
}

// gatherWeights writes the last transform of the gradient of the weights.
func gatherWeights(c *build.Context, w width) {
	k := tapTransform.kernel(c, w, "gatherWeights", "func(u *float32, vectors, plane int)", "Gᵀ·u·G for 36 planes, into the first nine of them")
	u := k.load("u")
	k.square()
	vectors := k.load("vectors")
	p := floatTiles.points(k.rowKernel, k.load("plane"))
	plane := k.stride(p.point.one, 4)
	k.loadConstants()
	square := crossing{k, floatTiles.window}
	k.Label("vector")
	k.MOVQ(u, p.p)
	for j := range floatTiles.window {
		square.first(j, floatTiles.window, p.at)
		p.next()
	}
	k.MOVQ(u, p.p)
	for i := range 3 {
		for j, y := range square.second(i) {
			k.VMOVUPS(y, plane.at(p.p, j))
		}
		k.ADDQ(plane.three, p.p)
	}
	k.advance(u)
	k.endLoop(vectors, "vector")
	k.VZEROUPPER()
	k.RET()
}
