package kernels

import (
	"fmt"
	"testing"

	"github.com/bitgrad/bitgrad/internal/cpu"
	"github.com/bitgrad/bitgrad/quant"
)

// A rowBench is a loop over rows: the kernel it belongs to, and how many elements a run treats.
type rowBench struct {
	name, kernel string
	elements     int
	run          func()
}

// BenchmarkRows times the row kernels in each variant that this machine has, on rows that lie in
// the second-level cache. The rate is in elements.
func BenchmarkRows(b *testing.B) {
	for _, channels := range []int{64, 50, 20} {
		for _, c := range rowBenches(b, channels) {
			runVariants(b, fmt.Sprintf("%s/%d", c.name, channels), c)
		}
	}
}

// BenchmarkPack times the packing of the weights of 64 channels, 3×3, and of a linear layer of
// 800 to 500. The rate is in weights.
func BenchmarkPack(b *testing.B) {
	for _, s := range []ConvShape{{C: 64, O: 64, KH: 3, KW: 3, H: 8, W: 8}, {C: 800, O: 500, KH: 1, KW: 1, H: 1, W: 1}} {
		s := IntConv{ConvShape: s}
		if err := s.Complete(); err != nil {
			b.Fatal(err)
		}
		n := s.WeightSize()
		w, codes, packed := normals(testRand(), n), randomBytes(testRand(), n), new(IntWeights)
		g := s.InputGradient()
		forward, backward := make([]float32, s.ForwardSize()), make([]float32, g.PackedSize())
		for _, c := range []rowBench{
			{"forward", "pack", n, func() { s.PackForward(forward, w) }},
			{"backward", "pack", n, func() { g.Pack(backward, w) }},
			{"int8", "intconv", n, func() { s.Pack(packed, codes) }},
			{"gradient", "unpack", n, func() { s.UnpackWeightGrad(w, forward, false) }},
		} {
			runVariants(b, fmt.Sprintf("%d-%d %d×%d/%s", s.C, s.O, s.KH, s.KW, c.name), c)
		}
	}
}

func runVariants(b *testing.B, name string, c rowBench) {
	b.Cleanup(func() { restore(c.kernel) })
	for _, v := range variants {
		if v.kernel != c.kernel || v.needs > cpu.Best() {
			continue
		}
		b.Run(fmt.Sprintf("%s/%v", name, v.needs), func(b *testing.B) {
			v.use()
			for b.Loop() {
				c.run()
			}
			reportRate(b, c.elements)
		})
	}
}

