package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// winogradCases are convolutions that go by tiles: whole tiles and parts of them, all paddings, few
// and many tiles, panels that are full and not.
func winogradCases(t testing.TB) []ConvShape {
	t.Helper()
	pad := func(c, o, h, w, top, left, bottom, right int) ConvShape {
		return ConvShape{C: c, O: o, KH: 3, KW: 3, H: h, W: w, PadTop: top, PadLeft: left, PadBottom: bottom, PadRight: right}
	}
	cases := []ConvShape{
		pad(16, 16, 32, 32, 1, 1, 1, 1),
		pad(64, 16, 8, 8, 1, 1, 1, 1),
		pad(16, 40, 7, 9, 1, 1, 1, 1),
		pad(24, 16, 6, 6, 0, 0, 0, 0),
		pad(16, 24, 6, 9, 0, 0, 0, 0),
		pad(16, 72, 7, 6, 2, 0, 1, 2),
		pad(32, 16, 7, 6, 0, 2, 2, 0),
		pad(16, 16, 8, 11, 4, 3, 2, 5),
		pad(200, 104, 5, 4, 1, 1, 1, 1),
	}
	for _, k := range [][2]int{{5, 5}, {3, 7}, {4, 6}} { // in parts
		s := pad(16, 24, 9, 8, k[0]/2, k[1]/2, k[0]/2, k[1]/2)
		s.KH, s.KW = k[0], k[1]
		cases = append(cases, s)
	}
	for _, k := range [][3]int{{3, 1, 1}, {1, 2, 3}, {2, 2, 2}} { // groups and dilations
		s := pad(k[0]*16, k[0]*24, 15, 18, k[1], k[2], k[1], k[2])
		s.Groups, s.DilH, s.DilW = k[0], k[1], k[2]
		cases = append(cases, s)
	}
	for i := range cases {
		if err := cases[i].Complete(); err != nil {
			t.Fatalf("case %d: %v", i, err)
		}
		if _, ok := cases[i].WinogradForward(); !ok {
			t.Fatalf("case %d does not go by tiles", i)
		}
	}
	return cases
}

// testWinograd runs f for all variants of what Winograd consists of.
func testWinograd(t *testing.T, f func(t *testing.T, r *rand.Rand, s *ConvShape, gaps bool)) {
	for _, kernel := range []string{"winograd", "gemm", "pack"} {
		forEach(t, kernel, func(t *testing.T) {
			r := testRand()
			for _, s := range winogradCases(t) {
				for _, gaps := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s/%s/gaps=%v", kernel, s.name(), gaps), func(t *testing.T) { f(t, r, &s, gaps) })
				}
			}
		})
	}
}

// rows computes an image in two parts.
func (k *Winograd) rows(r *rand.Rand, y, x tensor, packed, bias []float32, n int, add bool) {
	scratch := guard(k.ScratchLen(), float32(math.NaN()), float32(math.NaN()))
	cut := winogradTile * r.IntN(k.OH/winogradTile+1)
	if cut > 0 {
		k.Rows(y.data, y.Layout, x.data, x.Layout, packed, bias, scratch.in, n, 0, cut, add)
	}
	if cut < k.OH {
		k.Rows(y.data, y.Layout, x.data, x.Layout, packed, bias, scratch.in, n, cut, k.OH, add)
	}
}

// nearSums fails unless slices agree to what rounding makes of sums of terms of such operands.
func nearSums(t *testing.T, what string, got, want []float32, terms int) {
	t.Helper()
	limit := 2e-4 * math.Sqrt(float64(terms))
	for i, v := range got {
		if w := want[i]; v != w && !(math.Abs(float64(v)-float64(w)) <= limit) && (v == v || w == w) {
			t.Fatalf("%s: element %d is %v, want %v ± %v", what, i, v, w, limit)
		}
	}
}

