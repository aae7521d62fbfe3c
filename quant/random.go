package quant

// KeyedRand draws random numbers by index, not in sequence: the number of an element
// depends on the key and on the element's index only. Threads, tiling and padding
// therefore never change what stochastic rounding does.
//
// The generator is SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number
// Generators, 2014) with the index as its counter:
//
//	mix(h):  h ^= h >> 30;  h *= 0xbf58476d1ce4e5b9
//	         h ^= h >> 27;  h *= 0x94d049bb133111eb
//	         h ^= h >> 31
//	At(i) = (mix(key + (i+1)·0x9e3779b97f4a7c15) >> 40) · 2^-24
//
// in 64-bit arithmetic that wraps.
type KeyedRand struct{ key uint64 }

const golden = 0x9e3779b97f4a7c15 // 2^64 / golden ratio, odd

func mix(h uint64) uint64 {
	h ^= h >> 30
	h *= 0xbf58476d1ce4e5b9
	h ^= h >> 27
	h *= 0x94d049bb133111eb
	return h ^ h>>31
}

// NewKeyedRand returns the generator of one node in one micro-batch of one step. The key is the
// 64-bit FNV-1a hash of name, into which seed, step and micro are mixed in this order by
// h = mix((h ^ v) + 0x9e3779b97f4a7c15).
func NewKeyedRand(seed, step uint64, micro uint32, name string) KeyedRand {
	h := uint64(0xcbf29ce484222325)
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 0x100000001b3
	}
	for _, v := range [3]uint64{seed, step, uint64(micro)} {
		h = mix((h ^ v) + golden)
	}
	return KeyedRand{key: h}
}

// At returns the number of an index: a multiple of 2^-24 from [0, 1), each equally
// likely. The index is the logical one, in NCHW or OIHW order.
func (k KeyedRand) At(index uint64) float32 {
	return float32(mix(k.key+(index+1)*golden)>>40) * 0x1p-24
}

// Uniform returns NewKeyedRand(seed, step, micro, name).At(index). Loops keep the
// KeyedRand, which hashes the name once.
func Uniform(seed, step uint64, micro uint32, name string, index uint64) float32 {
	return NewKeyedRand(seed, step, micro, name).At(index)
}
