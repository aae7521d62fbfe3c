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
	switch gemmLevel {
	case cpu.AVX512:
		for t := g.tile(); ; t.a, t.b, t.c = unsafe.Add(t.a, 4*stepA), unsafe.Add(t.b, 4*stepB), unsafe.Add(t.c, 4*stepC) {
			g.runAVX512(t)
			if times--; times == 0 {
				return
			}
		}
	case cpu.AVX2:
		g.runAVX2(times, 4*stepA, 4*stepB, 4*stepC)
	default:
		g.runEachPortable(times, stepA, stepB, stepC)
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

// runAVX2 computes several products whose operands lie some bytes apart.
func (g *GEMM) runAVX2(times, stepA, stepB, stepC int) {
	t := g.tile()
	t.pace = 4 * t.cs // for four steps at once, which prefetch two lines
	if g.CS == 1 {
		t.pace = 128
	}
	a, b, c, init := t.a, t.b, t.c, t.init
	for j := 0; j < g.N; {
		t.b, t.init = columnOf(b, j, t.segments > 0), columnOf(init, j, init != nil)
		n, most := 16, 6
		if g.N-j < 16 {
			n, most = min(g.N-j, 8), 8
			t.mask, t.lanes = uint64(n), unsafe.Pointer(&lanes[8-n])
		}
		// As few tiles as possible, the first ones a row higher than the others.
		tiles := (g.M + most - 1) / most
		height, higher := g.M/tiles, g.M%tiles
		row := 0
		for _, part := range [2]struct{ tiles, height int }{{higher, height + 1}, {tiles - higher, height}} {
			if part.tiles == 0 {
				continue
			}
			t.a, t.c = unsafe.Add(a, row*t.rs), unsafe.Add(c, row*t.ldc+4*j)
			t.m, t.lines, t.times, t.ahead = part.height, part.tiles, times, part.height*t.rs
			t.stepA, t.stepC = t.m*t.rs, t.m*t.ldc
			t.lineA, t.lineB, t.lineC = stepA-(t.lines-1)*t.stepA, stepB, stepC-(t.lines-1)*t.stepC
			if n == 16 {
				gemmTile16AVX2(&t)
			} else {
				gemmTile8AVX2(&t)
			}
			row += part.tiles * part.height
		}
		j += n
	}
}
