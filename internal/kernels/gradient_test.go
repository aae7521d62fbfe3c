package kernels

import (
	"math"
	"math/rand/v2"
	"testing"
)

// codesOf returns random bytes and the code of each.
func codesOf(r *rand.Rand, n int, signed bool) (bytes []uint8, codes []int32) {
	for range n {
		u := uint8(r.IntN(256))
		q := int32(u)
		if signed {
			q = int32(int8(u))
		}
		bytes, codes = append(bytes, u), append(codes, q)
	}
	return bytes, codes
}

// sumByTurns adds to 16 sums by turns, as the kernels promise.
func sumByTurns(terms []float64) float64 {
	var sums [sumLanes]float64
	for i, v := range terms {
		sums[i%sumLanes] += v
	}
	return total(&sums)
}

func TestDotCodes(t *testing.T) {
	forEach(t, "gradient", func(t *testing.T) {
		r := testRand()
		for n := range 100 {
			for _, signed := range []bool{false, true} {
				x, z := normals(r, n), int32(r.IntN(20)-10)
				bytes, codes := codesOf(r, n, signed)
				terms := make([]float64, n)
				for i := range terms {
					terms[i] = float64(x[i]) * float64(codes[i]-z)
				}
				if got, want := DotCodes(x, bytes, signed, z), sumByTurns(terms); got != want {
					t.Fatalf("%d elements, signed %v: %v, want %v", n, signed, got, want)
				}
			}
		}
	})
}

func TestSelectRange(t *testing.T) {
	forEach(t, "gradient", func(t *testing.T) {
		r := testRand()
		for n := range 100 {
			for _, add := range []bool{false, true} {
				x, src, before := normals(r, n), normals(r, n), normals(r, n)
				lo, hi := float32(-0.5), float32(1)
				for i := range x {
					switch r.IntN(8) {
					case 0:
						x[i] = lo
					case 1:
						x[i] = hi
					case 2:
						x[i] = float32(math.NaN())
						src[i] = float32(math.Inf(1))
					case 3:
						x[i] = float32(math.Inf(1))
					}
				}
				dst := guard[float32](n, -7, 0)
				copy(dst.in, before)
				got := SelectRange(dst.in, src, x, lo, hi, add)
				terms := make([]float64, n)
				for i, v := range x {
					want := float32(0)
					if v >= lo && v <= hi {
						want = src[i]
						terms[i] = float64(src[i]) * float64(v)
					}
					if add {
						want += before[i]
					}
					if dst.in[i] != want {
						t.Fatalf("add %v: element %d of %d, at %v, is %v, want %v", add, i, n, v, dst.in[i], want)
					}
				}
				if want := sumByTurns(terms); got != want {
					t.Fatalf("%d elements: sum %v, want %v", n, got, want)
				}
				dst.check(t, "select range")
			}
		}
	})
}

func TestSelectAccumulators(t *testing.T) {
	forEach(t, "gradient", func(t *testing.T) {
		r := testRand()
		for channels := 1; channels <= 67; channels++ {
			for pixels := range 4 {
				first, last := make([]int32, channels), make([]int32, channels)
				for c := range first {
					first[c], last[c] = int32(r.IntN(1<<20))-1<<20, int32(r.IntN(1<<30))
				}
				acc, x := accumulators(r, pixels*channels), normals(r, pixels*channels)
				for i := range acc {
					switch r.IntN(6) {
					case 0:
						acc[i] = first[i%channels]
					case 1:
						acc[i] = last[i%channels]
					}
				}
				d := guard[float32](len(x), -7, 0)
				copy(d.in, x)
				sum, product := guard[float64](channels, -7, 0.5), guard[float64](channels, -7, -0.25)
				SelectAccumulators(d.in, acc, first, last, sum.in, product.in)
				wantSum, wantProduct := make([]float64, channels), make([]float64, channels)
				for c := range wantSum {
					wantSum[c], wantProduct[c] = 0.5, -0.25
				}
				for i, a := range acc {
					c, want := i%channels, float32(0)
					if first[c] <= a && a <= last[c] {
						want = x[i]
						wantSum[c] += float64(want)
						wantProduct[c] += float64(float64(want) * float64(a))
					}
					if d.in[i] != want {
						t.Fatalf("%d×%d: element %d is %v, want %v", pixels, channels, i, d.in[i], want)
					}
				}
				equalSlices(t, "sums", sum.in, wantSum)
				equalSlices(t, "products", product.in, wantProduct)
				d.check(t, "gradients")
				sum.check(t, "sums")
				product.check(t, "products")
			}
		}
	})
}

func TestMixAccumulators(t *testing.T) {
	forEach(t, "gradient", func(t *testing.T) {
		r := testRand()
		for channels := 1; channels <= 67; channels++ {
			var f [3][]float64
			for i := range f {
				for range channels {
					f[i] = append(f[i], r.NormFloat64())
				}
			}
			acc, x := accumulators(r, 3*channels), normals(r, 3*channels)
			d := guard[float32](len(x), -7, 0)
			copy(d.in, x)
			MixAccumulators(d.in, acc, f[0], f[1], f[2])
			for i, a := range acc {
				c := i % channels
				rest := f[1][c] + float64(f[2][c]*float64(a))
				if want := float32(float64(f[0][c]*float64(x[i])) + rest); d.in[i] != want {
					t.Fatalf("%d channels: element %d is %v, want %v", channels, i, d.in[i], want)
				}
			}
			d.check(t, "mix accumulators")
		}
	})
}
