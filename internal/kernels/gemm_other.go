//go:build !amd64 || purego

package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

func init() { register("gemm", cpu.Portable, func() {}) }

func (g *GEMM) run() { g.runPortable() }
