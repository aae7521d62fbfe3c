package fakequant

import (
	"math"

	"github.com/bitgrad/bitgrad/quant"
)

// requant is a requantizer that follows scales which change every step. It
// computes what [quant.NewRequantizer] does, without allocating; Lower builds
// the shipped one with that function and compares.
type requant struct {
	quant.Requantizer
	// The intervals depend on the multipliers; equal inputs are not searched again.
	last []float32
	grid quant.Grid
	// written is where they were written to, nil before.
	written *int64
	limit   int64 // of the accumulators
}

func newRequant(q *Quantizer, perChannel bool, channels int, wide bool) *requant {
	n := 1
	if perChannel {
		n = channels
	}
	r := &requant{last: make([]float32, channels), limit: accRange}
	if wide {
		r.limit = wideRange
	}
	r.Rule = q.rule()
	if r.Rule == quant.Shift {
		r.Shift = make([]int32, n)
	} else {
		r.Multiplier = make([]float32, n)
	}
	return r
}

// set follows the scales of the accumulators and the output grid.
func (r *requant) set(accScale []float32, y *quant.Grid, act activation) {
	sy := y.ScaleAt(0)
	r.ZeroPoint, r.Lo, r.Hi, r.MidRise = y.ZeroPoint, y.QMin(), y.QMax(), y.MidRise
	for c := range r.Shift {
		_, e := math.Frexp(float64(accScale[c]) / float64(sy))
		r.Shift[c] = int32(min(max(1-e, -31), 31))
	}
	for c := range r.Multiplier {
		r.Multiplier[c] = float32(accScale[c] / sy)
	}
	if act != linear {
		r.Lo = min(max(r.Lo, r.ZeroPoint), r.Hi)
	}
	if act == relu6 {
		r.Hi = max(min(r.Hi, y.Quantize(6, 0, r.Rule.Rounding())), r.Lo)
	}
}

// intervals writes the accumulators for which the gradient passes.
func (r *requant) intervals(lo, hi []int64, e Estimator, y *quant.Grid, act activation, accScale []float32) {
	if r.written == &lo[0] && r.same(accScale, y) {
		return
	}
	for c := range lo {
		if c > 0 && accScale[c] == accScale[c-1] {
			lo[c], hi[c] = lo[c-1], hi[c-1]
			continue
		}
		st := requantStage(&r.Requantizer, c, float64(accScale[c]))
		lo[c], hi[c] = passInterval(e, y, act, &st, r.limit)
	}
	copy(r.last, accScale)
	r.grid.ZeroPoint, r.written = y.ZeroPoint, &lo[0]
	r.grid.Scale = append(r.grid.Scale[:0], y.Scale...)
}

func (r *requant) same(accScale []float32, y *quant.Grid) bool {
	if r.grid.ZeroPoint != y.ZeroPoint || r.grid.Scale[0] != y.Scale[0] {
		return false
	}
	for c, s := range accScale {
		if r.last[c] != s {
			return false
		}
	}
	return true
}
