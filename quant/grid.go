package quant

import (
	"math"
	"slices"
	"strconv"
	"strings"
)

// Scales lie between MinScale and MaxScale, so that a scale and its reciprocal are
// both normal float32 numbers.
const (
	MinScale float32 = 0x1p-126
	MaxScale float32 = 0x1p+126
)

// Grid is a uniform grid: the real numbers that BitWidth bits stand for.
//
// Mid-tread (the default; zero is a level):
//
//	q = clamp(round(x/s) + z, QMin, QMax)        x̂ = (q − z)·s
//
// Mid-rise (zero lies between two levels, the zero point is −½):
//
//	q = clamp(⌊x/s⌋, QMin, QMax)                 x̂ = (q + ½)·s
//
// A Grid is a value: copying it shares Scale, and nobody may write to a Scale that
// is shared; see Clone.
type Grid struct {
	BitWidth   int       // 1 to 16
	Signed     bool      // codes are two's complement
	Narrow     bool      // one code fewer: −2^(b−1) if signed, 2^b−1 if not
	MidRise    bool      // levels at (q+½)s; excludes Narrow and a zero point
	Reciprocal bool      // quantizing multiplies by float32(1/s) and does not divide by s
	ZeroPoint  int32     // the code of real zero, QMin to QMax; 0 for symmetric grids
	Scale      []float32 // the real value of one step: one entry per tensor, or one per channel
}

// QMin returns the smallest code: 0 if unsigned, −2^(b−1) if signed, −2^(b−1)+1 if
// signed and narrow.
func (g Grid) QMin() int32 {
	if !g.Signed {
		return 0
	}
	q := -int32(1 << uint(g.BitWidth-1))
	if g.Narrow {
		q++
	}
	return q
}

// QMax returns the largest code: 2^(b−1)−1 if signed, 2^b−1 if unsigned, 2^b−2 if
// unsigned and narrow.
func (g Grid) QMax() int32 {
	if g.Signed {
		return int32(1<<uint(g.BitWidth-1)) - 1
	}
	q := int32(1<<uint(g.BitWidth)) - 1
	if g.Narrow {
		q--
	}
	return q
}

// PerChannel reports whether each channel has a scale of its own.
func (g Grid) PerChannel() bool { return len(g.Scale) > 1 }

// ScaleAt returns the scale of channel c.
func (g Grid) ScaleAt(c int) float32 { return at(g.Scale, c) }

// at returns the entry of channel c of a slice that has one entry per tensor or one
// per channel.
func at[T any](s []T, c int) T {
	if len(s) == 1 {
		return s[0]
	}
	return s[c]
}

// Validate returns an error unless every property of the grid is in its range and
// the scales are known.
func (g Grid) Validate() error {
	if err := validateShape(g.BitWidth, g.Narrow, g.MidRise); err != nil {
		return err
	}
	if g.MidRise && g.ZeroPoint != 0 {
		return fail(ErrZeroPoint, "a mid-rise grid has none", "zero point %d", g.ZeroPoint)
	}
	if g.ZeroPoint < g.QMin() || g.ZeroPoint > g.QMax() {
		return fail(ErrZeroPoint, "outside "+strconv.Itoa(int(g.QMin()))+" to "+strconv.Itoa(int(g.QMax())),
			"zero point %d", g.ZeroPoint)
	}
	if len(g.Scale) == 0 {
		return fail(ErrScale, "not known yet", "scale")
	}
	for c, s := range g.Scale {
		if !(s >= MinScale && s <= MaxScale) {
			return fail(ErrScale, "must be 2^-126 to 2^126", "scale %v of channel %d", s, c)
		}
	}
	return nil
}

func validateShape(bitWidth int, narrow, midRise bool) error {
	switch {
	case bitWidth < 1 || bitWidth > 16:
		return fail(ErrBitWidth, "must be 1 to 16, or 32 for float", "bit width %d", bitWidth)
	case narrow && midRise:
		return fail(ErrFormat, "a mid-rise grid is symmetric as it is", "narrow mid-rise")
	case narrow && bitWidth == 1:
		return fail(ErrFormat, "leaves a single code", "narrow range of 1 bit")
	}
	return nil
}

// FL returns the fractional length of channel c: fl where the scale is exactly
// 2^-fl, and false where it is no power of two.
func (g Grid) FL(c int) (fl int, ok bool) { return log2Exact(float64(g.ScaleAt(c))) }

// log2Exact returns fl with s = 2^-fl.
func log2Exact(s float64) (fl int, ok bool) {
	frac, exp := math.Frexp(s)
	return 1 - exp, frac == 0.5
}

// PowerOfTwo returns 2^-fl exactly, for fl from −126 to 126; beyond, the nearest of
// the two ends.
func PowerOfTwo(fl int) float32 {
	fl = min(max(fl, -126), 126)
	return math.Float32frombits(uint32(127-fl) << 23)
}

// Quantize returns the code of x in channel c.
//
// The quotient x/s, or the product x·float32(1/s) of a Reciprocal grid, is a
// float32; it is rounded by r, or by Floor on a mid-rise grid, and clamped to
// [QMin−z, QMax−z] while it is still a float. Only then it becomes an integer and z is
// added: an infinite or huge x saturates on every machine alike. NaN becomes z
// (code 0 of a mid-rise grid); who must count bad numbers counts them before.
//
// For example int4 with s = 0.5, z = 0: 1.25 is 2.5 steps, which is 2 by HalfEven and 3 by
// HalfUp; 9 is 18 steps and saturates at 7.
func (g Grid) Quantize(x float32, c int, r Rounding) int32 {
	if g.MidRise {
		r = Floor
	}
	return g.finish(r.Round32(g.steps(x, c)))
}

