package quant

import (
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// drawFormat draws any valid uniform format.
func drawFormat(t *rapid.T) UniformFormat {
	f := UniformFormat{
		BitWidth:   rapid.IntRange(1, 16).Draw(t, "bits"),
		Signed:     rapid.Bool().Draw(t, "signed"),
		Reciprocal: rapid.Bool().Draw(t, "reciprocal"),
		Rounding:   Rounding(rapid.IntRange(0, 4).Draw(t, "rounding")),
	}
	switch rapid.IntRange(0, 3).Draw(t, "family") {
	case 0:
		f.PowerOfTwo = true
	case 1:
		f.Affine = true
	case 2:
		f.MidRise = true
	}
	if !f.MidRise && f.BitWidth > 1 {
		f.Narrow = rapid.Bool().Draw(t, "narrow")
	}
	return f
}

// drawGrid draws a per-tensor grid that covers a drawn range.
func drawGrid(t *rapid.T) (Grid, UniformFormat) {
	f := drawFormat(t)
	a := float32(rapid.IntRange(-1e5, 1e5).Draw(t, "a")) / 1000
	b := float32(rapid.IntRange(-1e5, 1e5).Draw(t, "b")) / 1000
	return gridFor(t, f, a, b), f
}

func gridFor(t *rapid.T, f UniformFormat, a, b float32) Grid {
	g, err := f.GridFromRange([]float32{min(a, b)}, []float32{max(a, b)})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Validate(); err != nil {
		t.Fatal(err)
	}
	return g
}

func TestCodeRange(t *testing.T) {
	for _, c := range []struct {
		g      Grid
		lo, hi int32
	}{
		{Grid{BitWidth: 8, Signed: true}, -128, 127},
		{Grid{BitWidth: 8, Signed: true, Narrow: true}, -127, 127},
		{Grid{BitWidth: 8}, 0, 255},
		{Grid{BitWidth: 8, Narrow: true}, 0, 254},
		{Grid{BitWidth: 1, Signed: true}, -1, 0},
		{Grid{BitWidth: 1}, 0, 1},
		{Grid{BitWidth: 2, Signed: true}, -2, 1},
		{Grid{BitWidth: 16, Signed: true}, -32768, 32767},
		{Grid{BitWidth: 16}, 0, 65535},
	} {
		if lo, hi := c.g.QMin(), c.g.QMax(); lo != c.lo || hi != c.hi {
			t.Errorf("%v: codes %d to %d, want %d to %d", c.g, lo, hi, c.lo, c.hi)
		}
	}
}

func TestQuantizeByHand(t *testing.T) {
	inf := float32(math.Inf(1))
	nan := float32(math.NaN())
	int4 := Grid{BitWidth: 4, Signed: true, Scale: []float32{0.5}}
	uint8z := Grid{BitWidth: 8, ZeroPoint: 3, Scale: []float32{1}}
	rise := Grid{BitWidth: 2, Signed: true, MidRise: true, Scale: []float32{1}}
	binary := Grid{BitWidth: 1, Signed: true, MidRise: true, Scale: []float32{2}}
	for _, c := range []struct {
		g    Grid
		x    float32
		r    Rounding
		want int32
	}{
		{int4, 1.25, HalfEven, 2}, {int4, 1.25, HalfUp, 3}, {int4, 1.25, HalfAway, 3}, {int4, 1.25, Floor, 2},
		{int4, -1.25, HalfEven, -2}, {int4, -1.25, HalfUp, -2}, {int4, -1.25, HalfAway, -3}, {int4, -1.25, Floor, -3},
		{int4, 3.75, HalfEven, 7}, {int4, 9, HalfEven, 7}, {int4, -9, HalfEven, -8},
		{int4, inf, HalfEven, 7}, {int4, -inf, HalfUp, -8}, {int4, nan, HalfEven, 0},
		{int4, 1e38, HalfAway, 7}, {int4, float32(math.Copysign(0, -1)), HalfEven, 0},
		{uint8z, 0, HalfEven, 3}, {uint8z, -3, HalfEven, 0}, {uint8z, -4, HalfEven, 0},
		{uint8z, 252.4, HalfEven, 255}, {uint8z, inf, HalfEven, 255}, {uint8z, -inf, HalfEven, 0},
		{uint8z, nan, HalfEven, 3}, {uint8z, 2.5, HalfEven, 5}, {uint8z, 2.5, HalfUp, 6},
		{rise, 0, HalfEven, 0}, {rise, -0.001, HalfEven, -1}, {rise, 0.999, HalfUp, 0},
		{rise, 1, HalfEven, 1}, {rise, 5, HalfEven, 1}, {rise, -5, HalfEven, -2}, {rise, nan, HalfEven, 0},
		{binary, 0.1, HalfEven, 0}, {binary, -0.1, HalfEven, -1},
	} {
		if got := c.g.Quantize(c.x, 0, c.r); got != c.want {
			t.Errorf("%v: Quantize(%v, %v) = %d, want %d", c.g, c.x, c.r, got, c.want)
		}
	}
	if got := rise.Dequantize(-2, 0); got != -1.5 {
		t.Errorf("mid-rise: Dequantize(-2) = %v, want -1.5", got)
	}
	if got := uint8z.Dequantize(0, 0); got != -3 {
		t.Errorf("affine: Dequantize(0) = %v, want -3", got)
	}
	if got := binary.Level(-1); got != -1 || binary.LevelScale(0) != 1 || binary.MaxLevel() != 1 {
		t.Errorf("binary: level %d, scale %v, largest %d", got, binary.LevelScale(0), binary.MaxLevel())
	}
}

// Dividing by a scale and multiplying by its float32 reciprocal differ next to ties, so a
// grid says which it does.
func TestReciprocalDiffers(t *testing.T) {
	g := Grid{BitWidth: 8, Signed: true, Scale: []float32{0.3}}
	h := g.Clone()
	h.Reciprocal = true
	differ := 0
	for k := -100; k < 100; k++ {
		x := (float32(k) + 0.5) * g.Scale[0]
		if g.Quantize(x, 0, HalfEven) != h.Quantize(x, 0, HalfEven) {
			differ++
		}
		if want := int32(math.RoundToEven(float64(float32(x * float32(1/float32(0.3)))))); h.Quantize(x, 0, HalfEven) != want {
			t.Errorf("reciprocal: %v becomes %d, want %d", x, h.Quantize(x, 0, HalfEven), want)
		}
	}
	if differ == 0 {
		t.Error("the field Reciprocal has no effect on ties")
	}
	if g.Equal(h) {
		t.Error("grids that quantize differently are equal")
	}
}

func TestGridProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFormat(t)
		g := gridFor(t, f, rapid.Float32Range(-1e30, 1e30).Draw(t, "a"), rapid.Float32Range(-1e30, 1e30).Draw(t, "b"))
		x := rapid.Float32().Draw(t, "x")
		y := rapid.Float32Range(-100, 100).Draw(t, "y")
		q := g.Quantize(x, 0, f.Rounding)
		if q < g.QMin() || q > g.QMax() {
			t.Fatalf("%v: code %d of %v", g, q, x)
		}
		if lo, hi := g.Quantize(min(x, y), 0, f.Rounding), g.Quantize(max(x, y), 0, f.Rounding); lo > hi {
			t.Fatalf("%v is not monotone between %v and %v", g, x, y)
		}
		once := g.FakeQuantize(x, 0, f.Rounding)
		if f.Rounding != Floor { // the floor of a rounded quotient may fall one short; see below
			if twice := g.FakeQuantize(once, 0, f.Rounding); twice != once {
				t.Fatalf("%v: %v becomes %v and then %v", g, x, once, twice)
			}
			code := rapid.Int32Range(g.QMin(), g.QMax()).Draw(t, "code")
			if back := g.Quantize(g.Dequantize(code, 0), 0, f.Rounding); back != code {
				t.Fatalf("%v: code %d comes back as %d", g, code, back)
			}
		}
		if g.ZeroPoint != 0 || !g.MidRise {
			if z := g.Quantize(0, 0, f.Rounding); z != g.ZeroPoint {
				t.Fatalf("%v: real zero is %d", g, z)
			}
		}
	})
}

