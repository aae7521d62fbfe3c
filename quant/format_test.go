package quant

import (
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestGridFromRangeByHand(t *testing.T) {
	dfp8 := UniformFormat{BitWidth: 8, Signed: true, PowerOfTwo: true}
	udfp4 := UniformFormat{BitWidth: 4, PowerOfTwo: true}
	sym8 := UniformFormat{BitWidth: 8, Signed: true, Narrow: true}
	aff8 := UniformFormat{BitWidth: 8, Affine: true}
	saff8 := UniformFormat{BitWidth: 8, Signed: true, Affine: true}
	rise2 := UniformFormat{BitWidth: 2, Signed: true, MidRise: true}
	for _, c := range []struct {
		f      UniformFormat
		lo, hi float32
		scale  float32
		z      int32
	}{
		{dfp8, -0.7, 1.5, 1.0 / 64, 0},
		{dfp8, -1, 0.5, 1.0 / 128, 0},                           // exactly −2^0: still fl 7, nothing lost
		{dfp8, 0, 1, 1.0 / 128, 0},                              // exactly 2^0: only its own code 128 saturates
		{dfp8, 0, math.Nextafter32(1, 2), 1.0 / 64, 0},          // just above
		{dfp8, -3000, 10, 32, 0},                                // negative fractional length −5
		{dfp8, 0.25, 0.25, 1.0 / 512, 0},                        // one element
		{udfp4, -9, 15, 1, 0},                                   // negative numbers saturate
		{udfp4, 0, 16, 1, 0},                                    //
		{sym8, -2, 1, float32(2.0 / 127), 0},                    //
		{sym8, 5, 6, float32(6.0 / 127), 0},                     // extended to zero
		{UniformFormat{BitWidth: 1, Signed: true}, -3, 1, 3, 0}, //
		{UniformFormat{BitWidth: 8}, -1, 51, 0.2, 0},            //
		{aff8, -1, 3, float32(4.0 / 255), 64},                   // −min/s = 63.75
		{aff8, 1, 3, float32(3.0 / 255), 0},                     // extended to zero
		{aff8, -3, -1, float32(3.0 / 255), 255},                 //
		{saff8, -1, 3, float32(4.0 / 255), -64},                 // −128 + 63.75 = −64.25
		{saff8, 0, 3, float32(3.0 / 255), -128},                 //
		{rise2, -1, 0.5, 0.5, 0},                                // levels ±0.25, ±0.75
		{dfp8, 0, 0, 1, 0}, {aff8, 0, 0, 1, 0}, {sym8, 0, 0, 1, 0}, {rise2, 0, 0, 1, 0},
		{UniformFormat{BitWidth: 8, PowerOfTwo: true}, -5, -1, 1, 0}, // nothing to represent
		{dfp8, 0, 1e-44, 1, 0}, // smaller than any normal scale
	} {
		g, err := c.f.GridFromRange([]float32{c.lo}, []float32{c.hi})
		if err != nil {
			t.Errorf("%v, %v to %v: %v", c.f, c.lo, c.hi, err)
			continue
		}
		if g.Scale[0] != c.scale || g.ZeroPoint != c.z || g.Validate() != nil {
			t.Errorf("%v, %v to %v: got %v, want s=%v z=%d", c.f, c.lo, c.hi, g, c.scale, c.z)
		}
	}
}

func TestGridFromRangePerChannel(t *testing.T) {
	f := UniformFormat{BitWidth: 4, Signed: true, PowerOfTwo: true, PerChannel: true}
	g, err := f.GridFromRange([]float32{-1, 0, -4, 0}, []float32{0, 0, 1, 0.1})
	if err != nil {
		t.Fatal(err)
	}
	want := []float32{1.0 / 8, 1.0 / 2, 1.0 / 2, 1.0 / 64}
	for c := range want {
		if g.Scale[c] != want[c] {
			t.Errorf("channel %d: scale %v, want %v", c, g.Scale[c], want[c])
		}
	}
	if g, err = f.GridFromRange([]float32{0, 0}, []float32{0, 0}); err != nil || g.Scale[0] != 1 || g.Scale[1] != 1 {
		t.Errorf("all channels zero: %v, %v", g, err)
	}
}

// The power-of-two scale is the smallest whose 2^(b−signed) steps reach the largest magnitude,
// and no number of the range loses more than a step.
func TestPowerOfTwoRangeIsTight(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := UniformFormat{BitWidth: rapid.IntRange(2, 16).Draw(t, "bits"), Signed: rapid.Bool().Draw(t, "signed"), PowerOfTwo: true}
		a := rapid.Float32Range(1e-20, 1e20).Draw(t, "a")
		g, err := f.GridFromRange([]float32{0}, []float32{a})
		if err != nil {
			t.Fatal(err)
		}
		steps := math.Ldexp(1, f.BitWidth)
		if f.Signed {
			steps /= 2
		}
		s := float64(g.Scale[0])
		if reach := steps * s; float64(a) > reach || float64(a) <= reach/2 {
			t.Fatalf("%v for %v: reaches %v", g, a, reach)
		}
		if lost := float64(a) - float64(g.FakeQuantize(a, 0, HalfEven)); lost > s || lost < -s {
			t.Fatalf("%v: %v loses %v", g, a, lost)
		}
	})
}

