package autograd

import (
	"errors"
	"fmt"

	"github.com/bitgrad/bitgrad/internal/kernels"
)

// ConvAttrs say how the kernel of a convolution slides over an image; its
// extents are those of the weight.
type ConvAttrs struct {
	// StrideH and StrideW are the steps between positions; 0 means 1.
	StrideH, StrideW int
	// Pad is the border of zeros around the image.
	Pad Border
	// DilH and DilW are the distances between the taps of the kernel; 0 means 1.
	DilH, DilW int
	// Groups splits the channels: group g of the outputs sees group g of the
	// inputs. 0 means 1; as many groups as channels is a depthwise convolution.
	Groups int
}

// String prints the attributes as "stride 2x2 pad 0,0,1,1 dilation 2x2 groups 4",
// leaving out what is default.
func (a ConvAttrs) String() string {
	s := ""
	if h, w := orOne(a.StrideH), orOne(a.StrideW); h != 1 || w != 1 {
		s += fmt.Sprintf(" stride %dx%d", h, w)
	}
	if p := a.Pad; !p.IsZero() {
		s += fmt.Sprintf(" pad %d,%d,%d,%d", p.Top, p.Left, p.Bottom, p.Right)
	}
	if h, w := orOne(a.DilH), orOne(a.DilW); h != 1 || w != 1 {
		s += fmt.Sprintf(" dilation %dx%d", h, w)
	}
	if g := orOne(a.Groups); g != 1 {
		s += fmt.Sprintf(" groups %d", g)
	}
	if s == "" {
		return s
	}
	return s[1:]
}

// Shape checks the operands of a convolution, x [N C H W] and w [O C/groups KH
// KW], and returns its geometry. Strides and dilations along an axis where they
// cannot matter are 1 in the result.
func (a ConvAttrs) Shape(x, w Type) (kernels.ConvShape, error) {
	var s kernels.ConvShape
	c, h, width, err := checkImage(x)
	if err != nil {
		return s, err
	}
	if !w.Plain || len(w.Shape) != 4 {
		return s, errors.New("the weight must be [O I H W]")
	}
	if err := checkReal(w); err != nil {
		return s, fmt.Errorf("weight: %w", err)
	}
	o, i, g := w.Shape[0], w.Shape[1], orOne(a.Groups)
	switch {
	case g < 0:
		return s, fmt.Errorf("%d groups: must be positive", g)
	case c%g != 0 || o%g != 0:
		return s, fmt.Errorf("%d input and %d output channels: not divisible into %d groups", c, o, g)
	case i != c/g && g == 1:
		return s, fmt.Errorf("%d input channels, weight has %d", c, i)
	case i != c/g:
		return s, fmt.Errorf("%d input channels in %d groups, weight has %d for each, not %d", c, g, i, c/g)
	}
	rows := span{"rows", h, w.Shape[2], orOne(a.StrideH), a.Pad.Top, a.Pad.Bottom, orOne(a.DilH)}
	cols := span{"columns", width, w.Shape[3], orOne(a.StrideW), a.Pad.Left, a.Pad.Right, orOne(a.DilW)}
	s = kernels.ConvShape{C: c, O: o, KH: rows.kernel, KW: cols.kernel, StrideH: rows.stride, StrideW: cols.stride,
		PadTop: rows.before, PadLeft: cols.before, PadBottom: rows.after, PadRight: cols.after,
		DilH: rows.d, DilW: cols.d, Groups: g, H: h, W: width}
	if s.OH, err = rows.size(false); err != nil {
		return s, err
	}
	if s.OW, err = cols.size(false); err != nil {
		return s, err
	}
	if _, err := image(1, c, rows.padded(), cols.padded()); err != nil {
		return s, fmt.Errorf("padding: %w", err)
	}
	if s.OH == 1 {
		s.StrideH = 1
	}
	if s.OW == 1 {
		s.StrideW = 1
	}
	if s.KH == 1 {
		s.DilH = 1
	}
	if s.KW == 1 {
		s.DilW = 1
	}
	return s, nil
}