// With a power-of-two scale the quotient is exact, so Floor keeps codes too.
func TestPowerOfTwoIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := UniformFormat{BitWidth: rapid.IntRange(1, 16).Draw(t, "bits"), Signed: rapid.Bool().Draw(t, "signed"), PowerOfTwo: true}
		f.MidRise = rapid.Bool().Draw(t, "mid-rise")
		fl := rapid.IntRange(-100, 100).Draw(t, "fl")
		g, err := f.GridFromFL(fl)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := g.FL(0); !ok || got != fl {
			t.Fatalf("FL = %d, %v, want %d", got, ok, fl)
		}
		code := rapid.Int32Range(g.QMin(), g.QMax()).Draw(t, "code")
		for r := HalfEven; r <= Stochastic; r++ {
			if back := g.Quantize(g.Dequantize(code, 0), 0, r); back != code {
				t.Fatalf("%v, %v: code %d comes back as %d", g, r, code, back)
			}
		}
		if got, want := float64(g.Dequantize(code, 0)), float64(g.Level(code))*g.LevelScale(0); got != want {
			t.Fatalf("%v: code %d is %v, its level %v", g, code, got, want)
		}
	})
}

func TestPerChannelEqualsPerTensor(t *testing.T) {
	g := Grid{BitWidth: 6, Signed: true, Scale: []float32{0.3}}
	h := Grid{BitWidth: 6, Signed: true, Scale: []float32{0.3, 0.3, 0.7}}
	for i := -100; i < 100; i++ {
		x := float32(i) * 0.11
		if a, b := g.Quantize(x, 1, HalfEven), h.Quantize(x, 1, HalfEven); a != b {
			t.Errorf("%v: %d per tensor, %d per channel", x, a, b)
		}
	}
	if !h.PerChannel() || g.PerChannel() || h.ScaleAt(2) != 0.7 || g.ScaleAt(2) != 0.3 {
		t.Errorf("channels of %v and %v", g, h)
	}
}

