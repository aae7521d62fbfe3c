package fakequant

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/bitgrad/bitgrad/quant"
)

// drawFormat draws a format that Prepare makes.
func drawFormat(t *rapid.T) quant.UniformFormat {
	f := quant.UniformFormat{BitWidth: rapid.IntRange(1, 16).Draw(t, "bits"), Signed: rapid.Bool().Draw(t, "signed")}
	switch rapid.IntRange(0, 2).Draw(t, "family") {
	case 0:
		f.PowerOfTwo, f.Rounding = true, quant.HalfUp
	case 1:
		f.Affine = true
	}
	f.Narrow = f.BitWidth > 1 && rapid.Bool().Draw(t, "narrow")
	return f
}

// drawRange draws the ends of a range: usual numbers, zero, and very small or
// large ones.
func drawRange(t *rapid.T) (lo, hi float32) {
	end := func(name string) float32 {
		m := rapid.Float32Range(0.5, 1).Draw(t, name)
		switch rapid.IntRange(0, 5).Draw(t, name+" kind") {
		case 0:
			return 0
		case 1:
			return float32(math.Ldexp(float64(m), rapid.IntRange(-148, 100).Draw(t, name+" exponent")))
		case 2:
			return float32(math.Ldexp(1, rapid.IntRange(-20, 20).Draw(t, name+" power")))
		}
		return m * rapid.SampledFrom([]float32{0.3, 1, 6, 100}).Draw(t, name+" factor")
	}
	lo, hi = -end("lo"), end("hi")
	if rapid.IntRange(0, 3).Draw(t, "shifted") == 0 { // a range that does not contain zero
		lo = hi / 2
	}
	return lo, hi
}

// TestRangeGrid: the grid of an activation is that of quant.UniformFormat.
func TestRangeGrid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFormat(t)
		lo, hi := drawRange(t)
		want, err := f.GridFromRange([]float32{lo}, []float32{hi})
		if err != nil {
			t.Fatal(err)
		}
		q := &Quantizer{Format: f, Channels: 1, Estimator: STE{}}
		var got quant.Grid
		q.initGrid(&got)
		q.rangeGrid(&got, lo, hi)
		if !got.Equal(want) {
			t.Fatalf("%s from %v to %v: %s, want %s", f, lo, hi, got, want)
		}
	})
}

// TestWeightGrid: the grid of a weight is that of quant.UniformFormat.
func TestWeightGrid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFormat(t)
		f.Signed, f.Affine, f.PerChannel = true, false, true
		n := rapid.IntRange(1, 5).Draw(t, "channels")
		lo, hi := make([]float32, n), make([]float32, n)
		for c := range lo {
			lo[c], hi[c] = drawRange(t)
			lo[c] = min(lo[c], 0)
		}
		want, err := f.GridFromRange(lo, hi)
		if err != nil {
			t.Fatal(err)
		}
		q := &Quantizer{Format: f, Channels: n, Estimator: STE{}}
		var got quant.Grid
		q.initGrid(&got)
		gridFromRanges(f, &got, lo, hi)
		if !got.Equal(want) {
			t.Fatalf("%s from %v to %v: %s, want %s", f, lo, hi, got, want)
		}
	})
}

// TestRequantEqualsLaw: the requantizer that follows the scales of training is
// the one that quant builds for shipping.
func TestRequantEqualsLaw(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFormat(t)
		q := &Quantizer{Format: f, Channels: 1, Estimator: STE{}}
		channels := rapid.IntRange(1, 4).Draw(t, "channels")
		perChannel := rapid.Bool().Draw(t, "per-channel")
		r := newRequant(q, perChannel, channels, false)
		for range 3 { // the same requantizer, with scales that change
			var y quant.Grid
			q.initGrid(&y)
			scale := func(name string) float32 {
				if f.PowerOfTwo {
					return quant.PowerOfTwo(rapid.IntRange(-6, 6).Draw(t, name))
				}
				return rapid.Float32Range(0.001, 10).Draw(t, name)
			}
			y.Scale[0] = scale("y")
			if f.Affine {
				y.ZeroPoint = rapid.Int32Range(y.QMin(), y.QMax()).Draw(t, "zero")
			}
			x, w := quant.Grid{BitWidth: 8, Signed: true, Scale: []float32{scale("x")}}, quant.Grid{BitWidth: 8, Signed: true}
			for range channels {
				s := scale("w")
				if !perChannel && len(w.Scale) > 0 {
					s = w.Scale[0]
				}
				w.Scale = append(w.Scale, s)
			}
			acc := make([]float32, channels)
			for c := range acc {
				acc[c] = accScale(&x, &w, c)
			}
			act := activation(rapid.IntRange(0, 2).Draw(t, "act"))
			want, err := quant.NewRequantizer(q.rule(), quant.AccScale(x, w), y)
			if err != nil {
				t.Fatal(err)
			}
			switch act {
			case relu:
				want = want.ReLU()
			case relu6:
				want = want.ReLU6(y)
			}
			r.set(acc, &y, act)
			if !sameRequant(&want, &r.Requantizer, channels) {
				t.Fatalf("%s: %+v, want %+v", f, r.Requantizer, want)
			}
			for c := range channels {
				for _, a := range []int64{0, 1, -1, 5, 77, -77, 1234, -4321, 1 << 20, -1 << 20, math.MaxInt32, math.MinInt32} {
					if got, want := r.Apply(a, c), want.Apply(a, c); got != want {
						t.Fatalf("%s: accumulator %d of channel %d: %d, want %d", f, a, c, got, want)
					}
				}
			}
			lo, hi := make([]int64, channels), make([]int64, channels)
			e := rapid.SampledFrom([]Estimator{STE{}, LSQ{}, TQT{}}).Draw(t, "estimator")
			r.intervals(lo, hi, e, &y, linear, acc)
			for c := range channels {
				first, last := want.PassRange(c, y.QMin(), y.QMax(), e.Rounded())
				if lo[c] != max(first, -accRange) || hi[c] != min(last, accRange) {
					t.Fatalf("%s, %s: channel %d passes from %d to %d, want %d to %d", f, e.Name(), c, lo[c], hi[c], first, last)
				}
			}
		}
	})
}