func TestWinogradForward(t *testing.T) {
	testWinograd(t, func(t *testing.T, r *rand.Rand, s *ConvShape, gaps bool) {
		x := newTensor(r, 2, s.H, s.W, s.C, s.PadTop, s.PadLeft, s.PadBottom, s.PadRight, gaps)
		w, bias := smallInts(r, s.WeightSize(), 4), smallInts(r, s.O, 4)
		if gaps {
			bias = nil
		}
		k, _ := s.WinogradForward()
		packed := make([]float32, k.Size())
		k.Pack(packed, w)
		got := newTensor(r, 2, s.OH, s.OW, s.O, 1, 0, 2, 1, gaps)
		want := got.clone()
		s.RefForward(want.data, want.Layout, x.data, x.Layout, w, bias)
		for n := range 2 {
			k.rows(r, got, x, packed, bias, n, false)
		}
		nearSums(t, "y", got.data, want.data, s.KH*s.KW*s.C)
	})
}

func TestWinogradBackward(t *testing.T) {
	testWinograd(t, func(t *testing.T, r *rand.Rand, s *ConvShape, gaps bool) {
		top, left, bottom, right := s.phaseBorder()
		dy := newTensor(r, 2, s.OH, s.OW, s.O, top, left, bottom, right, gaps)
		w := smallInts(r, s.WeightSize(), 4)
		k, _ := s.WinogradBackward()
		packed := make([]float32, k.Size())
		k.Pack(packed, w)
		got := newTensor(r, 2, s.H, s.W, s.C, 1, 1, 0, 1, gaps)
		want := got.clone()
		for _, add := range []bool{true, false} {
			s.RefBackwardInput(want.data, want.Layout, dy.data, dy.Layout, w, add)
			for n := range 2 {
				k.rows(r, got, dy, packed, nil, n, add)
			}
			nearSums(t, "dx", got.data, want.data, s.KH*s.KW*s.O)
		}
	})
}

func TestWinogradWeight(t *testing.T) {
	testWinograd(t, func(t *testing.T, r *rand.Rand, s *ConvShape, gaps bool) {
		k, _ := s.WinogradWeight()
		x := newTensor(r, 3, s.H, s.W, s.C, s.PadTop, s.PadLeft, s.PadBottom, s.PadRight, gaps)
		dy := newTensor(r, 3, s.OH, s.OW, s.O, 1, 0, 2, 1, gaps)
		got, want := make([]float32, s.WeightSize()), make([]float32, s.WeightSize())
		s.RefBackwardWeight(want, x.data, x.Layout, dy.data, dy.Layout, false)
		sums, scratch := guard(k.Size(), -77, float32(math.NaN())), guard(k.ScratchLen(), -77, float32(math.NaN()))
		sum := k.Begin(sums.in, scratch.in)
		for n := range 3 {
			sum.Image(x.data, x.Layout, dy.data, dy.Layout, n)
		}
		sum.End()
		s.UnpackWeightGrad(got, k.Finish(sums.in), false)
		sums.check(t, "sums")
		scratch.check(t, "scratch")
		nearSums(t, "dw", got, want, 3*s.OH*s.OW)
	})
}

// The matrices Bᵀ, G and Aᵀ.
var (
	matrixB = [6][6]float64{
		{225. / 256, 0, -169. / 64, 0, 1, 0},
		{0, -45. / 32, -9. / 4, 5. / 8, 1, 0},
		{0, 45. / 32, -9. / 4, -5. / 8, 1, 0},
		{0, -75. / 128, -25. / 64, 3. / 2, 1, 0},
		{0, 75. / 128, -25. / 64, -3. / 2, 1, 0},
		{0, 225. / 256, 0, -169. / 64, 0, 1},
	}
	matrixG = [6][3]float64{
		{256. / 225, 0, 0},
		{-2048. / 2975, -256. / 595, -32. / 119},
		{-2048. / 2975, 256. / 595, -32. / 119},
		{128. / 1071, 64. / 357, 32. / 119},
		{128. / 1071, -64. / 357, 32. / 119},
		{0, 0, 1},
	}
	matrixA = [4][6]float64{
		{1, 1, 1, 1, 1, 0},
		{0, 5. / 8, -5. / 8, 3. / 2, -3. / 2, 0},
		{0, 25. / 64, 25. / 64, 9. / 4, 9. / 4, 0},
		{0, 125. / 512, -125. / 512, 27. / 8, -27. / 8, 1},
	}
)

