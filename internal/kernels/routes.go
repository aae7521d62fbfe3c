package kernels

// What sorts the gradient of a max pool's output for sparse products, one window at a time. The places of its
// taps and the taps themselves are tables of 256 and bytes.

// routeSlack is how many elements or bytes behind the last one the vector units read, or write where these are terms.
const routeSlack = 4

// placeTermsPortable sets terms[i] to values[i] at first + places[index[i]].
func placeTermsPortable(terms []SparseTerm, values []float32, index []uint8, places *[256]int32, first int32) {
	index, values = index[:len(terms)], values[:len(terms)]
	for i := range terms {
		terms[i] = SparseTerm{first + places[index[i]], values[i]}
	}
}

// keepPassedPortable zeroes values[i] unless bit first + places[index[i]] + i is set.
func keepPassedPortable(values []float32, index []uint8, places *[256]int32, first int32, bits []uint8) {
	for i, tap := range index[:len(values)] {
		if bit := first + places[tap] + int32(i); bits[bit>>3]>>(bit&7)&1 == 0 {
			values[i] = 0
		}
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
