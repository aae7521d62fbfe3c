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

//go:noescape
func gemm8Tile32Signed(t *tile)

//go:noescape
func gemm8Tile16Signed(t *tile)

//go:noescape
func gemm8Tile16AVX2(t *tile)

// gemm8Level says which variant runs.
var gemm8Level cpu.ISA

func init() {
	for _, level := range []cpu.ISA{cpu.Portable, cpu.AVX2, cpu.VNNI} {
		register("gemm8", level, func() { gemm8Level = level })
	}
}

func (g *GEMM8) run() {
	switch gemm8Level {
	case cpu.VNNI:
		g.runVNNI()
	case cpu.AVX2:
		g.runAVX2()
	default:
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
		switch {
		case wide && g.Signed:
			gemm8Tile32Signed(&t)
		case wide:
			gemm8Tile32(&t)
		case g.Signed:
			gemm8Tile16Signed(&t)
		default:
			gemm8Tile16(&t)
		}
	}
}

func (g *GEMM8) runAVX2() {
	t := g.tile()
	if g.Signed {
		t.mask = 0x80808080
	}
	var sums [2][16]int32
	t.c = unsafe.Pointer(&sums)
	a, w, step := t.a, t.b, t.rs
	for j := 0; j < g.N; j += 16 {
		t.b = unsafe.Add(w, 4*j)
		n := min(g.N-j, 16)
		for i := 0; i < g.M; i += 2 {
			t.a, t.rs = unsafe.Add(a, i*step), step
			if i+1 == g.M {
				t.rs = 0 // the second row is the first again, and unused
			}
			gemm8Tile16AVX2(&t)
			for r := range min(2, g.M-i) {
				acc := g.Acc[(i+r)*g.LDC+j:][:n]
				copy(acc, sums[r][:])
				if g.Start != nil {
					for c, v := range g.Start[j : j+n] {
						acc[c] += v
					}
				}
			}
		}
	}
}
