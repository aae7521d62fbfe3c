package kernels

import (
	"github.com/bitgrad/bitgrad/internal/cpu"
	"github.com/bitgrad/bitgrad/quant"
)

// Quantizing float rows x [pixels C]: grids have one scale or one per channel, and C
// divides len(x). Each function equals quant.Grid element by element, on every level,
// and returns how many elements were NaN or infinite.

// QuantizeCodes sets dst[i] to the code of x[i] on g, a grid of at most 8 bits; signed
// codes are stored as int8 bit patterns.
func QuantizeCodes(dst []uint8, x []float32, g *quant.Grid, r quant.Rounding) (bad int) {
	checkRow("quantize", len(dst), len(x), len(g.Scale))
	if q, ok := newQuantizer(g, r); ok && len(x) > 0 {
		return quantizeCodes(dst, x, q)
	}
	for i, v := range x {
		bad += notFinite(v)
		dst[i] = uint8(g.Quantize(v, i%len(g.Scale), r))
	}
	return bad
}

// FakeQuantize sets dst[i] to the dequantized code of x[i] on g. dst may be x.
func FakeQuantize(dst, x []float32, g *quant.Grid, r quant.Rounding) (bad int) {
	checkRow("fake quantize", len(dst), len(x), len(g.Scale))
	if q, ok := newQuantizer(g, r); ok && len(x) > 0 {
		return fakeQuantize(dst, x, q)
	}
	for i, v := range x {
		bad += notFinite(v)
		dst[i] = g.FakeQuantize(v, i%len(g.Scale), r)
	}
	return bad
}

// A quantizer holds what the fast loops need of a grid.
type quantizer struct {
	scale      []float32
	lo, hi     float32 // ends without the zero point
	z          int32
	half       float32        // what dequantizing adds to a code: ½ if mid-rise
	rounding   quant.Rounding // HalfEven, HalfUp or Floor
	reciprocal int            // 1 multiplies by 1/scale
}

// newQuantizer returns false if the fast loops do not cover the rounding.
func newQuantizer(g *quant.Grid, r quant.Rounding) (quantizer, bool) {
	q := quantizer{scale: g.Scale, lo: float32(g.QMin() - g.ZeroPoint), hi: float32(g.QMax() - g.ZeroPoint), z: g.ZeroPoint, rounding: r}
	if g.MidRise {
		q.rounding, q.half = quant.Floor, 0.5
	}
	if g.Reciprocal {
		q.reciprocal = 1
	}
	switch q.rounding {
	case quant.HalfEven, quant.HalfUp, quant.Floor:
		return q, true
	}
	return q, false
}

// round returns the clamped whole number of steps in x; NaN gives 0. The ends are whole
// numbers, so that clamping before rounding gives the same.
func (q *quantizer) round(x, s float32) float32 {
	v := x / s
	if q.reciprocal != 0 {
		v = float32(x * float32(1/s))
	}
	if v != v {
		return 0
	}
	v = min(max(v, q.lo), q.hi)
	even := float32(v+magic) - magic
	switch {
	case q.rounding == quant.HalfUp && v-even >= 0.5: // a tie that went down
		even++
	case q.rounding == quant.Floor && even > v:
		even--
	}
	return even
}

func quantizeCodesPortable(dst []uint8, x []float32, q quantizer) (bad int) {
	for i := 0; i < len(x); i += len(q.scale) {
		for c, s := range q.scale {
			v := x[i+c]
			bad += notFinite(v)
			dst[i+c] = uint8(int32(q.round(v, s)) + q.z)
		}
	}
	return bad
}

func fakeQuantizePortable(dst, x []float32, q quantizer) (bad int) {
	for i := 0; i < len(x); i += len(q.scale) {
		for c, s := range q.scale {
			v := x[i+c]
			bad += notFinite(v)
			dst[i+c] = (q.round(v, s) + q.half) * s
		}
	}
	return bad
}

func notFinite(v float32) int {
	if v-v != 0 { // Inf − Inf and NaN − NaN are NaN
		return 1
	}
	return 0
}

// Dequantize sets dst[i] = (q − z)·s for the codes q of a grid with one scale that is
// not mid-rise; with signed, codes are int8 bit patterns.
func Dequantize(dst []float32, codes []uint8, signed bool, z int32, s float32) {
	if codes = codes[:len(dst)]; len(dst) > 0 {
		dequantize(dst, codes, signed, z, s)
	}
}

func dequantizePortable(dst []float32, codes []uint8, signed bool, z int32, s float32) {
	if signed {
		for i, q := range codes {
			dst[i] = float32(int32(int8(q))-z) * s
		}
		return
	}
	for i, q := range codes {
		dst[i] = float32(int32(q)-z) * s
	}
}

var (
	quantizeCodes = quantizeCodesPortable
	fakeQuantize  = fakeQuantizePortable
	dequantize    = dequantizePortable
)

func init() {
	register("quantize", cpu.Portable, func() {
		quantizeCodes, fakeQuantize, dequantize = quantizeCodesPortable, fakeQuantizePortable, dequantizePortable
	})
}
