package autograd

import (
	"errors"

	"github.com/bitgrad/bitgrad/internal/kernels"
)

// Add returns y = a + b, element by element.
//
// Operands of different shape are broadcast: an axis of extent 1 is repeated,
// so that [N C 1 1] fits [N C H W]. A parameter, which has no batch, is aligned
// at the last axis, as in NumPy: [C 1 1] and [H W] fit [N C H W], [F] fits
// [N F]. Codes are read as the real numbers they stand for.
//
// Gradients: da = db = dy, summed over the axes that an operand repeats.
func Add(name string, a, b *Node) *Node { return Apply(name, AddOp{}, a, b) }

// Subtract returns y = a − b, element by element, with the shapes of [Add].
//
// Gradients: da = dy, db = −dy, summed over the axes that an operand repeats.
func Subtract(name string, a, b *Node) *Node { return Apply(name, SubtractOp{}, a, b) }

// Multiply returns y = a·b, element by element, with the shapes of [Add].
//
// Gradients: da = b·dy, db = a·dy, summed over the axes that an operand repeats.
func Multiply(name string, a, b *Node) *Node { return Apply(name, MultiplyOp{}, a, b) }

// AddOp is the operation of [Add].
type AddOp struct{}

// SubtractOp is the operation of [Subtract].
type SubtractOp struct{}

// MultiplyOp is the operation of [Multiply].
type MultiplyOp struct{}

// Name returns "add".
func (AddOp) Name() string { return "add" }

// Name returns "subtract".
func (SubtractOp) Name() string { return "subtract" }

// Name returns "multiply".
func (MultiplyOp) Name() string { return "multiply" }

// Infer implements [Op].
func (AddOp) Infer(_ Env, in []Type) (Spec, error) { return inferBinary(in, false) }

// Infer implements [Op].
func (SubtractOp) Infer(_ Env, in []Type) (Spec, error) { return inferBinary(in, false) }

// Infer implements [Op].
func (MultiplyOp) Infer(_ Env, in []Type) (Spec, error) { return inferBinary(in, true) }

func inferBinary(in []Type, product bool) (Spec, error) {
	if len(in) != 2 {
		return Spec{}, errors.New("two operands expected")
	}
	out, err := broadcastTypes(in[0], in[1])
	if err != nil {
		return Spec{}, err
	}
	s := Spec{Out: out, ReadsIn: []bool{product, product}, InPlace: in[0].DType == Float32}
	s.floatBuffer(in, 0, Border{})
	s.floatBuffer(in, 1, Border{})
	return s, nil
}

// Bind implements [Op].
func (AddOp) Bind(b *Binding) Step {
	return bindBinary(b, kernels.Add,
		func(a, b float32) float32 { return a + b },
		[2]float32{1, 1}, false)
}

// Bind implements [Op].
func (SubtractOp) Bind(b *Binding) Step {
	return bindBinary(b,
		func(y, a, b []float32) {
			a, b = a[:len(y)], b[:len(y)]
			for i := range y {
				y[i] = a[i] - b[i]
			}
		},
		func(a, b float32) float32 { return a - b },
		[2]float32{1, -1}, false)
}

// Bind implements [Op].
func (MultiplyOp) Bind(b *Binding) Step {
	return bindBinary(b,
		func(y, a, b []float32) {
			a, b = a[:len(y)], b[:len(y)]
			for i := range y {
				y[i] = a[i] * b[i]
			}
		},
		func(a, b float32) float32 { return a * b },
		[2]float32{}, true)
}
