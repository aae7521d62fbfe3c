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
// On integers it is exact. The rows of G, times 24, 6, 6, 24, 24 and 6, are whole numbers; the columns
// of Aᵀ, times 24 over those, make up for it, so that rows and columns of pixels come out 24 times
// too large, or 12, 6 and 6 times where a row of Aᵀ is even. Transformed codes lie within ±12800 and
// transformed weights within ±6272, so both have 16 bits. The 36 products over the channels are those of
// pairForm, modulo 2^32, as is all that follows: a result r = 9·2^s·y with s ≤ 6. The
// product of r with the inverse of 9 modulo 2^32 is 2^s·y, and a shift gives y, exactly if
// y lies below 2^25. Therefore channels are summed in chunks that keep it there.
//
// A larger kernel is cut into parts of 3×3, with zeros where there is no tap. Each part has channels
// of its own, whose codes lie three rows or columns further on; their products add up before the one
// transform of all.
//
// With a stride of 2, four pixels of a row read four odd codes, one weight each, and five even ones, which are
// a convolution of two weights and stride 1:
//
//	     ⎡2 −1 −2  1  0⎤        ⎡ 1/2    0⎤
//	     ⎢0 −2 −1  1  0⎥        ⎢−1/2 −1/2⎥         ⎡1  1  1  1  0⎤
//	Bᵀ = ⎢0  2 −3  1  0⎥    G = ⎢−1/6  1/6⎥    Aᵀ = ⎢0  1 −1  2  0⎥
//	     ⎢0 −1  0  1  0⎥        ⎢ 1/6  1/3⎥         ⎢0  1  1  4  0⎥
//	     ⎣0  2 −1 −2  1⎦        ⎣   0    1⎦         ⎣0  1 −1  8  1⎦
//
// So rows and columns have 9 points, of which the last four are codes that stay what they are, and 81 products take
// the place of 144. All weights are those of G times 6, also those of odd codes, which makes pixels come out 36 times too
// large: a shift by 2 gives y, exactly if it lies below 2^29. Transformed codes lie within ±9180 and
// transformed weights within ±4608.

const winogradWeights = 6 * 6 // places of a transformed kernel

// winograd reports whether winogradForm computes s where pairForm would: it does where it is faster. With a stride of
// 1 it is faster than narrowForm too, at any width.
func (s *IntConv) winograd() bool {
	products, instead := winogradTile*winogradTile*s.KH*s.KW, s.winogradPoints()*s.parts()
	switch {
	case s.StrideH != s.StrideW || s.DilH != 1 || s.DilW != 1 || s.Groups != 1:
	case s.StrideH == 1 && products < 2*instead, s.StrideH == 2 && s.parts() > 1, s.StrideH > 2:
	default:
		return min(s.KH, s.KW) >= winogradKernel && s.winogradChannels() > 0 && min(s.C, s.O) >= 16 && min(s.OH, s.OW) >= 3
	}
	return false
}

// winogradWindow returns the number of codes of a row and of a column that a tile reads.
func (s *IntConv) winogradWindow() int { return (winogradTile-1)*s.StrideH + winogradKernel }

// winogradPoints returns the number of places of a transformed tile.
func (s *IntConv) winogradPoints() int { return s.winogradWindow() * s.winogradWindow() }

// A pointRun is a number of transformed weights, each of which meets as many points, that follow one another.
type pointRun struct{ weights, points int }

// winogradRuns are the points of each stride in their order. Codes that are not transformed share weights.
var winogradRuns = [...][]pointRun{
	1: {{36, 1}},
	2: {{5, 1}, {1, 4}, {5, 1}, {1, 4}, {5, 1}, {1, 4}, {5, 1}, {1, 4}, {5, 1}, {1, 4}, {5, 4}, {1, 16}},
}

// parts returns the number of parts of the kernel.
func (s *IntConv) parts() int { return partsOf(s.KH) * partsOf(s.KW) }

// winogradChannels is the largest multiple of 16 channels whose sum of codes times weights lies where the shift
// is exact.
func (s *IntConv) winogradChannels() int {
	limit := 1 << 25
	if s.StrideH == 2 {
		limit = 1 << 29
	}
	most := (limit - 1) / (s.KH * s.KW * 128 * 255)
	return most - most%16
}

// winogradRoom is about the size of the scratch that suits the cache.
const winogradRoom = 80 << 10

