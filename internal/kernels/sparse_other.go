//go:build !amd64 || purego

package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

func init() { register("sparse", cpu.Portable, func() {}) }

func (p *SparseProduct) run() { p.runPortable() }
