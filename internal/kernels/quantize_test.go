package kernels

import (
	"fmt"
	"math"
	"testing"

	"github.com/bitgrad/bitgrad/quant"
)

func TestQuantize(t *testing.T) { forEach(t, "quantize", func(t *testing.T) { compareQuantize(t) }) }

func compareQuantize(t failer) {
	r := testRand()
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for channels := 1; channels <= 67; channels++ {
		for pixels := range 4 {
			g := quant.Grid{BitWidth: 1 + r.IntN(8), Signed: r.IntN(2) == 0, Reciprocal: r.IntN(3) == 0, MidRise: r.IntN(6) == 0}
			rounding := quant.Rounding(r.IntN(int(quant.Floor) + 1))
			if r.IntN(2) == 0 {
				rounding = quant.HalfEven
			}
			n := 1
			if r.IntN(2) == 0 {
				n = channels
			}
			for range n {
				s := float32(math.Ldexp(1, -r.IntN(8)))
				if r.IntN(2) == 0 {
					s *= 1 + r.Float32()
				}
				g.Scale = append(g.Scale, s)
			}
			if n == 1 && !g.MidRise {
				g.ZeroPoint = g.QMin() + int32(r.IntN(1<<g.BitWidth))
			}
			if err := g.Validate(); err != nil {
				t.Fatal(err)
			}
			x := make([]float32, pixels*channels)
			for i := range x {
				s := g.ScaleAt(i % n)
				switch r.IntN(6) {
				case 0:
					x[i] = (float32(r.IntN(300)-150) + 0.5) * s
				case 1:
					x[i] = []float32{nan, inf, -inf, math.MaxFloat32, -math.MaxFloat32, 1e-40, float32(math.Copysign(0, -1))}[r.IntN(7)]
				default:
					x[i] = float32(r.NormFloat64()) * s * 60
				}
			}
			wantBad := 0
			for _, v := range x {
				if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
					wantBad++
				}
			}
			name := fmt.Sprintf("%d×%d, %v, %v", pixels, channels, g, rounding)
			codes, fake := guard[uint8](len(x), 99, 1), guard[float32](len(x), 99, 1)
			if bad := QuantizeCodes(codes.in, x, &g, rounding); bad != wantBad {
				t.Fatalf("%s: %d bad numbers, want %d", name, bad, wantBad)
			}
			if bad := FakeQuantize(fake.in, x, &g, rounding); bad != wantBad {
				t.Fatalf("%s: fake: %d bad numbers, want %d", name, bad, wantBad)
			}
			codes.check(t, name)
			fake.check(t, name)
			for i, v := range x {
				q := g.Quantize(v, i%n, rounding)
				if codes.in[i] != uint8(q) {
					t.Fatalf("%s: code of %v is %d, want %d", name, v, codes.in[i], uint8(q))
				}
				if want := g.Dequantize(q, i%n); fake.in[i] != want {
					t.Fatalf("%s: fake quantized %v is %v, want %v", name, v, fake.in[i], want)
				}
			}
			if n == 1 && !g.MidRise {
				Dequantize(fake.in, codes.in, g.Signed, g.ZeroPoint, g.Scale[0])
				for i, v := range x {
					if want := g.FakeQuantize(v, 0, rounding); fake.in[i] != want {
						t.Fatalf("%s: dequantized code of %v is %v, want %v", name, v, fake.in[i], want)
					}
				}
			}
		}
	}
}
