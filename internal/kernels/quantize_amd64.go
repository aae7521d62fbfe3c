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

//go:noescape
func selectBitsAVX512(dst, src *float32, bits *uint8, n int)

//go:noescape
func selectBitsAddAVX512(dst, src *float32, bits *uint8, n int)

//go:noescape
func selectBitsAVX2(dst, src *float32, bits *uint8, n int)

//go:noescape
func selectBitsAddAVX2(dst, src *float32, bits *uint8, n int)

//go:noescape
func requantizeShiftAVX2(dst *uint8, acc, shift *int32, pixels, channels int, lo, hi int32)

//go:noescape
func requantizeFloatAVX2(dst *uint8, acc *int32, mult *float32, pixels, channels int, lo, hi float32, z int32)

//go:noescape
func passBitsAVX2(bits *uint8, acc, first, last *int32, pixels, channels int)

//go:noescape
func quantizeEvenAVX2(dst *uint8, x, scale *float32, pixels, channels int, lo, hi float32, z int32, reciprocal int) int

//go:noescape
func quantizeUpAVX2(dst *uint8, x, scale *float32, pixels, channels int, lo, hi float32, z int32, reciprocal int) int

//go:noescape
func quantizeFloorAVX2(dst *uint8, x, scale *float32, pixels, channels int, lo, hi float32, z int32, reciprocal int) int

//go:noescape
func fakeQuantizeEvenAVX2(dst, x, scale *float32, pixels, channels int, lo, hi, half float32, reciprocal int) int

//go:noescape
func fakeQuantizeUpAVX2(dst, x, scale *float32, pixels, channels int, lo, hi, half float32, reciprocal int) int

//go:noescape
func fakeQuantizeFloorAVX2(dst, x, scale *float32, pixels, channels int, lo, hi, half float32, reciprocal int) int

//go:noescape
func dequantizeAVX2(dst *float32, codes *uint8, n int, z int32, s float32)

//go:noescape
func dequantizeSignedAVX2(dst *float32, codes *uint8, n int, z int32, s float32)

func init() {
	for _, level := range []cpu.ISA{cpu.AVX2, cpu.AVX512} {
		v := vector{level, 8}
		if level == cpu.AVX512 {
			v.lanes = 1 // masks cover any number of elements
		}
		register("pass bits", level, func() { passBits, selectBits = v.passBits, v.selectBits })
		register("requantize shift", level, func() { requantizeShift = v.requantizeShift })
		register("requantize float", level, func() { requantizeFloat = v.requantizeFloat })
		register("quantize", level, func() { quantizeCodes, fakeQuantize, dequantize = v.quantizeCodes, v.fakeQuantize, v.dequantize })
	}
}

// A vector is a level whose kernels take rows of channels, of which there must be a multiple
// of lanes. They are called by name and not through variables, so that parameters on the stack stay
// there.
type vector struct {
	level cpu.ISA
	lanes int
}

// A span is a part of the elements that one call covers: rows of channels from an index on.
type span struct{ from, pixels, channels int }

// equalChannels is how many channels a row has where one parameter serves all elements.
const equalChannels = 64

// equal returns a row of equal parameters.
func equal[T any](v T) (row [equalChannels]T) {
	for i := range row {
		row[i] = v
	}
	return row
}

// split covers n elements with the given number of parameters; elements from tail on are
// left to the portable loop. One parameter makes rows of 64, and a shorter one.
func (v vector) split(n, parameters int) (spans [2]span, tail int) {
	if parameters > 1 {
		if parameters%v.lanes != 0 {
			return spans, 0
		}
		spans[0] = span{0, n / parameters, parameters}
		return spans, n
	}
	tail = n - n%v.lanes
	spans[0] = span{0, tail / equalChannels, equalChannels}
	if rest := tail % equalChannels; rest > 0 {
		spans[1] = span{tail - rest, 1, rest}
	}
	return spans, tail
}

func (v vector) requantizeShift(dst []uint8, acc, shift []int32, lo, hi int32) {
	for _, n := range shift {
		if n <= 0 { // rare: an output finer than the products
			requantizeShiftPortable(dst, acc, shift, lo, hi)
			return
		}
	}
	row, p := [equalChannels]int32{}, &shift[0]
	if len(shift) == 1 {
		row = equal(shift[0])
		p = &row[0]
	}
	spans, tail := v.split(len(acc), len(shift))
	for _, s := range spans {
		switch {
		case s.pixels == 0:
		case v.level == cpu.AVX2:
			requantizeShiftAVX2(&dst[s.from], &acc[s.from], p, s.pixels, s.channels, lo, hi)
		default:
			requantizeShiftAVX512(&dst[s.from], &acc[s.from], p, s.pixels, s.channels, lo, hi)
		}
	}
	requantizeShiftPortable(dst[tail:], acc[tail:], shift, lo, hi)
}

func (v vector) requantizeFloat(dst []uint8, acc []int32, mult []float32, z, lo, hi int32) {
	row, p := [equalChannels]float32{}, &mult[0]
	if len(mult) == 1 {
		row = equal(mult[0])
		p = &row[0]
	}
	spans, tail := v.split(len(acc), len(mult))
	for _, s := range spans {
		switch {
		case s.pixels == 0:
		case v.level == cpu.AVX2:
			requantizeFloatAVX2(&dst[s.from], &acc[s.from], p, s.pixels, s.channels, float32(lo-z), float32(hi-z), z)
		default:
			requantizeFloatAVX512(&dst[s.from], &acc[s.from], p, s.pixels, s.channels, float32(lo-z), float32(hi-z), z)
		}
	}
	requantizeFloatPortable(dst[tail:], acc[tail:], mult, z, lo, hi)
}

