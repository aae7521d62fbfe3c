package kernels

import "fmt"

// A Winograd computes a convolution of stride 1 by the algorithm F(4×4, 3×3), which takes 36
// multiplications for 4×4 pixels and 3×3 taps instead of 144 (Lavin and Gray, Fast Algorithms for Convolutional
// Neural Networks, 2015):
//
//	y = Aᵀ·[(G·g·Gᵀ) ⊙ (Bᵀ·x·B)]·A + bias
//
// for every tile of 6×6 pixels x and every kernel g, where the products of the 36 points are summed
// over the channels before Aᵀ and A: they are 36 matrix products of tiles × C × O. The matrices evaluate
// polynomials at 0, ±a, ±b and ∞:
//
//	     ⎡a²b²   0   −a²−b²   0    1  0⎤
//	     ⎢ 0   −ab²   −b²     a    1  0⎥        ⎡1/n₀    0      0  ⎤         ⎡1  1   1   1   1  0⎤
//	Bᵀ = ⎢ 0    ab²   −b²    −a    1  0⎥    G = ⎢1/nₐ  ±a/nₐ  a²/nₐ⎥    Aᵀ = ⎢0  a  −a   b  −b  0⎥
//	     ⎢ 0   −a²b   −a²     b    1  0⎥        ⎢1/nᵦ  ±b/nᵦ  b²/nᵦ⎥         ⎢0  a²  a²  b²  b² 0⎥
//	     ⎢ 0    a²b   −a²    −b    1  0⎥        ⎣ 0      0      1  ⎦         ⎣0  a³ −a³  b³ −b³ 1⎦
//	     ⎣ 0   a²b²    0  −a²−b²   0  1⎦
//
// with n₀ = a²b², nₐ = 2a²·(a²−b²) and nᵦ = 2b²·(b²−a²), where rows of G with ± are two. With the usual points, 1 and 2, results are five times
// as far off as those of the direct sum; with a = 5/8 and b = 3/2, whose powers are exact in binary too, about
// twice (after Barabasz et al., Error Analysis and Improving the Accuracy of Winograd Convolution for Deep
// Neural Networks, 2020). docs/tolerances.md has the bound.
//
// Tiles begin at rows and columns of the result that are multiples of four, whatever part of it is computed, so
// that neither the split of the work nor the batch changes a bit.
//
// A larger kernel is cut into parts of 3×3, with zeros where there is no tap. Each part has channels of its own, whose
// pixels lie three rows or columns further on; their products add up before the one transform of all.
//
// With a dilation, pixels that lie that far apart are an image of their own, and the groups of channels are convolutions of
// their own.
//
// The gradient of the input is such a convolution of the gradient of the output, with the
// kernels rotated and their channels exchanged.
type Winograd struct {
	Groups          int
	C, O            int // channels of a group that are read and written
	KH, KW          int // of the kernel
	DilH, DilW      int
	OH, OW          int // extents of what is written
	PadTop, PadLeft int // pixel (h, w) reads from (h−PadTop, w−PadLeft) on
	rotated         bool
}

const (
	winogradTile = 4 // pixels of a row and of a column of a tile
	tileWindow   = 6 // pixels of a row and of a column that a tile reads; as many points
	tilePoints   = tileWindow * tileWindow
	tilePixels   = winogradTile * winogradTile
	// A kernel, or a part of one, has 3×3 taps.
	winogradKernel = 3
	kernelTaps     = winogradKernel * winogradKernel
	// lineFloats is what a line of a cache holds. Points lie an odd number of lines apart, or
	// nearly so: the 36 of a tile would share few places in the cache if these were powers of two.
	lineFloats = 16
)

// tilesOf returns the tiles of n pixels.
func tilesOf(n int) int { return (n + winogradTile - 1) / winogradTile }

// partsOf returns the parts of a row or a column of n taps.
func partsOf(n int) int { return (n + winogradKernel - 1) / winogradKernel }

// parts returns the number of parts of the kernel.
func (k *Winograd) parts() int { return partsOf(k.KH) * partsOf(k.KW) }

// firstTap returns the row and the column where a part begins.
func (k *Winograd) firstTap(part int) (h, w int) {
	return part / partsOf(k.KW) * winogradKernel, part % partsOf(k.KW) * winogradKernel
}

