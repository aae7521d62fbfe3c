package quant

// MaxDivisor is the largest number of values that an average may run over.
const MaxDivisor = 1 << 30

// AveragePoolShift averages codes of a power-of-two grid into another with one rounding,
// half up. With S the sum of the codes, n the divisor and k = FY − FX:
//
//	num = S << max(k, 0)        den = n << max(−k, 0)
//	q   = clamp(⌊(2·num + den) / (2·den)⌋, Lo, Hi)
//
// The division is a true one, rounded towards minus infinity. On a mid-rise grid S
// is the sum of the levels 2q + 1.
//
// For example 3×3 codes with S = −14, k = 0: ⌊(−28 + 9)/18⌋ = −2, for −1.56. With k = 1:
// ⌊(−56 + 9)/18⌋ = −3, for −3.11.
type AveragePoolShift struct {
	FX, FY  int32 // fractional lengths, at most 31 apart
	MidRise bool  // the output grid is mid-rise: q = clamp(⌊num/den⌋)
	Lo, Hi  int32 // the codes that may leave
}

// NewAveragePoolShift returns the average of codes of x as a code of y.
func NewAveragePoolShift(x, y Grid) (AveragePoolShift, error) {
	f, err := levelFLs(x, y)
	if err != nil {
		return AveragePoolShift{}, err
	}
	if y.MidRise {
		f[1]--
	}
	p := AveragePoolShift{FX: f[0], FY: f[1], MidRise: y.MidRise, Lo: y.QMin(), Hi: y.QMax()}
	return p, p.Validate()
}

// Validate returns an error that wraps ErrShift if the fractional lengths are more than 31
// apart.
func (p AveragePoolShift) Validate() error {
	if k := int64(p.FY) - int64(p.FX); k < -31 || k > 31 {
		return fail(ErrShift, "must be at most 31 apart", "average of fractional length %d into %d", p.FX, p.FY)
	}
	return validateClamp(p.Lo, p.Hi)
}

// Apply returns the code of the average with the given sum and divisor, 1 to
// MaxDivisor; a divisor outside counts as the nearest end. No intermediate value
// overflows.
func (p AveragePoolShift) Apply(sum, divisor int64) int32 {
	n := min(max(divisor, 1), MaxDivisor)
	k := min(max(int64(p.FY)-int64(p.FX), -31), 31)
	up, down := uint(max(k, 0)), uint(max(-k, 0))
	// S = whole·den + part with 0 ≤ part < den ≤ 2^61, so nothing below overflows, and
	// (2·(S<<up) + den)/(2·den) = (whole<<up) + (2·(part<<up) + den)/(2·den).
	den := n << down
	whole := floorDiv(sum, den)
	part := sum - whole*den
	var rest int64
	if up == 0 {
		if !p.MidRise && 2*part >= den {
			rest = 1
		}
	} else {
		num := part << up // below 2^61: den is n here
		if p.MidRise {
			rest = num / den
		} else {
			rest = (2*num + den) / (2 * den)
		}
	}
	// An average beyond 17 bits saturates whatever the shift adds.
	whole = min(max(whole, -1<<17), 1<<17)
	return int32(min(max(whole<<up+rest, int64(p.Lo)), int64(p.Hi)))
}

// floorDiv returns ⌊a/b⌋ for b > 0.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// AveragePoolFloat averages codes of one grid into another through float32. With S the
// sum of q − z over the values and n the divisor:
//
//	M = float32(float32(s_x/n) / s_y)
//	q = clamp(roundEven(float32(float32(S)·M)) + Zy, Lo, Hi)
//
// The clamp happens in float32, to [Lo−Zy, Hi−Zy], before the conversion.
//
// For example s_x = s_y, n = 4: M = 0.25, S = 10 gives 2.5, which becomes 2.
type AveragePoolFloat struct {
	ScaleX, ScaleY float32 // of a level of the input, and of the output
	Zy             int32
	MidRise        bool  // the output grid is mid-rise: rounds by Floor
	Lo, Hi         int32 // the codes that may leave
}

