//go:build amd64 && !purego

package kernels

import (
	"github.com/bitgrad/bitgrad/internal/cpu"
	"github.com/bitgrad/bitgrad/quant"
)

//go:noescape
func requantizeShiftAVX512(dst *uint8, acc, shift *int32, pixels, channels int, lo, hi int32)

//go:noescape
func requantizeShiftsAVX512(dst *uint8, acc, shift *int32, pixels, channels int, lo, hi, half int32)

//go:noescape
func requantizeFloatAVX512(dst *uint8, acc *int32, mult *float32, pixels, channels int, lo, hi float32, z int32)

//go:noescape
func requantizeFloorAVX512(dst *uint8, acc *int32, mult *float32, pixels, channels int, lo, hi float32, z int32)

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
func requantizeShiftAVX2(dst *uint8, acc, shift *int32, pixels, channels, gap int, lo, hi int32)

//go:noescape
func requantizeShiftEqualAVX2(dst *uint8, acc *int32, rows, n, gap int, shift uint64, lo, hi int32)

//go:noescape
func requantizeShiftsAVX2(dst *uint8, acc, shift *int32, pixels, channels int, lo, hi, half int32)

//go:noescape
func requantizeFloatAVX2(dst *uint8, acc *int32, mult *float32, pixels, channels, gap int, lo, hi float32, z int32)

//go:noescape
func requantizeFloorAVX2(dst *uint8, acc *int32, mult *float32, pixels, channels, gap int, lo, hi float32, z int32)

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

// rowsLevel says which variant takes rows with gaps; see gradientLevel.
var rowsLevel cpu.ISA

func init() {
	for _, level := range []cpu.ISA{cpu.Portable, cpu.AVX2} {
		register("requantize rows", level, func() { rowsLevel = level })
	}
	for _, v := range []vector{avx2, avx512} {
		level := v.level
		register("pass bits", level, func() { passBits, selectBits = v.passBits, v.selectBits })
		register("requantize shift", level, func() { requantizeShift = v.requantizeShift })
		register("requantize float", level, func() { requantizeFloat = v.requantizeFloat })
		register("quantize", level, func() { quantizeCodes, fakeQuantize, dequantize = v.quantizeCodes, v.fakeQuantize, v.dequantize })
	}
}

func (v vector) requantizeShift(dst []uint8, acc, shift []int32, lo, hi int32, midRise bool) {
	if v.level == cpu.AVX2 && len(shift) == 1 && shift[0] > 1 && !midRise && len(acc) >= strip {
		requantizeShiftEqualAVX2(&dst[0], &acc[0], 1, len(acc), 0, uint64(shift[0]-1), lo, hi)
		return
	}
	half := int32(1)
	if midRise {
		half = 0
	}
	common := !midRise && rightShifts(shift)
	p := &shift[0]
	if v.few(len(shift)) {
		var row [equalChannels]int32
		p = repeated(&row, shift)
	}
	spans, tail := v.split(len(acc), len(shift))
	for _, s := range spans {
		if s.pixels == 0 {
			continue
		}
		d, x := &dst[s.from], &acc[s.from]
		switch {
		case v.level == cpu.AVX2 && common:
			requantizeShiftAVX2(d, x, p, s.pixels, s.channels, 0, lo, hi)
		case v.level == cpu.AVX2:
			requantizeShiftsAVX2(d, x, p, s.pixels, s.channels, lo, hi, half)
		case common:
			requantizeShiftAVX512(d, x, p, s.pixels, s.channels, lo, hi)
		default:
			requantizeShiftsAVX512(d, x, p, s.pixels, s.channels, lo, hi, half)
		}
	}
	requantizeShiftPortable(dst[tail:], acc[tail:], shift, lo, hi, midRise)
}

// rightShifts is false for an output finer than the products.
func rightShifts(shift []int32) bool {
	for _, n := range shift {
		if n <= 0 {
			return false
		}
	}
	return true
}

