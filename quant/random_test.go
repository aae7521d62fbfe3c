package quant

import (
	"math"
	"testing"
)

// The first outputs of SplitMix64 from state 0, as published with the generator.
func TestSplitMixGolden(t *testing.T) {
	for i, want := range []uint64{0xe220a8397b1dcdaf, 0x6e789e6aa1b965f4, 0x06c45d188009454f} {
		if got := mix((uint64(i) + 1) * golden); got != want {
			t.Errorf("output %d is %#x, want %#x", i, got, want)
		}
		if got, want := (KeyedRand{}).At(uint64(i)), float32(want>>40)/(1<<24); got != want {
			t.Errorf("At(%d) = %v, want %v", i, got, want)
		}
	}
}

func TestUniformIsUniform(t *testing.T) {
	const n, bins = 1 << 18, 64
	k := NewKeyedRand(1, 2, 3, "conv1.weight")
	var count [bins]int
	var sum, lag float64
	for i := range uint64(n) {
		u := k.At(i)
		if u < 0 || u >= 1 || u*(1<<24) != float32(uint32(u*(1<<24))) {
			t.Fatalf("At(%d) = %v", i, u)
		}
		count[int(u*bins)]++
		sum += float64(u)
		lag += (float64(u) - 0.5) * (float64(k.At(i+1)) - 0.5)
	}
	chi := 0.0
	for _, c := range count {
		d := float64(c) - n/bins
		chi += d * d / (n / bins)
	}
	// 63 degrees of freedom: mean 63, deviation 11.2; six deviations.
	if chi > 63+6*11.2 || chi < 63-5*11.2 {
		t.Errorf("chi-squared is %v", chi)
	}
	if mean := sum / n; math.Abs(mean-0.5) > 5*math.Sqrt(1.0/12/n) {
		t.Errorf("mean is %v", mean)
	}
	if r := lag / n * 12; math.Abs(r) > 5/math.Sqrt(n) {
		t.Errorf("neighbours correlate by %v", r)
	}
}

// Each part of the key matters, and the order of the draws does not.
func TestKeys(t *testing.T) {
	base := Uniform(1, 2, 3, "a", 4)
	for name, u := range map[string]float32{
		"seed": Uniform(2, 2, 3, "a", 4), "step": Uniform(1, 3, 3, "a", 4), "micro-batch": Uniform(1, 2, 4, "a", 4),
		"name": Uniform(1, 2, 3, "b", 4), "index": Uniform(1, 2, 3, "a", 5), "seed and step": Uniform(2, 1, 3, "a", 4),
	} {
		if u == base {
			t.Errorf("%s makes no difference: %v", name, u)
		}
	}
	k := NewKeyedRand(1, 2, 3, "a")
	var forward [100]float32
	for i := range forward {
		forward[i] = k.At(uint64(i))
	}
	for i := len(forward) - 1; i >= 0; i-- {
		if k.At(uint64(i)) != forward[i] || Uniform(1, 2, 3, "a", uint64(i)) != forward[i] {
			t.Errorf("index %d depends on the order", i)
		}
	}
	// Streams of neighbouring steps are independent: their correlation is that of chance.
	const n = 1 << 16
	other := NewKeyedRand(1, 3, 3, "a")
	sum := 0.0
	for i := range uint64(n) {
		sum += (float64(k.At(i)) - 0.5) * (float64(other.At(i)) - 0.5)
	}
	if r := sum / n * 12; math.Abs(r) > 5/math.Sqrt(n) {
		t.Errorf("steps correlate by %v", r)
	}
}
