package autograd

import (
	"errors"
	"math"
)

var (
	errNotBatched = errors.New("the operand must be batched: [N C H W] or [N F]")
	errOneOperand = errors.New("one operand expected")
)

// Pointwise returns the operation y = f(x), element by element, for use with
// [Apply]. Name says what it is in errors, dumps and exports; df is the
// derivative of f. Both are called from several goroutines at once.
//
//	softplus := autograd.Pointwise("softplus",
//		func(x float32) float32 { return float32(math.Log1p(math.Exp(float64(x)))) },
//		func(x float32) float32 { return float32(1 / (1 + math.Exp(-float64(x)))) })
//	y := autograd.Apply("act", softplus, x)
//
// Gradient: dx = f′(x)·dy. The operand has any shape; codes are read as the
// real numbers they stand for. On integers, between a producer of codes and a
// quantizer, the operation becomes a table of codes.
func Pointwise(name string, f, df func(x float32) float32) Op {
	return PointwiseOp{Kind: name, F: f, DF: df}
}

// PointwiseOp is the operation made by [Pointwise].
type PointwiseOp struct {
	Kind string
	// F is the function, DF its derivative.
	F, DF func(x float32) float32
	// NonNegative says that F is never below 0; see [Spec].
	NonNegative bool
}

// Name returns Kind.
func (o PointwiseOp) Name() string { return o.Kind }

// Infer implements [Op].
func (o PointwiseOp) Infer(_ Env, in []Type) (Spec, error) {
	switch {
	case o.F == nil || o.DF == nil:
		return Spec{}, errors.New("the operation lacks its function or its derivative")
	case len(in) != 1:
		return Spec{}, errOneOperand
	}
	if err := checkReal(in[0]); err != nil {
		return Spec{}, err
	}
	s := Spec{Out: in[0].Floats(), ReadsIn: []bool{true}, InPlace: in[0].DType == Float32, NonNegative: o.NonNegative}
	s.floatBuffer(in, 0, Border{})
	return s, nil
}

type pointwise struct {
	PointwiseOp
	x                 *asFloats
	y, dx, dy         View
	forward, backward *rowLoop
}

// Bind implements [Op].
func (o PointwiseOp) Bind(b *Binding) Step {
	s := &pointwise{PointwiseOp: o, x: b.floatsOf(0, Border{}), y: b.Out, dx: b.GradIn[0], dy: b.GradOut}
	s.forward, s.backward = overRows(s.y, s.apply), overRows(s.y, s.derive)
	return s
}

func (s *pointwise) Forward(c *Context) {
	s.x.run(c)
	s.forward.run(c)
}

func (s *pointwise) apply(_, r0, r1 int) {
	for r := r0; r < r1; r++ {
		y := s.y.f32Row(r)
		for i, v := range s.x.f32Row(r) {
			y[i] = s.F(v)
		}
	}
}

// dx = f′(x)·dy.
func (s *pointwise) Backward(c *Context) {
	if !s.dx.Empty() {
		s.x.run(c)
		s.backward.run(c)
	}
}

func (s *pointwise) derive(_, r0, r1 int) {
	for r := r0; r < r1; r++ {
		dx, dy := s.dx.f32Row(r), s.dy.f32Row(r)
		for i, v := range s.x.f32Row(r) {
			d := float32(s.DF(v) * dy[i])
			if s.dx.Add {
				d += dx[i]
			}
			dx[i] = d
		}
	}
}

// Sigmoid returns y = 1/(1+e^-x), element by element.
//
// Gradient: dx = y·(1−y)·dy.
func Sigmoid(name string, x *Node) *Node { return Apply(name, sigmoidOp, x) }

var sigmoidOp = PointwiseOp{
	Kind:        "sigmoid",
	F:           func(x float32) float32 { return float32(logistic(x)) },
	DF:          func(x float32) float32 { return float32(logistic(x) * logistic(-x)) },
	NonNegative: true,
}

// logistic needs no case distinction: e^-x overflows to infinity and gives 0.
func logistic(x float32) float64 { return 1 / (1 + math.Exp(-float64(x))) }

// Tanh returns y = tanh x, element by element.
//
// Gradient: dx = (1−y²)·dy.
func Tanh(name string, x *Node) *Node { return Apply(name, tanhOp, x) }

var tanhOp = Pointwise("tanh",
	func(x float32) float32 { return float32(math.Tanh(float64(x))) },
	func(x float32) float32 {
		c := math.Cosh(float64(x)) // 1 − tanh² would cancel
		return float32(1 / (c * c))
	})

// HardSwish returns y = x·min(max(x+3, 0), 6)/6, element by element (Howard et
// al., Searching for MobileNetV3, 2019).
//
// Gradient: dx = dy·(2x+3)/6 for −3 < x < 3, dy above, 0 below.
func HardSwish(name string, x *Node) *Node { return Apply(name, hardSwishOp, x) }

var hardSwishOp = Pointwise("hard_swish",
	func(x float32) float32 { return x * min(max(x+3, 0), 6) / 6 },
	func(x float32) float32 {
		switch {
		case x <= -3:
			return 0
		case x >= 3:
			return 1
		default:
			return (float32(2*x) + 3) / 6
		}
	})
