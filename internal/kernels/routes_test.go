package kernels

import (
	"fmt"
	"testing"
)

// TestRoutes holds every variant of what sorts gradients to its portable form, for every number of outputs
// from 1 to 67 and one above 256, with the least room behind the operands.
func TestRoutes(t *testing.T) {
	forEach(t, "routes", func(t *testing.T) {
		r := testRand()
		counts := []int{300}
		for n := 1; n < 68; n++ {
			counts = append(counts, n)
		}
		for _, n := range counts {
			for _, taps := range []int{1, 4, 9, 49, 256} {
				windows := 1 + r.IntN(4)
				size := n * windows
				values, index, at := guard[float32](size+routeSlack, -77, 0), guard[uint8](size+routeSlack, 255, 0), guard[int32](n+routeSlack, -5, 0)
				copy(values.in, normals(r, size))
				places := tapPlaces{taps: taps}
				for i := range taps {
					places.of[i] = int32(r.IntN(40))
				}
				for i := range size {
					index.in[i] = uint8(r.IntN(taps))
				}
				for i := range n {
					at.in[i] = int32(r.Uint32())
				}
				from := progression{int32(r.IntN(9)), int32(r.IntN(30)), int32(r.IntN(3) * 1000)}
				terms := guard(size+routeSlack, SparseTerm{-9, -9}, SparseTerm{})
				name := fmt.Sprintf("%d windows of %d, %d taps", windows, n, taps)
				check := func(what string, want []SparseTerm) {
					t.Helper()
					terms.check(t, name+": "+what)
					equalSlices(t, name+": "+what, terms.in[:size], want)
				}

				want := make([]SparseTerm, size)
				placeTermsPortable(want, values.in[:size], index.in, n, &places, from)
				placeTerms(terms.in[:size], values.in[:size], index.in, n, &places, from)
				check("terms", want)

				number, wanted := guard[int32](windows*taps, -5, 3), make([]int32, windows*taps)
				sortTapsPortable(want, at.in[:n], values.in[:size], index.in[:size], n, wanted, taps)
				sortTaps(terms.in[:size], at.in[:n], values.in[:size], index.in[:size], n, number.in, taps)
				check("sorted terms", want)
				number.check(t, name+": numbers of taps")
				equalSlices(t, name+": numbers of taps", number.in, wanted)

				last := int(from.first) + windows*int(from.next) + 40 + n
				bits := guard[uint8](BitBytes(last)+routeSlack, 0, 0)
				for i := range bits.in {
					bits.in[i] = uint8(r.Uint32())
				}
				found, wantBits := guard[uint8](BitBytes(size), 0xa5, 0xff), make([]uint8, BitBytes(size))
				winnerBitsPortable(wantBits, index.in, n, windows, &places, from, bits.in)
				winnerBits(found.in, index.in[:size], n, windows, &places, from, bits.in[:len(bits.in)-routeSlack])
				found.check(t, name+": bits")
				equalSlices(t, name+": bits", found.in, wantBits)
			}
		}
	})
}
