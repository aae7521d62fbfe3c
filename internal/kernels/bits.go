package kernels

import (
	"fmt"

	"github.com/bitgrad/bitgrad/internal/cpu"
)

// Pass bits say for each element of a row whether its gradient passes. Bit i mod 8 of
// byte i/8 belongs to element i; a row begins at a new byte.

// BitBytes returns the number of bytes for the bits of a row of n elements.
func BitBytes(n int) int { return (n + 7) / 8 }

// PassBits sets bit i to first[c] ≤ acc[i] ≤ last[c], c = i mod C, for a row acc
// [pixels C]. first and last have one entry per tensor or one per channel (what
// quant.Requantizer.PassRange returns, clamped to int32). Unused bits of the last
// byte become 0.
func PassBits(bits []uint8, acc, first, last []int32) {
	checkRow("pass bits", len(bits)*8, len(acc), len(first))
	if len(last) != len(first) {
		panic(fmt.Sprintf("kernels: pass bits: %d first and %d last values", len(first), len(last)))
	}
	bits = bits[:BitBytes(len(acc))]
	if len(acc) > 0 {
		passBits(bits, acc, first, last)
	}
}

func passBitsPortable(bits []uint8, acc, first, last []int32) {
	clear(bits)
	for i := 0; i < len(acc); i += len(first) {
		for c, v := range acc[i : i+len(first)] {
			if first[c] <= v && v <= last[c] {
				bits[(i+c)>>3] |= 1 << ((i + c) & 7)
			}
		}
	}
}

// SelectBits sets dst[i] to src[i] where bit i is set and to 0 elsewhere, or with add
// adds src[i] there.
func SelectBits(dst, src []float32, bits []uint8, add bool) {
	src = src[:len(dst)]
	bits = bits[:BitBytes(len(dst))]
	if len(dst) > 0 {
		selectBits(dst, src, bits, add)
	}
}

func selectBitsPortable(dst, src []float32, bits []uint8, add bool) {
	for i := range dst {
		var v float32
		if bits[i>>3]>>(i&7)&1 != 0 {
			v = src[i]
		}
		if add {
			v += dst[i]
		}
		dst[i] = v
	}
}

var (
	passBits   = passBitsPortable
	selectBits = selectBitsPortable
)

func init() {
	register("pass bits", cpu.Portable, func() { passBits, selectBits = passBitsPortable, selectBitsPortable })
}
