//go:build !amd64 || purego

package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

func init() { register("gradient", cpu.Portable, func() {}) }

func dotCodes(sums *[sumLanes]float64, x []float32, codes []uint8, flip, z int32) {
	dotCodesPortable(sums, x, codes, flip, z)
}

func selectRange(sums *[sumLanes]float64, dst, src, x []float32, lo, hi float32, add bool) {
	selectRangePortable(sums, dst, src, x, lo, hi, add)
}

func selectAccumulators(d []float32, acc, first, last []int32, sum, product []float64) {
	selectAccumulatorsPortable(d, acc, first, last, sum, product)
}

func mixAccumulators(d []float32, acc []int32, a, b, k []float64) {
	mixAccumulatorsPortable(d, acc, a, b, k)
}
