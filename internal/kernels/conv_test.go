package kernels

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// convCases are the shapes that every direction of every convolution is tested on.
func convCases(t testing.TB) []ConvShape {
	t.Helper()
	cases := []ConvShape{
		{C: 1, O: 1, KH: 1, KW: 1, H: 1, W: 1},
		{C: 1, O: 6, KH: 5, KW: 5, PadTop: 2, PadLeft: 2, PadBottom: 2, PadRight: 2, H: 9, W: 8},
		{C: 3, O: 17, KH: 3, KW: 3, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1, H: 7, W: 20},
		{C: 17, O: 3, KH: 3, KW: 2, PadTop: 0, PadLeft: 1, PadBottom: 2, PadRight: 0, H: 6, W: 5},
		{C: 3, O: 35, KH: 3, KW: 3, StrideH: 2, StrideW: 2, PadBottom: 1, PadRight: 1, H: 8, W: 8},
		{C: 17, O: 70, KH: 1, KW: 1, StrideH: 2, StrideW: 2, H: 7, W: 9},
		{C: 1, O: 3, KH: 5, KW: 3, StrideH: 3, StrideW: 2, PadTop: 2, PadLeft: 1, PadBottom: 1, PadRight: 2, H: 11, W: 12},
		{C: 3, O: 4, KH: 3, KW: 3, DilH: 2, DilW: 2, PadTop: 2, PadLeft: 2, PadBottom: 2, PadRight: 2, H: 9, W: 9},
		{C: 3, O: 4, KH: 3, KW: 3, DilH: 2, DilW: 3, StrideH: 2, StrideW: 2, PadTop: 1, PadLeft: 3, PadBottom: 2, PadRight: 2, H: 10, W: 11},
		{C: 4, O: 5, KH: 2, KW: 4, DilH: 2, StrideH: 4, StrideW: 3, PadTop: 1, PadLeft: 2, H: 13, W: 14},
		{C: 6, O: 9, KH: 3, KW: 3, Groups: 3, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1, H: 5, W: 6},
		{C: 34, O: 68, KH: 2, KW: 2, Groups: 2, StrideH: 2, StrideW: 1, H: 5, W: 6},
		{C: 5, O: 5, KH: 3, KW: 3, Groups: 5, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1, H: 6, W: 7},
		{C: 70, O: 70, KH: 3, KW: 3, Groups: 70, StrideH: 2, StrideW: 2, DilW: 2, PadTop: 1, PadLeft: 2, PadRight: 1, H: 7, W: 8},
		{C: 3, O: 6, KH: 2, KW: 2, Groups: 3, H: 4, W: 4},
		{C: 2, O: 3, KH: 9, KW: 9, PadTop: 4, PadLeft: 4, PadBottom: 4, PadRight: 4, DilW: 2, H: 9, W: 18},
		{C: 1, O: 2, KH: 2, KW: 2, H: 70, W: 3}, // more rows than one block of the weight gradient
		{C: 1, O: 20, KH: 5, KW: 5, H: 14, W: 15},
		{C: 20, O: 10, KH: 5, KW: 5, H: 9, W: 12},
		{C: 40, O: 20, KH: 2, KW: 3, Groups: 2, H: 5, W: 7, PadLeft: 1},
		{C: 20, O: 5, KH: 3, KW: 2, DilW: 2, PadRight: 2, H: 6, W: 5},
		{C: 10, O: 4, KH: 5, KW: 3, PadTop: 4, PadLeft: 6, PadBottom: 1, DilW: 2, H: 5, W: 9},
		{C: 3, O: 8, KH: 7, KW: 7, StrideH: 2, StrideW: 2, PadTop: 3, PadLeft: 3, PadBottom: 3, PadRight: 3, H: 90, W: 9}, // more rows than one product of the input gradient
		{C: 2, O: 3, KH: 1, KW: 1, StrideH: 3, StrideW: 3, PadTop: 5, PadLeft: 4, PadBottom: 5, PadRight: 5, H: 3, W: 2},
	}
	for i := range cases {
		if err := cases[i].Complete(); err != nil {
			t.Fatalf("case %d: %v", i, err)
		}
	}
	return cases
}

