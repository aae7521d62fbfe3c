package kernels

import (
	"fmt"
	"math"
	"testing"
)

func poolCases(t *testing.T) []PoolShape {
	t.Helper()
	cases := []PoolShape{
		{C: 1, KH: 1, KW: 1, H: 1, W: 1},
		{C: 6, KH: 2, KW: 2, StrideH: 2, StrideW: 2, H: 6, W: 8},
		{C: 17, KH: 3, KW: 3, StrideH: 2, StrideW: 2, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1, H: 7, W: 8},
		{C: 33, KH: 3, KW: 2, StrideH: 1, StrideW: 2, PadTop: 2, PadLeft: 1, H: 5, W: 4, IncludePad: true},
		{C: 3, KH: 3, KW: 3, StrideH: 2, StrideW: 2, PadBottom: 1, PadRight: 1, H: 8, W: 8, OH: 4, OW: 4, IncludePad: true}, // rounded up
		{C: 70, KH: 7, KW: 7, H: 7, W: 7},
	}
	for i := range cases {
		if err := cases[i].Complete(); err != nil {
			t.Fatalf("case %d: %v", i, err)
		}
	}
	return cases
}

func TestMaxPool(t *testing.T) {
	forEach(t, "max window", func(t *testing.T) {
		r := testRand()
		for _, s := range poolCases(t) {
			name := fmt.Sprintf("%+v", s)
			x := newTensor(r, 2, s.H, s.W, s.C, 1, 0, 1, 2, true)
			y := newTensor(r, 2, s.OH, s.OW, s.C, 0, 1, 0, 1, true)
			dx := newTensor(r, 2, s.H, s.W, s.C, 1, 0, 0, 0, true)
			codes, yc := make([]uint8, len(x.data)), make([]uint8, len(y.data))
			for i, v := range x.data {
				codes[i] = uint8(int8(int(v)))
			}
			index := make([]uint8, 2*s.OH*s.OW*s.C)
			indexCodes := make([]uint8, len(index))
			wantY, wantDX := y.clone(), dx.clone()
			for i := range index {
				c, ow, oh, n := i%s.C, i/s.C%s.OW, i/s.C/s.OW%s.OH, i/s.C/s.OW/s.OH
				best, bh, bw := float32(math.Inf(-1)), 0, 0
				for h := range s.H {
					for w := range s.W {
						kh, kw := h-(oh*s.StrideH-s.PadTop), w-(ow*s.StrideW-s.PadLeft)
						if v := x.data[x.At(n, h, w, c)]; kh >= 0 && kh < s.KH && kw >= 0 && kw < s.KW && v > best {
							best, bh, bw = v, h, w
						}
					}
				}
				wantY.data[y.At(n, oh, ow, c)] = best
				wantDX.data[dx.At(n, bh, bw, c)] += best
			}
			s.Max(y.data, y.Layout, x.data, x.Layout, index, 0, 1)
			s.Max(y.data, y.Layout, x.data, x.Layout, index, 1, 2)
			equalSlices(t, name+" y", y.data, wantY.data)
			s.MaxBackward(dx.data, dx.Layout, y.data, y.Layout, index, 0, 2, true)
			equalSlices(t, name+" dx", dx.data, wantDX.data)
			fresh := dx.clone()
			for i := range 2 * s.H * s.W {
				clear(fresh.data[dx.At(i/s.W/s.H, i/s.W%s.H, i%s.W, 0):][:s.C])
			}
			s.MaxBackward(fresh.data, dx.Layout, y.data, y.Layout, index, 0, 2, true)
			s.MaxBackward(dx.data, dx.Layout, y.data, y.Layout, index, 0, 2, false)
			equalSlices(t, name+" fresh dx", dx.data, fresh.data)

			s.MaxCodes(yc, y.Layout, codes, x.Layout, true, indexCodes, 0, 2)
			equalSlices(t, name+" signed index", indexCodes, index)
			for i := range codes {
				codes[i] += 128
			}
			yu := make([]uint8, len(yc))
			s.MaxCodes(yu, y.Layout, codes, x.Layout, false, nil, 0, 2)
			for i := range index {
				at := y.At(i/s.C/s.OW/s.OH, i/s.C/s.OW%s.OH, i/s.C%s.OW, i%s.C)
				if want := y.data[at]; float32(int8(yc[at])) != want || float32(yu[at])-128 != want {
					t.Fatalf("%s: signed code %d, unsigned %d, want %v", name, int8(yc[at]), yu[at], want)
				}
			}
		}
	})
}

