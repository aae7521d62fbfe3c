package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

// MultiplyCodes sets dst[i] = (a[i] − za)·(b[i] − zb) for codes in bytes; those of a signed operand are
// int8 bit patterns.
func MultiplyCodes(dst []int32, a, b []uint8, signedA, signedB bool, za, zb int32) {
	a, b = a[:len(dst)], b[:len(dst)]
	flipA, za := flipOf(signedA, za)
	flipB, zb := flipOf(signedB, zb)
	if len(dst) > 0 {
		multiplyCodes(dst, a, b, flipA, flipB, za, zb)
	}
}

func multiplyCodesPortable(dst []int32, a, b []uint8, flipA, flipB, za, zb int32) {
	for i, p := range a {
		dst[i] = (int32(p) ^ flipA - za) * (int32(b[i]) ^ flipB - zb)
	}
}

var multiplyCodes = multiplyCodesPortable

func init() {
	register("multiply codes", cpu.Portable, func() { multiplyCodes = multiplyCodesPortable })
}
