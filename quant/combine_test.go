package quant

import (
	"errors"
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

func dfp(bits int, signed bool, fl int) Grid {
	return Grid{BitWidth: bits, Signed: signed, Scale: []float32{PowerOfTwo(fl)}}
}

// drawDFP draws a power-of-two grid and one of its codes.
func drawDFP(t *rapid.T, name string) (Grid, int32) {
	g := dfp(rapid.IntRange(1, 16).Draw(t, name+" bits"), rapid.Bool().Draw(t, name+" signed"), rapid.IntRange(-7, 8).Draw(t, name+" fl"))
	g.MidRise = rapid.Bool().Draw(t, name+" mid-rise")
	return g, rapid.Int32Range(g.QMin(), g.QMax()).Draw(t, name+" code")
}

// operand returns what Apply of the combining rules takes for a code.
func operand(g Grid, q int32) int32 {
	if g.MidRise {
		return g.Level(q)
	}
	return q
}

// refCode is the code of an exact rational number on a power-of-two grid, half up or, if
// mid-rise, down.
func refCode(v *big.Rat, y Grid) int32 {
	fl, _ := y.FL(0)
	steps := new(big.Rat).Mul(v, new(big.Rat).SetFloat64(math.Ldexp(1, fl)))
	if !y.MidRise {
		steps.Add(steps, big.NewRat(1, 2))
	}
	return clampBig(floorOf(steps.Num(), steps.Denom()), y.QMin(), y.QMax())
}

func rat(x float32) *big.Rat { return new(big.Rat).SetFloat64(float64(x)) }

func TestAddShift(t *testing.T) {
	add, err := NewAddShift(dfp(8, true, 4), dfp(8, true, 6), dfp(8, true, 3), false)
	if err != nil {
		t.Fatal(err)
	}
	if got := add.Apply(5, 3); got != 3 {
		t.Errorf("5·2^-4 + 3·2^-6 = %d·2^-3, want 3", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		a, qa := drawDFP(t, "a")
		b, qb := drawDFP(t, "b")
		y, _ := drawDFP(t, "y")
		subtract := rapid.Bool().Draw(t, "subtract")
		add, err := NewAddShift(a, b, y, subtract)
		if err != nil {
			t.Fatal(err)
		}
		sum := rat(b.Dequantize(qb, 0))
		if subtract {
			sum.Neg(sum)
		}
		sum.Add(sum, rat(a.Dequantize(qa, 0)))
		if got, want := add.Apply(operand(a, qa), operand(b, qb)), refCode(sum, y); got != want {
			t.Fatalf("%v %d, %v %d, subtract %v: code %d of %v, want %d", a, qa, b, qb, subtract, got, y, want)
		}
	})
}

func TestAddShiftNeverWraps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		add := AddShift{FA: rapid.Int32().Draw(t, "fa"), FB: rapid.Int32().Draw(t, "fb"), FY: rapid.Int32().Draw(t, "fy"), Lo: -8, Hi: 7}
		a, b := rapid.Int32().Draw(t, "a"), rapid.Int32().Draw(t, "b")
		if q := add.Apply(a, b); q < -8 || q > 7 {
			t.Fatalf("code %d", q)
		}
	})
	far := AddShift{FA: 31, FB: 0, FY: 0, Lo: math.MinInt32, Hi: math.MaxInt32}
	if got := far.Apply(0, math.MaxInt32); got != math.MaxInt32 {
		t.Errorf("aligned by 31 and back: %d", got)
	}
}

func TestAddFloat(t *testing.T) {
	half := AddFloat{Ma: 0.5, Mb: 0.25, Lo: -128, Hi: 127}
	for _, c := range [][3]int32{{3, 4, 2}, {5, 4, 4}, {-3, -4, -2}, {1000, 0, 127}, {-1000, 0, -128}} {
		if got := half.Apply(c[0], c[1]); got != c[2] {
			t.Errorf("%d·0.5 + %d·0.25 = %d, want %d", c[0], c[1], got, c[2])
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		a, _ := drawGrid(t)
		b, _ := drawGrid(t)
		y, _ := drawGrid(t)
		if a.MidRise || b.MidRise || y.MidRise {
			t.Skip("mid-tread only")
		}
		add, err := NewAddFloat(a, b, y, true)
		if err != nil {
			t.Skip(err)
		}
		qa := rapid.Int32Range(a.QMin(), a.QMax()).Draw(t, "qa")
		qb := rapid.Int32Range(b.QMin(), b.QMax()).Draw(t, "qb")
		ma, mb := float64(a.Scale[0]/y.Scale[0]), -float64(b.Scale[0]/y.Scale[0])
		// Products of a 17-bit level and a float32 are exact in float64, so each conversion is the one rounding.
		p, q := float32(float64(qa-a.ZeroPoint)*ma), float32(float64(qb-b.ZeroPoint)*mb)
		v := math.RoundToEven(float64(refFloat32(new(big.Float).SetPrec(400).Add(exact(float64(p)), exact(float64(q))))))
		v = math.Min(math.Max(v+float64(y.ZeroPoint), float64(y.QMin())), float64(y.QMax()))
		if got := add.Apply(qa, qb); got != int32(v) {
			t.Fatalf("%v %d − %v %d: code %d of %v, want %v", a, qa, b, qb, got, y, v)
		}
	})
}

