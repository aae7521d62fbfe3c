package autograd

import (
	"errors"
	"slices"

	"github.com/bitgrad/bitgrad/internal/kernels"
)

// BiasAdd adds a number to every channel: y[n c h w] = x[n c h w] + b[c] for x
// [N C H W] or [N C] and b [C].
//
// Gradients: dx = dy, db[c] = Σ over n, h, w of dy.
func BiasAdd(name string, x, b *Node) *Node { return Apply(name, BiasAddOp{}, x, b) }

// BiasAddOp is the operation of [BiasAdd].
type BiasAddOp struct{}

// Name returns "bias_add".
func (BiasAddOp) Name() string { return "bias_add" }

// Infer implements [Op].
func (BiasAddOp) Infer(_ Env, in []Type) (Spec, error) {
	if len(in) != 2 {
		return Spec{}, errors.New("an input and a bias expected")
	}
	c, err := checkChannels(in[0])
	if err != nil {
		return Spec{}, err
	}
	if err := checkVector("bias", in[1], c); err != nil {
		return Spec{}, err
	}
	s := Spec{Out: in[0].Floats(), InPlace: in[0].DType == Float32}
	s.floatBuffer(in, 0, Border{})
	s.floatBuffer(in, 1, Border{})
	return s, nil
}

// checkChannels checks an operand [N C H W] or [N C] and returns C.
func checkChannels(t Type) (c int, err error) {
	if t.Plain || len(t.Shape) != 2 && len(t.Shape) != 4 {
		return 0, errors.New("the input must be [N C H W] or [N C]")
	}
	return t.Shape[1], checkReal(t)
}

// biasAdd is the step of [BiasAddOp].
type biasAdd struct {
	x, b     *asFloats
	y        View
	dx, dy   View
	db       *channelSums
	ones     []float32
	forward  *rowLoop
	backward *rowLoop
}

// Bind implements [Op].
func (BiasAddOp) Bind(b *Binding) Step {
	s := &biasAdd{y: b.Out, dx: b.GradIn[0], dy: b.GradOut, db: newChannelSums(b.GradIn[1], b.GradOut)}
	s.x, s.b = b.floatsOf(0, Border{}), b.floatsOf(1, Border{})
	s.ones = slices.Repeat([]float32{1}, s.y.L.C)
	s.forward = overRows(s.y, s.addRows)
	if !s.dx.Empty() {
		s.backward = overRows(s.dx, s.passRows)
	}
	return s
}

func (s *biasAdd) Forward(c *Context) {
	s.x.run(c)
	s.b.run(c)
	s.forward.run(c)
}

func (s *biasAdd) addRows(_, r0, r1 int) {
	for r := r0; r < r1; r++ {
		kernels.ScaleBias(s.y.f32Row(r), s.x.f32Row(r), s.ones, s.b.F32)
	}
}

// dx = dy; db[c] = Σ over n, h, w of dy[n c h w].
func (s *biasAdd) Backward(c *Context) {
	if s.backward != nil {
		s.backward.run(c)
	}
	if s.db != nil {
		s.db.run(c)
	}
}

func (s *biasAdd) passRows(_, r0, r1 int) {
	for r := r0; r < r1; r++ {
		copyRow(s.dx.f32Row(r), s.dy.f32Row(r), s.dx.Add)
	}
}
