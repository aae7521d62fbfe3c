//go:build !amd64 || purego

package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

func init() { register("affine", cpu.Portable, func() {}) }

func requantizeAffine(dst []uint8, acc []int32, a, off []float32, z, lo, hi int32, up bool) {
	requantizeAffinePortable(dst, acc, a, off, z, lo, hi, up)
}

func accumulatorRange(least, most, acc []int32) { accumulatorRangePortable(least, most, acc) }

func finiteRange(ends *[2][rangeLanes]float32, x []float32) (bad int) {
	return finiteRangePortable(ends, x)
}
