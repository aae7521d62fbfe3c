package kernels

import "fmt"

// A GEMM is a sum of strided float32 matrix products, one per segment s:
//
//	C[i·LDC+j] = Init[j] + Σ_s Σ_k A[AOff[s]+i·RS+k·CS] · B[BOff[s]+k·BS+j]
//
// for i < M, j < N, k < K; with Add the sum is added to C. The segments let one
// product cover the kernel rows of a convolution. A is read through strides, so
// rows that overlap or a transposed matrix need no copy.
//
// Each result is one accumulator that starts at Init[j] (0 if Init is nil) and
// takes the terms in the order of s, then k; with Add, C is added at the end.
// The result therefore does not depend on how a product is split over M and N.
type GEMM struct {
	M, N, K int
	A       []float32
	AOff    []int // start of each segment of A; as long as BOff
	RS, CS  int   // strides of A from row to row and along k, not negative
	B       []float32
	BOff    []int
	BS      int // stride of B along k; columns are adjacent
	Init    []float32
	C       []float32
	LDC     int
	Add     bool
}

// panelWidth is the number of columns that one pass of the widest kernel covers.
const panelWidth = 32

// Run computes the product. It panics if a slice is too short.
func (g *GEMM) Run() {
	if g.M <= 0 || g.N <= 0 {
		return
	}
	g.check()
	g.run()
}

// RunEach computes several products of one form. The operands of the next one lie stepA, stepB and
// stepC elements behind, which must not be negative. It panics if a slice is too short.
func (g *GEMM) RunEach(times, stepA, stepB, stepC int) {
	if g.M <= 0 || g.N <= 0 || times <= 0 {
		return
	}
	last := *g
	last.A, last.B, last.C = beyond(g.A, (times-1)*stepA), beyond(g.B, (times-1)*stepB), beyond(g.C, (times-1)*stepC)
	last.check()
	g.runEach(times, stepA, stepB, stepC)
}

// beyond returns x from element n on, or nothing where n is no index.
func beyond[E any](x []E, n int) []E {
	if n < 0 || n > len(x) {
		return nil
	}
	return x[n:]
}

func (g *GEMM) runEachPortable(times, stepA, stepB, stepC int) {
	next := *g
	for i := range times {
		next.A, next.B, next.C = beyond(g.A, i*stepA), beyond(g.B, i*stepB), g.C[i*stepC:]
		next.runPortable()
	}
}

// check makes sure that no index leaves its slice.
func (g *GEMM) check() {
	if len(g.AOff) != len(g.BOff) || g.RS < 0 || g.CS < 0 || g.BS < 0 || g.LDC < 0 || g.K < 0 {
		panic(fmt.Sprintf("kernels: gemm: %d and %d segments, strides %d %d %d %d, K %d", len(g.AOff), len(g.BOff), g.RS, g.CS, g.BS, g.LDC, g.K))
	}
	if last := (g.M-1)*g.LDC + g.N - 1; last >= len(g.C) {
		panic(fmt.Sprintf("kernels: gemm: index %d of C, which has %d", last, len(g.C)))
	}
	if g.Init != nil && len(g.Init) < g.N {
		panic(fmt.Sprintf("kernels: gemm: %d initial values for %d columns", len(g.Init), g.N))
	}
	if g.K == 0 {
		return
	}
	lastA := len(g.A) - (g.M-1)*g.RS - (g.K-1)*g.CS - 1
	lastB := len(g.B) - (g.K-1)*g.BS - g.N
	for s, a := range g.AOff {
		if b := g.BOff[s]; a < 0 || a > lastA || b < 0 || b > lastB {
			panic(fmt.Sprintf("kernels: gemm %d×%d×%d: segment %d at %d of A (last possible %d), %d of B (last possible %d)", g.M, g.N, g.K, s, a, lastA, b, lastB))
		}
	}
}

// runPortable computes blocks of 2×4 results in local variables.
func (g *GEMM) runPortable() {
	j := 0
	for ; j+4 <= g.N; j += 4 {
		i := 0
		for ; i+2 <= g.M; i += 2 {
			g.block2x4(i, j)
		}
		for ; i < g.M; i++ {
			g.block1x4(i, j)
		}
	}
	for ; j < g.N; j++ {
		for i := range g.M {
			g.single(i, j)
		}
	}
}

func (g *GEMM) initial(j int) float32 {
	if g.Init == nil {
		return 0
	}
	return g.Init[j]
}

func (g *GEMM) store(i, j int, v float32) {
	p := &g.C[i*g.LDC+j]
	if g.Add {
		v += *p
	}
	*p = v
}

func (g *GEMM) block2x4(i, j int) {
	x0, x1, x2, x3 := g.initial(j), g.initial(j+1), g.initial(j+2), g.initial(j+3)
	y0, y1, y2, y3 := x0, x1, x2, x3
	if g.K > 0 {
		for s, start := range g.AOff {
			a0 := g.A[start+i*g.RS:]
			a1 := g.A[start+(i+1)*g.RS:]
			at, bt := 0, g.BOff[s]+j
			for range g.K {
				b := g.B[bt : bt+4 : bt+4]
				u, v := a0[at], a1[at]
				x0 += float32(u * b[0])
				x1 += float32(u * b[1])
				x2 += float32(u * b[2])
				x3 += float32(u * b[3])
				y0 += float32(v * b[0])
				y1 += float32(v * b[1])
				y2 += float32(v * b[2])
				y3 += float32(v * b[3])
				at += g.CS
				bt += g.BS
			}
		}
	}
	g.store(i, j, x0)
	g.store(i, j+1, x1)
	g.store(i, j+2, x2)
	g.store(i, j+3, x3)
	g.store(i+1, j, y0)
	g.store(i+1, j+1, y1)
	g.store(i+1, j+2, y2)
	g.store(i+1, j+3, y3)
}

func (g *GEMM) block1x4(i, j int) {
	x0, x1, x2, x3 := g.initial(j), g.initial(j+1), g.initial(j+2), g.initial(j+3)
	if g.K > 0 {
		for s, start := range g.AOff {
			at, bt := start+i*g.RS, g.BOff[s]+j
			for range g.K {
				b := g.B[bt : bt+4 : bt+4]
				u := g.A[at]
				x0 += float32(u * b[0])
				x1 += float32(u * b[1])
				x2 += float32(u * b[2])
				x3 += float32(u * b[3])
				at += g.CS
				bt += g.BS
			}
		}
	}
	g.store(i, j, x0)
	g.store(i, j+1, x1)
	g.store(i, j+2, x2)
	g.store(i, j+3, x3)
}

func (g *GEMM) single(i, j int) {
	x := g.initial(j)
	if g.K > 0 {
		for s, start := range g.AOff {
			at, bt := start+i*g.RS, g.BOff[s]+j
			for range g.K {
				x += float32(g.A[at] * g.B[bt])
				at += g.CS
				bt += g.BS
			}
		}
	}
	g.store(i, j, x)
}
