package autograd

import (
	"fmt"

	"github.com/bitgrad/bitgrad/integer"
)

// Range selects the indices Start, Start+Step, … below Stop of an axis. Stop 0
// means the end of the axis and Step 0 means 1, so that the zero Range is the
// whole axis.
type Range struct{ Start, Stop, Step int }

// resolve fills in the defaults and returns the number of indices.
func (r Range) resolve(extent int) (Range, int, error) {
	if r.Stop == 0 {
		r.Stop = extent
	}
	r.Step = orOne(r.Step)
	switch {
	case r.Start < 0 || r.Stop > extent || r.Start >= r.Stop:
		return r, 0, fmt.Errorf("%d to %d of %d: selects nothing or leaves the axis", r.Start, r.Stop, extent)
	case r.Step < 1:
		return r, 0, fmt.Errorf("step %d: must be positive", r.Step)
	}
	return r, (r.Stop-r.Start-1)/r.Step + 1, nil
}

// SliceAttrs says which part of each axis [Slice] takes. The zero value takes
// everything.
type SliceAttrs struct{ C, H, W Range }

// Slice returns the selected part of x [N C H W] or, by C, of x [N F]:
//
//	y[n c h w] = x[n C.Start+c·C.Step H.Start+h·H.Step W.Start+w·W.Step]
//
// Codes stay codes on the same grid.
//
// Gradient: dx is dy where x was taken and 0 elsewhere.
func Slice(name string, x *Node, a SliceAttrs) *Node { return Apply(name, SliceOp{a}, x) }

// SliceOp is the operation of [Slice].
type SliceOp struct{ SliceAttrs }

// Name returns "slice".
func (SliceOp) Name() string { return "slice" }

// Infer implements [Op].
func (o SliceOp) Infer(_ Env, in []Type) (Spec, error) {
	if len(in) != 1 {
		return Spec{}, errOneOperand
	}
	x := in[0]
	if x.Plain || len(x.Shape) != 2 && len(x.Shape) != 4 {
		return Spec{}, errNotBatched
	}
	shape := []int{x.Shape[0]}
	for i, r := range []Range{o.C, o.H, o.W} {
		if i+1 >= len(x.Shape) {
			if r != (Range{}) {
				return Spec{}, fmt.Errorf("axis %c: the operand has none", "CHW"[i])
			}
			continue
		}
		_, n, err := r.resolve(x.Shape[i+1])
		if err != nil {
			return Spec{}, fmt.Errorf("axis %c: %w", "CHW"[i], err)
		}
		shape = append(shape, n)
	}
	return moved(in, movable(x), shape...)
}

type slice struct {
	c, h, w           Range
	x                 *asFloats
	y, dx, dy         View
	forward, backward *rowLoop
}

// Bind implements [Op].
func (o SliceOp) Bind(b *Binding) Step {
	x := b.source(0)
	s := &slice{x: x, y: b.Out, dx: b.GradIn[0], dy: b.GradOut}
	l := s.x.L
	s.c, _, _ = o.C.resolve(l.C)
	s.h, _, _ = o.H.resolve(l.H)
	s.w, _, _ = o.W.resolve(l.W)
	s.forward, s.backward = overRows(s.y, s.take), overRows(s.x.View, s.give)
	return s
}

func (s *slice) Forward(c *Context) {
	s.x.run(c)
	s.forward.run(c)
}

func (s *slice) take(_, r0, r1 int) {
	l := s.y.L
	for r := r0; r < r1; r++ {
		n, h := r/l.H, r%l.H
		from := s.x.L.Row(n, s.h.Start+h*s.h.Step)
		for w := range l.W {
			x, y := from+(s.w.Start+w*s.w.Step)*s.x.L.SW+s.c.Start, l.Row(n, h)+w*l.SW
			if s.c.Step == 1 {
				s.y.Copy(y, s.x.View, x, l.C)
				continue
			}
			for c := range l.C {
				s.y.Copy(y+c, s.x.View, x+c*s.c.Step, 1)
			}
		}
	}
}

// dx = dy where x was taken, 0 elsewhere.
func (s *slice) Backward(c *Context) {
	if !s.dx.Empty() {
		s.backward.run(c)
	}
}

func (s *slice) give(_, r0, r1 int) {
	l := s.dy.L
	for r := r0; r < r1; r++ {
		dx := s.dx.f32Row(r)
		if !s.dx.Add {
			clear(dx)
		}
		n, h := r/s.dx.L.H, r%s.dx.L.H-s.h.Start
		if h < 0 || h%s.h.Step != 0 || h/s.h.Step >= l.H {
			continue
		}
		for w := range l.W {
			from := l.Row(n, h/s.h.Step) + w*l.SW
			at := (s.w.Start+w*s.w.Step)*s.dx.L.C + s.c.Start
			for c, d := range s.dy.F32[from : from+l.C] {
				dx[at+c*s.c.Step] += d
			}
		}
	}
}

// Lower implements [integer.Lowerer]: the codes move, the grid is kept.
func (s *slice) Lower(b *integer.Builder, name string, in []integer.Ref) (integer.Ref, error) {
	if err := movesCodes(s.y, in); err != nil {
		return integer.NoRef, err
	}
	return b.Slice(name, in[0], integer.Slice{C: integer.Range(s.c), H: integer.Range(s.h), W: integer.Range(s.w)}), b.Err()
}
