//go:build amd64 && !purego

package kernels

import (
	"unsafe"

	"github.com/bitgrad/bitgrad/internal/cpu"
)

//go:noescape
func placeTermsAVX2(terms *byte, values *float32, index *uint8, n int, places *int32, taps int, first, step int32)

//go:noescape
func sortTapsAVX2(terms *byte, at *int32, values *float32, index *uint8, n int, counts *int32, taps int, orders *[8]int32)

//go:noescape
func winnerBitsAVX2(dst, index *uint8, n int, places *int32, taps int, first int32, bits *uint8)

// routesLevel says which variant runs.
var routesLevel cpu.ISA

func init() {
	for _, level := range []cpu.ISA{cpu.Portable, cpu.AVX2} {
		register("routes", level, func() { routesLevel = level })
	}
}

func placeTerms(terms []SparseTerm, values []float32, index []uint8, places *tapPlaces, first, step int32) {
	if n := len(terms); routesLevel >= cpu.AVX2 && n >= 8 {
		placeTermsAVX2((*byte)(unsafe.Pointer(&terms[0])), &values[:n][0], &index[:n][0], n, &places.of[0], places.taps, first, step)
		return
	}
	placeTermsPortable(terms, values, index, places, first, step)
}

// winnerBits takes AVX2 where there is room behind the operands.
func winnerBits(dst, index []uint8, n int, places *tapPlaces, first int32, bits []uint8) {
	if routesLevel >= cpu.AVX2 && n > 0 && cap(index) >= n+routeSlack && cap(bits) >= len(bits)+routeSlack {
		winnerBitsAVX2(&dst[:BitBytes(n)][0], &index[:n][0], n, &places.of[0], places.taps, first, &bits[0])
		return
	}
	winnerBitsPortable(dst, index, n, places, first, bits)
}

// sortTaps takes AVX2 where a few taps share many values and there is room behind them.
func sortTaps(terms []SparseTerm, at []int32, values []float32, index []uint8, counts []int32) {
	n := len(values)
	if room := n + routeSlack; routesLevel >= cpu.AVX2 && n >= 8 && len(counts) <= 16 && cap(terms) >= room && cap(at) >= room && cap(values) >= room && cap(index) >= room {
		sortTapsAVX2((*byte)(unsafe.Pointer(&terms[0])), &at[0], &values[0], &index[0], n, &counts[0], len(counts), &orders[0])
		return
	}
	sortTapsPortable(terms, at, values, index, counts)
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
