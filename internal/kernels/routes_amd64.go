//go:build amd64 && !purego

package kernels

import (
	"unsafe"

	"github.com/bitgrad/bitgrad/internal/cpu"
)

//go:noescape
func placeTermsAVX2(terms *byte, values *float32, index *uint8, n, windows int, places *int32, taps int, first, next, step int32)

//go:noescape
func sortTapsAVX2(terms *byte, at *int32, values *float32, index *uint8, n, windows int, counts *int32, taps int, orders *[8]int32)

//go:noescape
func winnerBitsAVX2(dst, index *uint8, n, windows int, places *int32, taps int, first, next int32, bits *uint8)

// routesLevel says which variant runs.
var routesLevel cpu.ISA

func init() {
	for _, level := range []cpu.ISA{cpu.Portable, cpu.AVX2} {
		register("routes", level, func() { routesLevel = level })
	}
}

func placeTerms(terms []SparseTerm, values []float32, index []uint8, n int, places *tapPlaces, at progression) {
	if size := len(terms); routesLevel >= cpu.AVX2 && n >= 8 && size > 0 {
		placeTermsAVX2((*byte)(unsafe.Pointer(&terms[0])), &values[:size][0], &index[:size][0], n, size/n, &places.of[0], places.taps, at.first, at.next, at.step)
		return
	}
	placeTermsPortable(terms, values, index, n, places, at)
}

// sortTaps takes AVX2 where a few taps share many values and there is room behind the operands.
func sortTaps(terms []SparseTerm, at []int32, values []float32, index []uint8, n int, counts []int32, taps int) {
	size := len(terms)
	if room := size + routeSlack; routesLevel >= cpu.AVX2 && n >= 8 && size > 0 && taps <= 16 &&
		cap(terms) >= room && cap(at) >= n+routeSlack && cap(values) >= room && cap(index) >= room {
		sortTapsAVX2((*byte)(unsafe.Pointer(&terms[0])), &at[0], &values[0], &index[0], n, size/n, &counts[:size/n*taps][0], taps, &orders[0])
		return
	}
	sortTapsPortable(terms, at, values, index, n, counts, taps)
}

// winnerBits takes AVX2 where there is room behind the operands.
func winnerBits(dst, index []uint8, n, windows int, places *tapPlaces, at progression, bits []uint8) {
	size := n * windows
	if routesLevel >= cpu.AVX2 && size > 0 && cap(index) >= size+routeSlack && cap(bits) >= len(bits)+routeSlack {
		winnerBitsAVX2(&dst[:BitBytes(size)][0], &index[:size][0], n, windows, &places.of[0], places.taps, at.first, at.next, &bits[0])
		return
	}
	winnerBitsPortable(dst, index, n, windows, places, at, bits)
}

// orders are, for each set of four terms, the 32-bit words that bring its members to the front.
var orders = func() (o [16][8]int32) {
	for set := range o {
		k := 0
		for term := range int32(4) {
			if set>>term&1 != 0 {
				o[set][2*k], o[set][2*k+1] = 2*term, 2*term+1
				k++
			}
		}
	}
	return o
}()