// Conv2D returns the convolution of x [N C H W] with w [O C/groups KH KW],
//
//	y[n o i j] = b[o] + Σ over c, p, q of w[o c p q] · x[n c i·strideH + p·dilH − top, j·strideW + q·dilW − left],
//
// where x is zero outside the image and c runs over the group of o. The bias b
// [O] may be nil.
//
// Gradients: dx is the convolution of dy with the rotated kernel, dw[o c p q] =
// Σ dy·x over all positions, db[o] = Σ dy.
func Conv2D(name string, x, w, b *Node, a ConvAttrs) *Node {
	return Apply(name, Conv2DOp{a}, x, w, b)
}

// Conv2DOp is the operation of [Conv2D]; its operands are x, w and, with a
// bias, b.
type Conv2DOp struct{ ConvAttrs }

// Name returns "conv2d".
func (Conv2DOp) Name() string { return "conv2d" }

// Infer implements [Op].
func (o Conv2DOp) Infer(env Env, in []Type) (Spec, error) {
	if len(in) != 2 && len(in) != 3 {
		return Spec{}, errors.New("an input, a weight and at most a bias expected")
	}
	s, err := o.Shape(in[0], in[1])
	if err != nil {
		return Spec{}, err
	}
	if len(in) == 3 {
		if err := checkVector("bias", in[2], s.O); err != nil {
			return Spec{}, err
		}
	}
	out, err := image(in[0].Shape[0], s.O, s.OH, s.OW)
	if err != nil {
		return Spec{}, err
	}
	spec := Spec{Out: out, ReadsIn: []bool{true, true, false}, MACs: s.MACs(),
		Note: fmt.Sprintf("%dx%d %s", s.KH, s.KW, o.ConvAttrs)}
	g := s.InputGradient()
	spec.GradBorder.Top, spec.GradBorder.Left, spec.GradBorder.Bottom, spec.GradBorder.Right = g.DyBorder()
	spec.frame(0, o.Pad)
	for i := range in[1:] {
		spec.floatBuffer(in, 1+i, Border{})
	}
	t := tilesOf(s)
	spec.GradScratch = []Buffer{{Float32, weightChunks(batchOf(in[0]), s.WeightSize()) * t.weightSums(&s)}}
	if rows, weight := t.scratch(); rows+weight > 0 {
		spec.Scratch = append(spec.Scratch, Buffer{Float32, env.Workers * (rows + weight)})
	}
	return spec, nil
}

// tiles are the directions of a convolution that go by tiles; the others are nil. Which ones do
// depends on shapes alone, so that the result does.
type tiles struct {
	forward, backward *kernels.Winograd
	weight            *kernels.WinogradWeight
}

func tilesOf(s kernels.ConvShape) (t tiles) {
	if k, ok := s.WinogradForward(); ok {
		t.forward = &k
	}
	if k, ok := s.WinogradBackward(); ok {
		t.backward = &k
	}
	if k, ok := s.WinogradWeight(); ok {
		t.weight = &k
	}
	return t
}

// weightSums returns the length of what a part of the batch adds up for the gradient of the weight.
func (t tiles) weightSums(s *kernels.ConvShape) int {
	if t.weight != nil {
		return t.weight.Size()
	}
	return s.WeightSize()
}

// scratch returns the number of elements that each worker needs: for the rows of an image, and for the gradient of
// the weight, for which tiles wait while rows are computed.
func (t tiles) scratch() (rows, weight int) {
	for _, k := range []*kernels.Winograd{t.forward, t.backward} {
		if k != nil {
			rows = max(rows, k.ScratchLen())
		}
	}
	if t.weight != nil {
		weight = t.weight.ScratchLen()
	}
	return rows, weight
}

// weightChunks returns into how many parts of the batch the gradient of size
// weights is split. It depends on shapes alone, so that the result does.
func weightChunks(batch, size int) int {
	most := 16
	for n := size; n > 1<<14 && most > 2; n >>= 2 {
		most /= 2
	}
	return min(batch, most)
}

