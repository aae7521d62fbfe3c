package kernels

import "testing"

func TestChannelSums(t *testing.T) {
	forEach(t, "channel sums", func(t *testing.T) {
		r := testRand()
		for c := 1; c < 68; c++ {
			x := newTensor(r, 3, 1+r.IntN(4), 1+r.IntN(5), c, r.IntN(2), r.IntN(2), r.IntN(2), r.IntN(2), true)
			copy(x.data, normals(r, len(x.data))) // sums that round
			got := guard(c, 99.0, 0.25)
			ChannelSums(got.in, x.data, x.Layout, 1, 3)
			for i, v := range got.in {
				want := 0.25
				for n := 1; n < 3; n++ {
					for h := range x.H {
						for w := range x.W {
							want += float64(x.data[x.At(n, h, w, i)])
						}
					}
				}
				if v != want {
					t.Fatalf("%d channels: sum %d is %v, want %v", c, i, v, want)
				}
			}
			got.check(t, "channel sums")
		}
		if n := testing.AllocsPerRun(10, func() {
			var sums [20]float64
			ChannelSums(sums[:], make([]float32, 20), Dense(1, 1, 1, 20), 0, 1)
		}); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}
