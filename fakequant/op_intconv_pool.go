package fakequant

import (
	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/integer"
	"github.com/bitgrad/bitgrad/internal/kernels"
)

// intPool is a max pool behind a convolution on integers. Of the convolution's output nothing
// outlives an image but the pass bits of the elements that won: its codes and bits lie in the memory
// of the worker. Its gradient is dz = dy at the taps that won, behind the bits, and 0 elsewhere: the
// float operation takes it from the pool, or it is written to the memory of the worker when the backward
// pass comes to the image.
//
// The range's gradient needs Σ dy·(q−z) of the convolution's output. It is that of the pool's, since
// a tap that won has the code of its window.
type intPool struct {
	s       *intConvStep
	shape   kernels.PoolShape
	index   []uint8 // the taps that won
	bits    []uint8 // of these, in rows of whole bytes
	winners *kernels.WinnerBits
	codes   []integer.Codes
	taps    []integer.Taps // with the bits of all elements
	masked  [][]float32    // per worker, the pool's gradient of an image behind the bits
	dz      [][]float32
	dzAt    kernels.Layout
	dy, y   autograd.View // of the pool, as the range's gradient reads them
}

// poolType returns the type of the convolution's output, codes of one byte.
func (o IntConvOp) poolType(shape kernels.ConvShape, batch int) autograd.Type {
	return autograd.Type{Shape: []int{batch, shape.O, shape.OH, shape.OW}, DType: codeType(o.Out.Format), Format: &o.Out.Format}
}

// poolable reports whether the kernels pool the output of the convolution.
func (o IntConvOp) poolable(in []autograd.Type, p autograd.MaxPoolOp) bool {
	_, isConv := o.Conv.(autograd.Conv2DOp)
	if !isConv || o.Norm != nil || o.Out.Format.BitWidth > 8 {
		return false
	}
	shape, _, err := o.geometry(in)
	if err != nil {
		return false
	}
	s, err := p.Shape(o.poolType(shape, 1))
	return err == nil && max(s.KH, s.KW) <= 256 && s.MaxIndexable()
}

func newIntPool(s *intConvStep) *intPool {
	b := s.b
	t := s.o.poolType(s.shape, b.Batch)
	k := &intPool{s: s, index: b.Saved[len(b.Saved)-2].U8, bits: b.Saved[len(b.Saved)-1].U8}
	k.shape, _ = s.o.Pool.Shape(t) // Infer has accepted it
	l := kernels.Dense(b.Batch, s.shape.OH, s.shape.OW, s.shape.O)
	l.SN = 0
	k.winners = k.shape.WinnerBits()
	k.codes, k.taps = make([]integer.Codes, b.Pool.Workers()), make([]integer.Taps, b.Pool.Workers())
	for i := range k.codes {
		k.codes[i] = integer.NewCodes(l, s.shape.OH*s.shape.OW*s.shape.O, s.o.Out.Format.BitWidth, s.o.Out.Format.Signed, 0)
		size := s.shape.OH * s.driver.PassRow()
		k.taps[i] = s.taps[i]
		k.taps[i].Pass = make([]uint8, size, size+kernels.Slack)
	}
	return k
}

// forwardImage computes and pools one image.
func (k *intPool) forwardImage(worker, n int) {
	s := k.s
	x, y, codes := s.x, s.b.Out, k.codes[worker]
	x.L.Off += n * x.L.SN
	taps := &k.taps[worker]
	s.driver.Forward(codes, x, 0, 1, s.scratch[worker], taps)
	k.shape.MaxCodes(y.U8, y.L, codes.U8, codes.L, codes.Signed, k.index, n, n+1)
	k.winners.Find(k.passBits(n), k.index, taps.Pass, n)
}

// bindBackward lets the float operation, which is bound with inner, read the gradient: that of the pool, or
// that of the convolution's output in the memory of the worker.
func (k *intPool) bindBackward(inner *autograd.Binding, float autograd.Op) {
	s := k.s
	k.dy, k.y = s.b.GradOut, s.b.Out
	if s.o.act != relu6 { // which is masked row by row
		joinRows(&k.dy, &k.y)
	}
	if _, together := float.(autograd.PooledConvOp); together {
		inner.Saved = s.b.Saved[len(s.b.Saved)-2:]
		return
	}
	var border autograd.Border
	if !s.b.GradIn[0].Empty() {
		// Not that of s.shape, which keeps strides that a single position makes meaningless.
		spec, _ := float.Infer(s.b.Env, []autograd.Type{s.b.In[0].Type, s.b.In[1].Type})
		border = spec.GradBorder
	}
	l, size := kernels.Bordered(1, s.shape.OH, s.shape.OW, s.shape.O, border.Top, border.Left, border.Bottom, border.Right)
	l.N, l.SN = s.b.Batch, 0
	k.dz, k.dzAt = scratch[float32](s.b.Pool.Workers(), size), l
	k.masked = scratch[float32](s.b.Pool.Workers(), k.shape.OH*k.shape.OW*k.shape.C)
	inner.GradOut = autograd.View{Type: s.o.poolType(s.shape, s.b.Batch).Floats(), L: l}
	inner.GradOut.Memory = autograd.Memory{DType: autograd.Float32, F32: k.dz[0]}
}

// passBits returns the bits of image n.
func (k *intPool) passBits(n int) []uint8 {
	size := k.winners.Size()
	return k.bits[n*size:][:size]
}

// upstream writes the dz of image n.
func (k *intPool) upstream(worker, n int) []float32 {
	s, dz := k.s, k.dz[worker]
	dy, masked, row := s.b.GradOut, k.masked[worker], k.shape.OW*k.shape.C
	for h := range k.shape.OH { // not in place: another worker may come to the image at the same time
		r := n*k.shape.OH + h
		kernels.SelectBits(masked[h*row:][:row], dy.F32[dy.L.Row(n, h):], k.rowBits(r), false)
	}
	l := kernels.Dense(s.b.Batch, k.shape.OH, k.shape.OW, k.shape.C)
	l.SN = 0
	k.shape.MaxBackward(dz, k.dzAt, masked, l, k.index, n, n+1, false)
	return dz
}

// sumImage takes in what image n adds to the range's gradient, which reads dy.
func (k *intPool) sumImage(_, n int) {
	s, dy, y := k.s, k.dy, k.y
	_, length := dy.Rows()
	sum, top := 0.0, cutsTop(s.o.act, s.requant.Hi, y.Grid)
	for r := n * y.L.H; r < (n+1)*y.L.H; r++ {
		d := dy.F32[dy.Row(r):][:length]
		if top {
			k.maskRow(d, r)
		}
		sum += dotCodes(d, y, y.Row(r))
	}
	s.back.parts[n] = sum
}

// maskRow sets to 0 what does not pass of row r of the pool's gradient.
func (k *intPool) maskRow(d []float32, r int) {
	d = d[:k.shape.OW*k.shape.C]
	kernels.SelectBits(d, d, k.rowBits(r), false)
}

// rowBits returns the bits from row r of the pool's output on.
func (k *intPool) rowBits(r int) []uint8 {
	return k.bits[r*kernels.BitBytes(k.shape.OW*k.shape.C):]
}
