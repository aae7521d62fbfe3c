package kernels

import (
	"math"
	"testing"
)

// TestOptimizers holds every variant to the formulas, written down once more, bit by bit.
func TestOptimizers(t *testing.T) {
	forEach(t, "optimizers", func(t *testing.T) {
		r := testRand()
		for n := range 68 {
			w, g, m, v := normals(r, n), normals(r, n), normals(r, n), normals(r, n)
			for i := range v {
				v[i] *= v[i]
				if r.IntN(8) == 0 {
					g[i], m[i], v[i] = 0, 0, 0
				}
			}
			s := AdamStep{Decay: 0.01, Keep: 0.99, Beta1: 0.9, Rest1: 0.1, Beta2: 0.999, Rest2: 0.001, Rate: 0.02, Root: 0.3, Eps: 1e-8}
			value, first, second := copied(w), copied(m), copied(v)
			Adam(value.in, g, first.in, second.in, &s)
			for i := range w {
				x := g[i] + float32(s.Decay*w[i])
				a := float32(s.Beta1*m[i]) + float32(s.Rest1*x)
				b := float32(s.Beta2*v[i]) + float32(float32(s.Rest2*x)*x)
				c := float32(s.Keep*w[i]) - float32(s.Rate*a)/(float32(float32(math.Sqrt(float64(b)))/s.Root)+s.Eps)
				if value.in[i] != c || first.in[i] != a || second.in[i] != b {
					t.Fatalf("adam: element %d of %d: %v %v %v, want %v %v %v", i, n, value.in[i], first.in[i], second.in[i], c, a, b)
				}
			}
			for _, operand := range []guarded[float32]{value, first, second} {
				operand.check(t, "adam")
			}
			const decay, mu, rate = float32(0.01), float32(0.9), float32(0.05)
			for _, nesterov := range []bool{false, true} {
				value, speed := copied(w), copied(m)
				Momentum(value.in, g, speed.in, decay, mu, rate, nesterov)
				for i := range w {
					x := g[i] + float32(decay*w[i])
					a := float32(mu*m[i]) + x
					c := w[i] - float32(rate*a)
					if nesterov {
						c = w[i] - float32(rate*(x+float32(mu*a)))
					}
					if value.in[i] != c || speed.in[i] != a {
						t.Fatalf("momentum, nesterov %v: element %d of %d: %v %v, want %v %v", nesterov, i, n, value.in[i], speed.in[i], c, a)
					}
				}
				value.check(t, "momentum")
				speed.check(t, "momentum")
			}
			var lanes [4]float64
			for i, x := range g {
				lane := i % 4
				if i >= n&^3 {
					lane = 0
				}
				lanes[lane] += float64(float64(x) * float64(x))
			}
			if got, want := SumSquares(g), (lanes[0]+lanes[1])+(lanes[2]+lanes[3]); got != want {
				t.Fatalf("sum of %d squares: %v, want %v", n, got, want)
			}
			for i := range g {
				for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(-1))} {
					x := append([]float32(nil), g...)
					x[i] = bad
					if s := SumSquares(x); !math.IsNaN(s) && !math.IsInf(s, 0) {
						t.Fatalf("sum of %d squares with %v at %d: %v", n, bad, i, s)
					}
				}
			}
		}
	})
}

func copied(x []float32) guarded[float32] {
	g := guard[float32](len(x), -77, 0)
	copy(g.in, x)
	return g
}