func TestAddFixedPoint(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) (Grid, int32) {
			g := Grid{BitWidth: 8, Signed: true, ZeroPoint: rapid.Int32Range(-128, 127).Draw(t, name+" z"), Scale: []float32{rapid.Float32Range(0.01, 0.1).Draw(t, name+" s")}}
			return g, rapid.Int32Range(-128, 127).Draw(t, name)
		}
		a, qa := draw("a")
		b, qb := draw("b")
		y, _ := draw("y")
		double := rapid.Bool().Draw(t, "double")
		subtract := rapid.Bool().Draw(t, "subtract")
		add, err := NewAddFixedPoint(a, b, y, subtract, double)
		if err != nil {
			t.Fatal(err)
		}
		got := add.Apply(qa, qb)
		// The definition, in unbounded integers.
		sa, sb, sy := float64(a.Scale[0]), float64(b.Scale[0]), float64(y.Scale[0])
		twice := 2 * math.Max(sa, sb)
		ma, ea := FixedPointMultiplier(sa / twice)
		mb, eb := FixedPointMultiplier(sb / twice)
		my, ey := FixedPointMultiplier(twice / (1 << 20 * sy))
		p := refMultiply((qa-a.ZeroPoint)<<20, ma, ea, double)
		q := refMultiply((qb-b.ZeroPoint)<<20, mb, eb, double)
		if subtract {
			q = -q
		}
		want := min(max(refMultiply(p+q, my, ey, double)+y.ZeroPoint, -128), 127)
		if got != want {
			t.Fatalf("code %d, want %d", got, want)
		}
		real := float64(a.Dequantize(qa, 0)) + float64(b.Dequantize(qb, 0))
		if subtract {
			real = float64(a.Dequantize(qa, 0)) - float64(b.Dequantize(qb, 0))
		}
		if d := int64(y.Quantize(float32(real), 0, HalfAway)) - int64(got); d < -1 || d > 1 {
			t.Fatalf("code %d is not near %v on %v", got, real, y)
		}
	})
	wide := dfp(16, true, 8)
	if add, err := NewAddFixedPoint(wide, wide, wide, false, true); err != nil || add.Left != 15 || add.Apply(100, 23) != 123 {
		t.Errorf("16 bits: shift %d, 100 + 23 = %d, error %v", add.Left, add.Apply(100, 23), err)
	}
}

func TestMultiply(t *testing.T) {
	m, err := NewMultiply(Shift, dfp(8, true, 4), dfp(8, true, 2), dfp(8, true, 3))
	if err != nil || m.Shift[0] != 3 {
		t.Fatalf("shift %v, error %v", m.Shift, err)
	}
	if got := m.Apply(12, -3); got != -4 {
		t.Errorf("12·-3 = %d, want -4", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		a, qa := drawDFP(t, "a")
		b, qb := drawDFP(t, "b")
		y, _ := drawDFP(t, "y")
		m, err := NewMultiply(Shift, a, b, y)
		if err != nil {
			t.Fatal(err)
		}
		product := new(big.Rat).Mul(rat(a.Dequantize(qa, 0)), rat(b.Dequantize(qb, 0)))
		if got, want := m.Apply(operand(a, qa), operand(b, qb)), refCode(product, y); got != want {
			t.Fatalf("%v %d · %v %d: code %d of %v, want %d", a, qa, b, qb, got, y, want)
		}
	})
	a := Grid{BitWidth: 8, ZeroPoint: 7, Scale: []float32{0.5}}
	f, err := NewMultiply(Float, a, a, a)
	if err != nil || f.Apply(9, 10) != 10 { // 2·3·0.25/0.5 = 3
		t.Errorf("affine: %d, error %v, want 10", f.Apply(9, 10), err)
	}
}

