//go:build amd64 && !purego

package kernels

import "unsafe"

// Winograd's convolution F(4×4, 3×3) computes 4×4 pixels from 6×6 codes with 36 products
// instead of 144 (Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2015):
//
//	y = Aᵀ·[(G·g·Gᵀ) ⊙ (Bᵀ·x·B)]·A
//
//	     ⎡4  0 −5  0  1  0⎤        ⎡ 1/4     0    0⎤
//	     ⎢0 −4 −4  1  1  0⎥        ⎢−1/6  −1/6 −1/6⎥         ⎡1  1  1  1  1  0⎤
//	Bᵀ = ⎢0  4 −4 −1  1  0⎥    G = ⎢−1/6   1/6 −1/6⎥    Aᵀ = ⎢0  1 −1  2 −2  0⎥
//	     ⎢0 −2 −1  2  1  0⎥        ⎢1/24  1/12  1/6⎥         ⎢0  1  1  4  4  0⎥
//	     ⎢0  2 −1 −2  1  0⎥        ⎢1/24 −1/12  1/6⎥         ⎣0  1 −1  8 −8  1⎦
//	     ⎣0  4  0 −5  0  1⎦        ⎣   0     0    1⎦
//
// On integers it is exact. The rows of G, times 4, 6, 6, 24, 24 and 1, are whole numbers; the columns
// of Aᵀ, times 24 over those, make up for it, so that rows and columns of pixels come out 24 times
// too large, or 12, 6 and 6 times where a row of Aᵀ is even. Transformed codes lie within ±12800 and
// transformed weights within ±6272, so both have 16 bits. The 36 products over the channels are those of
// pairForm, modulo 2^32, as is all that follows: a result r = 9·2^s·y with s ≤ 6. The
// product of r with the inverse of 9 modulo 2^32 is 2^s·y, and a shift gives y, exactly if
// y lies below 2^25. Therefore channels are summed in chunks that keep it there.

// winogradChannels is the largest number of channels, a multiple of 16, whose sum of codes times
// weights lies below 2^25: 9·112·128·255.
const winogradChannels = 112

const (
	winogradTile   = 4 // pixels of a row and of a column of a tile
	winogradWindow = winogradTile + 2
	winogradPoints = winogradWindow * winogradWindow // places of a transformed tile
)

// winograd reports whether winogradForm computes s: it does where it is faster than the other forms,
// also than narrowForm at any width.
func (s *IntConv) winograd() bool {
	return s.KH == 3 && s.KW == 3 && s.StrideH == 1 && s.StrideW == 1 && s.DilH == 1 && s.DilW == 1 && s.Groups == 1 &&
		s.C >= 16 && s.O >= 16 && s.O%8 == 0 && s.OH >= 3 && s.OW >= 3
}

// winogradChunk returns the channels of a chunk, a multiple of 16.
func (s *IntConv) winogradChunk() int {
	chunks := (s.C + winogradChannels - 1) / winogradChannels
	return ceil((s.C+chunks-1)/chunks, 16)
}

// eachChunk calls f for the chunks of channels, with their number rounded up to a multiple of 16.
func (s *IntConv) eachChunk(f func(c0, c1, c16 int)) {
	chunk := s.winogradChunk()
	for c := 0; c < s.C; c += chunk {
		end := min(c+chunk, s.C)
		f(c, end, ceil(end-c, 16))
	}
}

// winogradWeights returns the bytes of the packed weights.
func (s *IntConv) winogradWeights() int { return winogradPoints * ceil(s.C, 16) * s.O * 2 }

// winogradRoom is about the size of the scratch that suits the cache.
const winogradRoom = 80 << 10

// winogradTiles is the number of tiles that share the scratch.
func (s *IntConv) winogradTiles() int {
	fit := winogradRoom / (s.winogradBytes(1) - s.winogradBytes(0))
	return min(max(fit-fit%6, 6), tilesOf(s.OH)*tilesOf(s.OW))
}

// tilesOf returns the tiles of n pixels.
func tilesOf(n int) int { return (n + winogradTile - 1) / winogradTile }

// winogradBytes is the size of the scratch for a number of tiles: for each point the transformed codes of
// all tiles and then their products, then a buffer for a transform, and the codes and
// the pixels of a tile at an edge.
func (s *IntConv) winogradBytes(tiles int) int {
	chunk := s.winogradChunk()
	return winogradPoints*(tiles*(2*chunk+4*s.O)+32+chunk) + winogradTile*winogradTile*4*s.O
}

