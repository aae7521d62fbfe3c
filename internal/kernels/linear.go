package kernels

// A Linear describes a fully connected layer, y = x·wᵀ + bias, of x [N I] and
// weights w [O I]. All matrices are dense and row-major. Each method computes a
// range of its result, so that ranges can be spread over workers.
type Linear struct{ I, O int }

// ForwardSize returns the length of the packed weights that Forward reads.
func (l Linear) ForwardSize() int { return panelColumns(l.O) * l.I }

// PackForward brings the weights w [O I] into the order that Forward reads:
// [panel][i][column].
func (l Linear) PackForward(dst, w []float32) {
	s := l.conv()
	s.PackForward(dst, w)
}

// conv returns the convolution of one pixel that has the same weights.
func (l Linear) conv() ConvShape {
	return ConvShape{C: l.I, O: l.O, KH: 1, KW: 1, Groups: 1}
}

// ForwardPanels returns how many panels the packed weights have.
func (l Linear) ForwardPanels() int { return panels(l.O) }

// PackForwardPanel does the part of PackForward that panel i needs.
func (l Linear) PackForwardPanel(dst, w []float32, i int) {
	s := l.conv()
	s.PackForwardPanel(dst, w, i)
}

// Forward computes rows n0..n1-1 of y [N O] = x [N I]·wᵀ + bias. packed comes from
// PackForward; bias may be nil.
func (l Linear) Forward(y, x, packed, bias []float32, n0, n1 int) {
	aoff, boff := [1]int{n0 * l.I}, [1]int{}
	g := GEMM{M: n1 - n0, K: l.I, A: x, AOff: aoff[:], RS: l.I, CS: 1, B: packed, BOff: boff[:], LDC: l.O}
	for j := 0; j < l.O; j += panelWidth {
		g.BS = panel(j, l.O)
		g.N = min(g.BS, l.O-j)
		if bias != nil {
			g.Init = bias[j : j+g.N]
		}
		g.C = y[n0*l.O+j:]
		g.Run()
		boff[0] += l.I * g.BS
	}
}

// BackwardInput computes rows n0..n1-1 of dx [N I] = dy [N O]·w, or adds them to
// dx. It reads the weights w [O I] as they are.
func (l Linear) BackwardInput(dx, dy, w []float32, n0, n1 int, add bool) {
	aoff, boff := [1]int{n0 * l.O}, [1]int{}
	g := GEMM{
		M: n1 - n0, N: l.I, K: l.O, A: dy, AOff: aoff[:], RS: l.O, CS: 1,
		B: w, BOff: boff[:], BS: l.I, C: dx[n0*l.I:], LDC: l.I, Add: add,
	}
	g.Run()
}

// BackwardWeight computes rows o0..o1-1 of dw [O I] = dyᵀ·x over a batch of n, or
// adds them to dw.
func (l Linear) BackwardWeight(dw, x, dy []float32, n, o0, o1 int, add bool) {
	aoff, boff := [1]int{o0}, [1]int{}
	g := GEMM{
		M: o1 - o0, N: l.I, K: n, A: dy, AOff: aoff[:], RS: 1, CS: l.O,
		B: x, BOff: boff[:], BS: l.I, C: dw[o0*l.I:], LDC: l.I, Add: add,
	}
	g.Run()
}

// BackwardBias computes db [O] = Σ_n dy [N O], or adds it to db. It sums in
// float64 in the order of n and rounds once.
func (l Linear) BackwardBias(db, dy []float32, n int, add bool) {
	s := ConvShape{O: l.O, OH: 1, OW: n}
	s.BackwardBias(db, dy, Dense(1, 1, n, l.O), 0, 1, add)
}
