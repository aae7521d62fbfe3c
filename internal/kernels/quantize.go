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
	if !plain(g, r) {
		for i, v := range x {
			bad += notFinite(v)
			dst[i] = uint8(g.Quantize(v, i%len(g.Scale), r))
		}
		return bad
	}
	q := newQuantizer(g)
	for i := 0; i < len(x); i += len(g.Scale) {
		for c, s := range g.Scale {
			v := x[i+c]
			bad += notFinite(v)
			dst[i+c] = uint8(int32(q.round(v, s)) + g.ZeroPoint)
		}
	}
	return bad
}

// FakeQuantize sets dst[i] to the dequantized code of x[i] on g. dst may be x.
func FakeQuantize(dst, x []float32, g *quant.Grid, r quant.Rounding) (bad int) {
	checkRow("fake quantize", len(dst), len(x), len(g.Scale))
	if !plain(g, r) {
		for i, v := range x {
			bad += notFinite(v)
			dst[i] = g.FakeQuantize(v, i%len(g.Scale), r)
		}
		return bad
	}
	q := newQuantizer(g)
	for i := 0; i < len(x); i += len(g.Scale) {
		for c, s := range g.Scale {
			v := x[i+c]
			bad += notFinite(v)
			dst[i+c] = float32(q.round(v, s)) * s
		}
	}
	return bad
}

// plain reports whether the fast loops cover the grid and the rounding.
func plain(g *quant.Grid, r quant.Rounding) bool { return r == quant.HalfEven && !g.MidRise }

// A quantizer holds the constants of a mid-tread grid, zero point taken off.
type quantizer struct {
	lo, hi     float32
	reciprocal bool
}

func newQuantizer(g *quant.Grid) quantizer {
	return quantizer{float32(g.QMin() - g.ZeroPoint), float32(g.QMax() - g.ZeroPoint), g.Reciprocal}
}

// round returns the clamped whole number of steps in x; NaN gives 0.
func (q *quantizer) round(x, s float32) float32 {
	var v float32
	if q.reciprocal {
		v = float32(x * float32(1/s))
	} else {
		v = x / s
	}
	if v != v {
		return 0
	}
	return float32(min(max(v, q.lo), q.hi)+magic) - magic
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
	codes = codes[:len(dst)]
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

func init() { register("quantize", cpu.Portable, func() {}) }
