package fakequant

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/quant"
)

// observation is a batch of values as an observer meets them in calibration,
// in pieces.
func observation(x []float32) Observation {
	return Observation{Min: slices.Min(x), Max: slices.Max(x), Count: len(x), Values: func(f func([]float32)) {
		for len(x) > 3 {
			f(x[:3])
			x = x[3:]
		}
		f(x)
	}}
}

func drawBatches(t *rapid.T) [][]float32 {
	values := rapid.SliceOfN(rapid.Float32Range(-50, 50), 1, 20)
	return rapid.SliceOfN(values, 1, 6).Draw(t, "batches")
}

func TestMinMax(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := MinMax{}.New()
		if _, _, ok := (MinMax{}).Range(s, quant.UniformFormat{}); ok {
			t.Fatal("a range before the first observation")
		}
		var all []float32
		for _, x := range drawBatches(t) {
			MinMax{}.Observe(s, observation(x))
			MinMax{}.Observe(s, Observation{})
			MinMax{}.Observe(s, Observation{Min: float32(math.NaN()), Max: 1000, Count: 3})
			all = append(all, x...)
			lo, hi, ok := MinMax{}.Range(s, quant.UniformFormat{})
			if !ok || lo != slices.Min(all) || hi != slices.Max(all) {
				t.Fatalf("range %v to %v, %v; want %v to %v", lo, hi, ok, slices.Min(all), slices.Max(all))
			}
		}
	})
}

func TestMovingAverage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := MovingAverage{Constant: rapid.SampledFrom([]float32{0, 0.25, 1}).Draw(t, "constant")}
		c := float64(m.Constant)
		if c == 0 {
			c = 0.01
		}
		s := m.New()
		var lo, hi float64
		for i, x := range drawBatches(t) {
			m.Observe(s, observation(x))
			a, b := float64(slices.Min(x)), float64(slices.Max(x))
			if i == 0 {
				lo, hi = a, b
			}
			lo, hi = lo+c*(a-lo), hi+c*(b-hi)
			gotLo, gotHi, ok := m.Range(s, quant.UniformFormat{})
			if !ok || math.Abs(float64(gotLo)-lo) > 1e-4 || math.Abs(float64(gotHi)-hi) > 1e-4 {
				t.Fatalf("batch %d: range %v to %v, %v; want %v to %v", i, gotLo, gotHi, ok, lo, hi)
			}
		}
	})
}

// TestOrderOfBatches: the extremes and the histogram do not depend on it.
func TestOrderOfBatches(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		batches := drawBatches(t)
		shuffled := rapid.Permutation(batches).Draw(t, "order")
		for _, o := range []Observer{MinMax{}, MSE{}} {
			a, b := o.New(), o.New()
			for i := range batches {
				o.Observe(a, observation(batches[i]))
				o.Observe(b, observation(shuffled[i]))
			}
			if !slices.Equal(a, b) {
				t.Fatalf("%s: %v after another order, %v before", o.Name(), b, a)
			}
		}
	})
}

// TestHistogramBins: a value counts in the bin whose ends enclose it, whatever
// its sign; zero and what is not finite count nowhere.
func TestHistogramBins(t *testing.T) {
	edge := func(i int) float64 { // the smallest magnitude of bin i
		return math.Ldexp(1+float64(i%8)/8, i/8-24)
	}
	for i := range histBins {
		lo := float32(edge(i))
		hi := math.Nextafter32(float32(edge(i+1)), 0)
		hist := make([]float32, histBins)
		addToHistogram(hist, []float32{lo, -lo, hi, -hi, float32((edge(i) + edge(i+1)) / 2)})
		for j, n := range hist {
			if want := map[bool]float32{true: 5}[j == i]; n != want {
				t.Fatalf("%v to %v: bin %d counts %v, want %v", lo, hi, j, n, want)
			}
		}
	}
	hist := make([]float32, histBins)
	inf := float32(math.Inf(1))
	addToHistogram(hist, []float32{0, float32(math.Copysign(0, -1)), inf, -inf, float32(math.NaN())})
	if slices.Max(hist) != 0 {
		t.Error("zero or a bad number was counted")
	}
	addToHistogram(hist, []float32{math.SmallestNonzeroFloat32, 1e-20, 1e20, math.MaxFloat32})
	if hist[0] != 2 || hist[histBins-1] != 2 {
		t.Errorf("beyond the ends: %v and %v, want 2 and 2", hist[0], hist[histBins-1])
	}
}

