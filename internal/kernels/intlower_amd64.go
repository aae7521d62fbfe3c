//go:build amd64 && !purego

package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

// At the AVX2 level an integer convolution runs in two steps. The first brings the codes that
// a band of output rows needs into scratch memory, where they are 16 bits wide or, for
// narrow operands, bytes without sign; a layer with few input channels gathers the window of
// each pixel there. The second multiplies them with panels of weights.
//
// Four bytes of scratch meet 32 bytes of a panel, which belong to eight columns: two
// codes of 16 bits with VPMADDWD, whose sums of 32 bits wrap as the accumulators do, or four
// bytes with VPMADDUBSW, whose sums of 16 bits must not overflow before they are widened.
// Pack chooses: bytes if for codes of up to a and weights of up to w
//
//	2·a·w·steps ≤ 32767    for at least two steps of four bytes.

//go:noescape
func widenRowsAVX2(dst, src *uint8, n, rows, dstStep, srcStep int, offset uint32)

//go:noescape
func widenSignedRowsAVX2(dst, src *uint8, n, rows, dstStep, srcStep int, offset uint32)

//go:noescape
func offsetRowsAVX2(dst, src *uint8, n, rows, dstStep, srcStep int, offset uint32)

//go:noescape
func widenTapsAVX2(dst, src *uint8, pixels, taps, dstStep, srcStep, dstTap, srcTap int, offset uint32)

//go:noescape
func widenSignedTapsAVX2(dst, src *uint8, pixels, taps, dstStep, srcStep, dstTap, srcTap int, offset uint32)

//go:noescape
func offsetTapsAVX2(dst, src *uint8, pixels, taps, dstStep, srcStep, dstTap, srcTap int, offset uint32)

// copyRows copies rows of n codes in the form of l; steps are in bytes.
func (s *IntConv) copyRows(l *lowering, dst, src []uint8, n, rows, dstStep, srcStep int) {
	switch {
	case intLevel == cpu.Portable:
		offsetRows(dst, src, n, rows, dstStep, srcStep, uint8(s.offset()))
	case l.size == 1:
		offsetRowsAVX2(&dst[0], &src[0], n, rows, dstStep, srcStep, uint32(s.offset())*0x01010101)
	case s.Signed:
		widenSignedRowsAVX2(&dst[0], &src[0], n, rows, dstStep, srcStep, 0)
	default:
		widenRowsAVX2(&dst[0], &src[0], n, rows, dstStep, srcStep, 0)
	}
}

// copyTaps copies up to 32 bytes of dst for each tap of each pixel.
func (s *IntConv) copyTaps(l *lowering, dst, src *uint8, pixels, taps, dstStep, srcStep, dstTap, srcTap int) {
	switch {
	case l.size == 1:
		offsetTapsAVX2(dst, src, pixels, taps, dstStep, srcStep, dstTap, srcTap, uint32(s.offset())*0x01010101)
	case s.Signed:
		widenSignedTapsAVX2(dst, src, pixels, taps, dstStep, srcStep, dstTap, srcTap, 0)
	default:
		widenTapsAVX2(dst, src, pixels, taps, dstStep, srcStep, dstTap, srcTap, 0)
	}
}

// gather copies the window of each pixel of output rows oh to oh+rows-1 into scratch.
func (s *IntConv) gather(l *lowering, scratch, x []uint8, xl Layout, n, oh, rows int) {
	x = x[xl.Row(n, oh*s.StrideH-s.PadTop)-s.PadLeft*xl.SW:]
	tap := l.run / s.KH * l.size // bytes of a kernel row
	for r := range rows {
		src, line := x[r*s.StrideH*xl.SH:], scratch[r*l.line*l.size:]
		if xl.Packed() {
			s.copyTaps(l, &line[0], &src[0], s.OW, s.KH, l.pixel*l.size, s.StrideW*xl.SW, tap, s.DilH*xl.SH)
			continue
		}
		for ow := range s.OW {
			for kh := range s.KH {
				s.copyTaps(l, &line[ow*l.pixel*l.size+kh*tap], &src[ow*s.StrideW*xl.SW+kh*s.DilH*xl.SH], 1, s.KW, 0, 0, s.C*l.size, xl.SW)
			}
		}
	}
}

// Panels have 8, 16 or 24 columns, one to three vectors: the last columns of a group lie in its
// first panel, so that what a product writes beyond them is overwritten by a later one.

// firstPanel returns the vectors of the first panel of a number of columns.
func firstPanel(columns int) int {
	switch vectors := ceil(columns, 8) / 8; {
	case vectors == 1:
		return 1
	case vectors%2 == 1:
		return 3
	}
	return 2
}

// eachPanel calls f for the panels of one group in their order.
func eachPanel(columns int, f func(j, vectors int)) {
	first := firstPanel(columns)
	rest := ceil(columns, 8) - 8*first
	f(rest, first)
	for j := 0; j < rest; j += 16 {
		f(j, 2)
	}
}
