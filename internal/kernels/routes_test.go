package kernels

import (
	"fmt"
	"testing"
)

// TestRoutes holds every variant of what sorts gradients to its portable form, for every number of outputs
// from 0 to 67 and one above 256, with the least room behind the operands.
func TestRoutes(t *testing.T) {
	forEach(t, "routes", func(t *testing.T) {
		r := testRand()
		counts := []int{300}
		for n := range 68 {
			counts = append(counts, n)
		}
		for _, n := range counts {
			for _, taps := range []int{1, 4, 9, 49, 256} {
				values, index, at := guard[float32](n+routeSlack, -77, 0), guard[uint8](n+routeSlack, 255, 0), guard[int32](n+routeSlack, -5, 0)
				copy(values.in, normals(r, n))
				places := tapPlaces{taps: taps}
				for i := range taps {
					places.of[i] = int32(r.IntN(40))
				}
				for i := range n {
					index.in[i], at.in[i] = uint8(r.IntN(taps)), int32(r.Uint32())
				}
				first, last := int32(r.IntN(9)), 9+40+n
				bits := guard[uint8](BitBytes(last)+routeSlack, 0, 0)
				for i := range bits.in {
					bits.in[i] = uint8(r.Uint32())
				}
				terms := guard(n+routeSlack, SparseTerm{-9, -9}, SparseTerm{})
				name := fmt.Sprintf("%d of %d taps", n, taps)
				check := func(what string, want []SparseTerm) {
					t.Helper()
					terms.check(t, name+": "+what)
					equalSlices(t, name+": "+what, terms.in[:n], want)
				}

				want := make([]SparseTerm, n)
				step := int32(r.IntN(3) * 1000)
				placeTermsPortable(want, values.in[:n], index.in, &places, first, step)
				placeTerms(terms.in[:n], values.in[:n], index.in, &places, first, step)
				check("terms", want)

				number, wanted := guard[int32](taps, -5, 3), make([]int32, taps)
				sortTapsPortable(want, at.in[:n], values.in[:n], index.in[:n], wanted)
				sortTaps(terms.in[:n], at.in[:n], values.in[:n], index.in[:n], number.in)
				check("sorted terms", want)
				number.check(t, name+": numbers of taps")
				equalSlices(t, name+": numbers of taps", number.in, wanted)

				found, wantBits := guard[uint8](BitBytes(n), 0xa5, 0xff), make([]uint8, BitBytes(n))
				winnerBitsPortable(wantBits, index.in, n, &places, first, bits.in)
				winnerBits(found.in, index.in[:n], n, &places, first, bits.in[:len(bits.in)-routeSlack])
				found.check(t, name+": bits")
				equalSlices(t, name+": bits", found.in, wantBits)
			}
		}
	})
}
