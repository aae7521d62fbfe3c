package autograd

import "github.com/bitgrad/bitgrad/internal/kernels"

// AveragePoolAttrs say how an averaging window slides over an image and by what
// the sum is divided.
type AveragePoolAttrs struct {
	PoolAttrs
	// CountPad divides by the cells of the window inside the padded image, as
	// Caffe does and PyTorch by default; otherwise by those inside the image.
	CountPad bool
}

// String prints the attributes as "2x2 stride 2x2 count pad".
func (a AveragePoolAttrs) String() string {
	if a.CountPad && !a.Pad.IsZero() {
		return a.PoolAttrs.String() + " count pad"
	}
	return a.PoolAttrs.String()
}

// AveragePool returns the mean of every window of x [N C H W],
//
//	y[n c i j] = 1/d · Σ over (p, q) of x[n c i·strideH − top + p, j·strideW − left + q],
//
// over the cells inside the image. The divisor d counts them, or with CountPad
// also the cells in the padding. The result is float32.
//
// The gradient spreads dy/d over the window.
func AveragePool(name string, x *Node, a AveragePoolAttrs) *Node {
	return Apply(name, AveragePoolOp{a}, x)
}

// AveragePoolOp is the operation of [AveragePool].
type AveragePoolOp struct{ AveragePoolAttrs }

// Name returns "average_pool".
func (AveragePoolOp) Name() string { return "average_pool" }

// Infer implements [Op].
func (o AveragePoolOp) Infer(_ Env, in []Type) (Spec, error) {
	_, out, err := o.infer(in)
	if err != nil {
		return Spec{}, err
	}
	s := Spec{Out: out, Note: o.String()}
	s.floatBuffer(in, 0, Border{})
	return s, nil
}

// Bind implements [Op].
func (o AveragePoolOp) Bind(b *Binding) Step {
	shape, _ := o.Shape(b.In[0].Type) // Infer has accepted it
	shape.IncludePad = o.CountPad
	return newAveragePool(b, shape)
}

// averagePool is the step of [AveragePoolOp] and of the means over an image.
type averagePool struct {
	s        kernels.PoolShape
	x        *asFloats
	y        View
	dx, dy   View
	forward  func(worker, n int)
	backward func(worker, n int)
}

func newAveragePool(b *Binding, shape kernels.PoolShape) *averagePool {
	s := &averagePool{s: shape, x: b.floatsOf(0, Border{}), y: b.Out, dx: b.GradIn[0], dy: b.GradOut}
	s.forward = s.average
	if !s.dx.Empty() {
		s.backward = s.spread
	}
	return s
}

func (s *averagePool) Forward(c *Context) {
	s.x.run(c)
	c.Pool.Run(s.y.L.N, s.forward)
}

// dx[n c h w] = Σ dy[n c i j]/d[i j] over the windows that contain (h, w).
func (s *averagePool) Backward(c *Context) {
	if s.backward != nil {
		c.Pool.Run(s.dx.L.N, s.backward)
	}
}

func (s *averagePool) average(_, n int) { s.s.Average(s.y.F32, s.y.L, s.x.F32, s.x.L, n, n+1) }

func (s *averagePool) spread(_, n int) {
	s.s.AverageBackward(s.dx.F32, s.dx.L, s.dy.F32, s.dy.L, n, n+1, s.dx.Add)
}