func (s *ConvShape) name() string {
	return fmt.Sprintf("%d×%dx%d to %d, kernel %dx%d, stride %dx%d, pad %d %d %d %d, dilation %dx%d, groups %d", s.C, s.H, s.W, s.O,
		s.KH, s.KW, s.StrideH, s.StrideW, s.PadTop, s.PadLeft, s.PadBottom, s.PadRight, s.DilH, s.DilW, s.Groups)
}

// A tensor is a buffer with its layout for tests: extra channels and border beyond
// what is needed must not matter.
type tensor struct {
	data []float32
	Layout
}

// newTensor returns a tensor whose interior holds small whole numbers and whose
// border holds zero. With gaps, its channels are a part of a wider tensor that is
// full of other numbers.
func newTensor(r *rand.Rand, n, h, w, c, top, left, bottom, right int, gaps bool) tensor {
	wide := c
	if gaps {
		wide += 3
	}
	l, size := Bordered(n, h, w, wide, top, left, bottom, right)
	l.C = c
	t := tensor{make([]float32, size), l}
	if gaps {
		for i := range t.data {
			t.data[i] = 1000
		}
		t.Off++
	}
	for i := range n {
		for y := -top; y < h+bottom; y++ {
			for x := -left; x < w+right; x++ {
				at := t.At(i, y, x, 0)
				d := t.data[at : at+c]
				if y >= 0 && y < h && x >= 0 && x < w {
					copy(d, smallInts(r, c, 4))
				} else {
					clear(d)
				}
			}
		}
	}
	return t
}

func (t tensor) clone() tensor {
	t.data = append([]float32(nil), t.data...)
	return t
}

func testConv(t *testing.T, f func(t *testing.T, r *rand.Rand, s *ConvShape, batch int, gaps bool)) {
	forEach(t, "depthwise", func(t *testing.T) {
		r := testRand()
		for _, s := range convCases(t) {
			if s.Depthwise() {
				t.Run(s.name(), func(t *testing.T) { f(t, r, &s, 2, true) })
			}
		}
	})
	forEach(t, "gemm", func(t *testing.T) {
		r := testRand()
		for _, s := range convCases(t) {
			for _, gaps := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/gaps=%v", s.name(), gaps), func(t *testing.T) {
					f(t, r, &s, 1+r.IntN(3), gaps)
				})
			}
		}
	})
}

func TestConvForward(t *testing.T) {
	testConv(t, func(t *testing.T, r *rand.Rand, s *ConvShape, batch int, gaps bool) {
		x := newTensor(r, batch, s.H, s.W, s.C, s.PadTop, s.PadLeft, s.PadBottom, s.PadRight, gaps)
		w, bias := smallInts(r, s.WeightSize(), 4), smallInts(r, s.O, 4)
		if gaps {
			bias = nil
		}
		packed := make([]float32, s.ForwardSize())
		s.PackForward(packed, w)
		got := newTensor(r, batch, s.OH, s.OW, s.O, 1, 0, 2, 1, gaps)
		want := got.clone()
		s.RefForward(want.data, want.Layout, x.data, x.Layout, w, bias)
		for n := range batch {
			s.Forward(got.data, got.Layout, x.data, x.Layout, packed, bias, n, n+1)
		}
		equalSlices(t, "y", got.data, want.data)
	})
}

func TestConvBackwardInput(t *testing.T) {
	testConv(t, func(t *testing.T, r *rand.Rand, s *ConvShape, batch int, gaps bool) {
		g := s.InputGradient()
		top, left, bottom, right := g.DyBorder()
		dy := newTensor(r, batch, s.OH, s.OW, s.O, top, left, bottom, right, gaps)
		packed := make([]float32, g.PackedSize())
		testBackwardInput(t, r, s, dy, gaps, func(w []float32) { g.Pack(packed, w) }, func(dx tensor, n0, n1 int, add bool) {
			g.Backward(dx.data, dx.Layout, dy.data, dy.Layout, packed, n0, n1, add)
		})
	})
}

