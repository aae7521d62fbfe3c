package autograd

import (
	"errors"
	"fmt"

	"github.com/bitgrad/bitgrad/integer"
)

// Flatten returns each sample of x [N C H W] as a vector in the order of its
// axes: y[n (c·H+h)·W+w] = x[n c h w], of shape [N C·H·W]. Codes stay codes on
// the same grid.
//
// Gradient: dx is dy in the shape of x.
func Flatten(name string, x *Node) *Node { return Apply(name, FlattenOp{}, x) }

// Reshape returns each sample of x in another shape, [C H W] or [F], with the
// same number of elements; the elements keep their order, which is that of the
// axes. Codes stay codes on the same grid.
//
// Gradient: dx is dy in the shape of x.
func Reshape(name string, x *Node, sample ...int) *Node {
	return Apply(name, ReshapeOp{Sample: append([]int(nil), sample...)}, x)
}

// FlattenOp is the operation of [Flatten].
type FlattenOp struct{}

// ReshapeOp is the operation of [Reshape].
type ReshapeOp struct{ Sample []int }

// Name returns "flatten".
func (FlattenOp) Name() string { return "flatten" }

// Name returns "reshape".
func (ReshapeOp) Name() string { return "reshape" }

// Infer implements [Op].
func (FlattenOp) Infer(_ Env, in []Type) (Spec, error) {
	n, err := sampleElements(in)
	if err != nil {
		return Spec{}, err
	}
	return moved(in, movable(in[0]), in[0].Shape[0], n)
}

// Infer implements [Op].
func (o ReshapeOp) Infer(_ Env, in []Type) (Spec, error) {
	n, err := sampleElements(in)
	if err != nil {
		return Spec{}, err
	}
	if len(o.Sample) != 1 && len(o.Sample) != 3 {
		return Spec{}, fmt.Errorf("sample shape %v: must be [C H W] or [F]", o.Sample)
	}
	rest := n
	for _, e := range o.Sample {
		if e <= 0 || rest%e != 0 {
			return Spec{}, fmt.Errorf("sample shape %v: the operand has %d elements per sample", o.Sample, n)
		}
		rest /= e
	}
	if rest != 1 {
		return Spec{}, fmt.Errorf("sample shape %v: the operand has %d elements per sample", o.Sample, n)
	}
	return moved(in, movable(in[0]), append([]int{in[0].Shape[0]}, o.Sample...)...)
}

func sampleElements(in []Type) (int, error) {
	if len(in) != 1 {
		return 0, errOneOperand
	}
	x := in[0]
	if x.Plain || len(x.Shape) != 2 && len(x.Shape) != 4 {
		return 0, errNotBatched
	}
	if err := checkReal(x); err != nil {
		return 0, err
	}
	return x.WithBatch(1).Elements(), nil
}

// errTooLarge refuses values whose elements could not be counted.
var errTooLarge = errors.New("the value has too many elements")

// reshape moves elements of samples from one order to another.
type reshape struct {
	x         *asFloats
	y, dx, dy View
	// Offsets of the elements of one sample, in the order of the axes.
	from, to, gradFrom, gradTo []int
	forward, backward          func(worker, n int)
}

// Bind implements [Op].
func (FlattenOp) Bind(b *Binding) Step { return bindReshape(b) }

// Bind implements [Op].
func (ReshapeOp) Bind(b *Binding) Step { return bindReshape(b) }

func bindReshape(b *Binding) Step {
	x := b.source(0)
	s := &reshape{x: x, y: b.Out, dx: b.GradIn[0], dy: b.GradOut}
	s.from, s.to = sampleOffsets(s.x.View), sampleOffsets(s.y)
	s.forward = s.sample
	if !s.dx.Empty() {
		s.gradFrom, s.gradTo = sampleOffsets(s.dy), sampleOffsets(s.dx)
		s.backward = s.back
	}
	return s
}

// sampleOffsets returns where the elements of sample 0 lie, in the order of
// the axes [C H W].
func sampleOffsets(v View) []int {
	at := make([]int, 0, v.L.C*v.L.H*v.L.W)
	for c := range v.L.C {
		for h := range v.L.H {
			for w := range v.L.W {
				at = append(at, v.L.At(0, h, w, c))
			}
		}
	}
	return at
}

func (s *reshape) Forward(c *Context) {
	s.x.run(c)
	c.Pool.Run(s.y.L.N, s.forward)
}

func (s *reshape) sample(_, n int) {
	x, y := n*s.x.L.SN, n*s.y.L.SN
	switch {
	case s.y.F32 != nil:
		permute(s.y.F32[y:], s.x.F32[x:], s.to, s.from)
	case s.y.U8 != nil:
		permute(s.y.U8[y:], s.x.U8[x:], s.to, s.from)
	case s.y.I32 != nil:
		permute(s.y.I32[y:], s.x.I32[x:], s.to, s.from)
	default:
		permute(s.y.I64[y:], s.x.I64[x:], s.to, s.from)
	}
}

func permute[T any](dst, src []T, to, from []int) {
	from = from[:len(to)]
	for i, at := range to {
		dst[at] = src[from[i]]
	}
}

// dx = dy in the shape of x.
func (s *reshape) Backward(c *Context) {
	if s.backward != nil {
		c.Pool.Run(s.dx.L.N, s.backward)
	}
}

func (s *reshape) back(_, n int) {
	dx, dy := s.dx.F32[n*s.dx.L.SN:], s.dy.F32[n*s.dy.L.SN:]
	if !s.dx.Add {
		permute(dx, dy, s.gradTo, s.gradFrom)
		return
	}
	for i, at := range s.gradTo {
		dx[at] += dy[s.gradFrom[i]]
	}
}

// Lower implements [integer.Lowerer]: the codes move, the grid is kept.
func (s *reshape) Lower(b *integer.Builder, name string, in []integer.Ref) (integer.Ref, error) {
	if err := movesCodes(s.y, in); err != nil {
		return integer.NoRef, err
	}
	l := s.y.L
	return b.Reshape(name, in[0], integer.Reshape{C: l.C, H: l.H, W: l.W}), b.Err()
}