// wide returns the columns of taps of all parts, those that the kernel does not have included.
func (k *Winograd) wide() int { return winogradKernel * partsOf(k.KW) }

// depth returns the channels of all parts.
func (k *Winograd) depth() int { return k.parts() * k.C }

// WinogradForward returns what computes the convolution by tiles, if that is possible and faster
// than Forward.
func (s *ConvShape) WinogradForward() (k Winograd, ok bool) {
	cg, og := s.groups()
	k = Winograd{Groups: s.Groups, C: cg, O: og, KH: s.KH, KW: s.KW, DilH: s.DilH, DilW: s.DilW,
		OH: s.OH, OW: s.OW, PadTop: s.PadTop, PadLeft: s.PadLeft}
	return k, s.StrideH == 1 && s.StrideW == 1 && k.pays()
}

// WinogradBackward returns what computes the gradient of the input by tiles, if that is possible
// and faster than InputGradient. It wants the border of dy that InputGradient has.
func (s *ConvShape) WinogradBackward() (k Winograd, ok bool) {
	k, ok = s.WinogradForward()
	k.C, k.O, k.OH, k.OW, k.rotated = k.O, k.C, s.H, s.W, true
	k.PadTop, k.PadLeft = (s.KH-1)*s.DilH-s.PadTop, (s.KW-1)*s.DilW-s.PadLeft
	return k, ok
}

// byTiles reports whether Winograd can compute s, and should.
func (s *ConvShape) byTiles() bool {
	_, ok := s.WinogradForward()
	return ok
}

// pays reports whether tiles are possible and faster: transforms take about as long as so many multiplications for
// each channel of a tile, and tiles at the edge of small images are mostly empty.
func (k *Winograd) pays() bool {
	if min(k.KH, k.KW) < winogradKernel || min(k.C, k.O) < 16 || k.C%8 != 0 || k.O%8 != 0 {
		return false
	}
	const input, output = 200, 150
	tiles := 0
	for i := range k.phases() {
		phase := k.phase(i)
		tiles += phase.all(phase.OH)
	}
	tile := tilePoints*k.depth()*k.O + input*k.depth() + output*k.O
	return tiles*tile < k.KH*k.KW*k.OH*k.OW*k.C*k.O
}

// phases returns the number of images that a dilation makes of one.
func (k *Winograd) phases() int { return k.DilH * k.DilW }

// phase returns one group of the convolution of phase i, whose pixel (h, w) reads from (h, w) on.
func (k *Winograd) phase(i int) Winograd {
	p := *k
	h, w := k.start(i)
	p.OH, p.OW = (k.OH-h+k.DilH-1)/k.DilH, (k.OW-w+k.DilW-1)/k.DilW
	p.Groups, p.DilH, p.DilW, p.PadTop, p.PadLeft = 1, 1, 1, 0, 0
	return p
}

// start returns the first pixel of phase i.
func (k *Winograd) start(i int) (h, w int) { return i / k.DilW, i % k.DilW }

// lattice returns the layout of the pixels of a phase and the channels of a group, from pixel (h, w) and channel c on.
func (k *Winograd) lattice(l Layout, h, w, c int) Layout {
	l.Off += h*l.SH + w*l.SW + c
	l.SH, l.SW = k.DilH*l.SH, k.DilW*l.SW
	return l
}

// lattices returns the layouts of what phase i of a group reads and writes.
func (k *Winograd) lattices(yl, xl Layout, i, group int) (y, x Layout) {
	h, w := k.start(i)
	return k.lattice(yl, h, w, group*k.O), k.lattice(xl, h-k.PadTop, w-k.PadLeft, group*k.C)
}

// Size returns the length of the packed weights, with room for their taps.
func (k *Winograd) Size() int { return k.Groups * k.groupSize() }

func (k *Winograd) groupSize() int {
	return (tilePoints + kernelTaps) * k.depth() * panelColumns(k.O)
}

// Pack transforms the weights w [O C KH KW] of the convolution, [group][panel][point][part][c][column].
func (k *Winograd) Pack(dst, w []float32) {
	for i := range k.Panels() {
		k.PackPanel(dst, w, i)
	}
}