// A winogradScratch is scratch, divided.
type winogradScratch struct {
	codes, products, temp, window, pixels []uint8
}

func (s *IntConv) splitWinograd(scratch []uint8, tiles int) (w winogradScratch) {
	chunk, at := s.winogradChunk(), 0
	next := func(n int) []uint8 {
		at += n
		return scratch[at-n : at]
	}
	w.codes, w.products = next(winogradPoints*tiles*2*chunk), next(winogradPoints*tiles*4*s.O)
	w.temp, w.window = next(winogradPoints*32), next(winogradPoints*chunk)
	w.pixels = next(winogradTile * winogradTile * 4 * s.O)
	return w
}

//go:noescape
func winogradInputAVX2(dst, x, temp *uint8, tiles, blocks, point, tile, xTile, row, column int)

//go:noescape
func winogradInputSignedAVX2(dst, x, temp *uint8, tiles, blocks, point, tile, xTile, row, column int)

//go:noescape
func winogradOutputAVX2(acc, m, base *int32, temp *uint8, tiles, vectors, point, tile, row, pixel, baseRow, basePixel int)

//go:noescape
func winogradProduct8(m *int32, a *uint8, b *int8, points, tiles, channels, rs, ldc int)

//go:noescape
func winogradProduct16(m *int32, a *uint8, b *int8, points, tiles, channels, rs, ldc int)

//go:noescape
func winogradProduct24(m *int32, a *uint8, b *int8, points, tiles, channels, rs, ldc int)

//go:noescape
func winogradWeightsAVX2(dst, src, temp *int16, vectors, point, tap int)

// packWinograd packs the transformed weights, [chunk][panel][point][C/2][column][2]. Those of channels
// that do not exist are zero.
func (s *IntConv) packWinograd(p *IntWeights, w []uint8) {
	const room = 16 * winogradPoints // of the transform
	p.taps = resize(p.taps, room+9*s.winogradChunk()*24)
	taps, at := p.taps[room:], 0
	s.eachChunk(func(c0, c1, c16 int) {
		eachPanel(s.O, func(j, vectors int) {
			width := 8 * vectors
			size := c16 * width // weights of a tap, or of a point
			if c1-c0 < c16 {
				clear(taps[:9*size])
			}
			for o := range width {
				kernels := w[((j+o)*s.C+c0)*9:][:(c1-c0)*9]
				for c := 0; len(kernels) > 0; c++ {
					to := taps[(c/2*width+o)*2+c%2:]
					for t, v := range kernels[:9] {
						to[t*size] = int16(int8(v))
					}
					kernels = kernels[9:]
				}
			}
			panel := p.data[at:][:2*winogradPoints*size]
			at += len(panel)
			winogradWeightsAVX2((*int16)(unsafe.Pointer(&panel[0])), &taps[0], &p.taps[0], size/16, 2*size, 2*size)
		})
	})
}

// A tileRun is a number of neighbouring tiles of one row of tiles.
type tileRun struct {
	first      int // place among the tiles of the scratch
	tiles      int
	h, w       int // first pixel of the first tile
	rows, cols int // pixels of a tile; fewer than 4 in the only one of a run at an edge
}

func (r *tileRun) edge() bool { return r.rows < winogradTile || r.cols < winogradTile }

// eachRun calls f for the runs of tiles from first to end−1, counted through rows of tiles of rows
// output rows.
func (s *IntConv) eachRun(first, end, rows int, f func(r tileRun)) {
	wide, whole := tilesOf(s.OW), s.OW/winogradTile
	for i := first; i < end; {
		r := tileRun{first: i - first, tiles: 1, h: i / wide * winogradTile, w: i % wide * winogradTile}
		r.rows, r.cols = min(winogradTile, rows-r.h), min(winogradTile, s.OW-r.w)
		if !r.edge() {
			r.tiles = min(whole-i%wide, end-i)
		}
		f(r)
		i += r.tiles
	}
}

