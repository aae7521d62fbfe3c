package kernels

// What sorts the gradient of a max pool's output for sparse products, and what belongs to the elements that won, one
// window at a time. A table has the places of up to 256 taps, and the index says which of them won.

// routeSlack is how many elements behind the last one the vector units read, or write where these are terms.
const routeSlack = 8

// tapPlaces are the places of some taps, seen from the first one of their window.
type tapPlaces struct {
	of   [256]int32
	taps int
}

// tapPlaces returns the places of the window's taps.
func (s *PoolShape) tapPlaces(place func(h, w int) int) tapPlaces {
	p := tapPlaces{taps: s.KH * s.KW}
	for tap := range p.taps {
		p.of[tap] = int32(place(tap/s.KW, tap%s.KW))
	}
	return p
}

// placeTermsPortable sets terms[i] to values[i] at first + i·step + places[index[i]].
func placeTermsPortable(terms []SparseTerm, values []float32, index []uint8, places *tapPlaces, first, step int32) {
	index, values = index[:len(terms)], values[:len(terms)]
	for i := range terms {
		terms[i] = SparseTerm{first + int32(i)*step + places.of[index[i]], values[i]}
	}
}

// sortTapsPortable writes values[i] at at[i] to terms, sorted by index[i], and the number of each of the taps to
// counts. The order within a tap is kept.
func sortTapsPortable(terms []SparseTerm, at []int32, values []float32, index []uint8, counts []int32) {
	clear(counts)
	index = index[:len(values)]
	for _, tap := range index {
		counts[tap]++
	}
	var next [256]int32
	sum := int32(0)
	for tap, n := range counts {
		next[tap] = sum
		sum += n
	}
	for i, tap := range index {
		terms[next[tap]] = SparseTerm{at[i], values[i]}
		next[tap]++
	}
}

// winnerBitsPortable sets bit i of dst to bit first + places[index[i]] + i of bits for n bits, and those that fill the
// last byte to 0.
func winnerBitsPortable(dst, index []uint8, n int, places *tapPlaces, first int32, bits []uint8) {
	clear(dst[:BitBytes(n)])
	for i, tap := range index[:n] {
		bit := first + places.of[tap] + int32(i)
		dst[i>>3] |= bits[bit>>3] >> (bit & 7) & 1 << (i & 7)
	}
}

// WinnerBits finds the bits of the elements that won their windows.
type WinnerBits struct {
	pool     PoolShape
	rowBytes int
	places   tapPlaces
}

// WinnerBits returns what finds them in bits of the pool's input, in rows of BitBytes(W·C) bytes.
func (s *PoolShape) WinnerBits() *WinnerBits {
	rowBytes := BitBytes(s.W * s.C)
	return &WinnerBits{*s, rowBytes, s.tapPlaces(func(h, w int) int { return 8*h*rowBytes + w*s.C })}
}

// Size returns the length of the bits of an image, BitBytes(C) for each window.
func (b *WinnerBits) Size() int { return b.pool.OH * b.pool.OW * BitBytes(b.pool.C) }

// Find writes the bits of the elements that index says won in image n, whose bits are given, to dst.
func (b *WinnerBits) Find(dst, index, bits []uint8, n int) {
	p := &b.pool
	size := BitBytes(p.C)
	for oh := range p.OH {
		for ow := range p.OW {
			first := 8*(oh*p.StrideH-p.PadTop)*b.rowBytes + (ow*p.StrideW-p.PadLeft)*p.C
			winnerBits(dst[(oh*p.OW+ow)*size:][:size], p.indexAt(index, n, oh, ow), p.C, &b.places, int32(first), bits)
		}
	}
}