// Panels returns how many panels the packed weights have.
func (k *Winograd) Panels() int { return k.Groups * panels(k.O) }

// PackPanel does the part of Pack that panel i needs.
func (k *Winograd) PackPanel(dst, w []float32, i int) {
	group, j := i/panels(k.O), i%panels(k.O)*panelWidth
	dst, w = dst[group*k.groupSize():], w[group*k.O*k.C*k.KH*k.KW:]
	width := panel(j, k.O)
	columns, depth := min(width, k.O-j), k.depth()
	u := dst[tilePoints*depth*j:][:tilePoints*depth*width]
	g := dst[depth*(tilePoints*panelColumns(k.O)+kernelTaps*j):][:kernelTaps*depth*width]
	k.packTaps(g, w, j, width, columns)
	plane, wide := k.C*width, k.wide()
	for part := range k.parts() {
		h, w := k.firstTap(part)
		spreadWeights(u[part*plane:], g[(h*wide+w)*plane:], plane, depth*width, plane, wide*plane)
	}
}

// packTaps brings the taps of the columns from j on into planes [c][column], row by row, with planes of zeros where
// the last parts of the kernel have no tap.
func (k *Winograd) packTaps(g, w []float32, j, width, columns int) {
	taps, plane := k.KH*k.KW, k.C*width
	if columns < width {
		clear(g)
	}
	if k.rotated {
		b := tapBlock{columns: columns, width: width, outputs: k.C, step: k.O * taps, taps: taps}
		for first := 0; first < taps; first += b.n {
			b.n = min(len(b.to), taps-first)
			for i := range b.n {
				b.to[i] = (taps - 1 - first - i) * plane
			}
			packTapBlock(g, w[j*taps+first:], b)
		}
	} else {
		packColumns(g, w[j*k.C*taps:], width, columns, k.C, taps)
	}
	if k.parts() == 1 {
		return
	}
	wide := k.wide()
	for i := kernelTaps*k.parts() - 1; i >= 0; i-- {
		to, h, w := g[i*plane:][:plane], i/wide, i%wide
		if h < k.KH && w < k.KW {
			copy(to, g[(h*k.KW+w)*plane:])
		} else {
			clear(to)
		}
	}
}

// all returns the number of tiles of some rows.
func (k *Winograd) all(rows int) int { return tilesOf(rows) * tilesOf(k.OW) }

// tiles returns how many tiles go through the products together: as many as fit into the second-level cache next to the
// weights, and about the same number each time. The products take six rows at a time.
func (k *Winograd) tiles() int {
	const room, rows = 24 << 10, 6
	all := k.all(k.OH)
	most := max(room/(tilePoints*(k.depth()+k.O)), rows)
	times := (all + most - 1) / most
	return min(ceil((all+times-1)/times, rows), all)
}

// pointLen returns the elements from one point to the next for tiles of some channels.
func pointLen(tiles, channels int) int { return tiles*channels + lineFloats }

// A tileRoom is where tiles are transformed.
type tileRoom struct {
	in, out       []float32 // the points of the channels read and written
	inPoint       int       // from one point to the next
	outPoint      int
	window, pixel []float32 // of one tile at an edge, as it is read and written
}

// roomLen returns the length of the scratch for some tiles.
func (k *Winograd) roomLen(tiles int) int {
	return tilePoints*(pointLen(tiles, k.depth())+pointLen(tiles, k.O)) + tilePoints*k.C + tilePixels*k.O
}

func (k *Winograd) room(scratch []float32, tiles int) (r tileRoom) {
	take := func(n int) (part []float32) {
		part, scratch = scratch[:n:n], scratch[n:]
		return part
	}
	r.inPoint, r.outPoint = pointLen(tiles, k.depth()), pointLen(tiles, k.O)
	r.window, r.pixel = take(tilePoints*k.C), take(tilePixels*k.O)
	r.in, r.out = take(tilePoints*r.inPoint), take(tilePoints*r.outPoint)
	return r
}

// ScratchLen returns the length of the scratch of Rows.
func (k *Winograd) ScratchLen() int {
	n := 0
	for i := range k.phases() {
		p := k.phase(i)
		n = max(n, p.roomLen(p.tiles()))
	}
	return n
}

