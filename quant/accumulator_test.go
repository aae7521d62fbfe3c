package quant

import (
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

func TestAccumulatorBound(t *testing.T) {
	w := []int32{127, -127, 127, -127, 127, -127, 127, -127, 127}
	if got := AccumulatorBound(255, w, 1000, 128); got != 292593 {
		t.Errorf("got %d, want 292593", got)
	}
	if got := AccumulatorBound(-255, w, -1000, 128); got != 292593 {
		t.Errorf("magnitudes: got %d, want 292593", got)
	}
	if got := AccumulatorBound(255, nil, 0, 0); got != 0 {
		t.Errorf("no weights: got %d, want 0", got)
	}
	for _, a := range []int64{
		AccumulatorBound(math.MaxInt64, []int32{2}, 0, 0),
		AccumulatorBound(math.MinInt64, []int32{math.MinInt32, math.MinInt32}, 0, 0),
		AccumulatorBound(1, []int32{1}, math.MaxInt64, 0),
		AccumulatorBound(0, nil, math.MinInt64, 0),
	} {
		if a != math.MaxInt64 || Fits32(a) || Fits24(a) {
			t.Errorf("an overflowing bound is %d", a)
		}
	}
	for a, fits := range map[int64][2]bool{
		0: {true, true}, 1 << 24: {true, true}, 1<<24 + 1: {false, true},
		1<<31 - 1: {false, true}, 1 << 31: {false, false}, -1: {false, false},
	} {
		if got := [2]bool{Fits24(a), Fits32(a)}; got != fits {
			t.Errorf("%d: fits 24 and 32: %v, want %v", a, got, fits)
		}
	}
}

// No order of summation and no input leaves the bound, and one input reaches it.
func TestAccumulatorBoundHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := rapid.SliceOfN(rapid.Int32Range(-127, 127), 1, 20).Draw(t, "w")
		bias := rapid.Int64Range(-1e6, 1e6).Draw(t, "bias")
		bound := AccumulatorBound(255, w, bias, 0)
		var worst int64
		acc := int64(0)
		for i, q := range w {
			acc += int64(q) * rapid.Int64Range(-255, 255).Draw(t, "x")
			if acc > bound || acc < -bound {
				t.Fatalf("partial sum %d after %d terms exceeds %d", acc, i, bound)
			}
			worst += 255 * max(int64(q), -int64(q))
		}
		if worst+max(bias, -bias) != bound {
			t.Fatalf("the worst input reaches %d, the bound is %d", worst+max(bias, -bias), bound)
		}
	})
}

func TestBiasCode(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, c := range []struct {
		b, s float32
		want int64
		ok   bool
	}{
		{0.3, PowerOfTwo(13), 2458, true}, {-0.3, PowerOfTwo(13), -2458, true},
		{0.25, 0.5, 0, true}, {0.75, 0.5, 2, true}, {-0.25, 0.5, 0, true}, {1.25, 0.5, 2, true},
		{1 << 30, 1, 1 << 30, true}, {1<<30 + 128, 1, MaxBias, false}, {-(1<<30 + 128), 1, -MaxBias, false},
		{inf, 1, MaxBias, false}, {-inf, 1, -MaxBias, false}, {nan, 1, 0, false},
		{1, 0, 0, false}, {1, -1, 0, false}, {1, nan, 0, false}, {0, 1, 0, true},
	} {
		if got, ok := BiasCode(c.b, c.s); got != c.want || ok != c.ok {
			t.Errorf("BiasCode(%v, %v) = %d, %v, want %d, %v", c.b, c.s, got, ok, c.want, c.ok)
		}
	}
}

// The quotient of float32 numbers is taken in float64: dividing in float32 rounds twice.
func TestBiasCodeDividesInFloat64(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.Float32Range(-10, 10).Draw(t, "b")
		s := rapid.Float32Range(1e-6, 1e-3).Draw(t, "s")
		got, ok := BiasCode(b, s)
		quotient := new(big.Float).SetPrec(400).Quo(exact(float64(b)), exact(float64(s)))
		near := new(big.Float).SetPrec(400).Sub(quotient, new(big.Float).SetInt64(got))
		if near.Abs(near).Cmp(exact(0.5000001)) > 0 || !ok {
			t.Fatalf("BiasCode(%v, %v) = %d, %v, the quotient is %v", b, s, got, ok, quotient)
		}
	})
}

func TestRaiseWeightScale(t *testing.T) {
	if s, raised, ok := RaiseWeightScale(1024, PowerOfTwo(8), PowerOfTwo(20), true); s != PowerOfTwo(12) || !raised || !ok {
		t.Errorf("got %v, %v, %v, want 2^-12", s, raised, ok)
	}
	if s, raised, ok := RaiseWeightScale(1, 0.01, 0.02, false); s != 0.02 || raised || !ok {
		t.Errorf("a scale that fits became %v, %v, %v", s, raised, ok)
	}
	for _, args := range [][3]float32{
		{float32(math.NaN()), 1, 1}, {float32(math.Inf(1)), 1, 1}, {1, 0, 1}, {1, 1, 0}, {1, float32(math.NaN()), 1},
	} {
		if s, raised, ok := RaiseWeightScale(args[0], args[1], args[2], false); ok || raised || s == s && s != args[2] {
			t.Errorf("RaiseWeightScale(%v) = %v, %v, %v", args, s, raised, ok)
		}
	}
	if _, _, ok := RaiseWeightScale(math.MaxFloat32, MinScale, 1, false); ok {
		t.Error("a bias that no scale fits has one")
	}
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.Float32Range(-1e6, 1e6).Draw(t, "b")
		sx := rapid.Float32Range(1e-6, 10).Draw(t, "sx")
		sw := rapid.Float32Range(1e-12, 1e-3).Draw(t, "sw")
		po2 := rapid.Bool().Draw(t, "power of two")
		if po2 {
			sw = PowerOfTwo(rapid.IntRange(10, 60).Draw(t, "fl"))
		}
		s, raised, ok := RaiseWeightScale(b, sx, sw, po2)
		if !ok || s < sw || raised != (s > sw) {
			t.Fatalf("RaiseWeightScale(%v, %v, %v) = %v, %v, %v", b, sx, sw, s, raised, ok)
		}
		if _, fits := BiasCode(b, float32(sx*s)); !fits {
			t.Fatalf("bias %v has no code at %v·%v", b, sx, s)
		}
		if !raised {
			return
		}
		below := math.Nextafter32(s, 0)
		if po2 {
			if _, is := log2Exact(float64(s)); !is {
				t.Fatalf("%v is no power of two", s)
			}
			below = s / 2
		}
		if float64(float32(sx*below))*MaxBias >= math.Abs(float64(b)) && below >= sw {
			t.Fatalf("scale %v would do, got %v", below, s)
		}
	})
}
