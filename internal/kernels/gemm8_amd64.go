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

func (g *GEMM8) run() {
	if gemm8Level == cpu.VNNI {
		g.runVNNI()
	} else {
		g.runPortable()
	}
}

// tile returns the tile at the origin.
func (g *GEMM8) tile() tile {
	t := tile{
		a: unsafe.Pointer(unsafe.SliceData(g.A)), b: unsafe.Pointer(unsafe.SliceData(g.W)), c: unsafe.Pointer(unsafe.SliceData(g.Acc)),
		aoff: unsafe.SliceData(g.AOff), segments: len(g.AOff), k: ceil4(g.K) / 4,
		rs: g.RS, bs: 4 * g.Width, ldc: 4 * g.LDC,
	}
	if g.K == 0 || len(g.AOff) == 0 {
		t.segments, t.rs = 0, 0 // A may be empty: its pointer must not move
	}
	return t
}

func (g *GEMM8) runVNNI() {
	t := g.tile()
	if g.Start != nil {
		t.init = unsafe.Pointer(unsafe.SliceData(g.Start))
	}
	// The kernels of 32 outputs assume that the first 16 are there.
	wide := g.N > panelWidth/2
	if !wide && g.Width == panelWidth {
		g.runPortable()
		return
	}
	t.mask = 1<<((g.N-1)&15+1) - 1
	a, c := t.a, t.c
	for i := 0; i < g.M; i += t.m {
		t.m = balance(g.M-i, tileRows)
		t.a, t.c = unsafe.Add(a, i*t.rs), unsafe.Add(c, i*t.ldc)
		if wide {
			gemm8Tile32(&t)
		} else {
			gemm8Tile16(&t)
		}
	}
}
