package kernels

// Sums over windows are depthwise convolutions with weights of 1, for a block of channels.
var (
	ones     = equalWeights[float32]()
	onesInt8 = equalWeights[int8]()
)

func equalWeights[T float32 | int8]() (w [64]T) {
	for i := range w {
		w[i] = 1
	}
	return w
}

// Average computes y = Σ over each window of x / Divisor, for images n0..n1-1. The sum
// is in float32, in the order of the window's rows.
func (s *PoolShape) Average(y []float32, yl Layout, x []float32, xl Layout, n0, n1 int) {
	imageRange("average pool", n0, n1, yl, xl)
	for n := n0; n < n1; n++ {
		for oh := range s.OH {
			for ow := range s.OW {
				d := y[yl.At(n, oh, ow, 0):][:s.C]
				clear(d)
				g, h0, w0 := s.windowGrid(xl, oh, ow)
				for c := 0; c < s.C; c += len(ones) {
					g.mulAdd(d[c:min(c+len(ones), s.C)], x, xl.At(n, h0, w0, c), ones[:], 0)
				}
				divide(d, d, float32(s.Divisor(oh, ow)))
			}
		}
	}
}

// windowGrid returns the pixels of the window of output (oh, ow) in a tensor of layout l, for one weight, and
// where they begin.
func (s *PoolShape) windowGrid(l Layout, oh, ow int) (g grid, h0, w0 int) {
	h0, h1, w0, w1 := s.window(oh, ow)
	return grid{rows: h1 - h0, columns: w1 - w0, xRow: l.SH, xColumn: l.SW}, h0, w0
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
					divide(part, dy[dyl.At(n, oh, ow, first):][:len(part)], count)
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
		g, h0, w0 := s.windowGrid(xl, oh, ow)
		start := -z * int32(g.rows*g.columns)
		for c := range d {
			d[c] = start
		}
		for c := 0; c < s.C; c += len(onesInt8) {
			g.mulAddCodes(d[c:min(c+len(onesInt8), s.C)], x, xl.At(n, h0, w0, c), onesInt8[:], 0, flip)
		}
	}
}
