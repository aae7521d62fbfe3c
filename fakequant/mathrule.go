package fakequant

import (
	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/internal/kernels"
	"github.com/bitgrad/bitgrad/quant"
)

// A mathRule computes an operation on codes by a rule of the numeric law, and
// differentiates it. Codes in bytes go through kernels; those of 9 to 16 bits through a loop
// that says the same element by element.
type mathRule interface {
	// refresh follows the grids of this step.
	refresh(act activation, e Estimator)
	// row computes row r = n·H + h of the output. With bits, it also writes the pass bits of
	// the row and returns the range of the real values before the activation function.
	row(worker, r int, bits []uint8) (lo, hi float32)
	// gradient hands dz, what is left of the gradient of image n, on to the operands. Where the
	// output's range is learned it returns Σ dz·v, with v in steps of the output.
	gradient(worker, n int) float64
}

// lowersAs reports whether the operation has a rule on codes, given its
// operands: what [newMathRule] can bind.
func lowersAs(op autograd.Op, in []autograd.Type) bool {
	switch op.(type) {
	case autograd.AddOp, autograd.SubtractOp, autograd.MultiplyOp:
		return len(in) == 2 && in[0].SameShape(in[1])
	case autograd.AveragePoolOp, autograd.GlobalMeanOp, autograd.ConcatOp:
		return true
	}
	return false
}

func newMathRule(o IntMathOp, b *autograd.Binding, n int) mathRule {
	base := newRuleBase(o, b, n)
	switch op := o.Float.(type) {
	case autograd.AddOp:
		return &sumRule{ruleBase: base}
	case autograd.SubtractOp:
		return &sumRule{ruleBase: base, subtract: true}
	case autograd.MultiplyOp:
		return newProductRule(base)
	case autograd.ConcatOp:
		return newConcatRule(base)
	case autograd.AveragePoolOp:
		s, _ := op.Shape(b.In[0].Type) // Infer has accepted it
		s.IncludePad = op.CountPad
		return newAverageRule(base, s)
	default: // a mean over the image: lowersAs admits nothing else
		l := b.In[0].L
		return newAverageRule(base, kernels.PoolShape{C: l.C, KH: l.H, KW: l.W, StrideH: 1, StrideW: 1, H: l.H, W: l.W, OH: 1, OW: 1})
	}
}

// ruleBase is what all rules share. A rule that does not suit the grids of a training
// step (scales too far apart) is used as it is; err says why Lower refuses it.
type ruleBase struct {
	in      []autograd.View
	out     autograd.View
	dy      autograd.View
	dx      []autograd.View
	grids   []*quant.Grid // of the operands, then of the output
	rule    quant.Rule
	learned bool // Σ dz·v is wanted
	bytes   bool // all codes lie in bytes
	length  int  // of a row of the output
	workers int
	cache   gridCache
	err     error
}

func newRuleBase(o IntMathOp, b *autograd.Binding, n int) ruleBase {
	base := ruleBase{in: b.In[:n], out: b.Out, dy: b.GradOut, dx: b.GradIn[:n], rule: o.Out.rule(),
		learned: o.Out.learned(), bytes: b.Out.U8 != nil, workers: b.Pool.Workers()}
	for _, v := range base.in {
		base.grids = append(base.grids, v.Grid)
		base.bytes = base.bytes && v.U8 != nil
	}
	base.grids = append(base.grids, b.Out.Grid)
	_, base.length = b.Out.Rows()
	return base
}

func (b *ruleBase) stale() bool { return b.cache.changed(b.grids) || b.err != nil }

func (b *ruleBase) y() *quant.Grid { return b.grids[len(b.grids)-1] }

// step returns the scale of operand i in steps of the output.
func (b *ruleBase) step(i int) float64 {
	return float64(b.grids[i].ScaleAt(0)) / float64(b.y().ScaleAt(0))
}

// dz returns row r of what is left of the gradient.
func (b *ruleBase) dz(r int) []float32 { return b.dy.F32[b.dy.Row(r):][:b.length] }

// rows returns the rows of image n.
func (b *ruleBase) rows(n int) (first, end int) { return n * b.out.L.H, (n + 1) * b.out.L.H }

// signed says that operand i has signed codes.
func (b *ruleBase) signed(i int) bool { return b.in[i].Elem() == autograd.Int8 }

// limits returns a monotone rule's accumulators that pass, as int32 where codes lie in bytes: an interval
// that is empty has lo > hi.
func (b *ruleBase) limits(e Estimator, act activation, st stage) (lo, hi int64) {
	if !b.bytes {
		return passInterval(e, b.y(), act, &st, wideRange)
	}
	lo, hi = passInterval(e, b.y(), act, &st, accRange)
	if lo > hi {
		lo, hi = 1, 0
	}
	return lo, hi
}

// scratch returns memory of n elements for each worker.
func scratch[E any](workers, n int) [][]E {
	m := make([][]E, workers)
	for i := range m {
		m[i] = make([]E, n)
	}
	return m
}

// give writes src to a row of the gradient of an operand that begins at element at, or
// adds it; with negate, −src.
func give(dx autograd.View, at int, src []float32, negate bool) {
	if dx.Empty() {
		return
	}
	dst := dx.F32[at : at+len(src)]
	switch {
	case dx.Add && negate:
		kernels.Axpy(dst, -1, src)
	case dx.Add:
		kernels.Add(dst, dst, src)
	case negate:
		for i, v := range src {
			dst[i] = -v
		}
	default:
		copy(dst, src)
	}
}
