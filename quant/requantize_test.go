package quant

import (
	"errors"
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

// floorOf returns ⌊num/den⌋ for den > 0.
func floorOf(num, den *big.Int) *big.Int { return new(big.Int).Div(num, den) } // Euclidean: floor for den > 0

func clampBig(v *big.Int, lo, hi int32) int32 {
	if v.Cmp(big.NewInt(int64(lo))) < 0 {
		return lo
	}
	if v.Cmp(big.NewInt(int64(hi))) > 0 {
		return hi
	}
	return int32(v.Int64())
}

// refShift is ⌊acc·2^-n + ½⌋ by big integers.
func refShift(acc int64, n, lo, hi int32) int32 {
	num, den := big.NewInt(acc), big.NewInt(1)
	if n > 0 {
		den.Lsh(den, uint(n))
	} else {
		num.Lsh(num, uint(-int64(n)))
	}
	// (2·num + den) / (2·den)
	num.Lsh(num, 1).Add(num, den)
	return clampBig(floorOf(num, den.Lsh(den, 1)), lo, hi)
}

func TestRequantizeShiftByHand(t *testing.T) {
	for _, c := range []struct {
		acc  int64
		n    int32
		want int32
	}{
		{12, 3, 2}, {11, 3, 1}, {-12, 3, -1}, {-13, 3, -2}, {4, 3, 1}, {-4, 3, 0}, {3, 3, 0}, {-5, 3, -1},
		{1280, 9, 3}, {127, 0, 127}, {128, 0, 127}, {-129, 0, -128},
		{31, -2, 124}, {32, -2, 127}, {-32, -2, -128}, {-33, -2, -128}, {1, -31, 127}, {-1, -31, -128}, {0, -31, 0},
		{math.MaxInt64, 31, 127}, {math.MinInt64, 31, -128}, {math.MaxInt64, 1, 127}, {math.MaxInt64, -31, 127}, {math.MinInt64, -31, -128},
		{1 << 30, 31, 1}, {1<<30 - 1, 31, 0}, {-1 << 30, 31, 0}, {-1<<30 - 1, 31, -1},
	} {
		if got := RequantizeShift(c.acc, c.n, -128, 127); got != c.want {
			t.Errorf("RequantizeShift(%d, %d) = %d, want %d", c.acc, c.n, got, c.want)
		}
	}
	// Shifts that no model holds are still safe.
	for _, n := range []int32{64, 100, math.MaxInt32, -63, -64, -100, math.MinInt32} {
		for _, acc := range []int64{0, 1, -1, math.MaxInt64, math.MinInt64} {
			if q := RequantizeShift(acc, n, -8, 7); q < -8 || q > 7 {
				t.Errorf("RequantizeShift(%d, %d) = %d", acc, n, q)
			}
		}
	}
}

func TestRequantizeShiftIsFloorPlusHalf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		acc := rapid.Int64().Draw(t, "acc")
		if rapid.Bool().Draw(t, "small") {
			acc >>= rapid.UintRange(20, 63).Draw(t, "by")
		}
		n := rapid.Int32Range(-31, 31).Draw(t, "n")
		lo := rapid.Int32Range(-32768, 0).Draw(t, "lo")
		hi := rapid.Int32Range(0, 65535).Draw(t, "hi")
		if got, want := RequantizeShift(acc, n, lo, hi), refShift(acc, n, lo, hi); got != want {
			t.Fatalf("RequantizeShift(%d, %d, %d, %d) = %d, want %d", acc, n, lo, hi, got, want)
		}
		// Where the sum cannot wrap, the textbook form is the same number.
		if n > 0 && acc > -1<<62 && acc < 1<<62 {
			textbook := (acc + 1<<uint(n-1)) >> uint(n)
			if got := RequantizeShift(acc, n, lo, hi); int64(got) != min(max(textbook, int64(lo)), int64(hi)) {
				t.Fatalf("RequantizeShift(%d, %d) = %d, textbook %d", acc, n, got, textbook)
			}
		}
	})
}

// refFloat32 rounds an exact number to float32 by big.Float: 24 bits, half to even.
func refFloat32(x *big.Float) float32 {
	f, _ := x.Float32()
	return f
}

func exact(x float64) *big.Float { return new(big.Float).SetPrec(200).SetFloat64(x) }

// refFloat is the float rule in exact arithmetic with explicit roundings.
func refFloat(acc int64, m float32, z, lo, hi int32) int32 {
	a := refFloat32(new(big.Float).SetPrec(200).SetInt64(acc))
	v := float64(refFloat32(new(big.Float).SetPrec(200).Mul(exact(float64(a)), exact(float64(m)))))
	r := math.RoundToEven(v)
	r = math.Min(math.Max(r, float64(lo)-float64(z)), float64(hi)-float64(z))
	return int32(r) + z
}

