//go:build amd64 && !purego

package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

//go:noescape
func reluAVX512(dst, x *float32, n int, limit float32)

//go:noescape
func reluBackwardAVX512(dx, dy, y *float32, n int, limit float32)

//go:noescape
func reluBackwardAddAVX512(dx, dy, y *float32, n int, limit float32)

//go:noescape
func addAVX512(dst, a, b *float32, n int)

//go:noescape
func scaleAVX512(dst, x *float32, n int, alpha float32)

//go:noescape
func axpyAVX512(dst, x *float32, n int, alpha float32)

//go:noescape
func divideAVX512(dst, x *float32, n int, divisor float32)

//go:noescape
func scaleBiasAVX512(dst, x, scale, bias *float32, pixels, channels int)

//go:noescape
func leakyReLUAVX512(dst, x *float32, n int, slope float32)

//go:noescape
func leakyBackAVX512(dx, dy, y *float32, n int, slope float32)

//go:noescape
func leakyBackAddAVX512(dx, dy, y *float32, n int, slope float32)

//go:noescape
func addReLUAVX512(dst, a, b *float32, n int, limit float32)

//go:noescape
func scaleReLUAVX512(dst, x, scale, bias *float32, pixels, channels int, limit float32)

//go:noescape
func scaleAddReLUAVX512(dst, x, scale, bias, other *float32, pixels, channels int, limit float32)

//go:noescape
func mixAVX512(dst, x, y, a, b, k *float32, pixels, channels int)

// accumulateLevel and divideLevel say which variants of accumulate and divide run. They are numbers
// and not function variables, so that sums on the stack of a caller stay there.
var accumulateLevel, divideLevel cpu.ISA

func init() {
	for _, level := range []cpu.ISA{cpu.Portable, cpu.AVX2, cpu.AVX512} {
		register("accumulate", level, func() { accumulateLevel = level })
		register("divide", level, func() { divideLevel = level })
	}
	register("elementwise", cpu.AVX512, func() {
		relu = func(dst, x []float32, limit float32) { reluAVX512(&dst[0], &x[0], len(x), limit) }
		reluBackward = func(dx, dy, y []float32, limit float32, add bool) {
			if add {
				reluBackwardAddAVX512(&dx[0], &dy[0], &y[0], len(dx), limit)
			} else {
				reluBackwardAVX512(&dx[0], &dy[0], &y[0], len(dx), limit)
			}
		}
		add = func(dst, a, b []float32) { addAVX512(&dst[0], &a[0], &b[0], len(dst)) }
		axpy = func(dst []float32, alpha float32, x []float32) { axpyAVX512(&dst[0], &x[0], len(dst), alpha) }
		scale = func(dst []float32, alpha float32, x []float32) { scaleAVX512(&dst[0], &x[0], len(dst), alpha) }
		scaleBias = func(dst, x, scale, bias []float32) {
			scaleBiasAVX512(&dst[0], &x[0], &scale[0], &bias[0], len(x)/len(scale), len(scale))
		}
		leakyReLU = func(dst, x []float32, slope float32) { leakyReLUAVX512(&dst[0], &x[0], len(x), slope) }
		leakyBack = func(dx, dy, y []float32, slope float32, add bool) {
			if add {
				leakyBackAddAVX512(&dx[0], &dy[0], &y[0], len(dx), slope)
			} else {
				leakyBackAVX512(&dx[0], &dy[0], &y[0], len(dx), slope)
			}
		}
		addReLU = func(dst, a, b []float32, limit float32) {
			addReLUAVX512(&dst[0], &a[0], &b[0], len(dst), limit)
		}
		scaleReLU = func(dst, x, scale, bias []float32, limit float32) {
			scaleReLUAVX512(&dst[0], &x[0], &scale[0], &bias[0], len(x)/len(scale), len(scale), limit)
		}
		scaleAddReLU = func(dst, x, scale, bias, other []float32, limit float32) {
			scaleAddReLUAVX512(&dst[0], &x[0], &scale[0], &bias[0], &other[0], len(x)/len(scale), len(scale), limit)
		}
		mix = func(dst, x, y, a, b, k []float32) {
			mixAVX512(&dst[0], &x[0], &y[0], &a[0], &b[0], &k[0], len(x)/len(a), len(a))
		}
	})
}

func accumulate(dst, x []float32) {
	x = x[:len(dst)]
	switch {
	case accumulateLevel == cpu.Portable || len(dst) == 0 || accumulateLevel == cpu.AVX2 && len(dst) < strip:
		accumulatePortable(dst, x)
	case accumulateLevel == cpu.AVX2:
		addAVX2(&dst[0], &dst[0], &x[0], len(dst))
	default:
		addAVX512(&dst[0], &dst[0], &x[0], len(dst))
	}
}

func divide(dst, x []float32, divisor float32) {
	x = x[:len(dst)]
	switch {
	case divideLevel == cpu.Portable || len(dst) == 0 || divideLevel == cpu.AVX2 && len(dst) < strip:
		dividePortable(dst, x, divisor)
	case divideLevel == cpu.AVX2:
		divideAVX2(&dst[0], &x[0], len(dst), divisor)
	default:
		divideAVX512(&dst[0], &x[0], len(dst), divisor)
	}
}
