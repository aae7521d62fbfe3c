package kernels

// Where codes cannot be multiplied as they lie, those that a band of output rows needs are brought into
// scratch memory first: signed ones for GEMM8, which become unsigned there, and all at the AVX2
// level (intlower_amd64.go).

// A lowering is the order of codes in scratch, in elements.
type lowering struct {
	form     intForm
	size     int  // bytes of an element
	gather   bool // a line holds what the windows of an output row read, in their order
	column   int  // from one column of a line to the next
	segments int  // runs of elements that a pixel is multiplied with
	run, k   int  // length of a run, and with padding that meets zeros
	pixel    int  // from one output pixel to the next
	line     int  // from one line to the next
	step     int  // lines from one output row to the next
	window   int  // lines that an output row needs
}

// lower returns the lowering for a form.
func (s *IntConv) lower(form intForm) lowering {
	l := lowering{form: form, size: 1, step: 1, window: 1, column: s.C}
	unit := 4
	switch form {
	case narrowForm:
		unit = 8 // two steps
	case pairForm:
		l.size, unit = 2, 4 // the same
	}
	l.segments, l.run = s.runs()
	l.gather = s.gathers(form)
	if l.gather {
		l.segments, l.run = 1, s.KH*l.run
	}
	l.k = ceil(l.run, unit)
	switch {
	case l.gather && form == panelForm: // columns of all kernel rows
		l.column = s.KH * s.C
		l.pixel, l.line = s.StrideW*l.column, ((s.OW-1)*s.StrideW+s.KW)*l.column
		return l
	case l.gather: // windows
		l.pixel, l.line = l.k, s.OW*l.k
		return l
	}
	l.pixel, l.line = s.StrideW*s.C, ((s.OW-1)*s.StrideW+(s.KW-1)*s.DilW+1)*s.C
	if s.pointwise() { // pixels that nobody reads are left out
		l.pixel, l.line = s.C, s.OW*s.C
	}
	if s.KH > 1 {
		l.step, l.window = s.StrideH, (s.KH-1)*s.DilH+1
	}
	return l
}

// gathers reports whether the rows of a kernel, which are short, become one segment.
func (s *IntConv) gathers(form intForm) bool {
	if !s.rows() || s.KH == 1 {
		return false
	}
	switch run := s.KW * s.C; form {
	case pairForm, narrowForm: // as far as a copy of 32 bytes reaches
		return run*2 <= 32
	case panelForm: // where a fifth of the products are padding otherwise, of rows of up to nine codes
		return s.KH <= weaveRows && 5*ceil4(s.KH*run) <= 4*s.KH*ceil4(run)
	}
	return false
}

// pointwise reports whether the kernel has one tap.
func (s *IntConv) pointwise() bool { return s.KH*s.KW == 1 }

// codes returns the number of codes that each column meets.
func (l *lowering) codes() int { return l.segments * l.k }

// bytes returns the size of the scratch for a number of output rows. Copies overshoot by
// up to 31 bytes, or a block that is woven, products by the padding.
func (l *lowering) bytes(rows int) int {
	over := 32
	if l.gather && l.form == panelForm {
		over = weaveBlock * weaveRows
	}
	return (((rows-1)*l.step+l.window)*l.line+l.k-l.run)*l.size + over
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

// inPlace returns the lowering of codes that are read where they lie.
func (s *IntConv) inPlace(xl Layout) lowering {
	l := lowering{form: panelForm, size: 1, pixel: s.StrideW * xl.SW, column: xl.SW, line: xl.SH, step: s.StrideH}
	l.segments, l.run = s.runs()
	l.k = ceil4(l.run)
	return l
}

// place sets off to the places of the segments of a window, from its first code on.
func (s *IntConv) place(off []int, l *lowering) {
	for t := range off {
		if s.rows() {
			off[t] = t * s.DilH * l.line
		} else {
			off[t] = t/s.KW*s.DilH*l.line + t%s.KW*s.DilW*l.column
		}
	}
}

// fill brings the codes for output rows oh to oh+rows-1 into scratch.
func (s *IntConv) fill(l *lowering, scratch, x []uint8, xl Layout, n, oh, rows int) {
	at := xl.Row(n, oh*s.StrideH-s.PadTop) - s.PadLeft*xl.SW
	lines, below, right := (rows-1)*l.step+l.window, xl.SH, xl.SW // codes from one to the next
	if s.KH == 1 {
		below *= s.StrideH
	}
	if s.pointwise() {
		right *= s.StrideW
	}
	switch line := l.line * l.size; {
	case right == s.C && below == l.line:
		s.copyRows(l, scratch, x[at:], lines*l.line, 1, 0, 0)
	case right == s.C:
		s.copyRows(l, scratch, x[at:], l.line, lines, line, below)
	default:
		for i := range lines {
			s.copyRows(l, scratch[i*line:], x[at+i*below:], s.C, l.line/s.C, s.C*l.size, right)
		}
	}
}

// offsetRows sets rows of dst to n codes each plus offset; steps are in bytes.
func offsetRows(dst, src []uint8, n, rows, dstStep, srcStep int, offset uint8) {
	for r := range rows {
		d := dst[r*dstStep:][:n]
		for i, v := range src[r*srcStep:][:n] {
			d[i] = v + offset
		}
	}
}

// offset returns what lowered bytes have added to codes, which makes them unsigned.
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
