package fakequant

import (
	"github.com/bitgrad/bitgrad/internal/kernels"
	"github.com/bitgrad/bitgrad/quant"
)

// concatRule requantizes every operand to the output's grid.
//
// Gradient: every operand gets its channels of dz; Σ dz·v is the sum of s_x/s_y·Σ dz·(x−z_x) over
// the operands.
type concatRule struct {
	ruleBase
	recode      []quant.Recode
	first, last []int64      // the levels of each operand that pass
	tables      []codeTables // of each operand; nil for wide codes
}

// codeTables say by the byte of a code what becomes of it.
type codeTables struct {
	code [256]uint8
	pass [256]bool
	real [256]float32
}

func newConcatRule(base ruleBase) *concatRule {
	n := len(base.in)
	s := &concatRule{ruleBase: base, recode: make([]quant.Recode, n), first: make([]int64, n), last: make([]int64, n)}
	if s.bytes {
		s.tables = make([]codeTables, n)
	}
	return s
}

func (s *concatRule) refresh(act activation, e Estimator) {
	if !s.stale() {
		return
	}
	s.err = nil
	for i := range s.recode {
		m, err := quant.NewRecode(s.rule, *s.grids[i], *s.y())
		if err != nil {
			s.err = err
		}
		m.Lo, m.Hi = clampFor(s.y(), act, s.rule.Rounding())
		s.recode[i] = m
		s.first[i], s.last[i] = s.limits(e, act, requantStage(&m.Requantizer, 0, float64(s.grids[i].ScaleAt(0))))
		if s.bytes {
			s.fill(i)
		}
	}
}

// fill computes the tables of operand i.
func (s *concatRule) fill(i int) {
	t := &s.tables[i]
	for q := range 256 {
		code := int32(q)
		if s.signed(i) {
			code = int32(int8(q))
		}
		var y int32
		y, t.pass[q], t.real[q] = s.element(i, code)
		t.code[q] = uint8(y)
	}
}

// element returns what becomes of code q of operand i, whether its gradient passes, and its real value.
func (s *concatRule) element(i int, q int32) (code int32, pass bool, real float32) {
	level := int64(q - s.grids[i].ZeroPoint)
	return s.recode[i].Apply(q), s.first[i] <= level && level <= s.last[i], s.grids[i].Dequantize(q, 0)
}

func (s *concatRule) row(_, r int, bits []uint8) (lo, hi float32) {
	y, k := s.out, 0
	at := y.Row(r)
	for w := range y.L.W {
		for i, x := range s.in {
			from := x.Row(r) + w*x.L.C
			if bits == nil && s.bytes {
				t := &s.tables[i]
				dst := y.U8[at+k : at+k+x.L.C]
				for c, q := range x.U8[from : from+x.L.C] {
					dst[c] = t.code[q]
				}
				k += x.L.C
				continue
			}
			for c := range x.L.C {
				var code int32
				var pass bool
				var real float32
				if s.bytes {
					t, q := &s.tables[i], x.U8[from+c]
					code, pass, real = int32(t.code[q]), t.pass[q], t.real[q]
				} else {
					code, pass, real = s.element(i, x.Code(from+c))
				}
				y.SetCode(at+k, code)
				if bits != nil {
					kernels.SetBit(bits, k, pass)
				}
				if k == 0 {
					lo, hi = real, real
				}
				lo, hi = min(lo, real), max(hi, real)
				k++
			}
		}
	}
	return lo, hi
}

func (s *concatRule) gradient(_, n int) (inside float64) {
	first, end := s.rows(n)
	for r := first; r < end; r++ {
		dz := s.dz(r)
		for w := range s.out.L.W {
			for i, x := range s.in {
				part := dz[:x.L.C]
				dz = dz[x.L.C:]
				if s.learned {
					inside += dotCodes(part, x, x.Row(r)+w*x.L.C) * s.step(i)
				}
				if dx := s.dx[i]; !dx.Empty() {
					give(dx, dx.Row(r)+w*x.L.C, part, false)
				}
			}
		}
	}
	return inside
}
