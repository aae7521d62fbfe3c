package kernels

// An InputGradient computes the gradient of the input of a convolution, in one of several ways: channel
// by channel if it is depthwise, else by phases, by rows or by blocks.
type InputGradient struct {
	s      ConvShape
	way    inputWay
	rows   rowGradient
	blocks blockGradient
}

type inputWay uint8

const (
	byPhases inputWay = iota
	byRows
	byBlocks
	byChannels
)

// InputGradient returns the gradient of the input in the way that takes the least time by an
// estimate. It depends on the shape alone.
func (s *ConvShape) InputGradient() InputGradient {
	g := InputGradient{s: *s}
	if s.Depthwise() {
		g.way = byChannels
	}
	if s.Groups > 1 || s.byTiles() { // Winograd wants the border of the phases
		return g
	}
	// With a large dilation the other ways would mostly hold zeros.
	least, room := s.phaseTime()*7/8, 2*s.phaseSize()
	g.rows = s.rowGradient()
	if t := g.rows.time(s); t < least && g.rows.size(s) <= room {
		g.way, least = byRows, t
	}
	blocks, ok := s.bestBlocks()
	if g.blocks = blocks; ok && blocks.time(s) < least && blocks.size(s) <= room {
		g.way = byBlocks
	}
	return g
}

// DyBorder returns the border of zeros that dy needs.
func (g *InputGradient) DyBorder() (top, left, bottom, right int) {
	if g.way == byRows || g.way == byBlocks {
		return 0, 0, 0, 0
	}
	return g.s.phaseBorder()
}

// PackedSize returns the length of the packed weights.
func (g *InputGradient) PackedSize() int {
	switch g.way {
	case byChannels:
		return g.s.WeightSize()
	case byRows:
		return g.rows.size(&g.s)
	case byBlocks:
		return g.blocks.size(&g.s)
	default:
		return g.s.phaseSize()
	}
}

// Pack brings the weights w [O Cg KH KW] into the order that Backward reads.
func (g *InputGradient) Pack(dst, w []float32) {
	switch g.way {
	case byChannels:
		g.s.packTaps(dst, w)
	case byRows:
		g.s.packRows(dst, w, &g.rows)
	case byBlocks:
		g.s.packBlocks(dst, w, &g.blocks)
	default:
		g.s.packPhases(dst, w)
	}
}

// AddsOnce reports whether Backward, where it adds to dx, rounds the gradient before it adds it. By rows it
// adds the rows of the kernel one after the other.
func (g *InputGradient) AddsOnce() bool { return g.way != byRows }

// Backward computes the gradient dx of the input from the gradient dy of the
// output for images n0..n1-1, or adds it to dx. packed comes from Pack; dy
// has a border of zeros as DyBorder says. The border of dx is left alone.
func (g *InputGradient) Backward(dx []float32, dxl Layout, dy []float32, dyl Layout, packed []float32, n0, n1 int, add bool) {
	imageRange("conv backward input", n0, n1, dxl, dyl)
	switch g.way {
	case byChannels:
		g.s.backwardInputDepthwise(dx, dxl, dy, dyl, packed, n0, n1, add)
	case byRows:
		g.s.backwardRows(dx, dxl, dy, dyl, packed, n0, n1, add, &g.rows)
	case byBlocks:
		g.s.backwardBlocks(dx, dxl, dy, dyl, packed, n0, n1, add, &g.blocks)
	default:
		g.s.backwardPhases(dx, dxl, dy, dyl, packed, n0, n1, add)
	}
}

// time estimates what an output row takes with a row of the kernel.
func (g *InputGradient) time() int {
	switch g.way {
	case byRows:
		return g.rows.time(&g.s)
	case byBlocks:
		return g.blocks.time(&g.s)
	default:
		return g.s.phaseTime()
	}
}

// Times are in sixths of a cycle, fitted to measurements of the AVX2 kernels.

// productTime is what a product takes beside its tiles.
const productTime = 2400

// tileTime estimates what the tiles of a segment take, of m rows, n columns and k terms: a term
// is bound by the latency of sums, by multiplications (16 columns) or by loads (8).
func tileTime(m, n, k int) int {
	sum := 0
	for n > 0 {
		width, most, row := 16, 6, 6
		if n < 16 {
			width, most, row = 8, 8, 4
		}
		tiles := max(1, (m+most-1)/most)
		sum += tiles * (k*max(24, (m+tiles-1)/tiles*row) + 72)
		n -= width
	}
	return sum
}

// phaseTime estimates what an output row takes with a row of the kernel, by phases.
func (s *ConvShape) phaseTime() int {
	products := productTime * ((s.C + panelWidth - 1) / panelWidth)
	sum := 0
	for r := range s.StrideW {
		if p := s.phaseW(r); p.t1 > p.t0 {
			// A product covers all rows of the kernel in its phase.
			sum += tileTime(p.t1-p.t0, s.C, p.taps*s.O) + products*s.StrideH/(s.KH+s.StrideH-1)
		}
	}
	return sum
}
