package fakequant

import (
	"math"

	"github.com/bitgrad/bitgrad/quant"
)

// Observation is what an observer is shown of one batch.
type Observation struct {
	Min, Max float32
	// Count is the number of elements.
	Count int
	// Values calls f with pieces of the data. It is nil while training, where
	// the range is taken from accumulators and no float tensor exists.
	Values func(f func(x []float32))
}

// An Observer collects what is needed to choose the range of an activation. It
// is immutable; its statistics live in a state vector that is staged,
// committed and checkpointed with the graph.
type Observer interface {
	// Name is the word for it in a spec: "minmax".
	Name() string
	// New returns the state before the first observation.
	New() []float32
	// Observe merges a batch into the state. It allocates nothing. Batches with a
	// NaN or an infinity are not shown: in calibration they are an error, in
	// training their step is dropped.
	Observe(state []float32, o Observation)
	// NeedsValues says that Observe must see the values, not only their range;
	// such an observer watches calibration and rests during training.
	NeedsValues() bool
	// Range returns the range that the state stands for, lo ≤ hi; ok is false where
	// nothing was observed.
	Range(state []float32, f quant.UniformFormat) (lo, hi float32, ok bool)
}

// MinMax keeps the smallest and the largest value ever seen.
type MinMax struct{}

// Name returns "minmax".
func (MinMax) Name() string { return "minmax" }

// New returns an empty range.
func (MinMax) New() []float32 { return []float32{0, 0, 0} }

// Observe widens the range.
func (MinMax) Observe(s []float32, o Observation) {
	if o.Count == 0 || !(o.Min <= o.Max) {
		return
	}
	if s[2] == 0 {
		s[0], s[1], s[2] = o.Min, o.Max, 1
		return
	}
	s[0], s[1] = min(s[0], o.Min), max(s[1], o.Max)
}

// NeedsValues returns false.
func (MinMax) NeedsValues() bool { return false }

// Range returns the smallest and the largest value.
func (MinMax) Range(s []float32, _ quant.UniformFormat) (lo, hi float32, ok bool) {
	return s[0], s[1], s[2] != 0
}

// MovingAverage averages the range of the batches exponentially,
// m ← m + c·(x − m); the first batch sets it. It is PyTorch's default.
type MovingAverage struct {
	// Constant is c; zero means 0.01.
	Constant float32
}

// Name returns "ema".
func (MovingAverage) Name() string { return "ema" }

// New returns an empty range.
func (MovingAverage) New() []float32 { return []float32{0, 0, 0} }

// Observe moves the range towards that of the batch.
func (m MovingAverage) Observe(s []float32, o Observation) {
	if o.Count == 0 || !(o.Min <= o.Max) {
		return
	}
	if s[2] == 0 {
		s[0], s[1], s[2] = o.Min, o.Max, 1
		return
	}
	c := m.Constant
	if c == 0 {
		c = 0.01
	}
	s[0] += float32(c * (o.Min - s[0]))
	s[1] += float32(c * (o.Max - s[1]))
}

// NeedsValues returns false.
func (MovingAverage) NeedsValues() bool { return false }

// Range returns the averaged range.
func (MovingAverage) Range(s []float32, _ quant.UniformFormat) (lo, hi float32, ok bool) {
	return s[0], s[1], s[2] != 0
}

// MSE chooses the range with the least mean squared quantization error. It
// keeps a histogram of |x| with bins of equal ratio, eight to an octave, from
// 2^-24 to 2^24: constant memory, no range to know in advance. The mass of a bin
// counts as spread evenly over it; where a bin is wider than a step its rounding
// error is s²/12. Candidates are the largest magnitude divided by 2^(k/8) (by
// 2^k for powers of two), down to 1/64 of it.
//
// It leaves out the sign: a format is judged as if its levels ended at the same
// distance on both sides of zero. To count the code below −QMax, too, makes the
// squared error of 2-bit tensors smaller and their scales finer, but it cuts
// positive numbers only, which shifts the mean: accuracy falls.
type MSE struct{}

const (
	binsPerOctave = 8
	lowOctave     = -24
	octaves       = 48
	histBins      = binsPerOctave * octaves
)

// Name returns "mse".
func (MSE) Name() string { return "mse" }

// New returns an empty histogram: minimum, maximum, seen, bins.
func (MSE) New() []float32 { return make([]float32, 3+histBins) }

// Observe adds the values to the histogram.
func (MSE) Observe(s []float32, o Observation) {
	if o.Values == nil {
		return
	}
	MinMax{}.Observe(s[:3], o)
	hist := s[3:]
	o.Values(func(x []float32) { addToHistogram(hist, x) })
}

// addToHistogram counts |x| by the exponent and the leading mantissa bits of
// the float, exactly and without a logarithm.
func addToHistogram(hist []float32, x []float32) {
	for _, v := range x {
		b := math.Float32bits(v) &^ (1 << 31)
		if b == 0 || b >= 0x7f800000 {
			continue
		}
		i := int(b>>20) - (127+lowOctave)*binsPerOctave
		hist[min(max(i, 0), histBins-1)]++
	}
}

// NeedsValues returns true.
func (MSE) NeedsValues() bool { return true }

// Range returns the best symmetric cut of the observed range.
func (MSE) Range(s []float32, f quant.UniformFormat) (lo, hi float32, ok bool) {
	if s[2] == 0 {
		return 0, 0, false
	}
	lo, hi = s[0], s[1]
	largest := max(-lo, hi)
	if !f.Signed && !f.Affine {
		largest = hi
	}
	if !(largest > 0) || bad(largest) {
		return lo, hi, true
	}
	limit := bestLimit(s[3:], largest, f)
	return min(max(lo, -limit), limit), min(max(hi, -limit), limit), true
}

// bestLimit returns the clipping magnitude of least error.
func bestLimit(hist []float32, largest float32, f quant.UniformFormat) float32 {
	step := 1.0 / binsPerOctave
	first := float64(largest)
	if f.PowerOfTwo {
		step = 1
		first = math.Exp2(float64(quant.CeilLog2(largest)))
	}
	levels := float64(max(f.QMax(), 1))
	if f.Affine {
		levels = float64(f.QMax()-f.QMin()) / 2
	}
	best, limit := math.Inf(1), first
	for k := 0.0; k <= 6; k += step {
		t := first * math.Exp2(-k)
		sc := t / levels
		if f.PowerOfTwo {
			sc = math.Ldexp(t, -magnitude(f))
			t = sc * levels
		}
		e := 0.0
		for i, n := range hist {
			if n > 0 {
				e += float64(n) * binError(i, sc, t)
			}
		}
		if e < best*(1-1e-9) {
			best, limit = e, first*math.Exp2(-k)
		}
	}
	return float32(limit)
}

// binError returns the mean squared error of the values of a bin on a grid of
// step sc that ends at t.
func binError(i int, sc, t float64) float64 {
	octave := math.Ldexp(1, i/binsPerOctave+lowOctave)
	width := octave / binsPerOctave
	low := octave + float64(i%binsPerOctave)*width
	if width > sc && low+width < t {
		return sc * sc / 12
	}
	const points = 8
	e := 0.0
	for p := range points {
		x := low + (float64(p)+0.5)/points*width
		d := x - min(math.Round(x/sc)*sc, t)
		e += d * d
	}
	return e / points
}

var (
	_ Observer = MinMax{}
	_ Observer = MovingAverage{}
	_ Observer = MSE{}
)
