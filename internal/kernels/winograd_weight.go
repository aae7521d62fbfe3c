package kernels

// A WinogradWeight computes the gradient of the weights of a convolution that [Winograd] computes, by the
// same tiles and parts of the kernel:
//
//	dg = Gᵀ·[Σ (Bᵀ·x·B) ⊙ (A·dy·Aᵀ)]·G
//
// over all tiles x of 6×6 pixels and dy of 4×4. The sums are 36 matrix products of parts·C × tiles × O, and
// Gᵀ and G follow when all are complete. Tiles are taken in order, image by image.
type WinogradWeight struct {
	Winograd
}

// WinogradWeight returns what computes the gradient of the weights by tiles, if that is possible and faster
// than BackwardWeight.
func (s *ConvShape) WinogradWeight() (k WinogradWeight, ok bool) {
	forward, ok := s.WinogradForward()
	return WinogradWeight{forward}, ok
}

// Size returns the length of the sums, [group][point][part][C][O].
func (k *WinogradWeight) Size() int { return k.Groups * k.groupSums() }

func (k *WinogradWeight) groupSums() int { return tilePoints * k.depth() * k.O }

// most returns how many tiles are multiplied at once. With few of them, adding to the sums would take longer than
// the products; with more than this, reading them does.
func (k *WinogradWeight) most() int {
	return max(k.tiles(), min(k.depth()*k.O/(k.depth()+k.O), 64))
}

// ScratchLen returns the length of the scratch of a WeightSum.
func (k *WinogradWeight) ScratchLen() int { return k.roomLen(k.most()) }

// A WeightSum adds up what some images contribute to the sums.
type WeightSum struct {
	k     *WinogradWeight
	sums  []float32
	room  tileRoom
	tiles int  // that wait for their product
	add   bool // there are sums
}

// Begin returns an empty sum, for the first Size elements of sums. scratch has ScratchLen elements, and belongs to the sum up to
// its End.
func (k *WinogradWeight) Begin(sums, scratch []float32) WeightSum {
	return WeightSum{k: k, sums: sums[:k.Size()], room: k.room(scratch, k.most())}
}

// Image takes in image n. With groups, no tile waits for the next image.
func (s *WeightSum) Image(x []float32, xl Layout, dy []float32, dyl Layout, n int) {
	k := s.k
	k.check(dy, dyl, x, xl, n, 0, k.OH)
	if k.Groups == 1 {
		s.group(0, x, xl, dy, dyl, n)
		return
	}
	for i := range k.Groups {
		sum := WeightSum{k: k, sums: s.sums[i*k.groupSums():], room: s.room, add: s.add}
		sum.group(i, x, xl, dy, dyl, n)
		sum.End()
	}
	s.add = true
}

// group takes in a group of image n.
func (s *WeightSum) group(group int, x []float32, xl Layout, dy []float32, dyl Layout, n int) {
	for i := range s.k.phases() {
		p := s.k.phase(i)
		dyl, xl := s.k.lattices(dyl, xl, i, group)
		s.phase(&p, x, xl, dy, dyl, n)
	}
}

// phase takes in a phase of image n.
func (s *WeightSum) phase(k *Winograd, x []float32, xl Layout, dy []float32, dyl Layout, n int) {
	all, most := k.all(k.OH), s.k.most()
	for first := 0; first < all; {
		tiles := min(most-s.tiles, all-first)
		k.eachRun(first, tiles, 0, k.OH, func(r tileRun) {
			r.first += s.tiles
			k.spread(&s.room, x, xl, n, r)
			k.spreadGradient(&s.room, dy, dyl, n, r)
		})
		first += tiles
		if s.tiles += tiles; s.tiles == most {
			s.multiply()
		}
	}
}

// End completes the sums.
func (s *WeightSum) End() {
	if s.tiles > 0 {
		s.multiply()
	}
}

// multiply adds the products of the tiles that wait.
func (s *WeightSum) multiply() {
	var zero [1]int
	k := s.k
	g := GEMM{M: k.depth(), N: k.O, K: s.tiles, AOff: zero[:], BOff: zero[:], A: s.room.in, RS: 1, CS: k.depth(), B: s.room.out, BS: k.O, C: s.sums, LDC: k.O, Add: s.add}
	g.RunEach(tilePoints, s.room.inPoint, s.room.outPoint, k.depth()*k.O)
	s.tiles, s.add = 0, true
}

// spreadGradient transforms the gradients of the pixels of a run. Those that do not exist are zero.
func (k *Winograd) spreadGradient(room *tileRoom, dy []float32, dyl Layout, n int, r tileRun) {
	dst, dy := room.out[r.first*k.O:], dy[dyl.At(n, r.h, r.w, 0):]
	s := spreading{tiles: r.tiles, channels: k.O, point: room.outPoint, tile: k.O, row: dyl.SH, pixel: dyl.SW}
	if r.whole() {
		spreadGradients(dst, dy, s)
		return
	}
	one, l := s.alone(winogradTile)
	for t := range r.tiles {
		copyPixels(room.pixel, l, dy[t*winogradTile*dyl.SW:], dyl, r.rows, r.cols, true)
		spreadGradients(dst[t*k.O:], room.pixel, one)
	}
}

// Finish computes the gradient of the weights from the sums, in the order of [ConvShape.BackwardWeight]. It uses
// the memory of the sums, a part of which it returns.
func (k *WinogradWeight) Finish(sums []float32) []float32 {
	n := k.KH * k.KW * k.C * k.O
	if k.Groups == 1 {
		return k.finish(sums)[:n]
	}
	for group := range k.Groups {
		copy(sums[group*n:(group+1)*n], k.finish(sums[group*k.groupSums():]))
	}
	return sums[:k.Groups*n]
}

// finish is Finish for a group.
func (k *WinogradWeight) finish(sums []float32) []float32 {
	n, plane := k.C*k.O, k.depth()*k.O
	for part := range k.parts() {
		gatherWeights(sums[part*n:], n, plane)
	}
	if k.parts() == 1 {
		return sums
	}
	taps := sums[kernelTaps*plane:] // what lies there has been used
	for i := range k.KH * k.KW {
		h, w := i/k.KW, i%k.KW
		part := h/winogradKernel*partsOf(k.KW) + w/winogradKernel
		at := (h%winogradKernel*winogradKernel+w%winogradKernel)*plane + part*n
		copy(taps[i*n:(i+1)*n], sums[at:])
	}
	return taps
}
