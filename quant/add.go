package quant

import "math"

// AddShift adds codes of two power-of-two grids into a third, with one rounding:
//
//	f = max(FA, FB)
//	q = clamp(((a << (f−FA)) ± (b << (f−FB)))·2^-(f−FY), Lo, Hi)
//
// by the rule of [RequantizeShift], in int64. A ReLU is Lo = 0.
//
// For example a = 5 at 2^-4, b = 3 at 2^-6, output 2^-3: f = 6, 20 + 3 = 23, (23 + 4) >> 3 = 3, which
// is 0.375 for 0.359375.
type AddShift struct {
	FA, FB, FY int32 // fractional lengths; f is at most 31 from each
	Subtract   bool  // a − b instead of a + b
	MidRise    bool  // the output grid is mid-rise: rounds by Floor
	Lo, Hi     int32 // the codes that may leave
}

// NewAddShift returns the sum, or the difference, of codes of a and b as a code of y. The
// error wraps ErrShift where a scale is no power of two or lengths are over 31 apart.
func NewAddShift(a, b, y Grid, subtract bool) (AddShift, error) {
	f, err := levelFLs(a, b, y)
	if err != nil {
		return AddShift{}, err
	}
	if y.MidRise {
		f[2]-- // the output is written in its own scale, not in levels
	}
	add := AddShift{FA: f[0], FB: f[1], FY: f[2], Subtract: subtract, MidRise: y.MidRise, Lo: y.QMin(), Hi: y.QMax()}
	return add, add.Validate()
}

// levelFLs returns the fractional length of a level of each grid, which must have one
// power-of-two scale and no zero point.
func levelFLs(grids ...Grid) ([]int32, error) {
	fls := make([]int32, len(grids))
	for i, g := range grids {
		if err := perTensor(g); err != nil {
			return nil, err
		}
		fl, ok := log2Exact(g.LevelScale(0))
		if !ok {
			return nil, fail(ErrShift, "scale is no power of two", "grid %v", g)
		}
		if g.ZeroPoint != 0 {
			return nil, fail(ErrZeroPoint, "the shift rule has none", "grid %v", g)
		}
		fls[i] = int32(fl)
	}
	return fls, nil
}

// perTensor returns an error unless g is valid and has one scale.
func perTensor(g Grid) error {
	if err := g.Validate(); err != nil {
		return err
	}
	if g.PerChannel() {
		return fail(ErrScale, "an activation has one scale", "grid %v", g)
	}
	return nil
}

// Validate returns an error that wraps ErrShift if fractional lengths are too far apart.
func (a AddShift) Validate() error {
	f := max(int64(a.FA), int64(a.FB))
	for _, n := range [3]int64{f - int64(a.FA), f - int64(a.FB), f - int64(a.FY)} {
		if n < -31 || n > 31 {
			return fail(ErrShift, "must be at most 31 apart", "add of fractional lengths %d and %d into %d", a.FA, a.FB, a.FY)
		}
	}
	return validateClamp(a.Lo, a.Hi)
}

func validateClamp(lo, hi int32) error {
	if lo > hi || lo < -1<<16 || hi > 1<<16 {
		return fail(ErrZeroPoint, "codes have 16 bits", "clamp %d to %d", lo, hi)
	}
	return nil
}

// Sum returns the exact sum of codes x and y in units of 2^-f.
func (a AddShift) Sum(x, y int32) int64 {
	f := max(a.FA, a.FB)
	sum := alignLeft(x, f-a.FA)
	if b := alignLeft(y, f-a.FB); a.Subtract {
		sum -= b
	} else {
		sum += b
	}
	return sum
}

// Apply returns the code of the sum of codes x and y; for an operand on a mid-rise grid,
// of its level 2q + 1.
func (a AddShift) Apply(x, y int32) int32 {
	f, sum := max(a.FA, a.FB), a.Sum(x, y)
	if a.MidRise {
		return floorShift(sum, f-a.FY, a.Lo, a.Hi)
	}
	return RequantizeShift(sum, f-a.FY, a.Lo, a.Hi)
}

// alignLeft returns q << n. Validate keeps n at most 31; a larger one counts as 31, so
// that the sum of two results always fits an int64.
func alignLeft(q, n int32) int64 { return int64(q) << min(uint32(n), 31) }

// AddFloat adds codes of two grids into a third through float32:
//
//	q = clamp(roundEven(float32(float32(a−Za)·Ma) + float32(float32(b−Zb)·Mb)) + Zy, Lo, Hi)
//
// with Ma = float32(s_a/s_y) and Mb = float32(s_b/s_y), negative to subtract. Each product
// and the sum are rounded to float32 on their own, never fused. The clamp happens in
// float32, to [Lo−Zy, Hi−Zy], before the conversion.
//
// For example Ma = 0.5, Mb = 0.25, zero points 0: a = 3, b = 4 gives 2.5, which becomes 2.
type AddFloat struct {
	Ma, Mb     float32
	Za, Zb, Zy int32
	MidRise    bool  // the output grid is mid-rise: rounds by Floor
	Lo, Hi     int32 // the codes that may leave
}

// NewAddFloat returns the sum, or the difference, of codes of a and b as a code of y.
func NewAddFloat(a, b, y Grid, subtract bool) (AddFloat, error) {
	for _, g := range [3]Grid{a, b, y} {
		if err := perTensor(g); err != nil {
			return AddFloat{}, err
		}
	}
	add := AddFloat{
		Ma: scaleRatio(a, y), Mb: scaleRatio(b, y),
		Za: a.ZeroPoint, Zb: b.ZeroPoint, Zy: y.ZeroPoint,
		MidRise: y.MidRise, Lo: y.QMin(), Hi: y.QMax(),
	}
	if subtract {
		add.Mb = -add.Mb
	}
	return add, add.Validate()
}