func TestRecode(t *testing.T) {
	m, err := NewRecode(Shift, dfp(8, true, 6), dfp(8, true, 4))
	if err != nil || m.Apply(23) != 6 {
		t.Errorf("23 becomes %d, error %v, want 6", m.Apply(23), err)
	}
	rapid.Check(t, func(t *rapid.T) {
		x, q := drawDFP(t, "x")
		y, _ := drawDFP(t, "y")
		m, err := NewRecode(Shift, x, y)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := m.Apply(operand(x, q)), refCode(rat(x.Dequantize(q, 0)), y); got != want {
			t.Fatalf("%v %d: code %d of %v, want %d", x, q, got, y, want)
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		g, _ := drawGrid(t)
		q := rapid.Int32Range(g.QMin(), g.QMax()).Draw(t, "q")
		for _, rule := range []Rule{Float, FixedPoint} {
			m, err := NewRecode(rule, g, g)
			if err != nil {
				if g.MidRise && rule == FixedPoint {
					continue
				}
				t.Fatal(err)
			}
			if got := m.Apply(operand(g, q)); got != q {
				t.Fatalf("%v, %v: code %d becomes %d on its own grid", rule, g, q, got)
			}
		}
	})
}

func TestAveragePoolShift(t *testing.T) {
	for _, c := range []struct {
		fx, fy int32
		sum, n int64
		want   int32
	}{
		{4, 4, -14, 9, -2}, {4, 5, -14, 9, -3}, {4, 4, 10, 4, 3}, {4, 4, -10, 4, -2}, {4, 4, 9, 4, 2},
		{4, 4, 4, 8, 1}, {4, 4, -4, 8, 0}, {6, 4, 23, 1, 6}, {4, 4, 7, 0, 7}, {4, 4, 1 << 60, 1, 127},
		{0, 31, math.MaxInt64, 3, 127}, {0, 31, math.MinInt64, 3, -128}, {31, 0, math.MaxInt64, MaxDivisor, 4},
	} {
		p := AveragePoolShift{FX: c.fx, FY: c.fy, Lo: -128, Hi: 127}
		if got := p.Apply(c.sum, c.n); got != c.want {
			t.Errorf("fl %d to %d: %d/%d = %d, want %d", c.fx, c.fy, c.sum, c.n, got, c.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		x, _ := drawDFP(t, "x")
		y, _ := drawDFP(t, "y")
		p, err := NewAveragePoolShift(x, y)
		if err != nil {
			t.Fatal(err)
		}
		n := rapid.Int64Range(1, 400).Draw(t, "n")
		sum := rapid.Int64Range(-n<<17, n<<17).Draw(t, "sum") >> rapid.UintRange(0, 20).Draw(t, "by")
		mean := new(big.Rat).Mul(big.NewRat(sum, n), new(big.Rat).SetFloat64(x.LevelScale(0)))
		if got, want := p.Apply(sum, n), refCode(mean, y); got != want {
			t.Fatalf("%v to %v: %d/%d = %d, want %d", x, y, sum, n, got, want)
		}
		// The formula of the text, where it does not overflow.
		if k := p.FY - p.FX; !p.MidRise {
			num, den := sum<<uint(max(k, 0)), n<<uint(max(-k, 0))
			want := min(max(floorDiv(2*num+den, 2*den), int64(p.Lo)), int64(p.Hi))
			if got := p.Apply(sum, n); int64(got) != want {
				t.Fatalf("%v to %v: %d/%d = %d, formula %d", x, y, sum, n, got, want)
			}
		}
	})
}

func TestAveragePoolFloat(t *testing.T) {
	p := AveragePoolFloat{ScaleX: 0.1, ScaleY: 0.1, Zy: 3, Lo: 0, Hi: 255}
	for _, c := range []struct {
		sum, n int64
		want   int32
	}{{10, 4, 5}, {14, 4, 7}, {-10, 4, 1}, {-100, 4, 0}, {1 << 50, 4, 255}, {5, 0, 8}} {
		if got := p.Apply(c.sum, c.n); got != c.want {
			t.Errorf("%d/%d = %d, want %d", c.sum, c.n, got, c.want)
		}
	}
	if got, want := (AveragePoolFloat{ScaleX: 0.3, ScaleY: 0.7}).Multiplier(9), float32(float32(float32(0.3)/9)/float32(0.7)); got != want {
		t.Errorf("multiplier %v, want %v", got, want)
	}
	x, y := Grid{BitWidth: 8, MidRise: true, Scale: []float32{0.5}}, Grid{BitWidth: 8, MidRise: true, Scale: []float32{0.5}}
	rise, err := NewAveragePoolFloat(x, y)
	if err != nil {
		t.Fatal(err)
	}
	// Levels 1 and 5 are 0.25 and 1.25: their mean 0.75 is 1.5 steps, code 1.
	if got := rise.Apply(6, 2); got != 1 {
		t.Errorf("mid-rise mean is %d, want 1", got)
	}
}

func TestAveragePoolFixedPoint(t *testing.T) {
	p, err := NewAveragePoolFixedPoint(Grid{BitWidth: 8, Signed: true, ZeroPoint: -5, Scale: []float32{0.1}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		sum, n int64
		want   int32
	}{{10, 4, 3}, {-10, 4, -3}, {9, 4, 2}, {-9, 4, -2}, {0, 4, 0}, {4, 9, 0}, {5, 9, 1}, {-5, 9, -1}, {math.MaxInt64, 1, 127}, {math.MinInt64, 0, -128}} {
		if got := p.Apply(c.sum, c.n); got != c.want {
			t.Errorf("%d/%d = %d, want %d", c.sum, c.n, got, c.want)
		}
	}
}

func TestToCommonScale(t *testing.T) {
	inf := float32(math.Inf(1))
	for _, c := range []struct {
		acc      int64
		sc, smax float32
		want     int64
	}{
		{1001, 1, 2, 500}, {1003, 1, 2, 502}, {-1001, 1, 2, -500}, {77, 3, 3, 77},
		{1<<24 + 1, 1, 1, 1 << 24}, {math.MaxInt64, 1, 1, 1 << 62}, {math.MinInt64, 1, 1, -1 << 62}, {0, inf, 1, 0},
	} {
		if got := ToCommonScale(c.acc, c.sc, c.smax); got != c.want {
			t.Errorf("ToCommonScale(%d, %v, %v) = %d, want %d", c.acc, c.sc, c.smax, got, c.want)
		}
	}
}

func TestCombineErrors(t *testing.T) {
	good := dfp(8, true, 4)
	odd := Grid{BitWidth: 8, Signed: true, Scale: []float32{0.3}}
	affine := Grid{BitWidth: 8, ZeroPoint: 3, Scale: []float32{0.25}}
	channels := Grid{BitWidth: 8, Scale: []float32{1, 2}}
	rise := Grid{BitWidth: 8, MidRise: true, Scale: []float32{0.25}}
	check := func(name string, err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%s: got error %v, want %v", name, err, want)
		}
	}
	_, err := NewAddShift(good, odd, good, false)
	check("add of odd scale", err, ErrShift)
	_, err = NewAddShift(good, affine, good, false)
	check("add of affine", err, ErrZeroPoint)
	_, err = NewAddShift(dfp(8, true, 40), dfp(8, true, 0), good, false)
	check("add too far apart", err, ErrShift)
	_, err = NewAddShift(good, good, dfp(8, true, 99), false)
	check("add into too far", err, ErrShift)
	_, err = NewAddFloat(good, good, channels, false)
	check("add into channels", err, ErrScale)
	_, err = NewAddFloat(good, Grid{}, good, false)
	check("add of nothing", err, ErrBitWidth)
	_, err = NewAddFloat(dfp(8, true, 126), good, dfp(8, true, -100), false)
	check("add with subnormal multiplier", err, ErrMultiplier)
	_, err = NewAddFixedPoint(good, channels, good, false, false)
	check("fixed add of channels", err, ErrScale)
	_, err = NewAddFixedPoint(good, good, rise, false, false)
	check("fixed add into mid-rise", err, ErrRule)
	check("fixed add by hand", AddFixedPoint{Left: 40}.Validate(), ErrShift)
	check("fixed add by hand", AddFixedPoint{MantissaA: -1}.Validate(), ErrMultiplier)
	_, err = NewMultiply(Shift, channels, good, good)
	check("product of channels", err, ErrScale)
	_, err = NewMultiply(Shift, good, odd, good)
	check("product of odd scale", err, ErrShift)
	_, err = NewRecode(Float, channels, good)
	check("recode channels", err, ErrScale)
	_, err = NewAveragePoolShift(good, odd)
	check("average into odd scale", err, ErrShift)
	_, err = NewAveragePoolShift(good, dfp(8, true, 77))
	check("average too far", err, ErrShift)
	_, err = NewAveragePoolFloat(channels, good)
	check("average of channels", err, ErrScale)
	_, err = NewAveragePoolFloat(dfp(8, true, 126), dfp(8, true, -100))
	check("average with subnormal multiplier", err, ErrMultiplier)
	check("average by hand", AveragePoolFloat{}.Validate(), ErrScale)
	_, err = NewAveragePoolFixedPoint(rise)
	check("fixed average of mid-rise", err, ErrRule)
	_, err = NewAveragePoolFixedPoint(channels)
	check("fixed average of channels", err, ErrScale)
	check("clamp", AddShift{Lo: 1}.Validate(), ErrZeroPoint)
}
