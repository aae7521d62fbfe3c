package autograd

import (
	"errors"
	"fmt"
	"math"

	"github.com/bitgrad/bitgrad/internal/kernels"
)

// FusedConvOp is a convolution with what follows it, stage by stage,
//
//	y = act(norm(conv(x, w) + bias) + residual),
//
// where every stage but the convolution may be absent. It computes what the operations
// compute that it stands for, bit for bit, and goes through memory less often: an image
// takes all stages while it is in the cache. In [Train] the batch norm needs the statistics of
// the batch first; they are summed image by image as the convolution writes them. Likewise
// the gradient in front of the convolution is never written for more than one image.
//
// Its operands are x, w and then, for the stages that there are, the bias, gamma and beta,
// and the residual, which has the shape of the result. [Graph.Compile] builds it.
//
// Gradients: those of [Conv2D], [BatchNorm], [Add], [ReLU] and [ReLU6].
type FusedConvOp struct {
	Conv Conv2DOp
	Bias bool
	// Norm is nil without batch norm.
	Norm     *BatchNormOp
	Residual bool
	// Act is [ReLUOp], [ReLU6Op] or nil.
	Act Op
}

// Name returns "fused_conv2d".
func (FusedConvOp) Name() string { return "fused_conv2d" }

// States returns the moving statistics of the batch norm.
func (o FusedConvOp) States() []*State {
	if o.Norm == nil {
		return nil
	}
	return o.Norm.States()
}

// operands returns how many operands the convolution has, and the indices of gamma and of the
// residual.
func (o FusedConvOp) operands() (conv, gamma, residual, all int) {
	conv = 2
	if o.Bias {
		conv++
	}
	gamma, residual = conv, conv
	if o.Norm != nil {
		residual += 2
	}
	all = residual
	if o.Residual {
		all++
	}
	return
}

// limitOf returns the upper bound of the activation, which may be nil.
func limitOf(act Op) (float32, error) {
	switch act.(type) {
	case nil, ReLUOp:
		return float32(math.Inf(1)), nil
	case ReLU6Op:
		return 6, nil
	}
	return 0, fmt.Errorf("activation %s: must be relu or relu6", act.Name())
}

// Infer implements [Op].
func (o FusedConvOp) Infer(env Env, in []Type) (Spec, error) {
	conv, gamma, residual, all := o.operands()
	if len(in) != all {
		return Spec{}, fmt.Errorf("%d operands, its stages have %d", len(in), all)
	}
	if _, err := limitOf(o.Act); err != nil {
		return Spec{}, err
	}
	s, err := o.Conv.Infer(env, in[:conv])
	if err != nil {
		return Spec{}, err
	}
	for len(s.ReadsIn) < all {
		s.ReadsIn = append(s.ReadsIn, false)
	}
	if o.Norm != nil {
		if err := o.Norm.check(s.Out.Shape[1], in[gamma], in[gamma+1]); err != nil {
			return Spec{}, err
		}
		if in[gamma].DType != Float32 || in[gamma+1].DType != Float32 {
			return Spec{}, errors.New("gamma and beta must be float32")
		}
		s.ReadsIn[gamma] = true
		s.Note += " batch_norm"
		if env.Mode.Training() {
			s.Saved = append(s.Saved, Buffer{Float32, s.Out.WithBatch(batchOf(in[0])).Elements()})
		}
	}
	if o.Residual {
		if r := in[residual]; r.DType != Float32 || r.Plain || !r.SameShape(s.Out) {
			return Spec{}, fmt.Errorf("residual %v: must be %v", r, s.Out)
		}
		s.Note += " add"
	}
	if o.Act != nil {
		s.Note += " " + o.Act.Name()
		s.ReadsOut, s.NonNegative = true, true
	}
	s.GradBorder = Border{} // the convolution reads its gradient elsewhere
	return s, nil
}

// fusedConv is the step of [FusedConvOp].
type fusedConv struct {
	conv     *conv
	norm     *normalizer // nil without batch norm
	act      bool
	limit    float32
	pre      View // what the convolution writes: y itself where nobody reads it later
	y, res   View // res is empty without residual
	fill     *borderFill
	dy, dres View
	dz       [][]float32 // per worker, the gradient of one image in front of the convolution
	dzL      Layout
	finish   *rowLoop // with the statistics of the batch
	band     func(worker, i int)
	summed   bool     // those statistics are summed as the convolution writes bands
	cut      *rowLoop // cuts dy in place where sums do not do it
}

// Bind implements [Op].
func (o FusedConvOp) Bind(b *Binding) Step {
	operands, gamma, residual, _ := o.operands()
	s := &fusedConv{y: b.Out, pre: b.Out, fill: b.fill, dy: b.GradOut, act: o.Act != nil}
	s.limit, _ = limitOf(o.Act) // Infer has accepted it
	b.fill = nil
	inner := *b
	inner.In, inner.GradIn = b.In[:operands], b.GradIn[:operands]
	if o.Norm != nil && (b.Mode.Training() || !s.dy.Empty()) {
		s.pre = View{Type: b.Out.Type}
		l, size := layoutOf(s.pre.Type, Border{})
		s.pre.L = l
		if len(b.Saved) > 0 {
			s.pre.Memory = b.Saved[0]
		} else { // a gradient in a mode that does not train
			s.pre.Memory = Memory{DType: Float32, F32: make([]float32, size)}
		}
	}
	inner.Out = s.pre
	if !s.dy.Empty() {
		inner.GradOut = s.bindUpstream(o.Conv, b)
	}
	s.conv = o.Conv.Bind(&inner).(*conv)
	if o.Residual {
		s.res, s.dres = b.In[residual], b.GradIn[residual]
	}
	if o.Norm != nil {
		s.norm = newNormalizer(*o.Norm, b, gamma, s.pre)
	}
	s.bindForward(b)
	if !s.dy.Empty() {
		s.bindBackward()
	}
	return s
}

