package autograd

import "math"

// Softmax returns the probabilities over the channels,
//
//	y[n c h w] = e^(x[n c h w] − m) / Σ over k of e^(x[n k h w] − m)
//
// for x [N C] or [N C H W], where m is the largest x of the pixel, so that
// nothing overflows.
//
// Gradient: dx = y·(dy − Σ over k of dy[k]·y[k]).
func Softmax(name string, x *Node) *Node { return Apply(name, SoftmaxOp{}, x) }

// SoftmaxOp is the operation of [Softmax].
type SoftmaxOp struct{}

// Name returns "softmax".
func (SoftmaxOp) Name() string { return "softmax" }

// Infer implements [Op].
func (SoftmaxOp) Infer(_ Env, in []Type) (Spec, error) {
	if len(in) != 1 {
		return Spec{}, errOneOperand
	}
	if in[0].Plain || len(in[0].Shape) < 2 {
		return Spec{}, errNotBatched
	}
	if err := checkReal(in[0]); err != nil {
		return Spec{}, err
	}
	s := Spec{Out: in[0].Floats(), ReadsOut: true, InPlace: in[0].DType == Float32, NonNegative: true}
	s.floatBuffer(in, 0, Border{})
	return s, nil
}

type softmax struct {
	x                 *asFloats
	y, dx, dy         View
	forward, backward *rowLoop
}

// Bind implements [Op].
func (SoftmaxOp) Bind(b *Binding) Step {
	s := &softmax{x: b.floatsOf(0, Border{}), y: b.Out, dx: b.GradIn[0], dy: b.GradOut}
	s.forward, s.backward = overRows(s.y, s.apply), overRows(s.y, s.derive)
	return s
}

func (s *softmax) Forward(c *Context) {
	s.x.run(c)
	s.forward.run(c)
}

func (s *softmax) apply(_, r0, r1 int) {
	c := s.y.L.C
	for r := r0; r < r1; r++ {
		x, y := s.x.f32Row(r), s.y.f32Row(r)
		for ; len(x) > 0; x, y = x[c:], y[c:] {
			m, sum := expSum(x[:c])
			for i, v := range x[:c] {
				y[i] = float32(math.Exp(float64(v)-m) / sum)
			}
		}
	}
}

// expSum returns the largest x as m, and Σ e^(x−m).
func expSum(x []float32) (m, sum float64) {
	largest := x[0]
	for _, v := range x {
		largest = max(largest, v)
	}
	m = float64(largest)
	for _, v := range x {
		sum += math.Exp(float64(v) - m)
	}
	return m, sum
}

// dx = y·(dy − Σ dy·y).
func (s *softmax) Backward(c *Context) {
	if !s.dx.Empty() {
		s.backward.run(c)
	}
}

func (s *softmax) derive(_, r0, r1 int) {
	c := s.y.L.C
	for r := r0; r < r1; r++ {
		y, dx, dy := s.y.f32Row(r), s.dx.f32Row(r), s.dy.f32Row(r)
		for ; len(y) > 0; y, dx, dy = y[c:], dx[c:], dy[c:] {
			dot := 0.0
			for i, v := range y[:c] {
				dot += float64(v) * float64(dy[i])
			}
			for i, v := range y[:c] {
				d := float32(float64(v) * (float64(dy[i]) - dot))
				if s.dx.Add {
					d += dx[i]
				}
				dx[i] = d
			}
		}
	}
}
