package kernels

// The gradient of the input by blocks. A block is a few adjacent pixels of dx, in all its rows.
// Output row oh adds to row oh·StrideH + kh·DilH − PadTop of a block
//
//	s[oh, (kh,w,c)] = Σ_{ow,o} dy[oh,ow,o] · w[o,c,kh,kw]  where  ow·StrideW + kw·DilW = w + PadLeft,
//
// for all rows of the kernel together a product over the pixels of dy that reach the block, with zeros
// where no tap leads from ow to w. So one channel fills a tile: in a kernel of 5×5, 15 columns are
// three pixels in five rows. Each row of dx is then the sum of what the rows of the kernel give it, by
// a second product, with the unit matrix.
//
// The order of summation is that of ow, then o; then that of the rows of dy.

const (
	// blockWidth is how many elements of a row of dx a block has at most.
	blockWidth = 8
	// blockSums is how many sums s there may be.
	blockSums = 4096
)

// A blockGradient says how the gradient of the input is computed by blocks.
type blockGradient struct {
	pixels      int // of dx in a row of a block
	width       int // their elements
	columns     int // of the first product: width for each row of the kernel, and those that fill the last tile
	window      int // pixels of dy that reach a block, at most
	first       int // where the first of them begins to reach, in pixels from the left end of the block
	top, bottom int // rows of zeros around s
}

// bestBlocks returns the fastest blocks, if any are possible.
func (s *ConvShape) bestBlocks() (best blockGradient, ok bool) {
	least := 0
	for pixels := s.StrideW; ; pixels += s.StrideW {
		g, possible := s.blockGradient(pixels)
		if !possible {
			return best, ok
		}
		if t := g.time(s); !ok || t < least {
			best, least, ok = g, t, true
		}
	}
}

// blockGradient returns how the gradient is computed in blocks of the given number of pixels in a row, a
// multiple of the stride, and whether that is possible: not if they are too many.
func (s *ConvShape) blockGradient(pixels int) (g blockGradient, possible bool) {
	g = blockGradient{pixels: pixels, width: pixels * s.C, columns: s.KH * pixels * s.C}
	if rest := g.columns % 16; rest > 8 {
		g.columns += 16 - rest
	}
	g.top, _, g.bottom, _ = s.phaseBorder()
	if g.width > blockWidth || (g.top+s.OH+g.bottom)*g.columns > blockSums {
		return g, false
	}
	left := s.PadLeft + ((s.KW-1)*s.DilW+1)*s.StrideW // of a block that pixels on both sides reach
	first, end := s.reach(left, pixels, left+pixels)
	g.first, g.window = first*s.StrideW-left, end-first
	return g, true
}

// reach returns which of n pixels in a row of dy reach the given number of pixels of dx, counted
// from the left end of the padding.
func (s *ConvShape) reach(left, pixels, n int) (first, end int) {
	if span := (s.KW-1)*s.DilW + 1; left >= span {
		first = (left-span)/s.StrideW + 1
	}
	return first, max(first, min((left+pixels-1)/s.StrideW+1, n))
}

// size returns the length of the packed weights.
func (g *blockGradient) size(s *ConvShape) int { return g.window * s.O * g.columns }

// time estimates what an output row takes with a row of the kernel, an eighth more than the products of tiles
// as measured.
func (g *blockGradient) time(s *ConvShape) int {
	sum := 0
	for w := 0; w < s.W; w += g.pixels {
		first, end := s.reach(w+s.PadLeft, g.pixels, s.OW)
		sum += tileTime(s.OH, g.columns, (end-first)*s.O) + productTime
		sum += s.KH*tileTime(s.H/s.StrideH, g.width, g.width) + productTime*s.StrideH
	}
	return sum / (s.OH * s.KH) * 9 / 8
}

// packBlocks brings the weights into the order [pixel of dy][o][kh][w][c].
func (s *ConvShape) packBlocks(dst, w []float32, g *blockGradient) {
	clear(dst[:g.size(s)])
	b := tapBlock{columns: s.C, width: g.columns, outputs: s.O, step: s.C * s.KH * s.KW, taps: s.KH * s.KW}
	for i := range g.window {
		from := g.first + i*s.StrideW // where tap 0 leads
		first, end := inside(from, s.DilW, s.KW, g.pixels)
		for kh := range s.KH {
			s.packTapRow(dst, w, b, kh, first, end, i*s.O*g.columns+kh*g.width+from*s.C)
		}
	}
}

func (s *ConvShape) backwardBlocks(dx []float32, dxl Layout, dy []float32, dyl Layout, packed []float32, n0, n1 int, add bool, b *blockGradient) {
	var sums [blockSums]float32
	var abuf, bbuf [segments]int
	aoff, boff := offsets(abuf[:], b.window), offsets(bbuf[:], b.window)
	for i := range b.window {
		aoff[i], boff[i] = i*dyl.SW, i*s.O*b.columns
	}
	g := GEMM{M: s.OH, N: b.columns, RS: dyl.SH, CS: 1, BS: b.columns, C: sums[b.top*b.columns:], LDC: b.columns}
	for n := n0; n < n1; n++ {
		for w := 0; w < s.W; w += b.pixels {
			g.K, g.A, g.B = s.O, dy, packed
			first, end := s.reach(w+s.PadLeft, b.pixels, s.OW)
			runs := end - first
			if runs > 0 {
				g.A = dy[dyl.At(n, 0, first, 0):]
				g.B = packed[(first*s.StrideW-w-s.PadLeft-b.first)/s.StrideW*s.O*b.columns:]
				if dyl.Packed() {
					g.K, runs = runs*s.O, 1
				}
			}
			g.AOff, g.BOff = aoff[:runs], boff[:runs]
			g.Run()
			s.addBlock(dx[dxl.At(n, 0, w, 0):], dxl, sums[:], min(b.pixels, s.W-w), add, b)
		}
	}
}

// unit holds the rows of the unit matrix.
var unit = func() (m [blockWidth * blockWidth]float32) {
	for i := range blockWidth {
		m[i*blockWidth+i] = 1
	}
	return m
}()

// addBlock writes the gradient of a block, which begins at the first row of dx, from its sums, or adds them to
// it.
func (s *ConvShape) addBlock(dx []float32, dxl Layout, sums []float32, pixels int, add bool, b *blockGradient) {
	run := s.C
	if dxl.Packed() {
		pixels, run = 1, pixels*s.C
	}
	var abuf, zero [segments]int
	for r := range s.StrideH {
		p := s.phaseH(r)
		aoff := offsets(abuf[:], p.taps)
		for i := range aoff { // from the last tap on: rows of dy in their order
			oh := p.t0 - p.shift - (p.taps-1-i)*p.shiftStep
			aoff[i] = (b.top+oh)*b.columns + (p.first+(p.taps-1-i)*p.step)*b.width
		}
		g := GEMM{
			M: p.t1 - p.t0, N: run, K: run, A: sums, AOff: aoff, RS: b.columns, CS: 1,
			B: unit[:], BOff: offsets(zero[:], p.taps), BS: blockWidth, LDC: s.StrideH * dxl.SH, Add: add,
		}
		if g.M <= 0 {
			continue
		}
		for k := range pixels {
			g.C = dx[(p.t0*s.StrideH+r-s.PadTop)*dxl.SH+k*dxl.SW:]
			g.Run()
			for i := range aoff {
				aoff[i] += s.C
			}
		}
	}
}
