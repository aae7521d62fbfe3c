//go:build !amd64 || purego

package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

func init() {
	register("accumulate", cpu.Portable, func() {})
	register("divide", cpu.Portable, func() {})
}

func accumulate(dst, x []float32) { accumulatePortable(dst, x) }

func divide(dst, x []float32, divisor float32) { dividePortable(dst, x, divisor) }
