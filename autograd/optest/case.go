package optest

import (
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/quant"
)

// Input describes an operand of the operation under test.
type Input struct {
	Name string
	// Shape is the shape of one sample, [C H W], [F] or nil for one label; of a
	// parameter the whole shape.
	Shape []int
	// Param makes the operand a parameter, which is plain, not batched.
	Param bool
	// DType is the element type of an input: Float32, Uint8 or Int32.
	DType autograd.DType
	// Grid makes the operand codes on this grid: the drawn value is quantized,
	// and the reference sees what the code stands for. One scale per tensor.
	Grid *quant.Grid
	// Draw samples the values; nil means Normal(1).
	Draw Sampler
	// NoGrad says that the operation has no derivative for the operand.
	// Operands of integer type have none anyway.
	NoGrad bool
}

// A Case is one operation with its reference.
type Case struct {
	Name   string
	Batch  int // 0 means 2
	Inputs []Input
	// Build adds the operation under test, and anything it needs, to g.
	Build func(g *autograd.Graph, in []*autograd.Node) *autograd.Node
	// Ref is the textbook forward in float64.
	Ref func(in []Array) Array
	// Surrogate, if set, is the function whose derivative the operation claims:
	// equal to Ref at in = base, smooth around it. The base is frozen while in
	// moves.
	Surrogate func(base, in []Array) Array
	// Modes lists the modes to run in; nil means Train.
	Modes []autograd.Mode
	// Tol bounds |value − reference| / (1 + |reference|); 0 means 1e-5. GradTol
	// is that of gradients; 0 means 1e-4.
	Tol, GradTol float64
	// Seed of the draws; the name is mixed in.
	Seed uint64
}

// Check runs the case and reports what is wrong.
func Check(t testing.TB, c Case) {
	t.Helper()
	for _, err := range c.Faults() {
		t.Error(err)
	}
}

// leaf adds input i to the graph.
func (c Case) leaf(g *autograd.Graph, i int) (leaf, operand *autograd.Node) {
	in := c.Inputs[i]
	if in.Param {
		leaf = g.Param(in.Name, autograd.Weight, nil, in.Shape...)
	} else {
		leaf = g.Input(in.Name, in.DType, in.Shape...)
	}
	if in.Grid != nil {
		return leaf, g.Apply(in.Name+".codes", codesOp{*in.Grid}, leaf)
	}
	return leaf, leaf
}

// graph builds the operation on its leaves.
func (c Case) graph() (g *autograd.Graph, leaves, operands []*autograd.Node, y *autograd.Node) {
	g = autograd.NewGraph(c.Name)
	for i := range c.Inputs {
		l, o := c.leaf(g, i)
		leaves, operands = append(leaves, l), append(operands, o)
	}
	return g, leaves, operands, c.Build(g, operands)
}

func (c Case) batch() int {
	if c.Batch == 0 {
		return 2
	}
	return c.Batch
}

func (c Case) modes() []autograd.Mode {
	if len(c.Modes) == 0 {
		return []autograd.Mode{autograd.Train}
	}
	return c.Modes
}

func (in Input) differentiable() bool { return !in.NoGrad && in.DType == autograd.Float32 }

// shape returns the shape of the whole operand.
func (in Input) shape(batch int) []int {
	if in.Param {
		return in.Shape
	}
	return append([]int{batch}, in.Shape...)
}