// checkVector checks an operand with one number per channel.
func checkVector(what string, t Type, n int) error {
	if !t.Plain || len(t.Shape) != 1 || t.Shape[0] != n {
		return fmt.Errorf("%s %v: must be [%d]", what, t, n)
	}
	return checkReal(t)
}

// A ConvStep is the step of a convolution.
type ConvStep interface {
	Step
	// Upstream makes Backward call f for every image n of the batch, before it reads the
	// upstream gradient of that image, in the memory that f returns. There it lies as the
	// layout of GradOut says, with a border of zeros. So a fused operation brings the gradient
	// into its final form while it is in the cache.
	//
	// f is called once per image. With an image stride of 0, where each worker has memory of
	// its own for the image it works on, it may be called again, by two workers at the same time.
	Upstream(f func(worker, n int) []float32)
}

// conv is the step of [Conv2DOp].
type conv struct {
	s      kernels.ConvShape
	input  kernels.InputGradient
	x      *imageFloats
	w, b   *asFloats
	y      View
	dx, dw View
	dy     View
	sums   []View // per worker, dx of one image; nil where it is summed where it lies
	fwd    packed
	bwd    packed
	tiles  tiles
	// Of tiles, per worker: for rows of an image, and for the gradient of the weight.
	scratch, sumScratch [][]float32
	bands               bands // of y
	dxBands             bands
	upstream            func(worker, n int) []float32
	parts               *chunks
	db                  *imageSums
	forward             func(worker, i int)
	// Tasks of the backward pass: an image with all that belongs to it, or, where these are few,
	// its upstream gradient, and then the parts of dw and the bands of the images.
	image, bring, task func(worker, i int)
	few                bool
}

// Bind implements [Op].
func (o Conv2DOp) Bind(b *Binding) Step {
	shape, _ := o.Shape(b.In[0].Type, b.In[1].Type) // Infer has accepted them
	s := &conv{s: shape, x: b.imagesOf(0), w: b.floatsOf(1, Border{}), y: b.Out, dx: b.GradIn[0], dw: b.GradIn[1], dy: b.GradOut}
	if len(b.In) == 3 {
		s.b = b.floatsOf(2, Border{})
		s.db = newImageSums(b.GradIn[2], b.GradOut)
	}
	p := b.Node.Input(1).Param()
	s.tiles = tilesOf(shape)
	s.fwd = packed{param: p, size: shape.ForwardSize(), pieces: s.s.ForwardPanels(), pack: s.s.PackForwardPanel}
	if k := s.tiles.forward; k != nil {
		s.fwd.tiled(k)
	}
	s.bands, s.dxBands = newBands(b.Batch, shape.OH), newBands(b.Batch, 1)
	s.forward = s.forwardBand
	if !s.dx.Empty() {
		s.input = shape.InputGradient()
		s.bwd = packed{param: p, size: s.input.PackedSize(), pieces: 1, pack: func(dst, w []float32, _ int) { s.input.Pack(dst, w) }}
		if k := s.tiles.backward; k != nil {
			s.bwd.tiled(k)
			s.dxBands = newBands(b.Batch, shape.H)
		} else if s.dx.Add && !s.input.AddsOnce() {
			s.sums = sumsOf(s.dx, b.Pool.Workers())
		}
	}
	if !s.dy.Empty() {
		s.upstream, s.image, s.bring, s.task = s.stored, s.backwardImage, s.bringImage, s.backwardTask
	}
	if !s.dw.Empty() {
		s.parts = newChunks(b.Batch, weightChunks(b.Batch, shape.WeightSize()), s.tiles.weightSums(&shape), b.Scratch[len(b.Scratch)-1].F32, s.weightChunk)
	}
	if w := b.Pool.Workers(); w > 1 {
		tasks := b.Batch
		if s.parts != nil {
			tasks = s.parts.n
		}
		s.few = tasks < 2*w && tasks%w != 0
	}
	if rows, weight := s.tiles.scratch(); rows+weight > 0 {
		for w := range b.Pool.Workers() {
			own := b.Scratch[0].F32[w*(rows+weight):][:rows+weight]
			s.scratch, s.sumScratch = append(s.scratch, own[:rows]), append(s.sumScratch, own[rows:])
		}
	}
	return s
}