func (v vector) passBits(bits []uint8, acc, first, last []int32) {
	rowF, rowL, f, l := [equalChannels]int32{}, [equalChannels]int32{}, &first[0], &last[0]
	if len(first) == 1 {
		rowF, rowL = equal(first[0]), equal(last[0])
		f, l = &rowF[0], &rowL[0]
	}
	spans, tail := v.split(len(acc), len(first))
	for _, s := range spans { // they begin at multiples of 8
		switch {
		case s.pixels == 0:
		case v.level == cpu.AVX2:
			passBitsAVX2(&bits[s.from/8], &acc[s.from], f, l, s.pixels, s.channels)
		default:
			passBitsAVX512(&bits[s.from/8], &acc[s.from], f, l, s.pixels, s.channels)
		}
	}
	if tail < len(acc) {
		passBitsPortable(bits[tail/8:], acc[tail:], first, last)
	}
}

func (v vector) selectBits(dst, src []float32, bits []uint8, add bool) {
	n := len(dst) - len(dst)%v.lanes
	switch {
	case n == 0:
	case v.level == cpu.AVX2 && add:
		selectBitsAddAVX2(&dst[0], &src[0], &bits[0], n)
	case v.level == cpu.AVX2:
		selectBitsAVX2(&dst[0], &src[0], &bits[0], n)
	case add:
		selectBitsAddAVX512(&dst[0], &src[0], &bits[0], n)
	default:
		selectBitsAVX512(&dst[0], &src[0], &bits[0], n)
	}
	selectBitsPortable(dst[n:], src[n:], bits[n/8:], add)
}

func (v vector) quantizeCodes(dst []uint8, x []float32, q quantizer) (bad int) {
	row, p := [equalChannels]float32{}, &q.scale[0]
	if len(q.scale) == 1 {
		row = equal(q.scale[0])
		p = &row[0]
	}
	spans, tail := v.split(len(x), len(q.scale))
	for _, s := range spans {
		if s.pixels == 0 {
			continue
		}
		d, x := &dst[s.from], &x[s.from]
		switch {
		case v.level == cpu.AVX2 && q.rounding == quant.HalfEven:
			bad += quantizeEvenAVX2(d, x, p, s.pixels, s.channels, q.lo, q.hi, q.z, q.reciprocal)
		case v.level == cpu.AVX2 && q.rounding == quant.HalfUp:
			bad += quantizeUpAVX2(d, x, p, s.pixels, s.channels, q.lo, q.hi, q.z, q.reciprocal)
		case v.level == cpu.AVX2:
			bad += quantizeFloorAVX2(d, x, p, s.pixels, s.channels, q.lo, q.hi, q.z, q.reciprocal)
		case q.rounding == quant.HalfEven:
			bad += quantizeEvenAVX512(d, x, p, s.pixels, s.channels, q.lo, q.hi, q.z, q.reciprocal)
		case q.rounding == quant.HalfUp:
			bad += quantizeUpAVX512(d, x, p, s.pixels, s.channels, q.lo, q.hi, q.z, q.reciprocal)
		default:
			bad += quantizeFloorAVX512(d, x, p, s.pixels, s.channels, q.lo, q.hi, q.z, q.reciprocal)
		}
	}
	return bad + quantizeCodesPortable(dst[tail:], x[tail:], q)
}

func (v vector) fakeQuantize(dst, x []float32, q quantizer) (bad int) {
	row, p := [equalChannels]float32{}, &q.scale[0]
	if len(q.scale) == 1 {
		row = equal(q.scale[0])
		p = &row[0]
	}
	spans, tail := v.split(len(x), len(q.scale))
	for _, s := range spans {
		if s.pixels == 0 {
			continue
		}
		d, x := &dst[s.from], &x[s.from]
		switch {
		case v.level == cpu.AVX2 && q.rounding == quant.HalfEven:
			bad += fakeQuantizeEvenAVX2(d, x, p, s.pixels, s.channels, q.lo, q.hi, q.half, q.reciprocal)
		case v.level == cpu.AVX2 && q.rounding == quant.HalfUp:
			bad += fakeQuantizeUpAVX2(d, x, p, s.pixels, s.channels, q.lo, q.hi, q.half, q.reciprocal)
		case v.level == cpu.AVX2:
			bad += fakeQuantizeFloorAVX2(d, x, p, s.pixels, s.channels, q.lo, q.hi, q.half, q.reciprocal)
		case q.rounding == quant.HalfEven:
			bad += fakeQuantizeEvenAVX512(d, x, p, s.pixels, s.channels, q.lo, q.hi, q.half, q.reciprocal)
		case q.rounding == quant.HalfUp:
			bad += fakeQuantizeUpAVX512(d, x, p, s.pixels, s.channels, q.lo, q.hi, q.half, q.reciprocal)
		default:
			bad += fakeQuantizeFloorAVX512(d, x, p, s.pixels, s.channels, q.lo, q.hi, q.half, q.reciprocal)
		}
	}
	return bad + fakeQuantizePortable(dst[tail:], x[tail:], q)
}

func (v vector) dequantize(dst []float32, codes []uint8, signed bool, z int32, s float32) {
	n := len(dst) - len(dst)%v.lanes
	switch {
	case n == 0:
	case v.level == cpu.AVX2 && signed:
		dequantizeSignedAVX2(&dst[0], &codes[0], n, z, s)
	case v.level == cpu.AVX2:
		dequantizeAVX2(&dst[0], &codes[0], n, z, s)
	case signed:
		dequantizeSignedAVX512(&dst[0], &codes[0], n, z, s)
	default:
		dequantizeAVX512(&dst[0], &codes[0], n, z, s)
	}
	dequantizePortable(dst[n:], codes[n:], signed, z, s)
}
