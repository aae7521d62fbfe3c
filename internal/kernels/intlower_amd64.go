//go:build amd64 && !purego

package kernels

// At the AVX2 level an integer convolution runs in two steps. The first brings the codes that
// a band of output rows needs into scratch memory, where they are 16 bits wide or, for
// narrow operands, bytes without sign; a layer with few input channels gathers the window of
// each pixel there. The second multiplies them with panels of weights.
//
// Four bytes of scratch meet 32 bytes of a panel, which belong to eight columns: two
// codes of 16 bits with VPMADDWD, whose sums of 32 bits wrap as the accumulators do, or four
// bytes with VPMADDUBSW, whose sums of 16 bits must not overflow before they are widened.
// Pack chooses: bytes if for codes of up to a and weights of up to w
//
//	2·a·w·steps ≤ 32767    for at least two steps of four bytes.

// A lowering is the order of codes in scratch, in elements.
type lowering struct {
	form     intForm
	size     int  // bytes of an element
	gather   bool // a line holds windows, not rows of the input
	segments int  // runs of elements that a pixel is multiplied with
	run, k   int  // length of a run, and with padding that meets zeros
	pixel    int  // from one output pixel to the next
	line     int  // from one line to the next
	step     int  // lines from one output row to the next
	window   int  // lines that an output row needs
}

// lower returns the lowering for a form.
func (s *IntConv) lower(form intForm) lowering {
	l := lowering{form: form, size: 2, step: 1, window: 1}
	unit := 4 // two steps
	if form == narrowForm {
		l.size, unit = 1, 8
	}
	l.segments, l.run = s.runs()
	if s.KH > 1 && s.rows() && l.run*2 <= 32 {
		l.gather, l.segments, l.run = true, 1, s.KH*l.run
		l.k = ceil(l.run, unit)
		l.pixel, l.line = l.k, s.OW*l.k
		return l
	}
	l.k = ceil(l.run, unit)
	l.pixel, l.line = s.StrideW*s.C, ((s.OW-1)*s.StrideW+(s.KW-1)*s.DilW+1)*s.C
	if s.pointwise() { // pixels that nobody reads are left out
		l.pixel, l.line = s.C, s.OW*s.C
	}
	if s.KH > 1 {
		l.step, l.window = s.StrideH, (s.KH-1)*s.DilH+1
	}
	return l
}

// pointwise reports whether the kernel has one tap.
func (s *IntConv) pointwise() bool { return s.KH*s.KW == 1 }

// codes returns the number of codes that each column meets.
func (l *lowering) codes() int { return l.segments * l.k }

// bytes returns the size of the scratch for a number of output rows. Copies overshoot by
// up to 31 bytes, products by the padding.
func (l *lowering) bytes(rows int) int {
	return (((rows-1)*l.step+l.window)*l.line+l.k-l.run)*l.size + 32
}

// bandSize is the size of scratch that stays in the cache, together with a panel of weights.
const bandSize = 24 << 10

// band returns the number of output rows that share the scratch.
func (s *IntConv) band(l *lowering) int {
	rows := 1
	if room := bandSize/(l.line*2) - l.window; room > 0 {
		rows += room / l.step
	}
	return min(rows, s.OH)
}

//go:noescape
func widenRowsAVX2(dst, src *uint8, n, rows, dstStep, srcStep int, offset uint32)

//go:noescape
func widenSignedRowsAVX2(dst, src *uint8, n, rows, dstStep, srcStep int, offset uint32)

//go:noescape
func offsetRowsAVX2(dst, src *uint8, n, rows, dstStep, srcStep int, offset uint32)

//go:noescape
func widenTapsAVX2(dst, src *uint8, pixels, taps, dstStep, srcStep, dstTap, srcTap int, offset uint32)

//go:noescape
func widenSignedTapsAVX2(dst, src *uint8, pixels, taps, dstStep, srcStep, dstTap, srcTap int, offset uint32)

//go:noescape
func offsetTapsAVX2(dst, src *uint8, pixels, taps, dstStep, srcStep, dstTap, srcTap int, offset uint32)

