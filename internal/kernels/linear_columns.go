package kernels

// BackwardInputColumns computes columns i0..i1-1 of dx [N I] = dy [N O]·w for a batch of n, or adds
// them to dx. w holds these columns of the weights alone, [O i1-i0]. Each result is that
// of BackwardInput.
func (l Linear) BackwardInputColumns(dx, dy, w []float32, n, i0, i1 int, add bool) {
	var zero [1]int
	g := GEMM{
		M: n, N: i1 - i0, K: l.O, A: dy, AOff: zero[:], RS: l.O, CS: 1,
		B: w, BOff: zero[:], BS: i1 - i0, C: dx[i0:], LDC: l.I, Add: add,
	}
	g.Run()
}
