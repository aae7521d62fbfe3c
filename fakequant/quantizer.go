package fakequant

import (
	"fmt"
	"math"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/quant"
)

// Subject says what a quantizer quantizes.
type Subject uint8

// Subjects of quantizers.
const (
	Weights Subject = iota
	Outputs
	Edge // one edge into a node, requantized by in=
)

var subjectNames = [...]string{"weights", "output", "edge"}

// String returns the word for the subject.
func (s Subject) String() string { return subjectNames[s] }

// A Quantizer holds what the quantizer nodes of one tensor share: format,
// estimator, observer and the committed range. It is made by Prepare.
type Quantizer struct {
	// Layer is the name of the layer that the tensor belongs to.
	Layer     string
	Subject   Subject
	Format    quant.UniformFormat
	Estimator Estimator
	Observer  Observer
	// FixedFL is set where the spec gives the fractional length.
	FixedFL *int
	// Channels is the number of scales: 1, or the output channels of a weight.
	Channels int
	// Pinned ranges are known without data and never change: those of pixels.
	Pinned bool
	// Param is the learned range, [Channels]; nil where nothing is learned.
	Param *autograd.Param

	stats  *autograd.State // the observer's, activations only
	scales *autograd.State // scales chosen in calibration; 0: not calibrated
	bounds *autograd.State // committed minimum and maximum of an observed activation
}

func newQuantizer(layer string, subject Subject, f quant.UniformFormat, spec Spec, channels int, fl *int) (*Quantizer, error) {
	est := spec.Estimator
	if fl != nil {
		est = STE{}
	}
	q := &Quantizer{Layer: layer, Subject: subject, Format: f, Estimator: est, Observer: spec.Observer, FixedFL: fl, Channels: channels}
	if err := f.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %s: %s: %w", ErrSpec, layer, subject, err)
	}
	if err := est.Check(f); err != nil {
		return nil, fmt.Errorf("%s: %s: %w", layer, subject, err)
	}
	prefix := layer + "." + subject.String()
	q.scales = autograd.NewState(prefix+".calibrated", make([]float32, channels))
	if subject != Weights {
		q.stats = autograd.NewState(prefix+"."+q.Observer.Name(), q.Observer.New())
		q.bounds = autograd.NewState(prefix+".range", make([]float32, 2))
	}
	if q.learned() {
		q.Param = &autograd.Param{Name: prefix + "." + est.Name(), Role: autograd.RangeParam, Shape: []int{channels},
			Value: make([]float32, channels), Grad: make([]float32, channels)}
	}
	return q, nil
}

func (q *Quantizer) learned() bool { return q.FixedFL == nil && q.Estimator.Learned() }

// pin gives the quantizer a range that is known without data.
func (q *Quantizer) pin(lo, hi float32) {
	q.Pinned = true
	q.bounds.Value[0], q.bounds.Value[1] = lo, hi
}

// states lists the vectors that are checkpointed.
func (q *Quantizer) states() []*autograd.State {
	if q.stats == nil {
		return []*autograd.State{q.scales}
	}
	return []*autograd.State{q.scales, q.bounds, q.stats}
}

// Calibrated reports whether the quantizer has a range.
func (q *Quantizer) Calibrated() bool {
	return q.FixedFL != nil || q.Pinned || q.scales.Value[0] > 0
}

// Name returns the name of the tensor: "conv1 weights".
func (q *Quantizer) Name() string { return q.Layer + " " + q.Subject.String() }

// initGrid gives g the constant fields of the format.
func (q *Quantizer) initGrid(g *quant.Grid) {
	*g, _ = q.Format.Uniform()
	g.Scale = make([]float32, q.Channels)
	for i := range g.Scale {
		g.Scale[i] = 1
	}
}