func TestFloatRule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		y, _ := drawGrid(t)
		y.MidRise = false
		s := math.Ldexp(rapid.Float64Range(0.5, 1).Draw(t, "fraction"), rapid.IntRange(-40, 10).Draw(t, "exponent"))
		r, err := NewRequantizer(Float, []float64{s}, y)
		if err != nil {
			t.Fatal(err)
		}
		if want := float32(float32(s) / y.Scale[0]); r.Multiplier[0] != want {
			t.Fatalf("multiplier %v, want %v", r.Multiplier[0], want)
		}
		acc := rapid.Int64().Draw(t, "acc") >> rapid.UintRange(0, 63).Draw(t, "by")
		if got, want := r.Apply(acc, 5), refFloat(acc, r.Multiplier[0], y.ZeroPoint, y.QMin(), y.QMax()); got != want {
			t.Fatalf("%v, M %v: %d becomes %d, want %d", y, r.Multiplier[0], acc, got, want)
		}
	})
}

// int64 to float32 must round once, half to even, on machines of any word size.
func TestAccumulatorToFloat32(t *testing.T) {
	r := Requantizer{Rule: Float, Multiplier: []float32{1.0 / (1 << 20)}, Lo: -1 << 16, Hi: 1 << 16}
	for _, acc := range []int64{1<<24 + 1, 1<<24 + 3, 1<<36 + 1<<12, 1<<36 + 1<<12 + 1, 1<<36 + 3<<12, 1<<53 + 1<<29, 1<<53 + 1<<29 + 1, -(1<<36 + 1<<12 + 1)} {
		want := refFloat(acc, r.Multiplier[0], 0, r.Lo, r.Hi)
		if got := r.Apply(acc, 0); got != want {
			t.Errorf("%d becomes %d, want %d", acc, got, want)
		}
		if a, b := float32(acc), refFloat32(new(big.Float).SetInt64(acc)); a != b {
			t.Errorf("float32(%d) = %v, want %v", acc, a, b)
		}
	}
}

func TestRequantizerByHand(t *testing.T) {
	po2 := func(bits, fl int) Grid {
		return Grid{BitWidth: bits, Signed: true, Scale: []float32{PowerOfTwo(fl)}}
	}
	r, err := NewRequantizer(Shift, AccScale(po2(8, 7), po2(8, 6)), po2(8, 4))
	if err != nil || r.Shift[0] != 9 {
		t.Fatalf("shift %v, error %v", r.Shift, err)
	}
	if got := r.Apply(1280, 0); got != 3 {
		t.Errorf("1280 becomes %d, want 3", got)
	}
	if got := r.RoundingTerm(0); got != 256 {
		t.Errorf("rounding term %d, want 256", got)
	}
	if relu := r.ReLU(); relu.Apply(-1280, 0) != 0 {
		t.Errorf("ReLU of -1280 is %d", relu.Apply(-1280, 0))
	}
	// 6 at 2^-4 is code 96.
	if r6 := r.ReLU6(po2(8, 4)); r6.Hi != 96 || r6.Lo != 0 || r6.Apply(1<<20, 0) != 96 {
		t.Errorf("ReLU6 clamps to %d..%d", r6.Lo, r6.Hi)
	}

	y := Grid{BitWidth: 8, ZeroPoint: 10, Scale: []float32{0.5}}
	r, err = NewRequantizer(Float, []float64{0.25, 0.125}, y)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		acc  int64
		c    int
		want int32
	}{{5, 0, 12}, {7, 0, 14}, {-5, 0, 8}, {-100, 0, 0}, {1 << 40, 0, 255}, {-1 << 40, 1, 0}, {5, 1, 11}, {6, 1, 12}} {
		if got := r.Apply(c.acc, c.c); got != c.want {
			t.Errorf("channel %d: %d becomes %d, want %d", c.c, c.acc, got, c.want)
		}
	}
	if r6 := r.ReLU6(y); r6.Lo != 10 || r6.Hi != 22 {
		t.Errorf("ReLU6 clamps to %d..%d, want 10..22", r6.Lo, r6.Hi)
	}
	if n := r.RoundingTerm(0); n != 0 {
		t.Errorf("rounding term %d of the float rule", n)
	}

	r, err = NewRequantizer(FixedPoint, []float64{0.05}, y)
	if err != nil || r.Mantissa[0] != 1717986918 || r.Exponent[0] != -3 {
		t.Fatalf("multiplier %v %v, error %v", r.Mantissa, r.Exponent, err)
	}
	if got := r.Apply(15, 0); got != 11 {
		t.Errorf("single rounding: 15 becomes %d, want 11", got)
	}
	r.DoubleRounding = true
	if got := r.Apply(15, 0); got != 12 {
		t.Errorf("double rounding: 15 becomes %d, want 12", got)
	}
	if a, b := r.Apply(math.MaxInt64, 0), r.Apply(math.MinInt64, 0); a != 255 || b != 0 {
		t.Errorf("ends become %d and %d", a, b)
	}
}

