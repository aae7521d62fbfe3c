package fakequant

import (
	"fmt"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/internal/kernels"
	"github.com/bitgrad/bitgrad/quant"
)

// codeType returns the element type that holds codes of a format.
func codeType(f quant.UniformFormat) autograd.DType {
	switch {
	case f.BitWidth > 8:
		return autograd.Int32
	case f.Signed:
		return autograd.Int8
	default:
		return autograd.Uint8
	}
}

// QuantizeOp turns an activation into codes: the quantizer as a node of its
// own. The operand is float32 or codes of another grid, of any batched shape;
// the second operand is the learned range, where there is one. While
// calibrating it passes floats through and observes them.
//
// Gradient: see [Estimator].
type QuantizeOp struct{ Q *Quantizer }

// Name returns "quantize".
func (QuantizeOp) Name() string { return "quantize" }

// States returns the quantizer's state.
func (o QuantizeOp) States() []*autograd.State { return o.Q.states() }

func (o QuantizeOp) quantizers() []*Quantizer { return []*Quantizer{o.Q} }

// Infer implements [autograd.Op].
func (o QuantizeOp) Infer(env autograd.Env, in []autograd.Type) (autograd.Spec, error) {
	if err := operands(in, 1, o.Q); err != nil {
		return autograd.Spec{}, err
	}
	if in[0].Plain {
		return autograd.Spec{}, fmt.Errorf("an activation has a batch axis")
	}
	if env.Mode == autograd.Calibrate {
		return autograd.Spec{Out: in[0].Floats(), Note: "observe"}, nil
	}
	out := in[0]
	out.DType, out.Format = codeType(o.Q.Format), &o.Q.Format
	return autograd.Spec{Out: out, ReadsIn: []bool{true}, ReadsOut: o.Q.learned(), Note: o.Q.Format.String()}, nil
}

// operands checks that n tensors and the learned range of q are given.
func operands(in []autograd.Type, n int, q *Quantizer) error {
	if q != nil && q.learned() {
		n++
	}
	if len(in) != n {
		return fmt.Errorf("takes %d operands, got %d", n, len(in))
	}
	if q != nil && q.learned() {
		if t := in[n-1]; !t.Plain || t.Elements() != q.Channels {
			return fmt.Errorf("the range of %s is %s, must be [%d]", q.Name(), t, q.Channels)
		}
	}
	return nil
}

// Bind implements [autograd.Op].
func (o QuantizeOp) Bind(b *autograd.Binding) autograd.Step {
	s := &quantizeStep{q: o.Q, b: b, x: b.In[0], y: b.Out, dx: b.GradIn[0], dy: b.GradOut}
	joinRows(&s.x, &s.y, &s.dx, &s.dy)
	s.rows, s.n = s.x.Rows()
	s.parts = make([]rangeSum, s.rows)
	s.look = newRowLoop(s.rows, s.n, s.observeRow)
	if b.Mode == autograd.Calibrate {
		return s
	}
	o.Q.initGrid(b.Out.Grid)
	s.forward = newRowLoop(s.rows, s.n, s.forwardRow)
	// A gradient that nobody wants still tells that of the range.
	if !b.GradOut.Empty() && (o.Q.learned() || !b.GradIn[0].Empty()) {
		s.backward = newRowLoop(s.rows, s.n, s.backwardRow)
		if b.GradIn[0].Empty() {
			s.spare = scratch[float32](b.Pool.Workers(), s.n)
		}
	}
	return s
}

type quantizeStep struct {
	q       *Quantizer
	b       *autograd.Binding
	x, y    autograd.View // by rows
	dx, dy  autograd.View
	rows, n int
	parts   []rangeSum
	spare   [][]float32 // takes a gradient that nobody wants, per worker
	lo, hi  float32     // the numbers that pass

	look, forward, backward *rowLoop
}

// rangeSum is what one chunk of a tensor adds to the range's gradient and to
// the observation.
type rangeSum struct {
	min, max float32
	s        float64
	nans     int64
}

func (s *quantizeStep) Forward(c *autograd.Context) {
	if s.b.Mode == autograd.Calibrate {
		s.look.run(c.Pool)
		s.observe(c, true)
		return
	}
	s.q.setGrid(s.y.Grid)
	s.forward.run(c.Pool)
	for i := range s.parts {
		c.NaNs += s.parts[i].nans
	}
	if s.q.watches(s.b.Mode) {
		s.look.run(c.Pool)
		s.observe(c, false)
	}
}

