package kernels

import "math"

// A PooledGradient computes the gradients of a convolution whose output goes through a max pool, from
// the gradient of the pool's output. In front of the pool it is zero but at the taps that won their
// windows, so that sums over windows take the place of sums over pixels: a quarter of the products,
// behind a pool of stride 2×2. Each is a [SparseProduct],
//
//	dw[o, kh, kw·C+c] = Σ dy[oh, ow, o] · x[winner of (oh, ow, o) at tap (kh, kw), c]   over the windows, in order,
//	dx[pixel at tap (kh, kw), c] += Σ dy[oh, ow, o] · w[o, c, kh, kw]                   over the outputs that a pixel won, in order.
//
// Where the weights are few, dx is instead summed over all outputs of a window, with a copy of the weights for each of
// its taps in a patch as large as the window: that saves the sorting.
//
// The pixels of tensors follow one another without gaps.
type PooledGradient struct {
	conv   ConvShape
	pool   PoolShape
	row    int // elements of a row of the kernel, KW·C
	step   int // the same in whole vectors
	padded int // elements of a row of the input with its padding
	patch  patch
}

// A patch is what the input gradient of a window covers, if there are weights for it.
type patch struct {
	rows, step int // of whole vectors
	whole      bool
}

// PooledGradient returns the gradients of a convolution in front of pool, and whether they are possible: not
// for groups, taps that lie apart in a row, and windows of more taps than a byte numbers.
func (s *ConvShape) PooledGradient(pool PoolShape) (g PooledGradient, ok bool) {
	g = PooledGradient{conv: *s, pool: pool, row: s.KW * s.C, step: ceil8(s.KW * s.C), padded: (s.PadLeft + s.W + s.PadRight) * s.C}
	g.patch = patch{rows: (s.KH-1)*s.DilH + 1 + (pool.KH-1)*s.StrideH, step: ceil8((s.KW + (pool.KW-1)*s.StrideW) * s.C)}
	// Sorting takes as long as about ten vectors, and the weights should stay in the first-level cache.
	inside := max(pool.PadTop, pool.PadLeft) == 0 && (pool.OH-1)*pool.StrideH+pool.KH <= s.OH && (pool.OW-1)*pool.StrideW+pool.KW <= s.OW
	g.patch.whole = inside && g.patch.rows*g.patch.step <= s.KH*g.step+10*sparseVector && g.wholeSize() <= 1<<12
	return g, g.possible()
}

// wholeSize returns the length of the weights of whole windows.
func (g *PooledGradient) wholeSize() int {
	return g.pool.KH * g.pool.KW * g.conv.O * g.patch.rows * g.patch.step
}

// Pays reports whether the gradients take less time, by an estimate, than what is written out with its zeros:
// not where Winograd takes as little, with kernels of one part. It depends on the shapes alone.
func (g *PooledGradient) Pays() bool {
	tiles := g.conv.byTiles() && max(g.conv.KH, g.conv.KW) == winogradKernel
	return !tiles && 8*g.time() < 7*g.denseTime()
}

func (g *PooledGradient) possible() bool {
	s, p := &g.conv, &g.pool
	largest := max(float64(g.imageSize()), float64(s.O)*float64(s.KH)*float64(g.step), float64(p.OH)*float64(p.OW)*float64(s.O))
	return s.Groups == 1 && s.DilW == 1 && p.MaxIndexable() && largest < math.MaxInt32
}

// WeightSize returns the length of the sums of Weight.
func (g *PooledGradient) WeightSize() int { return g.conv.O * g.conv.KH * g.step }

// imageSize returns the length of an image with its padding and the room that a SparseProduct needs.
func (g *PooledGradient) imageSize() int {
	return (g.conv.PadTop+g.conv.H+g.conv.PadBottom)*g.padded + sparseVector
}

// Size returns the length of the packed weights.
func (g *PooledGradient) Size() int {
	if g.patch.whole {
		return g.wholeSize()
	}
	return g.WeightSize()
}

// Panels returns how many parts the packed weights have: the taps of the window or the rows of the kernel.
func (g *PooledGradient) Panels() int {
	if g.patch.whole {
		return g.pool.KH * g.pool.KW
	}
	return g.conv.KH
}

