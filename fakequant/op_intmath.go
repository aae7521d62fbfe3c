package fakequant

import (
	"errors"
	"slices"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/internal/kernels"
	"github.com/bitgrad/bitgrad/quant"
)

// IntMathOp is an operation other than a convolution on codes, fused with the
// activation function and the quantizer behind it: a sum, a difference, a
// product, an average, or a concatenation of grids. Operands: those of the
// float operation, as codes, and the learned range, where there is one.
//
// The forward pass is the rule that ships, with one rounding; it keeps one bit per
// element, whether the gradient passes the unrounded value v. The backward pass is that
// of the float operation on the dequantized operands, behind these bits.
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
	float, err := o.Float.Infer(env, in[:n])
	if err != nil {
		return float, err
	}
	out := float.Out.Floats()
	spec := autograd.Spec{Out: out, MACs: float.MACs, Note: float.Note}
	if env.Mode.Training() {
		c, h, w := out.CHW()
		batch := max(out.Shape[0], 1)
		spec.Saved = []autograd.Buffer{{DType: autograd.Uint8, Len: batch * h * kernels.BitBytes(w*c)}}
	}
	_, product := o.Float.(autograd.MultiplyOp)
	spec.ReadsIn = slices.Repeat([]bool{product || o.Out.learned()}, n)
	spec.ReadsOut = o.Out.learned()
	spec.Out.DType, spec.Out.Format = codeType(o.Out.Format), &o.Out.Format
	return spec, nil
}

// Bind implements [autograd.Op].
func (o IntMathOp) Bind(b *autograd.Binding) autograd.Step {
	n := o.values(len(b.In))
	o.Out.initGrid(b.Out.Grid)
	s := &intMathStep{o: o, b: b, n: n, watch: o.Out.watches(b.Mode)}
	rows, length := b.Out.Rows()
	s.rule, s.rowBytes = newMathRule(o, b, n), kernels.BitBytes(length)
	s.emit = newRowLoop(rows, length, s.emitRow)
	if b.Mode.Training() {
		s.bits, s.ends = b.Saved[0].U8, make([]rangeSum, rows)
	}
	if !b.GradOut.Empty() {
		s.parts = make([]float64, b.Batch)
		s.mask = newRowLoop(b.Batch, b.Out.L.H*length, s.maskImage)
	}
	return s
}

// intMathStep is the step of [IntMathOp].
type intMathStep struct {
	o        IntMathOp
	b        *autograd.Binding
	n        int // operands with a value
	rule     mathRule
	watch    bool
	bits     []uint8 // nil in evaluation
	rowBytes int
	ends     []rangeSum // the range of every row
	parts    []float64  // what every image adds to the range's gradient
	emit     *rowLoop
	mask     *rowLoop
}

func (s *intMathStep) Forward(c *autograd.Context) {
	s.o.Out.setGrid(s.b.Out.Grid)
	s.rule.refresh(s.o.act, s.o.Out.Estimator)
	s.emit.run(c.Pool)
	if !s.watch {
		return
	}
	o := Observation{Min: s.ends[0].min, Max: s.ends[0].max, Count: s.b.Out.Elements()}
	for _, p := range s.ends {
		o.Min, o.Max = min(o.Min, p.min), max(o.Max, p.max)
	}
	o.Min, o.Max = s.o.act.apply(o.Min), s.o.act.apply(o.Max)
	s.o.Out.observe(o, false)
}

func (s *intMathStep) emitRow(worker, r int) {
	if s.bits == nil {
		s.rule.row(worker, r, nil)
		return
	}
	p := &s.ends[r]
	p.min, p.max = s.rule.row(worker, r, s.rowBits(r))
}

func (s *intMathStep) rowBits(r int) []uint8 { return s.bits[r*s.rowBytes : (r+1)*s.rowBytes] }

// Backward: dz = dy·[pass] goes through the float operation. The range's gradient is
// S = Σ dy·(q−z) over what the activation function does not cut, less Σ dz·v.
func (s *intMathStep) Backward(c *autograd.Context) {
	if s.mask == nil {
		return
	}
	s.mask.run(c.Pool)
	sum := 0.0
	for _, p := range s.parts {
		sum += p
	}
	learnRange(s.o.Out, s.b, s.b.Out.Grid, sum, s.b.Out.Elements())
}

func (s *intMathStep) maskImage(worker, n int) {
	g := s.b.Out.Grid
	_, hi := clampFor(g, s.o.act, s.o.Out.rule().Rounding())
	s.parts[n] = maskRows(s.b, n, s.bits, s.rowBytes, s.o.Out.learned(), cutsTop(s.o.act, hi, g))
	s.parts[n] -= s.rule.gradient(worker, n)
}

// maskRows turns the dy of image n into dz. Where the range is learned it returns Σ dy·(q−z) of
// what the activation function does not cut; see cutsTop.
func maskRows(b *autograd.Binding, n int, bits []uint8, rowBytes int, learned, top bool) float64 {
	dy, y := b.GradOut, b.Out
	_, length := dy.Rows()
	sum := 0.0
	for r := n * dy.L.H; r < (n+1)*dy.L.H; r++ {
		d := dy.F32[dy.Row(r):][:length]
		if learned && !top {
			sum += dotCodes(d, y, y.Row(r))
		}
		kernels.SelectBits(d, d, bits[r*rowBytes:(r+1)*rowBytes], false)
		if learned && top {
			sum += dotCodes(d, y, y.Row(r))
		}
	}
	return sum
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
