package kernels

import "fmt"

// A Winograd computes a 3×3 convolution of stride 1 by the algorithm F(2×2, 3×3), which takes 16
// multiplications for 2×2 pixels instead of 36 (Lavin and Gray, Fast Algorithms for Convolutional
// Neural Networks, 2015):
//
//	y = Aᵀ·[(G·g·Gᵀ) ⊙ (Bᵀ·x·B)]·A + bias
//
//	     ⎡1  0 −1  0⎤        ⎡1  0  0⎤
//	Bᵀ = ⎢0  1  1  0⎥    G = ⎢½  ½  ½⎥    Aᵀ = ⎡1  1  1  0⎤
//	     ⎢0 −1  1  0⎥        ⎢½ −½  ½⎥         ⎣0  1 −1 −1⎦
//	     ⎣0  1  0 −1⎦        ⎣0  0  1⎦
//
// for every tile of 4×4 pixels x and every kernel g, where the products of the 16 points are summed
// over the channels before Aᵀ and A: they are 16 matrix products of tiles × C × O. Tiles begin
// at even rows and columns of the result, whatever part of it is computed, so that neither the
// split of the work nor the batch changes a bit. Results differ from those of the direct sum by
// rounding (docs/tolerances.md).
//
// The gradient of the input is such a convolution of the gradient of the output, with the
// kernels rotated and their channels exchanged.
type Winograd struct {
	C, O            int // channels read and written
	OH, OW          int // extents of what is written
	PadTop, PadLeft int // pixel (h, w) reads from (h−PadTop, w−PadLeft) on
	rotated         bool
}

const (
	tilePoints = 16 // places of a transformed tile
	kernelTaps = 9
	// lineFloats is what a line of a cache holds. Points lie an odd number of lines apart, or
	// nearly so: the 16 of a tile would share few places in the cache if these were powers of two.
	lineFloats = 16
)

// WinogradForward returns what computes the convolution by tiles, if that is possible and faster
// than Forward.
func (s *ConvShape) WinogradForward() (k Winograd, ok bool) {
	k = Winograd{C: s.C, O: s.O, OH: s.OH, OW: s.OW, PadTop: s.PadTop, PadLeft: s.PadLeft}
	return k, s.byTiles()
}

// WinogradBackward returns what computes the gradient of the input by tiles, if that is possible
// and faster than InputGradient. It wants the border of dy that InputGradient has.
func (s *ConvShape) WinogradBackward() (k Winograd, ok bool) {
	k = Winograd{C: s.O, O: s.C, OH: s.H, OW: s.W, PadTop: 2 - s.PadTop, PadLeft: 2 - s.PadLeft, rotated: true}
	return k, s.byTiles()
}

// byTiles reports whether Winograd can compute s, and should: below 16 channels the transforms
// cost what the products save.
func (s *ConvShape) byTiles() bool {
	return s.KH == 3 && s.KW == 3 && s.StrideH == 1 && s.StrideW == 1 && s.DilH == 1 && s.DilW == 1 && s.Groups == 1 &&
		min(s.C, s.O) >= 16 && s.C%8 == 0 && s.O%8 == 0
}

// Size returns the length of the packed weights.
func (k *Winograd) Size() int { return tilePoints * k.C * panelColumns(k.O) }

// Pack transforms the weights w [O C 3 3] of the convolution, [panel][point][c][column].
func (k *Winograd) Pack(dst, w []float32) {
	for i := range k.Panels() {
		k.PackPanel(dst, w, i)
	}
}

// Panels returns how many panels the packed weights have.
func (k *Winograd) Panels() int { return panels(k.O) }

// PackPanel does the part of Pack that panel i needs.
func (k *Winograd) PackPanel(dst, w []float32, i int) {
	j := i * panelWidth
	width := panel(j, k.O)
	columns, plane := min(width, k.O-j), k.C*width
	u := dst[tilePoints*k.C*j:][:tilePoints*plane]
	g := u[(tilePoints-kernelTaps)*plane:]
	if columns < width {
		clear(g)
	}
	if k.rotated {
		b := tapBlock{n: kernelTaps, columns: columns, width: width, outputs: k.C, step: k.O * kernelTaps, taps: kernelTaps}
		for i := range kernelTaps {
			b.to[i] = (kernelTaps - 1 - i) * plane
		}
		packTapBlock(g, w[j*kernelTaps:], b)
	} else {
		packColumns(g, w[j*k.C*kernelTaps:], width, columns, k.C, kernelTaps)
	}
	spreadWeights(u, g, plane)
}

// tiles returns how many tiles go through the products together: as many as fit into the
// second-level cache next to the weights, and about the same number each time.
func (k *Winograd) tiles() int {
	const room = 24 << 10
	all := (k.OH + 1) / 2 * ((k.OW + 1) / 2)
	most := max(room/(tilePoints*(k.C+k.O)), 6)
	times := (all + most - 1) / most
	return (all + times - 1) / times
}

// apart returns the elements from one point to the next for tiles of some channels.
func (k *Winograd) apart(tiles, channels int) int { return tiles*channels + lineFloats }

