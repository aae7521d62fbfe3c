package autograd

import (
	"errors"

	"github.com/bitgrad/bitgrad/internal/kernels"
)

// PooledConvOp is a convolution in front of a max pool, and the rectifier on either side of
// the pool if there is one,
//
//	y = act(pool(conv(x, w) + bias)).
//
// Of what lies in front of the pool nothing outlives an image. The result is, bit for bit, that of
// the operations that it stands for, with the rectifier in either place: a largest element stays the
// largest, and where several become equal no gradient passes.
//
// Its operands are x, w and, with a bias, b. [Graph.Compile] builds it.
//
// Gradients: those of [Conv2D], [MaxPool], [ReLU] and [ReLU6]. In front of the pool they are zero but
// at the elements that won, and only these are summed; so their sums have another order.
type PooledConvOp struct {
	Conv Conv2DOp
	Bias bool
	// Act is [ReLUOp], [ReLU6Op] or nil.
	Act  Op
	Pool MaxPoolOp
}

// Name returns "conv2d_pool".
func (PooledConvOp) Name() string { return "conv2d_pool" }

// A PooledStep is the step of a [PooledConvOp].
type PooledStep interface {
	Step
	// Pass makes Backward let through only the gradients of those elements of the result whose bit is 1. f returns
	// the bits of image n, in whole bytes for every row.
	Pass(f func(n int) []uint8)
}

// geometry returns the shapes of the convolution and of the pool, and the type in front of the pool.
func (o PooledConvOp) geometry(x, w Type) (s kernels.ConvShape, p kernels.PoolShape, front Type, err error) {
	if s, err = o.Conv.Shape(x, w); err != nil {
		return
	}
	if front, err = image(x.Shape[0], s.O, s.OH, s.OW); err != nil {
		return
	}
	p, err = o.Pool.Shape(front)
	return
}

// pooledGradient returns what computes the gradients, and whether it can.
func pooledGradient(s *kernels.ConvShape, p kernels.PoolShape) (g kernels.PooledGradient, ok bool) {
	if !smallMax(p, Float32) {
		return g, false
	}
	return s.PooledGradient(p)
}

// Pays reports whether the operation is possible, and takes less time than its parts, on operands of
// these types.
func (o PooledConvOp) Pays(x, w Type) bool {
	s, p, _, err := o.geometry(x, w)
	if err != nil {
		return false
	}
	g, ok := pooledGradient(&s, p)
	return ok && g.Pays()
}

// Infer implements [Op].
func (o PooledConvOp) Infer(env Env, in []Type) (Spec, error) {
	operands := 2
	if o.Bias {
		operands = 3
	}
	if len(in) != operands {
		return Spec{}, errors.New("an input, a weight and the bias expected, if there is one")
	}
	if _, err := limitOf(o.Act); err != nil {
		return Spec{}, err
	}
	spec, err := o.Conv.Infer(env, in)
	if err != nil {
		return spec, err
	}
	s, p, front, err := o.geometry(in[0], in[1])
	if err != nil {
		return spec, err
	}
	g, ok := pooledGradient(&s, p)
	if !ok {
		return spec, errors.New("with groups, a dilation of the columns, or a window of more than 256 elements the convolution and its pool stay apart")
	}
	pooled, err := o.Pool.Infer(env, []Type{front})
	if err != nil {
		return spec, err
	}
	spec.Out, spec.GradBorder = pooled.Out, Border{}
	spec.GradScratch = []Buffer{{Float32, weightChunks(batchOf(in[0]), s.WeightSize()) * g.WeightSize()}}
	spec.Note += " max_pool " + pooled.Note
	if env.Mode.Training() {
		spec.Saved = append(spec.Saved, pooled.Saved...)
	}
	if o.Act != nil {
		spec.Note += " " + o.Act.Name()
		spec.ReadsOut, spec.NonNegative = true, true
	}
	return spec, nil
}

// pooledConv is the step of [PooledConvOp].
type pooledConv struct {
	conv  *conv // its forward pass
	pool  kernels.PoolShape
	g     kernels.PooledGradient
	act   bool
	limit float32
	y     View
	index []uint8 // the taps that won; nil where nobody asks
	bands bands   // of y
	front [][]float32
	l     Layout // of front
	dx    View
	dw    View
	dy    View
	db    *imageSums
	bwd   packed
	parts *chunks // of dw
	// Per worker:
	routes         []*kernels.Routes
	pass           func(n int) []uint8 // nil: everything passes
	forward, image func(worker, i int)
}

