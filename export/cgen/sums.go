package cgen

import (
	"fmt"
	"math"
	"math/big"
	"slices"

	"github.com/bitgrad/bitgrad/integer"
	"github.com/bitgrad/bitgrad/quant"
)

// sums is what convolutions and linear layers have in common.
type sums struct {
	channels, row int // outputs, and weights of each
	weight        []int32
	grid          quant.Grid // of the weights
	bias          []int64
	requant       *quant.Requantizer

	acc    ctype
	begin  string // the value that a sum begins with, for channel o
	finish requantizer
}

// prepare declares the constants and settles types and rules.
func (f *function) prepare(s *sums) error {
	x := f.in[0]
	s.row = len(s.weight) / s.channels
	s.acc = sumType(s.bound(x))

	t := storage(s.grid.BitWidth, s.grid.Signed)
	if bits := s.grid.BitWidth; bits < 8 {
		bytes := packed(s.weight, s.row, bits)
		array(&f.constants, "uint8_t", f.name+"_weight", len(bytes), func(i int) string { return literal(int64(bytes[i])) })
		f.weights += len(bytes)
		f.scratch = max(f.scratch, s.row)
	} else {
		f.codeArray(f.name+"_weight", s.weight, t)
		f.weights += len(s.weight) * t.bits / 8
	}
	s.begin = "0"
	if s.bias != nil {
		f.integers64(f.name+"_bias", s.bias)
		s.begin = f.name + "_bias[o]"
	}
	var err error
	if s.requant != nil {
		s.finish, err = f.requantizer(s.requant, s.channels, f.name)
		return err
	}
	s.finish = f.logits(s, x)
	return nil
}

// bound returns the largest magnitude of any partial sum, of any channel.
func (s *sums) bound(x *integer.Node) int64 {
	worst := int64(0)
	for o := range s.channels {
		total := int64(0)
		for _, q := range s.weight[o*s.row : (o+1)*s.row] {
			w := levelOf(s.grid, int64(q))
			total += max(w, -w)
		}
		total *= largestLevel(x.Grid)
		if s.bias != nil {
			total += max(s.bias[o], -s.bias[o])
		}
		worst = max(worst, total)
	}
	return worst
}

// logits returns the rule for accumulators that are the output: brought to the
// largest of the scales of the channels, if these differ.
func (f *function) logits(s *sums, x *integer.Node) requantizer {
	var scales []float32
	for _, w := range s.grid.Scale {
		scales = append(scales, levelScale(x.Grid, x.Grid.Scale[0], s.grid, w))
	}
	largest := slices.Max(scales)
	if slices.Min(scales) == largest {
		return func(acc, _ string) string { return acc }
	}
	for c := range scales {
		scales[c] /= largest
	}
	f.floatArray(f.name+"_ratio", scales)
	call := f.use(fmt.Sprintf("common%d", f.node.Out.Bits))
	return func(acc, channel string) string {
		return fmt.Sprintf("%s((float)%s * %s_ratio[%s])", call, acc, f.name, channel)
	}
}

// levelScale returns the scale of a product of levels of two grids with the scales a
// and b, rounded once.
func levelScale(ag quant.Grid, a float32, bg quant.Grid, b float32) float32 {
	s := float64(a) * float64(b) // exact
	if ag.MidRise {
		s /= 2
	}
	if bg.MidRise {
		s /= 2
	}
	return float32(s)
}

// quotient returns a/n, rounded once.
func quotient(a float32, n int64) float32 {
	if math.IsInf(float64(a), 0) || math.IsNaN(float64(a)) {
		return a
	}
	r := new(big.Rat).SetFloat64(float64(a))
	q, _ := r.Quo(r, new(big.Rat).SetInt64(n)).Float32()
	return q
}

// row declares w, the codes of the weights of channel o.
func (f *function) row(s *sums) {
	if s.grid.BitWidth < 8 {
		f.line(2, "const int8_t *w = %s_row;", f.prefix)
		return
	}
	f.line(2, "const %v *w = %s_weight + (size_t)o * %d;", storage(s.grid.BitWidth, s.grid.Signed), f.name, s.row)
}

// unpack writes the call that fills the row of packed weights.
func (f *function) unpack(s *sums) {
	if bits := s.grid.BitWidth; bits < 8 {
		sign := 0
		if s.grid.Signed {
			sign = 1
		}
		f.line(2, "%s(%s_weight + (size_t)o * %d, %d, %d, %d, %s_row);",
			f.use("unpack"), f.name, rowBytes(s.row, bits), s.row, bits, sign, f.prefix)
	}
}
