//go:build amd64 && !purego

package kernels

import (
	"unsafe"

	"github.com/bitgrad/bitgrad/internal/cpu"
)

//go:noescape
func gemm8Tile32(t *tile)

//go:noescape
func gemm8Tile16(t *tile)

// gemm8Level says which variant runs.
var gemm8Level cpu.ISA

func init() {
	for _, level := range []cpu.ISA{cpu.Portable, cpu.VNNI} {
		register("gemm8", level, func() { gemm8Level = level })
	}
}

func (g *GEMM8) runEach(times, stepA, stepC int) {
	// The kernels of 32 outputs assume that the first 16 are there.
	if gemm8Level == cpu.VNNI && (g.N > panelWidth/2 || g.Width < panelWidth) {
		g.runVNNI(times, stepA, 4*stepC)
	} else {
		g.runEachPortable(times, stepA, stepC)
	}
}

// tile returns the tile at the origin.
func (g *GEMM8) tile() tile {
	t := tile{
		a: unsafe.Pointer(unsafe.SliceData(g.A)), b: unsafe.Pointer(unsafe.SliceData(g.W)), c: unsafe.Pointer(unsafe.SliceData(g.Acc)),
		aoff: unsafe.SliceData(g.AOff), segments: len(g.AOff), k: ceil4(g.K) / 4,
		rs: g.RS, ldc: 4 * g.LDC,
	}
	if g.K == 0 || len(g.AOff) == 0 {
		t.segments, t.rs = 0, 0 // A may be empty: its pointer must not move
	}
	return t
}

// runVNNI computes several products whose operands lie some bytes apart, in as many calls as patience asks for.
func (g *GEMM8) runVNNI(times, stepA, stepC int) {
	t := g.tile()
	if g.Start != nil {
		t.init = unsafe.Pointer(unsafe.SliceData(g.Start))
	}
	t.mask = 1<<((g.N-1)&15+1) - 1
	rows := narrowRows
	if g.Width == panelWidth {
		rows = tileRows
	}
	a, c := t.a, t.c
	most := max(1, patience/max(1, g.M*g.Width*len(g.AOff)*g.K))
	for times > 0 {
		now := min(times, most)
		for _, part := range partsOfRows(g.M, rows) {
			if part.tiles == 0 {
				continue
			}
			t.a, t.c, t.m = unsafe.Add(a, part.first*t.rs), unsafe.Add(c, part.first*t.ldc), part.height
			t.each(part.tiles, now, stepA, 0, stepC)
			if g.Width == panelWidth {
				gemm8Tile32(&t)
			} else {
				gemm8Tile16(&t)
			}
		}
		if times -= now; times > 0 {
			a, c = unsafe.Add(a, now*stepA), unsafe.Add(c, now*stepC)
		}
	}
}
