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
				g := GEMM8{M: m, N: n, K: r.IntN(11), Width: 32, LDC: n + r.IntN(5)}
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
								sum += int32(g.A[g.AOff[s]+i*g.RS+k]) * int32(*weight(s, k, j))
							}
						}
						want[i*g.LDC+j] = sum
					}
				}
				g.Run()
				name := fmt.Sprintf("%d×%d×%d, %d segments, width %d", m, n, g.K, len(g.AOff), g.Width)
				equalSlices(t, name, c.in, want)
				c.check(t, name)
			}
		}
	})
}

func TestGEMM8RunEach(t *testing.T) {
	forEach(t, "gemm8", func(t *testing.T) {
		r := testRand()
		for range 60 {
			times, m, n, k := 1+r.IntN(4), 1+r.IntN(40), 1+r.IntN(32), 4*(1+r.IntN(9))
			stepA, stepC := m*k+r.IntN(3), m*n+r.IntN(3)
			g := GEMM8{M: m, N: n, K: k, AOff: []int{0, r.IntN(5)}, RS: k, Width: 32, LDC: n, Start: make([]int32, n), Acc: make([]int32, (times-1)*stepC+m*n)}
			if n <= 16 {
				g.Width = 16
			}
			for j := range g.Start {
				g.Start[j] = int32(r.Uint32())
			}
			g.A = randomBytes(r, (times-1)*stepA+m*k+g.AOff[1])
			for _, w := range randomBytes(r, 2*k*g.Width) {
				g.W = append(g.W, int8(w))
			}
			want := make([]int32, len(g.Acc))
			for i := range times {
				one := g
				one.A, one.Acc = g.A[i*stepA:], want[i*stepC:]
				one.Run()
			}
			g.RunEach(times, stepA, stepC)
			equalSlices(t, fmt.Sprintf("%d×%d×%d×%d", times, m, n, k), g.Acc, want)
			for _, short := range []GEMM8{{A: g.A[:len(g.A)-1], Acc: g.Acc}, {A: g.A, Acc: g.Acc[:len(g.Acc)-1]}} {
				one := g
				one.A, one.Acc = short.A, short.Acc
				rejects(t, fmt.Sprintf("one element too few, %d times", times), func() { one.RunEach(times, stepA, stepC) })
			}
			rejects(t, "a negative step", func() { g.RunEach(2, -1, stepC) })
			g.RunEach(0, stepA, stepC)
			equalSlices(t, "no product", g.Acc, want)
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

// operands says what codes and weights an integer convolution is tested with.
type operands struct {
	bits, most int // width of the codes, largest absolute value of the weights
	signed     bool
}

// operandCases lead to every form: 16-bit pairs, bytes that are widened after 2, 8, 12 and 136
// steps or almost never.
var operandCases = []operands{
	{8, 128, false}, {8, 128, true}, {8, 31, false}, {6, 31, true}, {8, 5, true}, {4, 8, false}, {1, 128, true}, {2, 1, false},
}

func (o operands) String() string {
	return fmt.Sprintf("%d bits, signed %v, weights up to %d", o.bits, o.signed, o.most)
}

// codes returns n random codes, many of them the largest and the smallest.
func (o operands) codes(r *rand.Rand, n int) []uint8 {
	b := make([]uint8, n)
	for i := range b {
		v := r.IntN(1 << o.bits)
		switch r.IntN(4) {
		case 0:
			v = 1<<o.bits - 1
		case 1:
			v = 0
		}
		b[i] = o.code(v)
	}
	return b
}

// code returns the byte of the v-th code, v from 0 on.
func (o operands) code(v int) uint8 {
	if o.signed {
		v -= 1 << (o.bits - 1)
	}
	return uint8(v)
}

func (o operands) value(code uint8) int32 {
	if o.signed {
		return int32(int8(code))
	}
	return int32(code)
}

// weights returns n random weights, many of them extreme.
func (o operands) weights(r *rand.Rand, n int) []uint8 {
	w := make([]uint8, n)
	for i := range w {
		v := r.IntN(2*o.most+1) - o.most
		switch r.IntN(4) {
		case 0:
			v = o.most
		case 1:
			v = -o.most
		}
		w[i] = uint8(min(v, 127))
	}
	return w
}

func TestIntConvDepthwise(t *testing.T) {
	forEach(t, "depthwise", func(t *testing.T) {
		r := testRand()
		for _, shape := range convCases(t) {
			for i, o := range operandCases {
				if shape.Depthwise() {
					testIntConv(t, r, shape, o, i%2*3)
				}
			}
		}
		for c := 2; c <= 67; c++ {
			shape := ConvShape{C: c, O: c, Groups: c, KH: 1 + r.IntN(3), KW: 1 + r.IntN(3), H: 4, W: 5}
			if err := shape.Complete(); err != nil {
				t.Fatal(err)
			}
			testIntConv(t, r, shape, operandCases[c%2], r.IntN(2))
		}
	})
}

// An integer convolution equals the wide one, which equals its definition.
func TestIntConv(t *testing.T) {
	forEach(t, "intconv", func(t *testing.T) {
		r := testRand()
		for _, shape := range convCases(t) {
			for _, o := range operandCases {
				for _, gap := range []int{0, 3} {
					testIntConv(t, r, shape, o, gap)
				}
			}
		}
	})
}

// Convolutions with strides of 1 and 2 and many channels have a form of their own, whose tiles are cut off
// at odd ends and whose larger kernels are cut into parts. Many channels are summed in chunks.
func TestIntConvSquare(t *testing.T) {
	forEach(t, "intconv", func(t *testing.T) {
		r := testRand()
		for _, k := range [][3]int{{3, 3, 1}, {5, 5, 1}, {3, 5, 1}, {6, 3, 1}, {7, 7, 1}, {3, 3, 2}, {3, 3, 2}} {
			for _, c := range []int{16, 17, 24, 31, 48, 70, 113, 240} {
				for range 2 {
					o := []int{16, 19, 24, 32, 40, 50, 72}[r.IntN(7)]
					shape := ConvShape{C: c, O: o, KH: k[0], KW: k[1], StrideH: k[2], StrideW: k[2], H: k[0] + r.IntN(12*k[2]), W: k[1] + r.IntN(20*k[2])}
					shape.PadTop, shape.PadLeft, shape.PadBottom, shape.PadRight = r.IntN(2), r.IntN(2), r.IntN(2), r.IntN(2)
					if err := shape.Complete(); err != nil {
						t.Fatal(err)
					}
					testIntConv(t, r, shape, operandCases[r.IntN(len(operandCases))], r.IntN(2)*5)
				}
			}
		}
	})
}

// Products of every length and number of columns.
func TestIntConvSizes(t *testing.T) {
	forEach(t, "intconv", func(t *testing.T) {
		r := testRand()
		for k := 1; k <= 67; k++ {
			for n := 1; n <= 67; n++ {
				shape := ConvShape{C: k, O: n, KH: 1, KW: 1, H: 1 + r.IntN(2), W: 1 + r.IntN(14)}
				if err := shape.Complete(); err != nil {
					t.Fatal(err)
				}
				testIntConv(t, r, shape, operandCases[r.IntN(len(operandCases))], 0)
			}
		}
	})
}

// Every number of pixels in a row, and of pixels in rows that follow one another without a gap.
func TestIntConvPixels(t *testing.T) {
	forEach(t, "intconv", func(t *testing.T) {
		r := testRand()
		for w := 1; w <= 67; w++ {
			for _, shape := range []ConvShape{
				{C: 16 + r.IntN(70), O: 1 + r.IntN(40), KH: 1 + r.IntN(2), KW: 2, PadLeft: 1, H: 4, W: w},
				{C: 16 + r.IntN(70), O: 1 + r.IntN(40), KH: 1, KW: 1, H: 3, W: w},
				{C: 48, O: 66, Groups: 2, KH: 2, KW: 1, DilH: 2, PadTop: 1, H: 3, W: w},
			} {
				if err := shape.Complete(); err != nil {
					t.Fatal(err)
				}
				testIntConv(t, r, shape, operandCases[r.IntN(len(operandCases))], r.IntN(2)*5)
			}
		}
	})
}

// Convolutions that need several bands of rows, and products too long for one call.
func TestIntConvLarge(t *testing.T) {
	forEach(t, "intconv", func(t *testing.T) {
		r := testRand()
		for _, shape := range []ConvShape{
			{C: 900, O: 20, KH: 1, KW: 1, H: 2, W: 100},
			{C: 64, O: 20, KH: 3, KW: 3, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1, H: 13, W: 40},
			{C: 24, O: 16, KH: 3, KW: 3, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1, H: 9, W: 41},
			{C: 40, O: 9, KH: 3, KW: 1, StrideH: 2, StrideW: 2, H: 21, W: 90},
			{C: 40, O: 24, KH: 1, KW: 1, StrideH: 2, StrideW: 3, H: 41, W: 90},
			{C: 40, O: 24, Groups: 2, KH: 1, KW: 1, StrideH: 2, StrideW: 3, H: 41, W: 90},
			{C: 2, O: 12, KH: 5, KW: 5, PadTop: 2, PadBottom: 2, StrideH: 2, H: 90, W: 60},
			{C: 1, O: 12, KH: 5, KW: 5, PadTop: 2, PadBottom: 2, H: 90, W: 60},
			{C: 3, O: 35, KH: 3, KW: 3, PadLeft: 1, DilH: 2, StrideW: 2, H: 40, W: 90},
		} {
			if err := shape.Complete(); err != nil {
				t.Fatal(err)
			}
			for _, o := range operandCases {
				testIntConv(t, r, shape, o, 0)
			}
		}
	})
}

// Kernels with short rows, for which panels meet rows that are woven, and others of few channels.
func TestIntConvFewChannels(t *testing.T) {
	forEach(t, "intconv", func(t *testing.T) {
		r := testRand()
		woven := map[bool]int{}
		for kh := 1; kh <= weaveRows+1; kh++ {
			for _, c := range [][2]int{{1, 1}, {1, 2}, {1, 3}, {1, 5}, {2, 1}, {2, 3}, {3, 1}, {3, 3}, {5, 1}, {9, 1}, {4, 2}} {
				shape := ConvShape{
					C: c[0], O: 1 + r.IntN(40), KH: kh, KW: c[1], StrideH: 1 + r.IntN(3), StrideW: 1 + r.IntN(3), DilH: 1 + r.IntN(2),
					PadTop: r.IntN(2), PadLeft: r.IntN(2), PadBottom: r.IntN(2), PadRight: r.IntN(2),
				}
				shape.H, shape.W = (kh-1)*shape.DilH+1+r.IntN(9), c[1]+r.IntN(70)
				if err := shape.Complete(); err != nil {
					t.Fatal(err)
				}
				woven[(&IntConv{ConvShape: shape}).gathers(panelForm)]++
				for _, o := range operandCases[:2] {
					testIntConv(t, r, shape, o, r.IntN(2)*3)
				}
			}
		}
		if woven[true] < 50 || woven[false] < 50 {
			t.Errorf("of the kernels %d are woven, %d are not", woven[true], woven[false])
		}
	})
}

// Sums of products of one sign, as large as the operands allow, fit into every accumulator.
func TestIntConvExtremes(t *testing.T) {
	forEach(t, "intconv", func(t *testing.T) {
		for _, o := range operandCases {
			for _, shape := range []ConvShape{
				{C: 1000, O: 24, KH: 1, KW: 1, H: 1, W: 5},
				{C: 112, O: 16, KH: 3, KW: 3, H: 6, W: 6},
				{C: 128, O: 24, KH: 3, KW: 3, H: 7, W: 9},
				{C: 48, O: 20, KH: 5, KW: 5, H: 9, W: 9},
				{C: 1824, O: 16, KH: 3, KW: 3, StrideH: 2, StrideW: 2, H: 7, W: 9},
				{C: 1840, O: 24, KH: 3, KW: 3, StrideH: 2, StrideW: 2, H: 9, W: 7},
			} {
				testExtremes(t, shape, o)
			}
		}
	})
}

func testExtremes(t *testing.T, shape ConvShape, o operands) {
	t.Helper()
	s := IntConv{ConvShape: shape, Signed: o.signed, Bits: o.bits}
	if err := s.Complete(); err != nil {
		t.Fatal(err)
	}
	xl := Dense(1, s.H, s.W, s.C)
	x, w := make([]uint8, s.H*s.W*s.C+Slack), make([]uint8, s.WeightSize())
	acc := make([]int32, s.OH*s.OW*s.O)
	for _, weight := range []int{min(o.most, 127), -o.most} {
		for _, v := range []int{0, 1<<o.bits - 1} {
			for i := range x {
				x[i] = o.code(v)
			}
			for i := range w {
				w[i] = uint8(weight)
			}
			var p IntWeights
			s.Pack(&p, w)
			s.Start(&p, nil, 0)
			s.Rows(acc, x, xl, &p, make([]uint8, s.ScratchLen()), 0, 0, s.OH)
			for i, got := range acc {
				if want := int32(s.KH*s.KW*s.C*weight) * o.value(x[0]); got != want {
					t.Fatalf("%s, %v: weight %d, code %d: sum %d: %d, want %d", s.name(), o, weight, o.value(x[0]), i, got, want)
				}
			}
		}
	}
}

func testIntConv(t *testing.T, r *rand.Rand, shape ConvShape, o operands, gap int) {
	t.Helper()
	const batch = 2
	s := &IntConv{ConvShape: shape, Signed: o.signed, Bits: o.bits}
	name := fmt.Sprintf("%s, %v, gap %d", s.name(), o, gap)
	xl, size := Bordered(batch, s.H, s.W, s.C+gap, s.PadTop, s.PadLeft, s.PadBottom, s.PadRight)
	xl.C = s.C
	x := o.codes(r, size+Slack)
	z := o.value(o.codes(r, 1)[0])
	wide := make([]int32, size)
	for n := range batch {
		for h := -s.PadTop; h < s.H+s.PadBottom; h++ {
			for w := -s.PadLeft; w < s.W+s.PadRight; w++ {
				for c := range s.C {
					at := xl.At(n, h, w, c)
					if h < 0 || h >= s.H || w < 0 || w >= s.W {
						x[at] = uint8(z)
					}
					wide[at] = o.value(x[at]) - z
				}
			}
		}
	}
	w := o.weights(r, s.WeightSize())
	w32 := make([]int32, len(w))
	for i := range w {
		w32[i] = int32(int8(w[i]))
	}
	bias, bias64 := make([]int32, s.O), make([]int64, s.O)
	for o := range bias {
		bias[o] = int32(r.IntN(1<<20) - 1<<19)
		bias64[o] = int64(bias[o])
	}
	var p IntWeights
	s.Pack(&p, w)
	s.Start(&p, bias, z)

	n, oh0 := r.IntN(batch), r.IntN(s.OH)
	oh1 := oh0 + 1 + r.IntN(s.OH-oh0)
	rows := (oh1 - oh0) * s.OW
	acc, scratch := guard[int32](rows*s.O, -77, 5), guard[uint8](s.ScratchLen(), 99, 5)
	s.Rows(acc.in, x, xl, &p, scratch.in, n, oh0, oh1)
	acc.check(t, name)
	scratch.check(t, name+", scratch")
	want := make([]int64, rows*s.O)
	s.RowsWide(want, wide, xl, w32, bias64, n, oh0, oh1)
	got := make([]int64, len(want))
	for i, v := range acc.in {
		got[i] = int64(v)
	}
	equalSlices(t, name, got, want)

	p.Compact()
	if want := compactWidth(&p, w); p.width != want {
		t.Errorf("%s: weights are stored in %d bits, want %d", name, p.width, want)
	}
	clear(acc.in)
	scratch = guard[uint8](s.ScratchLen()+p.Room(), 99, 5)
	s.Rows(acc.in, x, xl, &p, scratch.in, n, oh0, oh1)
	acc.check(t, name)
	scratch.check(t, name+", scratch")
	for i, v := range acc.in {
		got[i] = int64(v)
	}
	equalSlices(t, name+", compact", got, want)

	// The definition, without a border.
	cg, og := s.groups()
	for oh := oh0; oh < oh1; oh++ {
		for ow := range s.OW {
			for ch := range s.O {
				sum := bias64[ch]
				s.taps(oh, ow, func(kh, kw, h, iw int) {
					for c := range cg {
						sum += int64(o.value(x[xl.At(n, h, iw, ch/og*cg+c)])-z) * int64(w32[s.weight(ch, c, kh, kw)])
					}
				})
				if got := want[((oh-oh0)*s.OW+ow)*s.O+ch]; got != sum {
					t.Fatalf("%s: RowsWide at (%d, %d, %d): %d, want %d", name, oh, ow, ch, got, sum)
				}
			}
		}
	}
}

// Weights of another size may need another form, in the same memory.
func TestIntConvPacksAgain(t *testing.T) {
	forEach(t, "intconv", func(t *testing.T) {
		for i, c := range []int{3, 17, 32, 17, 40} {
			stride := 1 + i/3
			s := IntConv{ConvShape: ConvShape{C: c, O: 16, KH: 3, KW: 3, StrideH: stride, StrideW: stride, PadLeft: 1, H: 5 * stride, W: 6 * stride}}
			if err := s.Complete(); err != nil {
				t.Fatal(err)
			}
			r := testRand()
			xl, size := Bordered(1, s.H, s.W, c, 0, 1, 0, 0)
			x, scratch := operandCases[0].codes(r, size+Slack), make([]uint8, s.ScratchLen())
			var again IntWeights
			var w [4][]uint8
			for i, most := range []int{128, 1, 31, 127} {
				w[i] = operands{8, most, false}.weights(r, s.WeightSize())
				got, want := make([]int32, s.OH*s.OW*s.O), make([]int32, s.OH*s.OW*s.O)
				var fresh IntWeights
				for acc, p := range map[*[]int32]*IntWeights{&got: &again, &want: &fresh} {
					s.Pack(p, w[i])
					s.Start(p, nil, 3)
					s.Rows(*acc, x, xl, p, scratch, 0, 0, s.OH)
				}
				if i == 1 {
					again.Compact()
				}
				equalSlices(t, fmt.Sprintf("%d channels, weights up to %d", c, most), got, want)
			}
			if n := testing.AllocsPerRun(3, func() {
				for _, w := range w {
					s.Pack(&again, w)
				}
			}); n != 0 {
				t.Errorf("%v allocations, want 0", n)
			}
		}
	})
}

func TestIntConvRejectsShortOperands(t *testing.T) {
	forEach(t, "intconv", func(t *testing.T) {
		s := IntConv{ConvShape: ConvShape{C: 8, O: 3, KH: 3, KW: 3, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1, H: 4, W: 4}}
		if err := s.Complete(); err != nil {
			t.Fatal(err)
		}
		xl, size := Bordered(1, 4, 4, 8, 1, 1, 1, 1)
		var p IntWeights
		s.Pack(&p, make([]uint8, s.WeightSize()))
		s.Start(&p, nil, 0)
		run := func(acc, x, scratch int, l Layout) (panicked bool) {
			defer func() { panicked = recover() != nil }()
			s.Rows(make([]int32, acc), make([]uint8, x), l, &p, make([]uint8, scratch), 0, 0, 4)
			return false
		}
		if run(48, size+Slack, s.ScratchLen(), xl) {
			t.Fatal("operands that suffice were refused")
		}
		dense := Dense(1, 4, 4, 8) // without border
		for name, panicked := range map[string]bool{
			"accumulators": run(47, size+Slack, s.ScratchLen(), xl),
			"x":            run(48, size/2, s.ScratchLen(), xl),
			"border":       run(48, size+Slack, s.ScratchLen(), dense),
			"scratch":      s.ScratchLen() > 0 && run(48, size+Slack, s.ScratchLen()/4, xl) || s.ScratchLen() == 0,
		} {
			if !panicked {
				t.Errorf("%s: no panic", name)
			}
		}
		p.Compact()
		if run(48, size+Slack, s.ScratchLen()+p.Room(), xl) {
			t.Error("operands that suffice for compact weights were refused")
		}
		if !run(48, size+Slack, p.Room()-1, xl) {
			t.Error("scratch for compact weights: no panic")
		}
	})
}

func TestIntConvAllocatesNothing(t *testing.T) {
	for i, c := range []int{3, 16, 16} {
		s := IntConv{ConvShape: ConvShape{C: c, O: 20, KH: 3, KW: 3, StrideH: 1 + i/2, StrideW: 1 + i/2, H: 7, W: 7}}
		if err := s.Complete(); err != nil {
			t.Fatal(err)
		}
		x, acc := make([]uint8, 7*7*c+Slack), make([]int32, s.OH*s.OW*s.O)
		var p IntWeights
		w, scratch := make([]uint8, s.WeightSize()), make([]uint8, s.ScratchLen())
		if n := testing.AllocsPerRun(5, func() {
			s.Pack(&p, w)
			s.Start(&p, nil, 0)
			s.Rows(acc, x, Dense(1, 7, 7, c), &p, scratch, 0, 0, s.OH)
		}); n != 0 {
			t.Errorf("%d channels: %v allocations, want 0", c, n)
		}
	}
}
