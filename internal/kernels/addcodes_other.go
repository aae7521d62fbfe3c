//go:build !amd64 || purego

package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

func init() { register("add codes", cpu.Portable, func() {}) }

func addShift(dst, a, b []uint8, s *shiftSum) { addShiftPortable(dst, a, b, s) }

func addFloat(dst, a, b []uint8, s *floatSum) { addFloatPortable(dst, a, b, s) }