// A mid-rise grid computes as if its zero point were −½: levels are 2q + 1 in units of s/2.
func TestMidRise(t *testing.T) {
	x := Grid{BitWidth: 2, Signed: true, MidRise: true, Scale: []float32{0.5}}
	w := Grid{BitWidth: 1, Signed: true, MidRise: true, Scale: []float32{0.25}}
	y := Grid{BitWidth: 3, Signed: true, MidRise: true, Scale: []float32{0.25}}
	for _, rule := range []Rule{Shift, Float} {
		r, err := NewRequantizer(rule, AccScale(x, w), y)
		if err != nil {
			t.Fatal(err)
		}
		for qx := x.QMin(); qx <= x.QMax(); qx++ {
			for qw := w.QMin(); qw <= w.QMax(); qw++ {
				acc := 3 * int64(x.Level(qx)) * int64(w.Level(qw))
				real := 3 * x.Dequantize(qx, 0) * w.Dequantize(qw, 0)
				if got, want := r.Apply(acc, 0), y.Quantize(real, 0, HalfEven); got != want {
					t.Errorf("%v: 3·%d·%d becomes %d, want %d", rule, qx, qw, got, want)
				}
			}
		}
	}
	if _, err := NewRequantizer(FixedPoint, AccScale(x, w), y); !errors.Is(err, ErrRule) {
		t.Errorf("fixedpoint into mid-rise: got error %v, want ErrRule", err)
	}
}

func TestRequantizerIsMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		y, _ := drawGrid(t)
		rule := Rule(rapid.IntRange(0, 2).Draw(t, "rule"))
		s := float64(y.Scale[0]) * rapid.Float64Range(1e-6, 10).Draw(t, "ratio")
		if rule == Shift {
			y.ZeroPoint = 0
			s = math.Ldexp(float64(y.Scale[0]), -rapid.IntRange(-31, 31).Draw(t, "n"))
		}
		if rule == FixedPoint {
			y.MidRise = false
		}
		r, err := NewRequantizer(rule, []float64{s}, y)
		if err != nil {
			t.Fatal(err)
		}
		r.DoubleRounding = rapid.Bool().Draw(t, "double")
		a := rapid.Int64Range(-1<<33, 1<<33).Draw(t, "a") >> rapid.UintRange(0, 30).Draw(t, "by")
		b := a + rapid.Int64Range(0, 300).Draw(t, "more")
		qa, qb := r.Apply(a, 0), r.Apply(b, 0)
		if qa > qb || qa < r.Lo || qb > r.Hi {
			t.Fatalf("%v into %v: %d becomes %d, %d becomes %d", rule, y, a, qa, b, qb)
		}
		// Every rule is within one code of the real number.
		if a > -1<<31 && a < 1<<31 {
			want := float64(a)*s/float64(y.Scale[0]) + float64(y.ZeroPoint)
			want = math.Min(math.Max(want, float64(r.Lo)), float64(r.Hi))
			if d := math.Abs(float64(qa) - want); d > 1.01 {
				t.Fatalf("%v into %v: %d becomes %d, want about %v", rule, y, a, qa, want)
			}
		}
	})
}

