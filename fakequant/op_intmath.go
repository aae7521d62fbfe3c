package fakequant

import (
	"errors"
	"slices"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/quant"
)

// IntMathOp is an operation other than a convolution on codes, fused with the
// activation function and the quantizer behind it: a sum, a difference, a
// product, an average, or a concatenation of grids. Operands: those of the
// float operation, as codes, and the learned range, where there is one.
//
// The forward pass is the rule that ships, with one rounding. The backward
// pass masks the upstream gradient by the unrounded value and lets the float
// operation differentiate itself on the dequantized operands.
type IntMathOp struct {
	// Float is the operation on real numbers.
	Float autograd.Op
	act   activation
	Out   *Quantizer
}

// Name returns "int_" and the name of the float operation.
func (o IntMathOp) Name() string { return "int_" + o.Float.Name() }

// States returns the quantizer's state.
func (o IntMathOp) States() []*autograd.State { return o.Out.states() }

func (o IntMathOp) quantizers() []*Quantizer { return []*Quantizer{o.Out} }

func (o IntMathOp) values(in int) int {
	if o.Out.learned() {
		return in - 1
	}
	return in
}

// Infer implements [autograd.Op].
func (o IntMathOp) Infer(env autograd.Env, in []autograd.Type) (autograd.Spec, error) {
	n := o.values(len(in))
	if err := operands(in, n, o.Out); err != nil {
		return autograd.Spec{}, err
	}
	if n == 0 {
		return autograd.Spec{}, errors.New("needs an operand")
	}
	for _, t := range in[:n] {
		if !t.IsCodes() || t.Format.BitWidth > 16 {
			return autograd.Spec{}, errors.New("every operand must be codes of at most 16 bits")
		}
	}
	spec, err := o.Float.Infer(env, in[:n])
	if err != nil {
		return spec, err
	}
	spec.InPlace = false
	spec.Out = spec.Out.Floats()
	spec.Border = nil
	if env.Mode.Training() {
		spec.Saved = append(spec.Saved, autograd.Buffer{DType: autograd.Float32, Len: spec.Out.WithBatch(max(in[0].Shape[0], 1)).Elements()})
	}
	spec.ReadsIn = slices.Repeat([]bool{true}, n)
	spec.ReadsOut = true
	spec.Out.DType, spec.Out.Format = codeType(o.Out.Format), &o.Out.Format
	return spec, nil
}

// Bind implements [autograd.Op].
func (o IntMathOp) Bind(b *autograd.Binding) autograd.Step {
	n := o.values(len(b.In))
	o.Out.initGrid(b.Out.Grid)
	s := &intMathStep{o: o, b: b, n: n}
	s.rows, s.rowLen = b.Out.Rows()
	s.rule = newMathRule(o, b, n)
	s.emit = func(_, r int) { s.rule.row(r) }
	s.parts = make([]rangeSum, s.rows)
	s.watch = o.Out.watches(b.Mode)
	if b.Mode.Training() {
		inner := *b
		inner.In = b.In[:n]
		inner.GradIn = b.GradIn[:n]
		inner.Saved = b.Saved[:len(b.Saved)-1]
		// The float operation writes the unrounded values; they serve the mask.
		inner.Out = autograd.View{Type: b.Out.Type.Floats(), Memory: b.Saved[len(b.Saved)-1]}
		inner.Out.L = denseLike(b.Out)
		s.values = inner.Out
		s.inner = o.Float.Bind(&inner)
		s.mask, s.look = s.maskRow, s.observeRow
	}
	return s
}

// denseLike returns the borderless layout of a view's shape.
func denseLike(v autograd.View) autograd.Layout {
	l := v.L
	l.Off, l.SW, l.SH, l.SN = 0, l.C, l.W*l.C, l.H*l.W*l.C
	return l
}

type intMathStep struct {
	o            IntMathOp
	b            *autograd.Binding
	n            int
	rows, rowLen int
	rule         mathRule
	emit         func(worker, r int)
	inner        autograd.Step
	values       autograd.View
	watch        bool
	mask, look   func(worker, r int)
	parts        []rangeSum
}

