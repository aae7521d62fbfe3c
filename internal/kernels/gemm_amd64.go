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

func (g *GEMM) run() {
	switch gemmLevel {
	case cpu.AVX512:
		g.runAVX512(g.tile())
	case cpu.AVX2:
		g.runAVX2(g.tile())
	default:
		g.runPortable()
	}
}

func (g *GEMM) runEach(times, stepA, stepB, stepC int) {
	if gemmLevel == cpu.Portable {
		g.runEachPortable(times, stepA, stepB, stepC)
		return
	}
	t := g.tile()
	for range times {
		if gemmLevel == cpu.AVX512 {
			g.runAVX512(t)
		} else {
			g.runAVX2(t)
		}
		times--
		if times == 0 { // the pointers must not leave the operands
			return
		}
		t.a, t.b, t.c = unsafe.Add(t.a, 4*stepA), unsafe.Add(t.b, 4*stepB), unsafe.Add(t.c, 4*stepC)
	}
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
	// Rows that follow one another are read at 4·tileRows bytes per step; transposed
	// ones step by step.
	t.pace = 4 * tileRows
	if g.CS > 1 {
		t.pace = t.cs
	}
	return t
}

func (g *GEMM) runAVX512(t tile) {
	a, b, c, init := t.a, t.b, t.c, t.init
	most := tileRows
	if t.rs%2048 == 0 && g.CS == 1 {
		most = tileRows / 2 // such rows share their places in the first-level cache
	}
	for j := 0; j < g.N; j += panelWidth {
		t.b, t.init = columnOf(b, j, t.segments > 0), columnOf(init, j, init != nil)
		n := min(g.N-j, panelWidth)
		t.mask = 1<<((n-1)&15+1) - 1
		top := unsafe.Add(c, 4*j)
		for i := 0; i < g.M; i += t.m {
			t.m = balance(g.M-i, most)
			t.ahead = t.m * t.rs
			t.a, t.c = unsafe.Add(a, i*t.rs), unsafe.Add(top, i*t.ldc)
			if n > panelWidth/2 {
				gemmTile32(&t)
			} else {
				gemmTile16(&t)
			}
		}
	}
}

// columnOf returns the place of column j of an operand, if there is one.
func columnOf(p unsafe.Pointer, j int, is bool) unsafe.Pointer {
	if !is {
		return p
	}
	return unsafe.Add(p, 4*j)
}

func (g *GEMM) runAVX2(t tile) {
	t.pace = 4 * t.cs // for four steps at once, which prefetch two lines
	if g.CS == 1 {
		t.pace = 128
	}
	a, b, c, init := t.a, t.b, t.c, t.init
	for j := 0; j < g.N; {
		t.a, t.c = a, unsafe.Add(c, 4*j)
		t.b, t.init = columnOf(b, j, t.segments > 0), columnOf(init, j, init != nil)
		n, most := 16, 6
		if g.N-j < 16 {
			n, most = min(g.N-j, 8), 8
			t.mask, t.lanes = uint64(n), unsafe.Pointer(&lanes[8-n])
		}
		// As few tiles as possible, the first ones a row higher than the others.
		tiles := (g.M + most - 1) / most
		height, higher := g.M/tiles, g.M%tiles
		if higher > 0 {
			t.run(n, height+1, higher)
			rows := higher * (height + 1)
			t.a, t.c = unsafe.Add(t.a, rows*t.rs), unsafe.Add(t.c, rows*t.ldc)
		}
		t.run(n, height, tiles-higher)
		j += n
	}
}

// run computes tiles of n columns and m rows, one below the other.
func (t *tile) run(n, m, tiles int) {
	t.m, t.lines, t.ahead = m, tiles, m*t.rs
	if n == 16 {
		gemmTile16AVX2(t)
	} else {
		gemmTile8AVX2(t)
	}
}