// scaleRatio returns float32(s_x/s_y), of a level of x.
func scaleRatio(x, y Grid) float32 { return float32(float32(x.LevelScale(0)) / y.ScaleAt(0)) }

// Validate returns an error that wraps ErrMultiplier if a multiplier is zero, not finite
// or subnormal.
func (a AddFloat) Validate() error {
	for _, m := range [2]float32{a.Ma, a.Mb} {
		if !(abs32(m) >= MinScale && abs32(m) <= math.MaxFloat32) {
			return fail(ErrMultiplier, "must be a normal float32", "multiplier %v", m)
		}
	}
	return validateClamp(a.Lo, a.Hi)
}

func abs32(x float32) float32 { return math.Float32frombits(math.Float32bits(x) &^ (1 << 31)) }

// Sum returns the sum of codes x and y in steps of the output, unrounded.
func (a AddFloat) Sum(x, y int32) float32 {
	p := float32(float32(x-a.Za) * a.Ma)
	q := float32(float32(y-a.Zb) * a.Mb)
	return float32(p + q)
}

// Apply returns the code of the sum of codes x and y; for an operand on a mid-rise grid,
// of its level 2q + 1.
func (a AddFloat) Apply(x, y int32) int32 {
	return clampFloat(roundLevel(a.Sum(x, y), a.MidRise), a.Zy, a.Lo, a.Hi)
}

// AddFixedPoint adds codes as TensorFlow Lite's ADD and SUB kernels do. With L = 20 for
// codes of up to 8 bits and 15 for wider ones, and twice = 2·max(s_a, s_b):
//
//	a' = multiply((a−Za) << L, s_a/twice)      b' likewise
//	q  = clamp(multiply(a' ± b', twice/(2^L·s_y)) + Zy, Lo, Hi)
//
// where multiply is [MultiplyByQuantizedMultiplier] and every factor goes through
// [FixedPointMultiplier] in float64.
type AddFixedPoint struct {
	Left                     int32 // L
	MantissaA, ExponentA     int32
	MantissaB, ExponentB     int32
	MantissaY, ExponentY     int32
	Za, Zb, Zy               int32
	Subtract, DoubleRounding bool
	Lo, Hi                   int32 // the codes that may leave
}

// NewAddFixedPoint returns the sum, or the difference, of codes of a and b as a code of
// y. It refuses mid-rise outputs.
func NewAddFixedPoint(a, b, y Grid, subtract, doubleRounding bool) (AddFixedPoint, error) {
	for _, g := range [3]Grid{a, b, y} {
		if err := perTensor(g); err != nil {
			return AddFixedPoint{}, err
		}
	}
	if y.MidRise {
		return AddFixedPoint{}, fail(ErrRule, "mid-rise outputs use shift or float", "fixedpoint")
	}
	add := AddFixedPoint{
		Left: 20, Za: a.ZeroPoint, Zb: b.ZeroPoint, Zy: y.ZeroPoint,
		Subtract: subtract, DoubleRounding: doubleRounding, Lo: y.QMin(), Hi: y.QMax(),
	}
	if max(a.BitWidth, b.BitWidth, y.BitWidth) > 8 {
		add.Left = 15
	}
	sa, sb, sy := a.LevelScale(0), b.LevelScale(0), y.LevelScale(0)
	twice := 2 * max(sa, sb)
	add.MantissaA, add.ExponentA = FixedPointMultiplier(sa / twice)
	add.MantissaB, add.ExponentB = FixedPointMultiplier(sb / twice)
	add.MantissaY, add.ExponentY = FixedPointMultiplier(twice / math.Ldexp(sy, int(add.Left)))
	return add, add.Validate()
}

// Validate returns an error that wraps ErrMultiplier if a multiplier is out of range.
func (a AddFixedPoint) Validate() error {
	if a.Left < 0 || a.Left > 20 {
		return fail(ErrShift, "must be 0 to 20", "left shift %d", a.Left)
	}
	for _, m := range [3][2]int32{{a.MantissaA, a.ExponentA}, {a.MantissaB, a.ExponentB}, {a.MantissaY, a.ExponentY}} {
		if err := validateMultiplier(m[0], m[1]); err != nil {
			return err
		}
	}
	return validateClamp(a.Lo, a.Hi)
}

// Apply returns the code of the sum of codes x and y; for an operand on a mid-rise grid,
// of its level 2q + 1.
func (a AddFixedPoint) Apply(x, y int32) int32 {
	p := a.operand(x-a.Za, a.MantissaA, a.ExponentA)
	q := a.operand(y-a.Zb, a.MantissaB, a.ExponentB)
	if a.Subtract {
		q = -q
	}
	v := MultiplyByQuantizedMultiplier(saturateInt32(p+q), a.MantissaY, a.ExponentY, a.DoubleRounding)
	return int32(min(max(int64(v)+int64(a.Zy), int64(a.Lo)), int64(a.Hi)))
}

func (a AddFixedPoint) operand(level, mantissa, exponent int32) int64 {
	left := min(uint32(a.Left), 31)
	return int64(MultiplyByQuantizedMultiplier(saturateInt32(int64(level)<<left), mantissa, exponent, a.DoubleRounding))
}
