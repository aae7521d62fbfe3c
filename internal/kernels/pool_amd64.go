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

func init() {
	register("max window", cpu.AVX512, func() {
		maxWindow, maxWindowCodes, maxWindowBackward = maxWindowWide, maxWindowCodesWide, maxWindowBackwardWide
	})
}

// check makes sure that the window at the beginning of n elements ends before them.
func (w *window) check(n, channels int) {
	if (w.rows-1)*w.rowStep+(w.columns-1)*w.columnStep+channels > n {
		panic("kernels: max pool: window beyond the end")
	}
}

func maxWindowWide(d []float32, idx []uint8, x []float32, w window) {
	w.check(len(x), len(d))
	at, noted := (*uint8)(unsafe.Pointer(&d[0])), uint16(0) // a place that exists, but is not written
	if idx != nil {
		at, noted = &idx[:len(d)][0], 0xffff
	}
	maxWindowAVX512(&d[0], at, &x[0], len(d), w.rows, w.columns, 4*w.rowStep, 4*w.columnStep, w.tap, w.skip, 0, noted)
}

func maxWindowCodesWide(d, idx, x []uint8, w window, flip uint8) {
	w.check(len(x), len(d))
	at, noted := &d[0], uint16(0)
	if idx != nil {
		at, noted = &idx[:len(d)][0], 0xffff
	}
	maxWindowCodesAVX512(&d[0], at, &x[0], len(d), w.rows, w.columns, w.rowStep, w.columnStep, w.tap, w.skip, flip, noted)
}

func maxWindowBackwardWide(dx, dy []float32, idx []uint8, w window) {
	w.check(len(dx), len(dy))
	idx = idx[:len(dy)]
	maxWindowBackwardAVX512(&dx[0], &dy[0], &idx[0], len(dy), w.rows, w.columns, 4*w.rowStep, 4*w.columnStep, w.tap, w.skip)
}
