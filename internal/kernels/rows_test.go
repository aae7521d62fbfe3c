package kernels

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/bitgrad/bitgrad/internal/cpu"
	"github.com/bitgrad/bitgrad/quant"
)

// oddFloats returns n floats of all kinds: NaN, both infinities and zeros, subnormal ones, whole
// numbers that repeat.
func oddFloats(r *rand.Rand, n int) []float32 {
	odd := []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), 0, float32(math.Copysign(0, -1)), 1e-40, -1e-40, math.MaxFloat32}
	x := normals(r, n)
	for i := range x {
		switch r.IntN(4) {
		case 0:
			x[i] = odd[r.IntN(len(odd))]
		case 1:
			x[i] = float32(r.IntN(5) - 2)
		}
	}
	return x
}

// A rowCase runs a kernel on rows of channels that it draws and returns what it wrote. The
// operands of in-place forms are drawn anew, so that both runs see the same.
type rowCase struct {
	name, kernel string
	run          func(r *rand.Rand, pixels, channels int) []any
}

// bitsOf returns the bytes of slices of numbers; NaN has one form.
func bitsOf(results []any) []byte {
	var b []byte
	for _, x := range results {
		switch x := x.(type) {
		case []float32:
			for i, v := range x {
				if v != v {
					x[i] = float32(math.NaN())
				}
			}
		case []float64:
			for i, v := range x {
				if v != v {
					x[i] = math.NaN()
				}
			}
		case int:
			b = binary.LittleEndian.AppendUint64(b, uint64(x))
			continue
		case int64:
			b = binary.LittleEndian.AppendUint64(b, uint64(x))
			continue
		case float64:
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(x))
			continue
		case float32:
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
			continue
		}
		var err error
		if b, err = binary.Append(b, binary.LittleEndian, x); err != nil {
			panic("kernels: " + err.Error())
		}
	}
	return b
}

// Rows of every kernel have the same bytes in every variant, in place or not, for channels that
// fill vectors and that do not, for few pixels and for several spans of them.
func TestRowsAreTheSameBytes(t *testing.T) {
	for _, c := range rowCases {
		t.Run(c.name, func(t *testing.T) {
			defer restore(c.kernel)
			seed := uint64(1)
			for channels := 1; channels <= 67; channels++ {
				for _, pixels := range []int{1, 2, 5, 600 / channels} {
					seed++
					var want []byte
					for _, v := range variants {
						if v.kernel != c.kernel || v.needs > cpu.Best() {
							continue
						}
						v.use()
						got := bitsOf(c.run(rand.New(rand.NewPCG(seed, 5)), pixels, channels))
						if want == nil {
							want = got
						}
						if !bytes.Equal(got, want) {
							t.Fatalf("%d×%d: the result of %v differs", pixels, channels, v.needs)
						}
					}
				}
			}
		})
	}
}

func TestRowsAllocateNothing(t *testing.T) {
	for _, channels := range []int{64, 20, 3} {
		for _, c := range rowBenches(t, channels) {
			if got := testing.AllocsPerRun(2, c.run); got != 0 {
				t.Errorf("%s, %d channels: %v allocations, want 0", c.name, channels, got)
			}
		}
	}
}

// guardedRow returns n elements for results, between guards, and all of them.
func guardedRow[T comparable](n int, fill T) (in, all []T) {
	g := guard(n, fill, fill)
	return g.in, g.all
}

// copyOf returns a copy of x for results, between guards, and all of them.
func copyOf[T comparable](x []T, fill T) (in, all []T) {
	in, all = guardedRow(len(x), fill)
	copy(in, x)
	return in, all
}

func drawn[T any](n int, draw func() T) []T {
	x := make([]T, n)
	for i := range x {
		x[i] = draw()
	}
	return x
}

