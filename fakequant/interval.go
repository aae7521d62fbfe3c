package fakequant

import (
	"math"

	"github.com/bitgrad/bitgrad/quant"
)

// Every code is a monotone function of the accumulator, and every test "does
// the gradient pass" is an interval of it. So a kernel needs two integers per
// channel, whatever the estimator, the rule and the activation function are.

// activation is the function between an accumulator and its quantizer.
type activation uint8

const (
	linear activation = iota
	relu
	relu6
)

var activationNames = [...]string{"", "relu", "relu6"}

// accRange bounds the int32 accumulators that the search looks at, wideRange those in int64,
// which a float64 holds.
const (
	accRange  = 1<<31 - 1
	wideRange = 1 << 53
)

// searchFirst returns the smallest a in [-limit, limit] for which f is
// true, limit+1 if there is none; f is monotone from false to true. The search begins at a guess.
func searchFirst(guess float64, limit int64, f func(a int64) bool) int64 {
	start := int64(0)
	if guess >= float64(-limit) && guess <= float64(limit) {
		start = int64(guess)
	}
	return searchFrom(start, -limit, limit+1, func(a int64) bool { return a > limit || f(a) })
}

// stage describes how an accumulator a of one channel becomes a code: v(a), its
// unrounded number of steps, never decreases.
type stage struct {
	shift    bool
	n        int     // shift: v = a·2^-n/divisor
	divisor  float64 // 0 means 1
	m        float32 // else: v = float32(float32(a)·m) + off
	off      float32
	rounding quant.Rounding
	// The real value of a is a·real + realOff.
	real, realOff float64
}

func (s *stage) steps(a int64) float64 {
	if s.shift {
		v := math.Ldexp(float64(a), -s.n)
		if s.divisor != 0 {
			v /= s.divisor
		}
		return v
	}
	return float64(float32(float32(a)*s.m) + s.off)
}

// near returns about the a of v steps.
func (s *stage) near(v float64) float64 {
	if s.shift {
		if s.divisor != 0 {
			v *= s.divisor
		}
		return math.Ldexp(v, s.n)
	}
	return (v - float64(s.off)) / float64(s.m)
}

func (s *stage) rounded(a int64) float64 { return s.rounding.Round(s.steps(a)) }

func (s *stage) value(a int64) float64 { return float64(a)*s.real + s.realOff }

// passInterval returns the accumulators [lo, hi], of absolute value up to limit, for which the
// gradient passes both the activation function and the estimator's inside test.
func passInterval(e Estimator, g *quant.Grid, act activation, st *stage, limit int64) (lo, hi int64) {
	qlo, qhi := float64(g.QMin()-g.ZeroPoint), float64(g.QMax()-g.ZeroPoint)
	low, high := st.near(qlo), st.near(qhi)
	if e.Rounded() {
		lo = searchFirst(low, limit, func(a int64) bool { return st.rounded(a) >= qlo })
		hi = searchFirst(high, limit, func(a int64) bool { return st.rounded(a) > qhi }) - 1
	} else {
		lo = searchFirst(low, limit, func(a int64) bool { return st.steps(a) > qlo })
		hi = searchFirst(high, limit, func(a int64) bool { return st.steps(a) >= qhi }) - 1
	}
	if act != linear {
		lo = max(lo, searchFirst(-st.realOff/st.real, limit, func(a int64) bool { return st.value(a) > 0 }))
	}
	if act == relu6 {
		hi = min(hi, searchFirst((6-st.realOff)/st.real, limit, func(a int64) bool { return st.value(a) >= 6 })-1)
	}
	return max(lo, -limit), min(hi, limit)
}

// requantStage describes channel c of a requantizer; one unit of the accumulator
// is worth real.
func requantStage(r *quant.Requantizer, c int, real float64) stage {
	s := stage{shift: r.Rule == quant.Shift, rounding: r.Rule.Rounding(), real: real}
	if s.shift {
		s.n = int(r.Shift[min(c, len(r.Shift)-1)])
	} else {
		s.m = r.Multiplier[min(c, len(r.Multiplier)-1)]
	}
	return s
}
