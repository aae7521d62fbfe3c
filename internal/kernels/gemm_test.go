package kernels

import (
	"fmt"
	"math"
	"testing"
)

// refGEMM is the definition in float64; bound receives the sum of the absolute
// values of all terms of each result.
func refGEMM(g *GEMM, c []float32) (want, bound []float64) {
	want, bound = make([]float64, len(c)), make([]float64, len(c))
	for i := range c {
		want[i] = float64(c[i])
	}
	for i := range g.M {
		for j := range g.N {
			var sum, size float64
			term := func(v float64) { sum += v; size += math.Abs(v) }
			if g.Init != nil {
				term(float64(g.Init[j]))
			}
			for s := range g.AOff {
				for k := range g.K {
					term(float64(g.A[g.AOff[s]+i*g.RS+k*g.CS]) * float64(g.B[g.BOff[s]+k*g.BS+j]))
				}
			}
			if g.Add {
				term(float64(c[i*g.LDC+j]))
			}
			want[i*g.LDC+j], bound[i*g.LDC+j] = sum, size
		}
	}
	return want, bound
}

func TestGEMMSmall(t *testing.T) {
	forEach(t, "gemm", func(t *testing.T) {
		r := testRand()
		for m := 1; m <= 31; m++ {
			for n := 1; n <= 67; n++ {
				k, segs := r.IntN(6), r.IntN(4)
				transposed := r.IntN(2) == 1
				g := GEMM{M: m, N: n, K: k, RS: k + r.IntN(3), CS: 1, BS: n + r.IntN(3), LDC: n + r.IntN(5), Add: r.IntN(2) == 1}
				if transposed {
					g.RS, g.CS = 1, m+r.IntN(3)
				}
				spanA, spanB := (m-1)*g.RS+max(k-1, 0)*g.CS+1, max(k-1, 0)*g.BS+n
				for range segs {
					g.AOff = append(g.AOff, r.IntN(5))
					g.BOff = append(g.BOff, r.IntN(5))
				}
				a, b := smallInts(r, spanA+4, 8), smallInts(r, spanB+4, 8)
				// The slices end where the last segment ends, in memory that holds NaN.
				lastA, lastB := 0, 0
				for s := range segs {
					lastA, lastB = max(lastA, g.AOff[s]), max(lastB, g.BOff[s])
				}
				ga, gb := guard(spanA+lastA, float32(math.NaN()), 0), guard(spanB+lastB, float32(math.NaN()), 0)
				copy(ga.in, a)
				copy(gb.in, b)
				g.A, g.B = ga.in, gb.in
				if r.IntN(2) == 1 {
					g.Init = smallInts(r, n, 8)
				}
				c := guard[float32]((m-1)*g.LDC+n, -77, 5)
				g.C = c.in
				want, _ := refGEMM(&g, c.in)
				g.Run()
				name := fmt.Sprintf("%d×%d×%d, %d segments, RS %d CS %d BS %d LDC %d, init %v, add %v", m, n, k, segs, g.RS, g.CS, g.BS, g.LDC, g.Init != nil, g.Add)
				for i := range c.in {
					if float64(c.in[i]) != want[i] {
						t.Fatalf("%s: C[%d] = %v, want %v", name, i, c.in[i], want[i])
					}
				}
				c.check(t, name)
			}
		}
	})
}

func TestGEMMRunEach(t *testing.T) {
	forEach(t, "gemm", func(t *testing.T) {
		r := testRand()
		for range 50 {
			times, m, n, k := 1+r.IntN(4), 1+r.IntN(20), 1+r.IntN(70), 1+r.IntN(9)
			stepA, stepB, stepC := m*k+r.IntN(3), k*n+r.IntN(3), m*n+r.IntN(3)
			g := GEMM{M: m, N: n, K: k, AOff: []int{0}, RS: k, CS: 1, BOff: []int{0}, BS: n, LDC: n, Add: r.IntN(2) == 1,
				A: normals(r, (times-1)*stepA+m*k), B: normals(r, (times-1)*stepB+k*n), C: normals(r, (times-1)*stepC+m*n)}
			if r.IntN(2) == 1 {
				g.Init = normals(r, n)
			}
			want := append([]float32(nil), g.C...)
			for i := range times {
				one := g
				one.A, one.B, one.C = g.A[i*stepA:], g.B[i*stepB:], want[i*stepC:]
				one.Run()
			}
			g.RunEach(times, stepA, stepB, stepC)
			equalSlices(t, fmt.Sprintf("%d×%d×%d×%d", times, m, n, k), g.C, want)
			for _, operand := range []*[]float32{&g.A, &g.B, &g.C} {
				whole := *operand
				*operand = whole[:len(whole)-1]
				rejects(t, fmt.Sprintf("one element too few, %d times", times), func() { g.RunEach(times, stepA, stepB, stepC) })
				*operand = whole
			}
			rejects(t, "a negative step", func() { g.RunEach(2, -1, stepB, stepC) })
			g.RunEach(0, stepA, stepB, stepC)
			equalSlices(t, "no product", g.C, want)
		}
	})
}

// rejects fails unless f panics.
func rejects(t *testing.T, name string, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s: no panic", name)
		}
	}()
	f()
}

