package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/bitgrad/bitgrad/quant"
)

// accumulators returns values of all magnitudes, ends and ties included.
func accumulators(r *rand.Rand, n int) []int32 {
	acc := make([]int32, n)
	for i := range acc {
		switch r.IntN(8) {
		case 0:
			acc[i] = math.MaxInt32 - int32(r.IntN(3))
		case 1:
			acc[i] = math.MinInt32 + int32(r.IntN(3))
		case 2:
			acc[i] = int32(r.IntN(9)-4) << r.IntN(20)
		default:
			acc[i] = int32(r.Uint32()) >> r.IntN(32)
		}
	}
	return acc
}

func testRequantize(t *testing.T, kernel string, draw func(r *rand.Rand, channels int) quant.Requantizer) {
	forEach(t, kernel, func(t *testing.T) { compareRequantize(t, draw) })
}

// compareRequantize compares Requantize with the law.
func compareRequantize(t failer, draw func(r *rand.Rand, channels int) quant.Requantizer) {
	r := testRand()
	for channels := 1; channels <= 67; channels++ {
		for pixels := range 4 {
			q := draw(r, channels)
			if err := q.Validate(channels); err != nil {
				t.Fatal(err)
			}
			name := fmt.Sprintf("%d×%d, %+v", pixels, channels, q)
			acc := accumulators(r, pixels*channels)
			nearTies(r, acc, &q)
			dst := guard[uint8](len(acc), 99, 1)
			Requantize(dst.in, acc, &q)
			for i, a := range acc {
				if got, want := dst.in[i], uint8(q.Apply(int64(a), i%channels)); got != want {
					t.Fatalf("%s: code of %d in channel %d is %d, want %d", name, a, i%channels, got, want)
				}
			}
			dst.check(t, name)
		}
	}
}

// Rows with gaps between them are what they are alone, and the gaps stay.
func TestRequantizeRows(t *testing.T) {
	forEach(t, "requantize rows", func(t *testing.T) {
		r := testRand()
		for n := 1; n < 100; n++ {
			for _, channels := range []int{1, n} {
				for i := range 6 {
					q := quant.Requantizer{Rule: quant.Float, Lo: -100, Hi: 90, ZeroPoint: -3, MidRise: i%2 == 0}
					for range channels {
						q.Multiplier = append(q.Multiplier, 1/float32(1+r.IntN(1<<20)))
						q.Shift = append(q.Shift, int32(i/4+r.IntN(20)))
					}
					if i > 1 {
						q.Rule, q.Multiplier, q.ZeroPoint = quant.Shift, nil, 0
					} else {
						q.Shift = nil
					}
					rows, step := r.IntN(4), n+r.IntN(5)
					acc := accumulators(r, rows*n)
					dst := randomBytes(r, rows*step+1)
					want := slices.Clone(dst)
					for i := range rows {
						Requantize(want[i*step:], acc[i*n:(i+1)*n], &q)
					}
					RequantizeRows(dst, step, acc, n, &q)
					equalSlices(t, fmt.Sprintf("%d rows of %d, %+v", rows, n, q), dst, want)
				}
			}
		}
	})
}

// nearTies moves accumulators next to where a multiplier gives half a code: there the
// rounding of the accumulator and that of the product decide.
func nearTies(r *rand.Rand, acc []int32, q *quant.Requantizer) {
	factor := func(i int) float64 { return float64(q.Multiplier[i%len(q.Multiplier)]) }
	switch q.Rule {
	case quant.Shift:
		return
	case quant.FixedPoint:
		factor = func(i int) float64 {
			c := i % len(q.Mantissa)
			return math.Ldexp(float64(q.Mantissa[c]), int(q.Exponent[c])-31)
		}
	}
	for i := range acc {
		if r.IntN(3) > 0 {
			continue
		}
		half := float64(q.Lo-q.ZeroPoint+r.Int32N(q.Hi-q.Lo+1)) + 0.5
		if a := half / factor(i); math.Abs(a) < 1<<31-32 {
			acc[i] = int32(a) + r.Int32N(33) - 16
		}
	}
}

// clampRange draws the ends of a grid of at most 8 bits and a zero point.
func clampRange(r *rand.Rand) (lo, hi, z int32) {
	bits := 1 + r.IntN(8)
	if r.IntN(2) == 0 {
		return 0, 1<<bits - 1, int32(r.IntN(1 << bits))
	}
	lo, hi = -1<<(bits-1), 1<<(bits-1)-1
	return lo, hi, lo + int32(r.IntN(1<<bits))
}

func TestRequantizeShift(t *testing.T) {
	for _, midRise := range []bool{false, true} {
		for _, perChannel := range []bool{false, true} {
			t.Run(fmt.Sprintf("midrise=%v/perchannel=%v", midRise, perChannel), func(t *testing.T) {
				testRequantize(t, "requantize shift", drawShift(midRise, perChannel))
			})
		}
	}
}

