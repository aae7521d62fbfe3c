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
func axpyAVX512(dst, x *float32, n int, alpha float32)

//go:noescape
func scaleBiasAVX512(dst, x, scale, bias *float32, pixels, channels int)

//go:noescape
func mulAddAVX512(dst, a, b *float32, n int)

//go:noescape
func mulAddCodesAVX512(dst *int32, a *uint8, w *int8, n int, flip uint32)

// mulAddLevel says which variant of accumulate, mulAdd and mulAddCodes runs; they are no function
// variables, so that sums on the stack stay there.
var mulAddLevel cpu.ISA

func init() {
	register("mul add", cpu.Portable, func() { mulAddLevel = cpu.Portable })
	register("mul add", cpu.AVX512, func() { mulAddLevel = cpu.AVX512 })
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
		scaleBias = func(dst, x, scale, bias []float32) {
			scaleBiasAVX512(&dst[0], &x[0], &scale[0], &bias[0], len(x)/len(scale), len(scale))
		}
	})
}

func accumulate(dst, x []float32) {
	if mulAddLevel == cpu.Portable || len(dst) == 0 {
		accumulatePortable(dst, x)
		return
	}
	x = x[:len(dst)]
	addAVX512(&dst[0], &dst[0], &x[0], len(dst))
}

func mulAdd(dst, a, b []float32) {
	if mulAddLevel == cpu.Portable || len(dst) == 0 {
		mulAddPortable(dst, a, b)
		return
	}
	a, b = a[:len(dst)], b[:len(dst)]
	mulAddAVX512(&dst[0], &a[0], &b[0], len(dst))
}

func mulAddCodes(dst []int32, a []uint8, w []int8, flip uint8) {
	if mulAddLevel == cpu.Portable || len(dst) == 0 {
		mulAddCodesPortable(dst, a, w, flip)
		return
	}
	a, w = a[:len(dst)], w[:len(dst)]
	mulAddCodesAVX512(&dst[0], &a[0], &w[0], len(dst), uint32(flip)*0x01010101)
}
