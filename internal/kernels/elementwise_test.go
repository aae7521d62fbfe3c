package kernels

import (
	"math"
	"slices"
	"testing"

	"github.com/bitgrad/bitgrad/quant"
)

func TestElementwise(t *testing.T) {
	forEach(t, "elementwise", func(t *testing.T) {
		r := testRand()
		for n := range 68 {
			x, y, z := normals(r, n), normals(r, n), normals(r, n)
			for i := range x {
				switch r.IntN(6) {
				case 0:
					x[i] = 0
				case 1:
					x[i] = float32(math.Copysign(0, -1))
				case 2:
					x[i] = 0.75
				}
			}
			dst := guard[float32](n, -77, 3)
			d := dst.in
			check := func(name string, want func(i int) float32) {
				t.Helper()
				for i := range d {
					if w := want(i); d[i] != w {
						t.Fatalf("%s: element %d of %d is %v, want %v", name, i, n, d[i], w)
					}
				}
				dst.check(t, name)
			}
			ReLU(d, x, float32(math.Inf(1)))
			check("relu", func(i int) float32 { return max(x[i], 0) })
			ReLU(d, x, 0.75)
			check("relu with limit", func(i int) float32 { return min(max(x[i], 0), 0.75) })
			out := append([]float32(nil), d...)
			slope := func(i int) float32 {
				if x[i] > 0 && x[i] < 0.75 {
					return y[i]
				}
				return 0
			}
			ReLUBackward(d, y, out, 0.75, false)
			check("relu backward", slope)
			copy(d, z)
			ReLUBackward(d, y, out, 0.75, true)
			check("relu backward, added", func(i int) float32 { return z[i] + slope(i) })
			Scale(d, 0.3, x)
			check("scale", func(i int) float32 { return 0.3 * x[i] })
			LeakyReLU(d, x, 0.25)
			check("leaky relu", func(i int) float32 { return max(x[i], x[i]*0.25) })
			copy(out, d)
			leak := func(i int) float32 {
				if x[i] > 0 {
					return y[i]
				}
				return y[i] * 0.25
			}
			LeakyReLUBackward(d, y, out, 0.25, false)
			check("leaky relu backward", leak)
			copy(d, z)
			LeakyReLUBackward(d, y, out, 0.25, true)
			check("leaky relu backward, added", func(i int) float32 { return z[i] + leak(i) })
			Add(d, y, z)
			check("add", func(i int) float32 { return y[i] + z[i] })
			copy(d, z)
			Axpy(d, 1.7, y)
			check("axpy", func(i int) float32 { return z[i] + float32(1.7*y[i]) })
		}
		for channels := 1; channels <= 67; channels++ {
			x, scale, bias := normals(r, 3*channels), normals(r, channels), normals(r, channels)
			dst := guard[float32](3*channels, -77, 3)
			ScaleBias(dst.in, x, scale, bias)
			for i, v := range x {
				if want := float32(v*scale[i%channels]) + bias[i%channels]; dst.in[i] != want {
					t.Fatalf("scale and bias: element %d of %d channels is %v, want %v", i, channels, dst.in[i], want)
				}
			}
			dst.check(t, "scale and bias")
			y, k := normals(r, 3*channels), normals(r, channels)
			dst = guard[float32](3*channels, -77, 3)
			Mix(dst.in, x, y, scale, bias, k)
			for i, v := range x {
				c := i % channels
				inner := float32(k[c]*y[i]) + bias[c]
				if want := float32(v*scale[c]) + inner; dst.in[i] != want {
					t.Fatalf("mix: element %d of %d channels is %v, want %v", i, channels, dst.in[i], want)
				}
			}
			dst.check(t, "mix")
			want, got := make([]float32, len(x)), make([]float32, len(x))
			compare := func(name string) {
				if !slices.Equal(got, want) {
					t.Fatalf("%s of %d channels is %v, want %v", name, channels, got, want)
				}
			}
			Add(want, x, y)
			ReLU(want, want, 0.75)
			AddReLU(got, x, y, 0.75)
			compare("add and relu")
			ScaleBias(want, x, scale, bias)
			ReLU(want, want, 0.75)
			ScaleBiasReLU(got, x, scale, bias, 0.75)
			compare("scale, bias and relu")
			ScaleBias(want, x, scale, bias)
			Add(want, want, y)
			ReLU(want, want, 0.75)
			ScaleBiasAddReLU(got, x, scale, bias, y, 0.75)
			compare("scale, bias, add and relu")
			copy(dst.in, x)
			Mix(dst.in, dst.in, y, scale, bias, k)
			again := make([]float32, len(x))
			Mix(again, x, y, scale, bias, k)
			if !slices.Equal(again, dst.in) {
				t.Fatalf("mix of %d channels in place differs", channels)
			}
		}
		nan := []float32{float32(math.NaN())}
		if ReLU(nan, nan, 6); nan[0] == nan[0] {
			t.Errorf("relu of NaN is %v", nan[0])
		}
	})
}

