package kernels

// ForwardSize returns the length of the packed weights that Forward reads.
func (s *ConvShape) ForwardSize() int {
	if s.Depthwise() {
		return s.WeightSize()
	}
	cg, og := s.groups()
	return s.Groups * panelColumns(og) * s.KH * s.KW * cg
}

// PackForward brings the weights w [O Cg KH KW] into the order that Forward
// reads: [group][panel][kh][kw][c][column], or [kh][kw][C] if depthwise.
func (s *ConvShape) PackForward(dst, w []float32) {
	for i := range s.ForwardPanels() {
		s.PackForwardPanel(dst, w, i)
	}
}

// ForwardPanels returns how many panels the packed weights have.
func (s *ConvShape) ForwardPanels() int {
	if s.Depthwise() {
		return 1
	}
	_, og := s.groups()
	return s.Groups * panels(og)
}

// PackForwardPanel does the part of PackForward that panel i needs.
func (s *ConvShape) PackForwardPanel(dst, w []float32, i int) {
	if s.Depthwise() {
		s.packTaps(dst, w)
		return
	}
	cg, og := s.groups()
	g, j := i/panels(og), i%panels(og)*panelWidth
	width, taps := panel(j, og), s.KH*s.KW
	columns := min(width, og-j)
	p := dst[(g*panelColumns(og)+j)*taps*cg:][:width*taps*cg]
	if columns < width {
		clear(p)
	}
	packColumns(p, w[(g*og+j)*cg*taps:], width, columns, cg, taps)
}

// Forward computes y = conv(x) + bias for images n0..n1-1. packed comes from
// PackForward; bias may be nil; x has a border of zeros at least as wide as the
// padding. The border of y is left alone.
func (s *ConvShape) Forward(y []float32, yl Layout, x []float32, xl Layout, packed, bias []float32, n0, n1 int) {
	imageRange("conv forward", n0, n1, yl, xl)
	if s.Depthwise() {
		s.forwardDepthwise(y, yl, x, xl, packed, bias, n0, n1)
		return
	}
	cg, og := s.groups()
	// A run is what one segment covers: a kernel row where pixels are adjacent, else a tap.
	runs, run := s.KH*s.KW, cg
	rows := s.Groups == 1 && s.DilW == 1 && xl.Packed()
	if rows {
		runs, run = s.KH, s.KW*cg
	}
	var abuf, bbuf [segments]int
	aoff, boff := offsets(abuf[:], runs), offsets(bbuf[:], runs)
	g := GEMM{M: s.OW, K: run, A: x, RS: s.StrideW * xl.SW, CS: 1, B: packed, LDC: yl.SW}
	at := 0
	for group := range s.Groups {
		for j := 0; j < og; j += panelWidth {
			o := group*og + j
			g.BS = panel(j, og)
			g.N = min(g.BS, og-j)
			if bias != nil {
				g.Init = bias[o : o+g.N]
			}
			for t := range boff {
				boff[t] = at + t*run*g.BS
			}
			for n := n0; n < n1; n++ {
				for oh := 0; oh < s.OH; {
					top := oh*s.StrideH - s.PadTop
					start := xl.Row(n, top) - s.PadLeft*xl.SW + group*cg
					first, end := inside(top, s.DilH, s.KH, s.H) // kernel rows that do not lie in the border
					alike := s.rowsAlike(oh, first, end)
					first, end = first*runs/s.KH, end*runs/s.KH
					for t := first; t < end; t++ {
						if rows {
							aoff[t] = start + t*s.DilH*xl.SH
						} else {
							aoff[t] = start + t/s.KW*s.DilH*xl.SH + t%s.KW*s.DilW*xl.SW
						}
					}
					g.AOff, g.BOff = aoff[first:end], boff[first:end]
					g.C = y[yl.Row(n, oh)+o:]
					g.RunEach(alike, s.StrideH*xl.SH, 0, yl.SH)
					oh += alike
				}
			}
			at += s.KH * s.KW * cg * g.BS
		}
	}
}

// rowsAlike returns how many output rows from oh on read the same rows of the kernel, from first to before end. One product
// computes them, a panel of weights staying in the cache.
func (s *ConvShape) rowsAlike(oh, first, end int) int {
	n := 1
	for oh+n < s.OH {
		if f, e := inside((oh+n)*s.StrideH-s.PadTop, s.DilH, s.KH, s.H); f != first || e != end {
			break
		}
		n++
	}
	return n
}
