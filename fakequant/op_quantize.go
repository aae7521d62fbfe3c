package fakequant

import (
	"fmt"

	"github.com/bitgrad/bitgrad/autograd"
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
	return autograd.Spec{Out: out, ReadsIn: []bool{true}, ReadsOut: true, Note: o.Q.Format.String()}, nil
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
	s := &quantizeStep{q: o.Q, b: b}
	rows, _ := b.In[0].Rows()
	s.rows = rows
	s.parts = make([]rangeSum, rows)
	if b.Mode == autograd.Calibrate {
		s.fwd = s.observeRow
		return s
	}
	o.Q.initGrid(b.Out.Grid)
	s.fwd, s.bwd, s.look = s.forwardRow, s.backwardRow, s.observeRow
	s.observation.Values = nil
	return s
}

type quantizeStep struct {
	q              *Quantizer
	b              *autograd.Binding
	rows           int
	parts          []rangeSum
	fwd, bwd, look func(worker, r int)
	observation    Observation
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
		c.Pool.Run(s.rows, s.fwd)
		s.observe(c, true)
		return
	}
	s.q.setGrid(s.b.Out.Grid)
	c.Pool.Run(s.rows, s.fwd)
	for i := range s.parts {
		c.NaNs += s.parts[i].nans
	}
	if s.q.watches(s.b.Mode) {
		c.Pool.Run(s.rows, s.look)
		s.observe(c, false)
	}
}

// observeRow copies the row through while calibrating and takes its range.
func (s *quantizeStep) observeRow(_, r int) {
	x := s.b.In[0]
	_, n := x.Rows()
	at := x.Row(r)
	p := rangeSum{}
	for i := range n {
		v := x.At(at+i, i%x.L.C)
		if i == 0 {
			p.min, p.max = v, v
		}
		p.min, p.max = min(p.min, v), max(p.max, v)
		if bad(v) {
			p.nans++
		}
	}
	if s.b.Mode == autograd.Calibrate {
		y := s.b.Out
		to := y.Row(r)
		for i := range n {
			y.F32[to+i] = x.At(at+i, i%x.L.C)
		}
	}
	s.parts[r] = p
}

func (s *quantizeStep) observe(c *autograd.Context, calibrating bool) {
	_, n := s.b.In[0].Rows()
	o := Observation{Min: s.parts[0].min, Max: s.parts[0].max, Count: n * s.rows}
	for _, p := range s.parts {
		o.Min, o.Max = min(o.Min, p.min), max(o.Max, p.max)
		c.NaNs += p.nans
	}
	if calibrating {
		y := s.b.Out
		o.Values = func(f func(x []float32)) {
			for r := range s.rows {
				f(y.F32[y.Row(r):][:n])
			}
		}
	}
	s.q.observe(o, calibrating)
}

func (s *quantizeStep) forwardRow(_, r int) {
	x, y := s.b.In[0], s.b.Out
	_, n := x.Rows()
	from, to := x.Row(r), y.Row(r)
	g, rounding := y.Grid, s.q.Format.Rounding
	s.parts[r].nans = 0
	if x.Elem() != autograd.Float32 {
		for i := range n {
			y.SetCode(to+i, g.Quantize(x.At(from+i, i%x.L.C), 0, rounding))
		}
		return
	}
	nans := int64(0)
	for i, v := range x.F32[from : from+n] {
		if bad(v) {
			nans++
		}
		y.SetCode(to+i, g.Quantize(v, 0, rounding))
	}
	s.parts[r].nans = nans
}

// Backward: dx = dx̂·[inside]; the range's gradient from S.
func (s *quantizeStep) Backward(c *autograd.Context) {
	if s.b.Mode == autograd.Calibrate || s.b.GradOut.Empty() {
		return
	}
	c.Pool.Run(s.rows, s.bwd)
	learnRange(s.q, s.b, s.b.Out.Grid, sumParts(s.parts), s.b.Out.Elements())
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

func (s *quantizeStep) backwardRow(_, r int) {
	x, y, dy, dx := s.b.In[0], s.b.Out, s.b.GradOut, s.b.GradIn[0]
	_, n := x.Rows()
	from, to, gfrom := x.Row(r), y.Row(r), dy.Row(r)
	g := y.Grid
	z := float32(g.ZeroPoint)
	in := inside{s.q.Estimator.Rounded(), float32(g.QMin()) - z, float32(g.QMax()) - z, s.q.Format.Rounding}
	sum := 0.0
	gto := 0
	if !dx.Empty() {
		gto = dx.Row(r)
	}
	for i := range n {
		d := dy.F32[gfrom+i]
		v := stepsOf(g, x.At(from+i, i%x.L.C), 0)
		e := float32(y.Code(to+i)) - z
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
			dx.F32[gto+i] += d
		} else {
			dx.F32[gto+i] = d
		}
	}
	s.parts[r].s = sum
}

// stepsOf returns x in units of the scale, as [quant.Grid.Quantize] computes it.
func stepsOf(g *quant.Grid, x float32, c int) float32 {
	if g.Reciprocal {
		return float32(x * float32(1/g.ScaleAt(c)))
	}
	return float32(x / g.ScaleAt(c))
}