func TestDot(t *testing.T) {
	a, b := []float32{1, 2, 3, 0.5}, []float32{4, -5, 6, 8}
	if got := Dot(a, b); got != 16 {
		t.Errorf("dot %v, want 16", got)
	}
	forEach(t, "moments", func(t *testing.T) {
		r := testRand()
		for n := range 68 {
			a, b := normals(r, n), normals(r, n)
			var products [8]float64
			for i := range n &^ 7 {
				products[i%8] += float64(a[i]) * float64(b[i])
			}
			want := 0.0
			for _, p := range products {
				want += p
			}
			for i := n &^ 7; i < n; i++ {
				want += float64(a[i]) * float64(b[i])
			}
			if got := Dot(a, b); got != want {
				t.Errorf("dot of %d elements: %v, want %v", n, got, want)
			}
		}
	})
}

func TestSoftmaxCrossEntropy(t *testing.T) {
	dx := make([]float32, 3)
	loss := SoftmaxCrossEntropy(dx, []float32{0, float32(math.Log(2)), float32(math.Log(5))}, 1, 4)
	if want := math.Log(4); math.Abs(loss-want) > 1e-7 {
		t.Errorf("loss %v, want %v", loss, want)
	}
	for j, want := range []float64{4. / 8, 4 * (2./8 - 1), 4 * 5. / 8} {
		if math.Abs(float64(dx[j])-want) > 1e-6 {
			t.Errorf("dx[%d] = %v, want %v", j, dx[j], want)
		}
	}
	if loss := SoftmaxCrossEntropy(nil, []float32{1e30, -1e30}, 0, 1); loss != 0 {
		t.Errorf("loss of a certain answer %v, want 0", loss)
	}
	if loss := SoftmaxCrossEntropy(nil, []float32{float32(math.NaN()), 1}, 1, 1); !math.IsNaN(loss) {
		t.Errorf("loss of NaN %v", loss)
	}
}

func TestChannelMoments(t *testing.T) {
	forEach(t, "moments", func(t *testing.T) {
		for channels := 1; channels <= 35; channels++ {
			testChannelMoments(t, channels)
		}
	})
}

func testChannelMoments(t *testing.T, channels int) {
	r := testRand()
	x := newTensor(r, 3, 4, 5, channels, 1, 1, 0, 2, true)
	y := newTensor(r, 3, 4, 5, channels, 0, 1, 1, 0, false)
	gs, gq := guard(channels, -7.0, 0), guard(channels, -7.0, 0)
	sum, square := gs.in, gq.in
	again, product := make([]float64, channels), make([]float64, channels)
	ChannelMoments(sum, square, x.data, x.Layout, 0, 1)
	ChannelMoments(sum, square, x.data, x.Layout, 1, 3)
	ChannelProducts(again, product, x.data, x.Layout, y.data, y.Layout, 0, 3)
	for c := range channels {
		var s, q, p float64
		for i := range 3 * 4 * 5 {
			v := float64(x.data[x.At(i/20, i/5%4, i%5, c)])
			s, q, p = s+v, q+v*v, p+v*float64(y.data[y.At(i/20, i/5%4, i%5, c)])
		}
		if sum[c] != s || square[c] != q || again[c] != s || product[c] != p {
			t.Errorf("channel %d: %v %v %v %v, want %v %v %v %v", c, sum[c], square[c], again[c], product[c], s, q, s, p)
		}
	}
	gs.check(t, "sum")
	gq.check(t, "square")
}

func TestAccMoments(t *testing.T) {
	forEach(t, "moments", testAccMoments)
}

