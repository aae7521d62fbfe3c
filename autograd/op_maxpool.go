package autograd

import (
	"errors"
	"unsafe"

	"github.com/bitgrad/bitgrad/integer"
	"github.com/bitgrad/bitgrad/internal/kernels"
)

// MaxPool returns the largest element of every window,
//
//	y[n c i j] = max over (p, q) of x[n c i·strideH − top + p, j·strideW − left + q]
//
// for x [N C H W]. A window is clipped to the image: padding never wins. Codes
// stay codes on their grid.
//
// The gradient goes to the first largest element of each window in row-major
// order. A NaN in a window is its result.
func MaxPool(name string, x *Node, a PoolAttrs) *Node {
	return Apply(name, MaxPoolOp{a}, x)
}

// MaxPoolOp is the operation of [MaxPool].
type MaxPoolOp struct{ PoolAttrs }

// Name returns "max_pool".
func (MaxPoolOp) Name() string { return "max_pool" }

// Infer implements [Op].
func (o MaxPoolOp) Infer(_ Env, in []Type) (Spec, error) {
	s, out, err := o.infer(in)
	if err != nil {
		return Spec{}, err
	}
	out.DType, out.Format = in[0].DType, in[0].Format
	n := batchOf(out) * out.WithBatch(1).Elements()
	saved := Buffer{Uint8, n}
	if !smallMax(s, out.DType) {
		saved.DType = Int32
	}
	return Spec{Out: out, Note: o.String(), Saved: []Buffer{saved}, Moves: true}, nil
}

// smallMax says that the kernels pool the elements and number the taps in one
// byte.
func smallMax(s kernels.PoolShape, d DType) bool {
	return max(s.KH, s.KW) <= 1<<8 && s.MaxIndexable() && (d == Float32 || d.Size() == 1)
}

// Bind implements [Op].
func (o MaxPoolOp) Bind(b *Binding) Step {
	shape, _ := o.Shape(b.In[0].Type) // Infer has accepted it
	s := &maxPool{s: shape, x: b.In[0], y: b.Out, dx: b.GradIn[0], dy: b.GradOut}
	small := smallMax(shape, b.Out.Elem())
	switch {
	case small && b.Out.Elem() == Float32:
		s.forward = s.floats
	case small:
		s.forward = s.bytes
	default:
		s.forward = s.wide
	}
	if !s.dx.Empty() {
		s.near, s.far = b.Saved[0].U8, b.Saved[0].I32
		s.backward = s.wideBackward
		if small {
			s.backward = s.smallBackward
		}
	}
	return s
}

// maxPool is the step of [MaxPoolOp]. Saved is, per result, the tap that won:
// numbered by the kernels, or the pixel of the image.
type maxPool struct {
	s        kernels.PoolShape
	x, y     View
	dx, dy   View
	near     []uint8
	far      []int32
	forward  func(worker, n int)
	backward func(worker, n int)
}

func (s *maxPool) Forward(c *Context) { c.Pool.Run(s.y.L.N, s.forward) }

// dx[argmax of the window of (i, j)] += dy[n c i j].
func (s *maxPool) Backward(c *Context) {
	if s.backward != nil {
		c.Pool.Run(s.dx.L.N, s.backward)
	}
}

func (s *maxPool) floats(_, n int) {
	s.s.Max(s.y.F32, s.y.L, s.x.F32, s.x.L, s.near, n, n+1)
}

func (s *maxPool) bytes(_, n int) {
	s.s.MaxCodes(s.y.U8, s.y.L, s.x.U8, s.x.L, s.x.Elem() == Int8, s.near, n, n+1)
}

func (s *maxPool) smallBackward(_, n int) {
	s.s.MaxBackward(s.dx.F32, s.dx.L, s.dy.F32, s.dy.L, s.near, n, n+1, s.dx.Add)
}

// wide pools windows of any size and elements of any type.
func (s *maxPool) wide(_, n int) {
	switch {
	case s.x.F32 != nil:
		maxAny(s, s.y.F32, s.x.F32, n)
	case s.x.I32 != nil:
		maxAny(s, s.y.I32, s.x.I32, n)
	case s.x.I64 != nil:
		maxAny(s, s.y.I64, s.x.I64, n)
	case s.x.Elem() == Int8:
		maxAny(s, signedBytes(s.y.U8), signedBytes(s.x.U8), n)
	default:
		maxAny(s, s.y.U8, s.x.U8, n)
	}
}

// signedBytes reads bytes as the signed codes that they are.
func signedBytes(b []uint8) []int8 {
	return unsafe.Slice((*int8)(unsafe.Pointer(unsafe.SliceData(b))), len(b))
}

func maxAny[T float32 | uint8 | int8 | int32 | int64](s *maxPool, y, x []T, n int) {
	c := s.s.C
	for oh := range s.s.OH {
		h0, h1 := clip(oh, s.s.StrideH, s.s.PadTop, s.s.KH, s.s.H)
		for ow := range s.s.OW {
			w0, w1 := clip(ow, s.s.StrideW, s.s.PadLeft, s.s.KW, s.s.W)
			dst := y[s.y.L.At(n, oh, ow, 0):][:c]
			var won []int32
			if s.far != nil {
				won = s.far[((n*s.s.OH+oh)*s.s.OW+ow)*c:][:c]
			}
			for h := h0; h < h1; h++ {
				for w := w0; w < w1; w++ {
					first := h == h0 && w == w0
					for i, v := range x[s.x.L.At(n, h, w, 0):][:c] {
						if first || v > dst[i] || v != v && dst[i] == dst[i] {
							dst[i] = v
							if won != nil {
								won[i] = int32(h*s.s.W + w)
							}
						}
					}
				}
			}
		}
	}
}

func (s *maxPool) wideBackward(_, n int) {
	if !s.dx.Add {
		_, length := s.dx.Rows()
		for h := range s.dx.L.H {
			clear(s.dx.F32[s.dx.L.Row(n, h):][:length])
		}
	}
	c := s.s.C
	for oh := range s.s.OH {
		for ow := range s.s.OW {
			dy := s.dy.F32[s.dy.L.At(n, oh, ow, 0):][:c]
			for i, p := range s.far[((n*s.s.OH+oh)*s.s.OW+ow)*c:][:c] {
				s.dx.F32[s.dx.L.At(n, int(p)/s.s.W, int(p)%s.s.W, i)] += dy[i]
			}
		}
	}
}

// Lower implements [integer.Lowerer]: the codes compete, the grid is kept.
func (s *maxPool) Lower(b *integer.Builder, name string, in []integer.Ref) (integer.Ref, error) {
	if s.y.Grid == nil || len(in) != 1 || in[0] == integer.NoRef {
		return integer.NoRef, errors.New("the operand has no codes that could compete")
	}
	k := s.s
	return b.MaxPool(name, in[0], integer.MaxPool{KH: k.KH, KW: k.KW, StrideH: k.StrideH, StrideW: k.StrideW,
		Pad: integer.Pads{Top: k.PadTop, Left: k.PadLeft, Bottom: k.PadBottom, Right: k.PadRight}, OH: k.OH, OW: k.OW}), b.Err()
}