// point returns point (i, j) of Bᵀ·x·B for channel c of the tile that begins at pixel (h, w), and the sum of the absolute
// values of its terms. Pixels that s does not read count as zero.
func (s *ConvShape) point(t tensor, i, j, n, h, w, c int) (v, size float64) {
	for p := range 6 {
		for q := range 6 {
			if f := matrixB[i][p] * matrixB[j][q]; f != 0 && h+p < s.OH-1+s.KH-s.PadTop && w+q < s.OW-1+s.KW-s.PadLeft {
				f *= float64(t.data[t.At(n, h+p, w+q, c)])
				v, size = v+f, size+math.Abs(f)
			}
		}
	}
	return v, size
}

// sumsByTiles returns, for pixel (h, w) of image n and output o, the convolution and the sum of the absolute values of what
// the algorithm adds up, |Aᵀ|·[(|G|·|g|·|Gᵀ|) ⊙ (|Bᵀ|·|x|·|B|)]·|A|, in float64. Pixels of x outside its padding
// do not count.
func (s *ConvShape) sumsByTiles(x tensor, w []float32, n, h, ow, o int) (sum, size float64) {
	for part := range partsOf(s.KH) * partsOf(s.KW) {
		below, right := part/partsOf(s.KW)*3, part%partsOf(s.KW)*3
		for c := range s.C {
			for at := range 36 {
				i, j := at/6, at%6
				factor := matrixA[h%4][i] * matrixA[ow%4][j]
				if factor == 0 {
					continue
				}
				var u, uSize float64
				for p := range min(3, s.KH-below) {
					for q := range min(3, s.KW-right) {
						t := matrixG[i][p] * matrixG[j][q] * float64(w[s.weight(o, c, below+p, right+q)])
						u, uSize = u+t, uSize+math.Abs(t)
					}
				}
				v, vSize := s.point(x, i, j, n, h&^3+below-s.PadTop, ow&^3+right-s.PadLeft, c)
				sum, size = sum+factor*u*v, size+math.Abs(factor)*uSize*vSize
			}
		}
	}
	return sum, size
}

// Roundings of input (8), weights (8), products and their sums (C + 1), results (8), bias and y (2): see
// docs/tolerances.md.
func TestWinogradBound(t *testing.T) {
	forEach(t, "gemm", func(t *testing.T) {
		r := testRand()
		for _, s := range winogradCases(t) {
			if s.Groups*s.DilH*s.DilW > 1 {
				continue // they consist of others
			}
			x := newTensor(r, 1, s.H, s.W, s.C, s.PadTop, s.PadLeft, s.PadBottom, s.PadRight, false)
			for i, v := range x.data {
				x.data[i] = v * float32(r.NormFloat64()) // the border stays zero
			}
			w, bias := normals(r, s.WeightSize()), normals(r, s.O)
			k, _ := s.WinogradForward()
			packed := make([]float32, k.Size())
			k.Pack(packed, w)
			got := newTensor(r, 1, s.OH, s.OW, s.O, 0, 0, 0, 0, false)
			before := got.clone()
			k.rows(r, got, x, packed, bias, 0, true)
			want := got.clone()
			s.RefForward(want.data, want.Layout, x.data, x.Layout, w, bias)
			for range 200 {
				h, ow, o := r.IntN(s.OH), r.IntN(s.OW), r.IntN(s.O)
				i := got.At(0, h, ow, o)
				sum, size := s.sumsByTiles(x, w, 0, h, ow, o)
				if diff := math.Abs(sum + float64(bias[o]) - float64(want.data[i])); diff > 1e-6*size {
					t.Fatalf("%s: the reference by tiles is off by %v", s.name(), diff)
				}
				sum += float64(bias[o]) + float64(before.data[i])
				size += math.Abs(float64(bias[o])) + math.Abs(float64(before.data[i]))
				if diff, limit := math.Abs(float64(got.data[i])-sum), float64(partsOf(s.KH)*partsOf(s.KW)*s.C+28)*0x1p-24*size; !(diff <= limit) {
					t.Fatalf("%s: y(%d, %d, %d) = %v, want %v ± %v", s.name(), h, ow, o, got.data[i], sum, limit)
				}
			}
		}
	})
}

