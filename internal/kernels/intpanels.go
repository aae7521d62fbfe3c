package kernels

// Integer convolution on GEMM8: weights in panels of 16 or 32 columns. Codes without sign are read
// where they lie. Depthwise convolution has weights [KH KW C].

// rows reports whether packed weights have one segment per kernel row rather
// than one per tap.
func (s *IntConv) rows() bool { return s.Groups == 1 && s.DilW == 1 }

// runs returns the number of segments and the length of each.
func (s *IntConv) runs() (n, k int) {
	if s.rows() {
		return s.KH, s.KW * s.C
	}
	return s.KH * s.KW, s.C / s.Groups
}

// panelSize is the length of the panels for a lowering.
func (s *IntConv) panelSize(l *lowering) int {
	return s.Groups * panelColumns(s.O/s.Groups) * l.codes()
}

// packPanels brings the codes w [O Cg KH KW] into panels with the segments of l, and sums those of each output channel.
func (s *IntConv) packPanels(p *IntWeights, w []uint8, l *lowering) {
	sumColumns(p.sums, w)
	cg, og := s.groups()
	p.length, p.panel, p.all = l.k, panel(0, og)*l.codes(), s.panelSize(l)
	p.data = resize(p.data, p.all)
	taps := s.KH * s.KW
	at := 0
	for g := range s.Groups {
		for j := 0; j < og; j += panelWidth {
			width := panel(j, og)
			size := l.codes() * width
			dst := p.data[at : at+size]
			at += size
			clear(dst)
			columns := min(width, og-j)
			if taps == 1 {
				packQuads(dst, w[s.weight(g*og+j, 0, 0, 0):], width, columns, cg)
				continue
			}
			for o := range columns {
				row := w[s.weight(g*og+j+o, 0, 0, 0):][:cg*taps]
				for t := range taps {
					segment, i := s.tapPlace(l, t)
					d := dst[segment*l.k*width+4*o:]
					for c, at := 0, t; c < cg; c, at = c+1, at+taps {
						d[(i+c)&^3*width+(i+c)&3] = int8(row[at])
					}
				}
			}
		}
	}
}

// tapPlace returns the segment of a tap and the place of its first code there.
func (s *IntConv) tapPlace(l *lowering, t int) (segment, i int) {
	kh, kw := t/s.KW, t%s.KW
	switch {
	case l.gather:
		return 0, kw*l.column + kh*s.C
	case s.rows():
		return kh, kw * s.C
	}
	return t, 0
}

// packTaps brings the codes w [C 1 KH KW] into tapForm.
func (s *IntConv) packTaps(p *IntWeights, w []uint8) {
	sumColumns(p.sums, w)
	p.form, p.offset = tapForm, int32(s.flip())
	p.data = resize(p.data, len(w))
	taps := s.KH * s.KW
	for c := range s.C {
		for t := range taps {
			p.data[t*s.C+c] = int8(w[c*taps+t])
		}
	}
}

// lowersPanels reports whether panels meet codes in scratch: signed ones, which become unsigned there, and those of
// kernels with short rows.
func (s *IntConv) lowersPanels() bool { return s.Signed || s.gathers(panelForm) }

// panelScratch returns the bytes of scratch that panelForm needs.
func (s *IntConv) panelScratch() int {
	if !s.lowersPanels() {
		return 0
	}
	l := s.lower(panelForm)
	return l.bytes(s.band(&l))
}

// rowsPanels is Rows for panelForm.
func (s *IntConv) rowsPanels(acc []int32, x []uint8, xl Layout, p *IntWeights, scratch []uint8, n, oh0, oh1 int) {
	panels, scratch := p.panels(scratch)
	if !s.lowersPanels() {
		l := s.inPlace(xl)
		s.multiplyPanels(acc, p, panels, &l, x[xl.At(n, oh0*s.StrideH-s.PadTop, -s.PadLeft, 0):], oh1-oh0)
		return
	}
	l := s.lower(panelForm)
	band := s.band(&l)
	if len(scratch) < l.bytes(min(band, oh1-oh0)) {
		panic("kernels: integer conv: the scratch is too short")
	}
	for oh := oh0; oh < oh1; oh += band {
		rows := min(band, oh1-oh)
		if l.gather {
			s.weave(p, &l, scratch, x, xl, n, oh, rows)
		} else {
			s.fill(&l, scratch, x, xl, n, oh, rows)
		}
		s.multiplyPanels(acc[(oh-oh0)*s.OW*s.O:], p, panels, &l, scratch, rows)
	}
}

// multiplyPanels computes the accumulators of a number of output rows, the first of which begins with
// code x[0].
func (s *IntConv) multiplyPanels(acc []int32, p *IntWeights, panels panelReader, l *lowering, x []uint8, rows int) {
	cg, og := s.groups()
	var abuf [segments]int
	g := GEMM8{M: s.OW, K: l.run, AOff: offsets(abuf[:], l.segments), RS: l.pixel, LDC: s.O}
	s.place(g.AOff, l)
	row := l.step * l.line
	if row == s.OW*l.pixel { // the rows are one
		g.M, rows = rows*s.OW, 1
	}
	for group := range s.Groups {
		for j := 0; j < og; j += panelWidth {
			o := group*og + j
			g.Width = panel(j, og)
			g.N = min(g.Width, og-j)
			g.Start = p.start[o : o+g.N]
			g.W = panels.next(l.codes() * g.Width)
			g.A, g.Acc = x[group*cg:], acc[o:]
			g.RunEach(rows, row, s.OW*s.O)
		}
	}
}

func (s *IntConv) flip() uint8 {
	if s.Signed {
		return 0x80
	}
	return 0
}

func (s *IntConv) rowsDepthwise(acc []int32, x []uint8, xl Layout, p *IntWeights, n, oh0, oh1 int) {
	g := s.window(xl)
	flip := s.flip()
	for oh := oh0; oh < oh1; oh++ {
		for ow := range s.OW {
			d := acc[((oh-oh0)*s.OW+ow)*s.O:][:s.O]
			copy(d, p.start[:s.O])
			g.mulAddCodes(d, x, xl.At(n, oh*s.StrideH-s.PadTop, ow*s.StrideW-s.PadLeft, 0), p.data, 0, flip)
		}
	}
}

// rowsStrided serves an input whose pixels are not adjacent, a range of the
// channels of a wider tensor, with weights that are packed in kernel rows.
func (s *IntConv) rowsStrided(acc []int32, x []uint8, xl Layout, p *IntWeights, scratch []uint8, n, oh0, oh1 int) {
	runs, run := s.runs()
	panels, _ := p.panels(scratch)
	for j := 0; j < s.O; j += panelWidth {
		width := panel(j, s.O)
		weights, columns := panels.next(runs*p.length*width), min(width, s.O-j)
		for pixel := range (oh1 - oh0) * s.OW {
			oh, ow := oh0+pixel/s.OW, pixel%s.OW
			d := acc[pixel*s.O+j:][:columns]
			copy(d, p.start[j:])
			for i := range s.KH * run {
				kh, kw, c := i/run, i%run/s.C, i%s.C
				code := x[xl.At(n, oh*s.StrideH+kh*s.DilH-s.PadTop, ow*s.StrideW+kw-s.PadLeft, c)]
				a := int32(code)
				if s.Signed {
					a = int32(int8(code))
				}
				k := i % run
				w := weights[(kh*p.length+k&^3)*width+k&3:]
				for o := range d {
					d[o] += a * int32(w[o*4])
				}
			}
		}
	}
}