// Upstream implements [ConvStep].
func (s *conv) Upstream(f func(worker, n int) []float32) { s.upstream = f }

func (s *conv) stored(_, _ int) []float32 { return s.dy.F32 }

func (s *conv) Forward(c *Context) {
	s.prepare(c)
	c.Pool.Run(s.bands.all(), s.forward)
}

// prepare brings weight and bias into the form that bands read.
func (s *conv) prepare(c *Context) {
	s.w.run(c)
	if s.b != nil {
		s.b.run(c)
	}
	s.fwd.update(c, s.w.F32)
}

func (s *conv) forwardBand(worker, i int) {
	n, from, to := s.bands.rows(i)
	s.forwardRows(worker, n, from, to, s.y.F32, s.y.L)
}

// forwardRows computes output rows from..to-1 of image n into y. Tiles begin at rows that are multiples of
// four.
func (s *conv) forwardRows(worker, n, from, to int, y []float32, yl Layout) {
	band := s.s
	band.OH, band.PadTop = to-from, s.s.PadTop-from*s.s.StrideH
	var bias []float32
	if s.b != nil {
		bias = s.b.F32
	}
	first, last := -band.PadTop, (band.OH-1)*s.s.StrideH-band.PadTop+(s.s.KH-1)*s.s.DilH
	x := s.x.of(worker, n, first, last+1)
	if k := s.tiles.forward; k != nil {
		k.Rows(y, yl, x, s.x.L, s.fwd.buf, bias, s.scratch[worker], n, from, to, false)
		return
	}
	yl.Off += from * yl.SH
	band.Forward(y, yl, x, s.x.L, s.fwd.buf, bias, n, n+1)
}

// dx[n c h w] = Σ dy[n o i j]·w[o c p q] over i·strideH + p·dilH = h + top,
// likewise in w; dw[o c p q] = Σ dy·x; db[o] = Σ dy. An image goes through all of
// it at once, unless the parts of the batch that dw is summed over are too few for the
// workers.
func (s *conv) Backward(c *Context) {
	if s.image == nil {
		return
	}
	if !s.dx.Empty() {
		s.w.run(c)
		s.bwd.update(c, s.w.F32)
	}
	switch {
	case s.few:
		s.backwardFew(c)
	case s.parts == nil:
		c.Pool.Run(s.dy.L.N, s.image)
	default:
		s.parts.run(c)
	}
	if s.parts != nil {
		sums := s.parts.sum()
		if k := s.tiles.weight; k != nil {
			sums = k.Finish(sums)
		}
		s.s.UnpackWeightGrad(s.dw.F32, sums, s.dw.Add)
	}
	if s.db != nil {
		s.db.write()
	}
}

// shared reports whether images share the memory of their upstream gradients, each worker having its own.
func (s *conv) shared() bool { return s.dy.L.SN == 0 }

// backwardImage computes what image n has for itself.
func (s *conv) backwardImage(worker, n int) { s.backward(worker, n, s.upstream(worker, n)) }

// backward computes the gradient of the input of image n and the sums of its upstream gradient.
func (s *conv) backward(worker, n int, dy []float32) {
	for i := range s.dxBands.per {
		s.backwardBand(worker, n*s.dxBands.per+i, dy)
	}
}

