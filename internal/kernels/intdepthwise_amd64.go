//go:build amd64 && !purego

package kernels

// Depthwise integer convolution at the AVX2 level: the products of two taps at a time, of
// 16 channels.

//go:noescape
func depthTapsAVX2(acc *int32, x *uint8, w *int8, start *int32, taps *int, pairs, pixels, accStep, xStep int)

//go:noescape
func depthTapsSignedAVX2(acc *int32, x *uint8, w *int8, start *int32, taps *int, pairs, pixels, accStep, xStep int)

// packDepth brings w [C 1 KH KW] into depthForm: for each 16 channels and two taps the 16-bit
// pairs of channels 0 to 3, 8 to 11, 4 to 7, 12 to 15. A last tap without a partner has zeros.
func (s *IntConv) packDepth(p *IntWeights, w []uint8) {
	taps := s.KH * s.KW
	codeSumsAVX2(&p.sums[0], &w[0], s.O, taps)
	pairs := (taps + 1) / 2
	p.form, p.offset = depthForm, 0
	p.data = resize(p.data, ceil(s.C, 16)*pairs*4)
	for c := range s.C {
		// Bits 2 and 3 of the channel change places.
		at := c/16*pairs*64 + (c&3|c&4<<1|c&8>>1)*4
		for t := range taps {
			v := int8(w[c*taps+t])
			i := at + t/2*64 + t%2*2
			p.data[i], p.data[i+1] = v, v>>7
		}
	}
}

// rowsDepth is Rows for depthForm. As everywhere, what the last channels write beyond their
// pixel is overwritten by later ones.
func (s *IntConv) rowsDepth(acc []int32, x []uint8, xl Layout, p *IntWeights, n, oh0, oh1 int) {
	taps := s.KH * s.KW
	var buf [2 * segments]int
	off := offsets(buf[:], ceil(taps, 2))
	off[len(off)-1] = 0
	for t := range taps {
		off[t] = t/s.KW*s.DilH*xl.SH + t%s.KW*s.DilW*xl.SW
	}
	pairs := len(off) / 2
	for c := (s.C - 1) &^ 15; c >= 0; c -= 16 {
		w, start := &p.data[c*pairs*4], &p.start[c]
		for oh := oh0; oh < oh1; oh++ {
			at, from := (oh-oh0)*s.OW*s.C+c, xl.At(n, oh*s.StrideH-s.PadTop, -s.PadLeft, c)
			direct := s.OW
			if c+16 > s.C {
				direct = min(s.OW, max(0, len(acc)-at-16+s.C)/s.C)
			}
			if direct > 0 {
				s.depth(&acc[at], &x[from], w, start, &off[0], pairs, direct, 4*s.C, s.StrideW*xl.SW)
			}
			for i := direct; i < s.OW; i++ {
				var sums [16]int32
				s.depth(&sums[0], &x[from+i*s.StrideW*xl.SW], w, start, &off[0], pairs, 1, 0, 0)
				copy(acc[at+i*s.C:][:s.C-c], sums[:])
			}
		}
	}
}

func (s *IntConv) depth(acc *int32, x *uint8, w *int8, start *int32, taps *int, pairs, pixels, accStep, xStep int) {
	if s.Signed {
		depthTapsSignedAVX2(acc, x, w, start, taps, pairs, pixels, accStep, xStep)
	} else {
		depthTapsAVX2(acc, x, w, start, taps, pairs, pixels, accStep, xStep)
	}
}
