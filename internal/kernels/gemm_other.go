//go:build !amd64 || purego

package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

func init() { register("gemm", cpu.Portable, func() {}) }

func (g *GEMM) run() { g.runPortable() }

func (g *GEMM) runEach(times, stepA, stepB, stepC int) { g.runEachPortable(times, stepA, stepB, stepC) }
