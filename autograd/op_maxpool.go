package autograd

import (
	"errors"
	"fmt"
	"unsafe"
)

// PoolSize is the rule by which a pooling window that does not fit exactly is
// counted.
type PoolSize uint8

const (
	// PoolFloor leaves out a last window that would pass the padded input.
	PoolFloor PoolSize = iota
	// PoolCeil keeps it, unless it would begin beyond the input and the padding
	// before it: the rule of PyTorch, and of Caffe where there is padding.
	PoolCeil
	// PoolCaffe is Caffe's rule without padding: every window is kept. A
	// geometry in which a window then covers nothing is refused.
	PoolCaffe
)

// PoolAttrs say how a pooling window slides over an image.
type PoolAttrs struct {
	// KH and KW are the extents of the window; 0 means 1.
	KH, KW int
	// StrideH and StrideW are the steps between windows; 0 means 1.
	StrideH, StrideW int
	// Pad lies around the image; each side must be smaller than the window.
	Pad Border
	// Size settles the last window of each axis.
	Size PoolSize
}

// String prints the attributes as "3x3 stride 2x2 pad 0,0,1,1 ceil".
func (a PoolAttrs) String() string {
	s := fmt.Sprintf("%dx%d stride %dx%d", orOne(a.KH), orOne(a.KW), orOne(a.StrideH), orOne(a.StrideW))
	if p := a.Pad; !p.IsZero() {
		s += fmt.Sprintf(" pad %d,%d,%d,%d", p.Top, p.Left, p.Bottom, p.Right)
	}
	switch a.Size {
	case PoolCeil:
		s += " ceil"
	case PoolCaffe:
		s += " ceil (caffe)"
	}
	return s
}

// spans returns the two axes for an image of h rows and w columns.
func (a PoolAttrs) spans(h, w int) (rows, cols span) {
	return span{"rows", h, orOne(a.KH), orOne(a.StrideH), a.Pad.Top, a.Pad.Bottom, 1},
		span{"columns", w, orOne(a.KW), orOne(a.StrideW), a.Pad.Left, a.Pad.Right, 1}
}

// poolSize returns the number of windows along s under the rule.
func (a PoolAttrs) poolSize(s span) (int, error) {
	if a.Size > PoolCaffe {
		return 0, fmt.Errorf("size rule %d: unknown", a.Size)
	}
	n, err := s.size(a.Size != PoolFloor)
	if err != nil {
		return 0, err
	}
	if s.before >= s.kernel || s.after >= s.kernel {
		return 0, fmt.Errorf("%s: padding %d and %d: must be smaller than the window, %d", s.axis, s.before, s.after, s.kernel)
	}
	begin := func(o int) int64 { return int64(o)*int64(s.stride) - int64(s.before) }
	if a.Size == PoolCeil || a.Size == PoolCaffe && (a.Pad != Border{}) {
		if begin(n-1) >= int64(s.in) {
			n--
		}
	}
	if begin(n-1) >= int64(s.in) {
		return 0, fmt.Errorf("%s: the last window begins beyond the input and covers nothing", s.axis)
	}
	return n, nil
}

// infer returns the type of the result and its window geometry.
func (a PoolAttrs) infer(in []Type) (out Type, err error) {
	if len(in) != 1 {
		return out, errors.New("one operand expected")
	}
	c, h, w, err := checkImage(in[0])
	if err != nil {
		return out, err
	}
	rows, cols := a.spans(h, w)
	oh, err := a.poolSize(rows)
	if err != nil {
		return out, err
	}
	ow, err := a.poolSize(cols)
	if err != nil {
		return out, err
	}
	return image(in[0].Shape[0], c, oh, ow)
}

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
func (o MaxPoolOp) Infer(env Env, in []Type) (Spec, error) {
	out, err := o.infer(in)
	if err != nil {
		return Spec{}, err
	}
	out.DType, out.Format = in[0].DType, in[0].Format
	n := batchOf(out) * out.WithBatch(1).Elements()
	if kh, kw := o.taps(in[0]); kh*kw > 1<<8 {
		return Spec{Out: out, Note: o.String(), Saved: []Buffer{{Int32, n}}}, nil
	}
	return Spec{Out: out, Note: o.String(), Saved: []Buffer{{Uint8, n}}}, nil
}

// taps returns the extents of the window clipped to the image.
func (a PoolAttrs) taps(x Type) (kh, kw int) {
	_, h, w := x.CHW()
	return min(orOne(a.KH), h), min(orOne(a.KW), w)
}

// maxPool is the step of [MaxPoolOp]. Saved is, per result, the tap that won,
// counted from the clipped beginning of its window in row-major order.
type maxPool struct {
	rows, cols span
	kw         int
	x, y       View
	dx, dy     View
	near       []uint8
	far        []int32
	offset     []int // of each tap inside dx
	forward    func(worker, r int)
	backward   func(worker, n int)
}

