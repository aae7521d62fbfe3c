//go:build amd64 && !purego

package kernels

import "unsafe"

// Winograd's convolution F(2×2, 3×3) computes 2×2 pixels from 4×4 codes with 16 products
// instead of 36 (Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2015):
//
//	y = Aᵀ·[(G·g·Gᵀ) ⊙ (Bᵀ·x·B)]·A
//
//	     ⎡1  0 −1  0⎤        ⎡1  0  0⎤
//	Bᵀ = ⎢0  1  1  0⎥    G = ⎢½  ½  ½⎥    Aᵀ = ⎡1  1  1  0⎤
//	     ⎢0 −1  1  0⎥        ⎢½ −½  ½⎥         ⎣0  1 −1 −1⎦
//	     ⎣0  1  0 −1⎦        ⎣0  0  1⎦
//
// On integers it is exact: with 2·G, and y divided by 4 at the end, everything is a whole number.
// Transformed codes lie within ±1020 and transformed weights within ±1152, so both have 16 bits.
// The 16 products over the channels are those of pairForm, modulo 2^32; a sum below 2^29, times 4,
// fits into 32 bits, so that the division gives it exactly.

// winogradSum bounds the sums of codes times weights of winogradForm.
const winogradSum = 1 << 29

// points is the number of places of a transformed tile.
const points = 16

// winograd reports whether winogradForm can compute s, and should where 16-bit pairs are the choice.
func (s *IntConv) winograd() bool {
	return s.KH == 3 && s.KW == 3 && s.StrideH == 1 && s.StrideW == 1 && s.DilH == 1 && s.DilW == 1 && s.Groups == 1 &&
		s.C >= 16 && s.O >= 16 && s.O%8 == 0 && 9*s.C*128*255 < winogradSum
}

// winogradSteps is the number of steps between widenings from which narrowForm is faster.
func (s *IntConv) winogradSteps() int {
	if s.C < 32 {
		return 8
	}
	return 16
}

// winogradWeights returns the bytes of the packed weights.
func (s *IntConv) winogradWeights() int { return points * ceil(s.C, 16) * s.O * 2 }

// winogradTiles is the number of tiles that share the scratch, which holds for each point the
// transformed codes of all tiles and then their products.
func (s *IntConv) winogradTiles() int {
	const room = 32 << 10
	fit := room / s.winogradBytes(1)
	return min(max(fit-fit%6, 6), (s.OH+1)/2*((s.OW+1)/2))
}

// winogradBytes is the size of the scratch for a number of tiles.
func (s *IntConv) winogradBytes(tiles int) int {
	return points * tiles * (2*ceil(s.C, 16) + 4*s.O)
}

// packWinograd packs the transformed weights, [panel][point][C/2][column][2]. Those of channels that
// do not exist are zero already.
func (s *IntConv) packWinograd(p *IntWeights, w []uint8) {
	c16, at := ceil(s.C, 16), 0
	eachPanel(s.O, func(j, vectors int) {
		width := 8 * vectors
		panel := p.data[at : at+points*c16*width*2]
		at += len(panel)
		for o := range width {
			kernels := w[(j+o)*s.C*9:][:s.C*9]
			for c := 0; c < s.C; c += 2 {
				var u, v [points]int16
				u = transformWeights(kernels[9*c:][:9])
				if c+1 < s.C {
					v = transformWeights(kernels[9*c+9:][:9])
				}
				d := panel[(c/2*width+o)*4:]
				for i := range u {
					*(*[2]int16)(unsafe.Pointer(&d[i*c16*width*2])) = [2]int16{u[i], v[i]}
				}
			}
		}
	})
}

// transformWeights returns (2G)·g·(2G)ᵀ.
func transformWeights(w []uint8) (u [points]int16) {
	var t [4][3]int16
	for k := range 3 {
		a, b, c := int16(int8(w[k])), int16(int8(w[3+k])), int16(int8(w[6+k]))
		t[0][k], t[1][k], t[2][k], t[3][k] = 2*a, a+b+c, a-b+c, 2*c
	}
	for i, r := range t {
		u[4*i], u[4*i+1], u[4*i+2], u[4*i+3] = 2*r[0], r[0]+r[1]+r[2], r[0]-r[1]+r[2], 2*r[2]
	}
	return u
}

