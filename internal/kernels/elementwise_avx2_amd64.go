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
func axpyAVX2(dst, x *float32, n int, alpha float32)

//go:noescape
func scaleBiasAVX2(dst, x, scale, bias *float32, pixels, channels int)

// The AVX2 kernels take a multiple of eight elements; the portable loops do the rest.
func init() {
	register("elementwise", cpu.AVX2, func() {
		relu = func(dst, x []float32, limit float32) {
			n := len(x) &^ 7
			if n > 0 {
				reluAVX2(&dst[0], &x[0], n, limit)
			}
			reluPortable(dst[n:], x[n:], limit)
		}
		reluBackward = func(dx, dy, y []float32, limit float32, add bool) {
			n := len(dx) &^ 7
			switch {
			case n == 0:
			case add:
				reluBackwardAddAVX2(&dx[0], &dy[0], &y[0], n, limit)
			default:
				reluBackwardAVX2(&dx[0], &dy[0], &y[0], n, limit)
			}
			reluBackwardPortable(dx[n:], dy[n:], y[n:], limit, add)
		}
		add = func(dst, a, b []float32) {
			n := len(dst) &^ 7
			if n > 0 {
				addAVX2(&dst[0], &a[0], &b[0], n)
			}
			addPortable(dst[n:], a[n:], b[n:])
		}
		axpy = func(dst []float32, alpha float32, x []float32) {
			n := len(dst) &^ 7
			if n > 0 {
				axpyAVX2(&dst[0], &x[0], n, alpha)
			}
			axpyPortable(dst[n:], alpha, x[n:])
		}
		scaleBias = func(dst, x, scale, bias []float32) {
			if len(scale)%8 == 0 {
				scaleBiasAVX2(&dst[0], &x[0], &scale[0], &bias[0], len(x)/len(scale), len(scale))
			} else {
				scaleBiasPortable(dst, x, scale, bias)
			}
		}
	})
}