func TestMaxPoolNaN(t *testing.T) {
	forEach(t, "max window", func(t *testing.T) {
		s := PoolShape{C: 1, KH: 1, KW: 3, H: 1, W: 3}
		if err := s.Complete(); err != nil {
			t.Fatal(err)
		}
		nan := float32(math.NaN())
		for at, x := range [][]float32{{nan, 1, 2}, {1, nan, 2}, {1, 2, nan}} {
			y, index := []float32{0}, []uint8{9}
			s.Max(y, Dense(1, 1, 1, 1), x, Dense(1, 1, 3, 1), index, 0, 1)
			if y[0] == y[0] || int(index[0]) != at {
				t.Errorf("maximum of %v is %v at %d", x, y[0], index[0])
			}
		}
	})
}

func TestAveragePool(t *testing.T) {
	forEach(t, "accumulate", testAveragePool)
}

func testAveragePool(t *testing.T) {
	r := testRand()
	for _, s := range poolCases(t) {
		name := fmt.Sprintf("%+v", s)
		x := newTensor(r, 2, s.H, s.W, s.C, 1, 0, 1, 2, true)
		y := newTensor(r, 2, s.OH, s.OW, s.C, 0, 1, 0, 1, true)
		dx := newTensor(r, 2, s.H, s.W, s.C, 1, 0, 0, 0, true)
		codes := make([]uint8, len(x.data))
		for i, v := range x.data {
			codes[i] = uint8(int8(int(v)))
		}
		wantY, wantDX := y.clone(), dx.clone()
		for i := range 2 * s.H * s.W {
			clear(wantDX.data[dx.At(i/s.W/s.H, i/s.W%s.H, i%s.W, 0):][:s.C])
		}
		acc := make([]int32, s.OW*s.C)
		for n := range 2 {
			for oh := range s.OH {
				s.SumCodes(acc, codes, x.Layout, true, 3, n, oh)
				for i := range acc {
					ow, c := i/s.C, i%s.C
					var sum float32
					var places, pixels int32
					for kh := range s.KH {
						for kw := range s.KW {
							h, w := oh*s.StrideH-s.PadTop+kh, ow*s.StrideW-s.PadLeft+kw
							if h < s.H+s.PadBottom && w < s.W+s.PadRight {
								places++
							}
							if h >= 0 && h < s.H && w >= 0 && w < s.W {
								pixels++
								sum += x.data[x.At(n, h, w, c)]
							}
						}
					}
					if got, want := acc[i], int32(sum)-3*pixels; got != want {
						t.Fatalf("%s: sum of codes %d, want %d", name, got, want)
					}
					count := pixels
					if s.IncludePad {
						count = places
					}
					if got := s.Divisor(oh, ow); got != int(count) {
						t.Fatalf("%s: divisor at (%d, %d) is %d, want %d", name, oh, ow, got, count)
					}
					v := sum / float32(count)
					wantY.data[y.At(n, oh, ow, c)] = v
					for kh := range s.KH {
						for kw := range s.KW {
							h, w := oh*s.StrideH-s.PadTop+kh, ow*s.StrideW-s.PadLeft+kw
							if h >= 0 && h < s.H && w >= 0 && w < s.W {
								wantDX.data[dx.At(n, h, w, c)] += v / float32(count)
							}
						}
					}
				}
			}
		}
		s.Average(y.data, y.Layout, x.data, x.Layout, 0, 2)
		equalSlices(t, name+" y", y.data, wantY.data)
		s.AverageBackward(dx.data, dx.Layout, y.data, y.Layout, 0, 2, false)
		equalSlices(t, name+" dx", dx.data, wantDX.data)
		for i := range 2 * s.H * s.W {
			for c := range s.C {
				wantDX.data[dx.At(i/s.W/s.H, i/s.W%s.H, i%s.W, c)] *= 2
			}
		}
	}
}

func TestPoolComplete(t *testing.T) {
	for name, s := range map[string]PoolShape{
		"no channels":    {KH: 1, KW: 1, H: 1, W: 1},
		"negative pad":   {C: 1, KH: 1, KW: 1, H: 1, W: 1, PadLeft: -1},
		"too small":      {C: 1, KH: 3, KW: 3, H: 2, W: 2},
		"only padding":   {C: 1, KH: 2, KW: 2, H: 4, W: 4, PadTop: 2},
		"beyond the end": {C: 1, KH: 2, KW: 2, StrideH: 2, StrideW: 2, H: 4, W: 4, OH: 3, OW: 2},
	} {
		if err := s.Complete(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
