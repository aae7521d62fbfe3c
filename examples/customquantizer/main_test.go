package main

import (
	"errors"
	"math"
	"testing"

	"github.com/bitgrad/bitgrad/fakequant"
	"github.com/bitgrad/bitgrad/quant"
)

func TestCompare(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for some seconds")
	}
	diffs, err := compare(t.Context(), 800, 2, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range diffs {
		if d.Mismatches != 0 || d.Codes < 1_000_000 || d.Accuracy() < 0.4 {
			t.Errorf("%d of %d codes differ, accuracy %.3f: %s", d.Mismatches, d.Codes, d.Accuracy(), d.First)
		}
	}
}

func TestSoftClip(t *testing.T) {
	var e SoftClip
	for _, f := range []quant.UniformFormat{{BitWidth: 3, Signed: true}, {BitWidth: 8}, {BitWidth: 1, Signed: true}} {
		for _, scale := range []float32{1e-5, 0.01, 1, 30} {
			p := e.Param(f, scale)
			if got := e.Scale(f, p); math.Abs(float64(got/scale)-1) > 1e-4 {
				t.Errorf("%s: scale %v became %v", f, scale, got)
			}
			h := max(math.Abs(float64(p)), 1) / 1024
			up, down := e.Scale(f, p+float32(h)), e.Scale(f, p-float32(h))
			want := float64(up-down) / (2 * h)
			if got := float64(e.RangeGrad(f, scale, 1, 1)); math.Abs(got-want) > 1e-2*want {
				t.Errorf("%s, scale %v: ds/dp is %v, differences give %v", f, scale, got, want)
			}
		}
		for _, p := range []float32{-math.MaxFloat32, -100, 0, 100, math.MaxFloat32} {
			if s := float64(e.Scale(f, p)); !(s > 0) || math.IsInf(s, 0) {
				t.Errorf("%s: parameter %v gives the scale %v", f, p, s)
			}
		}
	}
	if err := e.Check(quant.UniformFormat{BitWidth: 8, PowerOfTwo: true}); !errors.Is(err, fakequant.ErrSpec) {
		t.Errorf("a format without a free scale: %v", err)
	}
}

func TestSigma(t *testing.T) {
	observe := func(s []float32, x ...float32) {
		o := fakequant.Observation{Min: x[0], Max: x[0], Count: len(x), Values: func(f func([]float32)) { f(x) }}
		for _, v := range x {
			o.Min, o.Max = min(o.Min, v), max(o.Max, v)
		}
		Sigma{}.Observe(s, o)
	}
	s := Sigma{}.New()
	if _, _, ok := (Sigma{1}).Range(s, quant.UniformFormat{}); ok {
		t.Error("a range of nothing")
	}
	observe(s, 1, 3)
	observe(s, 1, 3, 1, 3) // mean 2, deviation 1
	if lo, hi, ok := (Sigma{0.5}).Range(s, quant.UniformFormat{}); lo != 1.5 || hi != 2.5 || !ok {
		t.Errorf("half a deviation: %v to %v", lo, hi)
	}
	if lo, hi, _ := (Sigma{9}).Range(s, quant.UniformFormat{}); lo != 1 || hi != 3 {
		t.Errorf("further than values reach: %v to %v", lo, hi)
	}
}
