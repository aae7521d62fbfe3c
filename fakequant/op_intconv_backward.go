package fakequant

import (
	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/internal/kernels"
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
	parts    []float64
	mask     *rowLoop
	bits     []uint8
	rowBytes int
}

func (s *intConvStep) bindBackward() {
	b, o := s.b, s.o
	if b.GradOut.Empty() {
		return
	}
	k := &intBackward{s: s, rowBytes: s.driver.PassRow()}
	inner := *b
	n := o.operandsOfConv()
	inner.In, inner.GradIn = b.In[:n], append([]autograd.View(nil), b.GradIn[:n]...)
	// The range's gradient reads those of weight and bias also where nobody else does.
	if o.Out != nil && o.Out.learned() && o.Norm == nil {
		for i := 1; i < n; i++ {
			if inner.GradIn[i].Empty() || inner.GradIn[i].Add {
				inner.GradIn[i] = privateGrad(b.In[i])
			}
		}
	}
	k.dw = inner.GradIn[1]
	if n == 3 {
		k.db = inner.GradIn[2]
	}
	k.inner = o.Conv.Bind(&inner)
	rows, length := b.GradOut.Rows()
	k.parts = make([]float64, rows)
	k.mask = newRowLoop(rows, length, k.maskRow)
	if o.Out != nil && o.Norm == nil {
		k.bits = b.Saved[len(b.Saved)-1].U8
	}
	s.back = k
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
	if s.o.Out == nil {
		k.inner.Backward(c)
		return
	}
	k.mask.run(c.Pool)
	k.inner.Backward(c)
	k.passOn()
	if !s.o.Out.learned() {
		return
	}
	sum := 0.0
	for _, p := range k.parts {
		sum += p
	}
	w := s.b.In[1]
	per := w.Elements() / s.channels
	in := 0.0
	for i, d := range k.dw.F32 {
		in += float64(d) * float64(w.Code(i)) * float64(w.Grid.ScaleAt(i/per))
	}
	if !k.db.Empty() {
		for i, d := range k.db.F32 {
			in += float64(d) * float64(s.bias[i]) * float64(s.accScale[i])
		}
	}
	g := s.b.Out.Grid
	learnRange(s.o.Out, s.b, g, sum-in/float64(g.ScaleAt(0)), s.b.Out.Elements())
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

// maskRow turns dy into dz and, where the range is learned, sums dy·(q−z) of what
// the activation function does not cut.
func (k *intBackward) maskRow(_, r int) {
	s := k.s
	dy, y := s.b.GradOut, s.b.Out
	_, n := dy.Rows()
	d := dy.F32[dy.Row(r):][:n]
	learned, top := s.o.Out.learned(), cutsTop(s.o.act, s.requant.Hi, y.Grid)
	if learned && !top {
		k.parts[r] = dotCodes(d, y, y.Row(r))
	}
	kernels.SelectBits(d, d, k.bits[r*k.rowBytes:(r+1)*k.rowBytes], false)
	if learned && top {
		k.parts[r] = dotCodes(d, y, y.Row(r))
	}
}

// cutsTop says that the activation function cuts values below the end hi of the grid. They
// add nothing to the range's gradient, so that its sum over dy·(q−z) runs over what
// passes. Otherwise it runs over all elements: what is cut from below has q = z.
func cutsTop(act activation, hi int32, g *quant.Grid) bool { return act == relu6 && hi < g.QMax() }