// QuantizeStochastic returns the code of x in channel c, rounded by [RoundStochastic]
// with the random number u from [0, 1). A mid-rise grid floors and ignores u.
func (g Grid) QuantizeStochastic(x float32, c int, u float32) int32 {
	if g.MidRise {
		return g.Quantize(x, c, Floor)
	}
	return g.finish(RoundStochastic(g.steps(x, c), u))
}

// steps returns x in units of the scale, unrounded.
func (g Grid) steps(x float32, c int) float32 {
	s := g.ScaleAt(c)
	if g.Reciprocal {
		inverse := float32(1 / s)
		return float32(x * inverse)
	}
	return float32(x / s)
}

// finish clamps a whole number of steps and adds the zero point.
func (g Grid) finish(v float32) int32 {
	if v != v {
		return g.ZeroPoint
	}
	return clampFloat(v, g.ZeroPoint, g.QMin(), g.QMax())
}

// clampFloat returns clamp(v + z, lo, hi) for a whole number v, clamping before
// the conversion to an integer.
func clampFloat(v float32, z, lo, hi int32) int32 {
	v = min(max(v, float32(lo-z)), float32(hi-z))
	return int32(v) + z
}

// Dequantize returns the real number that code q of channel c stands for: (q−z)·s,
// or (q+½)·s on a mid-rise grid, rounded once to float32. Codes of up to 16 bits times a
// power of two are exact.
func (g Grid) Dequantize(q int32, c int) float32 {
	s := g.ScaleAt(c)
	if g.MidRise {
		return float32((float32(q) + 0.5) * s)
	}
	return float32(float32(q-g.ZeroPoint) * s) // the conversion keeps a caller's sum from fusing
}

// FakeQuantize returns Dequantize(Quantize(x)): the level nearest to x.
func (g Grid) FakeQuantize(x float32, c int, r Rounding) float32 {
	return g.Dequantize(g.Quantize(x, c, r), c)
}

// Level returns the integer that arithmetic on codes reads for code q: q − z, or
// 2q + 1 on a mid-rise grid. Its unit is [Grid.LevelScale].
func (g Grid) Level(q int32) int32 {
	if g.MidRise {
		return 2*q + 1
	}
	return q - g.ZeroPoint
}

// LevelScale returns the real value of one unit of Level in channel c: s, or s/2 on a
// mid-rise grid. It is exact.
func (g Grid) LevelScale(c int) float64 {
	s := float64(g.ScaleAt(c))
	if g.MidRise {
		s /= 2
	}
	return s
}

// MaxLevel returns the largest magnitude of Level over all codes: max|q − z|, or
// max|2q + 1|. For uint8 it is 255, for int8 128, for int8 with z = −128 it is 255.
func (g Grid) MaxLevel() int64 {
	lo, hi := int64(g.Level(g.QMin())), int64(g.Level(g.QMax()))
	return max(-lo, lo, -hi, hi)
}

// Equal reports whether both grids have the same codes for all numbers and the same
// numbers for all codes.
func (g Grid) Equal(other Grid) bool {
	return g.BitWidth == other.BitWidth && g.Signed == other.Signed && g.Narrow == other.Narrow &&
		g.MidRise == other.MidRise && g.Reciprocal == other.Reciprocal &&
		g.ZeroPoint == other.ZeroPoint && slices.Equal(g.Scale, other.Scale)
}

// Clone returns a grid that shares nothing with g.
func (g Grid) Clone() Grid {
	g.Scale = slices.Clone(g.Scale)
	return g
}

// String returns a short description: "int4 2^-5", "uint8 s=0.0123 z=3",
// "int8 narrow per-channel[16] s=0.01..0.4".
func (g Grid) String() string {
	var b strings.Builder
	b.WriteString(typeName(g.BitWidth, g.Signed))
	if g.Narrow {
		b.WriteString(" narrow")
	}
	if g.MidRise {
		b.WriteString(" mid-rise")
	}
	switch len(g.Scale) {
	case 0:
		b.WriteString(" s=?")
	case 1:
		b.WriteString(" " + scaleText("s=", g.Scale[0]))
	default:
		lo, hi := slices.Min(g.Scale), slices.Max(g.Scale)
		b.WriteString(" per-channel[" + strconv.Itoa(len(g.Scale)) + "] " + scaleText("s=", lo))
		if lo != hi {
			b.WriteString(".." + scaleText("", hi))
		}
	}
	if g.ZeroPoint != 0 {
		b.WriteString(" z=" + strconv.Itoa(int(g.ZeroPoint)))
	}
	return b.String()
}

func typeName(bitWidth int, signed bool) string {
	if signed {
		return "int" + strconv.Itoa(bitWidth)
	}
	return "uint" + strconv.Itoa(bitWidth)
}

func scaleText(prefix string, s float32) string {
	if fl, ok := log2Exact(float64(s)); ok {
		return "2^" + strconv.Itoa(-fl)
	}
	return prefix + strconv.FormatFloat(float64(s), 'g', 4, 32)
}
