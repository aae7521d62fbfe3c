package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

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
}

// windowAt returns the window of output (oh, ow) in a tensor of layout l, and where it
// begins in image n.
func (s *PoolShape) windowAt(l Layout, n, oh, ow int) (start int, w window) {
	h0, h1, w0, w1 := s.window(oh, ow)
	tap := (h0-(oh*s.StrideH-s.PadTop))*s.KW + w0 - (ow*s.StrideW - s.PadLeft)
	return l.At(n, h0, w0, 0), window{h1 - h0, w1 - w0, l.SH, l.SW, uint8(tap), uint8(s.KW - (w1 - w0))}
}

// The loops over one window. d, idx and dy have one element per channel.
var (
	maxWindow         = maxWindowPortable
	maxWindowCodes    = maxWindowCodesPortable
	maxWindowBackward = maxWindowBackwardPortable
)

func init() {
	register("max window", cpu.Portable, func() {
		maxWindow, maxWindowCodes, maxWindowBackward = maxWindowPortable, maxWindowCodesPortable, maxWindowBackwardPortable
	})
}

// Max computes y = maximum over each window of x, for images n0..n1-1. The first of
// equal values wins, and NaN wins over numbers. index, dense [N OH OW C], receives the tap
// kh·KW+kw that won for MaxBackward; it may be nil.
func (s *PoolShape) Max(y []float32, yl Layout, x []float32, xl Layout, index []uint8, n0, n1 int) {
	imageRange("max pool", n0, n1, yl, xl)
	for n := n0; n < n1; n++ {
		for oh := range s.OH {
			for ow := range s.OW {
				start, w := s.windowAt(xl, n, oh, ow)
				maxWindow(y[yl.At(n, oh, ow, 0):][:s.C], s.indexAt(index, n, oh, ow), x[start:], w)
			}
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
			for ow := range s.OW {
				start, w := s.windowAt(xl, n, oh, ow)
				maxWindowCodes(y[yl.At(n, oh, ow, 0):][:s.C], s.indexAt(index, n, oh, ow), x[start:], w, flip)
			}
		}
	}
}

// indexAt returns the indices of one output pixel, or nil.
func (s *PoolShape) indexAt(index []uint8, n, oh, ow int) []uint8 {
	if index == nil {
		return nil
	}
	return index[((n*s.OH+oh)*s.OW+ow)*s.C:][:s.C]
}

func maxWindowPortable(d []float32, idx []uint8, x []float32, w window) {
	copy(d, x)
	tap := w.tap
	for i := range idx {
		idx[i] = tap
	}
	for h := range w.rows {
		for j := range w.columns {
			for c, v := range x[h*w.rowStep+j*w.columnStep:][:len(d)] {
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

func maxWindowCodesPortable(d, idx, x []uint8, w window, flip uint8) {
	copy(d, x)
	tap := w.tap
	for i := range idx {
		idx[i] = tap
	}
	for h := range w.rows {
		for j := range w.columns {
			for c, v := range x[h*w.rowStep+j*w.columnStep:][:len(d)] {
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

// MaxBackward adds dy to dx at the taps that index names, for images n0..n1-1; without
// add, dx is zeroed first.
func (s *PoolShape) MaxBackward(dx []float32, dxl Layout, dy []float32, dyl Layout, index []uint8, n0, n1 int, add bool) {
	imageRange("max pool backward", n0, n1, dxl, dyl)
	for n := n0; n < n1; n++ {
		if !add {
			clearImage(dx, dxl, n)
		}
		for oh := range s.OH {
			for ow := range s.OW {
				start, w := s.windowAt(dxl, n, oh, ow)
				maxWindowBackward(dx[start:], dy[dyl.At(n, oh, ow, 0):][:s.C], s.indexAt(index, n, oh, ow), w)
			}
		}
	}
}

func maxWindowBackwardPortable(dx, dy []float32, idx []uint8, w window) {
	idx = idx[:len(dy)]
	numbers := w.columns + int(w.skip) // taps from row to row
	for c, i := range idx {
		first := int(w.tap) % numbers
		h := (int(i)-first)/numbers - int(w.tap)/numbers
		j := (int(i) - first) % numbers
		dx[h*w.rowStep+j*w.columnStep+c] += dy[c]
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
