package kernels

// Depthwise convolution: each channel has its own kernel. The loops run over the
// channels of a pixel; packed weights are [KH KW C].

// packTaps brings weights [C 1 KH KW] into the order [KH KW C].
func (s *ConvShape) packTaps(dst, w []float32) {
	taps := s.KH * s.KW
	for c := range s.C {
		for t := range taps {
			dst[t*s.C+c] = w[c*taps+t]
		}
	}
}

func (s *ConvShape) forwardDepthwise(y []float32, yl Layout, x []float32, xl Layout, packed, bias []float32, n0, n1 int) {
	for n := n0; n < n1; n++ {
		for oh := range s.OH {
			for ow := range s.OW {
				d := y[yl.At(n, oh, ow, 0):][:s.C]
				if bias != nil {
					copy(d, bias)
				} else {
					clear(d)
				}
				for kh := range s.KH {
					for kw := range s.KW {
						at := xl.At(n, oh*s.StrideH+kh*s.DilH-s.PadTop, ow*s.StrideW+kw*s.DilW-s.PadLeft, 0)
						mulAdd(d, x[at:at+s.C], packed[(kh*s.KW+kw)*s.C:][:s.C])
					}
				}
			}
		}
	}
}

func (s *ConvShape) backwardInputDepthwise(dx []float32, dxl Layout, dy []float32, dyl Layout, packed []float32, n0, n1 int, add bool) {
	for n := n0; n < n1; n++ {
		for h := range s.H {
			ph := s.phaseH((h + s.PadTop) % s.StrideH)
			th := (h + s.PadTop) / s.StrideH
			for w := range s.W {
				pw := s.phaseW((w + s.PadLeft) % s.StrideW)
				tw := (w + s.PadLeft) / s.StrideW
				d := dx[dxl.At(n, h, w, 0):][:s.C]
				if !add {
					clear(d)
				}
				for ih := ph.taps - 1; ih >= 0; ih-- {
					for iw := pw.taps - 1; iw >= 0; iw-- {
						tap := (ph.first+ih*ph.step)*s.KW + pw.first + iw*pw.step
						at := dyl.At(n, th-ph.shift-ih*ph.shiftStep, tw-pw.shift-iw*pw.shiftStep, 0)
						mulAdd(d, dy[at:at+s.C], packed[tap*s.C:][:s.C])
					}
				}
			}
		}
	}
}

func (s *ConvShape) backwardWeightDepthwise(dw []float32, x []float32, xl Layout, dy []float32, dyl Layout, n0, n1 int, add bool) {
	// The internal order [G KH KW 1 1] has the channel outermost; the sums of a
	// block of channels are kept in local arrays, one tap at a time.
	var block [64]float32
	taps := s.KH * s.KW
	for tap := range taps {
		kh, kw := tap/s.KW, tap%s.KW
		for c := 0; c < s.C; c += len(block) {
			sums := block[:min(len(block), s.C-c)]
			clear(sums)
			for n := n0; n < n1; n++ {
				for oh := range s.OH {
					xr := xl.Row(n, oh*s.StrideH+kh*s.DilH-s.PadTop) + (kw*s.DilW-s.PadLeft)*xl.SW + c
					yr := dyl.Row(n, oh) + c
					for ow := range s.OW {
						mulAdd(sums, x[xr+ow*s.StrideW*xl.SW:][:len(sums)], dy[yr+ow*dyl.SW:][:len(sums)])
					}
				}
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
