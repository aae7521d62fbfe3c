//go:build !amd64 || purego

package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

func init() { register("routes", cpu.Portable, func() {}) }

func placeTerms(terms []SparseTerm, values []float32, index []uint8, places *tapPlaces, first, step int32) {
	placeTermsPortable(terms, values, index, places, first, step)
}

func sortTaps(terms []SparseTerm, at []int32, values []float32, index []uint8, counts []int32) {
	sortTapsPortable(terms, at, values, index, counts)
}

func winnerBits(dst, index []uint8, n int, places *tapPlaces, first int32, bits []uint8) {
	winnerBitsPortable(dst, index, n, places, first, bits)
}