// testBackwardInput compares the gradient of the input, first added and then stored, with the definition.
// What lies around the gradient must stay as it is.
func testBackwardInput(t *testing.T, r *rand.Rand, s *ConvShape, dy tensor, gaps bool, pack func(w []float32), backward func(dx tensor, n0, n1 int, add bool)) {
	t.Helper()
	w := smallInts(r, s.WeightSize(), 4)
	pack(w)
	got := newTensor(r, dy.N, s.H, s.W, s.C, 1, 1, 0, 1, gaps)
	for i := range got.data {
		got.data[i] += 3 // its border too
	}
	want := got.clone()
	for _, add := range []bool{true, false} {
		s.RefBackwardInput(want.data, want.Layout, dy.data, dy.Layout, w, add)
		backward(got, 0, 1, add)
		backward(got, 1, dy.N, add)
		equalSlices(t, "dx", got.data, want.data)
	}
}

// Each way to compute the gradient of the input is right for any shape that it is possible for, not only
// for those that take it.
func TestConvBackwardInputWays(t *testing.T) {
	way := func(name string, border func(s *ConvShape) (top, left, bottom, right int), size func(s *ConvShape) int,
		pack func(s *ConvShape, dst, w []float32), backward func(s *ConvShape, dx, dy tensor, packed []float32, n0, n1 int, add bool)) {
		t.Run(name, func(t *testing.T) {
			testConv(t, func(t *testing.T, r *rand.Rand, s *ConvShape, batch int, gaps bool) {
				if s.Groups > 1 && (name != "phases" || s.Depthwise()) || size(s) < 0 {
					return
				}
				top, left, bottom, right := border(s)
				dy := newTensor(r, batch, s.OH, s.OW, s.O, top, left, bottom, right, gaps)
				packed := guard(size(s), float32(7), 7)
				testBackwardInput(t, r, s, dy, gaps, func(w []float32) { pack(s, packed.in, w) }, func(dx tensor, n0, n1 int, add bool) {
					backward(s, dx, dy, packed.in, n0, n1, add)
				})
				packed.check(t, "packed weights")
			})
		})
	}
	way("phases", (*ConvShape).phaseBorder, (*ConvShape).phaseSize, (*ConvShape).packPhases, func(s *ConvShape, dx, dy tensor, packed []float32, n0, n1 int, add bool) {
		s.backwardPhases(dx.data, dx.Layout, dy.data, dy.Layout, packed, n0, n1, add)
	})
	none := func(*ConvShape) (top, left, bottom, right int) { return }
	rows := func(s *ConvShape) *rowGradient {
		g := s.rowGradient()
		return &g
	}
	way("rows", none, func(s *ConvShape) int { return rows(s).size(s) },
		func(s *ConvShape, dst, w []float32) { s.packRows(dst, w, rows(s)) },
		func(s *ConvShape, dx, dy tensor, packed []float32, n0, n1 int, add bool) {
			s.backwardRows(dx.data, dx.Layout, dy.data, dy.Layout, packed, n0, n1, add, rows(s))
		})
	for pixels := 1; pixels <= 8; pixels++ {
		blocks := func(s *ConvShape) *blockGradient {
			g, _ := s.blockGradient(pixels)
			return &g
		}
		way(fmt.Sprint("blocks of ", pixels), none, func(s *ConvShape) int {
			if _, possible := s.blockGradient(pixels); !possible || pixels%s.StrideW != 0 {
				return -1
			}
			return blocks(s).size(s)
		}, func(s *ConvShape, dst, w []float32) { s.packBlocks(dst, w, blocks(s)) },
			func(s *ConvShape, dx, dy tensor, packed []float32, n0, n1 int, add bool) {
				s.backwardBlocks(dx.data, dx.Layout, dy.data, dy.Layout, packed, n0, n1, add, blocks(s))
			})
	}
}