// requantizeRows is RequantizeRows for what the kernels of AVX2 take in one call.
func requantizeRows(dst []uint8, step int, acc []int32, n int, r *quant.Requantizer) bool {
	d, x, rows, gap := &dst[0], &acc[0], len(acc)/n, step-n
	switch shift, mult := r.Shift, r.Multiplier; {
	case rowsLevel != cpu.AVX2 || n < strip:
		return false
	case r.Rule == quant.Shift && len(shift) == 1 && shift[0] > 1 && !r.MidRise:
		requantizeShiftEqualAVX2(d, x, rows, n, gap, uint64(shift[0]-1), r.Lo, r.Hi)
	case r.Rule == quant.Shift && len(shift) == n && !r.MidRise && rightShifts(shift):
		requantizeShiftAVX2(d, x, &shift[0], rows, n, gap, r.Lo, r.Hi)
	case r.Rule == quant.Float && len(mult) == n && r.MidRise:
		requantizeFloorAVX2(d, x, &mult[0], rows, n, gap, float32(r.Lo-r.ZeroPoint), float32(r.Hi-r.ZeroPoint), r.ZeroPoint)
	case r.Rule == quant.Float && len(mult) == n:
		requantizeFloatAVX2(d, x, &mult[0], rows, n, gap, float32(r.Lo-r.ZeroPoint), float32(r.Hi-r.ZeroPoint), r.ZeroPoint)
	default:
		return false
	}
	return true
}

func (v vector) requantizeFloat(dst []uint8, acc []int32, mult []float32, z, lo, hi int32, midRise bool) {
	p := &mult[0]
	if v.few(len(mult)) {
		var row [equalChannels]float32
		p = repeated(&row, mult)
	}
	first, last := float32(lo-z), float32(hi-z)
	spans, tail := v.split(len(acc), len(mult))
	for _, s := range spans {
		if s.pixels == 0 {
			continue
		}
		d, x := &dst[s.from], &acc[s.from]
		switch {
		case v.level == cpu.AVX2 && midRise:
			requantizeFloorAVX2(d, x, p, s.pixels, s.channels, 0, first, last, z)
		case v.level == cpu.AVX2:
			requantizeFloatAVX2(d, x, p, s.pixels, s.channels, 0, first, last, z)
		case midRise:
			requantizeFloorAVX512(d, x, p, s.pixels, s.channels, first, last, z)
		default:
			requantizeFloatAVX512(d, x, p, s.pixels, s.channels, first, last, z)
		}
	}
	requantizeFloatPortable(dst[tail:], acc[tail:], mult, z, lo, hi, midRise)
}

func (v vector) passBits(bits []uint8, acc, first, last []int32) {
	f, l := &first[0], &last[0]
	if v.few(len(first)) {
		var rowF, rowL [equalChannels]int32
		f, l = repeated(&rowF, first), repeated(&rowL, last)
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
	n := len(dst)
	switch {
	case n < v.least:
		selectBitsPortable(dst, src, bits, add)
	case v.level == cpu.AVX2 && add:
		selectBitsAddAVX2(&dst[0], &src[0], &bits[0], n)
	case v.level == cpu.AVX2:
		selectBitsAVX2(&dst[0], &src[0], &bits[0], n)
	case add:
		selectBitsAddAVX512(&dst[0], &src[0], &bits[0], n)
	default:
		selectBitsAVX512(&dst[0], &src[0], &bits[0], n)
	}
}

func (v vector) quantizeCodes(dst []uint8, x []float32, q quantizer) (bad int) {
	p := &q.scale[0]
	if v.few(len(q.scale)) {
		var row [equalChannels]float32
		p = repeated(&row, q.scale)
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
	p := &q.scale[0]
	if v.few(len(q.scale)) {
		var row [equalChannels]float32
		p = repeated(&row, q.scale)
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
	n := len(dst)
	switch {
	case n < v.least:
		dequantizePortable(dst, codes, signed, z, s)
	case v.level == cpu.AVX2 && signed:
		dequantizeSignedAVX2(&dst[0], &codes[0], n, z, s)
	case v.level == cpu.AVX2:
		dequantizeAVX2(&dst[0], &codes[0], n, z, s)
	case signed:
		dequantizeSignedAVX512(&dst[0], &codes[0], n, z, s)
	default:
		dequantizeAVX512(&dst[0], &codes[0], n, z, s)
	}
}
