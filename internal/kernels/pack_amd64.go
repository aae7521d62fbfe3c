//go:build amd64 && !purego

package kernels

import (
	"unsafe"

	"github.com/bitgrad/bitgrad/internal/cpu"
)

//go:noescape
func transposeAVX512(dst, src *uint32, dstStep, srcStep, rows, columns int)

func init() {
	register("pack", cpu.AVX512, func() { packColumns, packQuads = packColumnsWide, packQuadsWide })
}

// word returns the place of an element for transposeAVX512, which knows no alignment.
func word[T any](p *T) *uint32 { return (*uint32)(unsafe.Pointer(p)) }

func packColumnsWide(dst, src []float32, width, columns, channels, taps int) {
	size := channels * taps
	_, _ = dst[(size-1)*width+columns-1], src[columns*size-1]
	var block [16 * 16]float32
	for o := 0; o < columns; o += 16 {
		m := min(16, columns-o)
		for i := 0; i < size; i += 16 {
			n := min(16, size-i)
			if taps == 1 {
				transposeAVX512(word(&dst[i*width+o]), word(&src[o*size+i]), 4*width, 4*size, m, n)
				continue
			}
			transposeAVX512(word(&block[0]), word(&src[o*size+i]), 4*16, 4*size, m, n)
			for j := range n {
				c := (i + j) / taps
				t := i + j - c*taps
				copy(dst[(t*channels+c)*width+o:][:m], block[16*j:])
			}
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
