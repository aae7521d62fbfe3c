package autograd

import (
	"errors"
	"fmt"

	"github.com/bitgrad/bitgrad/integer"
	"github.com/bitgrad/bitgrad/quant"
)

// Concat returns its operands, which agree in all axes but C, behind one
// another along C. All are [N C H W], or all [N F].
//
// Operands that are codes of one and the same format stay codes on the grid of
// the first; codes of an operand whose grid differs from it at run time are
// requantized to it, with ties to even. Other codes are read as the real
// numbers they stand for.
//
// Gradients: each operand gets its channels of dy.
func Concat(name string, in ...*Node) *Node { return Apply(name, ConcatOp{}, in...) }

// ConcatOp is the operation of [Concat].
type ConcatOp struct{}

// Name returns "concat".
func (ConcatOp) Name() string { return "concat" }

// Infer implements [Op].
func (ConcatOp) Infer(_ Env, in []Type) (Spec, error) {
	if len(in) == 0 {
		return Spec{}, errors.New("at least one operand expected")
	}
	out := in[0]
	if out.Plain || len(out.Shape) != 2 && len(out.Shape) != 4 {
		return Spec{}, errNotBatched
	}
	out.Shape = append([]int(nil), out.Shape...)
	out.Shape[1] = 0
	stored := true
	for i, t := range in {
		if err := checkReal(t); err != nil {
			return Spec{}, fmt.Errorf("operand %d: %w", i, err)
		}
		u := t
		u.Shape = append([]int(nil), t.Shape...)
		if len(u.Shape) == len(out.Shape) {
			u.Shape[1] = out.Shape[1]
		}
		if !u.SameShape(out) {
			return Spec{}, fmt.Errorf("operand %d: only the channels may differ", i)
		}
		if out.Shape[1] > maxExtent-t.Shape[1] {
			return Spec{}, errTooLarge
		}
		out.Shape[1] += t.Shape[1]
		stored = stored && movable(t) && t.DType == in[0].DType && t.Format == in[0].Format
	}
	if err := checkReal(out); err != nil {
		return Spec{}, err
	}
	if stored {
		return Spec{Out: out}, nil
	}
	s := Spec{Out: out.Floats()}
	for i := range in {
		s.floatBuffer(in, i, Border{})
	}
	return s, nil
}

// concat moves all operands row by row.
type concat struct {
	in                []*asFloats
	same              []bool // the operand's grid is that of the result, this step
	at                []int  // the first channel of each operand
	y, dy             View
	dx                []View
	forward, backward *rowLoop
}

// Bind implements [Op].
func (ConcatOp) Bind(b *Binding) Step {
	s := &concat{same: make([]bool, len(b.In)), y: b.Out, dy: b.GradOut, dx: b.GradIn}
	c := 0
	for i, v := range b.In {
		s.in = append(s.in, b.source(i))
		s.at = append(s.at, c)
		c += v.L.C
	}
	if s.y.IsCodes() {
		b.Out.Grid = b.In[0].Grid
		s.y.Grid = b.Out.Grid
	}
	s.forward, s.backward = overRows(s.y, s.join), overRows(s.y, s.split)
	return s
}

func (s *concat) Forward(c *Context) {
	for i, x := range s.in {
		x.run(c)
		s.same[i] = !s.y.IsCodes() || x.Grid.Equal(*s.y.Grid)
	}
	s.forward.run(c)
}

func (s *concat) join(_, r0, r1 int) {
	for r := r0; r < r1; r++ {
		for i, x := range s.in {
			from, to := x.Row(r), s.y.Row(r)+s.at[i]
			for w := range s.y.L.W {
				if s.same[i] {
					s.y.Copy(to+w*s.y.L.SW, x.View, from+w*x.L.SW, x.L.C)
					continue
				}
				for c := range x.L.C {
					v := x.At(from+w*x.L.SW+c, c)
					s.y.SetCode(to+w*s.y.L.SW+c, s.y.Grid.Quantize(v, 0, quant.HalfEven))
				}
			}
		}
	}
}

// Each operand gets its channels of dy.
func (s *concat) Backward(c *Context) { s.backward.run(c) }

func (s *concat) split(_, r0, r1 int) {
	for r := r0; r < r1; r++ {
		for i, dx := range s.dx {
			if dx.Empty() {
				continue
			}
			ch := dx.L.C
			from, to := s.dy.Row(r)+s.at[i], dx.Row(r)
			for w := range dx.L.W {
				at := from + w*s.dy.L.SW
				copyRow(dx.F32[to+w*ch:to+(w+1)*ch], s.dy.F32[at:at+ch], dx.Add)
			}
		}
	}
}

// Lower implements [integer.Lowerer]: the codes move, where all are on one grid.
func (s *concat) Lower(b *integer.Builder, name string, in []integer.Ref) (integer.Ref, error) {
	if err := movesCodes(s.y, in); err != nil {
		return integer.NoRef, err
	}
	for i, x := range s.in {
		if !x.Grid.Equal(*s.y.Grid) {
			return integer.NoRef, fmt.Errorf("operand %d is on %v, operand 0 on %v: no requantization rule is named", i, x.Grid, s.y.Grid)
		}
	}
	return b.Concat(name, in, integer.Concat{Grid: s.y.Grid.Clone()}), b.Err()
}
