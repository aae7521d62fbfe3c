package fakequant

import (
	"fmt"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/quant"
)

// QuantizeWeightOp turns a weight, [O I H W] or [O I], into codes. Operands:
// the weight; the bias of the layer and its input where the node has them
// (HasBias), only to raise a scale that could not carry the bias,
//
//	|b[c]| ≤ 2^30·s_x·s_w[c];
//
// and the learned range [1] or [O] last. Weights whose range is not learned are observed in the
// training step that uses them; the frozen phase and the evaluation keep the last
// range. While calibrating the weight stays float and its best scale is
// looked for.
//
// Gradient: see [Estimator]; none for bias and input.
type QuantizeWeightOp struct {
	Q       *Quantizer
	HasBias bool
}

// Name returns "quantize_weight".
func (QuantizeWeightOp) Name() string { return "quantize_weight" }

// States returns the quantizer's state.
func (o QuantizeWeightOp) States() []*autograd.State { return o.Q.states() }

func (o QuantizeWeightOp) quantizers() []*Quantizer { return []*Quantizer{o.Q} }

// Infer implements [autograd.Op].
func (o QuantizeWeightOp) Infer(env autograd.Env, in []autograd.Type) (autograd.Spec, error) {
	n := 1
	if o.HasBias {
		n = 3
	}
	if err := operands(in, n, o.Q); err != nil {
		return autograd.Spec{}, err
	}
	w := in[0]
	if !w.Plain || len(w.Shape) < 2 || w.DType != autograd.Float32 {
		return autograd.Spec{}, fmt.Errorf("a weight is [O I] or [O I H W] of float32")
	}
	if o.Q.Channels != 1 && o.Q.Channels != w.Shape[0] {
		return autograd.Spec{}, fmt.Errorf("%d scales for %d output channels", o.Q.Channels, w.Shape[0])
	}
	s := autograd.Spec{Out: w.Floats(), NoGrad: []bool{false, o.HasBias, o.HasBias}, Note: o.Q.Format.String()}
	if !o.HasBias {
		s.NoGrad = nil
	}
	if env.Mode == autograd.Calibrate {
		return s, nil
	}
	s.Out.DType, s.Out.Format = codeType(o.Q.Format), &o.Q.Format
	s.ReadsIn, s.ReadsOut = []bool{true}, true
	return s, nil
}

// Bind implements [autograd.Op].
func (o QuantizeWeightOp) Bind(b *autograd.Binding) autograd.Step {
	w := b.In[0]
	s := &weightStep{o: o, b: b, per: w.Elements() / o.Q.Channels, out: w.Shape[0],
		minima: make([]float32, o.Q.Channels), maxima: make([]float32, o.Q.Channels), sums: make([]float64, o.Q.Channels)}
	if b.Mode == autograd.Calibrate {
		o.Q.initGrid(&s.grid)
		s.hist = make([]float32, histBins)
		return s
	}
	o.Q.initGrid(b.Out.Grid)
	s.fwd, s.bwd = s.forward, s.backward
	return s
}

type weightStep struct {
	o              QuantizeWeightOp
	b              *autograd.Binding
	per, out       int // elements per scale; output channels
	minima, maxima []float32
	sums           []float64
	fwd, bwd       func(worker, c int)
	grid           quant.Grid
	hist           []float32
	bad            int64
}

func (s *weightStep) Forward(c *autograd.Context) {
	w, q := s.b.In[0].F32, s.o.Q
	if s.b.Mode == autograd.Calibrate {
		copy(s.b.Out.F32, w)
		s.calibrate(w)
		return
	}
	g := s.b.Out.Grid
	s.bad = 0
	if train := s.b.Mode == autograd.Train; q.FixedFL == nil && !q.learned() && (train || !q.Calibrated()) {
		s.observe(w)
		gridFromRanges(q.Format, g, s.minima, s.maxima)
		if train {
			copy(q.scales.Stage(), g.Scale)
		}
	} else {
		q.setGrid(g)
		for _, v := range w {
			if bad(v) {
				s.bad++
			}
		}
	}
	s.raise(g)
	c.Pool.Run(len(g.Scale), s.fwd)
	c.NaNs += s.bad
}

// observe takes the range of the weights of each scale.
func (s *weightStep) observe(w []float32) {
	for k := range s.minima {
		s.minima[k], s.maxima[k] = 0, 0
		for _, v := range w[k*s.per : (k+1)*s.per] {
			if bad(v) {
				s.bad++
				continue
			}
			s.minima[k], s.maxima[k] = min(s.minima[k], v), max(s.maxima[k], v)
		}
	}
}

