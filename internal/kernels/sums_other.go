//go:build !amd64 || purego

package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

func init() { register("moments", cpu.Portable, func() {}) }

func rowProducts(sum, product []float64, a []float32, astep int, b []float32, bstep, pixels int) {
	rowProductsPortable(sum, product, a, astep, b, bstep, pixels)
}

func addAccumulators(m *AccMoments, acc []int32) { addAccumulatorsPortable(m, acc) }
