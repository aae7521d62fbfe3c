package autograd

import "errors"

// MeanSquaredError returns the mean over all elements of (x − t)², one float32,
// for x and t of the same batched shape.
//
// Gradients: dx = 2(x − t)/K·dy and dt = −dx, K the number of elements.
func MeanSquaredError(name string, x, target *Node) *Node {
	return Apply(name, MeanSquaredErrorOp{}, x, target)
}

// MeanSquaredErrorOp is the operation of [MeanSquaredError].
type MeanSquaredErrorOp struct{}

// Name returns "meansquarederror".
func (MeanSquaredErrorOp) Name() string { return "meansquarederror" }

// Infer implements [Op].
func (MeanSquaredErrorOp) Infer(_ Env, in []Type) (Spec, error) {
	if len(in) != 2 {
		return Spec{}, errors.New("a value and its target expected")
	}
	if !in[0].SameShape(in[1]) {
		return Spec{}, errors.New("the operands differ in shape")
	}
	if in[0].Plain || len(in[0].Shape) < 2 {
		return Spec{}, errNotBatched
	}
	s := Spec{Out: scalarType(), ReadsIn: []bool{true, true}}
	for i, t := range in {
		if err := checkReal(t); err != nil {
			return Spec{}, err
		}
		s.floatBuffer(in, i, Border{})
	}
	return s, nil
}

type meanSquaredError struct {
	x, t              *asFloats
	y, dy             View
	grads             []View
	elements          float64
	sums              []float64 // per block of rows
	forward, backward *rowLoop
}

// Bind implements [Op].
func (MeanSquaredErrorOp) Bind(b *Binding) Step {
	s := &meanSquaredError{x: b.floatsOf(0, Border{}), t: b.floatsOf(1, Border{}), y: b.Out, dy: b.GradOut, grads: b.GradIn}
	rows, length := s.x.Rows()
	s.elements = float64(rows) * float64(length)
	s.forward, s.backward = overRows(s.x.View, s.sum), overRows(s.x.View, s.derive)
	s.sums = make([]float64, s.forward.blocks())
	return s
}

func (s *meanSquaredError) Forward(c *Context) {
	s.x.run(c)
	s.t.run(c)
	s.forward.run(c)
	sum := 0.0
	for _, v := range s.sums {
		sum += v
	}
	s.y.F32[0] = float32(sum / s.elements)
}

func (s *meanSquaredError) sum(block, r0, r1 int) {
	sum := 0.0
	for r := r0; r < r1; r++ {
		t := s.t.f32Row(r)
		for i, v := range s.x.f32Row(r) {
			d := float64(v) - float64(t[i])
			sum += d * d
		}
	}
	s.sums[block] = sum
}

// dx = 2(x − t)/K·dy, dt = −dx.
func (s *meanSquaredError) Backward(c *Context) {
	s.x.run(c)
	s.t.run(c)
	s.backward.run(c)
}

func (s *meanSquaredError) derive(_, r0, r1 int) {
	g := float32(2 * float64(s.dy.F32[0]) / s.elements)
	for r := r0; r < r1; r++ {
		x, t := s.x.f32Row(r), s.t.f32Row(r)
		for i, dst := range s.grads {
			if dst.Empty() {
				continue
			}
			sign := g
			if i == 1 {
				sign = -g
			}
			dx := dst.f32Row(r)
			for k, v := range x {
				d := float32((v - t[k]) * sign)
				if dst.Add {
					d += dx[k]
				}
				dx[k] = d
			}
		}
	}
}
