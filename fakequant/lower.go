package fakequant

import (
	"errors"
	"fmt"
	"slices"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/integer"
	"github.com/bitgrad/bitgrad/quant"
)

// The steps of this package lower themselves: they hand the constants of their
// last Forward to the builder of the integer model. Requantizers are built again
// by the functions of quant, which refuse what cannot ship, and compared.

// errFloat marks a step whose operand is no tensor of the model.
var errFloat = errors.New("an operand is computed in floats")

func known(in []integer.Ref, n int) error {
	for _, r := range in[:n] {
		if r == integer.NoRef {
			return errFloat
		}
	}
	return nil
}

// Lower implements [integer.Lowerer].
func (s *intConvStep) Lower(b *integer.Builder, name string, in []integer.Ref) (integer.Ref, error) {
	if err := known(in, 1); err != nil {
		return integer.NoRef, err
	}
	if s.overflow {
		return integer.NoRef, fmt.Errorf("a bias needs more than 31 bits at the scale of its accumulator")
	}
	x, w := s.b.In[0].Grid, s.b.In[1].Grid
	var r *quant.Requantizer
	var y quant.Grid
	if s.o.Out != nil {
		y = s.b.Out.Grid.Clone()
		q, err := quant.NewRequantizer(s.o.Out.rule(), quant.AccScale(*x, *w), y)
		if err != nil {
			return integer.NoRef, err
		}
		switch s.o.act {
		case relu:
			q = q.ReLU()
		case relu6:
			q = q.ReLU6(y)
		}
		if !sameRequant(&q, &s.requant.Requantizer, s.channels) {
			return integer.NoRef, fmt.Errorf("trained with another requantization than the one that ships: %+v, not %+v", s.requant.Requantizer, q)
		}
		r = &q
	}
	weights, bias := s.weightLevels(), slices.Clone(s.bias)
	h := s.shape
	if s.linear {
		return b.Linear(name, in[0], integer.Linear{O: h.O, Weight: weights, WeightGrid: w.Clone(), Bias: bias, Requant: r, Grid: y}), nil
	}
	return b.Conv(name, in[0], integer.Conv{O: h.O, KH: h.KH, KW: h.KW, StrideH: h.StrideH, StrideW: h.StrideW,
		DilationH: h.DilH, DilationW: h.DilW, Pad: integer.Pads{Top: h.PadTop, Left: h.PadLeft, Bottom: h.PadBottom, Right: h.PadRight},
		Groups: h.Groups, Weight: weights, WeightGrid: w.Clone(), Bias: bias, Requant: r, Grid: y}), nil
}

// sameRequant compares what two requantizers do on every channel.
func sameRequant(a, b *quant.Requantizer, channels int) bool {
	if a.Rule != b.Rule || a.Lo != b.Lo || a.Hi != b.Hi || a.ZeroPoint != b.ZeroPoint || a.MidRise != b.MidRise {
		return false
	}
	at32 := func(s []int32, c int) int32 { return s[min(c, len(s)-1)] }
	for c := range channels {
		if a.Rule == quant.Shift && at32(a.Shift, c) != at32(b.Shift, c) {
			return false
		}
		if a.Rule == quant.Float && a.Multiplier[min(c, len(a.Multiplier)-1)] != b.Multiplier[min(c, len(b.Multiplier)-1)] {
			return false
		}
	}
	return true
}

