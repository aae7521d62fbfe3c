//go:build amd64 && !purego

package kernels

import (
	"unsafe"

	"github.com/bitgrad/bitgrad/internal/cpu"
)

//go:noescape
func sparseAVX2(dst, src *float32, groups, terms *byte, n, termStep, dstStep, srcStep, rows, vectors int)

// sparseLevel says which variant runs.
var sparseLevel cpu.ISA

func init() {
	for _, level := range []cpu.ISA{cpu.Portable, cpu.AVX2} {
		register("sparse", level, func() { sparseLevel = level })
	}
}

// sparseRows is, by the number of vectors in a row of a tile, how many rows it may have.
var sparseRows = [...]int{1: 6, 2: 6, 3: 4, 4: 3, 5: 2, 6: 2, 7: 2, 8: 1, 9: 1, 10: 1, 11: 1, 12: 1, 13: 1, 14: 1}

// run goes through all groups tile by tile, so that the part of Src or Dst that tiles share stays in
// the cache.
func (p *SparseProduct) run() {
	if sparseLevel < cpu.AVX2 {
		p.runPortable()
		return
	}
	all := p.Width / sparseVector
	cuts := (all + len(sparseRows) - 2) / (len(sparseRows) - 1)
	for i := range cuts {
		from, to := i*all/cuts, (i+1)*all/cuts
		for r, rows := 0, 0; r < p.Rows; r += rows {
			rows = min(sparseRows[to-from], p.Rows-r)
			dst, src := unsafe.SliceData(p.Dst), unsafe.SliceData(p.Src)
			sparseAVX2((*float32)(unsafe.Add(unsafe.Pointer(dst), 4*(r*p.DstStep+from*sparseVector))),
				(*float32)(unsafe.Add(unsafe.Pointer(src), 4*(r*p.SrcStep+from*sparseVector))),
				(*byte)(unsafe.Pointer(unsafe.SliceData(p.Groups))), (*byte)(unsafe.Pointer(unsafe.SliceData(p.Terms))), len(p.Groups),
				8*p.TermStep, 4*p.DstStep, 4*p.SrcStep, rows, to-from)
		}
	}
}
