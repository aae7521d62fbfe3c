//go:build !amd64 || purego

package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

func init() { register("depthwise", cpu.Portable, func() {}) }

func (g *grid) mulAdd(d, x []float32, xAt int, w []float32, wAt int) {
	g.mulAddPortable(d, x, xAt, w, wAt)
}

func (g *grid) rowVectors(d, start []float32, dStep, startStep int, x []float32, xAt, xStep int, w []float32, wAt, channels, pixels int) int {
	return 0
}

func (g *grid) mulAddCodes(d []int32, x []uint8, xAt int, w []int8, wAt int, flip uint8) {
	g.mulAddCodesPortable(d, x, xAt, w, wAt, flip)
}
