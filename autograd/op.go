package autograd

import "github.com/bitgrad/bitgrad/quant"

// An Op is an immutable description of one differentiable operation. One Op
// value may serve many programs; what a program needs per run lives in the
// [Step] that Bind returns. Adding an operation takes one file, inside this
// package or outside it; examples/custom has one of each kind:
//
//   - a function of single elements is a [Pointwise] and needs nothing more;
//   - an operation that moves elements says so in its [Spec], and its step
//     implements [integer.Lowerer];
//   - any other one runs on floats. It trains, and lowering refuses it.
type Op interface {
	// Name identifies the kind of operation in errors, dumps and exports: "conv2d".
	Name() string
	// Infer checks the operands and describes the result. It is the only place
	// where a user's mistake surfaces: an error names the reason, the graph
	// adds the node and the shapes. The batch axis may be [Open].
	Infer(env Env, in []Type) (Spec, error)
	// Bind is called once per program, with the batch size known and every
	// buffer placed. It may allocate and picks kernels.
	Bind(b *Binding) Step
}

// A Step runs one node of a program. Its methods cannot fail and allocate
// nothing. Forward writes every element of its output (not of its border);
// Backward writes, or adds to where the view says so, the gradient of every
// input whose view is not empty.
type Step interface {
	Forward(c *Context)
	Backward(c *Context)
}

// Stateful is implemented by operations that own state.
type Stateful interface{ States() []*State }

// Env is what Infer may know about the program it is asked for.
type Env struct {
	Mode    Mode
	Workers int
}

// Buffer is a request for memory.
type Buffer struct {
	DType DType
	Len   int
}

// Spec is what Infer says of a node.
type Spec struct {
	Out Type
	// Border[i] is the frame that the node wants around input i, filled with
	// real zero. Missing entries mean none. Only images [N C H W] get one.
	Border []Border
	// GradBorder is the zero frame wanted around the gradient of the output to
	// compute that of input 0; where the latter is not wanted there is none.
	GradBorder Border
	// Saved buffers live from the node's Forward to its Backward.
	Saved []Buffer
	// Scratch buffers live during one call of Forward or Backward; all nodes
	// of a program share one region for them.
	Scratch []Buffer
	// GradScratch are further ones, which only a node with a backward pass has.
	GradScratch []Buffer
	// ReadsIn[i] says that Backward reads the value of input i; a missing entry
	// means that it does not. ReadsOut says the same of the output.
	ReadsIn  []bool
	ReadsOut bool
	// InPlace says that the output may share the memory of input 0: Forward
	// then reads each element before it writes it.
	InPlace bool
	// NoGrad[i] says that the operation has no derivative for input i.
	NoGrad []bool
	// Moves says that the result consists of elements of input 0, and zeros. Where
	// both are codes the program gives the result the grid of the input, and
	// quantization puts no quantizer behind the node.
	Moves bool
	// NonNegative says that no element of the result is ever below 0, whatever
	// the inputs: quantization gives it a grid without negative codes.
	NonNegative bool
	// MACs and the like for reports: multiply-accumulates per sample.
	MACs int64
	// Note is a short remark for dumps ("3x3 stride 2 pad 0,0,1,1").
	Note string
}

// Binding is what a Step is made from.
type Binding struct {
	Env
	Node *Node
	In   []View
	Out  View
	// GradIn[i] is empty where no gradient is wanted; GradOut is empty where
	// there is no backward pass. Gradients are float32 with respect to the real
	// value, also where the value consists of codes.
	GradIn  []View
	GradOut View
	Saved   []Memory
	Scratch []Memory
	Pool    *Pool
	Batch   int
	Seed    uint64
	fill    *borderFill // of Out, after Forward; a step that does it itself takes it
}

// Context travels through one run of a program.
type Context struct {
	Pool *Pool
	// Step and Micro number the optimizer step and the micro-batch inside it;
	// with the program's seed they key everything random.
	Step  uint64
	Micro uint32
	// NaNs counts elements that were NaN or infinite where a kernel looked.
	NaNs int64
}

// State is a named vector that belongs to a graph but is not trained by
// gradient: moving statistics, observed ranges. Forward stages writes; they
// count only once [Program.Commit] is called, so a step that turns out bad
// leaves no trace.
type State struct {
	Name   string
	Value  []float32
	next   []float32
	staged bool
}

// NewState returns a state with the given initial value, which it owns.
func NewState(name string, value []float32) *State {
	return &State{Name: name, Value: value, next: append([]float32(nil), value...)}
}

// Stage returns the slice that becomes the state's value at the next commit.
// On the first call of a step it holds a copy of the current value.
func (s *State) Stage() []float32 {
	if !s.staged {
		copy(s.next, s.Value)
		s.staged = true
	}
	return s.next
}

// Staged reports whether an uncommitted write is pending.
func (s *State) Staged() bool { return s.staged }

// Commit makes the staged value current.
func (s *State) Commit() {
	if s.staged {
		copy(s.Value, s.next)
		s.staged = false
	}
}

// Discard drops the staged value.
func (s *State) Discard() { s.staged = false }

// ZeroCode returns the code of real zero on grid g, 0 where g is nil.
func ZeroCode(g *quant.Grid) int32 {
	if g == nil {
		return 0
	}
	return g.ZeroPoint
}
