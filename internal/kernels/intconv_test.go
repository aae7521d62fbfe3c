package kernels

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func TestGEMM8Small(t *testing.T) {
	forEach(t, "gemm8", func(t *testing.T) {
		r := testRand()
		for m := 1; m <= 31; m++ {
			for n := 1; n <= 32; n++ {
				g := GEMM8{M: m, N: n, K: r.IntN(11), Signed: r.IntN(2) == 1, Width: 32, LDC: n + r.IntN(5)}
				if n <= 16 && r.IntN(2) == 1 {
					g.Width = 16
				}
				g.RS = g.K + r.IntN(3)
				last := 0
				for range r.IntN(4) {
					g.AOff = append(g.AOff, r.IntN(6))
					last = max(last, g.AOff[len(g.AOff)-1])
				}
				g.A = randomBytes(r, last+(m-1)*g.RS+ceil4(g.K))
				g.W = make([]int8, len(g.AOff)*ceil4(g.K)*g.Width)
				weight := func(s, k, j int) *int8 {
					return &g.W[s*ceil4(g.K)*g.Width+k/4*4*g.Width+4*j+k%4]
				}
				for s := range g.AOff {
					for k := range g.K {
						for j := range n {
							*weight(s, k, j) = int8(r.IntN(256) - 128)
						}
					}
				}
				if r.IntN(2) == 1 {
					g.Start = make([]int32, n)
					for j := range g.Start {
						g.Start[j] = int32(r.Uint32())
					}
				}
				c := guard[int32]((m-1)*g.LDC+n, -77, 5)
				g.Acc = c.in
				want := append([]int32(nil), c.in...)
				for i := range m {
					for j := range n {
						var sum int32
						if g.Start != nil {
							sum = g.Start[j]
						}
						for s := range g.AOff {
							for k := range g.K {
								a := int32(g.A[g.AOff[s]+i*g.RS+k])
								if g.Signed {
									a = int32(int8(a)) + 128
								}
								sum += a * int32(*weight(s, k, j))
							}
						}
						want[i*g.LDC+j] = sum
					}
				}
				g.Run()
				name := fmt.Sprintf("%d×%d×%d, %d segments, signed %v, width %d", m, n, g.K, len(g.AOff), g.Signed, g.Width)
				equalSlices(t, name, c.in, want)
				c.check(t, name)
			}
		}
	})
}

func randomBytes(r *rand.Rand, n int) []uint8 {
	b := make([]uint8, n)
	for i := range b {
		switch r.IntN(4) {
		case 0:
			b[i] = 255
		case 1:
			b[i] = 128
		default:
			b[i] = uint8(r.IntN(256))
		}
	}
	return b
}

func TestIntConvDepthwise(t *testing.T) {
	forEach(t, "depthwise", func(t *testing.T) {
		r := testRand()
		for _, shape := range convCases(t) {
			if shape.Depthwise() {
				testIntConv(t, r, &IntConv{shape, false}, 0, shape.name())
				testIntConv(t, r, &IntConv{shape, true}, 3, shape.name()+", signed")
			}
		}
	})
}

// An integer convolution equals the wide one, which equals its definition.
func TestIntConv(t *testing.T) {
	forEach(t, "gemm8", func(t *testing.T) {
		r := testRand()
		for _, shape := range convCases(t) {
			for _, signed := range []bool{false, true} {
				for _, gap := range []int{0, 3} {
					name := fmt.Sprintf("%s, signed %v, gap %d", shape.name(), signed, gap)
					testIntConv(t, r, &IntConv{shape, signed}, gap, name)
				}
			}
		}
	})
}

func testIntConv(t *testing.T, r *rand.Rand, s *IntConv, gap int, name string) {
	t.Helper()
	const batch = 2
	xl, size := Bordered(batch, s.H, s.W, s.C+gap, s.PadTop, s.PadLeft, s.PadBottom, s.PadRight)
	xl.C = s.C
	x := randomBytes(r, size+Slack)
	z := int32(r.IntN(256))
	value := func(b uint8) int32 {
		if s.Signed {
			return int32(int8(b))
		}
		return int32(b)
	}
	if s.Signed {
		z -= 128
	}
	wide := make([]int32, size)
	for n := range batch {
		for h := -s.PadTop; h < s.H+s.PadBottom; h++ {
			for w := -s.PadLeft; w < s.W+s.PadRight; w++ {
				for c := range s.C {
					at := xl.At(n, h, w, c)
					if h < 0 || h >= s.H || w < 0 || w >= s.W {
						x[at] = uint8(z)
					}
					wide[at] = value(x[at]) - z
				}
			}
		}
	}
	w := make([]int8, s.WeightSize())
	w32 := make([]int32, len(w))
	for i := range w {
		w[i] = int8(r.IntN(256) - 128)
		w32[i] = int32(w[i])
	}
	bias, bias64 := make([]int32, s.O), make([]int64, s.O)
	for o := range bias {
		bias[o] = int32(r.IntN(1<<20) - 1<<19)
		bias64[o] = int64(bias[o])
	}
	packed, colsum, start := make([]int8, s.PackedSize()), make([]int32, s.O), make([]int32, s.O)
	s.PackInt8(packed, w, colsum)
	s.Start(start, bias, colsum, z)

	n, oh0 := r.IntN(batch), r.IntN(s.OH)
	oh1 := oh0 + 1 + r.IntN(s.OH-oh0)
	rows := (oh1 - oh0) * s.OW
	acc := guard[int32](rows*s.O, -77, 5)
	s.Rows(acc.in, x, xl, packed, start, n, oh0, oh1)
	acc.check(t, name)
	want := make([]int64, rows*s.O)
	s.RowsWide(want, wide, xl, w32, bias64, n, oh0, oh1)
	got := make([]int64, len(want))
	for i, v := range acc.in {
		got[i] = int64(v)
	}
	equalSlices(t, name, got, want)

	// The definition, without a border.
	cg, og := s.groups()
	for oh := oh0; oh < oh1; oh++ {
		for ow := range s.OW {
			for o := range s.O {
				sum := bias64[o]
				s.taps(oh, ow, func(kh, kw, h, iw int) {
					for c := range cg {
						sum += int64(value(x[xl.At(n, h, iw, o/og*cg+c)])-z) * int64(w[s.weight(o, c, kh, kw)])
					}
				})
				if got := want[((oh-oh0)*s.OW+ow)*s.O+o]; got != sum {
					t.Fatalf("%s: RowsWide at (%d, %d, %d): %d, want %d", name, oh, ow, o, got, sum)
				}
			}
		}
	}
}

func TestIntConvAllocatesNothing(t *testing.T) {
	s := IntConv{ConvShape: ConvShape{C: 3, O: 20, KH: 3, KW: 3, H: 6, W: 6}}
	if err := s.Complete(); err != nil {
		t.Fatal(err)
	}
	x, acc := make([]uint8, 6*6*3+Slack), make([]int32, s.OH*s.OW*s.O)
	packed, start := make([]int8, s.PackedSize()), make([]int32, s.O)
	if n := testing.AllocsPerRun(5, func() { s.Rows(acc, x, Dense(1, 6, 6, 3), packed, start, 0, 0, s.OH) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
