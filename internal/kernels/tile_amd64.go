//go:build amd64 && !purego

package kernels

import "unsafe"

//go:generate sh -c "cd _gen && go run ."

// A tile is what one call of an assembly kernel computes: some rows of one panel, or many tiles one after the other.
// The assembly knows the order of the fields (tileFields in _gen), eight bytes each.
// Strides are in bytes.
type tile struct {
	a, b, c    unsafe.Pointer // first elements; those of the segments are added to a and b
	init       unsafe.Pointer // initial values of the columns, or nil
	aoff, boff *int           // elements from a and b to each segment
	segments   int
	k          int // terms per segment; groups of four for bytes. Positive, or segments is 0
	m          int // rows
	rs, cs, bs int
	ldc        int
	mask       uint64         // bit per column of the last vector
	lanes      unsafe.Pointer // the same for AVX2: all ones or zero for each of 8 columns, which mask counts
	add        int            // 1 adds to c
	ahead      int            // what to prefetch: a + ahead, then in steps of pace
	pace       int

	// For the products of integer convolutions, which go through lines of m rows, bs bytes of b apart:
	block    int // narrow: turns of the loop until 16-bit sums could overflow
	lines    int // they count them down
	lineStep int
	// What they keep here of their state: places in a, c and b, rows of the line.
	//lint:ignore U1000 only the assembly uses them
	line, row, out, weights, left uintptr

	// For products that go through times lines of lines tiles: from one tile to the next, and from
	// the last one of a line to the first one of the next.
	times int // they count them down
	stepA int
	//lint:ignore U1000 only the assembly reads it; tiles of a line share their panel
	stepB               int
	stepC               int
	lineA, lineB, lineC int
}

// tileRows is the height of the highest AVX-512 tile of 32 columns, narrowRows that of one of 16.
const tileRows, narrowRows = 14, 18

// each sets how a call goes through times lines of so many tiles of t.m rows, the operands of which lie some bytes apart.
func (t *tile) each(tiles, times, stepA, stepB, stepC int) {
	t.lines, t.times = tiles, times
	t.stepA, t.stepC = t.m*t.rs, t.m*t.ldc
	t.lineA, t.lineB, t.lineC = stepA-(tiles-1)*t.stepA, stepB, stepC-(tiles-1)*t.stepC
}

// lanes holds the masks of AVX2: those of n columns begin at lanes[8-n].
var lanes = [16]int32{-1, -1, -1, -1, -1, -1, -1, -1}

// A rowPart is a number of tiles of one height.
type rowPart struct{ first, tiles, height int }

// partsOfRows spreads m rows evenly over as few tiles as possible, 16 as 8 and 8 rather than 14 and 2. The tiles of the first
// part are a row higher than the others; a part may have none.
func partsOfRows(m, most int) [2]rowPart {
	tiles := (m + most - 1) / most
	height, higher := m/tiles, m%tiles
	return [2]rowPart{{0, higher, height + 1}, {higher * (height + 1), tiles - higher, height}}
}
