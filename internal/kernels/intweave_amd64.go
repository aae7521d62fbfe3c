//go:build amd64 && !purego

package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

//go:noescape
func weaveAVX512(dst, src, table *uint8, blocks, vectors, rows, dstStep, srcStep, rowStep int, offset uint32)

// weaveOwn weaves the rows of one line, if the level and the layout of x let it. It reads and writes
// whole blocks.
func (s *IntConv) weaveOwn(p *IntWeights, l *lowering, dst, src []uint8, xl Layout, columns int) bool {
	if intLevel < cpu.VNNI || !xl.Packed() {
		return false
	}
	block := weaveBlock / s.C
	weaveAVX512(&dst[0], &src[0], &p.weave[0], (columns+block-1)/block, len(p.weave)/(64*s.KH), s.KH,
		block*l.column, block*s.C, s.DilH*xl.SH, uint32(s.offset())*0x01010101)
	return true
}