func drawShift(midRise, perChannel bool) func(r *rand.Rand, channels int) quant.Requantizer {
	return func(r *rand.Rand, channels int) quant.Requantizer {
		q := quant.Requantizer{Rule: quant.Shift, MidRise: midRise}
		q.Lo, q.Hi, _ = clampRange(r)
		least := -31
		if r.IntN(2) == 0 {
			least = 1 // to the right only: a form of its own
		}
		for range channels {
			q.Shift = append(q.Shift, int32(least+r.IntN(32-least)))
			if !perChannel {
				break
			}
		}
		return q
	}
}

func TestRequantizeFloat(t *testing.T) {
	for _, midRise := range []bool{false, true} {
		for _, perChannel := range []bool{false, true} {
			t.Run(fmt.Sprintf("midrise=%v/perchannel=%v", midRise, perChannel), func(t *testing.T) {
				testRequantize(t, "requantize float", drawFloat(midRise, perChannel))
			})
		}
	}
}

func drawFloat(midRise, perChannel bool) func(r *rand.Rand, channels int) quant.Requantizer {
	return func(r *rand.Rand, channels int) quant.Requantizer {
		q := quant.Requantizer{Rule: quant.Float, MidRise: midRise}
		q.Lo, q.Hi, q.ZeroPoint = clampRange(r)
		for range channels {
			m := float32(math.Ldexp(1, r.IntN(40)-36)) // powers of two make ties
			if r.IntN(3) > 0 {
				m *= 1 + r.Float32()
			}
			if r.IntN(20) == 0 {
				m = math.MaxFloat32
			}
			q.Multiplier = append(q.Multiplier, m)
			if !perChannel {
				break
			}
		}
		return q
	}
}

func TestRequantizeFixedPoint(t *testing.T) {
	for _, double := range []bool{false, true} {
		for _, perChannel := range []bool{false, true} {
			t.Run(fmt.Sprintf("double=%v/perchannel=%v", double, perChannel), func(t *testing.T) {
				testRequantize(t, "requantize fixed", drawFixedPoint(double, perChannel))
			})
		}
	}
}

func drawFixedPoint(double, perChannel bool) func(r *rand.Rand, channels int) quant.Requantizer {
	return func(r *rand.Rand, channels int) quant.Requantizer {
		q := quant.Requantizer{Rule: quant.FixedPoint, DoubleRounding: double}
		q.Lo, q.Hi, q.ZeroPoint = clampRange(r)
		for range channels {
			m, e := quant.FixedPointMultiplier(r.Float64() * math.Ldexp(1, -r.IntN(30)))
			switch r.IntN(8) {
			case 0: // all that a file may hold
				m, e = r.Int32(), int32(r.IntN(62)-31)
			case 1: // the ends
				m, e = []int32{0, 1, math.MaxInt32}[r.IntN(3)], []int32{-31, -1, 0, 1, 30}[r.IntN(5)]
			case 2: // powers of two make ties
				m = 1 << 30
			}
			q.Mantissa, q.Exponent = append(q.Mantissa, m), append(q.Exponent, e)
			if !perChannel {
				break
			}
		}
		return q
	}
}

func TestPassBits(t *testing.T) { forEach(t, "pass bits", func(t *testing.T) { comparePassBits(t) }) }

func comparePassBits(t failer) {
	r := testRand()
	for channels := 1; channels <= 67; channels++ {
		for pixels := range 4 {
			n := channels
			if r.IntN(3) == 0 {
				n = 1
			}
			first, last := make([]int32, n), make([]int32, n)
			for c := range n {
				first[c], last[c] = int32(r.IntN(8)-5), int32(r.IntN(8)-3)
				if r.IntN(5) == 0 {
					first[c], last[c] = math.MinInt32, math.MaxInt32
				}
			}
			acc := make([]int32, pixels*channels)
			for i := range acc {
				acc[i] = int32(r.IntN(12) - 6)
			}
			bits := guard[uint8](BitBytes(len(acc)), 0xaa, 0xff)
			PassBits(bits.in, acc, first, last)
			name := fmt.Sprint(pixels, "×", channels)
			bits.check(t, name)
			x := normals(r, len(acc))
			selected, added := make([]float32, len(x)), append([]float32(nil), x...)
			SelectBits(selected, x, bits.in, false)
			SelectBits(added, x, bits.in, true)
			for i, a := range acc {
				want := first[i%n] <= a && a <= last[i%n]
				if got := bits.in[i/8]>>(i%8)&1 == 1; got != want {
					t.Fatalf("%s: bit %d is %v, want %v", name, i, got, want)
				}
				ws, wa := float32(0), x[i]
				if want {
					ws, wa = x[i], 2*x[i]
				}
				if selected[i] != ws || added[i] != wa {
					t.Fatalf("%s: element %d: selected %v, added %v, want %v, %v", name, i, selected[i], added[i], ws, wa)
				}
			}
			for i := len(acc); i < 8*len(bits.in); i++ {
				if bits.in[i/8]>>(i%8)&1 != 0 {
					t.Fatalf("%s: unused bit %d is set", name, i)
				}
			}
		}
	}
}