func rowBenches(t testing.TB, channels int) []rowBench {
	t.Helper()
	r := testRand()
	pixels := 6400 / channels
	n := pixels * channels
	x, y, z := normals(r, n), normals(r, n), normals(r, n)
	acc, codes, more, bits := accumulators(r, n), randomBytes(r, n), randomBytes(r, n), make([]uint8, BitBytes(n))
	shift, last, mult, factor := make([]int32, channels), make([]int32, channels), make([]float32, channels), make([]float64, channels)
	for c := range channels {
		shift[c], last[c], mult[c], factor[c] = 20, 1<<20, 1e-5, 0.5
	}
	left := append([]int32{-2}, shift[1:]...)
	midRise := quant.Requantizer{Rule: quant.Float, MidRise: true, Multiplier: mult, Lo: -128, Hi: 127}
	fixed := quant.Requantizer{Rule: quant.FixedPoint, Mantissa: []int32{1<<30 + 1<<20}, Exponent: []int32{-16}, ZeroPoint: 3, Lo: -128, Hi: 127}
	twice := fixed
	twice.DoubleRounding = true
	grid := quant.Grid{BitWidth: 8, Signed: true, Scale: []float32{0.01}}
	sums, squares, exact := make([]float64, channels), make([]float64, channels), NewAccMoments(channels)
	shape := PoolShape{C: channels, KH: 2, KW: 2, StrideH: 2, StrideW: 2, H: 2, W: pixels / 2}
	if err := shape.Complete(); err != nil {
		t.Fatal(err)
	}
	pooled, index, sum := make([]float32, n/4), make([]uint8, n/4), make([]int32, n/4)
	xl, yl := Dense(1, 2, shape.W, channels), Dense(1, 1, shape.OW, channels)
	addShift := quant.AddShift{FA: 5, FB: 4, FY: 3, Lo: -128, Hi: 127}
	addFloat := quant.AddFloat{Za: 3, Zb: -5, Ma: 0.3, Mb: 0.7, Zy: 4, Lo: -128, Hi: 127}
	return []rowBench{
		{"relu", "elementwise", n, func() { ReLU(y, x, 6) }},
		{"relu backward", "elementwise", n, func() { ReLUBackward(y, z, x, 6, true) }},
		{"add", "elementwise", n, func() { Add(y, x, z) }},
		{"axpy", "elementwise", n, func() { Axpy(y, 1e-9, x) }},
		{"scale bias", "elementwise", n, func() { ScaleBias(y, x, mult, mult) }},
		{"leaky relu", "elementwise", n, func() { LeakyReLU(y, x, 0.1) }},
		{"leaky relu backward", "elementwise", n, func() { LeakyReLUBackward(y, z, x, 0.1, true) }},
		{"mix", "elementwise", n, func() { Mix(y, x, z, mult, mult, mult) }},
		{"add relu", "elementwise", n, func() { AddReLU(y, x, z, 6) }},
		{"scale bias relu", "elementwise", n, func() { ScaleBiasReLU(y, x, mult, mult, 6) }},
		{"scale bias add relu", "elementwise", n, func() { ScaleBiasAddReLU(y, x, mult, mult, z, 6) }},
		{"requantize shift", "requantize shift", n, func() { RequantizeShift(codes, acc, shift, -128, 127) }},
		{"requantize float", "requantize float", n, func() { RequantizeFloat(codes, acc, mult, 3, -128, 127) }},
		{"requantize shift left", "requantize shift", n, func() { RequantizeShift(codes, acc, left, -128, 127) }},
		{"requantize mid-rise", "requantize float", n, func() { Requantize(codes, acc, &midRise) }},
		{"requantize fixed", "requantize fixed", n, func() { q := fixed; Requantize(codes, acc, &q) }},
		{"requantize fixed twice", "requantize fixed", n, func() { Requantize(codes, acc, &twice) }},
		{"requantize affine", "affine", n, func() { RequantizeAffine(codes, acc, mult, mult, 3, -128, 127, true) }},
		{"accumulator range", "affine", n, func() { AccumulatorRange(shift, last, acc) }},
		{"finite range", "affine", n, func() { FiniteRange(x) }},
		{"add shift", "add codes", n, func() { AddShift(codes, codes, more, true, true, &addShift) }},
		{"add float", "add codes", n, func() { AddFloat(codes, codes, more, true, true, &addFloat) }},
		{"multiply codes", "multiply codes", n, func() { MultiplyCodes(acc, codes, more, true, false, 3, 5) }},
		{"add shift bits", "add bits", n, func() { AddShiftBits(bits, codes, more, true, true, &addShift, -99, 99) }},
		{"add float bits", "add bits", n, func() { AddFloatBits(bits, codes, more, true, true, &addFloat, -9, 9) }},
		{"pass bits", "pass bits", n, func() { PassBits(bits, acc, shift, last) }},
		{"select bits", "pass bits", n, func() { SelectBits(y, x, bits, false) }},
		{"dot codes", "gradient", n, func() { DotCodes(x, codes, true, 3) }},
		{"select range", "gradient", n, func() { SelectRange(y, z, x, -1, 1, false) }},
		{"select accumulators", "gradient", n, func() { SelectAccumulators(y, acc, shift, last, sums, squares) }},
		{"mix accumulators", "gradient", n, func() { MixAccumulators(y, acc, factor, factor, factor) }},
		{"quantize codes", "quantize", n, func() { QuantizeCodes(codes, x, &grid, quant.HalfUp) }},
		{"fake quantize", "quantize", n, func() { FakeQuantize(y, x, &grid, quant.HalfEven) }},
		{"dequantize", "quantize", n, func() { Dequantize(y, codes, true, 0, 0.01) }},
		{"channel sums", "channel sums", n, func() { ChannelSums(sums, x, xl, 0, 1) }},
		{"channel moments", "moments", n, func() { ChannelMoments(sums, squares, x, xl, 0, 1) }},
		{"exact moments", "moments", n, func() { exact.Add(acc) }},
		{"max pool", "max window", n, func() { shape.Max(pooled, yl, x, xl, index, 0, 1) }},
		{"max pool codes", "max window", n, func() { shape.MaxCodes(more, yl, codes, xl, true, index, 0, 1) }},
		{"max pool backward", "max window", n, func() { shape.MaxBackward(y, xl, pooled, yl, index, 0, 1, true) }},
		{"divide", "divide", n, func() { divide(y, x, 3) }},
		{"average pool", "depthwise", n, func() { shape.Average(pooled, yl, x, xl, 0, 1) }},
		{"average pool backward", "accumulate", n, func() { shape.AverageBackward(y, xl, pooled, yl, 0, 1, true) }},
		{"sum codes", "depthwise", n, func() { shape.SumCodes(sum, codes, xl, true, 3, 0, 0) }},
	}
}
