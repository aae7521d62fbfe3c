package kernels

// Average computes y = Σ over each window of x / Divisor, for images n0..n1-1. The sum
// is in float32, in the order of the window's rows.
func (s *PoolShape) Average(y []float32, yl Layout, x []float32, xl Layout, n0, n1 int) {
	imageRange("average pool", n0, n1, yl, xl)
	for n := n0; n < n1; n++ {
		for oh := range s.OH {
			for ow := range s.OW {
				d := y[yl.At(n, oh, ow, 0):][:s.C]
				clear(d)
				h0, h1, w0, w1 := s.window(oh, ow)
				for h := h0; h < h1; h++ {
					for w := w0; w < w1; w++ {
						accumulate(d, x[xl.At(n, h, w, 0):][:s.C])
					}
				}
				count := float32(s.Divisor(oh, ow))
				for c := range d {
					d[c] /= count
				}
			}
		}
	}
}

// AverageBackward adds dy / Divisor to each pixel of the window, for images n0..n1-1;
// without add, dx is zeroed first.
func (s *PoolShape) AverageBackward(dx []float32, dxl Layout, dy []float32, dyl Layout, n0, n1 int, add bool) {
	imageRange("average pool backward", n0, n1, dxl, dyl)
	var share [64]float32 // dy / Divisor
	for n := n0; n < n1; n++ {
		if !add {
			clearImage(dx, dxl, n)
		}
		for oh := range s.OH {
			for ow := range s.OW {
				count := float32(s.Divisor(oh, ow))
				h0, h1, w0, w1 := s.window(oh, ow)
				for first := 0; first < s.C; first += len(share) {
					part := share[:min(len(share), s.C-first)]
					for c, v := range dy[dyl.At(n, oh, ow, first):][:len(part)] {
						part[c] = v / count
					}
					for h := h0; h < h1; h++ {
						for w := w0; w < w1; w++ {
							accumulate(dx[dxl.At(n, h, w, first):][:len(part)], part)
						}
					}
				}
			}
		}
	}
}

// SumCodes computes acc = Σ (q − z) over the pixels of each window of output row oh of
// image n, into acc, dense [OW C]; with signed, codes are int8 bit patterns. A quantized
// average pool divides these by Divisor.
func (s *PoolShape) SumCodes(acc []int32, x []uint8, xl Layout, signed bool, z int32, n, oh int) {
	var flip uint8
	if signed {
		flip, z = 0x80, z+128
	}
	for ow := range s.OW {
		d := acc[ow*s.C:][:s.C]
		h0, h1, w0, w1 := s.window(oh, ow)
		start := -z * int32((h1-h0)*(w1-w0))
		for c := range d {
			d[c] = start
		}
		for h := h0; h < h1; h++ {
			for w := w0; w < w1; w++ {
				for c, q := range x[xl.At(n, h, w, 0):][:s.C] {
					d[c] += int32(q ^ flip)
				}
			}
		}
	}
}
