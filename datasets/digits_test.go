package datasets

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math"
	"slices"
	"testing"
)

func digits(t testing.TB, n int, seed uint64) *memory {
	t.Helper()
	ds, err := Digits(n, seed)
	if err != nil {
		t.Fatal(err)
	}
	return ds.(*memory)
}

// TestDigitsAreTheSameEverywhere pins the pictures: they are made of whole
// numbers alone, so neither the machine nor the version of Go may change them.
func TestDigitsAreTheSameEverywhere(t *testing.T) {
	held, err := DigitsHeldOut(40, 1)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.New()
	sum.Write(digits(t, 60, 1).pixels)
	sum.Write(held.(*memory).pixels)
	const want = "f073f75d27b6492ef4bd3490febd525eef6f40a000ad710f09ac61b8576922c9"
	if got := hex.EncodeToString(sum.Sum(nil)); got != want {
		t.Errorf("sha256 %s, want %s", got, want)
	}
}

func TestDigitsAreAFunctionOfSeedAndIndex(t *testing.T) {
	long, short := digits(t, 50, 7), digits(t, 20, 7)
	if !bytes.Equal(long.pixels[:20*digitSide*digitSide], short.pixels) {
		t.Error("the first 20 of 50 digits differ from 20 digits")
	}
	if bytes.Equal(short.pixels, digits(t, 20, 8).pixels) {
		t.Error("two seeds draw the same")
	}
	for i, label := range long.labels {
		if int(label) != i%10 {
			t.Errorf("label %d of sample %d", label, i)
		}
	}
	if info := long.Info(); info.N != 50 || info.C != 1 || info.H != 28 || info.W != 28 || info.Classes != 10 || len(info.ClassNames) != 10 {
		t.Errorf("info %+v", info)
	}
	for _, n := range []int{0, -1, math.MaxInt} {
		if _, err := Digits(n, 1); !errors.Is(err, ErrOption) {
			t.Errorf("Digits(%d): error %v", n, err)
		}
		if _, err := DigitSplits(1, 1, n, 1); !errors.Is(err, ErrOption) {
			t.Errorf("DigitSplits(1, 1, %d): error %v", n, err)
		}
	}
}

// TestHeldOutFontsAreNew: no glyph of the test is one of the training.
func TestHeldOutFontsAreNew(t *testing.T) {
	seen, err := seenFonts()
	if err != nil {
		t.Fatal(err)
	}
	held, err := heldOutFonts()
	if err != nil {
		t.Fatal(err)
	}
	for i, h := range held {
		for d := range 10 {
			for j, s := range seen {
				if slices.EqualFunc(h[d].contours, s[d].contours, slices.Equal) {
					t.Errorf("digit %d of held-out font %d is that of font %d", d, i, j)
				}
			}
		}
	}
	for _, f := range append(slices.Clone(seen), held...) {
		for d, glyph := range f {
			low, high := int64(math.MaxInt64), int64(math.MinInt64)
			for _, contour := range glyph.contours {
				for _, p := range contour {
					low, high = min(low, p.y), max(high, p.y)
				}
			}
			if high-low < glyphUnits-2 || high-low > glyphUnits {
				t.Errorf("digit %d is %d units high, want %d", d, high-low, glyphUnits)
			}
		}
	}
}

// TestDigitsNormalization: the stated moments are those of a large set.
func TestDigitsNormalization(t *testing.T) {
	ds := digits(t, 3000, 1)
	mean, std, err := Moments(ds)
	if err != nil {
		t.Fatal(err)
	}
	if info := ds.Info(); !near(mean[0], info.Mean[0], 3) || !near(std[0], info.Std[0], 3) {
		t.Errorf("mean %v, std %v, stated %v, %v", mean, std, info.Mean, info.Std)
	}
}

// TestRasterArea compares coverage with the area of polygons, and the inside of
// overlapping ones with the rule of winding numbers.
func TestRasterArea(t *testing.T) {
	const p = subpixels
	square := func(x, y, side int64) []point {
		return []point{{x, y}, {x + side, y}, {x + side, y + side}, {x, y + side}}
	}
	backwards := func(c []point) []point {
		c = slices.Clone(c)
		slices.Reverse(c)
		return c
	}
	for name, c := range map[string]struct {
		contours [][]point
		area     float64 // in pixels
	}{
		"pixels":        {[][]point{square(2*p, 3*p, 4*p)}, 16},
		"half pixels":   {[][]point{square(2*p+p/2, 3*p+p/2, 3*p)}, 9},
		"counter":       {[][]point{backwards(square(2*p, 3*p, 4*p))}, 16},
		"hole":          {[][]point{square(p, p, 6*p), backwards(square(3*p, 3*p, 2*p))}, 32},
		"overlap":       {[][]point{square(p, p, 4*p), square(3*p, 3*p, 4*p)}, 28},
		"triangle":      {[][]point{{{0, 0}, {8 * p, 0}, {0, 8 * p}}}, 32},
		"cut by border": {[][]point{square(-2*p, -2*p, 4*p)}, 4},
		"outside":       {[][]point{square(20*p, 2*p, 4*p), square(2*p, -20*p, 4*p)}, 0},
		"empty":         {[][]point{square(2*p, 2*p, 0)}, 0},
	} {
		r := newRaster(8, 8)
		for range 2 { // the second time from the reused memory
			r.reset()
			for _, contour := range c.contours {
				for i, q := range contour {
					r.edge(contour[(i+len(contour)-1)%len(contour)], q)
				}
			}
			r.fill()
			sum := 0
			for i, cover := range r.cover {
				if cover < 0 || cover > fullCover {
					t.Fatalf("%s: pixel %d covered %d of %d", name, i, cover, fullCover)
				}
				sum += int(cover)
			}
			if area := float64(sum) / fullCover; math.Abs(area-c.area) > 0.02*c.area {
				t.Errorf("%s: area %.3f, want %.3f", name, area, c.area)
			}
		}
	}
}

