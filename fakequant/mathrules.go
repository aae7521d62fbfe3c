package fakequant

import (
	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/quant"
)

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
	grids := make([]*quant.Grid, 0, n+1)
	for _, v := range b.In[:n] {
		grids = append(grids, v.Grid)
	}
	base := ruleBase{in: b.In[:n], out: b.Out, grids: append(grids, b.Out.Grid), rule: o.Out.rule()}
	switch op := o.Float.(type) {
	case autograd.AddOp:
		return &sumRule{ruleBase: base}
	case autograd.SubtractOp:
		return &sumRule{ruleBase: base, subtract: true}
	case autograd.MultiplyOp:
		return &productRule{ruleBase: base}
	case autograd.ConcatOp:
		return &concatRule{ruleBase: base, recode: make([]quant.Recode, n)}
	case autograd.AveragePoolOp:
		s, _ := op.Shape(b.In[0].Type)
		return &averageRule{ruleBase: base, kh: s.KH, kw: s.KW, sh: s.StrideH, sw: s.StrideW, top: s.PadTop, left: s.PadLeft,
			bottom: s.PadBottom, right: s.PadRight, countPad: op.CountPad}
	default: // a mean over the image: lowersAs admits nothing else
		l := b.In[0].L
		return &averageRule{ruleBase: base, kh: l.H, kw: l.W, sh: 1, sw: 1}
	}
}

// ruleBase is what all rules share. A rule that cannot be built for the grids of
// a training step (scales too far apart) leaves its last form in place; Lower,
// which builds it again, refuses it by name.
type ruleBase struct {
	in    []autograd.View
	out   autograd.View
	grids []*quant.Grid // of the operands, then of the output
	rule  quant.Rule
	cache gridCache
	err   error
}

func (b *ruleBase) stale() bool { return b.cache.changed(b.grids) || b.err != nil }

func (b *ruleBase) y() *quant.Grid { return b.grids[len(b.grids)-1] }

// sumRule: design law of residual adds.
type sumRule struct {
	ruleBase
	subtract bool
	shift    quant.AddShift
	float    quant.AddFloat
}

func (s *sumRule) refresh(act activation) {
	if !s.stale() {
		return
	}
	lo, hi := clampFor(s.y(), act, s.rule.Rounding())
	if s.rule == quant.Shift {
		if s.shift, s.err = quant.NewAddShift(*s.grids[0], *s.grids[1], *s.y(), s.subtract); s.err == nil {
			s.shift.Lo, s.shift.Hi = lo, hi
		}
		return
	}
	if s.float, s.err = quant.NewAddFloat(*s.grids[0], *s.grids[1], *s.y(), s.subtract); s.err == nil {
		s.float.Lo, s.float.Hi = lo, hi
	}
}

func (s *sumRule) row(r int) {
	a, b, y := s.in[0], s.in[1], s.out
	_, n := y.Rows()
	i, j, k := a.Row(r), b.Row(r), y.Row(r)
	if s.rule == quant.Shift {
		for t := range n {
			y.SetCode(k+t, s.shift.Apply(a.Code(i+t), b.Code(j+t)))
		}
		return
	}
	for t := range n {
		y.SetCode(k+t, s.float.Apply(a.Code(i+t), b.Code(j+t)))
	}
}

// productRule: q = requantize((a−za)·(b−zb)).
type productRule struct {
	ruleBase
	m quant.Multiply
}

func (s *productRule) refresh(act activation) {
	if !s.stale() {
		return
	}
	if s.m, s.err = quant.NewMultiply(s.rule, *s.grids[0], *s.grids[1], *s.y()); s.err == nil {
		s.m.Lo, s.m.Hi = clampFor(s.y(), act, s.rule.Rounding())
	}
}

func (s *productRule) row(r int) {
	a, b, y := s.in[0], s.in[1], s.out
	_, n := y.Rows()
	i, j, k := a.Row(r), b.Row(r), y.Row(r)
	for t := range n {
		y.SetCode(k+t, s.m.Apply(a.Code(i+t), b.Code(j+t)))
	}
}

// concatRule requantizes every operand to the output's grid.
type concatRule struct {
	ruleBase
	recode []quant.Recode
}

func (s *concatRule) refresh(act activation) {
	if !s.stale() {
		return
	}
	s.err = nil
	for i := range s.recode {
		m, err := quant.NewRecode(s.rule, *s.grids[i], *s.y())
		if err != nil {
			s.err = err
			return
		}
		m.Lo, m.Hi = clampFor(s.y(), act, s.rule.Rounding())
		s.recode[i] = m
	}
}

func (s *concatRule) row(r int) {
	y := s.out
	for w := range y.L.W {
		at := y.Row(r) + w*y.L.SW
		for i, x := range s.in {
			from := x.Row(r) + w*x.L.SW
			for c := range x.L.C {
				y.SetCode(at+c, s.recode[i].Apply(x.Code(from+c)))
			}
			at += x.L.C
		}
	}
}

// averageRule: average over windows, the divisor counted with or without padding.
type averageRule struct {
	ruleBase
	kh, kw, sh, sw           int
	top, left, bottom, right int
	countPad                 bool
	shift                    quant.AveragePoolShift
	float                    quant.AveragePoolFloat
}

func (s *averageRule) refresh(act activation) {
	if !s.stale() {
		return
	}
	lo, hi := clampFor(s.y(), act, s.rule.Rounding())
	if s.rule == quant.Shift {
		if s.shift, s.err = quant.NewAveragePoolShift(*s.grids[0], *s.y()); s.err == nil {
			s.shift.Lo, s.shift.Hi = lo, hi
		}
		return
	}
	if s.float, s.err = quant.NewAveragePoolFloat(*s.grids[0], *s.y()); s.err == nil {
		s.float.Lo, s.float.Hi = lo, hi
	}
}

func (s *averageRule) row(r int) {
	x, y := s.in[0], s.out
	n, oh := r/y.L.H, r%y.L.H
	h0, h1, dh := clipWindow(oh*s.sh-s.top, s.kh, x.L.H, s.bottom)
	z := int64(s.grids[0].ZeroPoint)
	for ow := range y.L.W {
		w0, w1, dw := clipWindow(ow*s.sw-s.left, s.kw, x.L.W, s.right)
		taps := int64((h1 - h0) * (w1 - w0))
		divisor := taps
		if s.countPad {
			divisor = int64(dh * dw)
		}
		at := y.Row(r) + ow*y.L.SW
		for c := range y.L.C {
			var sum int64
			for h := h0; h < h1; h++ {
				from := x.L.Row(n, h) + c
				for w := w0; w < w1; w++ {
					sum += int64(x.Code(from + w*x.L.SW))
				}
			}
			sum -= z * taps
			if s.rule == quant.Shift {
				y.SetCode(at+c, s.shift.Apply(sum, divisor))
			} else {
				y.SetCode(at+c, s.float.Apply(sum, divisor))
			}
		}
	}
}

// clipWindow returns the part of a window inside an axis, and its extent inside
// the padded one.
func clipWindow(start, k, extent, after int) (from, to, counted int) {
	return max(start, 0), min(start+k, extent), min(start+k, extent+after) - start
}
