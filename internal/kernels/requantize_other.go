//go:build !amd64 || purego

package kernels

import (
	"github.com/bitgrad/bitgrad/internal/cpu"
	"github.com/bitgrad/bitgrad/quant"
)

func init() { register("requantize rows", cpu.Portable, func() {}) }

func requantizeRows([]uint8, int, []int32, int, *quant.Requantizer) bool { return false }