// Rows computes rows oh0 to oh1−1 of image n of y from x, or adds them to y. oh0 is a multiple of four; oh1 is one
// or OH. packed comes from Pack; bias may be nil; x has a border of zeros as wide as the kernel reaches; scratch
// has ScratchLen elements. The border of y is left alone.
func (k *Winograd) Rows(y []float32, yl Layout, x []float32, xl Layout, packed, bias, scratch []float32, n, oh0, oh1 int, add bool) {
	k.check(y, yl, x, xl, n, oh0, oh1)
	for group := range k.Groups {
		own := bias
		if bias != nil {
			own = bias[group*k.O:][:k.O]
		}
		for i := range k.phases() {
			p, h := k.phase(i), i/k.DilW
			yl, xl := k.lattices(yl, xl, i, group)
			p.phaseRows(y, yl, x, xl, packed[group*k.groupSize():], own, scratch, n, (oh0-h+k.DilH-1)/k.DilH, (oh1-h+k.DilH-1)/k.DilH, add)
		}
	}
}

// phaseRows is Rows for a phase of a group. Rows may begin and end inside a tile.
func (k *Winograd) phaseRows(y []float32, yl Layout, x []float32, xl Layout, packed, bias, scratch []float32, n, h0, h1 int, add bool) {
	if h0 >= h1 {
		return
	}
	all, most := k.all(h1-h0&^(winogradTile-1)), k.tiles()
	for first := 0; first < all; first += most {
		tiles := min(most, all-first)
		room := k.room(scratch, tiles)
		k.eachRun(first, tiles, h0, h1, func(r tileRun) { k.spread(&room, x, xl, n, r) })
		k.multiply(&room, packed, tiles)
		k.eachRun(first, tiles, h0, h1, func(r tileRun) { k.gather(&room, y, yl, bias, n, r, add) })
	}
}

// spread transforms what the tiles of a run read of image n, for each part of the kernel.
func (k *Winograd) spread(room *tileRoom, x []float32, xl Layout, n int, r tileRun) {
	depth := k.depth()
	for part := range k.parts() {
		h, w := k.firstTap(part)
		h, w = r.h+h, r.w+w
		dst, x := room.in[r.first*depth+part*k.C:], x[xl.At(n, h, w, 0):]
		below, right := k.OH-1+k.KH-h, k.OW-1+k.KW-w // pixels from here on
		s := spreading{channels: k.C, point: room.inPoint, tile: depth, row: xl.SH, pixel: xl.SW}
		if below >= tileWindow && right >= tileWindow {
			s.tiles = min((right-tileWindow)/winogradTile+1, r.tiles)
			spreadTiles(dst, x, s)
		}
		one, l := s.alone(tileWindow)
		for t := s.tiles; t < r.tiles; t++ { // what lies beyond meets zeros or counts for no pixel
			at := t * winogradTile
			copyPixels(room.window, l, x[at*xl.SW:], xl, min(below, tileWindow), min(right-at, tileWindow), true)
			spreadTiles(dst[t*depth:], room.window, one)
		}
	}
}

// gather transforms the products of the tiles of a run into pixels of image n.
func (k *Winograd) gather(room *tileRoom, y []float32, yl Layout, bias []float32, n int, r tileRun, add bool) {
	m, y := room.out[r.first*k.O:], y[yl.At(n, r.h, r.w, 0):]
	s := spreading{tiles: r.tiles, channels: k.O, point: room.outPoint, tile: k.O, row: yl.SH, pixel: yl.SW}
	if r.whole() {
		gatherTiles(y, m, bias, s, add)
		return
	}
	one, l := s.alone(winogradTile)
	for t := range r.tiles {
		tile, pixel := y[t*winogradTile*yl.SW+r.skip*yl.SH:], room.pixel[r.skip*l.SH:]
		if add {
			copyPixels(pixel, l, tile, yl, r.rows-r.skip, r.cols, true)
		}
		gatherTiles(room.pixel, m[t*k.O:], bias, one, add)
		copyPixels(tile, yl, pixel, l, r.rows-r.skip, r.cols, false)
	}
}

