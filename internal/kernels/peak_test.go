package kernels

import "testing"

// TestPeakFMA uses factors and numbers for which every result is exact, fused or not.
func TestPeakFMA(t *testing.T) {
	forEach(t, "peak fma", func(t *testing.T) {
		for rounds := range 9 {
			var acc, want [PeakLanes]float32
			for i := range acc {
				acc[i] = float32(i - 90)
				want[i] = acc[i]
				for range rounds {
					want[i] = want[i]*0.5 + 3
				}
			}
			PeakFMA(&acc, 0.5, 3, rounds)
			equalSlices(t, "acc", acc[:], want[:])
		}
	})
}

func TestPeakDot(t *testing.T) {
	forEach(t, "peak dot", func(t *testing.T) {
		r := testRand()
		var x [64]uint8
		var w [64]int8
		for i := range x {
			x[i], w[i] = uint8(r.IntN(128)), int8(r.IntN(255)-127) // 2·127·127 fits an int16
		}
		for rounds := range 9 {
			var acc, want [PeakLanes]int32
			for i := range acc {
				acc[i] = int32(1000 * (i - 90))
				want[i] = acc[i]
				for k := range 4 {
					want[i] += int32(rounds) * int32(x[i%16*4+k]) * int32(w[i%16*4+k])
				}
			}
			PeakDot(&acc, &x, &w, rounds)
			equalSlices(t, "acc", acc[:], want[:])
		}
	})
}

func TestPeakTile(t *testing.T) {
	forEach(t, "peak tile", func(t *testing.T) {
		r := testRand()
		var x [1024]uint8
		var w [1024]int8
		for i := range x {
			x[i], w[i] = uint8(r.IntN(256)), int8(r.IntN(256)-128)
		}
		for rounds := range 4 {
			c := guard[int32](PeakTileLanes, -77, 5)
			acc := (*[PeakTileLanes]int32)(c.in)
			want := make([]int32, PeakTileLanes)
			for i := range acc {
				acc[i] = int32(1000 * (i - 90))
				want[i] = acc[i]
				row, column := i/16%16, i%16
				for k := range 64 {
					want[i] += int32(rounds) * int32(x[64*row+k]) * int32(w[k/4*64+4*column+k%4])
				}
			}
			PeakTile(acc, &x, &w, rounds)
			equalSlices(t, "acc", acc[:], want)
			c.check(t, "acc")
		}
	})
}
