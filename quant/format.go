package quant

import (
	"math"
	"strings"
)

// Format is a recipe for grids: what is known of a quantizer before the range of its
// numbers is.
type Format interface {
	// Bits returns the width of a code: 1 to 16, or 32 for float.
	Bits() int
	// Uniform returns the grid of a uniform format with Scale nil, as long as no range is
	// known. It returns false for formats that have no uniform grid; those do not lower
	// to integers.
	Uniform() (Grid, bool)
	// String returns the format in words: "int8 power-of-two".
	String() string
}

// Float32 is the format of numbers that are not quantized: 32 bits, no grid.
type Float32 struct{}

// Bits returns 32.
func (Float32) Bits() int { return 32 }

// Uniform returns false.
func (Float32) Uniform() (Grid, bool) { return Grid{}, false }

// String returns "float".
func (Float32) String() string { return "float" }

// UniformFormat is a recipe for a [Grid]. Three families share it:
//
//   - dynamic fixed point (PowerOfTwo): the scale is 2^-fl, no zero point;
//   - symmetric (the default): the scale is any number, no zero point;
//   - affine (Affine): any scale, and a zero point per tensor.
type UniformFormat struct {
	BitWidth   int      // 1 to 16
	Signed     bool     // see [Grid]
	Narrow     bool     // see [Grid]
	MidRise    bool     // see [Grid]; symmetric or power of two only
	PowerOfTwo bool     // scale 2^-fl; excludes Affine and Reciprocal changes nothing
	PerChannel bool     // a scale per output channel; symmetric or power of two only
	Affine     bool     // with a zero point
	Reciprocal bool     // see [Grid]
	Rounding   Rounding // of weights and inputs; activations round by their requantization rule
}

// Bits returns BitWidth.
func (f UniformFormat) Bits() int { return f.BitWidth }

// Uniform returns the grid of f with Scale nil, and true.
func (f UniformFormat) Uniform() (Grid, bool) {
	return Grid{BitWidth: f.BitWidth, Signed: f.Signed, Narrow: f.Narrow, MidRise: f.MidRise, Reciprocal: f.Reciprocal}, true
}

// QMin returns the smallest code, that of any grid of the format.
func (f UniformFormat) QMin() int32 { g, _ := f.Uniform(); return g.QMin() }

// QMax returns the largest code, that of any grid of the format.
func (f UniformFormat) QMax() int32 { g, _ := f.Uniform(); return g.QMax() }

// String returns the format in words, for example "int4 power-of-two" or
// "int8 narrow symmetric per-channel half-away".
func (f UniformFormat) String() string {
	words := []string{typeName(f.BitWidth, f.Signed)}
	add := func(ok bool, word string) {
		if ok {
			words = append(words, word)
		}
	}
	add(f.Narrow, "narrow")
	add(f.MidRise, "mid-rise")
	add(f.PowerOfTwo, "power-of-two")
	add(f.Affine, "affine")
	add(!f.PowerOfTwo && !f.Affine, "symmetric")
	add(f.PerChannel, "per-channel")
	add(f.Reciprocal, "reciprocal")
	add(f.Rounding != HalfEven, f.Rounding.String())
	return strings.Join(words, " ")
}

// Validate returns an error that wraps ErrBitWidth for a width outside 1 to 16, or
// ErrFormat for properties that exclude one another.
func (f UniformFormat) Validate() error {
	if err := validateShape(f.BitWidth, f.Narrow, f.MidRise); err != nil {
		return err
	}
	switch {
	case f.Affine && f.PowerOfTwo:
		return fail(ErrFormat, "a power-of-two scale has no zero point", "affine power-of-two")
	case f.Affine && f.PerChannel:
		return fail(ErrFormat, "a zero point belongs to the whole tensor", "affine per-channel")
	case f.Affine && f.MidRise:
		return fail(ErrFormat, "a mid-rise grid has no zero point", "affine mid-rise")
	case f.Rounding > Stochastic:
		return fail(ErrFormat, "unknown", "rounding %d", uint8(f.Rounding))
	}
	return nil
}

// CeilLog2 returns ⌈log2 x⌉ of a positive finite x, exactly: 0 for 1, 1 for 1.0000001, −3
// for 0.125. It returns 0 for any other x.
func CeilLog2(x float32) int {
	if !(x > 0) || math.IsInf(float64(x), 0) {
		return 0
	}
	frac, exp := math.Frexp(float64(x))
	if frac == 0.5 {
		return exp - 1
	}
	return exp
}