var rowCases = []rowCase{
	{"relu", "elementwise", func(r *rand.Rand, pixels, channels int) []any {
		x := oddFloats(r, pixels*channels)
		d, all := guardedRow[float32](len(x), -7)
		ReLU(d, x, 0.75)
		ReLU(x, x, float32(math.Inf(1)))
		return []any{all, x}
	}},
	{"relu backward", "elementwise", func(r *rand.Rand, pixels, channels int) []any {
		n := pixels * channels
		y, dy := oddFloats(r, n), oddFloats(r, n)
		d, all := copyOf(normals(r, n), -7)
		ReLUBackward(d, dy, y, 0.75, true)
		ReLUBackward(dy, dy, y, 2, false)
		return []any{all, dy}
	}},
	{"add", "elementwise", func(r *rand.Rand, pixels, channels int) []any {
		n := pixels * channels
		a, b := oddFloats(r, n), oddFloats(r, n)
		d, all := guardedRow[float32](n, -7)
		Add(d, a, b)
		Add(b, a, b)
		Axpy(a, 0.3, b)
		return []any{all, a, b}
	}},
	{"divide", "divide", func(r *rand.Rand, pixels, channels int) []any {
		x := oddFloats(r, pixels*channels)
		d, all := guardedRow[float32](len(x), -7)
		divide(d, x, 3)
		divide(x, x, 7)
		return []any{all, x}
	}},
	{"accumulate", "accumulate", func(r *rand.Rand, pixels, channels int) []any {
		d, all := copyOf(normals(r, pixels*channels), -7)
		accumulate(d, oddFloats(r, len(d)))
		return []any{all}
	}},
	{"scale bias", "elementwise", func(r *rand.Rand, pixels, channels int) []any {
		x, scale, bias := oddFloats(r, pixels*channels), normals(r, channels), normals(r, channels)
		d, all := guardedRow[float32](len(x), -7)
		ScaleBias(d, x, scale, bias)
		ScaleBias(x, x, scale, bias)
		return []any{all, x}
	}},
	{"leaky relu", "elementwise", func(r *rand.Rand, pixels, channels int) []any {
		x, dy := oddFloats(r, pixels*channels), oddFloats(r, pixels*channels)
		y, allY := guardedRow[float32](len(x), -7)
		LeakyReLU(y, x, 0.1)
		dx, allDx := guardedRow[float32](len(x), -7)
		LeakyReLUBackward(dx, dy, y, 0.1, false)
		added, allAdded := copyOf(normals(r, len(x)), -7)
		LeakyReLUBackward(added, dy, y, 0.1, true)
		LeakyReLU(x, x, 0.1)
		return []any{allY, allDx, allAdded, x}
	}},
	{"stages", "elementwise", func(r *rand.Rand, pixels, channels int) []any {
		x, other, scale, bias := oddFloats(r, pixels*channels), oddFloats(r, pixels*channels), normals(r, channels), normals(r, channels)
		k := normals(r, channels)
		sum, allSum := guardedRow[float32](len(x), -7)
		AddReLU(sum, x, other, 0.75)
		scaled, allScaled := guardedRow[float32](len(x), -7)
		ScaleBiasReLU(scaled, x, scale, bias, 0.75)
		added, allAdded := guardedRow[float32](len(x), -7)
		ScaleBiasAddReLU(added, x, scale, bias, other, float32(math.Inf(1)))
		mixed, allMixed := guardedRow[float32](len(x), -7)
		Mix(mixed, x, other, scale, bias, k)
		ScaleBiasAddReLU(x, x, scale, bias, other, 0.75)
		return []any{allSum, allScaled, allAdded, allMixed, x}
	}},
	{"requantize shift", "requantize shift", func(r *rand.Rand, pixels, channels int) []any {
		acc := accumulators(r, pixels*channels)
		d, all := guardedRow[uint8](len(acc), 99)
		RequantizeShift(d, acc, drawn(channels, func() int32 { return 1 + r.Int32N(31) }), -100, 120)
		return []any{all}
	}},
	{"requantize float", "requantize float", func(r *rand.Rand, pixels, channels int) []any {
		acc := accumulators(r, pixels*channels)
		d, all := guardedRow[uint8](len(acc), 99)
		RequantizeFloat(d, acc, drawn(channels, func() float32 { return float32(math.Ldexp(1+r.Float64(), -r.IntN(30))) }), 3, 0, 200)
		return []any{all}
	}},
	{"requantize mid-rise shifts", "requantize shift", func(r *rand.Rand, pixels, channels int) []any {
		acc := accumulators(r, pixels*channels)
		d, all := guardedRow[uint8](len(acc), 99)
		Requantize(d, acc, &quant.Requantizer{Rule: quant.Shift, MidRise: true, Shift: drawn(channels, func() int32 { return r.Int32N(63) - 31 }), Lo: -128, Hi: 127})
		return []any{all}
	}},
	{"requantize mid-rise floats", "requantize float", func(r *rand.Rand, pixels, channels int) []any {
		acc := accumulators(r, pixels*channels)
		d, all := guardedRow[uint8](len(acc), 99)
		Requantize(d, acc, &quant.Requantizer{Rule: quant.Float, MidRise: true, Multiplier: drawn(channels, func() float32 { return float32(math.Ldexp(1+r.Float64(), -r.IntN(30))) }), Lo: -128, Hi: 127})
		return []any{all}
	}},
	{"requantize fixed", "requantize fixed", func(r *rand.Rand, pixels, channels int) []any {
		acc := accumulators(r, pixels*channels)
		d, all := guardedRow[uint8](len(acc), 99)
		q := drawFixedPoint(r.IntN(2) == 0, true)(r, channels)
		Requantize(d, acc, &q)
		return []any{all}
	}},
	{"requantize affine", "affine", func(r *rand.Rand, pixels, channels int) []any {
		acc := accumulators(r, pixels*channels)
		a := drawn(channels, func() float32 { return float32(math.Ldexp(1, -r.IntN(30))) })
		off := drawn(channels, func() float32 { return float32(r.IntN(9)-4) / 2 })
		off[r.IntN(channels)] = float32(math.NaN())
		even, all := guardedRow[uint8](len(acc), 99)
		up, more := guardedRow[uint8](len(acc), 99)
		RequantizeAffine(even, acc, a, off, -4, -128, 127, false)
		RequantizeAffine(up, acc, a, off, -4, -128, 127, true)
		return []any{all, more}
	}},
	{"accumulator range", "affine", func(r *rand.Rand, pixels, channels int) []any {
		least, all := copyOf(accumulators(r, channels), -7)
		most, more := copyOf(least, -7)
		AccumulatorRange(least, most, accumulators(r, pixels*channels))
		return []any{all, more}
	}},
	{"finite range", "affine", func(r *rand.Rand, pixels, channels int) []any {
		lo, hi, bad := FiniteRange(oddFloats(r, pixels*channels))
		return []any{lo, hi, bad}
	}},
	{"add shift", "add codes", func(r *rand.Rand, pixels, channels int) []any {
		n := pixels * channels
		a, b := randomBytes(r, n), randomBytes(r, n)
		rule := quant.AddShift{FA: r.Int32N(9), FB: r.Int32N(9), FY: r.Int32N(9), Subtract: r.IntN(2) == 0, MidRise: r.IntN(2) == 0, Lo: -128, Hi: 127}
		d, all := guardedRow[uint8](n, 99)
		AddShift(d, a, b, true, false, &rule)
		AddShift(a, a, b, false, true, &rule)
		rule.FA = 20
		AddShift(b, a, b, true, true, &rule)
		return []any{all, a, b}
	}},
	{"add float", "add codes", func(r *rand.Rand, pixels, channels int) []any {
		n := pixels * channels
		a, b := randomBytes(r, n), randomBytes(r, n)
		rule := quant.AddFloat{Za: 3, Zb: -5, Ma: float32(r.NormFloat64()), Mb: 0.5, Zy: 4, Lo: 0, Hi: 255, MidRise: r.IntN(2) == 0}
		d, all := guardedRow[uint8](n, 99)
		AddFloat(d, a, b, true, false, &rule)
		rule.Ma, rule.Zy = float32(math.Ldexp(-1, 60)), -4
		AddFloat(a, a, b, false, true, &rule)
		rule.Zy = 1 << 20
		AddFloat(b, a, b, true, true, &rule)
		return []any{all, a, b}
	}},
	{"multiply codes", "multiply codes", func(r *rand.Rand, pixels, channels int) []any {
		n := pixels * channels
		d, all := guardedRow[int32](n, -7)
		MultiplyCodes(d, randomBytes(r, n), randomBytes(r, n), true, false, 3, -1<<20)
		return []any{all}
	}},
	{"add shift bits", "add bits", func(r *rand.Rand, pixels, channels int) []any {
		a, b := randomBytes(r, pixels*channels), randomBytes(r, pixels*channels)
		rule := quant.AddShift{FA: r.Int32N(9), FB: r.Int32N(9), FY: r.Int32N(9), Subtract: r.IntN(2) == 0}
		bits, all := guardedRow[uint8](BitBytes(len(a)), 99)
		least, most := AddShiftBits(bits, a, b, true, false, &rule, -r.Int64N(3000), r.Int64N(3000))
		return []any{all, least, most}
	}},
	{"add float bits", "add bits", func(r *rand.Rand, pixels, channels int) []any {
		n := pixels * channels
		a := drawn(n, func() uint8 { return uint8(3 + r.IntN(2)) })
		b := drawn(n, func() uint8 { return uint8(r.IntN(9)) })
		rule := quant.AddFloat{Za: 3, Zb: 5, Ma: -0.5, Mb: -0.5}
		if r.IntN(2) == 0 { // zeros of both signs
			for i, v := range a {
				b[i] = 8 - v
			}
		}
		bits, all := guardedRow[uint8](BitBytes(n), 99)
		least, most := AddFloatBits(bits, a, b, true, false, &rule, -0.25, 0.75)
		return []any{all, least, most}
	}},
	{"pass bits", "pass bits", func(r *rand.Rand, pixels, channels int) []any {
		acc := accumulators(r, pixels*channels)
		first := drawn(channels, func() int32 { return -r.Int32() })
		last := drawn(channels, func() int32 { return r.Int32() })
		c := r.IntN(channels)
		first[c], last[c] = math.MinInt32, math.MaxInt32
		bits, all := guardedRow[uint8](BitBytes(len(acc)), 99)
		PassBits(bits, acc, first, last)
		return []any{all}
	}},
	{"select bits", "pass bits", func(r *rand.Rand, pixels, channels int) []any {
		x := oddFloats(r, pixels*channels)
		bits := randomBytes(r, BitBytes(len(x)))
		d, all := copyOf(normals(r, len(x)), -7)
		SelectBits(d, x, bits, true)
		SelectBits(x, x, bits, false)
		return []any{all, x}
	}},
	{"dot codes", "gradient", func(r *rand.Rand, pixels, channels int) []any {
		x := normals(r, pixels*channels)
		return []any{DotCodes(x, randomBytes(r, len(x)), true, 3)}
	}},
	{"select range", "gradient", func(r *rand.Rand, pixels, channels int) []any {
		n := pixels * channels
		x, src := oddFloats(r, n), normals(r, n)
		d, all := copyOf(normals(r, n), -7)
		added := SelectRange(d, src, x, -1, 2, true)
		return []any{added, all, SelectRange(src, src, x, -2, 1, false), src}
	}},
	{"select accumulators", "gradient", func(r *rand.Rand, pixels, channels int) []any {
		acc := accumulators(r, pixels*channels)
		first := drawn(channels, func() int32 { return -r.Int32() })
		last := drawn(channels, func() int32 { return r.Int32() })
		d, all := copyOf(normals(r, len(acc)), -7)
		sum, sums := copyOf(drawn(channels, r.NormFloat64), -7)
		product, products := copyOf(drawn(channels, r.NormFloat64), -7)
		SelectAccumulators(d, acc, first, last, sum, product)
		return []any{all, sums, products}
	}},
	{"mix accumulators", "gradient", func(r *rand.Rand, pixels, channels int) []any {
		d, all := copyOf(normals(r, pixels*channels), -7)
		MixAccumulators(d, accumulators(r, len(d)), drawn(channels, r.NormFloat64), drawn(channels, r.NormFloat64), drawn(channels, r.NormFloat64))
		return []any{all}
	}},
	{"quantize", "quantize", func(r *rand.Rand, pixels, channels int) []any {
		x := oddFloats(r, pixels*channels)
		g := quant.Grid{BitWidth: 8, Signed: true, Scale: drawn(channels, func() float32 { return 0.01 + r.Float32() })}
		codes, all := guardedRow[uint8](len(x), 99)
		back, more := guardedRow[float32](len(x), -7)
		bad := QuantizeCodes(codes, x, &g, quant.Rounding(r.IntN(int(quant.Floor)+1)))
		Dequantize(back, codes, true, 3, 0.1)
		return []any{bad, all, more, FakeQuantize(x, x, &g, quant.HalfEven), x}
	}},
	{"channel sums", "channel sums", func(r *rand.Rand, pixels, channels int) []any {
		sum, all := copyOf(drawn(channels, r.NormFloat64), -7)
		ChannelSums(sum, oddFloats(r, 2*pixels*(channels+1)), Layout{N: 1, H: 2, W: pixels, C: channels, SH: pixels * (channels + 1), SW: channels + 1}, 0, 1)
		return []any{all}
	}},
	{"channel moments", "moments", func(r *rand.Rand, pixels, channels int) []any {
		a, b := normals(r, pixels*(channels+2)), normals(r, pixels*(channels+1))
		sum, all := copyOf(drawn(channels, r.NormFloat64), -7)
		product, more := copyOf(drawn(channels, r.NormFloat64), -7)
		rowProducts(sum, product, a, channels+2, b, channels+1, pixels)
		return []any{all, more}
	}},
	{"exact moments", "moments", func(r *rand.Rand, pixels, channels int) []any {
		m := NewAccMoments(channels)
		m.Add(accumulators(r, pixels*channels))
		m.Add(accumulators(r, pixels*channels))
		return []any{m.Sum, m.High, m.Low}
	}},
	{"max window", "max window", func(r *rand.Rand, pixels, channels int) []any {
		s, x, y := poolRow(r, pixels, channels)
		index, all := guardedRow[uint8](s.OH*s.OW*s.C, 99)
		s.Max(y.data, y.Layout, x.data, x.Layout, index, 0, 1)
		dy, dx := oddFloats(r, len(y.data)), normals(r, len(x.data))
		s.MaxBackward(dx, x.Layout, dy, y.Layout, index, 0, 1, true)
		s.Max(dy, y.Layout, x.data, x.Layout, nil, 0, 1)
		return []any{all, y.data, dx, dy}
	}},
	{"max window of codes", "max window", func(r *rand.Rand, pixels, channels int) []any {
		s, x, y := poolRow(r, pixels, channels)
		index, all := guardedRow[uint8](s.OH*s.OW*s.C, 99)
		codes := randomBytes(r, len(x.data))
		signed, unsigned := randomBytes(r, len(y.data)), randomBytes(r, len(y.data))
		s.MaxCodes(signed, y.Layout, codes, x.Layout, true, index, 0, 1)
		s.MaxCodes(unsigned, y.Layout, codes, x.Layout, false, nil, 0, 1)
		return []any{all, signed, unsigned}
	}},
	{"average window", "depthwise", func(r *rand.Rand, pixels, channels int) []any {
		s, x, y := poolRow(r, pixels, channels)
		sum, all := guardedRow[int32](s.OW*s.C, -7)
		s.SumCodes(sum, randomBytes(r, len(x.data)), x.Layout, true, 3, 0, s.OH-1)
		s.Average(y.data, y.Layout, x.data, x.Layout, 0, 1)
		return []any{all, y.data}
	}},
}

// poolRow draws a pooling of a few rows, its input and room for its output; both have borders and
// gaps between pixels.
func poolRow(r *rand.Rand, pixels, channels int) (s PoolShape, x, y tensor) {
	s = PoolShape{C: channels, KH: 1 + r.IntN(3), KW: 1 + r.IntN(3), StrideH: 1 + r.IntN(3), StrideW: 1 + r.IntN(3), H: 3, W: pixels + 2}
	s.PadTop, s.PadLeft, s.PadRight = r.IntN(s.KH), r.IntN(s.KW), r.IntN(s.KW)
	if err := s.Complete(); err != nil {
		panic(err.Error())
	}
	x = newTensor(r, 1, s.H, s.W, s.C, 1, 0, 1, 2, true)
	copy(x.data, oddFloats(r, len(x.data)))
	y = newTensor(r, 1, s.OH, s.OW, s.C, 0, 1, 0, 1, true)
	return s, x, y
}