func TestQuantizeStochastic(t *testing.T) {
	g := Grid{BitWidth: 4, Signed: true, Scale: []float32{0.5}}
	for _, c := range []struct {
		x, u float32
		want int32
	}{{1.125, 0.2, 3}, {1.125, 0.25, 2}, {99, 0, 7}, {-99, 0.99, -8}, {float32(math.NaN()), 0.5, 0}} {
		if got := g.QuantizeStochastic(c.x, 0, c.u); got != c.want {
			t.Errorf("QuantizeStochastic(%v, u %v) = %d, want %d", c.x, c.u, got, c.want)
		}
	}
	g.MidRise = true
	if got := g.QuantizeStochastic(0.9, 0, 0); got != 1 {
		t.Errorf("mid-rise: got %d, want 1", got)
	}
}

func TestGridValidate(t *testing.T) {
	good := Grid{BitWidth: 8, Signed: true, Scale: []float32{0.1}}
	for name, c := range map[string]struct {
		change func(*Grid)
		want   error
	}{
		"width 0":         {func(g *Grid) { g.BitWidth = 0 }, ErrBitWidth},
		"width -3":        {func(g *Grid) { g.BitWidth = -3 }, ErrBitWidth},
		"width 33":        {func(g *Grid) { g.BitWidth = 33 }, ErrBitWidth},
		"narrow bit":      {func(g *Grid) { g.BitWidth, g.Narrow = 1, true }, ErrFormat},
		"narrow mid-rise": {func(g *Grid) { g.Narrow, g.MidRise = true, true }, ErrFormat},
		"mid-rise z":      {func(g *Grid) { g.ZeroPoint, g.MidRise = 1, true }, ErrZeroPoint},
		"z too large":     {func(g *Grid) { g.ZeroPoint = 128 }, ErrZeroPoint},
		"z too small":     {func(g *Grid) { g.ZeroPoint = -129 }, ErrZeroPoint},
		"no scale":        {func(g *Grid) { g.Scale = nil }, ErrScale},
		"zero scale":      {func(g *Grid) { g.Scale = []float32{0} }, ErrScale},
		"negative scale":  {func(g *Grid) { g.Scale = []float32{1, -1} }, ErrScale},
		"subnormal scale": {func(g *Grid) { g.Scale = []float32{1e-40} }, ErrScale},
		"infinite scale":  {func(g *Grid) { g.Scale = []float32{float32(math.Inf(1))} }, ErrScale},
		"NaN scale":       {func(g *Grid) { g.Scale = []float32{float32(math.NaN())} }, ErrScale},
	} {
		g := good.Clone()
		c.change(&g)
		if err := g.Validate(); !errors.Is(err, c.want) {
			t.Errorf("%s: got error %v, want %v", name, err, c.want)
		}
		_ = g.String() + typeName(int(g.QMin()), true) // bad grids can still be printed
	}
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	g := good
	g.BitWidth = 33
	if got, want := g.Validate().Error(), "quant: bit width 33: must be 1 to 16, or 32 for float"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestGridString(t *testing.T) {
	for want, g := range map[string]Grid{
		"int4 2^-5":                               {BitWidth: 4, Signed: true, Scale: []float32{1.0 / 32}},
		"uint8 s=0.0123 z=3":                      {BitWidth: 8, ZeroPoint: 3, Scale: []float32{0.0123}},
		"int8 narrow per-channel[2] s=0.1..0.2":   {BitWidth: 8, Signed: true, Narrow: true, Scale: []float32{0.2, 0.1}},
		"int2 mid-rise per-channel[3] 2^-3..2^-1": {BitWidth: 2, Signed: true, MidRise: true, Scale: []float32{0.5, 0.125, 0.25}},
		"int8 s=?":                                {BitWidth: 8, Signed: true},
		"uint1 2^3":                               {BitWidth: 1, Scale: []float32{8}},
	} {
		if got := g.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestCloneSharesNothing(t *testing.T) {
	g := Grid{BitWidth: 8, Scale: []float32{1, 2}}
	h := g.Clone()
	h.Scale[0] = 5
	if g.Scale[0] != 1 || g.Equal(h) {
		t.Errorf("%v after a write to its clone %v", g, h)
	}
}

func TestPowerOfTwo(t *testing.T) {
	for fl := -126; fl <= 126; fl++ {
		if got, want := float64(PowerOfTwo(fl)), math.Ldexp(1, -fl); got != want {
			t.Errorf("PowerOfTwo(%d) = %v, want %v", fl, got, want)
		}
	}
	if PowerOfTwo(1000) != MinScale || PowerOfTwo(-1000) != MaxScale {
		t.Errorf("beyond the ends: %v, %v", PowerOfTwo(1000), PowerOfTwo(-1000))
	}
}
