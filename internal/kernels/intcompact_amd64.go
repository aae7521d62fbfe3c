//go:build amd64 && !purego

package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

//go:noescape
func unpack4AVX2(dst, src *int8, vectors int)

//go:noescape
func unpack2AVX2(dst, src *int8, vectors int)

func init() {
	register("compact", cpu.AVX2, func() { unpackBits = unpackBitsAVX2 })
}

func unpackBitsAVX2(dst, src []int8, width int) {
	if len(src) == 0 {
		return
	}
	_ = dst[8/width*len(src)-1]
	if width == 4 {
		unpack4AVX2(&dst[0], &src[0], len(src)/compactVector)
	} else {
		unpack2AVX2(&dst[0], &src[0], len(src)/compactVector)
	}
}
