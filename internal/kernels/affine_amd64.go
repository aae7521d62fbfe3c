//go:build amd64 && !purego

package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

//go:noescape
func requantizeAffineEvenAVX512(dst *uint8, acc *int32, a, off *float32, pixels, channels int, lo, hi float32, z int32)

//go:noescape
func requantizeAffineUpAVX512(dst *uint8, acc *int32, a, off *float32, pixels, channels int, lo, hi float32, z int32)

//go:noescape
func accumulatorRangeAVX512(least, most, acc *int32, pixels, step, channels int)

//go:noescape
func finiteRangeAVX512(ends, x *float32, n int) int

// affineLevel says which variant runs; see gradientLevel.
var affineLevel cpu.ISA

func init() {
	for _, level := range []cpu.ISA{cpu.Portable, cpu.AVX512} {
		register("affine", level, func() { affineLevel = level })
	}
}

func requantizeAffine(dst []uint8, acc []int32, a, off []float32, z, lo, hi int32, up bool) {
	switch {
	case affineLevel == cpu.Portable:
		requantizeAffinePortable(dst, acc, a, off, z, lo, hi, up)
	case up:
		requantizeAffineUpAVX512(&dst[0], &acc[0], &a[0], &off[0], len(acc)/len(a), len(a), float32(lo-z), float32(hi-z), z)
	default:
		requantizeAffineEvenAVX512(&dst[0], &acc[0], &a[0], &off[0], len(acc)/len(a), len(a), float32(lo-z), float32(hi-z), z)
	}
}

func accumulatorRange(least, most, acc []int32) {
	if affineLevel == cpu.Portable {
		accumulatorRangePortable(least, most, acc)
		return
	}
	channels := len(least)
	for c := 0; c < channels; c += 16 {
		accumulatorRangeAVX512(&least[c], &most[c], &acc[c], len(acc)/channels, 4*channels, min(16, channels-c))
	}
}

func finiteRange(ends *[2][rangeLanes]float32, x []float32) (bad int) {
	if affineLevel == cpu.Portable {
		return finiteRangePortable(ends, x)
	}
	return finiteRangeAVX512(&ends[0][0], &x[0], len(x))
}
