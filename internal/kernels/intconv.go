package kernels

import "fmt"

// An IntConv is a convolution of 8-bit codes into 32-bit accumulators:
//
//	acc[n,oh,ow,o] = b[o] + Σ_{kh,kw,c} (x[…] − z)·w[o,c,kh,kw]
//
// with the indices of ConvShape, codes x stored one per byte (with Signed as int8
// bit patterns), z the zero point of x, and int8 codes w. The border of x holds z.
// The zero point never enters a loop: Start folds it into the initial value of
// the accumulators, with the sums of the weights that PackInt8 returns. Sums are
// exact if the true value of an accumulator fits into an int32; intermediate ones
// may wrap.
//
// A linear layer is a 1×1 convolution of one row: H = 1, W the batch.
type IntConv struct {
	ConvShape
	Signed bool // codes of x are signed
}

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

// PackedSize returns the length of the packed weights.
func (s *IntConv) PackedSize() int {
	if s.Depthwise() {
		return s.WeightSize()
	}
	n, k := s.runs()
	return s.Groups * panelColumns(s.O/s.Groups) * n * ceil4(k)
}

// PackInt8 brings the codes w [O Cg KH KW] into the order that Rows reads and
// sets colsum[o] to the sum of the codes of output channel o.
func (s *IntConv) PackInt8(dst, w []int8, colsum []int32) {
	cg, og := s.groups()
	taps := s.KH * s.KW
	for o := range s.O {
		var sum int32
		for _, v := range w[o*cg*taps : (o+1)*cg*taps] {
			sum += int32(v)
		}
		colsum[o] = sum
	}
	if s.Depthwise() {
		for c := range s.C {
			for t := range taps {
				dst[t*s.C+c] = w[c*taps+t]
			}
		}
		return
	}
	n, k := s.runs()
	at := 0
	for g := range s.Groups {
		for j := 0; j < og; j += panelWidth {
			width := panel(j, og)
			size := n * ceil4(k) * width
			p := dst[at : at+size]
			at += size
			clear(p)
			columns := min(width, og-j)
			if taps == 1 {
				packQuads(p, w[s.weight(g*og+j, 0, 0, 0):], width, columns, cg)
				continue
			}
			for o := range columns {
				row := w[s.weight(g*og+j+o, 0, 0, 0):][:cg*taps]
				for t := range taps {
					// Tap t begins at element i of its segment.
					segment, i := t, 0
					if s.rows() {
						segment, i = t/s.KW, t%s.KW*cg
					}
					d := p[segment*ceil4(k)*width+4*o:]
					for c, at := 0, t; c < cg; c, at = c+1, at+taps {
						d[(i+c)&^3*width+(i+c)&3] = row[at]
					}
				}
			}
		}
	}
}

// Start computes the initial values of the accumulators,
//
//	dst[o] = bias[o] − (z + 128 if Signed)·colsum[o]  (modulo 2^32),
//
// from the bias at the scale of the accumulators (nil for none) and the zero
// point z of x. Mid-rise grids and the like put their own terms into bias.
func (s *IntConv) Start(dst, bias, colsum []int32, z int32) {
	if s.Signed {
		z += 128
	}
	for o := range dst[:s.O] {
		v := -z * colsum[o]
		if bias != nil {
			v += bias[o]
		}
		dst[o] = v
	}
}

