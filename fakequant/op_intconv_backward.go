package fakequant

import (
	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/quant"
)

// intBackward is the backward pass of a convolution on integers. It masks the
// upstream gradient where it lies, dz = dy·[pass], and lets the float operation
// differentiate itself on the dequantized operands.
//
// The range's gradient needs S = Σ dy·(q−z) − Σ dz·v over the unsaturated and the
// saturated elements. The second sum is not over activations: v·s = conv(x̂,ŵ)+b̂
// is linear in ŵ and b̂, so Σ dz·v·s = ⟨dŵ,ŵ⟩ + ⟨db,b̂⟩.
type intBackward struct {
	s        *intConvStep
	inner    autograd.Step
	dw, db   autograd.View
	parts    []float64 // Σ dy·(q−z) of every image
	mask     *rowLoop  // of a linear layer or in front of a pool; a convolution masks image by image
	bits     []uint8
	rowBytes int
	dots     []float64 // Σ dŵ·(q−z) of every piece of the weight
	dot      *pieceLoop
}

func (s *intConvStep) bindBackward() {
	b, o := s.b, s.o
	if b.GradOut.Empty() {
		return
	}
	k := &intBackward{s: s, rowBytes: s.driver.PassRow()}
	s.back = k
	inner := *b
	n := o.operandsOfConv()
	inner.In, inner.GradIn = b.In[:n], append([]autograd.View(nil), b.GradIn[:n]...)
	learned := o.Out != nil && o.Out.learned() && o.Norm == nil
	// The range's gradient reads those of weight and bias also where nobody else does.
	if learned {
		for i := 1; i < n; i++ {
			if inner.GradIn[i].Empty() || inner.GradIn[i].Add {
				inner.GradIn[i] = privateGrad(b.In[i])
			}
		}
		scales := 1
		if b.In[1].Format.PerChannel {
			scales = s.channels
		}
		pieces, perTask := split(scales, b.In[1].Elements()/scales)
		k.dots, k.dot = make([]float64, len(pieces)), newPieceLoop(pieces, perTask, k.dotPiece)
	}
	k.dw = inner.GradIn[1]
	if n == 3 {
		k.db = inner.GradIn[2]
	}
	float := o.float([]autograd.Type{b.In[0].Type, b.In[1].Type})
	if s.pool != nil {
		s.pool.bindBackward(&inner, float)
	}
	k.inner = float.Bind(&inner)
	if o.Out == nil {
		return
	}
	k.parts = make([]float64, b.Batch)
	conv, images := k.inner.(autograd.ConvStep)
	switch {
	case o.Norm != nil:
		s.batch.bindBackward(conv)
	case s.pool != nil:
		if pooled, together := k.inner.(autograd.PooledStep); together {
			pooled.Pass(s.pool.passBits)
		} else {
			conv.Upstream(s.pool.upstream)
		}
		if o.Out.learned() {
			_, length := s.pool.dy.Rows()
			k.mask = newRowLoop(b.Batch, length*s.pool.dy.L.H, s.pool.sumImage)
		}
	case images:
		k.bits = b.Saved[len(b.Saved)-1].U8
		conv.Upstream(k.maskImage)
	default:
		k.bits = b.Saved[len(b.Saved)-1].U8
		k.mask = newRowLoop(b.Batch, s.channels, func(worker, n int) { k.maskImage(worker, n) })
	}
}

// privateGrad returns a gradient with memory of its own.
func privateGrad(v autograd.View) autograd.View {
	g := autograd.View{Type: v.Type.Floats(), L: v.L}
	g.Memory = autograd.Memory{DType: autograd.Float32, F32: make([]float32, v.Elements())}
	return g
}

func (s *intConvStep) Backward(c *autograd.Context) {
	if s.back == nil {
		return
	}
	if s.batch != nil {
		s.batch.backward(c)
		return
	}
	s.back.run(c)
}

func (k *intBackward) run(c *autograd.Context) {
	s := k.s
	if k.mask != nil {
		k.mask.run(c.Pool)
	}
	k.inner.Backward(c)
	if s.o.Out == nil {
		return
	}
	k.passOn()
	if k.dot == nil {
		return
	}
	sum := 0.0
	for _, p := range k.parts {
		sum += p
	}
	g := s.b.Out.Grid
	learnRange(s.o.Out, s.b, g, sum-k.inside(c)/float64(g.ScaleAt(0)), s.elements())
}

// inside returns Σ dz·v·s = ⟨dŵ,ŵ⟩ + ⟨db,b̂⟩.
func (k *intBackward) inside(c *autograd.Context) float64 {
	s := k.s
	k.dot.run(c.Pool)
	sum := 0.0
	for i, p := range k.dot.pieces {
		sum += k.dots[i] * float64(s.b.In[1].Grid.ScaleAt(p.scale))
	}
	if !k.db.Empty() {
		for i, d := range k.db.F32 {
			sum += float64(d) * float64(s.bias[i]) * float64(s.accScale[i])
		}
	}
	return sum
}

func (k *intBackward) dotPiece(i int) {
	p := k.dot.pieces[i]
	k.dots[i] = dotCodes(k.dw.F32[p.from:p.to], k.s.b.In[1], p.from)
}

// passOn adds the private gradients to those that other nodes share.
func (k *intBackward) passOn() {
	for i, g := range []autograd.View{k.dw, k.db} {
		if g.Empty() || 1+i >= len(k.s.b.GradIn) {
			continue
		}
		dst := k.s.b.GradIn[1+i]
		if dst.Empty() || &dst.F32[0] == &g.F32[0] {
			continue
		}
		for j, v := range g.F32 {
			dst.F32[j] += v
		}
	}
}

// maskImage turns the dy of image n into dz and returns where it lies.
func (k *intBackward) maskImage(_, n int) []float32 {
	s := k.s
	k.parts[n] = maskRows(s.b, n, k.bits, k.rowBytes, s.o.Out.learned(), cutsTop(s.o.act, s.requant.Hi, s.b.Out.Grid))
	return s.b.GradOut.F32
}

// cutsTop says that the activation function cuts values below the end hi of the grid. They
// add nothing to the range's gradient, so that its sum over dy·(q−z) runs over what
// passes. Otherwise it runs over all elements: what is cut from below has q = z.
func cutsTop(act activation, hi int32, g *quant.Grid) bool { return act == relu6 && hi < g.QMax() }