// GridFromRange returns the grid that covers the numbers from minima[c] to maxima[c]: one pair
// for a per-tensor format, one per channel for a per-channel format. The range is
// first extended to contain zero. With a = max(−min, max) of a signed format, and
// a = max of an unsigned one, which saturates what is negative:
//
//	power of two   fl = (b − signed) − ⌈log2 a⌉,  s = 2^-fl
//	symmetric      s = a / QMax                   (a / 2^(b−signed) if mid-rise)
//	affine         s = (max − min) / (QMax − QMin),  z = clamp(roundEven(QMin − min/s))
//
// Quotients are taken in float64 and rounded once to float32; min/s divides by the
// rounded s. The power-of-two rule is the smallest power of two whose steps reach a: only
// numbers within the last half step below 2^(b−signed−fl), and that number itself, lose up to one
// step by saturation. A signed format of one bit has the codes −1 and 0; its symmetric
// scale is a.
//
// A range that is zero, or so small that the scale would fall below 2^-126, has no
// scale of its own: per tensor the grid gets scale 1 and zero point 0; such a channel
// gets the largest scale of the other channels, or 1 if there is none.
//
// The error wraps ErrRange for min > max (nothing was observed), NaN, infinities, a scale
// above 2^126 or a wrong number of ranges, and else is that of Validate.
//
// For example int8 power-of-two, −0.7 to 1.5: ⌈log2 1.5⌉ = 1, fl = 6, 1.5 becomes code 96.
// int8 symmetric, the same range: s = 1.5/127. uint8 affine, −1 to 3: s = 4/255,
// z = roundEven(63.75) = 64.
func (f UniformFormat) GridFromRange(minima, maxima []float32) (Grid, error) {
	if err := f.Validate(); err != nil {
		return Grid{}, err
	}
	if len(minima) != len(maxima) || len(minima) == 0 || len(minima) > 1 && !f.PerChannel {
		return Grid{}, fail(ErrRange, "must be one pair per tensor or per channel", "%d minima and %d maxima", len(minima), len(maxima))
	}
	g, _ := f.Uniform()
	g.Scale = make([]float32, len(minima))
	var largest float32
	for c := range minima {
		lo, hi := float64(minima[c]), float64(maxima[c])
		if !(lo <= hi) || math.IsInf(lo, 0) || math.IsInf(hi, 0) {
			return Grid{}, fail(ErrRange, "no finite numbers were observed", "range %v to %v of channel %d", lo, hi, c)
		}
		s := f.scale(g, min(lo, 0), max(hi, 0))
		if s > float64(MaxScale) {
			return Grid{}, fail(ErrRange, "needs a scale above 2^126", "range %v to %v of channel %d", lo, hi, c)
		}
		if float32(s) >= MinScale {
			g.Scale[c] = float32(s)
			largest = max(largest, float32(s))
		}
	}
	if largest == 0 {
		for c := range g.Scale {
			g.Scale[c] = 1
		}
		return g, nil
	}
	for c, s := range g.Scale {
		if s == 0 {
			g.Scale[c] = largest
		}
	}
	if f.Affine {
		z := math.RoundToEven(float64(g.QMin()) - min(float64(minima[0]), 0)/float64(g.Scale[0]))
		g.ZeroPoint = int32(min(max(z, float64(g.QMin())), float64(g.QMax())))
	}
	return g, nil
}

// scale returns the scale for numbers from lo ≤ 0 to hi ≥ 0; 0 if there is none.
func (f UniformFormat) scale(g Grid, lo, hi float64) float64 {
	if f.Affine {
		return (hi - lo) / float64(g.QMax()-g.QMin())
	}
	a := hi
	magnitude := f.BitWidth
	if f.Signed {
		a = max(-lo, hi)
		magnitude--
	}
	switch {
	case a == 0:
		return 0
	case f.PowerOfTwo:
		return math.Ldexp(1, CeilLog2(float32(a))-magnitude)
	case f.MidRise:
		return math.Ldexp(a, -magnitude)
	}
	return a / max(float64(g.QMax()), 1)
}

// GridFromFL returns the grid of a power-of-two format with scales 2^-fl: one
// fractional length per tensor, or one per channel. Each must be −126 to 126.
//
// For example int4 with fl 5 has the levels −0.25, −0.21875, … 0.21875.
func (f UniformFormat) GridFromFL(fl ...int) (Grid, error) {
	if err := f.Validate(); err != nil {
		return Grid{}, err
	}
	if f.Affine {
		return Grid{}, fail(ErrFormat, "a power-of-two scale has no zero point", "affine format")
	}
	if len(fl) == 0 || len(fl) > 1 && !f.PerChannel {
		return Grid{}, fail(ErrScale, "must be one per tensor or per channel", "%d fractional lengths", len(fl))
	}
	g, _ := f.Uniform()
	g.Scale = make([]float32, len(fl))
	for c, n := range fl {
		if n < -126 || n > 126 {
			return Grid{}, fail(ErrScale, "must be -126 to 126", "fractional length %d", n)
		}
		g.Scale[c] = PowerOfTwo(n)
	}
	return g, nil
}