// gradientByTiles returns the gradient of weight (o, c, p, q) and the sum of the absolute values of what the algorithm adds
// up, |Gᵀ|·[Σ (|Bᵀ|·|x|·|B|) ⊙ (|A|·|dy|·|Aᵀ|)]·|G|, in float64.
func (s *ConvShape) gradientByTiles(x, dy tensor, o, c, p, q int) (sum, size float64) {
	for n := range dy.N {
		for h := 0; h < s.OH; h += 4 {
			for w := 0; w < s.OW; w += 4 {
				for at := range 36 {
					i, j := at/6, at%6
					factor := matrixG[i][p%3] * matrixG[j][q%3]
					if factor == 0 {
						continue
					}
					v, vSize := s.point(x, i, j, n, h+p/3*3-s.PadTop, w+q/3*3-s.PadLeft, c)
					var u, uSize float64
					for k := range min(4, s.OH-h) {
						for l := range min(4, s.OW-w) {
							t := matrixA[k][i] * matrixA[l][j] * float64(dy.data[dy.At(n, h+k, w+l, o)])
							u, uSize = u+t, uSize+math.Abs(t)
						}
					}
					sum, size = sum+factor*u*v, size+math.Abs(factor)*uSize*vSize
				}
			}
		}
	}
	return sum, size
}

// T tiles: roundings of input (8), gradient (8), products and their sums (2T) and results (10).
func TestWinogradWeightBound(t *testing.T) {
	forEach(t, "gemm", func(t *testing.T) {
		r := testRand()
		for _, s := range winogradCases(t) {
			if s.Groups*s.DilH*s.DilW > 1 {
				continue
			}
			k, _ := s.WinogradWeight()
			x := newTensor(r, 2, s.H, s.W, s.C, s.PadTop, s.PadLeft, s.PadBottom, s.PadRight, false)
			dy := newTensor(r, 2, s.OH, s.OW, s.O, 0, 0, 0, 0, false)
			for _, z := range [][]float32{x.data, dy.data} {
				for i, v := range z {
					z[i] = v * float32(r.NormFloat64())
				}
			}
			sums, got, want := make([]float32, k.Size()), make([]float32, s.WeightSize()), make([]float32, s.WeightSize())
			sum := k.Begin(sums, make([]float32, k.ScratchLen()))
			for n := range 2 {
				sum.Image(x.data, x.Layout, dy.data, dy.Layout, n)
			}
			sum.End()
			s.UnpackWeightGrad(got, k.Finish(sums), false)
			s.RefBackwardWeight(want, x.data, x.Layout, dy.data, dy.Layout, false)
			tiles := float64(2 * tilesOf(s.OH) * tilesOf(s.OW))
			for range 50 {
				o, c, p, q := r.IntN(s.O), r.IntN(s.C), r.IntN(s.KH), r.IntN(s.KW)
				i := s.weight(o, c, p, q)
				sum, size := s.gradientByTiles(x, dy, o, c, p, q)
				if diff := math.Abs(sum - float64(want[i])); diff > 1e-6*size {
					t.Fatalf("%s: the reference by tiles is off by %v", s.name(), diff)
				}
				if diff, limit := math.Abs(float64(got[i])-sum), (2*tiles+27)*0x1p-24*size; !(diff <= limit) {
					t.Fatalf("%s: dw(%d, %d, %d, %d) = %v, want %v ± %v", s.name(), o, c, p, q, got[i], sum, limit)
				}
			}
		}
	})
}

// Neither where the rows of an image are cut nor how many tiles go together changes a bit.
func TestWinogradSplit(t *testing.T) {
	for _, kernel := range []string{"winograd", "gemm"} {
		for dilation := 1; dilation <= 3; dilation++ {
			forEach(t, kernel, func(t *testing.T) { testWinogradSplit(t, dilation) })
		}
	}
}

