package autograd

import (
	"errors"
	"fmt"

	"github.com/bitgrad/bitgrad/integer"
)

// ChannelPad returns x [N C H W] with channels of zeros before and after its own,
//
//	y[n c i j] = x[n c−before i j] for before ≤ c < before + C, else 0,
//
// of shape [N before+C+after H W]. Codes stay codes on their grid, the new ones
// standing for zero; where the grid has no zero, or a scale per channel, the
// result is float32.
//
// Gradient: dx[n c i j] = dy[n c+before i j].
func ChannelPad(name string, x *Node, before, after int) *Node {
	return Apply(name, ChannelPadOp{before, after}, x)
}

// ChannelPadOp is the operation of [ChannelPad].
type ChannelPadOp struct{ Before, After int }

// Name returns "channel_pad".
func (ChannelPadOp) Name() string { return "channel_pad" }

// Infer implements [Op].
func (o ChannelPadOp) Infer(_ Env, in []Type) (Spec, error) {
	if len(in) != 1 {
		return Spec{}, errors.New("one operand expected")
	}
	c, h, w, err := checkImage(in[0])
	if err != nil {
		return Spec{}, err
	}
	if o.Before < 0 || o.After < 0 || o.Before > maxExtent || o.After > maxExtent-o.Before || c > maxExtent-o.Before-o.After {
		return Spec{}, fmt.Errorf("%d channels before and %d after %d: must not be negative and below 2^30 in all", o.Before, o.After, c)
	}
	out, err := image(in[0].Shape[0], o.Before+c+o.After, h, w)
	if err != nil {
		return Spec{}, err
	}
	spec := Spec{Out: out, Note: fmt.Sprintf("%d before, %d after", o.Before, o.After), Moves: true}
	if o.moves(in[0]) {
		spec.Out.DType, spec.Out.Format = in[0].DType, in[0].Format
	} else {
		spec.floatBuffer(in, 0, Border{})
	}
	return spec, nil
}

// moves reports whether the elements of x can be copied as they are: floats, and
// codes that mean the same in every channel and have one for zero.
func (ChannelPadOp) moves(x Type) bool {
	return x.Format == nil || !x.Format.PerChannel && !x.Format.MidRise
}

// channelPad is the step of [ChannelPadOp].
type channelPad struct {
	before            int
	x                 *asFloats // nil where the elements of in are copied
	in, y, dx, dy     View
	zero              int32
	forward, backward func(worker, r int)
}

// Bind implements [Op].
func (o ChannelPadOp) Bind(b *Binding) Step {
	s := &channelPad{before: o.Before, in: b.In[0], y: b.Out, dx: b.GradIn[0], dy: b.GradOut}
	if !o.moves(b.In[0].Type) {
		s.x = b.floatsOf(0, Border{})
		s.in = s.x.View
	}
	s.forward, s.backward = s.forwardRow, s.backwardRow
	return s
}

func (s *channelPad) Forward(c *Context) {
	if s.x != nil {
		s.x.run(c)
	}
	s.zero = ZeroCode(s.y.Grid)
	rows, _ := s.y.Rows()
	c.Pool.Run(rows, s.forward)
}

func (s *channelPad) forwardRow(_, r int) {
	_, n := s.y.Rows()
	_, m := s.in.Rows()
	to, from := s.y.Row(r), s.in.Row(r)
	switch s.y.Elem() {
	case Float32:
		padChannels(s.y.F32[to:to+n], s.in.F32[from:from+m], s.y.L.C, s.in.L.C, s.before, 0)
	case Uint8, Int8:
		padChannels(s.y.U8[to:to+n], s.in.U8[from:from+m], s.y.L.C, s.in.L.C, s.before, uint8(s.zero))
	case Int32:
		padChannels(s.y.I32[to:to+n], s.in.I32[from:from+m], s.y.L.C, s.in.L.C, s.before, s.zero)
	case Int64:
		padChannels(s.y.I64[to:to+n], s.in.I64[from:from+m], s.y.L.C, s.in.L.C, s.before, int64(s.zero))
	}
}

// padChannels copies pixels of k channels to pixels of c, behind before zeros.
func padChannels[T any](y, x []T, c, k, before int, zero T) {
	for ; len(y) >= c; y, x = y[c:], x[k:] {
		fillWith(y[:before], zero)
		copy(y[before:before+k], x)
		fillWith(y[before+k:c], zero)
	}
}

func fillWith[T any](s []T, v T) {
	for i := range s {
		s[i] = v
	}
}

// dx[n c i j] = dy[n c+before i j].
func (s *channelPad) Backward(c *Context) {
	if s.dx.Empty() {
		return
	}
	rows, _ := s.dx.Rows()
	c.Pool.Run(rows, s.backward)
}

func (s *channelPad) backwardRow(_, r int) {
	_, n := s.dx.Rows()
	_, m := s.dy.Rows()
	dx, dy := s.dx.F32[s.dx.Row(r):][:n], s.dy.F32[s.dy.Row(r):][:m]
	k, c := s.dx.L.C, s.dy.L.C
	for ; len(dx) > 0; dx, dy = dx[k:], dy[c:] {
		from := dy[s.before : s.before+k]
		if !s.dx.Add {
			copy(dx[:k], from)
			continue
		}
		for i, g := range from {
			dx[i] += g
		}
	}
}

// Lower implements [integer.Lowerer]: the codes move, the grid is kept.
func (s *channelPad) Lower(b *integer.Builder, name string, in []integer.Ref) (integer.Ref, error) {
	if s.y.Grid == nil || len(in) != 1 || in[0] == integer.NoRef {
		return integer.NoRef, errors.New("the operand has no codes that could move")
	}
	return b.Pad(name, in[0], integer.Pad{Before: s.before, After: s.y.L.C - s.before - s.in.L.C}), nil
}
