package kernels

import "fmt"

// A GEMM8 is a sum of products of 8-bit matrices with 32-bit accumulators:
//
//	Acc[i·LDC+j] = Start[j] + Σ_s Σ_k A[AOff[s]+i·RS+k] · W[s,k,j]
//
// for i < M, j < N, k < K, with unsigned A. Who has signed codes a multiplies a + 128 and takes
// 128·Σ W[s,k,j] off Start[j]. Sums wrap modulo 2^32, so what matters is only that the final
// value fits.
//
// W is a panel [s][⌈K/4⌉][Width][4] of int8 with Width 16 or 32, zero where k ≥ K
// or j ≥ N. A is read in groups of four along k: up to three bytes after the last
// of a row are read (and multiplied by zero), so A needs Slack bytes after its last
// element.
type GEMM8 struct {
	M, N, K int
	A       []uint8
	AOff    []int
	RS      int
	W       []int8
	Width   int
	Start   []int32 // at least N values, or nil for zeros
	Acc     []int32
	LDC     int
}

// Slack is the number of elements that must follow the last one of a tensor of
// codes that a kernel reads.
const Slack = 64

func ceil4(k int) int { return (k + 3) &^ 3 }

// Run computes the product. It panics if a slice is too short.
func (g *GEMM8) Run() { g.RunEach(1, 0, 0) }

// RunEach computes several products with the same W. Their rows in A and Acc lie stepA and stepC elements behind those of the
// one before, which must not be negative. It panics if a slice is too short.
func (g *GEMM8) RunEach(times, stepA, stepC int) {
	if g.M <= 0 || g.N <= 0 || times <= 0 {
		return
	}
	last := *g
	last.A, last.Acc = beyond(g.A, (times-1)*stepA), beyond(g.Acc, (times-1)*stepC)
	last.check()
	g.runEach(times, stepA, stepC)
}

func (g *GEMM8) runEachPortable(times, stepA, stepC int) {
	next := *g
	for i := range times {
		next.A, next.Acc = beyond(g.A, i*stepA), g.Acc[i*stepC:]
		next.runPortable()
	}
}

func (g *GEMM8) check() {
	if g.Width != 16 && g.Width != 32 || g.N > g.Width || g.RS < 0 || g.LDC < 0 || g.K < 0 {
		panic(fmt.Sprintf("kernels: gemm8: %d columns in a panel of %d, strides %d %d, K %d", g.N, g.Width, g.RS, g.LDC, g.K))
	}
	if need := len(g.AOff) * ceil4(g.K) * g.Width; need > len(g.W) {
		panic(fmt.Sprintf("kernels: gemm8: %d packed weights, want %d", len(g.W), need))
	}
	if last := (g.M-1)*g.LDC + g.N - 1; last >= len(g.Acc) {
		panic(fmt.Sprintf("kernels: gemm8: index %d of the accumulators, which are %d", last, len(g.Acc)))
	}
	if g.Start != nil && len(g.Start) < g.N {
		panic(fmt.Sprintf("kernels: gemm8: %d start values for %d columns", len(g.Start), g.N))
	}
	if g.K == 0 {
		return
	}
	lastA := len(g.A) - (g.M-1)*g.RS - ceil4(g.K)
	for s, a := range g.AOff {
		if a < 0 || a > lastA {
			panic(fmt.Sprintf("kernels: gemm8 %d×%d×%d: segment %d at %d of A (last possible %d; are %d elements of slack missing?)", g.M, g.N, g.K, s, a, lastA, Slack))
		}
	}
}

func (g *GEMM8) runPortable() {
	var sums [panelWidth]int32
	acc := sums[:g.Width]
	for i := range g.M {
		clear(acc)
		copy(acc, g.Start[:min(len(g.Start), g.N)])
		at := 0
		for _, a := range g.AOff {
			row := g.A[a+i*g.RS:]
			for k := 0; k < g.K; k += 4 {
				q := row[k : k+4 : k+4]
				a0, a1, a2, a3 := int32(q[0]), int32(q[1]), int32(q[2]), int32(q[3])
				w := g.W[at : at+4*len(acc)]
				at += 4 * len(acc)
				for j := range acc {
					v := w[4*j : 4*j+4 : 4*j+4]
					acc[j] += a0*int32(v[0]) + a1*int32(v[1]) + a2*int32(v[2]) + a3*int32(v[3])
				}
			}
		}
		copy(g.Acc[i*g.LDC:][:g.N], acc)
	}
}
