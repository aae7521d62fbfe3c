//go:build amd64 && !purego

package kernels

import (
	"github.com/bitgrad/bitgrad/internal/cpu"
	"github.com/bitgrad/bitgrad/quant"
)

//go:noescape
func requantizeOnceAVX2(dst *uint8, acc, mantissa, exponent *int32, pixels, channels int, lo, hi, z int32)

//go:noescape
func requantizeTwiceAVX2(dst *uint8, acc, mantissa, exponent *int32, pixels, channels int, lo, hi, z int32)

//go:noescape
func requantizeOnceAVX512(dst *uint8, acc, mantissa, exponent *int32, pixels, channels int, lo, hi, z int32)

//go:noescape
func requantizeTwiceAVX512(dst *uint8, acc, mantissa, exponent *int32, pixels, channels int, lo, hi, z int32)

func init() {
	for _, v := range []vector{avx2, avx512} {
		register("requantize fixed", v.level, func() { requantizeFixed = v.requantizeFixed })
	}
}

func (v vector) requantizeFixed(dst []uint8, acc []int32, r quant.Requantizer) {
	channels := len(r.Mantissa)
	exponents := r.Exponent[:channels]
	m, e := &r.Mantissa[0], &exponents[0]
	if v.few(channels) {
		var rowM, rowE [equalChannels]int32
		m, e = repeated(&rowM, r.Mantissa), repeated(&rowE, exponents)
	}
	z := r.ZeroPoint
	lo, hi := r.Lo-z, r.Hi-z
	spans, tail := v.split(len(acc), channels)
	for _, s := range spans {
		if s.pixels == 0 {
			continue
		}
		d, x := &dst[s.from], &acc[s.from]
		switch {
		case v.level == cpu.AVX2 && r.DoubleRounding:
			requantizeTwiceAVX2(d, x, m, e, s.pixels, s.channels, lo, hi, z)
		case v.level == cpu.AVX2:
			requantizeOnceAVX2(d, x, m, e, s.pixels, s.channels, lo, hi, z)
		case r.DoubleRounding:
			requantizeTwiceAVX512(d, x, m, e, s.pixels, s.channels, lo, hi, z)
		default:
			requantizeOnceAVX512(d, x, m, e, s.pixels, s.channels, lo, hi, z)
		}
	}
	requantizeFixedPortable(dst[tail:], acc[tail:], r)
}
