package kernels

// Depthwise convolution: each channel has its own kernel. Its three directions are sums
// over a grid of pixels, channel by channel; packed weights are [KH KW C].

// packTaps brings weights [C 1 KH KW] into the order [KH KW C].
func (s *ConvShape) packTaps(dst, w []float32) {
	taps := s.KH * s.KW
	for c := range s.C {
		for t := range taps {
			dst[t*s.C+c] = w[c*taps+t]
		}
	}
}

// A grid is a number of pixels of two tensors, with the distances between rows and
// columns in each; distances may be negative.
type grid struct {
	rows, columns int
	xRow, xColumn int
	wRow, wColumn int
}

// mulAddPortable adds x·w to d, channel by channel, over the pixels from xAt and wAt on, row
// by row.
func (g *grid) mulAddPortable(d, x []float32, xAt int, w []float32, wAt int) {
	if len(d) == 0 {
		return
	}
	for r := range g.rows {
		for k := range g.columns {
			a, b := x[xAt+r*g.xRow+k*g.xColumn:][:len(d)], w[wAt+r*g.wRow+k*g.wColumn:][:len(d)]
			for c := range d {
				d[c] += float32(a[c] * b[c])
			}
		}
	}
}

// mulAddCodesPortable is mulAddPortable for codes, the bits of x flipped.
func (g *grid) mulAddCodesPortable(d []int32, x []uint8, xAt int, w []int8, wAt int, flip uint8) {
	if len(d) == 0 {
		return
	}
	for r := range g.rows {
		for k := range g.columns {
			a, b := x[xAt+r*g.xRow+k*g.xColumn:][:len(d)], w[wAt+r*g.wRow+k*g.wColumn:][:len(d)]
			for c := range d {
				d[c] += int32(a[c]^flip) * int32(b[c])
			}
		}
	}
}

// window returns the grid of one output pixel: the taps of x and the packed weights.
func (s *ConvShape) window(xl Layout) grid {
	return grid{s.KH, s.KW, s.DilH * xl.SH, s.DilW * xl.SW, s.KW * s.C, s.C}
}

// row adds x·w to each of a row of pixels, channel by channel: pixel i begins at d[i·dStep] and its grid at
// x[xAt+i·xStep]. What it is added to begins at start[i·startStep], in d itself or elsewhere.
func (g *grid) row(d, start []float32, dStep, startStep int, x []float32, xAt, xStep int, w []float32, wAt, channels, pixels int) {
	done := g.rowVectors(d, start, dStep, startStep, x, xAt, xStep, w, wAt, channels, pixels)
	if done == channels {
		return
	}
	for i := range pixels {
		pixel := d[i*dStep:][done:channels]
		copy(pixel, start[i*startStep:][done:channels])
		g.mulAdd(pixel, x, xAt+i*xStep+done, w, wAt+done)
	}
}

func (s *ConvShape) forwardDepthwise(y []float32, yl Layout, x []float32, xl Layout, packed, bias []float32, n0, n1 int) {
	g := s.window(xl)
	var none [256]float32
	for c := 0; c < s.C; c += len(none) {
		channels := min(len(none), s.C-c)
		start := none[:channels]
		if bias != nil {
			start = bias[c:][:channels]
		}
		for n := n0; n < n1; n++ {
			for oh := range s.OH {
				g.row(y[yl.At(n, oh, 0, c):], start, yl.SW, 0, x, xl.At(n, oh*s.StrideH-s.PadTop, -s.PadLeft, c), s.StrideW*xl.SW, packed, c, channels, s.OW)
			}
		}
	}
}

func (s *ConvShape) backwardInputDepthwise(dx []float32, dxl Layout, dy []float32, dyl Layout, packed []float32, n0, n1 int, add bool) {
	for rh := range s.StrideH {
		ph := s.phaseH(rh)
		for rw := range s.StrideW {
			pw := s.phaseW(rw)
			if !add {
				s.clearPhase(dx, dxl, rh, rw, ph, pw, n0, n1)
			}
			if ph.taps == 0 || pw.taps == 0 || pw.t0 == pw.t1 {
				continue
			}
			// The taps from the last to the first read dy from the first to the last.
			g := grid{
				ph.taps, pw.taps, ph.shiftStep * dyl.SH, pw.shiftStep * dyl.SW,
				-ph.step * s.KW * s.C, -pw.step * s.C,
			}
			last := (ph.first+(ph.taps-1)*ph.step)*s.KW + pw.first + (pw.taps-1)*pw.step
			step := s.StrideW * dxl.SW
			for n := n0; n < n1; n++ {
				for th := ph.t0; th < ph.t1; th++ {
					d := dx[dxl.At(n, th*s.StrideH+rh-s.PadTop, pw.t0*s.StrideW+rw-s.PadLeft, 0):]
					at := dyl.At(n, th-ph.shift-(ph.taps-1)*ph.shiftStep, pw.t0-pw.shift-(pw.taps-1)*pw.shiftStep, 0)
					g.row(d, d, step, step, dy, at, dyl.SW, packed, last*s.C, s.C, pw.t1-pw.t0)
				}
			}
		}
	}
}

func (s *ConvShape) backwardWeightDepthwise(dw []float32, x []float32, xl Layout, dy []float32, dyl Layout, n0, n1 int, add bool) {
	// The internal order [G KH KW 1 1] has the channel outermost; the sums of a block of
	// channels are kept apart, one tap at a time.
	var block [64]float32
	g := grid{s.OH, s.OW, s.StrideH * xl.SH, s.StrideW * xl.SW, dyl.SH, dyl.SW}
	taps := s.KH * s.KW
	for tap := range taps {
		h, w := tap/s.KW*s.DilH-s.PadTop, tap%s.KW*s.DilW-s.PadLeft
		for c := 0; c < s.C; c += len(block) {
			sums := block[:min(len(block), s.C-c)]
			clear(sums)
			for n := n0; n < n1; n++ {
				g.mulAdd(sums, x, xl.At(n, h, w, c), dy, dyl.At(n, 0, 0, c))
			}
			for i, v := range sums {
				p := &dw[(c+i)*taps+tap]
				if add {
					v += *p
				}
				*p = v
			}
		}
	}
}