// Bind implements [Op].
func (o PooledConvOp) Bind(b *Binding) Step {
	shape, pool, front, _ := o.geometry(b.In[0].Type, b.In[1].Type) // Infer has accepted them
	s := &pooledConv{pool: pool, act: o.Act != nil, y: b.Out, dx: b.GradIn[0], dw: b.GradIn[1], dy: b.GradOut}
	s.limit, _ = limitOf(o.Act)
	s.g, _ = shape.PooledGradient(pool)
	inner := *b
	inner.Out, inner.GradIn, inner.GradOut = View{Type: front}, make([]View, len(b.GradIn)), View{}
	s.conv = o.Conv.Bind(&inner).(*conv)
	b.Scratch = inner.Scratch
	switch {
	case len(b.Saved) > 0:
		s.index = b.Saved[0].U8
	case !s.dy.Empty(): // in a mode that does not train
		s.index = make([]uint8, b.Out.L.N*pool.OH*pool.OW*pool.C)
	}
	s.bindForward(b, shape)
	if !s.dy.Empty() {
		s.bindBackward(b, shape)
	}
	return s
}

func (s *pooledConv) bindForward(b *Binding, shape kernels.ConvShape) {
	s.bands = newBands(b.Batch, s.pool.OH)
	if s.conv.tiles.forward != nil { // the band is the image
		s.bands.per = 1
	}
	s.l = kernels.Dense(b.Batch, shape.OH, shape.OW, shape.O)
	size := s.l.SN
	s.l.SN = 0
	for range b.Pool.Workers() {
		s.front = append(s.front, make([]float32, size))
	}
	s.forward = s.forwardBand
}

func (s *pooledConv) Forward(c *Context) {
	s.conv.prepare(c)
	c.Pool.Run(s.bands.all(), s.forward)
}

// forwardBand computes some rows of an image of y.
func (s *pooledConv) forwardBand(worker, i int) {
	n, from, to := s.bands.rows(i)
	front, p := s.front[worker], &s.pool
	h0, h1 := max(from*p.StrideH-p.PadTop, 0), min((to-1)*p.StrideH-p.PadTop+p.KH, p.H)
	if s.conv.tiles.forward != nil {
		h0, h1 = 0, p.H // also rows that no window reaches
	}
	s.conv.forwardRows(worker, n, h0, h1, front, s.l)
	p.MaxRows(s.y.F32, s.y.L, front, s.l, s.index, n, from, to)
	if !s.act {
		return
	}
	for h := from; h < to; h++ {
		y := s.y.f32Row(n*s.y.L.H + h)
		kernels.ReLU(y, y, s.limit)
	}
}

func (s *pooledConv) bindBackward(b *Binding, shape kernels.ConvShape) {
	if len(b.GradIn) == 3 {
		s.db = newImageSums(b.GradIn[2], b.GradOut)
	}
	for range b.Pool.Workers() {
		s.routes = append(s.routes, s.g.NewRoutes(s.conv.x.L, !s.dx.Empty()))
	}
	s.bwd = packed{param: b.Node.Input(1).Param(), size: s.g.Size(), pieces: s.g.Panels(), pack: s.g.PackPanel}
	s.image = s.backwardImage
	if !s.dw.Empty() {
		s.parts = newChunks(b.Batch, weightChunks(b.Batch, shape.WeightSize()), s.g.WeightSize(), b.Scratch[len(b.Scratch)-1].F32, s.weightChunk)
	}
}

// Pass implements [PooledStep].
func (s *pooledConv) Pass(f func(n int) []uint8) { s.pass = f }

func (s *pooledConv) Backward(c *Context) {
	if s.image == nil {
		return
	}
	if !s.dx.Empty() {
		s.conv.w.run(c)
		s.bwd.update(c, s.conv.w.F32)
	}
	if s.parts == nil {
		c.Pool.Run(s.dy.L.N, s.image)
	} else {
		s.parts.run(c)
		s.g.UnpackWeightGrad(s.dw.F32, s.parts.sum(), s.dw.Add)
	}
	if s.db != nil {
		s.db.write()
	}
}

// backwardImage takes the gradient of image n back through activation and pool, and computes what the image has for
// itself.
func (s *pooledConv) backwardImage(worker, n int) {
	if s.act {
		for r := n * s.dy.L.H; r < (n+1)*s.dy.L.H; r++ {
			dy := s.dy.f32Row(r)
			kernels.ReLUBackward(dy, dy, s.y.f32Row(r), s.limit, false)
		}
	}
	var pass []uint8
	if s.pass != nil {
		pass = s.pass(n)
	}
	routes := s.routes[worker]
	s.g.Route(routes, s.dy.F32, s.dy.L, s.index, pass, n)
	if s.db != nil {
		s.db.take(n, routes.Bias)
	}
	if !s.dx.Empty() {
		s.g.Input(s.dx.F32, s.dx.L, routes, s.bwd.buf, n, s.dx.Add)
	}
}

func (s *pooledConv) weightChunk(worker int, dst []float32, n0, n1 int) {
	for n := n0; n < n1; n++ {
		s.backwardImage(worker, n)
		x := s.conv.x.of(worker, n, -s.conv.s.PadTop, s.conv.s.H+s.conv.s.PadBottom)
		s.g.Weight(dst, x, s.conv.x.L, s.routes[worker], n, n > n0)
	}
}
