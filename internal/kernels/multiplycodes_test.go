package kernels

import "testing"

func TestMultiplyCodes(t *testing.T) {
	forEach(t, "multiply codes", func(t *testing.T) {
		r := testRand()
		for n := range 68 {
			signedA, signedB := r.IntN(2) == 0, r.IntN(2) == 0
			za, zb := int32(r.IntN(256)-128), int32(r.IntN(256)-128)
			a, qa := codesOf(r, n, signedA)
			b, qb := codesOf(r, n, signedB)
			dst := guard[int32](n, 99, 1)
			MultiplyCodes(dst.in, a, b, signedA, signedB, za, zb)
			for i, v := range dst.in {
				if want := (qa[i] - za) * (qb[i] - zb); v != want {
					t.Fatalf("%d and %d give %d, want %d", qa[i], qb[i], v, want)
				}
			}
			dst.check(t, "multiply codes")
		}
	})
}
