package kernels

// For kernels with short rows panelForm has lines in which the rows are woven: each column of the input holds the
// codes of all KH rows, so that a window is one run of KW·KH·C codes,
//
//	line[(w·KH + kh)·C + c] = x[oh·StrideH + kh·DilH − PadTop, w − PadLeft, c] + offset
//
// and a code is copied KH times, not once for each window that has it.

// weaveBlock is the number of codes of a row that are woven at once; weaveRows bounds the number of rows.
const weaveBlock, weaveRows = 16, 16

// weave brings the codes for output rows oh to oh+rows-1 into scratch.
func (s *IntConv) weave(p *IntWeights, l *lowering, scratch, x []uint8, xl Layout, n, oh, rows int) {
	columns := l.line / l.column
	for r := range rows {
		dst, src := scratch[r*l.line:], x[xl.At(n, (oh+r)*s.StrideH-s.PadTop, -s.PadLeft, 0):]
		if s.weaveOwn(p, l, dst, src, xl, columns) {
			continue
		}
		for kh := range s.KH {
			offsetRows(dst[kh*s.C:], src[kh*s.DilH*xl.SH:], s.C, columns, l.column, xl.SW, uint8(s.offset()))
		}
	}
}

// setWeave computes for each row and byte of a woven block which code of the row goes there; 0x80 means none.
func (s *IntConv) setWeave(p *IntWeights) {
	columns := weaveBlock / s.C
	block := columns * s.KH * s.C
	p.weave = resize(p.weave, s.KH*ceil(block, 64))
	for i := range p.weave {
		at, kh := i/(64*s.KH)*64+i%64, i/64%s.KH // place in the block, row
		p.weave[i] = 0x80
		if at < block && at/s.C%s.KH == kh {
			p.weave[i] = uint8(at/(s.KH*s.C)*s.C + at%s.C)
		}
	}
}