// planWinograd returns the plan, with chunks in the place of other ones. The first chunk is the largest.
func (s *IntConv) planWinograd(chunks []winogradChunk) winogradPlan {
	p := winogradPlan{stride: s.StrideH, points: s.winogradPoints(), parts: s.parts(), out: ceil(s.O, 8), wide: tilesOf(s.OW), chunks: chunks[:0]}
	most := s.winogradChannels()
	n := (s.C + most - 1) / most
	size := ceil((s.C+n-1)/n, 16)
	for c := 0; c < s.C; c += size {
		chunk := winogradChunk{first: c, channels: min(size, s.C-c)}
		chunk.blocks = (chunk.channels + 15) / 16
		chunk.depth = ceil(chunk.channels*p.parts, 4)
		chunk.stride = max(chunk.depth, (p.parts-1)*chunk.channels+16*chunk.blocks)
		p.chunks = append(p.chunks, chunk)
	}
	fit := winogradRoom / (p.bytes(1) - p.bytes(0))
	p.tiles = min(max(fit-fit%6, 6), tilesOf(s.OH)*p.wide)
	return p
}

// weights returns the bytes of the packed weights.
func (p *winogradPlan) weights() (sum int) {
	for _, c := range p.chunks {
		sum += 2 * winogradWeights * c.depth * p.out
	}
	return sum
}

// bytes is the size of the scratch for a number of tiles.
func (p *winogradPlan) bytes(tiles int) int {
	c := &p.chunks[0]
	return p.points*(tiles*(2*c.stride+4*p.out)+32+16*c.blocks) + winogradTile*winogradTile*4*p.out
}

// A winogradScratch is scratch, divided.
type winogradScratch struct {
	tiles    int
	codes    []uint8 // transformed codes of all tiles for each point
	products []uint8 // likewise, 32 bits each
	temp     []uint8 // of a transform
	window   []uint8 // codes of a tile at an edge
	pixels   []uint8 // of a tile that cannot be written where it belongs
}

func (p *winogradPlan) split(scratch []uint8, tiles int) (w winogradScratch) {
	c, out, at := &p.chunks[0], 4*p.out, 0
	next := func(n int) []uint8 {
		at += n
		return scratch[at-n : at]
	}
	w.tiles = tiles
	w.codes, w.products = next(p.points*tiles*2*c.stride), next(p.points*tiles*out)
	w.temp, w.window = next(p.points*32), next(p.points*16*c.blocks)
	w.pixels = next(winogradTile * winogradTile * out)
	return w
}

//go:noescape
func winogradInputAVX2(dst, x, temp *uint8, tiles, blocks, point, tile, xTile, row, column int)

//go:noescape
func winogradInputSignedAVX2(dst, x, temp *uint8, tiles, blocks, point, tile, xTile, row, column int)

//go:noescape
func winogradInput2AVX2(dst, x, temp *uint8, tiles, blocks, point, tile, xTile, row, column int)

//go:noescape
func winogradInputSigned2AVX2(dst, x, temp *uint8, tiles, blocks, point, tile, xTile, row, column int)

//go:noescape
func winogradOutputAVX2(acc, m, base *int32, temp *uint8, tiles, vectors, point, tile, row, pixel, baseRow, basePixel int)

//go:noescape
func winogradOutput2AVX2(acc, m, base *int32, temp *uint8, tiles, vectors, point, tile, row, pixel, baseRow, basePixel int)

//go:noescape
func winogradProduct8(m *int32, a *uint8, b *int8, points, tiles, channels, rs, ldc int)

//go:noescape
func winogradProduct16(m *int32, a *uint8, b *int8, points, tiles, channels, rs, ldc int)

//go:noescape
func winogradProduct24(m *int32, a *uint8, b *int8, points, tiles, channels, rs, ldc int)

//go:noescape
func winogradWeightsAVX2(dst, src, temp *int16, vectors, point, tap int)

//go:noescape
func winogradWeights2AVX2(dst, src, temp *int16, vectors, point, tap int)

// packWinograd packs the transformed weights, [chunk][panel][point][depth/2][column][2]. Those of channels
// and columns that do not exist are zero.
func (s *IntConv) packWinograd(p *IntWeights, w []uint8) {
	const room, taps = 16 * winogradWeights, winogradKernel * winogradKernel // room of the transform
	p.taps = resize(p.taps, room+taps*p.plan.chunks[0].depth*24)
	at := 0
	for _, c := range p.plan.chunks {
		eachPanel(s.O, func(j, vectors int) {
			width := 8 * vectors
			size := c.depth * width // weights of a tap, or of a point
			s.gatherTaps(p.taps[room:][:taps*size], w, c, j, width)
			panel := p.data[at:][:2*winogradWeights*size]
			at += len(panel)
			dst, src := (*int16)(unsafe.Pointer(&panel[0])), &p.taps[room]
			if s.StrideH == 2 {
				winogradWeights2AVX2(dst, src, &p.taps[0], size/16, 2*size, 2*size)
			} else {
				winogradWeightsAVX2(dst, src, &p.taps[0], size/16, 2*size, 2*size)
			}
		})
	}
}