// setGrid writes this step's grid into g: fixed, learned, or as last committed. It allocates nothing.
func (q *Quantizer) setGrid(g *quant.Grid) {
	switch {
	case q.FixedFL != nil:
		for i := range g.Scale {
			g.Scale[i] = quant.PowerOfTwo(*q.FixedFL)
		}
	case q.learned():
		for i := range g.Scale {
			g.Scale[i] = q.Estimator.Scale(q.Format, q.Param.Value[i])
		}
	case q.Subject == Weights:
		copy(g.Scale, q.scales.Value)
	default:
		q.rangeGrid(g, q.bounds.Value[0], q.bounds.Value[1])
	}
}

// rangeGrid is GridFromRange for one range, without allocation.
func (q *Quantizer) rangeGrid(g *quant.Grid, lo, hi float32) {
	lo, hi = min(lo, 0), max(hi, 0)
	g.ZeroPoint = 0
	s := rangeScale(q.Format, *g, lo, hi)
	if !(s >= quant.MinScale && s <= quant.MaxScale) {
		g.Scale[0] = 1
		return
	}
	g.Scale[0] = s
	if q.Format.Affine {
		z := math.RoundToEven(float64(g.QMin()) - float64(lo)/float64(s))
		g.ZeroPoint = int32(min(max(z, float64(g.QMin())), float64(g.QMax())))
	}
}

func rangeScale(f quant.UniformFormat, g quant.Grid, lo, hi float32) float32 {
	if f.Affine {
		return float32((float64(hi) - float64(lo)) / float64(g.QMax()-g.QMin()))
	}
	a := hi
	if f.Signed {
		a = max(-lo, hi)
	}
	switch {
	case !(a > 0):
		return 0
	case f.PowerOfTwo:
		return float32(math.Ldexp(1, quant.CeilLog2(a)-magnitude(f)))
	}
	return float32(float64(a) / max(float64(g.QMax()), 1))
}

// observe stages the statistics of a batch; commit decides whether the range of
// the next step follows them. A batch with a bad number makes calibration fail;
// in training, where the whole step is dropped, it is passed over.
func (q *Quantizer) observe(o Observation, calibrating bool) {
	if q.FixedFL != nil || q.Pinned || q.Subject == Weights {
		return
	}
	if !calibrating && (q.learned() || q.Observer.NeedsValues()) {
		return
	}
	if bad(o.Min) || bad(o.Max) {
		if calibrating { // for finish, whatever the observer would make of it
			b := q.bounds.Stage()
			b[0], b[1] = o.Min, o.Max
		}
		return
	}
	s := q.stats.Stage()
	q.Observer.Observe(s, o)
	if calibrating {
		return
	}
	if lo, hi, ok := q.Observer.Range(s, q.Format); ok {
		b := q.bounds.Stage()
		b[0], b[1] = lo, hi
	}
}

// watches reports whether the quantizer wants to see training batches.
func (q *Quantizer) watches(mode autograd.Mode) bool {
	return mode == autograd.Train && q.Subject != Weights && q.FixedFL == nil && !q.Pinned && !q.learned() && !q.Observer.NeedsValues()
}

