//go:build !amd64 || purego

package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

func init() { register("intconv", cpu.Portable, func() {}) }

// ScratchLen returns the bytes of scratch that Rows needs.
func (s *IntConv) ScratchLen() int {
	if s.Depthwise() {
		return 0
	}
	return s.panelScratch()
}

func (s *IntConv) copyRows(_ *lowering, dst, src []uint8, n, rows, dstStep, srcStep int) {
	offsetRows(dst, src, n, rows, dstStep, srcStep, uint8(s.offset()))
}

// Without assembly there is no form but panels and taps.

func (s *IntConv) packOwn(*IntWeights, []uint8) bool { return false }

func (s *IntConv) startLowered(*IntWeights, func(o int) int32) {}

func (s *IntConv) weaveOwn(*IntWeights, *lowering, []uint8, []uint8, Layout, int) bool { return false }

func (s *IntConv) rowsOwn([]int32, []uint8, Layout, *IntWeights, []uint8, int, int, int) {}

// RowUnit returns the number of output rows of which Rows computes multiples without waste.
func (s *IntConv) RowUnit() int { return 1 }

func sumColumns(sums []int32, w []uint8) { sumColumnsPortable(sums, w) }