// Each way to compute the gradient of the input has its shapes.
func TestInputWay(t *testing.T) {
	found := map[inputWay]int{}
	for _, s := range convCases(t) {
		found[s.InputGradient().way]++
	}
	if len(found) != 4 {
		t.Errorf("ways and how many take them: %v, want four", found)
	}
	for _, c := range []struct {
		s    ConvShape
		want inputWay
	}{
		{ConvShape{C: 1, O: 20, KH: 5, KW: 5, H: 28, W: 28}, byBlocks},
		{ConvShape{C: 20, O: 50, KH: 5, KW: 5, H: 12, W: 12}, byRows},
		{ConvShape{C: 16, O: 16, KH: 3, KW: 3, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1, H: 32, W: 32}, byPhases},
	} {
		if err := c.s.Complete(); err != nil {
			t.Fatal(err)
		}
		if got := c.s.InputGradient().way; got != c.want {
			t.Errorf("%s: way %d, want %d", c.s.name(), got, c.want)
		}
	}
}

func TestConvBackwardWeight(t *testing.T) {
	testConv(t, func(t *testing.T, r *rand.Rand, s *ConvShape, batch int, gaps bool) {
		x := newTensor(r, batch, s.H, s.W, s.C, s.PadTop, s.PadLeft, s.PadBottom, s.PadRight, gaps)
		dy := newTensor(r, batch, s.OH, s.OW, s.O, 0, 1, 2, 0, gaps)
		internal, got := smallInts(r, s.WeightSize(), 4), smallInts(r, s.WeightSize(), 4)
		want := append([]float32(nil), got...)
		s.RefBackwardWeight(want, x.data, x.Layout, dy.data, dy.Layout, true)
		s.BackwardWeight(internal, x.data, x.Layout, dy.data, dy.Layout, 0, 1, false)
		s.BackwardWeight(internal, x.data, x.Layout, dy.data, dy.Layout, 1, batch, true)
		s.UnpackWeightGrad(got, internal, true)
		equalSlices(t, "added dw", got, want)
		s.RefBackwardWeight(want, x.data, x.Layout, dy.data, dy.Layout, false)
		s.UnpackWeightGrad(got, internal, false)
		equalSlices(t, "dw", got, want)
		s.BackwardWeight(internal, x.data, x.Layout, dy.data, dy.Layout, 0, 0, false)
		equalSlices(t, "dw of no image", internal, make([]float32, len(internal)))
	})
}

func TestConvBackwardBias(t *testing.T) {
	r := testRand()
	for _, o := range []int{1, 3, 17, 64, 70, 130} {
		s := ConvShape{C: 1, O: o, KH: 1, KW: 1, H: 3, W: 2}
		if err := s.Complete(); err != nil {
			t.Fatal(err)
		}
		dy := newTensor(r, 3, 3, 2, o, 1, 0, 0, 1, true)
		got, want := smallInts(r, o, 5), make([]float32, o)
		copy(want, got)
		for n := 1; n < 3; n++ {
			for p := range 6 {
				for c := range o {
					want[c] += dy.data[dy.At(n, p/2, p%2, c)]
				}
			}
		}
		s.BackwardBias(got, dy.data, dy.Layout, 1, 3, true)
		equalSlices(t, fmt.Sprint(o, " channels"), got, want)
	}
}

