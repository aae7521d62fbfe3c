//go:build amd64 && !purego

package kernels

import "unsafe"

// Integer convolution on the tile registers of AMX. A tile has up to 16 rows of 64 bytes: codes of
// 16 pixels where they lie, or four codes each of 16 columns in every row, as in the panels of
// GEMM8. One instruction adds the product of two such tiles to a third, of 16×16 sums:
//
//	sum[i,j] += Σ_{k<16} Σ_{b<4} x[i,4k+b] · w[k,j,b]
//
// Codes are signed or not; nothing has to be added to them. A block of two by two tiles of sums
// reads each tile of codes and weights for two products.

// tileSide is the number of rows of a tile, and of its columns of 32 bits.
const tileSide = 16

// tileLeast is the shortest segment for which tiles are used: a product takes as long for one code
// of each pixel as for 64.
const tileLeast = 16

// tileSteps returns in how many steps of which depth, in codes, tiles cover a segment. The codes
// are spread evenly, 96 as twice 48: all tiles of a product have one shape.
func tileSteps(run int) (steps, depth int) {
	const most = 4 * tileSide
	steps = (run + most - 1) / most
	return steps, ceil4((run + steps - 1) / steps)
}

// tileLength returns the length of a packed segment, less than 64 codes more than run.
func tileLength(run int) int {
	steps, depth := tileSteps(run)
	return steps * depth
}

// A tileConfig gives tiles their shapes, in the form that the processor reads.
type tileConfig struct {
	palette, startRow uint8
	_                 [14]uint8
	bytes             [16]uint16 // of a row
	rows              [16]uint8
}

// A tileProduct is what one call computes: blocks of pixels by one panel of weights. The assembly
// knows the order of the fields (productFields in _gen). Steps and strides are in bytes.
type tileProduct struct {
	config                 tileConfig
	a, b, c, start         unsafe.Pointer // of the first block; c and start are int32
	aoff                   *int           // from a to each segment
	segments, steps        int
	aStep, bStep           int // from one step to the next
	rs, bs, ldc            int // from one row of a tile to the next
	blocks, aBlock, cBlock int
	tiles                  int // 1: two tiles of columns, 2: two of rows, 3: both
}

//go:noescape
func tileProductAMX(p *tileProduct)

//go:noescape
func tileProductSignedAMX(p *tileProduct)

// shape sets the rows and columns of a block, up to 32 each.
func (p *tileProduct) shape(rows, columns, depth int) {
	p.config, p.tiles = tileConfig{palette: 1}, 0
	if rows > tileSide {
		p.tiles += 2
	}
	if columns > tileSide {
		p.tiles++
	}
	for i := range 2 {
		r := rows - i*tileSide
		p.config.set(2*i, r, 4*columns)
		p.config.set(2*i+1, r, 4*(columns-tileSide))
		p.config.set(4+i, r, depth)
		p.config.set(6+i, depth/4, 4*(columns-i*tileSide))
	}
}

// set gives a tile as many of the rows and bytes as it holds. One that would be left with no rows
// or no bytes must have neither.
func (c *tileConfig) set(tile, rows, bytes int) {
	if rows > 0 && bytes > 0 {
		c.rows[tile], c.bytes[tile] = uint8(min(rows, tileSide)), uint16(min(bytes, 4*tileSide))
	}
}

// packTiles packs w for tiles: in panels, with segments that whole tiles cover.
func (s *IntConv) packTiles(p *IntWeights, w []uint8) {
	l := s.lower(tileForm)
	l.k = tileLength(l.run)
	p.form, p.offset = tileForm, 0
	s.packPanels(p, w, &l)
}

// rowsTiles is Rows for tileForm. One call computes the blocks of as many pixels that lie below one
// another or, where the rows go on without a gap and are one, behind one another.
func (s *IntConv) rowsTiles(acc []int32, x []uint8, xl Layout, p *IntWeights, scratch []uint8, n, oh0, oh1 int) {
	cg, og := s.groups()
	runs, run := s.runs()
	steps, depth := tileSteps(run)
	var abuf [segments]int
	aoff := offsets(abuf[:], runs)
	l := s.inPlace(xl)
	s.place(aoff, &l)
	t := tileProduct{aoff: unsafe.SliceData(aoff), segments: runs, steps: steps, aStep: depth, rs: s.StrideW * xl.SW, ldc: 4 * s.O}
	pixels, lines, line := s.OW, oh1-oh0, s.StrideH*xl.SH
	if line == pixels*t.rs {
		pixels, lines = pixels*lines, 1
	}
	first := xl.At(n, oh0*s.StrideH-s.PadTop, -s.PadLeft, 0)
	panels, _ := p.panels(scratch)
	for g := range s.Groups {
		for j := 0; j < og; j += panelWidth {
			o, width := g*og+j, panel(j, og)
			columns := min(width, og-j)
			weights := panels.next(runs * p.length * width)
			t.b, t.start = unsafe.Pointer(&weights[0]), unsafe.Pointer(&p.start[o])
			t.bs, t.bStep = 4*width, depth*width
			for _, part := range partsOfRows(pixels, 2*tileSide) {
				height, calls := part.height, part.tiles
				if calls == 0 {
					continue
				}
				t.blocks, t.aBlock, t.cBlock = lines, line, s.OW*t.ldc
				if lines == 1 {
					calls, t.blocks, t.aBlock, t.cBlock = 1, calls, height*t.rs, height*t.ldc
				}
				t.shape(height, columns, depth)
				for call := range calls {
					i := part.first + call*height
					t.run(x[first+g*cg+i*t.rs:], acc[i*s.O+o:], s.Signed, height*columns*runs*run)
				}
			}
		}
	}
}

// run computes the blocks, each of so many multiply-accumulates, from the first pixel in x on, in
// as many calls as patience asks for. (Through a pointer to p its operands would escape.)
func (p tileProduct) run(x []uint8, acc []int32, signed bool, macs int) {
	blocks, most := p.blocks, max(1, patience/macs)
	for done := 0; done < blocks; done += p.blocks {
		p.blocks = min(blocks-done, most)
		p.a, p.c = unsafe.Pointer(&x[done*p.aBlock]), unsafe.Pointer(&acc[done*p.cBlock/4])
		if signed {
			tileProductSignedAMX(&p)
		} else {
			tileProductAMX(&p)
		}
	}
}
