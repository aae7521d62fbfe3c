package fakequant

import (
	"math"
	"slices"

	"github.com/bitgrad/bitgrad/internal/kernels"
	"github.com/bitgrad/bitgrad/quant"
)

// averageRule averages over windows, the divisor d counted with or without padding, from the exact
// sum S of the levels.
//
// Gradient: dz/d for every element of the window; Σ dz·v = s_x/s_y·Σ dz·S/d.
type averageRule struct {
	ruleBase
	s        kernels.PoolShape
	shift    quant.AveragePoolShift
	float    quant.AveragePoolFloat
	divisors []int               // those that occur
	which    []uint16            // of each window: the index of its divisor
	limit    [][2]int64          // for each divisor, the sums that pass
	requant  []quant.Requantizer // for each, what makes codes of bytes under the float rule
	narrow   [2][]int32          // for each, limit in 32 bits: the first sum and the last
	sums     [][]int32           // of a row of codes in bytes, per worker
	wideSums [][]int64
}

func newAverageRule(base ruleBase, shape kernels.PoolShape) *averageRule {
	s := &averageRule{ruleBase: base, s: shape}
	for oh := range shape.OH {
		for ow := range shape.OW {
			d := shape.Divisor(oh, ow)
			i := slices.Index(s.divisors, d)
			if i < 0 {
				i = len(s.divisors)
				s.divisors = append(s.divisors, d)
			}
			s.which = append(s.which, uint16(i))
		}
	}
	s.limit, s.requant = make([][2]int64, len(s.divisors)), make([]quant.Requantizer, len(s.divisors))
	for i := range s.requant {
		s.requant[i].Multiplier = make([]float32, 1)
	}
	for i := range s.narrow {
		s.narrow[i] = make([]int32, len(s.divisors))
	}
	s.wideSums = scratch[int64](s.workers, s.length)
	if s.bytes {
		s.sums = scratch[int32](s.workers, s.length)
	}
	return s
}

func (s *averageRule) refresh(act activation, e Estimator) {
	if !s.stale() {
		return
	}
	x, y := s.grids[0], s.y()
	lo, hi := clampFor(y, act, s.rule.Rounding())
	if s.rule == quant.Shift {
		s.shift, s.err = quant.NewAveragePoolShift(*x, *y)
		s.shift.Lo, s.shift.Hi = lo, hi
	} else {
		s.float, s.err = quant.NewAveragePoolFloat(*x, *y)
		s.float.Lo, s.float.Hi = lo, hi
	}
	for i, d := range s.divisors {
		st := stage{rounding: s.rule.Rounding(), real: float64(x.ScaleAt(0)) / float64(d)}
		if s.rule == quant.Shift {
			st.shift, st.n, st.divisor = true, int(s.shift.FX-s.shift.FY), float64(d)
		} else {
			st.m = s.float.Multiplier(int64(d))
			r := &s.requant[i]
			r.Rule, r.ZeroPoint, r.MidRise, r.Lo, r.Hi = quant.Float, s.float.Zy, s.float.MidRise, s.float.Lo, s.float.Hi
			r.Multiplier[0] = st.m
		}
		s.limit[i][0], s.limit[i][1] = passInterval(e, y, act, &st, wideRange)
		for end, v := range s.limit[i] {
			s.narrow[end][i] = int32(min(max(v, math.MinInt32), math.MaxInt32))
		}
	}
}

// sum returns the sums of the levels in the windows of row r of the output.
func (s *averageRule) sum(worker, r int) []int64 {
	sums := s.wideSums[worker]
	x := s.in[0]
	if s.bytes {
		for i, v := range s.narrowSum(worker, r) {
			sums[i] = int64(v)
		}
		return sums
	}
	clear(sums)
	n, oh := r/s.out.L.H, r%s.out.L.H
	for ow := range s.s.OW {
		h0, h1 := clipWindow(oh*s.s.StrideH-s.s.PadTop, s.s.KH, x.L.H)
		w0, w1 := clipWindow(ow*s.s.StrideW-s.s.PadLeft, s.s.KW, x.L.W)
		for h := h0; h < h1; h++ {
			for w := w0; w < w1; w++ {
				for c := range x.L.C {
					sums[ow*x.L.C+c] += int64(x.Code(x.L.At(n, h, w, c)) - s.grids[0].ZeroPoint)
				}
			}
		}
	}
	return sums
}