//go:noescape
func winogradInputAVX2(dst, x *uint8, tiles, blocks, point, tile, xTile, row, row3, column, column3 int)

//go:noescape
func winogradInputSignedAVX2(dst, x *uint8, tiles, blocks, point, tile, xTile, row, row3, column, column3 int)

//go:noescape
func winogradOutputAVX2(acc *int32, m, start *int32, tiles, vectors, point, tile, row, pixel int)

// A tileRun is a number of neighbouring tiles of one row of tiles.
type tileRun struct {
	first  int // place among the tiles of the scratch
	tiles  int
	h, w   int  // first pixel of the first tile
	single bool // the tiles are one, and have one column of pixels
	flat   bool // the tiles have one row of pixels
}

// eachRun calls f for the runs of tiles from first to end−1, counted through rows of tiles of rows
// output rows. A tile at an odd end is a run of its own.
func (s *IntConv) eachRun(first, end, rows int, f func(r tileRun)) {
	wide, whole := (s.OW+1)/2, s.OW/2
	for i := first; i < end; {
		r := tileRun{first: i - first, h: i / wide * 2, w: i % wide * 2}
		r.flat = r.h+1 == rows
		if i%wide == whole {
			r.tiles, r.single = 1, true
		} else {
			r.tiles = min(whole-i%wide, end-i)
		}
		f(r)
		i += r.tiles
	}
}

// rowsWinograd is Rows for winogradForm.
func (s *IntConv) rowsWinograd(acc []int32, x []uint8, xl Layout, p *IntWeights, scratch []uint8, n, oh0, oh1 int) {
	rows := oh1 - oh0
	all, most := (rows+1)/2*((s.OW+1)/2), s.winogradTiles()
	c16 := ceil(s.C, 16)
	aoff := [1]int{}
	t := panelProduct{}
	t.aoff, t.segments, t.k = &aoff[0], 1, c16/4
	t.init = unsafe.Pointer(&zeros)
	t.rs, t.ldc = 2*c16, 4*s.O
	for first := 0; first < all; first += most {
		tiles := min(most, all-first)
		s.eachRun(first, first+tiles, rows, func(r tileRun) {
			at := xl.At(n, oh0+r.h-s.PadTop, r.w-s.PadLeft, 0)
			row3, column3 := 3*xl.SH, 3*xl.SW
			if r.flat { // they count for pixels that do not exist
				row3 = 2 * xl.SH
			}
			if r.single {
				column3 = 2 * xl.SW
			}
			s.winogradInput(&scratch[2*r.first*c16], &x[at], r.tiles, c16/16, 2*tiles*c16, 2*c16, 2*xl.SW, xl.SH, row3, xl.SW, column3)
		})
		products := scratch[2*points*tiles*c16:]
		t.a, t.m, t.lineStep = unsafe.Pointer(&scratch[0]), tiles, 2*tiles*c16
		data := p.data
		eachPanel(s.O, func(j, vectors int) {
			t.vectors, t.bs, t.lines = vectors, c16*vectors*16, points
			t.b, t.c = unsafe.Pointer(&data[0]), unsafe.Pointer(&products[4*j])
			data = data[points*t.bs:]
			t.call()
		})
		s.eachRun(first, first+tiles, rows, func(r tileRun) {
			row, pixel := 4*s.OW*s.O, 4*s.O
			if r.flat { // the first pixels are written over the others
				row = 0
			}
			if r.single {
				pixel = 0
			}
			m := (*int32)(unsafe.Pointer(&products[4*r.first*s.O]))
			winogradOutputAVX2(&acc[(r.h*s.OW+r.w)*s.O], m, &p.start[0], r.tiles, s.O/8, 4*tiles*s.O, 4*s.O, row, pixel)
		})
	}
}

func (s *IntConv) winogradInput(dst, x *uint8, tiles, blocks, point, tile, xTile, row, row3, column, column3 int) {
	if s.Signed {
		winogradInputSignedAVX2(dst, x, tiles, blocks, point, tile, xTile, row, row3, column, column3)
	} else {
		winogradInputAVX2(dst, x, tiles, blocks, point, tile, xTile, row, row3, column, column3)
	}
}

// zeros are initial values.
var zeros [24]int32
