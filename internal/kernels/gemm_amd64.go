//go:build amd64 && !purego

package kernels

import (
	"unsafe"

	"github.com/bitgrad/bitgrad/internal/cpu"
)

//go:noescape
func gemmTile32(t *tile)

//go:noescape
func gemmTile16(t *tile)

//go:noescape
func gemmTile16AVX2(t *tile)

//go:noescape
func gemmTile8AVX2(t *tile)

// gemmLevel says which variant runs. It is a number and not a function variable, so
// that a GEMM on the stack of its caller stays there.
var gemmLevel cpu.ISA

func init() {
	for _, level := range []cpu.ISA{cpu.Portable, cpu.AVX2, cpu.AVX512} {
		register("gemm", level, func() { gemmLevel = level })
	}
}

func (g *GEMM) run() { g.runEach(1, 0, 0, 0) }

func (g *GEMM) runEach(times, stepA, stepB, stepC int) {
	if gemmLevel == cpu.Portable {
		g.runEachPortable(times, stepA, stepB, stepC)
		return
	}
	g.runTiles(times, 4*stepA, 4*stepB, 4*stepC)
}

// tile returns the tile at the origin, for all rows.
func (g *GEMM) tile() tile {
	t := tile{
		a: unsafe.Pointer(unsafe.SliceData(g.A)), b: unsafe.Pointer(unsafe.SliceData(g.B)), c: unsafe.Pointer(unsafe.SliceData(g.C)),
		aoff: unsafe.SliceData(g.AOff), boff: unsafe.SliceData(g.BOff), segments: len(g.AOff), k: g.K,
		rs: 4 * g.RS, cs: 4 * g.CS, bs: 4 * g.BS, ldc: 4 * g.LDC,
	}
	if g.K == 0 || len(g.AOff) == 0 {
		t.segments, t.rs = 0, 0 // A may be empty: its pointer must not move
	}
	if g.Init != nil {
		t.init = unsafe.Pointer(unsafe.SliceData(g.Init))
	}
	if g.Add {
		t.add = 1
	}
	return t
}

// A gemmKind says what an assembly kernel of the float32 product computes: its columns, and how many rows a tile has at most.
type gemmKind struct{ columns, rows int }

// kind returns the kernel for the first of n columns, and sets what it wants to know of t.
func (g *GEMM) kind(t *tile, n int) gemmKind {
	if gemmLevel == cpu.AVX2 {
		t.pace = 4 * t.cs // for four steps at once, which fetch two lines
		if g.CS == 1 {
			t.pace = 128
		}
		if n >= 16 {
			return gemmKind{16, 6}
		}
		n = min(n, 8)
		t.mask, t.lanes = uint64(n), unsafe.Pointer(&lanes[8-n])
		return gemmKind{n, 8}
	}
	t.pace = t.cs // a line for each step
	if g.CS == 1 {
		t.pace = 64
	}
	n = min(n, panelWidth)
	t.mask = 1<<((n-1)&15+1) - 1
	kind := gemmKind{n, tileRows}
	if n <= panelWidth/2 {
		kind = gemmKind{n, narrowRows}
	}
	if t.rs%2048 == 0 && g.CS == 1 {
		kind.rows /= 2 // such rows share their places in the first-level cache
	}
	return kind
}

// runTiles computes several products whose operands lie some bytes apart.
func (g *GEMM) runTiles(times, stepA, stepB, stepC int) {
	t := g.tile()
	a, b, c, init := t.a, t.b, t.c, t.init
	for j := 0; j < g.N; {
		t.b, t.init = columnOf(b, j, t.segments > 0), columnOf(init, j, init != nil)
		kind := g.kind(&t, g.N-j)
		for _, part := range partsOfRows(g.M, kind.rows) {
			if part.tiles == 0 {
				continue
			}
			t.a, t.c = unsafe.Add(a, part.first*t.rs), unsafe.Add(c, part.first*t.ldc+4*j)
			t.m, t.ahead = part.height, part.height*t.rs
			t.each(part.tiles, times, stepA, stepB, stepC)
			switch {
			case gemmLevel == cpu.AVX512 && kind.columns > panelWidth/2:
				gemmTile32(&t)
			case gemmLevel == cpu.AVX512:
				gemmTile16(&t)
			case kind.columns == 16:
				gemmTile16AVX2(&t)
			default:
				gemmTile8AVX2(&t)
			}
		}
		j += kind.columns
	}
}

// columnOf returns the place of column j of an operand, if there is one.
func columnOf(p unsafe.Pointer, j int, is bool) unsafe.Pointer {
	if !is {
		return p
	}
	return unsafe.Add(p, 4*j)
}