// meanSquaredError is the error of quantizing the samples with limit as the
// largest magnitude.
func meanSquaredError(x []float32, f quant.UniformFormat, lo, hi float32) float64 {
	g, err := f.GridFromRange([]float32{lo}, []float32{hi})
	if err != nil {
		panic(err)
	}
	sum := 0.0
	for _, v := range x {
		d := float64(v) - float64(g.FakeQuantize(v, 0, quant.HalfEven))
		sum += d * d
	}
	return sum / float64(len(x))
}

// TestMSEAgainstBruteForce: of all candidate limits the observer takes the best
// one on the samples themselves, or a neighbour of it.
func TestMSEAgainstBruteForce(t *testing.T) {
	distributions := map[string]func(r *rand.Rand) float64{
		"normal":  func(r *rand.Rand) float64 { return r.NormFloat64() },
		"laplace": func(r *rand.Rand) float64 { return r.ExpFloat64() * float64(2*r.IntN(2)-1) },
		"uniform": func(r *rand.Rand) float64 { return 2*r.Float64() - 1 },
		"relu":    func(r *rand.Rand) float64 { return max(r.NormFloat64(), 0) },
		"outlier": func(r *rand.Rand) float64 {
			if r.IntN(500) == 0 {
				return 20 + 20*r.Float64()
			}
			return r.NormFloat64()
		},
	}
	for name, draw := range distributions {
		for _, bits := range []int{2, 3, 4, 6, 8} {
			for _, f := range []quant.UniformFormat{
				// The observer counts magnitudes: two bits have to be as symmetric as it thinks they are.
				{BitWidth: bits, Signed: true, Narrow: bits == 2}, {BitWidth: bits, Signed: true, PowerOfTwo: true}, {BitWidth: bits}, {BitWidth: bits, PowerOfTwo: true},
			} {
				if !f.Signed && name != "relu" {
					continue
				}
				r := rand.New(rand.NewPCG(uint64(bits), 11))
				x := make([]float32, 8000)
				for i := range x {
					x[i] = float32(draw(r) * 3)
				}
				s := MSE{}.New()
				for batch := range 4 {
					MSE{}.Observe(s, observation(x[batch*2000:(batch+1)*2000]))
				}
				lo, hi, ok := MSE{}.Range(s, f)
				if !ok {
					t.Fatal("nothing observed")
				}
				largest := float64(max(-slices.Min(x), slices.Max(x)))
				step := 1.0 / 8
				if f.PowerOfTwo {
					step = 1
					largest = math.Exp2(math.Ceil(math.Log2(largest)))
				}
				best, at := math.Inf(1), 0.0
				for k := 0.0; k <= 6; k += step {
					limit := float32(largest * math.Exp2(-k))
					if e := meanSquaredError(x, f, max(slices.Min(x), -limit), min(slices.Max(x), limit)); e < best {
						best, at = e, k
					}
				}
				got := math.Log2(largest / float64(max(-lo, hi)))
				if e := meanSquaredError(x, f, lo, hi); math.Abs(got-at) > step+1e-3 && e > 1.02*best {
					t.Errorf("%s, %s: limit 2^-%.3f of the largest with error %.4g, brute force 2^-%.3f with %.4g", name, f, got, e, at, best)
				}
			}
		}
	}
}

