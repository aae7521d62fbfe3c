//go:build !amd64 || purego

package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

func init() { register("channel sums", cpu.Portable, func() {}) }

func channelSums(sum []float64, x []float32, rows, pixels, rowStep, step int) {
	channelSumsPortable(sum, x, rows, pixels, rowStep, step)
}