// observeRow takes the range of a row, and while calibrating copies it through.
func (s *quantizeStep) observeRow(_, r int) {
	x := s.x
	at := x.Row(r)
	p := &s.parts[r]
	*p = rangeSum{}
	var y []float32
	if s.b.Mode == autograd.Calibrate {
		y = s.y.F32[s.y.Row(r):][:s.n]
	}
	if x.F32 != nil {
		row := x.F32[at : at+s.n]
		copy(y, row)
		bad := 0
		if p.min, p.max, bad = kernels.FiniteRange(row); bad == 0 {
			return
		}
		y = nil // NaN and infinity make the range what they are
	}
	for i := range s.n {
		v := x.At(at+i, i%x.L.C)
		if i == 0 {
			p.min, p.max = v, v
		}
		p.min, p.max = min(p.min, v), max(p.max, v)
		if bad(v) {
			p.nans++
		}
		if y != nil {
			y[i] = v
		}
	}
}

func (s *quantizeStep) observe(c *autograd.Context, calibrating bool) {
	n := s.n
	o := Observation{Min: s.parts[0].min, Max: s.parts[0].max, Count: n * s.rows}
	for _, p := range s.parts {
		o.Min, o.Max = min(o.Min, p.min), max(o.Max, p.max)
		c.NaNs += p.nans
	}
	if calibrating {
		y := s.y
		o.Values = func(f func(x []float32)) {
			for r := range s.rows {
				f(y.F32[y.Row(r):][:n])
			}
		}
	}
	s.q.observe(o, calibrating)
}

func (s *quantizeStep) forwardRow(_, r int) {
	x, y := s.x, s.y
	from, to := x.Row(r), y.Row(r)
	g, rounding := y.Grid, s.q.Format.Rounding
	if x.F32 != nil {
		s.parts[r].nans = int64(quantizeInto(y, to, x.F32[from:from+s.n], g, 0, rounding))
		return
	}
	for i := range s.n {
		y.SetCode(to+i, g.Quantize(x.At(from+i, i%x.L.C), 0, rounding))
	}
}

// Backward: dx = dx̂·[inside]; the range's gradient from S.
func (s *quantizeStep) Backward(c *autograd.Context) {
	if s.backward == nil {
		return
	}
	s.lo, s.hi = insideOf(s.q, s.y.Grid).reals(s.y.Grid, 0)
	s.backward.run(c.Pool)
	learnRange(s.q, s.b, s.y.Grid, sumParts(s.parts), s.y.Elements())
}

func sumParts(parts []rangeSum) float64 {
	t := 0.0
	for i := range parts {
		t += parts[i].s
	}
	return t
}

// learnRange writes the gradient of the one learned range, the last operand.
func learnRange(q *Quantizer, b *autograd.Binding, g *quant.Grid, s float64, n int) {
	if !q.learned() {
		return
	}
	d := b.GradIn[len(b.GradIn)-1]
	if d.Empty() {
		return
	}
	v := q.Estimator.RangeGrad(q.Format, g.ScaleAt(0), s, n/max(b.Batch, 1))
	if d.Add {
		d.F32[0] += v
	} else {
		d.F32[0] = v
	}
}

// backwardRow: S = Σ dx̂·(q−z) − Σ dx̂·x/s, the second sum over what passes.
func (s *quantizeStep) backwardRow(worker, r int) {
	x, y, dx := s.x, s.y, s.dx
	from, dy := x.Row(r), s.dy.F32[s.dy.Row(r):][:s.n]
	sum := 0.0
	if s.q.learned() {
		sum = dotCodes(dy, y, y.Row(r))
	}
	var dst []float32
	if dx.Empty() {
		dst = s.spare[worker]
	} else {
		dst = dx.F32[dx.Row(r):][:s.n]
	}
	passed := 0.0
	if x.F32 != nil {
		passed = kernels.SelectRange(dst, dy, x.F32[from:from+s.n], s.lo, s.hi, dx.Add)
	} else {
		for i, d := range dy {
			v := x.At(from+i, i%x.L.C)
			if s.lo <= v && v <= s.hi {
				passed += float64(d) * float64(v)
			} else {
				d = 0
			}
			if dx.Add {
				d += dst[i]
			}
			dst[i] = d
		}
	}
	s.parts[r].s = sum - passed/float64(y.Grid.ScaleAt(0))
}

// stepsOf returns x in units of the scale, as [quant.Grid.Quantize] computes it.
func stepsOf(g *quant.Grid, x float32, c int) float32 {
	if g.Reciprocal {
		return float32(x * float32(1/g.ScaleAt(c)))
	}
	return float32(x / g.ScaleAt(c))
}
