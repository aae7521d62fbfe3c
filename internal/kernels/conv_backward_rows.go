package kernels

// The gradient of the input by rows. Pixel ow of output row oh adds
//
//	Σ_o dy[oh,ow,o] · u[kh,o, j − (ow·StrideW−PadLeft)·C]
//
// to element j = w·C + c of that row of dx which row kh of the kernel reaches, where
//
//	u[kh,o, kw·DilW·C + c] = w[o,c,kh,kw]
//
// is zero everywhere else. So a block of elements of dx, of one pixel or several, is a
// product over the pixels of dy that reach it. Its rows are output rows.
//
// If dx has few channels, such blocks fill tiles that the channels of one pixel leave
// mostly empty. And dy needs no border: where a large kernel makes dx wider than dy, a
// product over the pixels of dx would multiply many zeros at both ends.
//
// The weights of a pixel of dy are u, moved. In general u lies in memory once, with zeros
// around it, and each pixel is a segment that begins elsewhere. Where a block is a
// whole number of steps from pixel to pixel, u can only have a few places in it. The weights
// then lie there for each place, one after the other, so that all pixels are one segment.
//
// A result is the sum over blocks of output rows, then over kh, of products that take
// their terms in the order of ow, then o.

// gradientRows is how many output rows a product has at most. It is part of the order of
// summation, hence a constant.
const gradientRows = 32

// A rowGradient says how the gradient of the input is computed by rows.
type rowGradient struct {
	width int // elements of a block
	span  int // elements from the first to the last that a pixel of dy reaches in a row
	move  int // elements from the first that a pixel reaches to the first of the next pixel
	rows  int // output rows of a product, at most

	pixels int  // of dy that reach a block, at most
	whole  bool // a block is a whole number of moves
	first  int  // if whole, the element of a block from which the first pixel of dy reaches on, mostly before it
	step   int  // from one row of the packed weights to the next
}

// byRows returns how the gradient of the input is computed by rows and whether that is
// faster than by phases. It depends on the shape alone.
func (s *ConvShape) byRows() (g rowGradient, faster bool) {
	if s.Groups > 1 {
		return g, false
	}
	g = s.rowGradient(16)
	if s.C == 1 {
		g = s.rowGradient(8) // the more pixels in a block, the more zeros
	}
	return g, 8*g.time(s) < 7*s.phaseTime()
}

// rowGradient returns how the gradient of the input is computed in blocks of 8 or 16 elements.
func (s *ConvShape) rowGradient(width int) rowGradient {
	g := rowGradient{width: width, span: ((s.KW-1)*s.DilW + 1) * s.C, move: s.StrideW * s.C}
	products := (s.OH + gradientRows - 1) / gradientRows
	g.rows = (s.OH + products - 1) / products
	g.pixels = (width+g.span-2)/g.move + 1
	if g.whole = width%g.move == 0; g.whole {
		at := s.PadLeft*s.C + g.span*g.move // far from the left end
		pixel, _ := g.reach(at, width, at)
		g.first, g.step = pixel*g.move-at, width
		g.pixels = (width-1-g.first)/g.move + 1
	} else {
		g.step = g.span + width - 1 // zeros between the rows
	}
	return g
}

// size returns the length of the packed weights.
func (g *rowGradient) size(s *ConvShape) int {
	if g.whole {
		return s.KH * g.pixels * s.O * g.width
	}
	return s.KH*s.O*g.step + g.width - 1
}

// weights returns where the weights of kernel row kh begin for a pixel that begins to reach
// at the given element of a block.
func (g *rowGradient) weights(s *ConvShape, kh, element int) int {
	if g.whole {
		return (kh*g.pixels + (element-g.first)/g.move) * s.O * g.step
	}
	return kh*s.O*g.step + g.width - 1 - element
}

// reach returns which of the pixels of a row of dy reach n elements of dx. Element at is the
// first of them, counted from the left end of the padding.
func (g *rowGradient) reach(at, n, pixels int) (first, end int) {
	if at >= g.span {
		first = (at-g.span)/g.move + 1
	}
	return first, max(first, min((at+n-1)/g.move+1, pixels))
}

// time estimates what an output row takes with a row of the kernel.
func (g *rowGradient) time(s *ConvShape) int {
	blocks := (s.W*s.C + g.width - 1) / g.width
	total := 0 // segments
	for ow := range s.OW {
		at := ow*g.move - s.PadLeft*s.C
		first, last := max(0, at), min(at+g.span, s.W*s.C)-1
		if first <= last {
			total += last/g.width - first/g.width + 1
		}
	}
	return (total*tileTime(g.rows, g.width, s.O) + blocks*productTime) / g.rows
}