// backwardBand computes band i of the gradient of the input, and with the first band of an image
// the sums of its upstream gradient.
func (s *conv) backwardBand(worker, i int, dy []float32) {
	n, from, to := s.dxBands.rows(i)
	if s.db != nil && from == 0 {
		s.db.add(n, dy)
	}
	switch k := s.tiles.backward; {
	case s.dx.Empty():
	case k != nil:
		k.Rows(s.dx.F32, s.dx.L, dy, s.dy.L, s.bwd.buf, nil, s.scratch[worker], n, from, to, s.dx.Add)
	case s.sums != nil:
		sum := s.sums[worker]
		s.input.Backward(sum.F32, sum.L, dy, s.dy.L, s.bwd.buf, n, n+1, false)
		for h := range s.s.H {
			copyRow(s.dx.f32Row(n*s.s.H+h), sum.f32Row(h), true)
		}
	default:
		s.input.Backward(s.dx.F32, s.dx.L, dy, s.dy.L, s.bwd.buf, n, n+1, s.dx.Add)
	}
}

// sumsOf returns memory for one image of dx for each worker, with an image stride of 0. A gradient is complete
// before it is added to another, so that the order of these changes no byte.
func sumsOf(dx View, workers int) []View {
	l, size := layoutOf(dx.Type.WithBatch(1), Border{})
	l.N, l.SN = dx.L.N, 0
	sums := make([]View, workers)
	for i := range sums {
		sums[i] = View{Type: dx.Type, L: l, Memory: Memory{DType: Float32, F32: make([]float32, size)}}
	}
	return sums
}

func (s *conv) weightChunk(worker int, dst []float32, n0, n1 int) {
	var sum kernels.WeightSum
	if k := s.tiles.weight; k != nil {
		sum = k.Begin(dst, s.sumScratch[worker])
		defer sum.End()
	}
	for n := n0; n < n1; n++ {
		dy := s.dy.F32
		if !s.few || s.shared() {
			dy = s.upstream(worker, n)
		}
		if !s.few {
			s.backward(worker, n, dy)
		}
		x := s.x.of(worker, n, -s.s.PadTop, s.s.H+s.s.PadBottom)
		if s.tiles.weight != nil {
			sum.Image(x, s.x.L, dy, s.dy.L, n)
			continue
		}
		s.s.BackwardWeight(dst, x, s.x.L, dy, s.dy.L, n, n+1, n > n0)
	}
}

// backwardFew gives the workers smaller tasks than images.
func (s *conv) backwardFew(c *Context) {
	if !s.shared() {
		c.Pool.Run(s.dy.L.N, s.bring)
	}
	tasks := 0
	if s.parts != nil {
		tasks = s.parts.n
	}
	if !s.dx.Empty() || s.db != nil {
		tasks += s.dxBands.all()
	}
	c.Pool.Run(tasks, s.task)
	if s.parts != nil {
		s.parts.addUp(c)
	}
}

func (s *conv) bringImage(worker, n int) { s.upstream(worker, n) }

// backwardTask computes a part of dw or, after these, a band of an image.
func (s *conv) backwardTask(worker, i int) {
	if s.parts != nil {
		if i < s.parts.n {
			s.parts.compute(worker, i)
			return
		}
		i -= s.parts.n
	}
	dy := s.dy.F32
	if s.shared() {
		dy = s.upstream(worker, i/s.dxBands.per)
	}
	s.backwardBand(worker, i, dy)
}

// packed holds weights in the order of a kernel.
type packed struct {
	param   *Param // where the weight is a parameter, which counts its versions
	version uint64
	size    int
	buf     []float32 // nil before the first update
	pieces  int
	pack    func(dst, w []float32, piece int)
	w       []float32
	task    func(worker, i int)
}

// tiled packs for k.
func (p *packed) tiled(k *kernels.Winograd) {
	p.size, p.pieces, p.pack = k.Size(), k.Panels(), k.PackPanel
}

// update packs w again unless it is a parameter that has not changed.
func (p *packed) update(c *Context, w []float32) {
	if p.param != nil {
		v := p.param.Version()
		if p.buf != nil && p.version == v {
			return
		}
		p.version = v
	}
	if p.buf == nil { // a fused operation may never run the forward pass
		p.buf, p.task = make([]float32, p.size), p.piece
	}
	p.w = w
	c.Pool.Run(p.pieces, p.task)
}

func (p *packed) piece(_, i int) { p.pack(p.buf, p.w, i) }