func testAccMoments(t *testing.T) {
	m, other := NewAccMoments(2), NewAccMoments(2)
	const limit = math.MaxInt32
	m.Add([]int32{1, limit, 2, -limit})
	other.Add([]int32{6, limit, 7, -limit})
	m.Merge(other)
	for c, want := range []struct{ mean, variance float64 }{{4, (9. + 4 + 4 + 9) / 4}, {0, float64(limit) * float64(limit)}} {
		mean, variance := m.MeanVariance(c)
		if mean != want.mean || variance != want.variance {
			t.Errorf("channel %d: %v, %v, want %v", c, mean, variance, want)
		}
	}
	r := testRand()
	for channels := 1; channels <= 20; channels++ {
		acc := accumulators(r, 5*channels)
		got, want := NewAccMoments(channels), NewAccMoments(channels)
		got.Add(acc)
		addAccumulatorsPortable(want, acc)
		equalSlices(t, "sum", got.Sum, want.Sum)
		equalSlices(t, "high", got.High, want.High)
		equalSlices(t, "low", got.Low, want.Low)
	}
	// A variance that float64 sums would lose: 2^30 ± 1 many times over.
	m.Reset()
	for range 1 << 10 {
		m.Add([]int32{1<<30 + 1, math.MinInt32, 1<<30 - 1, math.MinInt32})
	}
	if mean, variance := m.MeanVariance(0); mean != 1<<30 || variance != 1 {
		t.Errorf("mean %v, variance %v, want 2^30, 1", mean, variance)
	}
	if mean, variance := m.MeanVariance(1); mean != math.MinInt32 || variance != 0 {
		t.Errorf("mean %v, variance %v, want -2^31, 0", mean, variance)
	}
	if mean, variance := NewAccMoments(1).MeanVariance(0); mean != 0 || variance != 0 {
		t.Errorf("moments of nothing: %v, %v", mean, variance)
	}
}

// Sums that round are added in the same order by every variant.
func TestMomentsAreTheSameBytes(t *testing.T) {
	r := testRand()
	const channels, pixels = 37, 50
	a, b := normals(r, pixels*channels), normals(r, pixels*channels)
	want, wantProduct := make([]float64, channels), make([]float64, channels)
	rowProductsPortable(want, wantProduct, a, channels, b, channels, pixels)
	forEach(t, "moments", func(t *testing.T) {
		sum, product := make([]float64, channels), make([]float64, channels)
		rowProducts(sum, product, a, channels, b, channels, pixels)
		equalSlices(t, "sum", sum, want)
		equalSlices(t, "product", product, wantProduct)
	})
}

func TestElementwiseAllocateNothing(t *testing.T) {
	const n, channels = 200, 8
	x, codes, acc, bits := make([]float32, n), make([]uint8, n), make([]int32, n), make([]uint8, BitBytes(n))
	one, many, shift := []float32{1}, make([]float32, channels), []int32{3}
	for c := range many {
		many[c] = 1
	}
	grid := quant.Grid{BitWidth: 8, Signed: true, Scale: one}
	requantizer := quant.Requantizer{Rule: quant.Float, Multiplier: many, Lo: -128, Hi: 127}
	pool := PoolShape{C: channels, KH: 1, KW: 5, H: 1, W: 25, StrideW: 5}
	if err := pool.Complete(); err != nil {
		t.Fatal(err)
	}
	xl, yl := Dense(1, 1, 25, channels), Dense(1, 1, 5, channels)
	sums, products, exact := make([]float64, channels), make([]float64, channels), NewAccMoments(channels)
	if got := testing.AllocsPerRun(10, func() {
		ReLU(x, x, 6)
		ReLUBackward(x, x, x, 6, true)
		Add(x, x, x)
		Axpy(x, 1, x)
		ScaleBias(x, x, many, many)
		Requantize(codes, acc, &requantizer)
		RequantizeFloat(codes, acc, one, 0, -128, 127)
		RequantizeShift(codes, acc, shift, -128, 127)
		PassBits(bits, acc, shift, shift)
		SelectBits(x, x, bits, true)
		QuantizeCodes(codes, x, &grid, quant.HalfEven)
		FakeQuantize(x, x, &grid, quant.HalfUp)
		Dequantize(x, codes, true, 0, 1)
		ChannelMoments(sums, products, x, xl, 0, 1)
		exact.Add(acc)
		pool.Max(x, yl, x, xl, codes, 0, 1)
		pool.MaxBackward(x, xl, x, yl, codes, 0, 1, true)
		pool.Average(x, yl, x, xl, 0, 1)
		pool.AverageBackward(x, xl, x, yl, 0, 1, true)
		SoftmaxCrossEntropy(nil, x[:channels], 0, 1)
	}); got != 0 {
		t.Errorf("%v allocations, want 0", got)
	}
}
