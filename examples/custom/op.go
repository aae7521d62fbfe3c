package main

import (
	"fmt"
	"math"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/integer"
)

// Mish returns y = x·tanh(ln(1+e^x)), element by element (Misra, 2020). A function
// of single elements needs no more than itself and its derivative; on integers it
// is a table.
func Mish(name string, x *autograd.Node) *autograd.Node { return autograd.Apply(name, mish, x) }

var mish = autograd.Pointwise("mish",
	func(x float32) float32 { return float32(float64(x) * math.Tanh(softplus(float64(x)))) },
	func(x float32) float32 {
		t := math.Tanh(softplus(float64(x)))
		return float32(t + float64(x)*(1-t*t)/(1+math.Exp(-float64(x))))
	})

// softplus is ln(1+e^x); e^x by itself would overflow.
func softplus(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }

// ChannelShuffle deals the channels of x [N C H W] out in turn from the groups that
// they form,
//
//	y[n i·groups+g h w] = x[n g·C/groups+i h w]
//
// so that each group of y has channels of every group of x. Codes stay codes on the
// same grid.
//
// Gradient: dx is dy in the order of x.
func ChannelShuffle(name string, x *autograd.Node, groups int) *autograd.Node {
	return autograd.Apply(name, ShuffleOp{groups}, x)
}

// ShuffleOp is the operation of ChannelShuffle: what it is, without memory. It
// implements [autograd.Op].
type ShuffleOp struct{ Groups int }

// Name returns "channel_shuffle".
func (ShuffleOp) Name() string { return "channel_shuffle" }

// Infer checks the operands. The graph puts the node and the shapes in front of an
// error. Moves says that elements only change their places, so that codes remain
// what they are and need no quantizer behind.
func (o ShuffleOp) Infer(_ autograd.Env, in []autograd.Type) (autograd.Spec, error) {
	if len(in) != 1 || len(in[0].Shape) != 4 {
		return autograd.Spec{}, fmt.Errorf("one image [N C H W] expected")
	}
	if c, _, _ := in[0].CHW(); o.Groups < 1 || c%o.Groups != 0 {
		return autograd.Spec{}, fmt.Errorf("%d channels do not divide into %d groups", c, o.Groups)
	}
	return autograd.Spec{Out: in[0], Moves: true, Note: fmt.Sprintf("%d groups", o.Groups)}, nil
}

// Bind makes the step of one program. Everything that takes memory is done here.
func (o ShuffleOp) Bind(b *autograd.Binding) autograd.Step {
	s := &shuffle{op: o, x: b.In[0], y: b.Out, dx: b.GradIn[0], dy: b.GradOut}
	channels := b.Out.L.C
	for c := range channels {
		s.from = append(s.from, c%o.Groups*(channels/o.Groups)+c/o.Groups)
	}
	s.forward, s.backward = s.row, s.gradRow
	return s
}

// shuffle is the step: it runs many times and allocates nothing.
type shuffle struct {
	op                ShuffleOp
	x, y, dx, dy      autograd.View
	from              []int // the channel of x that each channel of y shows
	forward, backward func(worker, r int)
}

// Forward writes every element of y. Rows are independent of one another, so the
// pool may run them in any order.
func (s *shuffle) Forward(c *autograd.Context) {
	rows, _ := s.y.Rows()
	c.Pool.Run(rows, s.forward)
}

// row r = n·H+h begins at Row(r) and has W pixels at a distance of L.SW, each of C
// elements: floats, or codes of whatever type.
func (s *shuffle) row(_, r int) {
	for w := range s.y.L.W {
		x, y := s.x.Row(r)+w*s.x.L.SW, s.y.Row(r)+w*s.y.L.SW
		for c, from := range s.from {
			s.y.Copy(y+c, s.x, x+from, 1)
		}
	}
}

// Backward writes dx, or adds to it where another reader of x has written already.
// Where nobody wants a gradient dx is empty. Gradients are float32, also of codes.
func (s *shuffle) Backward(c *autograd.Context) {
	if !s.dx.Empty() {
		rows, _ := s.dx.Rows()
		c.Pool.Run(rows, s.backward)
	}
}

func (s *shuffle) gradRow(_, r int) {
	for w := range s.dx.L.W {
		dx, dy := s.dx.F32[s.dx.Row(r)+w*s.dx.L.SW:], s.dy.F32[s.dy.Row(r)+w*s.dy.L.SW:]
		for c, from := range s.from {
			if s.dx.Add {
				dx[from] += dy[c]
			} else {
				dx[from] = dy[c]
			}
		}
	}
}

// Lower implements [integer.Lowerer]. The integer model knows no shuffle, but it
// can take every k-th channel and put the parts behind one another. The last node
// gets the name of the step; those inside begin with it.
func (s *shuffle) Lower(b *integer.Builder, name string, in []integer.Ref) (integer.Ref, error) {
	each := len(s.from) / s.op.Groups
	var parts []integer.Ref
	for i := range each {
		every := integer.Slice{C: integer.Range{Start: i, Step: each}}
		parts = append(parts, b.Slice(fmt.Sprintf("%s/%d", name, i), in[0], every))
	}
	return b.Concat(name, parts, integer.Concat{Grid: b.Node(in[0]).Grid}), nil
}