func TestMSEWithoutData(t *testing.T) {
	s := MSE{}.New()
	if _, _, ok := (MSE{}).Range(s, quant.UniformFormat{BitWidth: 8}); ok {
		t.Error("a range before the first observation")
	}
	MSE{}.Observe(s, Observation{Min: -1, Max: 1, Count: 2}) // without values nothing can be learned
	if _, _, ok := (MSE{}).Range(s, quant.UniformFormat{BitWidth: 8}); ok {
		t.Error("a range without values")
	}
	MSE{}.Observe(s, observation([]float32{0, 0}))
	if lo, hi, ok := (MSE{}).Range(s, quant.UniformFormat{BitWidth: 8, Signed: true}); lo != 0 || hi != 0 || !ok {
		t.Errorf("zeros give %v to %v, %v", lo, hi, ok)
	}
	MSE{}.Observe(s, observation([]float32{-3, -1}))
	if lo, hi, ok := (MSE{}).Range(s, quant.UniformFormat{BitWidth: 8}); lo != -3 || hi != 0 || !ok {
		t.Errorf("negative numbers on an unsigned grid give %v to %v, %v", lo, hi, ok)
	}
}

// TestMSEOfOneSign: values that all lie beyond the best limit give a range that begins
// before it ends.
func TestMSEOfOneSign(t *testing.T) {
	for _, sign := range []float32{-1, 1} {
		s := MSE{}.New()
		MSE{}.Observe(s, observation([]float32{sign * 256.2, sign * 300}))
		f := quant.UniformFormat{BitWidth: 1, Signed: true, PowerOfTwo: true}
		if lo, hi, ok := (MSE{}).Range(s, f); !ok || lo > hi || max(-lo, hi) != 256 {
			t.Errorf("sign %v: %v to %v, %v", sign, lo, hi, ok)
		}
	}
}

// TestObserversOfATrainingStep: what the fused nodes show the observer is the
// range of the real values behind the activation function, before saturation, in
// the next step.
func TestObserversOfATrainingStep(t *testing.T) {
	for _, spec := range []Spec{{Scheme: FixedPoint, WeightBits: 4, OutBits: 4}, {Scheme: Integer, WeightBits: 5, OutBits: 3}} {
		spec.Estimator, spec.Observer = STE{}, MinMax{}
		g := prepared(t, spec)
		for _, mode := range []autograd.Mode{autograd.Train, autograd.Frozen} {
			fused, plain := compileFor(t, g, mode, nil, false), compileFor(t, g, mode, nil, true)
			before := map[string][2]float32{}
			for _, q := range Quantizers(g) {
				if q.Subject != Weights {
					before[q.Name()] = [2]float32{q.bounds.Value[0], q.bounds.Value[1]}
				}
			}
			step := func(p *autograd.Program) map[string][2]float32 {
				loadRandom(p, 77)
				p.Forward()
				m := map[string][2]float32{}
				for _, q := range Quantizers(g) {
					if q.Subject != Weights {
						s := q.bounds.Stage()
						m[q.Name()] = [2]float32{s[0], s[1]}
						if mode == autograd.Frozen && q.stats.Staged() {
							t.Errorf("%s observes in the frozen phase", q.Name())
						}
					}
				}
				p.Discard()
				for _, q := range Quantizers(g) {
					if q.Subject != Weights {
						q.bounds.Discard()
					}
				}
				return m
			}
			a, b := step(fused), step(plain)
			moved := 0
			for name, r := range b {
				s := a[name]
				for i := range r {
					if math.Abs(float64(r[i]-s[i])) > 1e-4*(1+math.Abs(float64(r[i]))) {
						t.Errorf("%s, %s: fused observes %v, unfused %v", mode, name, s, r)
						break
					}
				}
				if r != before[name] {
					moved++
				}
			}
			if (moved > 0) != (mode == autograd.Train) {
				t.Errorf("%s: %d ranges moved", mode, moved)
			}
		}
	}
}