// NewAveragePoolFloat returns the average of levels of x as a code of y.
func NewAveragePoolFloat(x, y Grid) (AveragePoolFloat, error) {
	for _, g := range [2]Grid{x, y} {
		if err := perTensor(g); err != nil {
			return AveragePoolFloat{}, err
		}
	}
	p := AveragePoolFloat{
		ScaleX: float32(x.LevelScale(0)), ScaleY: y.ScaleAt(0), Zy: y.ZeroPoint,
		MidRise: y.MidRise, Lo: y.QMin(), Hi: y.QMax(),
	}
	return p, p.Validate()
}

// Validate returns an error that wraps ErrScale for scales that are not positive and
// normal, or ErrMultiplier if they are so far apart that M is not.
func (p AveragePoolFloat) Validate() error {
	if !(p.ScaleX > 0 && p.ScaleX <= MaxScale && p.ScaleY >= MinScale && p.ScaleY <= MaxScale) {
		return fail(ErrScale, "must be 2^-126 to 2^126", "scales %v and %v", p.ScaleX, p.ScaleY)
	}
	if m := p.ScaleX / p.ScaleY; !(m >= MinScale && m <= MaxScale) {
		return fail(ErrMultiplier, "must be a normal float32", "multiplier %v", m)
	}
	return validateClamp(p.Lo, p.Hi)
}

// Multiplier returns M for a divisor, 1 to MaxDivisor; a divisor outside counts as the
// nearest end.
func (p AveragePoolFloat) Multiplier(divisor int64) float32 {
	n := float32(min(max(divisor, 1), MaxDivisor))
	return float32(float32(p.ScaleX/n) / p.ScaleY)
}

// Apply returns the code of the average with the given sum of levels and divisor.
func (p AveragePoolFloat) Apply(sum, divisor int64) int32 {
	v := float32(float32(sum) * p.Multiplier(divisor))
	return clampFloat(roundLevel(v, p.MidRise), p.Zy, p.Lo, p.Hi)
}

// AveragePoolFixedPoint averages codes as TensorFlow Lite's AVERAGE_POOL_2D kernel does:
// input and output share their grid, and the mean of the codes rounds half away from zero:
//
//	q = clamp((S + n/2) / n)  if S > 0,  clamp((S − n/2) / n)  otherwise
//
// with S the sum of the codes (zero point included) and truncating divisions.
//
// For example n = 4: S = 10 becomes 3, S = −10 becomes −3, S = 9 becomes 2.
type AveragePoolFixedPoint struct {
	Lo, Hi int32 // the codes that may leave
}

// NewAveragePoolFixedPoint returns the average of codes of g as a code of g.
func NewAveragePoolFixedPoint(g Grid) (AveragePoolFixedPoint, error) {
	if err := perTensor(g); err != nil {
		return AveragePoolFixedPoint{}, err
	}
	if g.MidRise {
		return AveragePoolFixedPoint{}, fail(ErrRule, "mid-rise outputs use shift or float", "fixedpoint")
	}
	return AveragePoolFixedPoint{Lo: g.QMin(), Hi: g.QMax()}, nil
}

// Apply returns the code of the average with the given sum of codes and divisor, 1 to
// MaxDivisor; a divisor outside counts as the nearest end.
func (p AveragePoolFixedPoint) Apply(sum, divisor int64) int32 {
	n := min(max(divisor, 1), MaxDivisor)
	sum = min(max(sum, -1<<62), 1<<62)
	if sum > 0 {
		sum = (sum + n/2) / n
	} else {
		sum = (sum - n/2) / n
	}
	return int32(min(max(sum, int64(p.Lo)), int64(p.Hi)))
}

// ToCommonScale returns the accumulator acc of a channel with scale sc in units of
// smax, the largest scale of all channels, so that logits of a per-channel layer
// compare:
//
//	roundEven(float32(float32(acc)·float32(sc/smax)))
//
// It saturates at ±2^62; logits that are kept as int32 saturate there after.
//
// For example acc = 1001, sc = 0.5·smax: 500.5 becomes 500.
func ToCommonScale(acc int64, sc, smax float32) int64 {
	v := HalfEven.Round32(float32(float32(acc) * float32(sc/smax)))
	if v != v {
		return 0
	}
	return int64(min(max(v, -1<<62), 1<<62))
}
