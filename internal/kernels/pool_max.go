package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

// MaxIndexable reports whether the taps of a window can be numbered in one byte, which
// Max and MaxBackward need for their indices.
func (s *PoolShape) MaxIndexable() bool { return s.KH*s.KW <= 256 }

// Max computes y = maximum over each window of x, for images n0..n1-1. The first of
// equal values wins, and NaN wins over numbers. index, dense [N OH OW C], receives the tap
// that won for MaxBackward; it may be nil.
func (s *PoolShape) Max(y []float32, yl Layout, x []float32, xl Layout, index []uint8, n0, n1 int) {
	maxPool(s, y, yl, x, xl, index, n0, n1, maxTap)
}

// MaxCodes is Max for codes in bytes; with signed they are int8 bit patterns.
func (s *PoolShape) MaxCodes(y []uint8, yl Layout, x []uint8, xl Layout, signed bool, index []uint8, n0, n1 int) {
	if signed {
		maxPool(s, y, yl, x, xl, index, n0, n1, maxTapSigned)
	} else {
		maxPool(s, y, yl, x, xl, index, n0, n1, maxTapUnsigned)
	}
}

// maxPool compares whole pixels: take(d, idx, x, tap) replaces the elements of d that
// are below those of x, and notes tap in idx, which may be nil.
func maxPool[T float32 | uint8](s *PoolShape, y []T, yl Layout, x []T, xl Layout, index []uint8, n0, n1 int, take func(d []T, idx []uint8, x []T, tap uint8)) {
	imageRange("max pool", n0, n1, yl, xl)
	for n := n0; n < n1; n++ {
		for oh := range s.OH {
			for ow := range s.OW {
				h0, h1, w0, w1 := s.window(oh, ow)
				d := y[yl.At(n, oh, ow, 0):][:s.C]
				copy(d, x[xl.At(n, h0, w0, 0):][:s.C])
				top, left := oh*s.StrideH-s.PadTop, ow*s.StrideW-s.PadLeft
				var idx []uint8
				if index != nil {
					idx = index[((n*s.OH+oh)*s.OW+ow)*s.C:][:s.C]
					first := uint8((h0-top)*s.KW + w0 - left)
					for c := range idx {
						idx[c] = first
					}
				}
				for h := h0; h < h1; h++ {
					from := w0
					if h == h0 {
						from++ // the pixel that d began with
					}
					for w := from; w < w1; w++ {
						take(d, idx, x[xl.At(n, h, w, 0):][:s.C], uint8((h-top)*s.KW+w-left))
					}
				}
			}
		}
	}
}

func maxTapPortable(d []float32, idx []uint8, x []float32, tap uint8) {
	x = x[:len(d)]
	for c, v := range x {
		if v > d[c] || v != v && d[c] == d[c] {
			d[c] = v
			if idx != nil {
				idx[c] = tap
			}
		}
	}
}

func maxTapUnsigned(d []uint8, idx []uint8, x []uint8, tap uint8) {
	x = x[:len(d)]
	for c, v := range x {
		if v > d[c] {
			d[c] = v
			if idx != nil {
				idx[c] = tap
			}
		}
	}
}

func maxTapSigned(d []uint8, idx []uint8, x []uint8, tap uint8) {
	x = x[:len(d)]
	for c, v := range x {
		if int8(v) > int8(d[c]) {
			d[c] = v
			if idx != nil {
				idx[c] = tap
			}
		}
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
				base := dxl.At(n, oh*s.StrideH-s.PadTop, ow*s.StrideW-s.PadLeft, 0)
				idx := index[((n*s.OH+oh)*s.OW+ow)*s.C:][:s.C]
				g := dy[dyl.At(n, oh, ow, 0):][:s.C]
				for c, i := range idx {
					kh := int(i) / s.KW
					dx[base+kh*dxl.SH+(int(i)-kh*s.KW)*dxl.SW+c] += g[c]
				}
			}
		}
	}
}

// clearImage zeroes the interior of image n.
func clearImage(x []float32, l Layout, n int) {
	for h := range l.H {
		for w := range l.W {
			clear(x[l.At(n, h, w, 0):][:l.C])
		}
	}
}

var maxTap = maxTapPortable

func init() { register("max tap", cpu.Portable, func() { maxTap = maxTapPortable }) }
