package kernels

// The gradient of the input by rows. Pixel ow of output row oh adds
//
//	Σ_o dy[oh,ow,o] · u[kh,o, j − (ow·StrideW−PadLeft)·C]
//
// to element j = w·C + c of that row of dx which row kh of the kernel reaches, where
//
//	u[kh,o, kw·DilW·C + c] = w[o,c,kh,kw]
//
// is zero everywhere else. So a block of elements of dx, whatever pixels they belong to, is a
// product with a segment for each pixel of dy that reaches it, and all of them read the
// same u, moved. Its rows are output rows.
//
// Such blocks fill tiles that the channels of one pixel would leave partly empty. And dy
// needs no border: where a large kernel makes dx wider than dy, a product over the pixels
// of dx would multiply many zeros at both ends.
//
// A result is the sum over blocks of output rows, then over kh, of products that take
// their terms in the order of ow, then o.

// gradientRows is how many output rows a product has at most. It is part of the order of
// summation, hence a constant.
const gradientRows = 32

// rowWidth is the number of elements of a block.
const rowWidth = 16

// A rowGradient says how the gradient of the input is computed by rows.
type rowGradient struct {
	span   int // elements from the first to the last that a pixel of dy reaches in a row
	move   int // elements from the first that a pixel reaches to the first of the next pixel
	step   int // elements from one row of u to the next: span and zeros
	pixels int // of dy that reach a block, at most
	rows   int // output rows of a product, at most
}

func (s *ConvShape) rowGradient() rowGradient {
	g := rowGradient{span: ((s.KW-1)*s.DilW + 1) * s.C, move: s.StrideW * s.C}
	g.step = g.span + rowWidth - 1
	g.pixels = (rowWidth+g.span-2)/g.move + 1
	products := (s.OH + gradientRows - 1) / gradientRows
	g.rows = (s.OH + products - 1) / products
	return g
}

// size returns the length of the packed weights: u, with zeros before and after each row.
func (g *rowGradient) size(s *ConvShape) int { return s.KH*s.O*g.step + rowWidth - 1 }

// u returns the index of the first element of row o of kernel row kh.
func (g *rowGradient) u(s *ConvShape, kh, o int) int { return (kh*s.O+o)*g.step + rowWidth - 1 }

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
	blocks := (s.W*s.C + rowWidth - 1) / rowWidth
	total := 0 // segments
	for ow := range s.OW {
		at := ow*g.move - s.PadLeft*s.C
		first, last := max(0, at), min(at+g.span, s.W*s.C)-1
		if first <= last {
			total += last/rowWidth - first/rowWidth + 1
		}
	}
	return (total*tileTime(g.rows, rowWidth, s.O) + blocks*productTime) / g.rows
}

// packRows brings the weights into the order [kh][o][u] with zeros before and after each row of u.
func (s *ConvShape) packRows(dst, w []float32, g *rowGradient) {
	clear(dst[:g.size(s)])
	b := tapBlock{columns: s.C, width: g.step, outputs: s.O, step: s.C * s.KH * s.KW, taps: s.KH * s.KW}
	for kh := range s.KH {
		s.packTapRow(dst, w, b, kh, 0, s.KW, g.u(s, kh, 0))
	}
}

// packTapRow packs taps first to end-1 of kernel row kh; at is the place of tap 0.
func (s *ConvShape) packTapRow(dst, w []float32, b tapBlock, kh, first, end, at int) {
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
	for i := range r.pixels {
		aoff[i], boff[i] = i*dyl.SW, (r.pixels-1-i)*r.move
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
				for j := 0; j < s.W*s.C; j += rowWidth {
					g.N = min(rowWidth, s.W*s.C-j)
					at := j + s.PadLeft*s.C
					first, last := r.reach(at, g.N, s.OW)
					if first == last {
						continue
					}
					g.A, g.AOff = a[first*dyl.SW:], aoff[:last-first]
					g.B, g.BOff = packed[r.u(s, kh, 0)+at-(last-1)*r.move:], boff[r.pixels-(last-first):]
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
	var sums [gradientRows * rowWidth]float32
	ldc := g.LDC
	g.C, g.LDC, g.Add = sums[:], g.N, false
	g.Run()
	for i := range g.M {
		for k, v := range sums[i*g.N:][:g.N] {
			rows[i*ldc+(j+k)/c*apart+(j+k)%c] += v
		}
	}
}
