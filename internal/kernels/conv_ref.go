package kernels

// The definitions of the three directions as nested loops in float64. They are
// what the kernels are tested against, and read no packed weights.

// RefForward is the definition of Forward, with weights w [O Cg KH KW].
func (s *ConvShape) RefForward(y []float32, yl Layout, x []float32, xl Layout, w, bias []float32) {
	cg, og := s.groups()
	for n := range yl.N {
		for oh := range s.OH {
			for ow := range s.OW {
				for o := range s.O {
					var sum float64
					if bias != nil {
						sum = float64(bias[o])
					}
					s.taps(oh, ow, func(kh, kw, h, iw int) {
						for c := range cg {
							sum += float64(x[xl.At(n, h, iw, o/og*cg+c)]) * float64(w[s.weight(o, c, kh, kw)])
						}
					})
					y[yl.At(n, oh, ow, o)] = float32(sum)
				}
			}
		}
	}
}

// RefBackwardInput is the definition of InputGradient.Backward, with weights w [O Cg KH KW].
func (s *ConvShape) RefBackwardInput(dx []float32, dxl Layout, dy []float32, dyl Layout, w []float32, add bool) {
	cg, og := s.groups()
	sums := make([]float64, s.H*s.W*s.C)
	for n := range dyl.N {
		clear(sums)
		for oh := range s.OH {
			for ow := range s.OW {
				s.taps(oh, ow, func(kh, kw, h, iw int) {
					for o := range s.O {
						for c := range cg {
							sums[(h*s.W+iw)*s.C+o/og*cg+c] += float64(dy[dyl.At(n, oh, ow, o)]) * float64(w[s.weight(o, c, kh, kw)])
						}
					}
				})
			}
		}
		for i, v := range sums {
			p := &dx[dxl.At(n, i/s.C/s.W, i/s.C%s.W, i%s.C)]
			if add {
				v += float64(*p)
			}
			*p = float32(v)
		}
	}
}

// RefBackwardWeight is the definition of BackwardWeight followed by
// UnpackWeightGrad: dw is [O Cg KH KW].
func (s *ConvShape) RefBackwardWeight(dw []float32, x []float32, xl Layout, dy []float32, dyl Layout, add bool) {
	cg, og := s.groups()
	sums := make([]float64, s.WeightSize())
	for n := range dyl.N {
		for oh := range s.OH {
			for ow := range s.OW {
				s.taps(oh, ow, func(kh, kw, h, iw int) {
					for o := range s.O {
						for c := range cg {
							sums[s.weight(o, c, kh, kw)] += float64(x[xl.At(n, h, iw, o/og*cg+c)]) * float64(dy[dyl.At(n, oh, ow, o)])
						}
					}
				})
			}
		}
	}
	for i, v := range sums {
		if add {
			v += float64(dw[i])
		}
		dw[i] = float32(v)
	}
}

// taps calls f for each tap of output pixel (oh, ow) that falls inside the input.
func (s *ConvShape) taps(oh, ow int, f func(kh, kw, h, w int)) {
	for kh := range s.KH {
		for kw := range s.KW {
			h, w := oh*s.StrideH+kh*s.DilH-s.PadTop, ow*s.StrideW+kw*s.DilW-s.PadLeft
			if h >= 0 && h < s.H && w >= 0 && w < s.W {
				f(kh, kw, h, w)
			}
		}
	}
}