// PackPanel brings a part of the weights w [O C KH KW] into the order that Input reads, [KH][O][KW·C] or
// [tap][O][rows of the patch][elements of one].
func (g *PooledGradient) PackPanel(dst, w []float32, panel int) {
	s, t := &g.conv, &g.patch
	if !t.whole {
		for o := range s.O {
			g.packRow(dst[(panel*s.O+o)*g.step:][:g.step], w, o, panel)
		}
		return
	}
	size := t.rows * t.step
	dst = dst[panel*s.O*size:][:s.O*size]
	clear(dst)
	at := panel/g.pool.KW*s.StrideH*t.step + panel%g.pool.KW*s.StrideW*s.C
	for o := range s.O {
		for kh := range s.KH {
			g.packRow(dst[o*size+at+kh*s.DilH*t.step:][:g.row], w, o, kh)
		}
	}
}

// packRow writes row kh of kernel o in the order [KW][C], and zeros behind it.
func (g *PooledGradient) packRow(row, w []float32, o, kh int) {
	s := &g.conv
	for c := range s.C {
		for kw, v := range w[s.weight(o, c, kh, 0):][:s.KW] {
			row[kw*s.C+c] = v
		}
	}
	clear(row[g.row:])
}

// Routes are the ways that the gradient of an image takes back through the pool.
type Routes struct {
	windows []routePlace // of their first taps
	x, dx   tapPlaces
	next    int32        // from the patch of one window in x to the next
	values  []float32    // [window][O]
	winners []SparseTerm // [window][O]: patches in x
	outputs []SparseGroup
	// For the gradient of the input, else nil:
	weights []int32      // of the outputs
	counts  []int32      // of the values of each tap in the windows of a row
	toInput []SparseTerm // sorted by the pixels of a window, or in the order of outputs
	patches []SparseGroup
	image   []float32 // the gradient with its padding
	// Bias are the sums of the gradient over the windows, one for each output.
	Bias []float64
}

// A routePlace is where a pixel of the convolution's output has its patch in x and in the gradient of the input.
type routePlace struct{ x, dx int32 }

// NewRoutes returns memory for the routes of one image at a time. The layout is that of x; input says
// whether its gradient is wanted.
func (g *PooledGradient) NewRoutes(xl Layout, input bool) *Routes {
	s, p := &g.conv, &g.pool
	windows := p.OH * p.OW
	x := func(oh, ow int) int { return oh*s.StrideH*xl.SH + ow*s.StrideW*xl.SW }
	dx := func(oh, ow int) int { return oh*s.StrideH*g.padded + ow*s.StrideW*s.C }
	size := windows * s.O
	r := &Routes{
		windows: make([]routePlace, windows), values: make([]float32, size, size+routeSlack),
		winners: make([]SparseTerm, size), outputs: make([]SparseGroup, s.O), Bias: make([]float64, s.O),
	}
	r.x, r.dx, r.next = p.tapPlaces(x), p.tapPlaces(dx), int32(x(0, p.StrideW))
	for i := range r.windows {
		oh, ow := i/p.OW*p.StrideH-p.PadTop, i%p.OW*p.StrideW-p.PadLeft
		r.windows[i] = routePlace{int32(x(oh, ow)), int32(dx(oh, ow))}
	}
	for o := range r.outputs {
		r.outputs[o] = SparseGroup{int32(o * s.KH * g.step), int32(o), int32(windows)}
	}
	if input {
		r.toInput = make([]SparseTerm, size, size+routeSlack)
		if g.patch.whole {
			size := s.O * g.patch.rows * g.patch.step
			r.dx = p.tapPlaces(func(h, w int) int { return (h*p.KW + w) * size })
			for i, at := range r.windows {
				r.patches = append(r.patches, SparseGroup{at.dx, int32(i * s.O), int32(s.O)})
			}
		} else {
			r.patches = make([]SparseGroup, 0, windows*min(s.O, p.KH*p.KW))
			r.weights, r.counts = make([]int32, s.O, s.O+routeSlack), make([]int32, p.OW*p.KH*p.KW)
			for o := range r.weights {
				r.weights[o] = int32(o * g.step)
			}
		}
		r.image = make([]float32, g.imageSize())
	}
	return r
}