// narrowSum is sum for codes in bytes.
func (s *averageRule) narrowSum(worker, r int) []int32 {
	x := s.in[0]
	s.s.SumCodes(s.sums[worker], x.U8, x.L, s.signed(0), s.grids[0].ZeroPoint, r/s.out.L.H, r%s.out.L.H)
	return s.sums[worker]
}

// clipWindow returns the part of a window inside an axis.
func clipWindow(start, k, extent int) (from, to int) { return max(start, 0), min(start+k, extent) }

func (s *averageRule) row(worker, r int, bits []uint8) (lo, hi float32) {
	if s.bytes && s.rule == quant.Float && !s.grids[0].MidRise {
		return s.floatRow(worker, r, bits)
	}
	y, at := s.out, s.out.Row(r)
	scale := float64(s.grids[0].ScaleAt(0))
	windows := s.which[r%y.L.H*y.L.W:][:y.L.W]
	for i, sum := range s.sum(worker, r) {
		k := windows[i/y.L.C]
		d := int64(s.divisors[k])
		if s.rule == quant.Shift {
			y.SetCode(at+i, s.shift.Apply(sum, d))
		} else {
			y.SetCode(at+i, s.float.Apply(sum, d))
		}
		if bits == nil {
			continue
		}
		kernels.SetBit(bits, i, s.limit[k][0] <= sum && sum <= s.limit[k][1])
		real := float32(float64(sum) * scale / float64(d))
		if i == 0 {
			lo, hi = real, real
		}
		lo, hi = min(lo, real), max(hi, real)
	}
	return lo, hi
}

// floatRow is row for codes in bytes under the float rule: windows side by side that have the same divisor are
// requantized at once.
func (s *averageRule) floatRow(worker, r int, bits []uint8) (lo, hi float32) {
	y, at, c := s.out, s.out.Row(r), s.out.L.C
	scale := float64(s.grids[0].ScaleAt(0))
	windows := s.which[r%y.L.H*y.L.W:][:y.L.W]
	sums := s.narrowSum(worker, r)
	for w, end := 0, 0; w < len(windows); w = end {
		k := windows[w]
		for end = w; end < len(windows) && windows[end] == k; {
			end++
		}
		part := sums[w*c : end*c]
		kernels.Requantize(y.U8[at+w*c:][:len(part)], part, &s.requant[k])
		if bits == nil {
			continue
		}
		s.passBits(bits, w*c, part, int(k))
		least, most := slices.Min(part), slices.Max(part)
		first, last := float32(float64(least)*scale/float64(s.divisors[k])), float32(float64(most)*scale/float64(s.divisors[k]))
		if w == 0 {
			lo, hi = first, last
		}
		lo, hi = min(lo, first), max(hi, last)
	}
	return lo, hi
}

// passBits writes the bits of sums with divisor k, the first of which is bit i.
func (s *averageRule) passBits(bits []uint8, i int, sums []int32, k int) {
	first, last := s.narrow[0][k:k+1], s.narrow[1][k:k+1]
	if i%8 == 0 {
		kernels.PassBits(bits[i/8:], sums, first, last)
		return
	}
	for j, sum := range sums {
		kernels.SetBit(bits, i+j, first[0] <= sum && sum <= last[0])
	}
}

func (s *averageRule) gradient(worker, n int) (inside float64) {
	if s.learned {
		first, end := s.rows(n)
		for r := first; r < end; r++ {
			dz, windows := s.dz(r), s.which[r%s.out.L.H*s.out.L.W:]
			for i, sum := range s.sum(worker, r) {
				inside += float64(dz[i]) * float64(sum) / float64(s.divisors[windows[i/s.out.L.C]])
			}
		}
	}
	if dx := s.dx[0]; !dx.Empty() {
		s.s.AverageBackward(dx.F32, dx.L, s.dy.F32, s.dy.L, n, n+1, dx.Add)
	}
	return inside * s.step(0)
}
