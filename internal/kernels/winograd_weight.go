package kernels

// A WinogradWeight computes the gradient of the weights of a convolution that [Winograd] computes, by the
// same tiles:
//
//	dg = Gᵀ·[Σ (Bᵀ·x·B) ⊙ (A·dy·Aᵀ)]·G
//
// over all tiles x of 4×4 pixels and dy of 2×2. The sums are 16 matrix products of C × tiles × O, and
// Gᵀ and G follow when all are complete. Tiles are taken in order, image by image.
type WinogradWeight struct {
	Winograd
}

// WinogradWeight returns what computes the gradient of the weights by tiles, if that is possible and faster
// than BackwardWeight. Images of odd extents are left to that.
func (s *ConvShape) WinogradWeight() (k WinogradWeight, ok bool) {
	forward, ok := s.WinogradForward()
	return WinogradWeight{forward}, ok && s.OH%2 == 0 && s.OW%2 == 0
}

// Size returns the length of the sums, [point][C][O].
func (k *WinogradWeight) Size() int { return tilePoints * k.C * k.O }

// Image adds what image n contributes to the sums, or sets them to it.
func (k *WinogradWeight) Image(sums, x []float32, xl Layout, dy []float32, dyl Layout, scratch []float32, n int, add bool) {
	k.check(dy, dyl, x, xl, n, 0, k.OH)
	var zero [1]int
	g := GEMM{M: k.C, N: k.O, AOff: zero[:], BOff: zero[:], RS: 1, CS: k.C, BS: k.O, C: sums[:k.Size()], LDC: k.O, Add: add}
	all, most := k.OH/2*(k.OW/2), k.tiles()
	for first := 0; first < all; first += most {
		tiles := min(most, all-first)
		inPoint, outPoint := k.apart(tiles, k.C), k.apart(tiles, k.O)
		values, gradients := scratch[:tilePoints*inPoint], scratch[tilePoints*inPoint:]
		k.eachRun(first, first+tiles, 0, k.OH, func(r run) {
			spreadTiles(values[r.first*k.C:], x[xl.At(n, r.h-k.PadTop, r.w-k.PadLeft, 0):], k.spreading(xl, r, inPoint))
			t := gathering{tiles: r.tiles, channels: k.O, point: outPoint, row: dyl.SH, pixel: dyl.SW}
			spreadGradients(gradients[r.first*k.O:], dy[dyl.At(n, r.h, r.w, 0):], t)
		})
		g.K, g.A, g.B = tiles, values, gradients
		g.RunEach(tilePoints, inPoint, outPoint, k.C*k.O)
		g.Add = true
	}
}

// Finish computes the gradient of the weights from the sums, in the order of [ConvShape.BackwardWeight]. It uses
// the memory of the sums, whose front it returns.
func (k *WinogradWeight) Finish(sums []float32) []float32 {
	n := k.C * k.O
	gatherWeights(sums, n)
	return sums[:kernelTaps*n]
}

var (
	spreadGradients = spreadGradientsPortable
	gatherWeights   = gatherWeightsPortable
)

// spreadGradientsPortable computes dst[point][tile][c] = A·dy·Aᵀ for 2×2 pixels of each tile.
func spreadGradientsPortable(dst, dy []float32, g gathering) {
	for t := range g.tiles {
		for c := range g.channels {
			y := dy[2*t*g.pixel+c:]
			var b [4][2]float32 // A·dy
			for j := range 2 {
				b[0][j], b[1][j], b[2][j], b[3][j] = spreadPair(y[j*g.pixel], y[g.row+j*g.pixel])
			}
			for i, b := range b {
				d := dst[4*i*g.point+t*g.channels+c:]
				d[0], d[g.point], d[2*g.point], d[3*g.point] = spreadPair(b[0], b[1])
			}
		}
	}
}

// spreadPair multiplies by A.
func spreadPair(a, b float32) (float32, float32, float32, float32) { return a, a + b, a - b, 0 - b }

// gatherWeightsPortable computes Gᵀ·u·G for 16 planes of n elements, into the first nine of them.
func gatherWeightsPortable(u []float32, n int) {
	for i := range n {
		var b [3][4]float32 // Gᵀ·u
		for j := range 4 {
			b[0][j], b[1][j], b[2][j] = gatherTaps(u[j*n+i], u[(4+j)*n+i], u[(8+j)*n+i], u[(12+j)*n+i])
		}
		for j, b := range b {
			u[3*j*n+i], u[(3*j+1)*n+i], u[(3*j+2)*n+i] = gatherTaps(b[0], b[1], b[2], b[3])
		}
	}
}

// gatherTaps multiplies by Gᵀ.
func gatherTaps(a, b, c, d float32) (float32, float32, float32) {
	s, t := (b+c)*0.5, (b-c)*0.5
	return a + s, t, s + d
}