// copyPixels copies rows × columns pixels from the front of src to that of dst. With clears it clears all of dst first.
func copyPixels(dst []float32, dl Layout, src []float32, sl Layout, rows, columns int, clears bool) {
	channels := min(dl.C, sl.C) // one of them has those of a group, the other those of all
	if clears {
		clear(dst)
	}
	for h := range rows {
		for w := range columns {
			copy(dst[h*dl.SH+w*dl.SW:][:channels], src[h*sl.SH+w*sl.SW:])
		}
	}
}

// check makes sure that no index leaves its slice.
func (k *Winograd) check(y []float32, yl Layout, x []float32, xl Layout, n, oh0, oh1 int) {
	imageRange("winograd", n, n+1, yl, xl)
	if oh0 < 0 || oh1 > k.OH || oh0%winogradTile != 0 || oh1%winogradTile != 0 && oh1 != k.OH {
		panic(fmt.Sprintf("kernels: winograd: rows %d to %d of %d", oh0, oh1, k.OH))
	}
	for _, t := range []struct {
		name        string
		data        []float32
		first, last int
	}{
		{"x", x, xl.At(n, oh0-k.PadTop, -k.PadLeft, 0), xl.At(n, oh1-1+(k.KH-1)*k.DilH-k.PadTop, k.OW-1+(k.KW-1)*k.DilW-k.PadLeft, k.Groups*k.C-1)},
		{"y", y, yl.At(n, oh0, 0, 0), yl.At(n, oh1-1, k.OW-1, k.Groups*k.O-1)},
	} {
		if t.first < 0 || t.last >= len(t.data) {
			panic(fmt.Sprintf("kernels: winograd: elements %d to %d of %s, which has %d", t.first, t.last, t.name, len(t.data)))
		}
	}
}

// multiply computes the products of each point: those of tiles tiles with the weights.
func (k *Winograd) multiply(room *tileRoom, packed []float32, tiles int) {
	var zero [1]int
	g := GEMM{M: tiles, K: k.depth(), AOff: zero[:], BOff: zero[:], RS: k.depth(), CS: 1, LDC: k.O}
	for j := 0; j < k.O; j += panelWidth {
		g.BS = panel(j, k.O)
		g.N = min(g.BS, k.O-j)
		g.A, g.B, g.C = room.in, packed, room.out[j:]
		g.RunEach(tilePoints, room.inPoint, k.depth()*g.BS, room.outPoint)
		packed = packed[tilePoints*k.depth()*g.BS:]
	}
}

// A tileRun is a number of neighbouring tiles of one row of tiles.
type tileRun struct {
	first      int // place among the tiles that go together
	tiles      int
	h, w       int // first pixel of the first tile
	rows, cols int // pixels of a tile; fewer than 4 at an edge
	skip       int // of the rows, those that are computed elsewhere
}

// eachRun calls f for the runs of tiles from first to end−1, counted through rows of wide tiles and
// rows×cols output pixels.
func eachRun(first, end, wide, rows, cols int, f func(r tileRun)) {
	whole := cols / winogradTile
	h, w := first/wide, first%wide
	for i := first; i < end; {
		r := tileRun{first: i - first, tiles: 1, h: h * winogradTile, w: w * winogradTile}
		r.rows, r.cols = min(winogradTile, rows-r.h), min(winogradTile, cols-r.w)
		if w < whole {
			r.tiles = min(whole-w, end-i)
		}
		f(r)
		i += r.tiles
		if w += r.tiles; w == wide {
			h, w = h+1, 0
		}
	}
}

// whole reports whether the tiles have all their pixels.
func (r tileRun) whole() bool {
	return r.rows == winogradTile && r.cols == winogradTile && r.skip == 0
}

// eachRun calls f for the runs of so many tiles from first on, counted from the tile of row h0 on, for rows h0 to h1−1.
func (k *Winograd) eachRun(first, tiles, h0, h1 int, f func(r tileRun)) {
	top := h0 &^ (winogradTile - 1)
	eachRun(first, first+tiles, tilesOf(k.OW), h1-top, k.OW, func(r tileRun) {
		r.h += top
		r.skip = max(h0-r.h, 0)
		f(r)
	})
}
