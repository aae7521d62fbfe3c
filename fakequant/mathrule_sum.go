package fakequant

import (
	"math"

	"github.com/bitgrad/bitgrad/internal/kernels"
	"github.com/bitgrad/bitgrad/quant"
)

// sumRule adds or subtracts the codes of two tensors. The unrounded value is an integer sum t
// in units of 2^-f (shift), or the float32 sum v of the rule itself.
//
// Gradient: da = dz, db = ±dz; Σ dz·v = s_a/s_y·Σ dz·(a−z_a) ± s_b/s_y·Σ dz·(b−z_b).
type sumRule struct {
	ruleBase
	subtract bool

	shift       quant.AddShift
	first, last int64   // the t that pass
	unit        float64 // real value of t = 1

	float                 quant.AddFloat
	firstFloat, lastFloat float32 // the v that pass
}

func (s *sumRule) refresh(act activation, e Estimator) {
	if !s.stale() {
		return
	}
	y := s.y()
	lo, hi := clampFor(y, act, s.rule.Rounding())
	if s.rule == quant.Shift {
		s.shift, s.err = quant.NewAddShift(*s.grids[0], *s.grids[1], *y, s.subtract)
		s.shift.Lo, s.shift.Hi = lo, hi
		f := max(s.shift.FA, s.shift.FB)
		s.unit = math.Ldexp(1, -int(f))
		// Codes of 16 bits that are shifted left by up to 31 need more than an int32.
		st := stage{shift: true, n: int(f - s.shift.FY), rounding: s.rule.Rounding(), real: s.unit}
		s.first, s.last = passInterval(e, y, act, &st, wideRange)
		return
	}
	s.float, s.err = quant.NewAddFloat(*s.grids[0], *s.grids[1], *y, s.subtract)
	s.float.Lo, s.float.Hi = lo, hi
	s.firstFloat, s.lastFloat = insideGrid(e, y, s.rule.Rounding()).steps(act, y.ScaleAt(0))
}

func (s *sumRule) row(_, r int, bits []uint8) (lo, hi float32) {
	a, b, y := s.in[0], s.in[1], s.out
	i, j, k := a.Row(r), b.Row(r), y.Row(r)
	if !s.bytes {
		return s.wide(i, j, k, bits)
	}
	p, q, dst := a.U8[i:i+s.length], b.U8[j:j+s.length], y.U8[k:k+s.length]
	if s.rule == quant.Shift {
		kernels.AddShift(dst, p, q, s.signed(0), s.signed(1), &s.shift)
		if bits == nil {
			return 0, 0
		}
		least, most := kernels.AddShiftBits(bits, p, q, s.signed(0), s.signed(1), &s.shift, s.first, s.last)
		return s.realSum(least), s.realSum(most)
	}
	kernels.AddFloat(dst, p, q, s.signed(0), s.signed(1), &s.float)
	if bits == nil {
		return 0, 0
	}
	least, most := kernels.AddFloatBits(bits, p, q, s.signed(0), s.signed(1), &s.float, s.firstFloat, s.lastFloat)
	return s.realSteps(least), s.realSteps(most)
}

func (s *sumRule) realSum(t int64) float32 { return float32(float64(t) * s.unit) }

func (s *sumRule) realSteps(v float32) float32 { return v * s.y().ScaleAt(0) }

// wide is row for codes of any width, which begin at elements i, j and k.
func (s *sumRule) wide(i, j, k int, bits []uint8) (lo, hi float32) {
	a, b, y := s.in[0], s.in[1], s.out
	for t := range s.length {
		p, q := a.Code(i+t), b.Code(j+t)
		var real float32
		var pass bool
		if s.rule == quant.Shift {
			y.SetCode(k+t, s.shift.Apply(p, q))
			sum := s.shift.Sum(p, q)
			real, pass = s.realSum(sum), s.first <= sum && sum <= s.last
		} else {
			y.SetCode(k+t, s.float.Apply(p, q))
			sum := s.float.Sum(p, q)
			real, pass = s.realSteps(sum), s.firstFloat <= sum && sum <= s.lastFloat
		}
		if bits != nil {
			kernels.SetBit(bits, t, pass)
		}
		if t == 0 {
			lo, hi = real, real
		}
		lo, hi = min(lo, real), max(hi, real)
	}
	return lo, hi
}

func (s *sumRule) gradient(_, n int) (inside float64) {
	a, b := s.in[0], s.in[1]
	first, end := s.rows(n)
	var dotA, dotB float64
	for r := first; r < end; r++ {
		dz := s.dz(r)
		if s.learned {
			dotA += dotCodes(dz, a, a.Row(r))
			dotB += dotCodes(dz, b, b.Row(r))
		}
		for i, dx := range s.dx {
			if !dx.Empty() {
				give(dx, dx.Row(r), dz, i == 1 && s.subtract)
			}
		}
	}
	if s.subtract {
		dotB = -dotB
	}
	return dotA*s.step(0) + dotB*s.step(1)
}