// Rows computes the accumulators of output rows oh0..oh1-1 of image n into acc,
// dense [oh1-oh0 OW O]. packed comes from PackInt8, start from Start. x has a
// border of zero points at least as wide as the padding, and Slack elements after
// the last.
func (s *IntConv) Rows(acc []int32, x []uint8, xl Layout, packed []int8, start []int32, n, oh0, oh1 int) {
	if n < 0 || n >= xl.N || oh0 < 0 || oh1 > s.OH {
		panic(fmt.Sprintf("kernels: integer conv: rows %d to %d of %d, image %d of %d", oh0, oh1, s.OH, n, xl.N))
	}
	switch {
	case s.Depthwise():
		s.rowsDepthwise(acc, x, xl, packed, start, n, oh0, oh1)
		return
	case s.rows() && s.KW > 1 && !xl.Packed():
		s.rowsStrided(acc, x, xl, packed, start, n, oh0, oh1)
		return
	}
	cg, og := s.groups()
	runs, run := s.runs()
	var abuf [segments]int
	g := GEMM8{
		M: s.OW, K: run, A: x, AOff: offsets(abuf[:], runs), RS: s.StrideW * xl.SW, Signed: s.Signed, LDC: s.O,
	}
	at := 0
	for group := range s.Groups {
		for j := 0; j < og; j += panelWidth {
			o := group*og + j
			g.Width = panel(j, og)
			g.N = min(g.Width, og-j)
			g.Start = start[o : o+g.N]
			g.W = packed[at : at+runs*ceil4(run)*g.Width]
			at += len(g.W)
			for oh := oh0; oh < oh1; oh++ {
				first := xl.Row(n, oh*s.StrideH-s.PadTop) - s.PadLeft*xl.SW + group*cg
				for t := range g.AOff {
					if s.rows() {
						g.AOff[t] = first + t*s.DilH*xl.SH
					} else {
						g.AOff[t] = first + t/s.KW*s.DilH*xl.SH + t%s.KW*s.DilW*xl.SW
					}
				}
				g.Acc = acc[(oh-oh0)*s.OW*s.O+o:]
				g.Run()
			}
		}
	}
}

func (s *IntConv) flip() uint8 {
	if s.Signed {
		return 0x80
	}
	return 0
}

func (s *IntConv) rowsDepthwise(acc []int32, x []uint8, xl Layout, packed []int8, start []int32, n, oh0, oh1 int) {
	g := s.window(xl)
	flip := s.flip()
	for oh := oh0; oh < oh1; oh++ {
		for ow := range s.OW {
			d := acc[((oh-oh0)*s.OW+ow)*s.O:][:s.O]
			copy(d, start[:s.O])
			g.mulAddCodes(d, x, xl.At(n, oh*s.StrideH-s.PadTop, ow*s.StrideW-s.PadLeft, 0), packed, 0, flip)
		}
	}
}

// rowsStrided serves an input whose pixels are not adjacent, a range of the
// channels of a wider tensor, with weights that are packed in kernel rows.
func (s *IntConv) rowsStrided(acc []int32, x []uint8, xl Layout, packed []int8, start []int32, n, oh0, oh1 int) {
	flip := s.flip()
	runs, run := s.runs()
	for oh := oh0; oh < oh1; oh++ {
		for ow := range s.OW {
			d := acc[((oh-oh0)*s.OW+ow)*s.O:][:s.O]
			copy(d, start[:s.O])
			at := 0
			for j := 0; j < s.O; j += panelWidth {
				width := panel(j, s.O)
				part := d[j:min(j+width, s.O)]
				for i := range s.KH * run {
					kh, kw, c := i/run, i%run/s.C, i%s.C
					a := int32(x[xl.At(n, oh*s.StrideH+kh*s.DilH-s.PadTop, ow*s.StrideW+kw-s.PadLeft, c)] ^ flip)
					k := i % run
					w := packed[at+(kh*ceil4(run)+k&^3)*width+k&3:]
					for o := range part {
						part[o] += a * int32(w[o*4])
					}
				}
				at += runs * ceil4(run) * width
			}
		}
	}
}

// RowsWide computes the accumulators of output rows oh0..oh1-1 of image n for
// operands of any width, in int64: acc is dense [oh1-oh0 OW O], x holds codes minus
// their zero point with a border of zeros, w codes [O Cg KH KW], and bias [O] may
// be nil.
func (s *ConvShape) RowsWide(acc []int64, x []int32, xl Layout, w []int32, bias []int64, n, oh0, oh1 int) {
	cg, og := s.groups()
	for oh := oh0; oh < oh1; oh++ {
		for ow := range s.OW {
			for o := range s.O {
				var sum int64
				if bias != nil {
					sum = bias[o]
				}
				for kh := range s.KH {
					for kw := range s.KW {
						at := xl.At(n, oh*s.StrideH+kh*s.DilH-s.PadTop, ow*s.StrideW+kw*s.DilW-s.PadLeft, o/og*cg)
						for c, v := range x[at : at+cg] {
							sum += int64(v) * int64(w[s.weight(o, c, kh, kw)])
						}
					}
				}
				acc[((oh-oh0)*s.OW+ow)*s.O+o] = sum
			}
		}
	}
}