func testWinogradSplit(t *testing.T, d int) {
	r := testRand()
	s := ConvShape{C: 24, O: 40, KH: 3, KW: 3, DilH: d, DilW: d, PadTop: d, PadLeft: d, PadBottom: d, PadRight: d, H: 43, W: 35}
	if err := s.Complete(); err != nil {
		t.Fatal(err)
	}
	k, ok := s.WinogradForward()
	if first := k.phase(0); !ok || first.tiles() >= first.all(first.OH) {
		t.Fatalf("by tiles: %v, %d at once", ok, first.tiles())
	}
	x := newTensor(r, 1, s.H, s.W, s.C, d, d, d, d, false)
	for i, v := range x.data {
		x.data[i] = v * 0.1
	}
	packed := make([]float32, k.Size())
	k.Pack(packed, normals(r, s.WeightSize()))
	whole := newTensor(r, 1, s.OH, s.OW, s.O, 0, 0, 0, 0, false)
	for _, add := range []bool{false, true} {
		got := whole.clone()
		before := whole.clone()
		k.Rows(whole.data, whole.Layout, x.data, x.Layout, packed, nil, make([]float32, k.ScratchLen()), 0, 0, s.OH, add)
		for range 5 {
			copy(got.data, before.data)
			k.rows(r, got, x, packed, nil, 0, add)
			equalSlices(t, "y", got.data, whole.data)
		}
	}
}

// What has no transform, or too few channels for one, does not go by tiles.
func TestWinogradIsChosenByShape(t *testing.T) {
	for name, spoil := range map[string]func(s *ConvShape){
		"stride":  func(s *ConvShape) { s.StrideH = 2 },
		"groups":  func(s *ConvShape) { s.Groups = 2 },
		"kernel":  func(s *ConvShape) { s.KH = 2 },
		"inputs":  func(s *ConvShape) { s.C = 8 },
		"size":    func(s *ConvShape) { s.H = 3 },
		"outputs": func(s *ConvShape) { s.O = 20 },
	} {
		s := ConvShape{C: 16, O: 32, KH: 3, KW: 3, H: 9, W: 9}
		spoil(&s)
		if err := s.Complete(); err != nil {
			t.Fatal(err)
		}
		_, forward := s.WinogradForward()
		if _, backward := s.WinogradBackward(); forward || backward {
			t.Errorf("%s: it goes by tiles: forward %v, backward %v", name, forward, backward)
		}
	}
}

func TestWinogradRejects(t *testing.T) {
	s := ConvShape{C: 16, O: 16, KH: 3, KW: 3, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1, H: 6, W: 4}
	if err := s.Complete(); err != nil {
		t.Fatal(err)
	}
	k, _ := s.WinogradForward()
	xl, xs := Bordered(1, 6, 4, 16, 1, 1, 1, 1)
	yl, packed, scratch := Dense(1, 6, 4, 16), make([]float32, k.Size()), make([]float32, k.ScratchLen())
	run := func(xs, ys, scratch, oh0, oh1 int, xl Layout) func() {
		return func() {
			k.Rows(make([]float32, ys), yl, make([]float32, xs), xl, packed, nil, make([]float32, scratch), 0, oh0, oh1, false)
		}
	}
	run(xs, 6*4*16, len(scratch), 0, 6, xl)()
	for name, f := range map[string]func(){
		"short x":       run(xs-1, 6*4*16, len(scratch), 0, 6, xl),
		"short y":       run(xs, 6*4*16-1, len(scratch), 0, 6, xl),
		"short scratch": run(xs, 6*4*16, len(scratch)-lineFloats-1, 0, 6, xl),
		"odd start":     run(xs, 6*4*16, len(scratch), 2, 6, xl),
		"odd end":       run(xs, 6*4*16, len(scratch), 0, 5, xl),
		"far end":       run(xs, 6*4*16, len(scratch), 0, 7, xl),
		"no border":     run(xs, 6*4*16, len(scratch), 0, 6, Dense(1, 6, 4, 16)),
	} {
		rejects(t, name, f)
	}
}

func TestWinogradAllocatesNothing(t *testing.T) {
	s := ConvShape{C: 16, O: 16, KH: 3, KW: 3, H: 9, W: 8}
	if err := s.Complete(); err != nil {
		t.Fatal(err)
	}
	r := testRand()
	k, _ := s.WinogradForward()
	x, y := newTensor(r, 1, 9, 8, 16, 0, 0, 0, 0, false), newTensor(r, 1, 7, 6, 16, 0, 0, 0, 0, false)
	w, packed, scratch := normals(r, s.WeightSize()), make([]float32, k.Size()), make([]float32, k.ScratchLen())
	if n := testing.AllocsPerRun(5, func() {
		k.Pack(packed, w)
		k.Rows(y.data, y.Layout, x.data, x.Layout, packed, nil, scratch, 0, 0, 7, false)
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
