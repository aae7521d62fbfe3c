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

// accRange bounds the accumulators that the search looks at.
const accRange = 1<<31 - 1

// searchFirst returns the smallest a in [-accRange, accRange] for which f is
// true, accRange+1 if there is none; f is monotone from false to true.
func searchFirst(f func(a int64) bool) int64 {
	lo, hi := int64(-accRange), int64(accRange+1)
	for lo < hi {
		m := (lo + hi) >> 1
		if f(m) {
			hi = m
		} else {
			lo = m + 1
		}
	}
	return lo
}

// stage describes how an accumulator a of one channel becomes a code: v(a), its
// unrounded number of steps, never decreases.
type stage struct {
	shift    bool
	n        int     // shift: v = a·2^-n
	m        float32 // else: v = float32(float32(a)·m) + off
	off      float32
	rounding quant.Rounding
	// The real value of a is a·real + realOff.
	real, realOff float64
}

func (s *stage) steps(a int64) float64 {
	if s.shift {
		return math.Ldexp(float64(a), -s.n)
	}
	return float64(float32(float32(a)*s.m) + s.off)
}

func (s *stage) rounded(a int64) float64 { return s.rounding.Round(s.steps(a)) }

func (s *stage) value(a int64) float64 { return float64(a)*s.real + s.realOff }

// passInterval returns the accumulators [lo, hi] for which the gradient passes
// both the activation function and the estimator's inside test.
func passInterval(e Estimator, g *quant.Grid, act activation, st *stage) (lo, hi int64) {
	qlo, qhi := float64(g.QMin()-g.ZeroPoint), float64(g.QMax()-g.ZeroPoint)
	if e.Rounded() {
		lo = searchFirst(func(a int64) bool { return st.rounded(a) >= qlo })
		hi = searchFirst(func(a int64) bool { return st.rounded(a) > qhi }) - 1
	} else {
		lo = searchFirst(func(a int64) bool { return st.steps(a) > qlo })
		hi = searchFirst(func(a int64) bool { return st.steps(a) >= qhi }) - 1
	}
	if act != linear {
		lo = max(lo, searchFirst(func(a int64) bool { return st.value(a) > 0 }))
	}
	if act == relu6 {
		hi = min(hi, searchFirst(func(a int64) bool { return st.value(a) >= 6 })-1)
	}
	return max(lo, -accRange), min(hi, accRange)
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