// A dot product of k terms, each rounded at most twice, is off by at most
// (k+1)·2^-23·Σ|terms|, whatever the order: see docs/tolerances.md.
func TestGEMMBound(t *testing.T) {
	forEach(t, "gemm", func(t *testing.T) {
		r := testRand()
		for _, d := range []struct{ m, n, k int }{{5, 3, 1}, {14, 32, 400}, {29, 48, 77}, {64, 70, 129}} {
			g := GEMM{
				M: d.m, N: d.n, K: d.k, A: normals(r, d.m*d.k), AOff: []int{0}, RS: d.k, CS: 1,
				B: normals(r, d.k*d.n), BOff: []int{0}, BS: d.n, C: normals(r, d.m*d.n), LDC: d.n, Add: true, Init: normals(r, d.n),
			}
			want, bound := refGEMM(&g, g.C)
			g.Run()
			for i, got := range g.C {
				if diff, limit := math.Abs(float64(got)-want[i]), float64(d.k+3)*0x1p-23*bound[i]; !(diff <= limit) {
					t.Fatalf("%v: C[%d] = %v, want %v ± %v", d, i, got, want[i], limit)
				}
			}
		}
	})
}

// The split over rows and columns changes no bit of the result.
func TestGEMMSplit(t *testing.T) {
	forEach(t, "gemm", func(t *testing.T) {
		r := testRand()
		const m, n, k = 40, 70, 33
		a, b := normals(r, m*k), normals(r, k*n)
		whole := make([]float32, m*n)
		full := GEMM{M: m, N: n, K: k, A: a, AOff: []int{0}, RS: k, CS: 1, B: b, BOff: []int{0}, BS: n, C: whole, LDC: n}
		full.Run()
		for range 50 {
			i, j := r.IntN(m), r.IntN(n)
			mi, nj := 1+r.IntN(m-i), 1+r.IntN(n-j)
			part := full
			part.M, part.N = mi, nj
			part.AOff, part.BOff = []int{i * k}, []int{j}
			got := make([]float32, m*n)
			part.C = got[i*n+j:]
			part.Run()
			for y := i; y < i+mi; y++ {
				for x := j; x < j+nj; x++ {
					if got[y*n+x] != whole[y*n+x] {
						t.Fatalf("part %d×%d at (%d,%d): C[%d,%d] = %v, whole product %v", mi, nj, i, j, y, x, got[y*n+x], whole[y*n+x])
					}
				}
			}
		}
	})
}

func TestGEMMRejectsShortOperands(t *testing.T) {
	ok := func() GEMM {
		return GEMM{M: 3, N: 4, K: 2, A: make([]float32, 6), AOff: []int{0}, RS: 2, CS: 1, B: make([]float32, 8), BOff: []int{0}, BS: 4, C: make([]float32, 12), LDC: 4}
	}
	g := ok()
	g.Run()
	for name, spoil := range map[string]func(g *GEMM){
		"A":        func(g *GEMM) { g.A = g.A[:5] },
		"B":        func(g *GEMM) { g.B = g.B[:7] },
		"C":        func(g *GEMM) { g.C = g.C[:11] },
		"Init":     func(g *GEMM) { g.Init = make([]float32, 3) },
		"offset":   func(g *GEMM) { g.AOff[0] = -1 },
		"offset B": func(g *GEMM) { g.BOff[0] = 1 },
		"segments": func(g *GEMM) { g.BOff = nil },
		"stride":   func(g *GEMM) { g.RS = -1 },
	} {
		g := ok()
		spoil(&g)
		rejects(t, name, g.Run)
	}
}

func TestGEMMAllocatesNothing(t *testing.T) {
	forEach(t, "gemm", func(t *testing.T) {
		a, b, c := make([]float32, 64), make([]float32, 64), make([]float32, 64)
		if n := testing.AllocsPerRun(10, func() {
			off := [1]int{}
			g := GEMM{M: 8, N: 8, K: 8, A: a, AOff: off[:], RS: 8, CS: 1, B: b, BOff: off[:], BS: 8, C: c, LDC: 8}
			g.Run()
		}); n != 0 {
			t.Errorf("%v allocations, want 0", n)
		}
	})
}

func TestGEMMOfNothing(t *testing.T) {
	forEach(t, "gemm", func(t *testing.T) {
		c := []float32{1: 5, 39: 7}
		g := GEMM{M: 1, N: 40, K: 0, AOff: []int{0}, BOff: []int{0}, C: c, LDC: 40}
		g.Run()
		equalSlices(t, "C", c, make([]float32, 40))
		many := make([]float32, 40*40)
		many[1599] = 3
		g = GEMM{M: 40, N: 40, K: 9, RS: 9, CS: 1, BS: 40, C: many, LDC: 40}
		g.Run()
		equalSlices(t, "C without segments", many, make([]float32, 1600))
		g.M = 0
		g.C = nil
		g.Run()
	})
}

func BenchmarkGEMM(b *testing.B) {
	r := testRand()
	for _, d := range []struct{ m, n, k int }{{14, 32, 256}, {128, 128, 128}, {512, 512, 512}} {
		b.Run(fmt.Sprintf("%dx%dx%d", d.m, d.n, d.k), func(b *testing.B) {
			g := GEMM{
				M: d.m, N: d.n, K: d.k, A: normals(r, d.m*d.k), AOff: []int{0}, RS: d.k, CS: 1,
				B: normals(r, d.k*d.n), BOff: []int{0}, BS: d.n, C: make([]float32, d.m*d.n), LDC: d.n,
			}
			for b.Loop() {
				g.Run()
			}
			reportRate(b, 2*d.m*d.n*d.k)
		})
	}
}

// reportRate reports operations per second, in units of 10^9.
func reportRate(b *testing.B, operations int) {
	b.ReportMetric(float64(operations)*float64(b.N)/b.Elapsed().Seconds()/1e9, "Gop/s")
	b.ReportMetric(0, "ns/op")
}
