//go:build !amd64 || purego

package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

func init() { register("routes", cpu.Portable, func() {}) }

func placeTerms(terms []SparseTerm, values []float32, index []uint8, n int, places *tapPlaces, at progression) {
	placeTermsPortable(terms, values, index, n, places, at)
}

func sortTaps(terms []SparseTerm, at []int32, values []float32, index []uint8, n int, counts []int32, taps int) {
	sortTapsPortable(terms, at, values, index, n, counts, taps)
}

func winnerBits(dst, index []uint8, n, windows int, places *tapPlaces, at progression, bits []uint8) {
	winnerBitsPortable(dst, index, n, windows, places, at, bits)
}
