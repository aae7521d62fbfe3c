package quant

import (
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestRoundTies(t *testing.T) {
	inf := math.Inf(1)
	cases := []struct{ x, even, up, away, floor float64 }{
		{0.5, 0, 1, 1, 0}, {-0.5, 0, 0, -1, -1},
		{1.5, 2, 2, 2, 1}, {-1.5, -2, -1, -2, -2},
		{2.5, 2, 3, 3, 2}, {-2.5, -2, -2, -3, -3},
		{127.5, 128, 128, 128, 127}, {-128.5, -128, -128, -129, -129},
		{0, 0, 0, 0, 0}, {math.Copysign(0, -1), 0, 0, 0, 0},
		{0.9, 1, 1, 1, 0}, {-0.1, 0, 0, 0, -1},
		{-1e-40, 0, 0, 0, -1}, {1e-40, 0, 0, 0, 0},
		{8388607.5, 8388608, 8388608, 8388608, 8388607},
		{inf, inf, inf, inf, inf}, {-inf, -inf, -inf, -inf, -inf},
	}
	for _, c := range cases {
		for r, want := range map[Rounding]float64{HalfEven: c.even, HalfUp: c.up, HalfAway: c.away, Floor: c.floor, Stochastic: c.even} {
			if got := r.Round(c.x); got != want {
				t.Errorf("%v.Round(%v) = %v, want %v", r, c.x, got, want)
			}
			if got := r.Round32(float32(c.x)); got != float32(want) {
				t.Errorf("%v.Round32(%v) = %v, want %v", r, c.x, got, want)
			}
		}
	}
}

// Just below a tie nothing may round up: ⌊x+½⌋ in floating point does.
func TestRoundBelowTie(t *testing.T) {
	for _, r := range []Rounding{HalfEven, HalfUp, HalfAway} {
		if got := r.Round(math.Nextafter(0.5, 0)); got != 0 {
			t.Errorf("%v.Round(0.5 - ulp) = %v, want 0", r, got)
		}
		if got := r.Round32(math.Nextafter32(0.5, 0)); got != 0 {
			t.Errorf("%v.Round32(0.5 - ulp) = %v, want 0", r, got)
		}
		if got := r.Round32(8388609); got != 8388609 {
			t.Errorf("%v.Round32(8388609) = %v", r, got)
		}
	}
	if got := HalfUp.Round(math.NaN()); got == got {
		t.Errorf("HalfUp.Round(NaN) = %v, want NaN", got)
	}
}

func TestRoundIsNearestAndMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Rounding(rapid.IntRange(0, 3).Draw(t, "rule"))
		x := rapid.Float32Range(-1e6, 1e6).Draw(t, "x")
		y := rapid.Float32Range(-1e6, 1e6).Draw(t, "y")
		got := r.Round32(x)
		limit := 0.5
		if r == Floor {
			limit = 1
		}
		if d := math.Abs(float64(got) - float64(x)); d > limit || got != float32(int64(got)) {
			t.Fatalf("%v.Round32(%v) = %v", r, x, got)
		}
		if r.Round32(min(x, y)) > r.Round32(max(x, y)) {
			t.Fatalf("%v is not monotone between %v and %v", r, x, y)
		}
		if n := float32(math.Trunc(float64(x))); r.Round32(n) != n {
			t.Fatalf("%v moves the integer %v to %v", r, n, r.Round32(n))
		}
	})
}

func TestRoundStochastic(t *testing.T) {
	for _, c := range []struct{ x, u, want float32 }{
		{2.25, 0.1, 3}, {2.25, 0.25, 2}, {2.25, 0.9, 2},
		{-2.25, 0.74, -2}, {-2.25, 0.75, -3},
		{3, 0, 3}, {-3, 0, -3}, {0, 0, 0},
	} {
		if got := RoundStochastic(c.x, c.u); got != c.want {
			t.Errorf("RoundStochastic(%v, %v) = %v, want %v", c.x, c.u, got, c.want)
		}
	}
	const n = 1 << 16
	k := NewKeyedRand(7, 0, 0, "mean")
	var sum float64
	for i := range uint64(n) {
		sum += float64(RoundStochastic(-1.3, k.At(i)))
	}
	// The deviation of the mean is √(0.3·0.7/n) = 0.0018; 5 of them.
	if mean := sum / n; math.Abs(mean+1.3) > 0.009 {
		t.Errorf("mean of stochastic roundings of -1.3 is %v", mean)
	}
}

func TestNames(t *testing.T) {
	for r := HalfEven; r <= Stochastic; r++ {
		text, err := r.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		back := Rounding(99)
		if err := back.UnmarshalText(text); err != nil || back != r {
			t.Errorf("%q comes back as %v, %v", text, back, err)
		}
	}
	for r := Shift; r <= FixedPoint; r++ {
		text, err := r.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		back := Rule(99)
		if err := back.UnmarshalText(text); err != nil || back != r {
			t.Errorf("%q comes back as %v, %v", text, back, err)
		}
	}
	var r Rounding
	if err := r.UnmarshalText([]byte("nearest")); !errors.Is(err, ErrFormat) {
		t.Errorf("got error %v, want ErrFormat", err)
	}
	var rule Rule
	if err := rule.UnmarshalText([]byte("dyadic")); !errors.Is(err, ErrRule) {
		t.Errorf("got error %v, want ErrRule", err)
	}
	if _, err := Rounding(9).MarshalText(); err == nil || Rounding(9).String() != "rounding(9)" {
		t.Errorf("rounding 9: error %v, name %v", err, Rounding(9))
	}
	if _, err := Rule(9).MarshalText(); err == nil || Rule(9).String() != "rule(9)" {
		t.Errorf("rule 9: error %v, name %v", err, Rule(9))
	}
}
