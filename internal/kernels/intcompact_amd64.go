//go:build amd64 && !purego

package kernels

import "unsafe"

// Weights of narrowForm that have four bits or two can wait in as many: a panel is unpacked into
// scratch, next to the registers, before the pixels of a band are multiplied with it. 32 packed bytes
// hold as many bytes of two or four vectors of the panel: byte i those at i, from the
// lowest bits on.

// compactPanel bounds the bytes of a panel that is unpacked, which is to stay in the cache.
const compactPanel = 32 << 10

//go:noescape
func unpack4AVX2(dst, src *int8, vectors int)

//go:noescape
func unpack2AVX2(dst, src *int8, vectors int)

// compactRoom returns the bytes of scratch that a panel needs, 0 if panels are too large.
func (s *IntConv) compactRoom() int {
	l := s.lower(narrowForm)
	_, og := s.groups()
	vectors := 0
	eachPanel(og, func(_, v int) { vectors = max(vectors, v) })
	if n := 8 * vectors * l.codes(); n <= compactPanel {
		return ceil(n, 4*32)
	}
	return 0
}

// Compact stores packed weights of at most four bits in as many bits, where the form knows how. It
// allocates, and is for weights that stay.
func (s *IntConv) Compact(p *IntWeights) {
	if p.form != narrowForm || p.width < 8 || s.compactRoom() == 0 {
		return
	}
	width := 2
	for _, w := range p.data {
		if w < -8 || w > 7 {
			return
		}
		if w < -2 || w > 1 {
			width = 4
		}
	}
	l := s.lower(narrowForm)
	_, og := s.groups()
	var packed []int8
	data := p.data
	for range s.Groups {
		eachPanel(og, func(_, vectors int) {
			n := 8 * vectors * l.codes()
			packed = append(packed, packBits(data[:n], width)...)
			data = data[n:]
		})
	}
	p.data, p.order, p.width = packed, nil, width
}

// packBits returns a panel with so many bits for each weight.
func packBits(panel []int8, width int) []int8 {
	parts := 8 / width
	packed := make([]int8, ceil(len(panel), 32*parts)/parts)
	for i, w := range panel {
		at, part := i/(32*parts)*32+i%32, i/32%parts
		packed[at] |= int8(uint8(w) & (1<<width - 1) << (part * width))
	}
	return packed
}

// unpackPanel unpacks a panel of n weights into room and returns it, and the packed ones behind.
func (p *IntWeights) unpackPanel(room []uint8, data []int8, n int) (panel, rest []int8) {
	parts := 8 / p.width
	vectors := ceil(n, 32*parts) / (32 * parts)
	panel = unsafe.Slice((*int8)(unsafe.Pointer(&room[0])), n)
	if p.width == 4 {
		unpack4AVX2(&panel[0], &data[0], vectors)
	} else {
		unpack2AVX2(&panel[0], &data[0], vectors)
	}
	return panel, data[32*vectors:]
}