// fill brings the codes for output rows oh to oh+rows-1 into scratch.
func (s *IntConv) fill(l *lowering, scratch, x []uint8, xl Layout, n, oh, rows int) {
	at := xl.Row(n, oh*s.StrideH-s.PadTop) - s.PadLeft*xl.SW
	if l.gather {
		s.gather(l, scratch, x[at:], xl, rows)
		return
	}
	lines, below, right := (rows-1)*l.step+l.window, xl.SH, xl.SW // codes from one to the next
	if s.KH == 1 {
		below *= s.StrideH
	}
	if s.pointwise() {
		right *= s.StrideW
	}
	switch line := l.line * l.size; {
	case right == s.C && below == l.line:
		s.copyRows(l, &scratch[0], &x[at], lines*l.line, 1, 0, 0)
	case right == s.C:
		s.copyRows(l, &scratch[0], &x[at], l.line, lines, line, below)
	default:
		for i := range lines {
			s.copyRows(l, &scratch[i*line], &x[at+i*below], s.C, l.line/s.C, s.C*l.size, right)
		}
	}
}

// offset returns what narrowForm adds to codes, which makes them unsigned.
func (s *IntConv) offset() int32 {
	if s.Signed {
		return 1 << (s.bits() - 1)
	}
	return 0
}

func (s *IntConv) bits() int {
	if s.Bits == 0 {
		return 8
	}
	return s.Bits
}

// copyRows copies rows of n codes in the form of l; steps are in bytes.
func (s *IntConv) copyRows(l *lowering, dst, src *uint8, n, rows, dstStep, srcStep int) {
	switch {
	case l.form == narrowForm:
		offsetRowsAVX2(dst, src, n, rows, dstStep, srcStep, uint32(s.offset())*0x01010101)
	case s.Signed:
		widenSignedRowsAVX2(dst, src, n, rows, dstStep, srcStep, 0)
	default:
		widenRowsAVX2(dst, src, n, rows, dstStep, srcStep, 0)
	}
}

// copyTaps copies up to 32 bytes of dst for each tap of each pixel.
func (s *IntConv) copyTaps(l *lowering, dst, src *uint8, pixels, taps, dstStep, srcStep, dstTap, srcTap int) {
	switch {
	case l.form == narrowForm:
		offsetTapsAVX2(dst, src, pixels, taps, dstStep, srcStep, dstTap, srcTap, uint32(s.offset())*0x01010101)
	case s.Signed:
		widenSignedTapsAVX2(dst, src, pixels, taps, dstStep, srcStep, dstTap, srcTap, 0)
	default:
		widenTapsAVX2(dst, src, pixels, taps, dstStep, srcStep, dstTap, srcTap, 0)
	}
}

// gather copies the window of each pixel, whose first code is x[0] for the first.
func (s *IntConv) gather(l *lowering, scratch, x []uint8, xl Layout, rows int) {
	tap := l.run / s.KH * l.size // bytes of a kernel row
	for r := range rows {
		src, line := x[r*s.StrideH*xl.SH:], scratch[r*l.line*l.size:]
		if xl.Packed() {
			s.copyTaps(l, &line[0], &src[0], s.OW, s.KH, l.pixel*l.size, s.StrideW*xl.SW, tap, s.DilH*xl.SH)
			continue
		}
		for ow := range s.OW {
			for kh := range s.KH {
				s.copyTaps(l, &line[ow*l.pixel*l.size+kh*tap], &src[ow*s.StrideW*xl.SW+kh*s.DilH*xl.SH], 1, s.KW, 0, 0, s.C*l.size, xl.SW)
			}
		}
	}
}

// Panels have 8, 16 or 24 columns, one to three vectors: the last columns of a group lie in its
// first panel, so that what a product writes beyond them is overwritten by a later one.

// firstPanel returns the vectors of the first panel of a number of columns.
func firstPanel(columns int) int {
	switch vectors := ceil(columns, 8) / 8; {
	case vectors == 1:
		return 1
	case vectors%2 == 1:
		return 3
	}
	return 2
}

// eachPanel calls f for the panels of one group in their order.
func eachPanel(columns int, f func(j, vectors int)) {
	first := firstPanel(columns)
	rest := ceil(columns, 8) - 8*first
	f(rest, first)
	for j := 0; j < rest; j += 16 {
		f(j, 2)
	}
}
