//go:build !amd64 || purego

package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

func init() { register("accumulate", cpu.Portable, func() {}) }

func accumulate(dst, x []float32) { accumulatePortable(dst, x) }