func TestComplete(t *testing.T) {
	for name, s := range map[string]ConvShape{
		"no channels":     {O: 1, KH: 1, KW: 1, H: 1, W: 1},
		"no input":        {C: 1, O: 1, KH: 1, KW: 1, H: 0, W: 1},
		"negative pad":    {C: 1, O: 1, KH: 1, KW: 1, H: 1, W: 1, PadTop: -1},
		"negative stride": {C: 1, O: 1, KH: 1, KW: 1, H: 1, W: 1, StrideW: -1},
		"groups":          {C: 4, O: 6, KH: 1, KW: 1, H: 1, W: 1, Groups: 4},
		"too small":       {C: 1, O: 1, KH: 3, KW: 3, H: 2, W: 4},
	} {
		if err := s.Complete(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	s := ConvShape{C: 3, O: 8, KH: 7, KW: 7, StrideH: 2, StrideW: 2, PadTop: 3, PadLeft: 3, PadBottom: 3, PadRight: 3, H: 224, W: 224}
	if err := s.Complete(); err != nil || s.OH != 112 || s.OW != 112 || s.DilH != 1 || s.Groups != 1 {
		t.Errorf("got %+v, %v, want an output of 112×112", s, err)
	}
	if got, want := s.MACs(), int64(112*112*8*3*49); got != want {
		t.Errorf("%d multiply-accumulates, want %d", got, want)
	}
}

func TestLinear(t *testing.T) {
	forEach(t, "gemm", func(t *testing.T) {
		r := testRand()
		for _, d := range []struct{ n, i, o int }{{1, 1, 1}, {3, 5, 2}, {17, 33, 10}, {5, 70, 67}, {32, 16, 48}} {
			l := Linear{I: d.i, O: d.o}
			x, w, bias, dy := smallInts(r, d.n*d.i, 4), smallInts(r, d.o*d.i, 4), smallInts(r, d.o, 4), smallInts(r, d.n*d.o, 4)
			s := ConvShape{C: d.i, O: d.o, KH: 1, KW: 1, H: 1, W: d.n}
			if err := s.Complete(); err != nil {
				t.Fatal(err)
			}
			xl, yl := Dense(1, 1, d.n, d.i), Dense(1, 1, d.n, d.o)

			packed := make([]float32, l.ForwardSize())
			l.PackForward(packed, w)
			got, want := make([]float32, d.n*d.o), make([]float32, d.n*d.o)
			s.RefForward(want, yl, x, xl, w, bias)
			for n := range d.n {
				l.Forward(got, x, packed, bias, n, n+1)
			}
			equalSlices(t, fmt.Sprint(d, " y"), got, want)

			got, want = smallInts(r, d.n*d.i, 4), make([]float32, d.n*d.i)
			copy(want, got)
			s.RefBackwardInput(want, xl, dy, yl, w, true)
			l.BackwardInput(got, dy, w, 0, d.n/2, true)
			l.BackwardInput(got, dy, w, d.n/2, d.n, true)
			equalSlices(t, fmt.Sprint(d, " dx"), got, want)

			got, want = smallInts(r, d.o*d.i, 4), make([]float32, d.o*d.i)
			s.RefBackwardWeight(want, x, xl, dy, yl, false)
			l.BackwardWeight(got, x, dy, d.n, 0, d.o/2, false)
			l.BackwardWeight(got, x, dy, d.n, d.o/2, d.o, false)
			equalSlices(t, fmt.Sprint(d, " dw"), got, want)

			got, want = make([]float32, d.o), make([]float32, d.o)
			s.BackwardBias(want, dy, yl, 0, 1, false)
			l.BackwardBias(got, dy, d.n, false)
			equalSlices(t, fmt.Sprint(d, " db"), got, want)
		}
	})
}

// The number of images per call, and with it the number of threads, changes no bit.
func TestConvSplit(t *testing.T) {
	forEach(t, "gemm", func(t *testing.T) {
		r := testRand()
		s := ConvShape{C: 5, O: 37, KH: 3, KW: 3, StrideH: 2, StrideW: 2, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1, H: 11, W: 33}
		if err := s.Complete(); err != nil {
			t.Fatal(err)
		}
		x := newTensor(r, 4, s.H, s.W, s.C, 1, 1, 1, 1, false)
		for i, v := range x.data {
			x.data[i] = v * 0.1
		}
		packed := make([]float32, s.ForwardSize())
		s.PackForward(packed, normals(r, s.WeightSize()))
		yl := Dense(4, s.OH, s.OW, s.O)
		a, b := make([]float32, 4*s.OH*s.OW*s.O), make([]float32, 4*s.OH*s.OW*s.O)
		s.Forward(a, yl, x.data, x.Layout, packed, nil, 0, 4)
		for n := range 4 {
			s.Forward(b, yl, x.data, x.Layout, packed, nil, n, n+1)
		}
		equalSlices(t, "y", b, a)
	})
}

func TestConvAllocatesNothing(t *testing.T) {
	for _, s := range []ConvShape{{C: 3, O: 20, KH: 3, KW: 3, H: 6, W: 6}, {C: 1, O: 20, KH: 5, KW: 5, H: 12, W: 12}} {
		if err := s.Complete(); err != nil {
			t.Fatal(err)
		}
		r := testRand()
		for _, gaps := range []bool{false, true} {
			g := s.InputGradient()
			top, left, bottom, right := g.DyBorder()
			x := newTensor(r, 1, s.H, s.W, s.C, 0, 0, 0, 0, gaps)
			dy := newTensor(r, 1, s.OH, s.OW, s.O, top, left, bottom, right, gaps)
			dw := make([]float32, s.WeightSize())
			fw, bw := make([]float32, s.ForwardSize()), make([]float32, g.PackedSize())
			if n := testing.AllocsPerRun(5, func() {
				s.PackForward(fw, dw)
				g.Pack(bw, dw)
				s.Forward(dy.data, dy.Layout, x.data, x.Layout, fw, nil, 0, 1)
				g.Backward(x.data, x.Layout, dy.data, dy.Layout, bw, 0, 1, false)
				s.BackwardWeight(dw, x.data, x.Layout, dy.data, dy.Layout, 0, 1, false)
				s.BackwardBias(dw[:20], dy.data, dy.Layout, 0, 1, false)
			}); n != 0 {
				t.Errorf("%s, gaps %v: %v allocations, want 0", s.name(), gaps, n)
			}
		}
	}
}

func TestNCHW(t *testing.T) {
	l, size := Bordered(2, 3, 4, 5, 1, 2, 0, 1)
	src := make([]int32, 2*5*3*4)
	for i := range src {
		src[i] = int32(i + 1)
	}
	data := make([]int32, size)
	FromNCHW(data, l, src, 0, 2)
	if got, want := data[l.At(1, 2, 3, 4)], src[((1*5+4)*3+2)*4+3]; got != want {
		t.Errorf("element (1, 2, 3, 4) is %d, want %d", got, want)
	}
	back := make([]int32, len(src))
	ToNCHW(back, data, l, 0, 2)
	equalSlices(t, "round trip", back, src)
	var sum, want int32
	for _, v := range data {
		sum += v
	}
	for _, v := range src {
		want += v
	}
	if sum != want {
		t.Errorf("the border was written: sum %d, want %d", sum, want)
	}
}

// TestDepthwiseRow holds every variant of a row of pixels to the portable sums, bit by bit, forward from a bias and backward
// on top of what is there.
func TestDepthwiseRow(t *testing.T) {
	forEach(t, "depthwise", func(t *testing.T) {
		r := testRand()
		for channels := 1; channels < 68; channels++ {
			taps, pixels, step, columns := 3, 1+r.IntN(5), 1+r.IntN(2), 7
			if channels%9 == 0 {
				taps = 2
			}
			w := normals(r, 9*channels)
			x := guard[float32](5*columns*2*channels, 0, 0)
			copy(x.in, normals(r, len(x.in)))
			forward := grid{taps, taps, 2 * columns * channels, channels, 3 * channels, channels}
			backward := grid{taps, taps, 2 * columns * channels, channels, -3 * channels, -channels}
			for i, g := range []grid{forward, backward} {
				d := guard[float32](pixels*(channels+3)-3, -77, 0)
				copy(d.in, normals(r, len(d.in)))
				start, startStep, wAt := d.in, channels+3, 8*channels
				if i == 0 {
					start, startStep, wAt = normals(r, channels), 0, 0
				}
				want := append([]float32(nil), d.in...)
				for p := range pixels {
					pixel := want[p*(channels+3):][:channels]
					copy(pixel, start[p*startStep:])
					g.mulAddPortable(pixel, x.in, p*step*channels, w, wAt)
				}
				g.row(d.in, start, channels+3, startStep, x.in, 0, step*channels, w, wAt, channels, pixels)
				d.check(t, "row of a depthwise convolution")
				equalSlices(t, fmt.Sprintf("%d pixels of %d channels, %+v", pixels, channels, g), d.in, want)
			}
		}
	})
}
