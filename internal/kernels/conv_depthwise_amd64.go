//go:build amd64 && !purego

package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

//go:noescape
func mulAddGridAVX512(d, x, w *float32, channels, rows, columns, xRow, xColumn, wRow, wColumn int)

//go:noescape
func mulAddGridCodesAVX512(d *int32, x *uint8, w *int8, channels, rows, columns, xRow, xColumn, wRow, wColumn int, flip uint32)

//go:noescape
func mulAddGridAVX2(d, x, w *float32, channels, rows, columns, xRow, xColumn, wRow, wColumn int)

//go:noescape
func mulAddGridCodesAVX2(d *int32, x *uint8, w *int8, channels, rows, columns, xRow, xColumn, wRow, wColumn int, flip uint32)

//go:noescape
func depthwiseRowAVX2(d, start, x, w *float32, channels, pixels, dStep, startStep, xStep, xRow, xColumn, wRow, wColumn int)

// gridLevel says which variant runs. It is a number and not a function variable, so that
// sums on the stack of a caller stay there.
var gridLevel cpu.ISA

func init() {
	for _, level := range []cpu.ISA{cpu.Portable, cpu.AVX2, cpu.AVX512} {
		register("depthwise", level, func() { gridLevel = level })
	}
}

func (g *grid) mulAdd(d, x []float32, xAt int, w []float32, wAt int) {
	if gridLevel == cpu.Portable || gridLevel == cpu.AVX2 && len(d) < strip {
		g.mulAddPortable(d, x, xAt, w, wAt)
		return
	}
	g.check(len(d), len(x), xAt, g.xRow, g.xColumn)
	g.check(len(d), len(w), wAt, g.wRow, g.wColumn)
	if gridLevel == cpu.AVX2 {
		mulAddGridAVX2(&d[0], &x[xAt], &w[wAt], len(d), g.rows, g.columns, 4*g.xRow, 4*g.xColumn, 4*g.wRow, 4*g.wColumn)
		return
	}
	mulAddGridAVX512(&d[0], &x[xAt], &w[wAt], len(d), g.rows, g.columns, 4*g.xRow, 4*g.xColumn, 4*g.wRow, 4*g.wColumn)
}

// rowVectors computes the first channels of a row and returns how many: those that fill vectors, where the grid has the
// taps of a kernel 3×3.
func (g *grid) rowVectors(d, start []float32, dStep, startStep int, x []float32, xAt, xStep int, w []float32, wAt, channels, pixels int) int {
	n := channels &^ 7
	if gridLevel < cpu.AVX2 || g.rows != 3 || g.columns != 3 || n == 0 || pixels == 0 {
		return 0
	}
	g.check(n, len(x), xAt, g.xRow, g.xColumn)
	g.check(n, len(x), xAt+(pixels-1)*xStep, g.xRow, g.xColumn)
	g.check(n, len(w), wAt, g.wRow, g.wColumn)
	_, _ = d[(pixels-1)*dStep:][n-1], start[(pixels-1)*startStep:][n-1]
	depthwiseRowAVX2(&d[0], &start[0], &x[xAt], &w[wAt], n, pixels, 4*dStep, 4*startStep, 4*xStep, 4*g.xRow, 4*g.xColumn, 4*g.wRow, 4*g.wColumn)
	return n
}

func (g *grid) mulAddCodes(d []int32, x []uint8, xAt int, w []int8, wAt int, flip uint8) {
	if gridLevel == cpu.Portable || gridLevel == cpu.AVX2 && len(d) < strip {
		g.mulAddCodesPortable(d, x, xAt, w, wAt, flip)
		return
	}
	g.check(len(d), len(x), xAt, g.xRow, g.xColumn)
	g.check(len(d), len(w), wAt, g.wRow, g.wColumn)
	if gridLevel == cpu.AVX2 {
		mulAddGridCodesAVX2(&d[0], &x[xAt], &w[wAt], len(d), g.rows, g.columns, g.xRow, g.xColumn, g.wRow, g.wColumn, uint32(flip)*0x01010101)
		return
	}
	mulAddGridCodesAVX512(&d[0], &x[xAt], &w[wAt], len(d), g.rows, g.columns, g.xRow, g.xColumn, g.wRow, g.wColumn, uint32(flip)*0x01010101)
}

// check makes sure that the pixels of the grid from index at on lie inside n elements.
func (g *grid) check(channels, n, at, row, column int) {
	first, last := at, at
	for _, span := range [2]int{(g.rows - 1) * row, (g.columns - 1) * column} {
		first, last = first+min(span, 0), last+max(span, 0)
	}
	if channels < 1 || g.rows < 1 || g.columns < 1 || first < 0 || last+channels > n {
		panic("kernels: depthwise: grid beyond the end")
	}
}
