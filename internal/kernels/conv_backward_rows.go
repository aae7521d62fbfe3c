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
// product with a segment for each pixel of dy that reaches it, and all of them read the
// same u, moved. The rows of the product are output rows.
//
// If dx has few channels, such blocks fill tiles that the channels of one pixel leave
// mostly empty. And dy needs no border: where a large kernel makes dx wider than dy, a
// product over the pixels of dx would multiply many zeros at both ends.
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
	step  int // elements from one row of u to the next: span and width-1 zeros
	rows  int // output rows of a product, at most
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
	g.step = g.span + width - 1
	products := (s.OH + gradientRows - 1) / gradientRows
	g.rows = (s.OH + products - 1) / products
	return g
}

// size returns the length of the packed weights: u, with zeros before and after each row.
func (g *rowGradient) size(s *ConvShape) int { return s.KH*s.O*g.step + g.width - 1 }

// u returns the index of the first element of row o of kernel row kh.
func (g *rowGradient) u(s *ConvShape, kh, o int) int { return (kh*s.O+o)*g.step + g.width - 1 }

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

func (s *ConvShape) packRows(dst, w []float32, g *rowGradient) {
	clear(dst[:g.size(s)])
	taps := s.KH * s.KW
	b := tapBlock{columns: s.C, width: g.step, outputs: s.O, step: s.C * taps, taps: taps}
	for first := 0; first < taps; first += len(b.to) {
		b.n = min(len(b.to), taps-first)
		for i := range b.n {
			kh, kw := (first+i)/s.KW, (first+i)%s.KW
			b.to[i] = g.u(s, kh, 0) + kw*s.DilW*s.C
		}
		packTapBlock(dst, w[first:], b)
	}
}

func (s *ConvShape) backwardRows(dx []float32, dxl Layout, dy []float32, dyl Layout, packed []float32, n0, n1 int, add bool, r *rowGradient) {
	var abuf, bbuf [segments]int
	pixels := (r.width+r.span-2)/r.move + 1 // that reach a block, at most
	aoff, boff := offsets(abuf[:], pixels), offsets(bbuf[:], pixels)
	g := GEMM{K: s.O, A: dy, RS: dyl.SH, CS: 1, B: packed, BS: r.step, LDC: s.StrideH * dxl.SH, Add: true}
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
				h += from * s.StrideH
				for j := 0; j < s.W*s.C; j += r.width {
					g.N = min(r.width, s.W*s.C-j)
					at := j + s.PadLeft*s.C
					first, last := r.reach(at, g.N, s.OW)
					for ow := first; ow < last; ow++ {
						aoff[ow-first] = dyl.At(n, oh+from, ow, 0)
						boff[ow-first] = r.u(s, kh, 0) + at - ow*r.move
					}
					g.AOff, g.BOff = aoff[:last-first], boff[:last-first]
					if dxl.Packed() {
						g.C = dx[dxl.Row(n, h)+j:]
						g.Run()
					} else {
						g.addPixels(dx[dxl.Row(n, h):], j, s.C, dxl.SW)
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