func TestPassRange(t *testing.T) {
	r := Requantizer{Rule: Shift, Shift: []int32{4}, Lo: -8, Hi: 7}
	if first, last := r.PassRange(0, -8, 7, true); first != -136 || last != 119 {
		t.Errorf("rounded: %d to %d, want -136 to 119", first, last)
	}
	if first, last := r.PassRange(0, -8, 7, false); first != -127 || last != 111 {
		t.Errorf("unrounded: %d to %d, want -127 to 111", first, last)
	}
	if first, last := r.PassRange(0, 3, 2, true); first <= last {
		t.Errorf("an empty range gives %d to %d", first, last)
	}
	rapid.Check(t, func(t *rapid.T) {
		y, _ := drawGrid(t)
		rule := Rule(rapid.IntRange(0, 2).Draw(t, "rule"))
		ratio := rapid.Float64Range(1e-4, 4).Draw(t, "ratio")
		switch rule {
		case Shift:
			y.ZeroPoint = 0
			ratio = math.Ldexp(1, -rapid.IntRange(-5, 20).Draw(t, "n"))
		case FixedPoint:
			y.MidRise = false
		}
		r, err := NewRequantizer(rule, []float64{float64(y.Scale[0]) * ratio}, y)
		if err != nil {
			t.Fatal(err)
		}
		acc := rapid.Int64Range(-1<<25, 1<<25).Draw(t, "acc") >> rapid.UintRange(0, 25).Draw(t, "by")
		first, last := r.PassRange(0, y.QMin(), y.QMax(), true)
		wide := r
		wide.Lo, wide.Hi = -1<<17, 1<<17
		code := wide.Apply(acc, 0)
		if inside := code >= y.QMin() && code <= y.QMax(); inside != (first <= acc && acc <= last) {
			t.Fatalf("%v into %v: code %d of %d, passes %d to %d", rule, y, code, acc, first, last)
		}
		first, last = r.PassRange(0, y.QMin(), y.QMax(), false)
		v := new(big.Float).SetPrec(200).SetInt64(acc)
		switch rule {
		case Shift:
			v.SetMantExp(v, -int(r.Shift[0]))
		case Float:
			v = exact(float64(refFloat32(v.Mul(exact(float64(float32(acc))), exact(float64(r.Multiplier[0]))))))
		case FixedPoint:
			v.Mul(v, exact(float64(r.Mantissa[0])))
			v.SetMantExp(v, int(r.Exponent[0])-31)
		}
		lo, hi := float64(y.QMin()-y.ZeroPoint), float64(y.QMax()-y.ZeroPoint)
		if y.MidRise {
			hi++
		}
		inside := v.Cmp(exact(lo)) > 0 && v.Cmp(exact(hi)) < 0
		if inside != (first <= acc && acc <= last) {
			t.Fatalf("%v into %v: value %v of %d, passes %d to %d", rule, y, v, acc, first, last)
		}
	})
}

func TestNewRequantizerErrors(t *testing.T) {
	y := Grid{BitWidth: 8, Signed: true, Scale: []float32{0.25}}
	with := func(change func(*Grid)) Grid {
		g := y.Clone()
		change(&g)
		return g
	}
	for _, c := range []struct {
		name string
		rule Rule
		acc  []float64
		y    Grid
		want error
	}{
		{"no scales", Shift, nil, y, ErrScale},
		{"zero scale", Float, []float64{0}, y, ErrScale},
		{"NaN scale", Float, []float64{math.NaN()}, y, ErrScale},
		{"infinite scale", FixedPoint, []float64{math.Inf(1)}, y, ErrScale},
		{"not a power of two", Shift, []float64{0.3}, y, ErrShift},
		{"shift too far", Shift, []float64{math.Ldexp(1, -34)}, y, ErrShift},
		{"shift too far left", Shift, []float64{math.Ldexp(1, 30)}, y, ErrShift},
		{"multiplier underflows", Float, []float64{math.Ldexp(1, -140)}, y, ErrMultiplier},
		{"multiplier overflows", Float, []float64{math.Ldexp(1, 127)}, y, ErrMultiplier},
		{"zero point", Shift, []float64{0.25}, with(func(g *Grid) { g.ZeroPoint = 4 }), ErrZeroPoint},
		{"two outputs", Shift, []float64{0.25}, with(func(g *Grid) { g.Scale = []float32{1, 1} }), ErrScale},
		{"bad output", Shift, []float64{0.25}, with(func(g *Grid) { g.BitWidth = 17 }), ErrBitWidth},
		{"unknown rule", 9, []float64{0.25}, y, ErrRule},
	} {
		if _, err := NewRequantizer(c.rule, c.acc, c.y); !errors.Is(err, c.want) {
			t.Errorf("%s: got error %v, want %v", c.name, err, c.want)
		}
	}
	for name, r := range map[string]Requantizer{
		"no shifts":      {Rule: Shift, Hi: 1},
		"three of two":   {Rule: Shift, Shift: []int32{1, 2, 3}, Hi: 1},
		"empty clamp":    {Rule: Shift, Shift: []int32{1}, Lo: 1},
		"unpaired":       {Rule: FixedPoint, Mantissa: []int32{1}, Hi: 1},
		"huge clamp":     {Rule: Float, Multiplier: []float32{1}, Hi: 1 << 20},
		"exponent":       {Rule: FixedPoint, Mantissa: []int32{1 << 30}, Exponent: []int32{31}, Hi: 1},
		"NaN multiplier": {Rule: Float, Multiplier: []float32{float32(math.NaN())}, Hi: 1},
	} {
		if err := r.Validate(2); err == nil {
			t.Errorf("%s: valid", name)
		}
	}
	if AccScale(with(func(g *Grid) { g.Scale = []float32{1, 1} }), y) != nil {
		t.Error("a per-channel input has accumulator scales")
	}
}
