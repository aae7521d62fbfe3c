//go:build amd64 && !purego

package kernels

import (
	"unsafe"

	"github.com/bitgrad/bitgrad/internal/cpu"
)

//go:noescape
func maxWindowAVX512(d *float32, idx *uint8, x *float32, channels, rows, columns, rowStep, columnStep int, tap, skip uint8, flip uint8, noted uint16)

//go:noescape
func maxWindowCodesAVX512(d *uint8, idx *uint8, x *uint8, channels, rows, columns, rowStep, columnStep int, tap, skip uint8, flip uint8, noted uint16)

//go:noescape
func maxWindowBackwardAVX512(dx, dy *float32, idx *uint8, channels, rows, columns, rowStep, columnStep int, tap, skip uint8)

//go:noescape
func maxWindowAVX2(d *float32, idx *uint8, x *float32, channels, rows, columns, rowStep, columnStep int, tap, skip uint8, noted uint8, count, next, outStep int)

//go:noescape
func maxWindowCodes8AVX2(d *uint8, idx *uint8, x *uint8, channels, rows, columns, rowStep, columnStep int, tap, skip uint8, flip, noted uint8, count, next, outStep int)

//go:noescape
func maxWindowCodes16AVX2(d *uint8, idx *uint8, x *uint8, channels, rows, columns, rowStep, columnStep int, tap, skip uint8, flip, noted uint8, count, next, outStep int)

//go:noescape
func maxWindowBackwardAVX2(dx, dy *float32, idx *uint8, channels, rows, columns, rowStep, columnStep int, tap, skip uint8, count, next, outStep int)

// maxWindowLevel says which variant runs; see gradientLevel.
var maxWindowLevel cpu.ISA

func init() {
	for _, level := range []cpu.ISA{cpu.Portable, cpu.AVX2, cpu.AVX512} {
		register("max window", level, func() { maxWindowLevel = level })
	}
}

// check makes sure that the windows at the beginning of n elements and their output pixels
// at the beginning of out end before them.
func (w *window) check(n, out, channels int) {
	last := w.count - 1
	if last*w.next+(w.rows-1)*w.rowStep+(w.columns-1)*w.columnStep+channels > n || last*w.outStep+channels > out {
		panic("kernels: max pool: window beyond the end")
	}
}

// portable says that the level has no form for so few channels.
func (w *window) portable(channels int) bool {
	return maxWindowLevel == cpu.Portable || maxWindowLevel == cpu.AVX2 && channels < strip
}

// taps returns the place for the indices of the windows, and all ones, or 0 without indices.
func (w *window) taps(idx []uint8, channels int, other *uint8) (at *uint8, noted uint16) {
	if idx == nil {
		return other, 0
	}
	return &idx[:w.count*channels][0], 0xffff
}

func maxWindow(d []float32, idx []uint8, x []float32, channels int, w window) {
	if w.portable(channels) {
		maxWindowPortable(d, idx, x, channels, w)
		return
	}
	w.check(len(x), len(d), channels)
	// A place that exists, but is not written.
	at, noted := w.taps(idx, channels, (*uint8)(unsafe.Pointer(&d[0])))
	if maxWindowLevel == cpu.AVX2 {
		maxWindowAVX2(&d[0], at, &x[0], channels, w.rows, w.columns, 4*w.rowStep, 4*w.columnStep, w.tap, w.skip, uint8(noted), w.count, 4*w.next, 4*w.outStep)
		return
	}
	for i := range w.count {
		if noted != 0 {
			at = &idx[i*channels]
		}
		maxWindowAVX512(&d[i*w.outStep], at, &x[i*w.next], channels, w.rows, w.columns, 4*w.rowStep, 4*w.columnStep, w.tap, w.skip, 0, noted)
	}
}

func maxWindowCodes(d, idx, x []uint8, channels int, w window, flip uint8) {
	if w.portable(channels) {
		maxWindowCodesPortable(d, idx, x, channels, w, flip)
		return
	}
	w.check(len(x), len(d), channels)
	at, noted := w.taps(idx, channels, &d[0])
	switch { // the comparison of AVX2 is signed
	case maxWindowLevel == cpu.AVX2 && channels < 2*strip:
		maxWindowCodes8AVX2(&d[0], at, &x[0], channels, w.rows, w.columns, w.rowStep, w.columnStep, w.tap, w.skip, flip^0x80, uint8(noted), w.count, w.next, w.outStep)
		return
	case maxWindowLevel == cpu.AVX2:
		maxWindowCodes16AVX2(&d[0], at, &x[0], channels, w.rows, w.columns, w.rowStep, w.columnStep, w.tap, w.skip, flip^0x80, uint8(noted), w.count, w.next, w.outStep)
		return
	}
	for i := range w.count {
		if noted != 0 {
			at = &idx[i*channels]
		}
		maxWindowCodesAVX512(&d[i*w.outStep], at, &x[i*w.next], channels, w.rows, w.columns, w.rowStep, w.columnStep, w.tap, w.skip, flip, noted)
	}
}

func maxWindowBackward(dx, dy []float32, idx []uint8, channels int, w window) {
	if w.portable(channels) {
		maxWindowBackwardPortable(dx, dy, idx, channels, w)
		return
	}
	w.check(len(dx), len(dy), channels)
	idx = idx[:w.count*channels]
	if maxWindowLevel == cpu.AVX512 {
		for i := range w.count {
			maxWindowBackwardAVX512(&dx[i*w.next], &dy[i*w.outStep], &idx[i*channels], channels, w.rows, w.columns, 4*w.rowStep, 4*w.columnStep, w.tap, w.skip)
		}
		return
	}
	maxWindowBackwardAVX2(&dx[0], &dy[0], &idx[0], channels, w.rows, w.columns, 4*w.rowStep, 4*w.columnStep, w.tap, w.skip, w.count, 4*w.next, 4*w.outStep)
}
