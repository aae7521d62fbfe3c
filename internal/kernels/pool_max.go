package kernels

// The loops over windows side by side are maxWindow, maxWindowCodes and maxWindowBackward.

// MaxIndexable reports whether the taps of a window can be numbered in one byte, which
// Max and MaxBackward need for their indices.
func (s *PoolShape) MaxIndexable() bool { return s.KH*s.KW <= 256 }

// A window is the part of a tensor that one output pixel sees, from its first pixel on.
// Strides are in elements. Its first tap has the number tap; skip is what the numbers of
// two rows differ by more than by columns.
type window struct {
	rows, columns       int
	rowStep, columnStep int
	tap, skip           uint8
	// count output pixels side by side have equal windows, next apart. The pixels themselves
	// lie outStep apart.
	count, next, outStep int
	places               *places // for the way back
}

// places are the distances of the taps of a window from its first one, by number.
type places [256]int

// placesIn returns the places of the window in a tensor of layout l.
func (s *PoolShape) placesIn(l Layout) (p places) {
	for tap := range s.KH * s.KW {
		p[tap] = tap/s.KW*l.SH + tap%s.KW*l.SW
	}
	return p
}

// windowAt returns the windows of output (oh, ow) and of those on its right that are alike in a
// tensor of layout l, and where the first begins in image n.
func (s *PoolShape) windowAt(l Layout, n, oh, ow int) (start int, w window) {
	h0, h1, w0, w1 := s.window(oh, ow)
	left := ow*s.StrideW - s.PadLeft
	tap := (h0-(oh*s.StrideH-s.PadTop))*s.KW + w0 - left
	w = window{rows: h1 - h0, columns: w1 - w0, rowStep: l.SH, columnStep: l.SW, tap: uint8(tap), skip: uint8(s.KW - (w1 - w0)), count: 1, next: s.StrideW * l.SW}
	if w.columns == s.KW { // up to the last one inside
		w.count = min(s.OW-ow, (s.W-s.KW-left)/s.StrideW+1)
	}
	return l.At(n, h0, w0, 0), w
}

// Max computes y = maximum over each window of x, for images n0..n1-1. The first of
// equal values wins, and NaN wins over numbers. index, dense [N OH OW C], receives the tap
// kh·KW+kw that won for MaxBackward; it may be nil.
func (s *PoolShape) Max(y []float32, yl Layout, x []float32, xl Layout, index []uint8, n0, n1 int) {
	imageRange("max pool", n0, n1, yl, xl)
	for n := n0; n < n1; n++ {
		s.MaxRows(y, yl, x, xl, index, n, 0, s.OH)
	}
}

// MaxRows is Max for rows h0..h1-1 of the results of image n.
func (s *PoolShape) MaxRows(y []float32, yl Layout, x []float32, xl Layout, index []uint8, n, h0, h1 int) {
	imageRange("rows of a max pool", n, n+1, yl, xl)
	for oh := h0; oh < h1; oh++ {
		for ow := 0; ow < s.OW; {
			start, w := s.windowAt(xl, n, oh, ow)
			w.outStep = yl.SW
			maxWindow(y[yl.At(n, oh, ow, 0):], s.indexAt(index, n, oh, ow), x[start:], s.C, w)
			ow += w.count
		}
	}
}

// MaxCodes is Max for codes in bytes; with signed they are int8 bit patterns.
func (s *PoolShape) MaxCodes(y []uint8, yl Layout, x []uint8, xl Layout, signed bool, index []uint8, n0, n1 int) {
	imageRange("max pool", n0, n1, yl, xl)
	var flip uint8
	if signed {
		flip = 0x80
	}
	for n := n0; n < n1; n++ {
		for oh := range s.OH {
			for ow := 0; ow < s.OW; {
				start, w := s.windowAt(xl, n, oh, ow)
				w.outStep = yl.SW
				maxWindowCodes(y[yl.At(n, oh, ow, 0):], s.indexAt(index, n, oh, ow), x[start:], s.C, w, flip)
				ow += w.count
			}
		}
	}
}

// indexAt returns the indices from one output pixel on, or nil.
func (s *PoolShape) indexAt(index []uint8, n, oh, ow int) []uint8 {
	if index == nil {
		return nil
	}
	return index[((n*s.OH+oh)*s.OW+ow)*s.C:]
}

// pixel returns the parts of the operands that belong to pixel i of a run; idx may be nil.
func pixel[T any](d []T, idx []uint8, x []T, channels int, w *window, i int) ([]T, []uint8, []T) {
	if idx != nil {
		idx = idx[i*channels:][:channels]
	}
	return d[i*w.outStep:][:channels], idx, x[i*w.next:]
}

func maxWindowPortable(d []float32, idx []uint8, x []float32, channels int, w window) {
	for i := range w.count {
		d, idx, x := pixel(d, idx, x, channels, &w, i)
		copy(d, x)
		tap := w.tap
		for c := range idx {
			idx[c] = tap
		}
		for h := range w.rows {
			for j := range w.columns {
				for c, v := range x[h*w.rowStep+j*w.columnStep:][:channels] {
					if v > d[c] || v != v && d[c] == d[c] {
						d[c] = v
						if idx != nil {
							idx[c] = tap
						}
					}
				}
				tap++
			}
			tap += w.skip
		}
	}
}

func maxWindowCodesPortable(d, idx, x []uint8, channels int, w window, flip uint8) {
	for i := range w.count {
		d, idx, x := pixel(d, idx, x, channels, &w, i)
		copy(d, x)
		tap := w.tap
		for c := range idx {
			idx[c] = tap
		}
		for h := range w.rows {
			for j := range w.columns {
				for c, v := range x[h*w.rowStep+j*w.columnStep:][:channels] {
					if v^flip > d[c]^flip {
						d[c] = v
						if idx != nil {
							idx[c] = tap
						}
					}
				}
				tap++
			}
			tap += w.skip
		}
	}
}

// MaxBackward adds dy to dx at the taps that index names, for images n0..n1-1; without
// add, dx is zeroed first.
func (s *PoolShape) MaxBackward(dx []float32, dxl Layout, dy []float32, dyl Layout, index []uint8, n0, n1 int, add bool) {
	imageRange("max pool backward", n0, n1, dxl, dyl)
	p := s.placesIn(dxl)
	for n := n0; n < n1; n++ {
		if !add {
			clearImage(dx, dxl, n)
		}
		for oh := range s.OH {
			for ow := 0; ow < s.OW; {
				start, w := s.windowAt(dxl, n, oh, ow)
				w.outStep, w.places = dyl.SW, &p
				maxWindowBackward(dx[start:], dy[dyl.At(n, oh, ow, 0):], s.indexAt(index, n, oh, ow), s.C, w)
				ow += w.count
			}
		}
	}
}

func maxWindowBackwardPortable(dx, dy []float32, idx []uint8, channels int, w window) {
	first := w.places[w.tap]
	for i := range w.count {
		dy, idx, dx := pixel(dy, idx, dx, channels, &w, i)
		for c, tap := range idx {
			dx[w.places[tap]-first+c] += dy[c]
		}
	}
}

// clearImage zeroes the interior of image n.
func clearImage(x []float32, l Layout, n int) {
	for h := range l.H {
		if l.Packed() {
			clear(x[l.Row(n, h):][:l.W*l.C])
			continue
		}
		for w := range l.W {
			clear(x[l.At(n, h, w, 0):][:l.C])
		}
	}
}
