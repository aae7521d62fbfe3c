package kernels

import (
	"testing"

	"github.com/bitgrad/bitgrad/quant"
)

// The shapes that CIFAR networks and LeNet spend their time in.
func BenchmarkConv(b *testing.B) {
	r := testRand()
	for _, c := range []struct {
		name string
		ConvShape
	}{
		{"cifar 16-16", ConvShape{C: 16, O: 16, KH: 3, KW: 3, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1, H: 32, W: 32}},
		{"cifar 32-32", ConvShape{C: 32, O: 32, KH: 3, KW: 3, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1, H: 16, W: 16}},
		{"cifar 64-64", ConvShape{C: 64, O: 64, KH: 3, KW: 3, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1, H: 8, W: 8}},
		{"cifar 16-32 stride 2", ConvShape{C: 16, O: 32, KH: 3, KW: 3, StrideH: 2, StrideW: 2, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1, H: 32, W: 32}},
		{"lenet 1-20", ConvShape{C: 1, O: 20, KH: 5, KW: 5, H: 28, W: 28}},
		{"lenet 20-50", ConvShape{C: 20, O: 50, KH: 5, KW: 5, H: 12, W: 12}},
		{"depthwise 32", ConvShape{C: 32, O: 32, KH: 3, KW: 3, Groups: 32, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1, H: 16, W: 16}},
	} {
		s := c.ConvShape
		if err := s.Complete(); err != nil {
			b.Fatal(err)
		}
		const batch = 16
		x := newTensor(r, batch, s.H, s.W, s.C, s.PadTop, s.PadLeft, s.PadBottom, s.PadRight, false)
		top, left, bottom, right := s.DyBorder()
		y := newTensor(r, batch, s.OH, s.OW, s.O, top, left, bottom, right, false)
		w := normals(r, s.WeightSize())
		operations := int(2 * batch * s.MACs())
		b.Run(c.name+"/forward", func(b *testing.B) {
			packed := make([]float32, s.ForwardSize())
			s.PackForward(packed, w)
			for b.Loop() {
				s.Forward(y.data, y.Layout, x.data, x.Layout, packed, nil, 0, batch)
			}
			reportRate(b, operations)
		})
		b.Run(c.name+"/backward input", func(b *testing.B) {
			packed := make([]float32, s.BackwardSize())
			s.PackBackward(packed, w)
			for b.Loop() {
				s.BackwardInput(x.data, x.Layout, y.data, y.Layout, packed, 0, batch, false)
			}
			reportRate(b, operations)
		})
		b.Run(c.name+"/backward weight", func(b *testing.B) {
			dw := make([]float32, s.WeightSize())
			for b.Loop() {
				s.BackwardWeight(dw, x.data, x.Layout, y.data, y.Layout, 0, batch, false)
			}
			reportRate(b, operations)
		})
		for _, signed := range []bool{false, true} {
			b.Run(c.name+map[bool]string{false: "/u8", true: "/s8"}[signed], func(b *testing.B) {
				s := IntConv{s, signed}
				codes := randomBytes(r, len(x.data)+Slack)
				w, packed := make([]int8, s.WeightSize()), make([]int8, s.PackedSize())
				acc, start := make([]int32, s.OH*s.OW*s.O), make([]int32, s.O)
				s.PackInt8(packed, w, start)
				for b.Loop() {
					for n := range batch {
						s.Rows(acc, codes, x.Layout, packed, start, n, 0, s.OH)
					}
				}
				reportRate(b, operations)
			})
		}
	}
}

func BenchmarkLinear(b *testing.B) {
	r := testRand()
	const n = 128
	for _, l := range []Linear{{800, 500}, {500, 10}, {1024, 256}} {
		x, y := normals(r, n*l.I), normals(r, n*l.O)
		w, bias := normals(r, l.I*l.O), normals(r, l.O)
		packed := make([]float32, l.ForwardSize())
		l.PackForward(packed, w)
		operations := 2 * n * l.I * l.O
		name := map[int]string{800: "800-500", 500: "500-10", 1024: "1024-256"}[l.I]
		b.Run(name+"/forward", func(b *testing.B) {
			for b.Loop() {
				l.Forward(y, x, packed, bias, 0, n)
			}
			reportRate(b, operations)
		})
		b.Run(name+"/pack", func(b *testing.B) {
			for b.Loop() {
				l.PackForward(packed, w)
			}
		})
		b.Run(name+"/backward input", func(b *testing.B) {
			for b.Loop() {
				l.BackwardInput(x, y, w, 0, n, false)
			}
			reportRate(b, operations)
		})
		b.Run(name+"/backward weight", func(b *testing.B) {
			for b.Loop() {
				l.BackwardWeight(w, x, y, n, 0, l.O, false)
			}
			reportRate(b, operations)
		})
		s := IntConv{ConvShape: ConvShape{C: l.I, O: l.O, KH: 1, KW: 1, H: 1, W: n}}
		if err := s.Complete(); err != nil {
			b.Fatal(err)
		}
		b.Run(name+"/u8", func(b *testing.B) {
			codes := randomBytes(r, len(x)+Slack)
			packed := make([]int8, s.PackedSize())
			acc, start := make([]int32, n*l.O), make([]int32, l.O)
			for b.Loop() {
				s.Rows(acc, codes, Dense(1, 1, n, l.I), packed, start, 0, 0, 1)
			}
			reportRate(b, operations)
		})
	}
}

