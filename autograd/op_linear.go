package autograd

import (
	"errors"
	"fmt"

	"github.com/bitgrad/bitgrad/internal/kernels"
)

// Linear returns the fully connected layer y = x·wᵀ + b,
//
//	y[n o] = b[o] + Σ over i of w[o i]·x[n i]
//
// for x [N I], w [O I] and b [O], which may be nil.
//
// Gradients: dx = dy·w, dw = dyᵀ·x, db = Σ over n of dy.
func Linear(name string, x, w, b *Node) *Node { return Apply(name, LinearOp{}, x, w, b) }

// LinearOp is the operation of [Linear]; its operands are x, w and, with a
// bias, b.
type LinearOp struct{}

// Name returns "linear".
func (LinearOp) Name() string { return "linear" }

// Infer implements [Op].
func (LinearOp) Infer(_ Env, in []Type) (Spec, error) {
	if len(in) != 2 && len(in) != 3 {
		return Spec{}, errors.New("an input, a weight and at most a bias expected")
	}
	x, w := in[0], in[1]
	if x.Plain || len(x.Shape) != 2 {
		if !x.Plain && len(x.Shape) == 4 {
			return Spec{}, errors.New("the input is an image: flatten it first")
		}
		return Spec{}, errors.New("the input must be [N I]")
	}
	if err := checkReal(x); err != nil {
		return Spec{}, err
	}
	if !w.Plain || len(w.Shape) != 2 {
		return Spec{}, errors.New("the weight must be [O I]")
	}
	if err := checkReal(w); err != nil {
		return Spec{}, fmt.Errorf("weight: %w", err)
	}
	o, i := w.Shape[0], w.Shape[1]
	if x.Shape[1] != i {
		return Spec{}, fmt.Errorf("%d input features, weight has %d", x.Shape[1], i)
	}
	if len(in) == 3 {
		if err := checkVector("bias", in[2], o); err != nil {
			return Spec{}, err
		}
	}
	out := Type{Shape: []int{x.Shape[0], o}}
	if err := checkReal(out); err != nil {
		return Spec{}, err
	}
	spec := Spec{Out: out, ReadsIn: []bool{true, true, false}, MACs: int64(o) * int64(i)}
	spec.floatBuffer(in, 0, Border{})
	if len(in) == 3 {
		spec.floatBuffer(in, 2, Border{})
	}
	return spec, nil
}

const (
	// linearBlock is the number of rows of a matrix that one worker computes at a
	// time.
	linearBlock = 28
	// codeColumns is the number of columns of a weight that one worker reads as real
	// numbers at a time.
	codeColumns = 64
)

// linear is the step of [LinearOp].
type linear struct {
	kernels.Linear
	n       int
	x, b    *asFloats
	w       View
	y       View
	dx, dw  View
	dy      View
	packed  packed
	db      *channelSums
	floats  []float32   // the weight, if it is codes and the forward pass runs
	columns [][]float32 // of the weight, per worker, if it is codes
	forward func(worker, i int)
	input   func(worker, i int)
	weight  func(worker, i int)
}

// Bind implements [Op].
func (LinearOp) Bind(b *Binding) Step {
	w := b.In[1].Type
	s := &linear{Linear: kernels.Linear{I: w.Shape[1], O: w.Shape[0]}, n: b.Batch, w: b.In[1],
		y: b.Out, dx: b.GradIn[0], dw: b.GradIn[1], dy: b.GradOut}
	s.x = b.floatsOf(0, Border{})
	if len(b.In) == 3 {
		s.b = b.floatsOf(2, Border{})
		s.db = newChannelSums(b.GradIn[2], b.GradOut)
	}
	s.packed = packed{param: b.Node.Input(1).Param(), size: s.ForwardSize(), pieces: s.ForwardPanels(), pack: s.PackForwardPanel}
	s.forward = s.forwardBlock
	if !s.dx.Empty() {
		s.input = s.inputBlock
		if s.w.Elem() != Float32 {
			s.input = s.inputColumns
			s.columns = make([][]float32, b.Pool.Workers())
			for i := range s.columns {
				s.columns[i] = make([]float32, s.O*codeColumns)
			}
		}
	}
	if !s.dw.Empty() {
		s.weight = s.weightBlock
	}
	return s
}

func (s *linear) Forward(c *Context) {
	s.x.run(c)
	if s.b != nil {
		s.b.run(c)
	}
	s.packed.update(c, s.realWeights())
	c.Pool.Run(blocks(s.n, linearBlock), s.forward)
}

// realWeights returns the weight as real numbers.
func (s *linear) realWeights() []float32 {
	if s.w.Elem() == Float32 {
		return s.w.F32
	}
	if s.floats == nil { // a fused operation may never run the forward pass
		s.floats = make([]float32, s.O*s.I)
	}
	for o := range s.O {
		s.w.expandChannel(s.floats[o*s.I:(o+1)*s.I], o*s.I, o)
	}
	return s.floats
}

func (s *linear) forwardBlock(_, i int) {
	var bias []float32
	if s.b != nil {
		bias = s.b.F32
	}
	s.Linear.Forward(s.y.F32, s.x.F32, s.packed.buf, bias, i*linearBlock, min((i+1)*linearBlock, s.n))
}

// dx[n i] = Σ over o of dy[n o]·w[o i]; dw[o i] = Σ over n of dy[n o]·x[n i];
// db[o] = Σ over n of dy[n o].
func (s *linear) Backward(c *Context) {
	switch {
	case s.input == nil:
	case s.columns != nil:
		c.Pool.Run(blocks(s.I, codeColumns), s.input)
	default:
		c.Pool.Run(blocks(s.n, linearBlock), s.input)
	}
	if s.weight != nil {
		s.x.run(c)
		c.Pool.Run(blocks(s.O, linearBlock), s.weight)
	}
	if s.db != nil {
		s.db.run(c)
	}
}

func (s *linear) inputBlock(_, i int) {
	s.BackwardInput(s.dx.F32, s.dy.F32, s.w.F32, i*linearBlock, min((i+1)*linearBlock, s.n), s.dx.Add)
}

// inputColumns computes some columns of dx from as many of the weight.
func (s *linear) inputColumns(worker, i int) {
	from, to := i*codeColumns, min((i+1)*codeColumns, s.I)
	w := s.columns[worker][:s.O*(to-from)]
	for o := range s.O {
		s.w.expandChannel(w[o*(to-from):(o+1)*(to-from)], o*s.I+from, o)
	}
	s.BackwardInputColumns(s.dx.F32, s.dy.F32, w, s.n, from, to, s.dx.Add)
}

func (s *linear) weightBlock(_, i int) {
	s.BackwardWeight(s.dw.F32, s.x.F32, s.dy.F32, s.n, i*linearBlock, min((i+1)*linearBlock, s.O), s.dw.Add)
}
