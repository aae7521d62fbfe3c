package kernels

import (
	"math"
	"testing"

	"github.com/bitgrad/bitgrad/quant"
)

func TestRequantizeAffine(t *testing.T) {
	forEach(t, "affine", func(t *testing.T) {
		r := testRand()
		for channels := 1; channels <= 67; channels++ {
			for _, rounding := range []quant.Rounding{quant.HalfEven, quant.HalfUp} {
				lo, hi, z := clampRange(r)
				a, off := make([]float32, channels), make([]float32, channels)
				for c := range a {
					a[c] = float32(math.Ldexp(1, -r.IntN(20))) // powers of two make ties
					off[c] = float32(r.IntN(9)-4) / 2
					if r.IntN(3) == 0 {
						a[c], off[c] = float32(r.NormFloat64()), float32(r.NormFloat64())
					}
					if r.IntN(20) == 0 {
						off[c] = float32(math.NaN())
					}
				}
				acc := accumulators(r, 3*channels)
				dst := guard[uint8](len(acc), 99, 1)
				RequantizeAffine(dst.in, acc, a, off, z, lo, hi, rounding == quant.HalfUp)
				for i, v := range acc {
					x := rounding.Round32(float32(float32(v)*a[i%channels]) + off[i%channels])
					if x != x {
						x = 0
					}
					x = min(max(x, float32(lo-z)), float32(hi-z))
					if want := uint8(int32(x) + z); dst.in[i] != want {
						t.Fatalf("%v: %d·%v + %v in [%d, %d], z = %d: code %d, want %d", rounding, v, a[i%channels], off[i%channels], lo, hi, z, dst.in[i], want)
					}
				}
				dst.check(t, "requantize affine")
			}
		}
	})
}

func TestAccumulatorRange(t *testing.T) {
	forEach(t, "affine", func(t *testing.T) {
		r := testRand()
		for channels := 1; channels <= 67; channels++ {
			for pixels := range 4 {
				least, most := guard[int32](channels, -7, 5), guard[int32](channels, -7, -5)
				acc := accumulators(r, pixels*channels)
				wantLeast, wantMost := append([]int32(nil), least.in...), append([]int32(nil), most.in...)
				for i, v := range acc {
					wantLeast[i%channels], wantMost[i%channels] = min(wantLeast[i%channels], v), max(wantMost[i%channels], v)
				}
				AccumulatorRange(least.in, most.in, acc)
				equalSlices(t, "least", least.in, wantLeast)
				equalSlices(t, "most", most.in, wantMost)
				least.check(t, "least")
				most.check(t, "most")
			}
		}
	})
}

func TestFiniteRange(t *testing.T) {
	forEach(t, "affine", func(t *testing.T) {
		r := testRand()
		inf := float32(math.Inf(1))
		for n := range 100 {
			x := normals(r, n)
			wantLo, wantHi, wantBad := inf, -inf, 0
			for i := range x {
				switch r.IntN(12) {
				case 0:
					x[i] = inf
				case 1:
					x[i] = -inf
				case 2:
					x[i] = float32(math.NaN())
				default:
					wantLo, wantHi = min(wantLo, x[i]), max(wantHi, x[i])
					continue
				}
				wantBad++
			}
			if lo, hi, bad := FiniteRange(x); lo != wantLo || hi != wantHi || bad != wantBad {
				t.Fatalf("%d elements: %v to %v, %d bad, want %v to %v, %d", n, lo, hi, bad, wantLo, wantHi, wantBad)
			}
		}
		for n := range 40 { // the order of zeros must not show
			zeros := make([]float32, n+2)
			zeros[n] = float32(math.Copysign(0, -1))
			if lo, hi, _ := FiniteRange(zeros); math.Signbit(float64(lo)) || math.Signbit(float64(hi)) {
				t.Fatalf("%d zeros: %v to %v, want 0 to 0", n, lo, hi)
			}
		}
	})
}
