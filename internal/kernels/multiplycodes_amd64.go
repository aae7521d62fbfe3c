//go:build amd64 && !purego

package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

//go:noescape
func multiplyCodesAVX2(dst *int32, a, b *uint8, n int, flipA, flipB, za, zb int32)

//go:noescape
func multiplyCodesAVX512(dst *int32, a, b *uint8, n int, flipA, flipB, za, zb int32)

func init() {
	register("multiply codes", cpu.AVX2, func() {
		multiplyCodes = func(dst []int32, a, b []uint8, flipA, flipB, za, zb int32) {
			if len(dst) < strip {
				multiplyCodesPortable(dst, a, b, flipA, flipB, za, zb)
			} else {
				multiplyCodesAVX2(&dst[0], &a[0], &b[0], len(dst), flipA, flipB, za, zb)
			}
		}
	})
	register("multiply codes", cpu.AVX512, func() {
		multiplyCodes = func(dst []int32, a, b []uint8, flipA, flipB, za, zb int32) {
			multiplyCodesAVX512(&dst[0], &a[0], &b[0], len(dst), flipA, flipB, za, zb)
		}
	})
}
