package autograd

import (
	"fmt"

	"github.com/bitgrad/bitgrad/integer"
)

// Pad returns x [N C H W] with a frame of real zeros around H and W:
//
//	y[n c h w] = x[n c h−top w−left] inside, 0 elsewhere
//
// The result is [N C top+H+bottom left+W+right]. Codes stay codes on the same
// grid; their frame is the zero point.
//
// Gradient: dx is the inner part of dy.
func Pad(name string, x *Node, frame Border) *Node { return Apply(name, PadOp{Frame: frame}, x) }

// PadOp is the operation of [Pad].
type PadOp struct{ Frame Border }

// Name returns "pad".
func (PadOp) Name() string { return "pad" }

// Infer implements [Op].
func (o PadOp) Infer(_ Env, in []Type) (Spec, error) {
	if len(in) != 1 {
		return Spec{}, errOneOperand
	}
	x, f := in[0], o.Frame
	if x.Plain || len(x.Shape) != 4 {
		return Spec{}, fmt.Errorf("the operand must be an image [N C H W]")
	}
	for _, e := range []int{f.Top, f.Left, f.Bottom, f.Right} {
		if e < 0 || e > maxExtent/4 {
			return Spec{}, fmt.Errorf("frame %d,%d,%d,%d: every side must be 0 to %d", f.Top, f.Left, f.Bottom, f.Right, maxExtent/4)
		}
	}
	c, h, w := x.CHW()
	if h > maxExtent/4 || w > maxExtent/4 {
		return Spec{}, errTooLarge
	}
	keep := movable(x) && !(x.IsCodes() && x.Format.MidRise)
	s, err := moved(in, keep, x.Shape[0], c, f.Top+h+f.Bottom, f.Left+w+f.Right)
	s.Note = fmt.Sprintf("frame %d,%d,%d,%d", f.Top, f.Left, f.Bottom, f.Right)
	return s, err
}

type pad struct {
	Border
	x                 *asFloats
	y, dx, dy         View
	zero              int32
	forward, backward *rowLoop
}

// Bind implements [Op].
func (o PadOp) Bind(b *Binding) Step {
	x := b.source(0)
	s := &pad{Border: o.Frame, x: x, y: b.Out, dx: b.GradIn[0], dy: b.GradOut}
	s.forward, s.backward = overRows(s.y, s.place), overRows(s.x.View, s.crop)
	return s
}

func (s *pad) Forward(c *Context) {
	s.x.run(c)
	if s.y.IsCodes() {
		s.zero = ZeroCode(s.y.Grid)
	}
	s.forward.run(c)
}

func (s *pad) place(_, r0, r1 int) {
	_, row := s.y.Rows()
	left, inner := s.Left*s.y.L.C, s.x.L.W*s.y.L.C
	for r := r0; r < r1; r++ {
		n, h := r/s.y.L.H, r%s.y.L.H-s.Top
		to := s.y.L.Row(n, h+s.Top)
		if h < 0 || h >= s.x.L.H {
			fillZero(s.y, to, row, s.zero)
			continue
		}
		fillZero(s.y, to, left, s.zero)
		s.y.Copy(to+left, s.x.View, s.x.L.Row(n, h), inner)
		fillZero(s.y, to+left+inner, row-left-inner, s.zero)
	}
}

// dx[h w] = dy[h+top w+left].
func (s *pad) Backward(c *Context) {
	if !s.dx.Empty() {
		s.backward.run(c)
	}
}

func (s *pad) crop(_, r0, r1 int) {
	for r := r0; r < r1; r++ {
		n, h := r/s.dx.L.H, r%s.dx.L.H
		from := s.dy.L.Row(n, h+s.Top) + s.Left*s.dy.L.C
		dx := s.dx.f32Row(r)
		copyRow(dx, s.dy.F32[from:from+len(dx)], s.dx.Add)
	}
}

// Lower implements [integer.Lowerer]: the codes move, the grid is kept.
func (s *pad) Lower(b *integer.Builder, name string, in []integer.Ref) (integer.Ref, error) {
	if err := movesCodes(s.y, in); err != nil {
		return integer.NoRef, err
	}
	p := integer.Pads{Top: s.Top, Left: s.Left, Bottom: s.Bottom, Right: s.Right}
	return b.Pad(name, in[0], integer.Pad{Pad: p}), b.Err()
}
