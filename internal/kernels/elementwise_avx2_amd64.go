//go:build amd64 && !purego

package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

//go:noescape
func reluAVX2(dst, x *float32, n int, limit float32)

//go:noescape
func reluBackwardAVX2(dx, dy, y *float32, n int, limit float32)

//go:noescape
func reluBackwardAddAVX2(dx, dy, y *float32, n int, limit float32)

//go:noescape
func addAVX2(dst, a, b *float32, n int)

//go:noescape
func scaleAVX2(dst, x *float32, n int, alpha float32)

//go:noescape
func axpyAVX2(dst, x *float32, n int, alpha float32)

//go:noescape
func scaleBiasAVX2(dst, x, scale, bias *float32, pixels, channels int)

//go:noescape
func mixAVX2(dst, x, y, a, b, k *float32, pixels, channels int)

//go:noescape
func leakyReLUAVX2(dst, x *float32, n int, slope float32)

//go:noescape
func leakyBackAVX2(dx, dy, y *float32, n int, slope float32)

//go:noescape
func leakyBackAddAVX2(dx, dy, y *float32, n int, slope float32)

//go:noescape
func addReLUAVX2(dst, a, b *float32, n int, limit float32)

//go:noescape
func scaleReLUAVX2(dst, x, scale, bias *float32, pixels, channels int, limit float32)

//go:noescape
func scaleAddReLUAVX2(dst, x, scale, bias, other *float32, pixels, channels int, limit float32)

//go:noescape
func divideAVX2(dst, x *float32, n int, divisor float32)

// strip is the least number of elements that the AVX2 kernels take; shorter rows are left to the
// portable loops.
const strip = 8

func init() {
	register("elementwise", cpu.AVX2, func() {
		relu = func(dst, x []float32, limit float32) {
			if len(x) < strip {
				reluPortable(dst, x, limit)
			} else {
				reluAVX2(&dst[0], &x[0], len(x), limit)
			}
		}
		reluBackward = func(dx, dy, y []float32, limit float32, add bool) {
			switch {
			case len(dx) < strip:
				reluBackwardPortable(dx, dy, y, limit, add)
			case add:
				reluBackwardAddAVX2(&dx[0], &dy[0], &y[0], len(dx), limit)
			default:
				reluBackwardAVX2(&dx[0], &dy[0], &y[0], len(dx), limit)
			}
		}
		add = func(dst, a, b []float32) {
			if len(dst) < strip {
				addPortable(dst, a, b)
			} else {
				addAVX2(&dst[0], &a[0], &b[0], len(dst))
			}
		}
		axpy = func(dst []float32, alpha float32, x []float32) {
			if len(dst) < strip {
				axpyPortable(dst, alpha, x)
			} else {
				axpyAVX2(&dst[0], &x[0], len(dst), alpha)
			}
		}
		scale = func(dst []float32, alpha float32, x []float32) {
			if len(dst) < strip {
				scalePortable(dst, alpha, x)
			} else {
				scaleAVX2(&dst[0], &x[0], len(dst), alpha)
			}
		}
		leakyReLU = func(dst, x []float32, slope float32) {
			if len(x) < strip {
				leakyReLUPortable(dst, x, slope)
			} else {
				leakyReLUAVX2(&dst[0], &x[0], len(x), slope)
			}
		}
		leakyBack = func(dx, dy, y []float32, slope float32, add bool) {
			switch {
			case len(dx) < strip:
				leakyBackPortable(dx, dy, y, slope, add)
			case add:
				leakyBackAddAVX2(&dx[0], &dy[0], &y[0], len(dx), slope)
			default:
				leakyBackAVX2(&dx[0], &dy[0], &y[0], len(dx), slope)
			}
		}
		addReLU = func(dst, a, b []float32, limit float32) {
			if len(dst) < strip {
				addReLUPortable(dst, a, b, limit)
			} else {
				addReLUAVX2(&dst[0], &a[0], &b[0], len(dst), limit)
			}
		}
		scaleBias, mix, scaleReLU, scaleAddReLU = scaleBiasStrips, mixStrips, scaleReLUStrips, scaleAddReLUStrips
	})
}

func scaleBiasStrips(dst, x, scale, bias []float32) {
	ps, pb := &scale[0], &bias[0]
	if len(scale) < strip {
		var s, b [equalChannels]float32
		ps, pb = repeated(&s, scale), repeated(&b, bias)
	}
	spans, tail := avx2.split(len(x), len(scale))
	for _, s := range spans {
		if s.pixels > 0 {
			scaleBiasAVX2(&dst[s.from], &x[s.from], ps, pb, s.pixels, s.channels)
		}
	}
	scaleBiasPortable(dst[tail:], x[tail:], scale, bias)
}

func scaleReLUStrips(dst, x, scale, bias []float32, limit float32) {
	ps, pb := &scale[0], &bias[0]
	if len(scale) < strip {
		var s, b [equalChannels]float32
		ps, pb = repeated(&s, scale), repeated(&b, bias)
	}
	spans, tail := avx2.split(len(x), len(scale))
	for _, s := range spans {
		if s.pixels > 0 {
			scaleReLUAVX2(&dst[s.from], &x[s.from], ps, pb, s.pixels, s.channels, limit)
		}
	}
	scaleReLUPortable(dst[tail:], x[tail:], scale, bias, limit)
}

func scaleAddReLUStrips(dst, x, scale, bias, other []float32, limit float32) {
	ps, pb := &scale[0], &bias[0]
	if len(scale) < strip {
		var s, b [equalChannels]float32
		ps, pb = repeated(&s, scale), repeated(&b, bias)
	}
	spans, tail := avx2.split(len(x), len(scale))
	for _, s := range spans {
		if s.pixels > 0 {
			scaleAddReLUAVX2(&dst[s.from], &x[s.from], ps, pb, &other[s.from], s.pixels, s.channels, limit)
		}
	}
	scaleAddReLUPortable(dst[tail:], x[tail:], scale, bias, other[tail:], limit)
}

func mixStrips(dst, x, y, a, b, k []float32) {
	pa, pb, pk := &a[0], &b[0], &k[0]
	if len(a) < strip {
		var ra, rb, rk [equalChannels]float32
		pa, pb, pk = repeated(&ra, a), repeated(&rb, b), repeated(&rk, k)
	}
	spans, tail := avx2.split(len(x), len(a))
	for _, s := range spans {
		if s.pixels > 0 {
			mixAVX2(&dst[s.from], &x[s.from], &y[s.from], pa, pb, pk, s.pixels, s.channels)
		}
	}
	mixPortable(dst[tail:], x[tail:], y[tail:], a, b, k)
}