// Bind implements [Op].
func (o MaxPoolOp) Bind(b *Binding) Step {
	_, h, w := b.In[0].CHW()
	s := &maxPool{x: b.In[0], y: b.Out, dx: b.GradIn[0], dy: b.GradOut}
	s.rows, s.cols = o.spans(h, w)
	if b.In[0].Grid != nil {
		b.Out.Grid = b.In[0].Grid
	}
	var kh int
	kh, s.kw = o.taps(b.In[0].Type)
	s.forward = s.forwardRow
	if s.dx.Empty() {
		return s
	}
	s.near, s.far = b.Saved[0].U8, b.Saved[0].I32
	s.offset = make([]int, kh*s.kw)
	for t := range s.offset {
		s.offset[t] = t/s.kw*s.dx.L.SH + t%s.kw*s.dx.L.SW
	}
	s.backward = s.backwardImage
	return s
}

func (s *maxPool) Forward(c *Context) {
	rows, _ := s.y.Rows()
	c.Pool.Run(rows, s.forward)
}

func (s *maxPool) forwardRow(_, r int) {
	c := s.y.L.C
	n, oh := r/s.y.L.H, r%s.y.L.H
	h0, h1 := s.rows.clip(oh)
	at := s.y.Row(r)
	for ow := range s.y.L.W {
		w0, w1 := s.cols.clip(ow)
		k := (r*s.y.L.W + ow) * c
		for h := h0; h < h1; h++ {
			for w := w0; w < w1; w++ {
				s.take(at, s.x.L.At(n, h, w, 0), k, (h-h0)*s.kw+w-w0)
			}
		}
		at += c
	}
}

// take lets the pixel of x at index from compete for the result at index at;
// k is the index of the saved taps.
func (s *maxPool) take(at, from, k, tap int) {
	c := s.y.L.C
	switch s.x.Elem() {
	case Float32:
		takeMax(s.y.F32[at:at+c], s.x.F32[from:from+c], s.near, s.far, k, tap)
	case Uint8:
		takeMax(s.y.U8[at:at+c], s.x.U8[from:from+c], s.near, s.far, k, tap)
	case Int8:
		takeMax(signed(s.y.U8[at:at+c]), signed(s.x.U8[from:from+c]), s.near, s.far, k, tap)
	case Int32:
		takeMax(s.y.I32[at:at+c], s.x.I32[from:from+c], s.near, s.far, k, tap)
	case Int64:
		takeMax(s.y.I64[at:at+c], s.x.I64[from:from+c], s.near, s.far, k, tap)
	}
}

// signed reads bytes as the signed codes that they are.
func signed(b []uint8) []int8 {
	return unsafe.Slice((*int8)(unsafe.Pointer(unsafe.SliceData(b))), len(b))
}

// takeMax sets y to the larger of y and x, and where that is x, or at tap 0,
// records the tap.
func takeMax[T float32 | uint8 | int8 | int32 | int64](y, x []T, near []uint8, far []int32, k, tap int) {
	x = x[:len(y)]
	switch {
	case tap == 0:
		copy(y, x)
		switch {
		case near != nil:
			clear(near[k : k+len(y)])
		case far != nil:
			clear(far[k : k+len(y)])
		}
	case near != nil:
		near = near[k : k+len(y)]
		for i, v := range x {
			if v > y[i] || v != v {
				y[i], near[i] = v, uint8(tap)
			}
		}
	case far != nil:
		far = far[k : k+len(y)]
		for i, v := range x {
			if v > y[i] || v != v {
				y[i], far[i] = v, int32(tap)
			}
		}
	default:
		for i, v := range x {
			y[i] = max(y[i], v)
		}
	}
}

// dx[argmax of the window of (i, j)] += dy[n c i j].
func (s *maxPool) Backward(c *Context) {
	if s.backward != nil {
		c.Pool.Run(s.dx.L.N, s.backward)
	}
}

func (s *maxPool) backwardImage(_, n int) {
	_, length := s.dx.Rows()
	if !s.dx.Add {
		for h := range s.dx.L.H {
			clear(s.dx.F32[s.dx.L.Row(n, h):][:length])
		}
	}
	c := s.dy.L.C
	k := n * s.dy.L.H * s.dy.L.W * c
	for oh := range s.dy.L.H {
		h0, _ := s.rows.clip(oh)
		for ow := range s.dy.L.W {
			w0, _ := s.cols.clip(ow)
			dy := s.dy.F32[s.dy.L.At(n, oh, ow, 0):][:c]
			dx := s.dx.F32[s.dx.L.At(n, h0, w0, 0):]
			if s.near != nil {
				for i, t := range s.near[k : k+c] {
					dx[s.offset[t]+i] += dy[i]
				}
			} else {
				for i, t := range s.far[k : k+c] {
					dx[s.offset[t]+i] += dy[i]
				}
			}
			k += c
		}
	}
}
