package fakequant

import (
	"fmt"
	"math"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/internal/kernels"
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
	s := &weightStep{o: o, b: b, per: w.Elements() / o.Q.Channels,
		minima: make([]float32, o.Q.Channels), maxima: make([]float32, o.Q.Channels), sums: make([]float64, o.Q.Channels)}
	pieces, perTask := split(o.Q.Channels, s.per)
	s.parts = make([]weightSum, len(pieces))
	s.look = newPieceLoop(pieces, perTask, s.observePiece)
	if b.Mode == autograd.Calibrate {
		o.Q.initGrid(&s.grid)
		s.hist = make([]float32, histBins)
		return s
	}
	o.Q.initGrid(b.Out.Grid)
	s.forward, s.backward = newPieceLoop(pieces, perTask, s.forwardPiece), newPieceLoop(pieces, perTask, s.backwardPiece)
	s.lo, s.hi = make([]float32, o.Q.Channels), make([]float32, o.Q.Channels)
	if !b.GradOut.Empty() && b.GradIn[0].Empty() {
		s.spare = make([]float32, w.Elements())
	}
	return s
}

type weightStep struct {
	o              QuantizeWeightOp
	b              *autograd.Binding
	per            int // elements per scale
	minima, maxima []float32
	lo, hi         []float32 // the gradient passes between them, per scale
	sums           []float64
	parts          []weightSum
	spare          []float32 // takes the gradient of a frozen weight
	grid           quant.Grid
	hist           []float32

	look, forward, backward *pieceLoop
}

// weightSum is what one piece adds to the sums of its scale.
type weightSum struct {
	lo, hi float32
	s      float64
	nans   int
}

func (s *weightStep) Forward(c *autograd.Context) {
	w, q := s.b.In[0].F32, s.o.Q
	if s.b.Mode == autograd.Calibrate {
		copy(s.b.Out.F32, w)
		s.calibrate(c, w)
		return
	}
	g := s.b.Out.Grid
	if train := s.b.Mode == autograd.Train; q.FixedFL == nil && !q.learned() && (train || !q.Calibrated()) {
		s.observe(c)
		gridFromRanges(q.Format, g, s.minima, s.maxima)
		if train {
			copy(q.scales.Stage(), g.Scale)
		}
	} else {
		q.setGrid(g)
	}
	s.raise(g)
	s.forward.run(c.Pool)
	for i := range s.parts {
		c.NaNs += int64(s.parts[i].nans)
	}
}

// observe takes the range of the weights of each scale.
func (s *weightStep) observe(c *autograd.Context) {
	s.look.run(c.Pool)
	clear(s.minima)
	clear(s.maxima)
	for i, p := range s.look.pieces {
		s.minima[p.scale], s.maxima[p.scale] = min(s.minima[p.scale], s.parts[i].lo), max(s.maxima[p.scale], s.parts[i].hi)
	}
}

func (s *weightStep) observePiece(i int) {
	p, sum := s.look.pieces[i], &s.parts[i]
	sum.lo, sum.hi, sum.nans = kernels.FiniteRange(s.b.In[0].F32[p.from:p.to])
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

func (s *weightStep) forwardPiece(i int) {
	p, y := s.forward.pieces[i], s.b.Out
	s.parts[i].nans = quantizeInto(y, p.from, s.b.In[0].F32[p.from:p.to], y.Grid, p.scale, s.o.Q.Format.Rounding)
}

// calibrate stages the scale of each channel: that of the range where the range
// is observed, that of least squared error where it is learned; NaN for a channel
// with a bad number.
func (s *weightStep) calibrate(c *autograd.Context, w []float32) {
	q := s.o.Q
	s.observe(c)
	if q.learned() {
		for k := range s.minima {
			s.cut(k, w[k*s.per:(k+1)*s.per])
		}
	}
	gridFromRanges(q.Format, &s.grid, s.minima, s.maxima)
	st := q.scales.Stage()
	copy(st, s.grid.Scale)
	for i, p := range s.look.pieces {
		if n := s.parts[i].nans; n > 0 {
			c.NaNs += int64(n)
			st[p.scale] = float32(math.NaN())
		}
	}
}

// cut narrows the range of a channel to that of least squared error.
func (s *weightStep) cut(k int, w []float32) {
	largest := max(-s.minima[k], s.maxima[k])
	if largest == 0 {
		return
	}
	clear(s.hist)
	addToHistogram(s.hist, w)
	t := bestLimit(s.hist, largest, s.o.Q.Format)
	s.minima[k], s.maxima[k] = max(s.minima[k], -t), min(s.maxima[k], t)
}

// Backward: dw = dŵ·[inside]; the range's gradient per scale.
func (s *weightStep) Backward(c *autograd.Context) {
	if s.b.Mode == autograd.Calibrate || s.b.GradOut.Empty() {
		return
	}
	g := s.b.Out.Grid
	q := s.o.Q
	in := insideOf(q, g)
	for k := range s.lo {
		if k > 0 && g.Scale[k] == g.Scale[k-1] {
			s.lo[k], s.hi[k] = s.lo[k-1], s.hi[k-1]
			continue
		}
		s.lo[k], s.hi[k] = in.reals(g, k)
	}
	s.backward.run(c.Pool)
	if !q.learned() {
		return
	}
	clear(s.sums)
	for i, p := range s.backward.pieces {
		s.sums[p.scale] += s.parts[i].s
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

// backwardPiece: S = Σ dŵ·(q − z) − Σ dŵ·w/s, the second sum over what passes.
func (s *weightStep) backwardPiece(i int) {
	p, y := s.backward.pieces[i], s.b.Out
	dy, w := s.b.GradOut.F32[p.from:p.to], s.b.In[0].F32[p.from:p.to]
	dx, add := s.spare, false
	if g := s.b.GradIn[0]; !g.Empty() {
		dx, add = g.F32, g.Add
	}
	if s.o.Q.learned() {
		s.parts[i].s = dotCodes(dy, y, p.from)
	}
	passed := kernels.SelectRange(dx[p.from:p.to], dy, w, s.lo[p.scale], s.hi[p.scale], add)
	s.parts[i].s -= passed / float64(y.Grid.ScaleAt(p.scale))
}