// Lower implements [integer.Lowerer].
func (s *intMathStep) Lower(b *integer.Builder, name string, in []integer.Ref) (integer.Ref, error) {
	if err := known(in, s.n); err != nil {
		return integer.NoRef, err
	}
	y := s.b.Out.Grid.Clone()
	switch r := s.rule.(type) {
	case *sumRule:
		var rule integer.AddRule = r.float
		if r.rule == quant.Shift {
			rule = r.shift
		}
		return b.Add(name, in[0], in[1], integer.Add{Rule: rule, Grid: y}), r.err
	case *productRule:
		m := r.m.Requantizer
		return b.Multiply(name, in[0], in[1], integer.Multiply{Requant: &m, Grid: y}), r.err
	case *concatRule:
		c := integer.Concat{Grid: y}
		for i := range r.recode {
			m := r.recode[i].Requantizer
			c.Requant = append(c.Requant, &m)
		}
		return b.Concat(name, in[:s.n], c), r.err
	case *averageRule:
		var rule integer.PoolRule = r.float
		if r.rule == quant.Shift {
			rule = r.shift
		}
		k := r.s
		return b.AvgPool(name, in[0], integer.AvgPool{KH: k.KH, KW: k.KW, StrideH: k.StrideH, StrideW: k.StrideW,
			Pad: integer.Pads{Top: k.PadTop, Left: k.PadLeft, Bottom: k.PadBottom, Right: k.PadRight}, OH: k.OH, OW: k.OW,
			CountPad: k.IncludePad, Rule: rule, Grid: y}), r.err
	}
	return integer.NoRef, fmt.Errorf("%s has no integer form", s.o.Name())
}

// Lower implements [integer.Lowerer].
func (s *tableStep) Lower(b *integer.Builder, name string, in []integer.Ref) (integer.Ref, error) {
	if err := known(in, 1); err != nil {
		return integer.NoRef, err
	}
	x := s.b.In[0].Grid
	table := make([]int32, 0, 256)
	for q := x.QMin(); q <= x.QMax(); q++ {
		table = append(table, s.table[uint8(q)])
	}
	return b.Table(name, in[0], integer.Table{Codes: [][]int32{table}, Grid: s.b.Out.Grid.Clone()}), nil
}

// Lower implements [integer.Lowerer].
func (s *tableInputStep) Lower(b *integer.Builder, name string, _ []integer.Ref) (integer.Ref, error) {
	l := s.b.Out.L
	return b.Input(name, integer.Input{C: l.C, H: l.H, W: l.W, A: slices.Clone(s.o.Normalize.Scale), B: slices.Clone(s.o.Normalize.Offset),
		Grid: s.b.Out.Grid.Clone(), Rounding: s.o.Q.Format.Rounding}), nil
}

// Lower implements [integer.Lowerer]. A quantizer on its own lowers where it
// stands on the input of the network, or between codes of power-of-two grids,
// where dequantizing and quantizing again is a shift.
func (s *quantizeStep) Lower(b *integer.Builder, name string, in []integer.Ref) (integer.Ref, error) {
	y := s.b.Out.Grid.Clone()
	x := s.b.In[0]
	if src := s.b.Node.Input(0); src.Op() == nil && x.Elem() == autograd.Float32 {
		ones := make([]float32, x.L.C)
		for i := range ones {
			ones[i] = 1
		}
		return b.InputFloat(name, integer.InputFloat{C: x.L.C, H: x.L.H, W: x.L.W, A: ones, B: make([]float32, x.L.C),
			Grid: y, Rounding: s.q.Format.Rounding}), nil
	}
	if err := known(in, 1); err != nil {
		return integer.NoRef, err
	}
	if !x.IsCodes() || !x.Format.PowerOfTwo || !s.q.Format.PowerOfTwo {
		return integer.NoRef, fmt.Errorf("codes of more than 8 bits move between float scales only by a rule that rounds twice")
	}
	r, err := quant.NewRecode(quant.Shift, *x.Grid, y)
	if err != nil {
		return integer.NoRef, err
	}
	return b.Requantize(name, in[0], integer.Requantize{Requant: &r.Requantizer, Grid: y}), nil
}

var (
	_ integer.Lowerer = (*intConvStep)(nil)
	_ integer.Lowerer = (*intMathStep)(nil)
	_ integer.Lowerer = (*tableStep)(nil)
	_ integer.Lowerer = (*tableInputStep)(nil)
	_ integer.Lowerer = (*quantizeStep)(nil)
)