// phaseTime estimates the same for the gradient by phases.
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
		tiles := (m + most - 1) / most
		sum += tiles * (k*max(24, (m+tiles-1)/tiles*row) + 72)
		n -= width
	}
	return sum
}

// packRows brings the weights into the order [kh][o][u] with width-1 zeros before and after each
// row of u, or if blocks are whole [kh][pixel][o][element].
func (s *ConvShape) packRows(dst, w []float32, g *rowGradient) {
	clear(dst[:g.size(s)])
	b := tapBlock{columns: s.C, width: g.step, outputs: s.O, step: s.C * s.KH * s.KW, taps: s.KH * s.KW}
	for kh := range s.KH {
		if !g.whole {
			s.packRow(dst, w, b, kh, 0, s.KW, g.weights(s, kh, 0))
			continue
		}
		for i := range g.pixels {
			element := g.first + i*g.move
			first, end := inside(element/s.C, s.DilW, s.KW, g.width/s.C)
			s.packRow(dst, w, b, kh, first, end, g.weights(s, kh, element)+element)
		}
	}
}

// packRow packs taps first to end-1 of kernel row kh; at is the place of tap 0.
func (s *ConvShape) packRow(dst, w []float32, b tapBlock, kh, first, end, at int) {
	for kw := first; kw < end; kw += b.n {
		b.n = min(len(b.to), end-kw)
		for i := range b.n {
			b.to[i] = at + (kw+i)*s.DilW*s.C
		}
		packTapBlock(dst, w[kh*s.KW+kw:], b)
	}
}

func (s *ConvShape) backwardRows(dx []float32, dxl Layout, dy []float32, dyl Layout, packed []float32, n0, n1 int, add bool, r *rowGradient) {
	var abuf, bbuf [segments]int
	aoff, boff := offsets(abuf[:], r.pixels), offsets(bbuf[:], r.pixels)
	single := r.whole && dyl.Packed() // segment
	for i := range r.pixels {
		aoff[i] = i * dyl.SW
		if r.whole {
			boff[i] = i * s.O * r.step
		} else {
			boff[i] = (r.pixels - 1 - i) * r.move
		}
	}
	g := GEMM{K: s.O, RS: dyl.SH, CS: 1, BS: r.step, LDC: s.StrideH * dxl.SH, Add: true}
	for n := n0; n < n1; n++ {
		if !add {
			s.clearRows(dx, dxl, n)
		}
		for oh := 0; oh < s.OH; oh += r.rows {
			for kh := range s.KH {
				h := oh*s.StrideH + kh*s.DilH - s.PadTop
				from, end := inside(h, s.StrideH, min(r.rows, s.OH-oh), s.H)
				if g.M = end - from; g.M == 0 {
					continue
				}
				a, rows := dy[dyl.Row(n, oh+from):], dx[dxl.Row(n, h+from*s.StrideH):]
				for j := 0; j < s.W*s.C; j += r.width {
					g.N = min(r.width, s.W*s.C-j)
					at := j + s.PadLeft*s.C
					first, last := r.reach(at, g.N, s.OW)
					if first == last {
						continue
					}
					n := last - first
					g.A = a[first*dyl.SW:]
					if r.whole {
						g.B, g.BOff = packed[r.weights(s, kh, first*r.move-at):], boff[:n]
					} else {
						g.B, g.BOff = packed[r.weights(s, kh, (last-1)*r.move-at):], boff[r.pixels-n:]
					}
					if single {
						g.K, n = n*s.O, 1
					}
					g.AOff, g.BOff = aoff[:n], g.BOff[:n]
					if dxl.Packed() {
						g.C = rows[j:]
						g.Run()
					} else {
						g.addPixels(rows, j, s.C, dxl.SW)
					}
				}
			}
		}
	}
}

// clearRows zeroes the gradient of image n.
func (s *ConvShape) clearRows(dx []float32, dxl Layout, n int) {
	for h := range s.H {
		row := dx[dxl.Row(n, h):]
		if dxl.Packed() {
			clear(row[:s.W*s.C])
			continue
		}
		for w := range s.W {
			clear(row[w*dxl.SW:][:s.C])
		}
	}
}

// addPixels adds the product to elements j, j+1, ... of rows of pixels, which have c channels and
// lie apart.
func (g GEMM) addPixels(rows []float32, j, c, apart int) {
	var sums [gradientRows * 16]float32
	ldc := g.LDC
	g.C, g.LDC, g.Add = sums[:], g.N, false
	g.Run()
	for i := range g.M {
		for k, v := range sums[i*g.N:][:g.N] {
			rows[i*ldc+(j+k)/c*apart+(j+k)%c] += v
		}
	}
}
