package datasets

import (
	"math/bits"
	"math/rand/v2"
)

// Rand is the random source handed to an [Augmenter]: a PCG generator whose
// seed is a function of what is being decided (the seed of the run, the epoch,
// the sample), never of when or where. Its draws are the same on every machine,
// 32-bit ones included.
//
// A Rand belongs to one goroutine.
type Rand struct{ pcg rand.PCG }

// Streams keep the uses of one user seed apart: the order of the samples tells
// nothing about how they are cropped, or how the digits are drawn.
const (
	streamOrder   = 0x9e3779b97f4a7c15
	streamAugment = 0xc2b2ae3d27d4eb4f
	streamGlyph   = 0x165667b19e3779f9
	streamValid   = 0x27d4eb2f165667c5
	streamHeldOut = 0x85ebca77c2b2ae63
)

// reseed starts the sequence that belongs to (stream, seed, a, b).
func (r *Rand) reseed(stream, seed, a, b uint64) {
	high := mix(stream ^ mix(seed))
	r.pcg.Seed(high, mix(high^mix(a)^bits.RotateLeft64(mix(b), 32)))
}

// mix is the finalizer of SplitMix64: a bijection under which neighbouring
// inputs have unrelated outputs.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Uint64 returns 64 random bits.
func (r *Rand) Uint64() uint64 { return r.pcg.Uint64() }

// IntN returns a number in [0, n), or 0 where n < 2. The draw is Lemire's
// multiplication with rejection, so it has no bias.
func (r *Rand) IntN(n int) int {
	if n < 2 {
		return 0
	}
	bound := uint64(n)
	high, low := bits.Mul64(r.pcg.Uint64(), bound)
	if low < bound {
		for threshold := -bound % bound; low < threshold; {
			high, low = bits.Mul64(r.pcg.Uint64(), bound)
		}
	}
	return int(high)
}

// Between returns a number in [low, high], both included; low where high < low.
func (r *Rand) Between(low, high int) int { return low + r.IntN(high-low+1) }

// Bool returns true for one draw in two.
func (r *Rand) Bool() bool { return r.pcg.Uint64()>>63 != 0 }

// shuffle fills order with a permutation of 0…len(order)−1 (Fisher–Yates).
func (r *Rand) shuffle(order []int) {
	for i := range order {
		j := r.IntN(i + 1)
		order[i] = order[j]
		order[j] = i
	}
}
