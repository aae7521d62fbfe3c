package kernels

// MultiplyCodes sets dst[i] = (a[i] − za)·(b[i] − zb) for codes in bytes; those of a signed operand are
// int8 bit patterns.
func MultiplyCodes(dst []int32, a, b []uint8, signedA, signedB bool, za, zb int32) {
	a, b = a[:len(dst)], b[:len(dst)]
	flipA, za := flipOf(signedA, za)
	flipB, zb := flipOf(signedB, zb)
	for i, p := range a {
		dst[i] = (int32(p) ^ flipA - za) * (int32(b[i]) ^ flipB - zb)
	}
}