// Elementwise loops over 64 Ki elements of 16 channels; the rate is in elements.
func BenchmarkElementwise(b *testing.B) {
	r := testRand()
	const n, channels = 1 << 16, 16
	x, y := normals(r, n), normals(r, n)
	acc, codes, bits := accumulators(r, n), make([]uint8, n), make([]uint8, BitBytes(n))
	shift, mult := make([]int32, channels), make([]float32, channels)
	for c := range channels {
		shift[c], mult[c] = 20, 1e-5
	}
	grid := quant.Grid{BitWidth: 8, Signed: true, Scale: []float32{0.01}}
	sums, squares, exact := make([]float64, channels), make([]float64, channels), NewAccMoments(channels)
	pool := PoolShape{C: channels, KH: 2, KW: 2, StrideH: 2, StrideW: 2, H: 64, W: 64}
	if err := pool.Complete(); err != nil {
		b.Fatal(err)
	}
	pooled, index := make([]float32, n/4), make([]uint8, n/4)
	xl, yl := Dense(1, 64, 64, channels), Dense(1, 32, 32, channels)
	for _, c := range []struct {
		name string
		run  func()
	}{
		{"relu", func() { ReLU(y, x, 6) }},
		{"relu backward", func() { ReLUBackward(y, x, x, 6, true) }},
		{"scale bias", func() { ScaleBias(y, x, mult, mult) }},
		{"requantize shift", func() { RequantizeShift(codes, acc, shift, -128, 127) }},
		{"requantize float", func() { RequantizeFloat(codes, acc, mult, 3, -128, 127) }},
		{"pass bits", func() { PassBits(bits, acc, shift, acc[:channels]) }},
		{"select bits", func() { SelectBits(y, x, bits, false) }},
		{"quantize codes", func() { QuantizeCodes(codes, x, &grid, quant.HalfUp) }},
		{"fake quantize", func() { FakeQuantize(y, x, &grid, quant.HalfEven) }},
		{"dequantize", func() { Dequantize(y, codes, true, 0, 0.01) }},
		{"moments", func() { ChannelMoments(sums, squares, x, xl, 0, 1) }},
		{"exact moments", func() { exact.Add(acc) }},
		{"max pool", func() { pool.Max(pooled, yl, x, xl, index, 0, 1) }},
		{"max pool codes", func() { pool.MaxCodes(codes, yl, codes, xl, false, index, 0, 1) }},
		{"max pool backward", func() { pool.MaxBackward(y, xl, pooled, yl, index, 0, 1, false) }},
		{"average pool", func() { pool.Average(pooled, yl, x, xl, 0, 1) }},
		{"average pool backward", func() { pool.AverageBackward(y, xl, pooled, yl, 0, 1, false) }},
		{"to NCHW", func() { ToNCHW(y, x, xl, 0, 1) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				c.run()
			}
			reportRate(b, n)
		})
	}
}

// Packing of the weights of 64 channels, 3×3, and of a linear layer of 800 to 500; the rate
// is in weights.
func BenchmarkPack(b *testing.B) {
	r := testRand()
	for _, c := range []struct {
		name string
		ConvShape
	}{
		{"conv 64-64", ConvShape{C: 64, O: 64, KH: 3, KW: 3, H: 8, W: 8}},
		{"linear 800-500", ConvShape{C: 800, O: 500, KH: 1, KW: 1, H: 1, W: 1}},
	} {
		s := IntConv{ConvShape: c.ConvShape}
		if err := s.Complete(); err != nil {
			b.Fatal(err)
		}
		n := s.WeightSize()
		w, codes, colsum := normals(r, n), make([]int8, n), make([]int32, s.O)
		forward, backward, packed := make([]float32, s.ForwardSize()), make([]float32, s.BackwardSize()), make([]int8, s.PackedSize())
		for _, p := range []struct {
			name string
			run  func()
		}{
			{"forward", func() { s.PackForward(forward, w) }},
			{"backward", func() { s.PackBackward(backward, w) }},
			{"int8", func() { s.PackInt8(packed, codes, colsum) }},
			{"unpack gradient", func() { s.UnpackWeightGrad(w, forward, false) }},
		} {
			b.Run(c.name+"/"+p.name, func(b *testing.B) {
				for b.Loop() {
					p.run()
				}
				reportRate(b, n)
			})
		}
	}
}