// finish turns the statistics of calibration into the range.
func (q *Quantizer) finish() error {
	if q.FixedFL != nil || q.Pinned {
		return nil
	}
	if q.Subject != Weights {
		if lo, hi := q.bounds.Value[0], q.bounds.Value[1]; bad(lo) || bad(hi) {
			return fmt.Errorf("%w: %s: a batch ranged from %v to %v", ErrNotCalibrated, q.Name(), lo, hi)
		}
		lo, hi, ok := q.Observer.Range(q.stats.Value, q.Format)
		if !ok {
			return fmt.Errorf("%w: %s: the observer %s has seen no data: calibrate with at least one batch", ErrNotCalibrated, q.Name(), q.Observer.Name())
		}
		if bad(lo) || bad(hi) || lo > hi {
			return fmt.Errorf("%w: %s: the observer %s gave the range %v to %v", ErrNotCalibrated, q.Name(), q.Observer.Name(), lo, hi)
		}
		var g quant.Grid
		q.initGrid(&g)
		q.rangeGrid(&g, lo, hi)
		q.bounds.Value[0], q.bounds.Value[1] = lo, hi
		q.scales.Value[0] = g.Scale[0]
	}
	for c, s := range q.scales.Value {
		if bad(s) {
			return fmt.Errorf("%w: %s: channel %d holds values that are not finite", ErrNotCalibrated, q.Name(), c)
		}
		if !(s > 0) {
			return fmt.Errorf("%w: %s: channel %d has no range: calibrate with at least one batch", ErrNotCalibrated, q.Name(), c)
		}
		if q.learned() {
			q.Param.Value[c] = q.Estimator.Param(q.Format, s)
			if err := q.checkScale(s, q.Estimator.Scale(q.Format, q.Param.Value[c])); err != nil {
				return err
			}
		}
	}
	if q.learned() {
		q.Param.Touch()
	}
	return nil
}

// checkScale refuses what an estimator made of the scale that calibration found.
func (q *Quantizer) checkScale(from, s float32) error {
	switch {
	case !(s > 0) || bad(s):
		return fmt.Errorf("%w: %s: the estimator %s makes the scale %v of %v: it must be positive and finite", ErrSpec, q.Name(), q.Estimator.Name(), s, from)
	case q.Format.PowerOfTwo && quant.PowerOfTwo(-quant.CeilLog2(s)) != s:
		return fmt.Errorf("%w: %s: the estimator %s makes the scale %v of %v: %s needs powers of two", ErrSpec, q.Name(), q.Estimator.Name(), s, from, q.Format)
	}
	return nil
}

func bad(x float32) bool { return x != x || math.IsInf(float64(x), 0) }

// rule returns the requantization rule of the scheme that the output grid belongs to.
func (q *Quantizer) rule() quant.Rule {
	if q.Format.PowerOfTwo {
		return quant.Shift
	}
	return quant.Float
}

// Grid returns the present grid, what the next evaluation uses but for scales
// that a bias raises. It returns false before calibration.
func (q *Quantizer) Grid() (quant.Grid, bool) {
	if !q.Calibrated() {
		return quant.Grid{}, false
	}
	var g quant.Grid
	q.initGrid(&g)
	q.setGrid(&g)
	return g, true
}

// Quantizers returns the quantizers of a prepared graph in its order.
func Quantizers(g *autograd.Graph) []*Quantizer {
	var qs []*Quantizer
	seen := map[*Quantizer]bool{}
	for _, n := range g.Nodes() {
		if o, ok := n.Op().(interface{ quantizers() []*Quantizer }); ok {
			for _, q := range o.quantizers() {
				if q != nil && !seen[q] {
					seen[q] = true
					qs = append(qs, q)
				}
			}
		}
	}
	return qs
}

// FinishCalibration gives every quantizer of g its range from what was observed
// in [autograd.Calibrate] mode: scales, and the initial value of what is learned.
func FinishCalibration(g *autograd.Graph) error {
	for _, q := range Quantizers(g) {
		if err := q.finish(); err != nil {
			return err
		}
	}
	return nil
}

// Calibrated returns an error that wraps ErrNotCalibrated and names the first
// quantizer without a range.
func Calibrated(g *autograd.Graph) error {
	for _, q := range Quantizers(g) {
		if !q.Calibrated() {
			return fmt.Errorf("%w: %s: run calibration first", ErrNotCalibrated, q.Name())
		}
	}
	return nil
}

// FreezeRanges stops the training of the ranges of power-of-two quantizers, so
// that no fractional length changes any more.
func FreezeRanges(g *autograd.Graph, frozen bool) {
	for _, q := range Quantizers(g) {
		if q.Param != nil && q.Format.PowerOfTwo {
			q.Param.Frozen = frozen
		}
	}
}
