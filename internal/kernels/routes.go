package kernels

// What sorts the gradient of a max pool's output for sparse products, and what belongs to the elements that won: for
// windows that follow one another, of n outputs each. A table has the places of up to 256 taps, and the index says
// which of them won.

// routeSlack is how many elements behind the last one the vector units read, or write where these are terms.
const routeSlack = 16

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

// A progression is first, first + next, ... for the windows of a row, and step more for each output.
type progression struct{ first, next, step int32 }

// placeTermsPortable sets terms[w·n+i] to the value there, at first + w·next + i·step and the place of the tap that
// won.
func placeTermsPortable(terms []SparseTerm, values []float32, index []uint8, n int, places *tapPlaces, at progression) {
	for len(terms) > 0 {
		for i, v := range values[:n] {
			terms[i] = SparseTerm{at.first + int32(i)*at.step + places.of[index[i]], v}
		}
		terms, values, index = terms[n:], values[n:], index[n:]
		at.first += at.next
	}
}

// sortTapsPortable writes the values of each window, at[i] for output i, to terms in the order of the taps that won,
// and how many each of the taps has to counts, window by window. The order within a tap is kept.
func sortTapsPortable(terms []SparseTerm, at []int32, values []float32, index []uint8, n int, counts []int32, taps int) {
	clear(counts)
	for len(terms) > 0 {
		var next [256]int32
		for _, tap := range index[:n] {
			counts[tap]++
		}
		sum := int32(0)
		for tap, n := range counts[:taps] {
			next[tap] = sum
			sum += n
		}
		for i, tap := range index[:n] {
			terms[next[tap]] = SparseTerm{at[i], values[i]}
			next[tap]++
		}
		terms, values, index, counts = terms[n:], values[n:], index[n:], counts[taps:]
	}
}

// winnerBitsPortable sets bit w·n+i of dst to bit first + w·next + i and the place of the tap that won of bits, and those
// that fill the last byte to 0.
func winnerBitsPortable(dst, index []uint8, n, windows int, places *tapPlaces, at progression, bits []uint8) {
	clear(dst[:BitBytes(windows*n)])
	for i, tap := range index[:windows*n] {
		bit := at.first + int32(i/n)*at.next + places.of[tap] + int32(i%n)
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

// Size returns the length of the bits of an image, in rows of BitBytes(OW·C) bytes.
func (b *WinnerBits) Size() int { return b.pool.OH * BitBytes(b.pool.OW*b.pool.C) }

// Find writes the bits of the elements that index says won in image n, whose bits are given, to dst.
func (b *WinnerBits) Find(dst, index, bits []uint8, n int) {
	p := &b.pool
	size := BitBytes(p.OW * p.C)
	for oh := range p.OH {
		at := progression{first: int32(8*(oh*p.StrideH-p.PadTop)*b.rowBytes - p.PadLeft*p.C), next: int32(p.StrideW * p.C)}
		winnerBits(dst[oh*size:][:size], p.indexAt(index, n, oh, 0), p.C, p.OW, &b.places, at, bits)
	}
}