func (s *intMathStep) Forward(c *autograd.Context) {
	s.o.Out.setGrid(s.b.Out.Grid)
	s.rule.refresh(s.o.act)
	c.Pool.Run(s.rows, s.emit)
	if s.inner == nil {
		return
	}
	s.inner.Forward(c)
	if s.watch {
		c.Pool.Run(s.rows, s.look)
		o := Observation{Min: s.parts[0].min, Max: s.parts[0].max, Count: s.rows * s.rowLen}
		for _, p := range s.parts {
			o.Min, o.Max = min(o.Min, p.min), max(o.Max, p.max)
		}
		s.o.Out.observe(o, false)
	}
}

func (s *intMathStep) observeRow(_, r int) {
	x := s.values.F32[r*s.rowLen : (r+1)*s.rowLen]
	p := rangeSum{min: x[0], max: x[0]}
	for _, v := range x {
		p.min, p.max = min(p.min, v), max(p.max, v)
	}
	p.min, p.max = s.o.act.apply(p.min), s.o.act.apply(p.max)
	s.parts[r] = p
}

// Backward: dz = dy·[pass], then the float operation's own gradient.
func (s *intMathStep) Backward(c *autograd.Context) {
	if s.inner == nil || s.b.GradOut.Empty() {
		return
	}
	c.Pool.Run(s.rows, s.mask)
	learnRange(s.o.Out, s.b, s.b.Out.Grid, sumParts(s.parts), s.b.Out.Elements())
	s.inner.Backward(c)
}

func (s *intMathStep) maskRow(_, r int) {
	dy, y := s.b.GradOut, s.b.Out
	d := dy.F32[dy.Row(r):][:s.rowLen]
	at := y.Row(r)
	g := y.Grid
	z := float32(g.ZeroPoint)
	in := inside{s.o.Out.Estimator.Rounded(), float32(g.QMin()) - z, float32(g.QMax()) - z, s.o.Out.Format.Rounding}
	sum := 0.0
	lo, hi := g.QMin(), g.QMax()
	for i, x := range s.values.F32[r*s.rowLen : (r+1)*s.rowLen] {
		v := stepsOf(g, x, 0)
		q := y.Code(at + i)
		pass := in.test(v) && (s.o.act == linear || x > 0) && (s.o.act != relu6 || x < 6)
		switch {
		case pass:
			sum += float64(d[i]) * float64(float32(q)-z-v)
		case q == hi || q == lo && lo != g.ZeroPoint:
			sum += float64(d[i]) * float64(float32(q)-z)
			d[i] = 0
		default:
			d[i] = 0
		}
	}
	s.parts[r].s = sum
}

// A mathRule computes rows of codes by a rule of the numeric law.
type mathRule interface {
	// refresh follows the grids of this step.
	refresh(act activation)
	// row writes row r = n·H + h of the output.
	row(r int)
}

// clampFor returns the codes that may leave behind an activation function.
func clampFor(g *quant.Grid, act activation, rounding quant.Rounding) (lo, hi int32) {
	lo, hi = g.QMin(), g.QMax()
	if act != linear {
		lo = min(max(lo, g.ZeroPoint), hi)
	}
	if act == relu6 {
		hi = max(min(hi, g.Quantize(6, 0, rounding)), lo)
	}
	return lo, hi
}

// gridCache notices when a rule must be built again.
type gridCache struct {
	scale []float32
	zero  []int32
}

// changed reports whether any grid differs from the last call's.
func (k *gridCache) changed(grids []*quant.Grid) bool {
	same := len(k.scale) == len(grids)
	if !same {
		k.scale, k.zero = make([]float32, len(grids)), make([]int32, len(grids))
	}
	for i, g := range grids {
		if k.scale[i] != g.ScaleAt(0) || k.zero[i] != g.ZeroPoint {
			same = false
		}
		k.scale[i], k.zero[i] = g.ScaleAt(0), g.ZeroPoint
	}
	return !same
}