// bindUpstream gives each worker memory for the gradient that the convolution reads.
func (s *fusedConv) bindUpstream(conv Conv2DOp, b *Binding) View {
	spec, _ := conv.Infer(b.Env, []Type{b.In[0].Type, b.In[1].Type})
	l, size := layoutOf(b.Out.Type.WithBatch(1), spec.GradBorder)
	l.N, l.SN = b.Batch, 0
	s.dz, s.dzL = make([][]float32, b.Pool.Workers()), l
	for i := range s.dz {
		s.dz[i] = make([]float32, size)
	}
	return View{Type: b.Out.Type, L: l, Memory: Memory{DType: Float32, F32: s.dz[0]}}
}

func (s *fusedConv) bindForward(b *Binding) {
	s.band = s.finishedBand
	if s.norm == nil || s.norm.stats == nil {
		return
	}
	s.band = s.conv.forwardBand
	s.finish = overRows(s.y, s.finishRows)
	if s.norm.stats.n >= b.Pool.Workers() {
		s.summed, s.norm.stats.each = true, s.forwardPart
	}
}

func (s *fusedConv) Forward(c *Context) {
	s.conv.prepare(c)
	batch := s.finish != nil
	if s.norm != nil && !batch {
		s.norm.update()
	}
	if !s.summed {
		c.Pool.Run(s.conv.bands.all(), s.band)
	}
	if batch {
		s.norm.stats.run(c)
		s.norm.update()
		s.finish.run(c)
	}
}

// forwardPart computes the bands of a part of the statistics and their sums.
func (s *fusedConv) forwardPart(worker, i int) {
	m := s.norm.stats // of the rows that the convolution has
	m.begin(i)
	for k := m.first(i); k < m.first(i+1); k++ {
		s.conv.forwardBand(worker, k)
		m.add(i, k)
	}
}

// finishedBand computes a band of an image to the end.
func (s *fusedConv) finishedBand(worker, i int) {
	s.conv.forwardBand(worker, i)
	n, from, to := s.conv.bands.rows(i)
	s.finishRows(0, n*s.y.L.H+from, n*s.y.L.H+to)
}

// finishRows takes rows through the stages behind the convolution.
func (s *fusedConv) finishRows(_, r0, r1 int) {
	residual := !s.res.Empty()
	for r := r0; r < r1; r++ {
		if s.fill != nil {
			s.fill.around(r/s.y.L.H, r%s.y.L.H)
		}
		y, x := s.y.f32Row(r), s.pre.f32Row(r)
		switch {
		case s.norm != nil && residual && s.act:
			kernels.ScaleBiasAddReLU(y, x, s.norm.scale, s.norm.shift, s.res.f32Row(r), s.limit)
			continue
		case s.norm != nil && s.act:
			kernels.ScaleBiasReLU(y, x, s.norm.scale, s.norm.shift, s.limit)
			continue
		case s.norm != nil:
			kernels.ScaleBias(y, x, s.norm.scale, s.norm.shift)
			x = y
		}
		switch {
		case residual && s.act:
			kernels.AddReLU(y, x, s.res.f32Row(r), s.limit)
		case residual:
			kernels.Add(y, x, s.res.f32Row(r))
		case s.act:
			kernels.ReLU(y, x, s.limit)
		}
	}
}

func (s *fusedConv) bindBackward() {
	s.conv.Upstream(s.upstream)
	switch {
	case s.norm != nil && s.norm.sums != nil:
		s.norm.sums.each = s.cutPart
	case s.norm != nil || !s.dres.Empty():
		s.cut = overRows(s.dy, s.cutRows)
	}
}

func (s *fusedConv) Backward(c *Context) {
	if s.dy.Empty() {
		return
	}
	if s.cut != nil {
		s.cut.run(c)
	}
	if s.norm != nil {
		s.norm.backward(c)
	}
	s.conv.Backward(c)
}

// cutPart cuts the bands of a part of the sums and takes them in.
func (s *fusedConv) cutPart(_, i int) {
	m := s.norm.sums
	m.begin(i)
	for k := m.first(i); k < m.first(i+1); k++ {
		n, from, to := m.bands.rows(k)
		s.cutRows(0, n*s.dy.L.H+from, n*s.dy.L.H+to)
		m.add(i, k)
	}
}

// cutRows takes dy back through the activation, in place, and passes it on to the residual.
func (s *fusedConv) cutRows(_, r0, r1 int) {
	for r := r0; r < r1; r++ {
		dy := s.dy.f32Row(r)
		if s.act {
			kernels.ReLUBackward(dy, dy, s.y.f32Row(r), s.limit, false)
		}
		if !s.dres.Empty() {
			copyRow(s.dres.f32Row(r), dy, s.dres.Add)
		}
	}
}

// upstream writes the gradient of image n in front of the convolution.
func (s *fusedConv) upstream(worker, n int) []float32 {
	dz, length := s.dz[worker], s.dzL.W*s.dzL.C
	for h := range s.dzL.H {
		r := n*s.dzL.H + h
		row, dy := dz[s.dzL.Row(0, h):][:length], s.dy.f32Row(r)
		switch {
		case s.norm != nil:
			s.norm.back(row, dy, s.pre, r)
		case s.cut != nil || !s.act:
			copy(row, dy)
		default:
			kernels.ReLUBackward(row, dy, s.y.f32Row(r), s.limit, false)
		}
	}
	return dz
}
