//go:build amd64 && !purego

package kernels

import (
	"unsafe"

	"github.com/bitgrad/bitgrad/internal/cpu"
)

//go:noescape
func transposeAVX512(dst, src *uint32, dstStep, srcStep, rows, columns int)

func init() {
	register("pack", cpu.AVX512, func() {
		packColumns, packTapBlock, packQuads = packColumnsWide, packTapBlockWide, packQuadsWide
	})
	register("unpack", cpu.AVX512, func() { unpackColumns = unpackColumnsWide })
}

// word returns the place of an element for transposeAVX512, which knows no alignment.
func word[T any](p *T) *uint32 { return (*uint32)(unsafe.Pointer(p)) }

func packColumnsWide(dst, src []float32, width, columns, channels, taps int) {
	size := channels * taps
	_, _ = dst[(size-1)*width+columns-1], src[columns*size-1]
	var block [16 * 16]float32
	for o := 0; o < columns; o += 16 {
		m := min(16, columns-o)
		order := tapOrder{channels: channels, taps: taps}
		for i := 0; i < size; i += 16 {
			n := min(16, size-i)
			if taps == 1 {
				transposeAVX512(word(&dst[i*width+o]), word(&src[o*size+i]), 4*width, 4*size, m, n)
				continue
			}
			transposeAVX512(word(&block[0]), word(&src[o*size+i]), 4*16, 4*size, m, n)
			for j := range n {
				copy(dst[order.next()*width+o:][:m], block[16*j:])
			}
		}
	}
}

func packTapBlockWide(dst, w []float32, b tapBlock) {
	if b.taps == 1 { // rows lie as they are read
		packTapBlockPortable(dst, w, b)
		return
	}
	var block [16 * 16]float32
	for o := range b.outputs {
		x := w[o*b.step:][:(b.columns-1)*b.taps+b.n]
		for c := 0; c < b.columns; c += 16 {
			m := min(16, b.columns-c)
			transposeAVX512(word(&block[0]), word(&x[c*b.taps]), 4*16, 4*b.taps, m, b.n)
			for i, at := range b.to[:b.n] {
				copy(dst[at+o*b.width+c:][:m], block[16*i:])
			}
		}
	}
}

func unpackColumnsWide(dst, src []float32, columns, channels, taps int) {
	size := channels * taps
	_, _ = dst[columns*size-1], src[size*columns-1]
	var block [16 * 16]float32
	for o := 0; o < columns; o += 16 {
		m := min(16, columns-o)
		order := tapOrder{channels: channels, taps: taps}
		for i := 0; i < size; i += 16 {
			n := min(16, size-i)
			if taps == 1 {
				transposeAVX512(word(&dst[o*size+i]), word(&src[i*columns+o]), 4*size, 4*columns, n, m)
				continue
			}
			for j := range n {
				copy(block[16*j:][:m], src[order.next()*columns+o:])
			}
			transposeAVX512(word(&dst[o*size+i]), word(&block[0]), 4*size, 4*16, n, m)
		}
	}
}

func packQuadsWide(dst []int8, src []uint8, width, columns, k int) {
	quads := k / 4
	for o := 0; o < columns && quads > 0; o += 16 {
		m := min(16, columns-o)
		for i := 0; i < quads; i += 16 {
			n := min(16, quads-i)
			_, _ = dst[4*((i+n-1)*width+o+m)-1], src[(o+m-1)*k+4*(i+n)-1]
			transposeAVX512(word(&dst[4*(i*width+o)]), word(&src[o*k+4*i]), 4*width, k, m, n)
		}
	}
	if rest := k % 4; rest > 0 {
		for o := range columns {
			for i := range rest {
				dst[4*(quads*width+o)+i] = int8(src[o*k+4*quads+i])
			}
		}
	}
}