// gridFromRanges is [quant.UniformFormat.GridFromRange] without allocation:
// a channel without range gets the largest scale of the others, or 1.
func gridFromRanges(f quant.UniformFormat, g *quant.Grid, minima, maxima []float32) {
	var largest float32
	for c := range g.Scale {
		s := rangeScale(f, *g, minima[c], maxima[c])
		if !(s >= quant.MinScale && s <= quant.MaxScale) {
			s = 0
		}
		g.Scale[c] = s
		largest = max(largest, s)
	}
	if largest == 0 {
		largest = 1
	}
	for c, s := range g.Scale {
		if s == 0 {
			g.Scale[c] = largest
		}
	}
}

// raise lifts the scales that could not carry the bias.
func (s *weightStep) raise(g *quant.Grid) {
	if !s.o.HasBias || s.b.In[2].Grid == nil {
		return
	}
	sx := s.b.In[2].Grid.ScaleAt(0)
	for o, b := range s.b.In[1].F32 {
		k := 0
		if len(g.Scale) > 1 {
			k = o
		}
		if scale, raised, ok := quant.RaiseWeightScale(b, sx, g.Scale[k], s.o.Q.Format.PowerOfTwo); raised && ok {
			g.Scale[k] = scale
		}
	}
}

func (s *weightStep) forward(_, k int) {
	w, g, y := s.b.In[0].F32, s.b.Out.Grid, s.b.Out
	for i := k * s.per; i < (k+1)*s.per; i++ {
		y.SetCode(i, g.Quantize(w[i], k, s.o.Q.Format.Rounding))
	}
}

// calibrate stages the scale of each channel: that of the range where the range
// is observed, that of least squared error where it is learned.
func (s *weightStep) calibrate(w []float32) {
	q := s.o.Q
	st := q.scales.Stage()
	if !q.learned() {
		s.observe(w)
		gridFromRanges(q.Format, &s.grid, s.minima, s.maxima)
		copy(st, s.grid.Scale)
		return
	}
	for k := range st {
		part := w[k*s.per : (k+1)*s.per]
		lo, hi := float32(0), float32(0)
		for _, v := range part {
			lo, hi = min(lo, v), max(hi, v)
		}
		clear(s.hist)
		addToHistogram(s.hist, part)
		largest := max(-lo, hi)
		if largest > 0 {
			t := bestLimit(s.hist, largest, q.Format)
			lo, hi = max(lo, -t), min(hi, t)
		}
		st[k] = rangeScale(q.Format, s.grid, lo, hi)
	}
	var largest float32
	for _, v := range st {
		largest = max(largest, v)
	}
	if largest == 0 {
		largest = 1
	}
	for k, v := range st {
		if !(v >= quant.MinScale) {
			st[k] = largest
		}
	}
}

// Backward: dw = dŵ·[inside]; the range's gradient per scale.
func (s *weightStep) Backward(c *autograd.Context) {
	if s.b.Mode == autograd.Calibrate || s.b.GradOut.Empty() {
		return
	}
	g := s.b.Out.Grid
	c.Pool.Run(len(g.Scale), s.bwd)
	q := s.o.Q
	if !q.learned() {
		return
	}
	d := s.b.GradIn[len(s.b.GradIn)-1]
	if d.Empty() {
		return
	}
	for k, sum := range s.sums {
		v := q.Estimator.RangeGrad(q.Format, g.ScaleAt(k), sum, s.per)
		if d.Add {
			d.F32[k] += v
		} else {
			d.F32[k] = v
		}
	}
}

func (s *weightStep) backward(_, k int) {
	w, y, g := s.b.In[0].F32, s.b.Out, s.b.Out.Grid
	dy, dx := s.b.GradOut.F32, s.b.GradIn[0]
	z := float32(g.ZeroPoint)
	in := inside{s.o.Q.Estimator.Rounded(), float32(g.QMin()) - z, float32(g.QMax()) - z, s.o.Q.Format.Rounding}
	sum := 0.0
	for i := k * s.per; i < (k+1)*s.per; i++ {
		d := dy[i]
		v := stepsOf(g, w[i], k)
		e := float32(y.Code(i)) - z
		pass := in.test(v)
		if pass {
			e -= v
		}
		sum += float64(d) * float64(e)
		if dx.Empty() {
			continue
		}
		if !pass {
			d = 0
		}
		if dx.Add {
			dx.F32[i] += d
		} else {
			dx.F32[i] = d
		}
	}
	s.sums[k] = sum
}
