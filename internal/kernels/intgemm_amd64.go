//go:build amd64 && !purego

package kernels

import "unsafe"

//go:noescape
func pairTiles8(t *tile)

//go:noescape
func pairTiles16(t *tile)

//go:noescape
func pairTiles24(t *tile)

//go:noescape
func narrowTiles8(t *tile)

//go:noescape
func narrowTiles16(t *tile)

//go:noescape
func narrowTiles24(t *tile)

// A panelProduct multiplies lines of pixels in scratch with one panel of weights.
type panelProduct struct {
	tile
	vectors int
	narrow  bool
	pixels  int // per line
	macs    int // per pixel
}

// patience bounds the multiply-accumulates of one call, which nothing can interrupt.
const patience = 1 << 21

// run computes pixels first to end-1, counted through the lines, into c, ldc bytes apart. The calls
// count t.lines down to 0.
func (t panelProduct) run(first, end int, c unsafe.Pointer, ldc int) {
	scratch := t.a
	t.ldc = ldc
	most := max(patience/t.macs, 12)
	for i := first; i < end; {
		line, at := i/t.pixels, i%t.pixels
		t.m, t.lines = min(end-i, most), 1
		if at == 0 && t.m >= t.pixels {
			t.m, t.lines = t.pixels, t.m/t.pixels
		}
		t.m = min(t.m, t.pixels-at)
		t.a, t.c = unsafe.Add(scratch, line*t.lineStep+at*t.rs), unsafe.Add(c, (i-first)*ldc)
		i += t.m * t.lines
		t.call()
	}
}

func (t *panelProduct) call() {
	switch {
	case t.narrow && t.vectors == 1:
		narrowTiles8(&t.tile)
	case t.narrow && t.vectors == 2:
		narrowTiles16(&t.tile)
	case t.narrow:
		narrowTiles24(&t.tile)
	case t.vectors == 1:
		pairTiles8(&t.tile)
	case t.vectors == 2:
		pairTiles16(&t.tile)
	default:
		pairTiles24(&t.tile)
	}
}

// multiply computes the accumulators of a number of output rows. acc may go on with those of
// later rows.
func (s *IntConv) multiply(acc []int32, p *IntWeights, panels panelReader, l *lowering, scratch []uint8, rows int) {
	cg, og := s.groups()
	var abuf [segments]int
	aoff := offsets(abuf[:], l.segments)
	t := panelProduct{narrow: p.form == narrowForm, pixels: s.OW}
	t.aoff, t.segments, t.k = unsafe.SliceData(aoff), l.segments, l.k*l.size/8
	t.rs, t.lineStep, t.block = l.pixel*l.size, l.step*l.line*l.size, p.block
	if t.lineStep == s.OW*t.rs { // the rows are one
		t.pixels *= rows
	}
	start := p.start
	all := rows * s.OW
	s.place(aoff, l)
	for g := range s.Groups {
		t.a = unsafe.Pointer(&scratch[g*cg*l.size])
		eachPanel(og, func(j, vectors int) {
			t.vectors, t.macs = vectors, 8*vectors*l.codes()
			panel := panels.next(t.macs * l.size)
			t.b, t.init = unsafe.Pointer(&panel[0]), unsafe.Pointer(&start[0])
			start = start[8*vectors:]
			t.columns(acc, g*og+j, min(8*vectors, og-j), s.O, all, s.Groups > 1)
		})
	}
}

// columns computes n columns, from o on, of all pixels, which are channels apart. Where the panel is
// wider, what it writes behind the last column of a pixel is computed later; at the end of acc, and in
// front of other groups, it must not be written, and goes through a buffer.
func (t *panelProduct) columns(acc []int32, o, n, channels, all int, groups bool) {
	width := 8 * t.vectors
	direct := all
	if n < width {
		direct = min(all, max(0, len(acc)-o-width+channels)/channels)
		if groups {
			direct = 0
		}
	}
	if direct > 0 {
		t.run(0, direct, unsafe.Pointer(&acc[o]), 4*channels)
	}
	var buffer [12 * 8]int32
	for i := direct; i < all; {
		m := min(12/t.vectors, all-i)
		t.run(i, i+m, unsafe.Pointer(&buffer), 4*width)
		for r := range m {
			copy(acc[(i+r)*channels+o:][:n], buffer[r*width:])
		}
		i += m
	}
}