// Route finds the routes of image n of dy, the gradient of the pool's output, by the index of
// [PoolShape.Max]. pass, unless nil, are its bits, in rows of BitBytes(OW·O) bytes: where one is 0 no gradient
// passes.
func (g *PooledGradient) Route(r *Routes, dy []float32, dyl Layout, index, pass []uint8, n int) {
	p, outputs := &g.pool, g.conv.O
	row, patch := p.OW*outputs, g.patch.rows*g.patch.step
	index = index[n*len(r.values):]
	if !g.patch.whole {
		r.patches = r.patches[:0]
	}
	for oh := range p.OH {
		at := oh * row
		values, won, first := r.values[at:][:row], index[at:][:row], r.windows[oh*p.OW]
		if d := dy[dyl.Row(n, oh):][:row]; pass == nil {
			copy(values, d)
		} else {
			SelectBits(values, d, pass[oh*BitBytes(row):], false)
		}
		placeTerms(r.winners[at:][:row], values, won, outputs, &r.x, progression{first: first.x, next: r.next})
		switch {
		case r.toInput == nil:
		case g.patch.whole:
			placeTerms(r.toInput[at:][:row], values, won, outputs, &r.dx, progression{step: int32(patch)})
		default:
			sortTaps(r.toInput[at:][:row], r.weights, values, won, outputs, r.counts, r.dx.taps)
			r.addPatches(oh*p.OW, at)
		}
	}
	clear(r.Bias)
	ChannelSums(r.Bias, r.values, Dense(1, 1, len(r.windows), outputs), 0, 1)
}

// addPatches adds the pixels that won the windows of a row, which begin with window w, whose terms begin at next.
func (r *Routes) addPatches(w, next int) {
	for i := 0; i < len(r.counts); i += r.dx.taps {
		for tap, n := range r.counts[i:][:r.dx.taps] {
			if n > 0 {
				r.patches = append(r.patches, SparseGroup{r.windows[w].dx + r.dx.of[tap], int32(next), n})
				next += int(n)
			}
		}
		w++
	}
}

// Weight computes the gradient of the weight for image n into sums, or adds it to them, in the
// order [O][KH][KW·C] of whole vectors. Behind the last element of x there is room for 7 more, which are read.
func (g *PooledGradient) Weight(sums, x []float32, xl Layout, r *Routes, n int, add bool) {
	s := &g.conv
	sums = sums[:g.WeightSize()]
	if !add {
		clear(sums)
	}
	p := SparseProduct{Rows: s.KH, Width: g.step, Dst: sums, DstStep: g.step, Src: x[xl.At(n, -s.PadTop, -s.PadLeft, 0):cap(x)], SrcStep: s.DilH * xl.SH,
		Groups: r.outputs, Terms: r.winners, TermStep: s.O}
	p.Run()
}

// UnpackWeightGrad brings sums of Weight into dst [O C KH KW], or adds them to it. It moves the sums.
func (g *PooledGradient) UnpackWeightGrad(dst, sums []float32, add bool) {
	s := &g.conv
	size := s.KH * g.row
	for o := range s.O {
		kernel := sums[o*s.KH*g.step:][:s.KH*g.step]
		for kh := 1; kh < s.KH; kh++ {
			copy(kernel[kh*g.row:], kernel[kh*g.step:][:g.row])
		}
		if d := dst[o*size:][:size]; add {
			addColumns(d, kernel[:size], s.C, 1, s.KH*s.KW)
		} else {
			unpackColumns(d, kernel[:size], s.C, 1, s.KH*s.KW)
		}
	}
}

// Input computes the gradient of image n of the input, or adds it to dx. packed comes from PackPanel.
func (g *PooledGradient) Input(dx []float32, dxl Layout, r *Routes, packed []float32, n int, add bool) {
	s := &g.conv
	clear(r.image)
	p := SparseProduct{Rows: s.KH, Width: g.step, Dst: r.image, DstStep: s.DilH * g.padded, Src: packed[:g.Size()], SrcStep: s.O * g.step,
		Groups: r.patches, Terms: r.toInput, TermStep: 1}
	if t := &g.patch; t.whole {
		p.Rows, p.Width, p.SrcStep, p.DstStep = t.rows, t.step, t.step, g.padded
	}
	p.Run()
	for h := range s.H {
		row := dx[dxl.Row(n, h):][:s.W*s.C]
		from := r.image[(s.PadTop+h)*g.padded+s.PadLeft*s.C:][:len(row)]
		if add {
			Add(row, row, from)
		} else {
			copy(row, from)
		}
	}
}

// time estimates what the gradients of an image take, in sixths of a cycle like tileTime: a vector of a term takes a
// cycle in either direction, a term five beside these and a window a hundred.
func (g *PooledGradient) time() int {
	windows := g.pool.OH * g.pool.OW
	return windows * (600 + g.conv.O*(30+12*g.conv.KH*g.step/sparseVector))
}

// denseTime estimates the same for the gradient with its zeros, four cycles of which bring a value to its place.
func (g *PooledGradient) denseTime() int {
	s := &g.conv
	in := s.InputGradient()
	m, n := g.row, s.O
	if s.outputsFirst() {
		m, n = n, m
	}
	return g.pool.OH*g.pool.OW*s.O*24 + s.KH*tileTime(m, n, s.OH*s.OW) + s.KH*s.OH*in.time()
}
