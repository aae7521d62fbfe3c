//go:build !amd64 || purego

package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

func accumulate(dst, x []float32) { accumulatePortable(dst, x) }

func mulAdd(dst, a, b []float32) { mulAddPortable(dst, a, b) }

func mulAddCodes(dst []int32, a []uint8, w []int8, flip uint8) { mulAddCodesPortable(dst, a, w, flip) }

func init() { register("mul add", cpu.Portable, func() {}) }
