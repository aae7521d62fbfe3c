package fakequant

import (
	"github.com/bitgrad/bitgrad/internal/kernels"
	"github.com/bitgrad/bitgrad/quant"
)

// productRule multiplies the codes of two tensors: q = requantize((a−z_a)·(b−z_b)).
//
// Gradient: da = dz·b̂, db = dz·â; Σ dz·v = s_a/s_y·Σ da·(a−z_a).
type productRule struct {
	ruleBase
	m           quant.Multiply
	first, last int64      // the products that pass
	unit        float64    // real value of a product of 1
	products    []products // per worker
	factors     [][]float32
}

// products are those of a row, and the memory for what kernels say of them: the ends of the interval, then of
// the range.
type products struct {
	acc  []int32
	ends [4]int32
}

func newProductRule(base ruleBase) *productRule {
	s := &productRule{ruleBase: base}
	s.products = make([]products, s.workers)
	for i := range s.products {
		s.products[i].acc = make([]int32, s.length)
	}
	if !s.dy.Empty() {
		s.factors = scratch[float32](s.workers, s.length)
	}
	return s
}

func (s *productRule) refresh(act activation, e Estimator) {
	if !s.stale() {
		return
	}
	s.m, s.err = quant.NewMultiply(s.rule, *s.grids[0], *s.grids[1], *s.y())
	s.m.Lo, s.m.Hi = clampFor(s.y(), act, s.rule.Rounding())
	s.unit = float64(s.grids[0].ScaleAt(0)) * float64(s.grids[1].ScaleAt(0))
	s.first, s.last = s.limits(e, act, requantStage(&s.m.Requantizer, 0, s.unit))
}

func (s *productRule) row(worker, r int, bits []uint8) (lo, hi float32) {
	a, b, y := s.in[0], s.in[1], s.out
	i, j, k := a.Row(r), b.Row(r), y.Row(r)
	if !s.bytes {
		return s.wide(i, j, k, bits)
	}
	m := &s.products[worker]
	kernels.MultiplyCodes(m.acc, a.U8[i:i+s.length], b.U8[j:j+s.length], s.signed(0), s.signed(1), s.m.Za, s.m.Zb)
	kernels.Requantize(y.U8[k:k+s.length], m.acc, &s.m.Requantizer)
	if bits == nil {
		return 0, 0
	}
	m.ends = [4]int32{int32(s.first), int32(s.last), m.acc[0], m.acc[0]}
	kernels.PassBits(bits, m.acc, m.ends[:1], m.ends[1:2])
	kernels.AccumulatorRange(m.ends[2:3], m.ends[3:], m.acc)
	return float32(float64(m.ends[2]) * s.unit), float32(float64(m.ends[3]) * s.unit)
}

// wide is row for codes of any width, which begin at elements i, j and k.
func (s *productRule) wide(i, j, k int, bits []uint8) (lo, hi float32) {
	a, b, y := s.in[0], s.in[1], s.out
	for t := range s.length {
		p, q := a.Code(i+t), b.Code(j+t)
		y.SetCode(k+t, s.m.Apply(p, q))
		product := int64(p-s.m.Za) * int64(q-s.m.Zb)
		if bits != nil {
			kernels.SetBit(bits, t, s.first <= product && product <= s.last)
		}
		real := float32(float64(product) * s.unit)
		if t == 0 {
			lo, hi = real, real
		}
		lo, hi = min(lo, real), max(hi, real)
	}
	return lo, hi
}

func (s *productRule) gradient(worker, n int) (inside float64) {
	first, end := s.rows(n)
	factor := s.factors[worker]
	for r := first; r < end; r++ {
		dz := s.dz(r)
		for i, dx := range s.dx {
			other := s.in[1-i]
			if dx.Empty() && (i > 0 || !s.learned) {
				continue
			}
			dequantizeInto(factor, other, other.Row(r))
			for t, d := range dz {
				factor[t] *= d
			}
			if i == 0 && s.learned {
				inside += dotCodes(factor, s.in[0], s.in[0].Row(r))
			}
			if !dx.Empty() {
				give(dx, dx.Row(r), factor, false)
			}
		}
	}
	return inside * s.step(0)
}
