//go:build !amd64 || purego

package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

func init() { register("add codes", cpu.Portable, func() {}) }

func addShift(dst, a, b CodeRows, rows, n int, s *shiftSum) { addShiftPortable(dst, a, b, rows, n, s) }

func addFloat(dst, a, b CodeRows, rows, n int, s *floatSum) { addFloatPortable(dst, a, b, rows, n, s) }