// TestDigitsAreNeitherTrivialNorHopeless: a linear classifier, trained by
// softmax regression, must get some of the held-out digits and must not get
// nine in ten; a nearest-neighbour classifier, which a convolutional network
// leaves far behind, must beat it.
func TestDigitsAreNeitherTrivialNorHopeless(t *testing.T) {
	train := digits(t, 4000, 1)
	held, err := DigitsHeldOut(1000, 1)
	if err != nil {
		t.Fatal(err)
	}
	test := held.(*memory)
	linear := linearAccuracy(train, test, 6)
	neighbour := neighbourAccuracy(train, test, 300)
	t.Logf("linear %.3f, nearest neighbour %.3f", linear, neighbour)
	if linear < 0.3 || linear > 0.9 {
		t.Errorf("a linear classifier gets %.3f", linear)
	}
	if neighbour < linear+0.05 {
		t.Errorf("nearest neighbour gets %.3f, linear %.3f", neighbour, linear)
	}
}

// standardized returns the images with mean 0 and length 1 each.
func standardized(m *memory) [][]float32 {
	size := m.info.Size()
	out := make([][]float32, m.info.N)
	for i := range out {
		x := make([]float32, size)
		var sum, squares float64
		for j, p := range m.pixels[i*size:][:size] {
			x[j] = float32(p)
			sum += float64(p)
			squares += float64(p) * float64(p)
		}
		mean := sum / float64(size)
		length := math.Sqrt(squares - sum*mean)
		for j := range x {
			x[j] = float32((float64(x[j]) - mean) / length)
		}
		out[i] = x
	}
	return out
}

func dot(a, b []float32) float32 {
	var s0, s1, s2, s3 float32
	for i := 0; i+3 < len(a); i += 4 {
		s0 += a[i] * b[i]
		s1 += a[i+1] * b[i+1]
		s2 += a[i+2] * b[i+2]
		s3 += a[i+3] * b[i+3]
	}
	return s0 + s1 + s2 + s3
}

func linearAccuracy(train, test *memory, epochs int) float64 {
	size := train.info.Size()
	weights := make([][]float32, 10)
	for k := range weights {
		weights[k] = make([]float32, size)
	}
	best := func(x []float32, logits *[10]float32) int {
		top := 0
		for k, w := range weights {
			logits[k] = dot(w, x)
			if logits[k] > logits[top] {
				top = k
			}
		}
		return top
	}
	var logits [10]float32
	var r Rand
	r.reseed(streamOrder, 1, 0, 0)
	order := make([]int, train.info.N)
	images := standardized(train)
	for e := range epochs {
		rate := 2 / float32(1+e)
		r.shuffle(order)
		for _, i := range order {
			top := logits[best(images[i], &logits)]
			var sum float64
			for _, z := range logits {
				sum += math.Exp(float64(z - top))
			}
			for k, w := range weights {
				d := float32(math.Exp(float64(logits[k]-top)) / sum)
				if k == int(train.labels[i]) {
					d--
				}
				for j, x := range images[i] {
					w[j] -= rate * d * x
				}
			}
		}
	}
	right := 0
	for i, x := range standardized(test) {
		if best(x, &logits) == int(test.labels[i]) {
			right++
		}
	}
	return float64(right) / float64(test.info.N)
}

func neighbourAccuracy(train, test *memory, n int) float64 {
	known, asked := standardized(train), standardized(test)
	right := 0
	for i := range n {
		nearest, closest := 0, float32(-2)
		for j, x := range known {
			if d := dot(x, asked[i]); d > closest {
				nearest, closest = j, d
			}
		}
		if train.labels[nearest] == test.labels[i] {
			right++
		}
	}
	return float64(right) / float64(n)
}

func BenchmarkDigits(b *testing.B) {
	fonts, err := seenFonts()
	if err != nil {
		b.Fatal(err)
	}
	d := newDrawer()
	image := make([]uint8, digitSide*digitSide)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		d.draw(image, fonts, i%10, 1, uint64(i))
	}
}