// rowsWinograd is Rows for winogradForm.
func (s *IntConv) rowsWinograd(acc []int32, x []uint8, xl Layout, p *IntWeights, scratch []uint8, n, oh0, oh1 int) {
	rows := oh1 - oh0
	all, most := tilesOf(rows)*tilesOf(s.OW), s.winogradTiles()
	for first := 0; first < all; first += most {
		tiles := min(most, all-first)
		b := s.splitWinograd(scratch, tiles)
		data := p.data
		s.eachChunk(func(c0, c1, c16 int) {
			s.eachRun(first, first+tiles, rows, func(r tileRun) {
				s.winogradInput(&b, x[xl.At(n, oh0+r.h-s.PadTop, r.w-s.PadLeft, c0):], xl, r, tiles, c1-c0)
			})
			data = data[s.winogradProducts(&b, data, tiles, c16):]
			s.eachRun(first, first+tiles, rows, func(r tileRun) {
				s.winogradOutput(acc[(r.h*s.OW+r.w)*s.O:], &b, p, r, tiles, c0 > 0)
			})
		})
	}
}

// winogradProducts multiplies the transformed codes with the transformed weights at each point, and
// returns the length of the weights.
func (s *IntConv) winogradProducts(b *winogradScratch, weights []int8, tiles, c16 int) (length int) {
	m, a := unsafe.Pointer(&b.products[0]), &b.codes[0]
	eachPanel(s.O, func(j, vectors int) {
		c, w := (*int32)(unsafe.Add(m, 4*j)), &weights[length]
		length += winogradPoints * c16 * vectors * 16
		switch vectors {
		case 1:
			winogradProduct8(c, a, w, winogradPoints, tiles, c16, 2*c16, 4*s.O)
		case 2:
			winogradProduct16(c, a, w, winogradPoints, tiles, c16, 2*c16, 4*s.O)
		default:
			winogradProduct24(c, a, w, winogradPoints, tiles, c16, 2*c16, 4*s.O)
		}
	})
	return length
}

// winogradInput transforms the codes of a run of tiles, of which the first begins at x[0].
func (s *IntConv) winogradInput(b *winogradScratch, x []uint8, xl Layout, r tileRun, tiles, channels int) {
	c16 := ceil(channels, 16)
	row, column := xl.SH, xl.SW
	if r.edge() { // what lies beyond counts for pixels that do not exist, but may lie outside of x
		for h := range r.rows + 2 {
			for w := range r.cols + 2 {
				copy(b.window[(h*winogradWindow+w)*c16:], x[h*xl.SH+w*xl.SW:][:channels])
			}
		}
		x, row, column = b.window, winogradWindow*c16, c16
	}
	dst := &b.codes[2*r.first*c16]
	if s.Signed {
		winogradInputSignedAVX2(dst, &x[0], &b.temp[0], r.tiles, c16/16, 2*tiles*c16, 2*c16, winogradTile*column, row, column)
	} else {
		winogradInputAVX2(dst, &x[0], &b.temp[0], r.tiles, c16/16, 2*tiles*c16, 2*c16, winogradTile*column, row, column)
	}
}

// winogradOutput computes the pixels of a run of tiles, of which the first begins at acc[0], or adds
// to them those of further channels.
func (s *IntConv) winogradOutput(acc []int32, b *winogradScratch, p *IntWeights, r tileRun, tiles int, add bool) {
	row, pixel := 4*s.OW*s.O, 4*s.O
	m := (*int32)(unsafe.Pointer(&b.products[r.first*pixel]))
	to := &acc[0]
	var tile []int32
	if r.edge() {
		row = winogradTile * pixel
		to = (*int32)(unsafe.Pointer(&b.pixels[0]))
		tile = unsafe.Slice(to, winogradTile*winogradTile*s.O)
	}
	base, baseRow, basePixel := &p.start[0], 0, 0
	if add {
		base, baseRow, basePixel = to, row, pixel
		s.copyTile(tile, acc, r, false)
	}
	winogradOutputAVX2(to, m, base, &b.temp[0], r.tiles, s.O/8, tiles*pixel, pixel, row, pixel, baseRow, basePixel)
	s.copyTile(tile, acc, r, true)
}

// copyTile copies the pixels of a tile at an edge between a buffer and the accumulators; other tiles
// have no buffer.
func (s *IntConv) copyTile(tile, acc []int32, r tileRun, out bool) {
	if tile == nil {
		return
	}
	for h := range r.rows {
		in, from := tile[h*winogradTile*s.O:][:r.cols*s.O], acc[h*s.OW*s.O:][:r.cols*s.O]
		if out {
			copy(from, in)
		} else {
			copy(in, from)
		}
	}
}
