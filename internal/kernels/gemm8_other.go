//go:build !amd64 || purego

package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

func init() { register("gemm8", cpu.Portable, func() {}) }

func (g *GEMM8) runEach(times, stepA, stepC int) { g.runEachPortable(times, stepA, stepC) }