// Inside the range of a symmetric or affine grid nothing moves by more than half a
// step, up to the rounding of the scale and, for affine grids, of the zero point.
func TestRangeIsCovered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := UniformFormat{BitWidth: rapid.IntRange(2, 12).Draw(t, "bits"), Signed: true, Affine: rapid.Bool().Draw(t, "affine")}
		a := rapid.Float32Range(-100, 0).Draw(t, "min")
		b := rapid.Float32Range(0, 100).Draw(t, "max")
		g, err := f.GridFromRange([]float32{a}, []float32{b})
		if err != nil {
			t.Fatal(err)
		}
		u := rapid.Float32Range(0, 1).Draw(t, "u")
		x := float64(a) + float64(u)*(float64(b)-float64(a))
		bound := 0.501
		if f.Affine {
			bound = 1.001
		}
		if d := math.Abs(float64(g.FakeQuantize(float32(x), 0, HalfEven)) - x); d > bound*float64(g.Scale[0]) {
			t.Fatalf("%v: %v moves by %v steps", g, x, d/float64(g.Scale[0]))
		}
	})
}

func TestGridFromRangeErrors(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	f := UniformFormat{BitWidth: 8, Signed: true}
	per := UniformFormat{BitWidth: 8, Signed: true, PerChannel: true}
	for _, c := range []struct {
		name   string
		f      UniformFormat
		lo, hi []float32
		want   error
	}{
		{"unobserved", f, []float32{inf}, []float32{-inf}, ErrRange},
		{"infinite", f, []float32{0}, []float32{inf}, ErrRange},
		{"NaN", f, []float32{nan}, []float32{1}, ErrRange},
		{"none", f, nil, nil, ErrRange},
		{"two per tensor", f, []float32{0, 0}, []float32{1, 1}, ErrRange},
		{"unpaired", per, []float32{0, 0}, []float32{1}, ErrRange},
		{"too large", UniformFormat{BitWidth: 1, PowerOfTwo: true}, []float32{0}, []float32{math.MaxFloat32}, ErrRange},
		{"width", UniformFormat{BitWidth: 33}, []float32{0}, []float32{1}, ErrBitWidth},
		{"affine dfp", UniformFormat{BitWidth: 8, Affine: true, PowerOfTwo: true}, []float32{0}, []float32{1}, ErrFormat},
		{"affine channels", UniformFormat{BitWidth: 8, Affine: true, PerChannel: true}, []float32{0}, []float32{1}, ErrFormat},
		{"affine mid-rise", UniformFormat{BitWidth: 8, Affine: true, MidRise: true}, []float32{0}, []float32{1}, ErrFormat},
		{"rounding", UniformFormat{BitWidth: 8, Rounding: 77}, []float32{0}, []float32{1}, ErrFormat},
	} {
		if _, err := c.f.GridFromRange(c.lo, c.hi); !errors.Is(err, c.want) {
			t.Errorf("%s: got error %v, want %v", c.name, err, c.want)
		}
	}
	for _, fl := range [][]int{nil, {1, 2}, {127}, {-127}} {
		if _, err := f.GridFromFL(fl...); !errors.Is(err, ErrScale) {
			t.Errorf("fractional lengths %v: got error %v, want ErrScale", fl, err)
		}
	}
	if _, err := (UniformFormat{BitWidth: 8, Affine: true}).GridFromFL(3); !errors.Is(err, ErrFormat) {
		t.Errorf("affine: got error %v, want ErrFormat", err)
	}
	if _, err := (UniformFormat{}).GridFromFL(3); !errors.Is(err, ErrBitWidth) {
		t.Errorf("no width: got error %v, want ErrBitWidth", err)
	}
}

func TestFormats(t *testing.T) {
	var float Format = Float32{}
	if _, ok := float.Uniform(); ok || float.Bits() != 32 || float.String() != "float" {
		t.Errorf("float: %v", float)
	}
	var f Format = UniformFormat{BitWidth: 8, Signed: true, Narrow: true, PerChannel: true, Rounding: HalfAway}
	g, ok := f.Uniform()
	if !ok || f.Bits() != 8 || g.Scale != nil || !g.Signed || !g.Narrow {
		t.Errorf("%v has grid %v, %v", f, g, ok)
	}
	if got, want := f.String(), "int8 narrow symmetric per-channel half-away"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCeilLog2(t *testing.T) {
	for e := -149; e <= 127; e++ {
		x := float32(math.Ldexp(1, e))
		if got := CeilLog2(x); got != e {
			t.Errorf("CeilLog2(2^%d) = %d", e, got)
		}
		if above := math.Nextafter32(x, math.MaxFloat32); CeilLog2(above) != e+1 {
			t.Errorf("CeilLog2(2^%d + ulp) = %d", e, CeilLog2(above))
		}
	}
	for _, x := range []float32{0, -1, float32(math.Inf(1)), float32(math.NaN())} {
		if got := CeilLog2(x); got != 0 {
			t.Errorf("CeilLog2(%v) = %d, want 0", x, got)
		}
	}
}
