//go:build amd64 && !purego

package kernels

import (
	"github.com/bitgrad/bitgrad/internal/cpu"
	"github.com/bitgrad/bitgrad/quant"
)

//go:noescape
func requantizeShiftAVX512(dst *uint8, acc, shift *int32, pixels, channels int, lo, hi int32)

//go:noescape
func requantizeFloatAVX512(dst *uint8, acc *int32, mult *float32, pixels, channels int, lo, hi float32, z int32)

//go:noescape
func passBitsAVX512(bits *uint8, acc, first, last *int32, pixels, channels int)

//go:noescape
func selectBitsAVX512(dst, src *float32, bits *uint8, n int)

//go:noescape
func selectBitsAddAVX512(dst, src *float32, bits *uint8, n int)

//go:noescape
func quantizeEvenAVX512(dst *uint8, x, scale *float32, pixels, channels int, lo, hi float32, z int32, reciprocal int) int

//go:noescape
func quantizeUpAVX512(dst *uint8, x, scale *float32, pixels, channels int, lo, hi float32, z int32, reciprocal int) int

//go:noescape
func quantizeFloorAVX512(dst *uint8, x, scale *float32, pixels, channels int, lo, hi float32, z int32, reciprocal int) int

//go:noescape
func fakeQuantizeEvenAVX512(dst, x, scale *float32, pixels, channels int, lo, hi, half float32, reciprocal int) int

//go:noescape
func fakeQuantizeUpAVX512(dst, x, scale *float32, pixels, channels int, lo, hi, half float32, reciprocal int) int

//go:noescape
func fakeQuantizeFloorAVX512(dst, x, scale *float32, pixels, channels int, lo, hi, half float32, reciprocal int) int

//go:noescape
func dequantizeAVX512(dst *float32, codes *uint8, n int, z int32, s float32)

//go:noescape
func dequantizeSignedAVX512(dst *float32, codes *uint8, n int, z int32, s float32)

func init() {
	register("requantize shift", cpu.AVX512, func() { requantizeShift = requantizeShiftWide })
	register("requantize float", cpu.AVX512, func() { requantizeFloat = requantizeFloatWide })
	register("pass bits", cpu.AVX512, func() { passBits, selectBits = passBitsWide, selectBitsWide })
	register("quantize", cpu.AVX512, func() { quantizeCodes, fakeQuantize, dequantize = quantizeCodesWide, fakeQuantizeWide, dequantizeWide })
}

// A kernel with parameters per channel takes rows of channels. With one parameter for all,
// the elements are rows of 64 channels with equal parameters, and one row of the rest.
const equalChannels = 64

func equal[T any](v T) (row [equalChannels]T) {
	for i := range row {
		row[i] = v
	}
	return row
}

func requantizeShiftWide(dst []uint8, acc, shift []int32, lo, hi int32) {
	for _, n := range shift {
		if n <= 0 { // rare: an output finer than the products
			requantizeShiftPortable(dst, acc, shift, lo, hi)
			return
		}
	}
	if len(shift) == 1 {
		row := equal(shift[0])
		shift = row[:]
	}
	pixels, channels, rest := len(acc)/len(shift), len(shift), len(acc)%len(shift)
	if pixels > 0 {
		requantizeShiftAVX512(&dst[0], &acc[0], &shift[0], pixels, channels, lo, hi)
	}
	if rest > 0 {
		requantizeShiftAVX512(&dst[pixels*channels], &acc[pixels*channels], &shift[0], 1, rest, lo, hi)
	}
}

func requantizeFloatWide(dst []uint8, acc []int32, mult []float32, z, lo, hi int32) {
	if len(mult) == 1 {
		row := equal(mult[0])
		mult = row[:]
	}
	pixels, channels, rest := len(acc)/len(mult), len(mult), len(acc)%len(mult)
	if pixels > 0 {
		requantizeFloatAVX512(&dst[0], &acc[0], &mult[0], pixels, channels, float32(lo-z), float32(hi-z), z)
	}
	if rest > 0 {
		requantizeFloatAVX512(&dst[pixels*channels], &acc[pixels*channels], &mult[0], 1, rest, float32(lo-z), float32(hi-z), z)
	}
}

func passBitsWide(bits []uint8, acc, first, last []int32) {
	if len(first) == 1 {
		f, l := equal(first[0]), equal(last[0])
		first, last = f[:], l[:]
	}
	pixels, channels, rest := len(acc)/len(first), len(first), len(acc)%len(first)
	if pixels > 0 {
		passBitsAVX512(&bits[0], &acc[0], &first[0], &last[0], pixels, channels)
	}
	if rest > 0 { // of rows of 64: the bits begin at a byte
		passBitsAVX512(&bits[pixels*channels/8], &acc[pixels*channels], &first[0], &last[0], 1, rest)
	}
}

func selectBitsWide(dst, src []float32, bits []uint8, add bool) {
	if add {
		selectBitsAddAVX512(&dst[0], &src[0], &bits[0], len(dst))
	} else {
		selectBitsAVX512(&dst[0], &src[0], &bits[0], len(dst))
	}
}

func quantizeCodesWide(dst []uint8, x []float32, q *quantizer) (bad int) {
	f := quantizeEvenAVX512
	switch q.rounding {
	case quant.HalfUp:
		f = quantizeUpAVX512
	case quant.Floor:
		f = quantizeFloorAVX512
	}
	scale := q.scale
	if len(scale) == 1 {
		row := equal(scale[0])
		scale = row[:]
	}
	pixels, channels, rest := len(x)/len(scale), len(scale), len(x)%len(scale)
	if pixels > 0 {
		bad = f(&dst[0], &x[0], &scale[0], pixels, channels, q.lo, q.hi, q.z, q.reciprocal)
	}
	if rest > 0 {
		bad += f(&dst[pixels*channels], &x[pixels*channels], &scale[0], 1, rest, q.lo, q.hi, q.z, q.reciprocal)
	}
	return bad
}

func fakeQuantizeWide(dst, x []float32, q *quantizer) (bad int) {
	f := fakeQuantizeEvenAVX512
	switch q.rounding {
	case quant.HalfUp:
		f = fakeQuantizeUpAVX512
	case quant.Floor:
		f = fakeQuantizeFloorAVX512
	}
	scale := q.scale
	if len(scale) == 1 {
		row := equal(scale[0])
		scale = row[:]
	}
	pixels, channels, rest := len(x)/len(scale), len(scale), len(x)%len(scale)
	if pixels > 0 {
		bad = f(&dst[0], &x[0], &scale[0], pixels, channels, q.lo, q.hi, q.half, q.reciprocal)
	}
	if rest > 0 {
		bad += f(&dst[pixels*channels], &x[pixels*channels], &scale[0], 1, rest, q.lo, q.hi, q.half, q.reciprocal)
	}
	return bad
}

func dequantizeWide(dst []float32, codes []uint8, signed bool, z int32, s float32) {
	if signed {
		dequantizeSignedAVX512(&dst[0], &codes[0], len(dst), z, s)
	} else {
		dequantizeAVX512(&dst[0], &codes[0], len(dst), z, s)
	}
}
