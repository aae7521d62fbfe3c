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

//go:noescape
func requantizeAffineEvenAVX2(dst *uint8, acc *int32, a, off *float32, pixels, channels int, lo, hi float32, z int32)

//go:noescape
func requantizeAffineUpAVX2(dst *uint8, acc *int32, a, off *float32, pixels, channels int, lo, hi float32, z int32)

//go:noescape
func accumulatorRangeAVX2(least, most, acc *int32, pixels, step int)

//go:noescape
func finiteRangeAVX2(ends, x *float32, n int) int

// affineLevel says which variant runs; see gradientLevel.
var affineLevel cpu.ISA

func init() {
	for _, level := range []cpu.ISA{cpu.Portable, cpu.AVX2, cpu.AVX512} {
		register("affine", level, func() { affineLevel = level })
	}
}

func requantizeAffine(dst []uint8, acc []int32, a, off []float32, z, lo, hi int32, up bool) {
	switch {
	case affineLevel == cpu.Portable:
		requantizeAffinePortable(dst, acc, a, off, z, lo, hi, up)
	case affineLevel == cpu.AVX2:
		requantizeAffineStrips(dst, acc, a, off, z, lo, hi, up)
	case up:
		requantizeAffineUpAVX512(&dst[0], &acc[0], &a[0], &off[0], len(acc)/len(a), len(a), float32(lo-z), float32(hi-z), z)
	default:
		requantizeAffineEvenAVX512(&dst[0], &acc[0], &a[0], &off[0], len(acc)/len(a), len(a), float32(lo-z), float32(hi-z), z)
	}
}

func requantizeAffineStrips(dst []uint8, acc []int32, a, off []float32, z, lo, hi int32, up bool) {
	pa, po := &a[0], &off[0]
	if avx2.few(len(a)) {
		var rowA, rowOff [equalChannels]float32
		pa, po = repeated(&rowA, a), repeated(&rowOff, off)
	}
	spans, tail := avx2.split(len(acc), len(a))
	for _, s := range spans {
		switch {
		case s.pixels == 0:
		case up:
			requantizeAffineUpAVX2(&dst[s.from], &acc[s.from], pa, po, s.pixels, s.channels, float32(lo-z), float32(hi-z), 2*z+1)
		default:
			requantizeAffineEvenAVX2(&dst[s.from], &acc[s.from], pa, po, s.pixels, s.channels, float32(lo-z), float32(hi-z), z)
		}
	}
	requantizeAffinePortable(dst[tail:], acc[tail:], a, off, z, lo, hi, up)
}

func accumulatorRange(least, most, acc []int32) {
	channels := len(least)
	pixels := len(acc) / channels
	switch {
	case affineLevel == cpu.AVX512:
		for c := 0; c < channels; c += 16 {
			accumulatorRangeAVX512(&least[c], &most[c], &acc[c], pixels, 4*channels, min(16, channels-c))
		}
	case affineLevel == cpu.AVX2 && channels >= strip:
		for c := 0; c < channels; c += strip {
			c := min(c, channels-strip) // the last channels overlap those before
			accumulatorRangeAVX2(&least[c], &most[c], &acc[c], pixels, 4*channels)
		}
	default:
		accumulatorRangePortable(least, most, acc)
	}
}

func finiteRange(ends *[2][rangeLanes]float32, x []float32) (bad int) {
	switch affineLevel {
	case cpu.AVX512:
		return finiteRangeAVX512(&ends[0][0], &x[0], len(x))
	case cpu.AVX2:
		n := len(x) - len(x)%rangeLanes
		if n > 0 {
			bad = finiteRangeAVX2(&ends[0][0], &x[0], n)
		}
		return bad + finiteRangePortable(ends, x[n:])
	}
	return finiteRangePortable(ends, x)
}