// gatherTaps brings weights of columns j to j+width−1 into the order [3×3][depth/2][column][2].
func (s *IntConv) gatherTaps(taps []int16, w []uint8, c winogradChunk, j, width int) {
	clear(taps)
	size, columns := c.depth*width, min(width, s.O-j)
	kernel := s.KH * s.KW
	for in := range c.channels * s.parts() {
		part, channel := in/c.channels, c.first+in%c.channels
		top, left := part/partsOf(s.KW)*winogradKernel, part%partsOf(s.KW)*winogradKernel
		for kh := range min(winogradKernel, s.KH-top) {
			for kw := range min(winogradKernel, s.KW-left) {
				to := taps[(kh*winogradKernel+kw)*size+in/2*2*width+in%2:]
				from := (j*s.C+channel)*kernel + (top+kh)*s.KW + left + kw
				for o := 0; o < 2*columns; o += 2 {
					to[o] = int16(int8(w[from]))
					from += s.C * kernel
				}
			}
		}
	}
}

// rowsWinograd is Rows for winogradForm.
func (s *IntConv) rowsWinograd(acc []int32, x []uint8, xl Layout, p *IntWeights, scratch []uint8, n, oh0, oh1 int) {
	rows, plan := oh1-oh0, &p.plan
	all := tilesOf(rows) * plan.wide
	for first := 0; first < all; first += plan.tiles {
		end := min(first+plan.tiles, all)
		b := plan.split(scratch, end-first)
		data := p.data
		for i := range plan.chunks {
			c := &plan.chunks[i]
			eachRun(first, end, plan.wide, rows, s.OW, func(r tileRun) {
				at := xl.At(n, (oh0+r.h)*s.StrideH-s.PadTop, r.w*s.StrideW-s.PadLeft, c.first)
				s.winogradInput(&b, plan, c, x[at:], xl, r, s.OH-oh0-r.h)
			})
			data = data[s.winogradProducts(&b, plan, c, data):]
			eachRun(first, end, plan.wide, rows, s.OW, func(r tileRun) {
				s.winogradOutput(acc[(r.h*s.OW+r.w)*s.O:], &b, plan.out, p.start, r, i > 0)
			})
		}
	}
}

// winogradProducts multiplies the transformed codes with the transformed weights at each point, and
// returns the length of the weights.
func (s *IntConv) winogradProducts(b *winogradScratch, p *winogradPlan, c *winogradChunk, weights []int8) (length int) {
	rs, ldc := 2*c.stride, 4*p.out
	eachPanel(s.O, func(j, vectors int) {
		at := 0 // point
		for _, r := range winogradRuns[p.stride] {
			m := (*int32)(unsafe.Pointer(&b.products[at*b.tiles*ldc+4*j]))
			a, w, tiles := &b.codes[at*b.tiles*rs], &weights[length], r.points*b.tiles
			switch vectors {
			case 1:
				winogradProduct8(m, a, w, r.weights, tiles, c.depth, rs, ldc)
			case 2:
				winogradProduct16(m, a, w, r.weights, tiles, c.depth, rs, ldc)
			default:
				winogradProduct24(m, a, w, r.weights, tiles, c.depth, rs, ldc)
			}
			at += r.weights * r.points
			length += r.weights * c.depth * vectors * 16
		}
	})
	return length
}

// winogradInput transforms the codes of a run of tiles, of which the first begins at x[0], for each
// part of the kernel. The image has so many rows of pixels from there on.
func (s *IntConv) winogradInput(b *winogradScratch, p *winogradPlan, c *winogradChunk, x []uint8, xl Layout, r tileRun, rows int) {
	h, w := 0, 0
	window, step := s.winogradWindow(), winogradTile*s.StrideW
	for part := range p.parts { // in this order: a block overwrites what does not count of the one before
		below, right := (rows-1)*s.StrideH+s.KH-h, (s.OW-1-r.w)*s.StrideW+s.KW-w // codes from here on
		from, dst := x[h*xl.SH+w*xl.SW:], b.codes[2*(r.first*c.stride+part*c.channels):]
		whole := 0 // tiles that do not reach beyond the image
		if below >= window && right >= window {
			whole = min((right-window)/step+1, r.tiles)
			s.transformInput(b, c, dst, from, whole, xl.SH, xl.SW)
		}
		for t := whole; t < r.tiles; t++ { // what lies beyond meets zeros or counts for no pixel
			row := 16 * c.blocks
			s.copyWindow(b.window, from[t*step*xl.SW:], xl, row, c.channels, below, right-t*step)
			s.transformInput(b, c, dst[2*t*c.stride:], b.window, 1, window*row, row)
		}
		if w += winogradKernel; w >= s.KW {
			h, w = h+winogradKernel, 0
		}
	}
}

