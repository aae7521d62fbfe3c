//go:build !amd64 || purego

package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

func init() { register("add bits", cpu.Portable, func() {}) }

func addShiftBits(bits, a, b []uint8, s *shiftSum, first, last int32) (least, most int32) {
	return addShiftBitsPortable(bits, a, b, s, first, last)
}

func addFloatBits(bits, a, b []uint8, s *floatSum, first, last float32) (least, most float32) {
	return addFloatBitsPortable(bits, a, b, s, first, last)
}