// ScratchLen returns the length of the scratch of Rows.
func (k *Winograd) ScratchLen() int {
	n := k.tiles()
	return tilePoints * (k.apart(n, k.C) + k.apart(n, k.O))
}

// Rows computes rows oh0, which is even, to oh1−1 of image n of y from x, or adds them to y. Only the last row of
// an image may end inside a tile: oh1 is even or OH. packed comes from Pack; bias may be nil; x
// has a border of zeros as wide as the kernel reaches; scratch has ScratchLen elements. The
// border of y is left alone.
func (k *Winograd) Rows(y []float32, yl Layout, x []float32, xl Layout, packed, bias, scratch []float32, n, oh0, oh1 int, add bool) {
	k.check(y, yl, x, xl, n, oh0, oh1)
	all, most := (oh1-oh0+1)/2*((k.OW+1)/2), k.tiles()
	for first := 0; first < all; first += most {
		tiles := min(most, all-first)
		inPoint, outPoint := k.apart(tiles, k.C), k.apart(tiles, k.O)
		k.eachRun(first, first+tiles, oh0, oh1, func(r run) {
			spreadTiles(scratch[r.first*k.C:], x[xl.At(n, r.h-k.PadTop, r.w-k.PadLeft, 0):], k.spreading(xl, r, inPoint))
		})
		products := scratch[tilePoints*inPoint:]
		k.multiply(products, scratch, packed, tiles, inPoint, outPoint)
		k.eachRun(first, first+tiles, oh0, oh1, func(r run) {
			t := gathering{tiles: r.tiles, channels: k.O, point: outPoint, row: yl.SH, pixel: yl.SW, add: add}
			if r.flat { // the first pixels are written over the others
				t.row = 0
			}
			if r.single {
				t.pixel = 0
			}
			gatherTiles(y[yl.At(n, r.h, r.w, 0):], products[r.first*k.O:], bias, t)
		})
	}
}

// spreading returns where the values of a run of tiles lie.
func (k *Winograd) spreading(xl Layout, r run, point int) spreading {
	t := spreading{tiles: r.tiles, channels: k.C, point: point, xTile: 2 * xl.SW, row: xl.SH, row3: 3 * xl.SH, column: xl.SW, column3: 3 * xl.SW}
	if r.flat { // they count for pixels that do not exist
		t.row3 = 2 * xl.SH
	}
	if r.single {
		t.column3 = 2 * xl.SW
	}
	return t
}

// check makes sure that no index leaves its slice.
func (k *Winograd) check(y []float32, yl Layout, x []float32, xl Layout, n, oh0, oh1 int) {
	imageRange("winograd", n, n+1, yl, xl)
	if oh0 < 0 || oh1 > k.OH || oh0%2 != 0 || oh1%2 != 0 && oh1 != k.OH {
		panic(fmt.Sprintf("kernels: winograd: rows %d to %d of %d", oh0, oh1, k.OH))
	}
	for _, t := range []struct {
		name        string
		data        []float32
		first, last int
	}{
		{"x", x, xl.At(n, oh0-k.PadTop, -k.PadLeft, 0), xl.At(n, oh1+1-k.PadTop, k.OW+1-k.PadLeft, k.C-1)},
		{"y", y, yl.At(n, oh0, 0, 0), yl.At(n, oh1-1, k.OW-1, k.O-1)},
	} {
		if t.first < 0 || t.last >= len(t.data) {
			panic(fmt.Sprintf("kernels: winograd: elements %d to %d of %s, which has %d", t.first, t.last, t.name, len(t.data)))
		}
	}
}

// multiply computes the products of each point: those of tiles tiles with the weights.
func (k *Winograd) multiply(products, values, packed []float32, tiles, inPoint, outPoint int) {
	var zero [1]int
	g := GEMM{M: tiles, K: k.C, AOff: zero[:], BOff: zero[:], RS: k.C, CS: 1, LDC: k.O}
	for j := 0; j < k.O; j += panelWidth {
		g.BS = panel(j, k.O)
		g.N = min(g.BS, k.O-j)
		g.A, g.B, g.C = values, packed, products[j:]
		g.RunEach(tilePoints, inPoint, k.C*g.BS, outPoint)
		packed = packed[tilePoints*k.C*g.BS:]
	}
}

// A run is a number of neighbouring tiles of one row of tiles.
type run struct {
	first  int // place among the tiles that go together
	tiles  int
	h, w   int  // first pixel of the first tile
	single bool // the tiles are one, and have one column of pixels
	flat   bool // the tiles have one row of pixels
}

// eachRun calls f for the runs of tiles from first to end−1 of rows oh0 to oh1−1. A tile at an
// odd end is a run of its own.
func (k *Winograd) eachRun(first, end, oh0, oh1 int, f func(r run)) {
	wide, whole := (k.OW+1)/2, k.OW/2
	for i := first; i < end; {
		r := run{first: i - first, h: oh0 + i/wide*2, w: i % wide * 2}
		r.flat = r.h+1 == oh1
		if i%wide == whole {
			r.tiles, r.single = 1, true
		} else {
			r.tiles = min(whole-i%wide, end-i)
		}
		f(r)
		i += r.tiles
	}
}