// copyWindow copies the codes of a tile, of which there are so many below and to the right.
func (s *IntConv) copyWindow(window, x []uint8, xl Layout, pixel, channels, below, right int) {
	size := s.winogradWindow()
	for h := range min(below, size) {
		for w := range min(right, size) {
			copy(window[(h*size+w)*pixel:], x[h*xl.SH+w*xl.SW:][:channels])
		}
	}
}

// transformInput transforms the codes of tiles.
func (s *IntConv) transformInput(b *winogradScratch, c *winogradChunk, dst, x []uint8, tiles, row, column int) {
	point, tile, xTile := 2*b.tiles*c.stride, 2*c.stride, winogradTile*s.StrideW*column
	switch {
	case s.StrideH == 2 && s.Signed:
		winogradInputSigned2AVX2(&dst[0], &x[0], &b.temp[0], tiles, c.blocks, point, tile, xTile, row, column)
	case s.StrideH == 2:
		winogradInput2AVX2(&dst[0], &x[0], &b.temp[0], tiles, c.blocks, point, tile, xTile, row, column)
	case s.Signed:
		winogradInputSignedAVX2(&dst[0], &x[0], &b.temp[0], tiles, c.blocks, point, tile, xTile, row, column)
	default:
		winogradInputAVX2(&dst[0], &x[0], &b.temp[0], tiles, c.blocks, point, tile, xTile, row, column)
	}
}

// winogradOutput computes the pixels of a run of tiles, of which the first begins at acc[0], from
// products of out channels, or adds to them those of further channels.
func (s *IntConv) winogradOutput(acc []int32, b *winogradScratch, out int, start []int32, r tileRun, add bool) {
	m := b.products[r.first*4*out:]
	if r.rows == winogradTile && r.cols == winogradTile && s.O == out {
		base, row := start, 0
		if add {
			base, row = acc, 4*s.OW*s.O
		}
		s.transformOutput(acc, base, m, b, r.tiles, out, 4*s.OW*s.O, row)
		return
	}
	pixels := unsafe.Slice((*int32)(unsafe.Pointer(&b.pixels[0])), winogradTile*winogradTile*out)
	for t := range r.tiles {
		tile := acc[t*winogradTile*s.O:]
		base, row := start, 0
		if add {
			base, row = pixels, winogradTile*4*out
			s.copyPixels(pixels, tile, out, r, false)
		}
		s.transformOutput(pixels, base, m[t*4*out:], b, 1, out, winogradTile*4*out, row)
		s.copyPixels(pixels, tile, out, r, true)
	}
}

// transformOutput transforms the products of tiles. Rows are so many bytes apart, those of base 0
// if it has only one pixel.
func (s *IntConv) transformOutput(acc, base []int32, m []uint8, b *winogradScratch, tiles, out, row, baseRow int) {
	pixel, basePixel := 4*out, 0
	if baseRow > 0 {
		basePixel = pixel
	}
	products := (*int32)(unsafe.Pointer(&m[0]))
	if s.StrideH == 2 {
		winogradOutput2AVX2(&acc[0], products, &base[0], &b.temp[0], tiles, out/8, b.tiles*pixel, pixel, row, pixel, baseRow, basePixel)
	} else {
		winogradOutputAVX2(&acc[0], products, &base[0], &b.temp[0], tiles, out/8, b.tiles*pixel, pixel, row, pixel, baseRow, basePixel)
	}
}

// copyPixels copies the pixels of a tile of out channels to the accumulators or from there.
func (s *IntConv) copyPixels(tile, acc []int32, out int, r tileRun, back bool) {
	for h := range r.rows {
		for w := range r.cols {
			a, b := acc[(h*s.OW+w)*s.O:][:s.O], tile[(h*winogradTile+w)*out:][:s.O]
			if back {
				copy(a, b)
			} else {
				copy(b, a)
			}
		}
	}
}
