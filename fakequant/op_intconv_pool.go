package fakequant

import (
	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/integer"
	"github.com/bitgrad/bitgrad/internal/kernels"
)

// intPool is a max pool behind a convolution on integers. Of the convolution's output
// nothing outlives an image but its pass bits: its codes are pooled in the memory of the worker,
// and its gradient, dz = dy at the taps that won and 0 elsewhere, behind the bits, is written there
// when the backward pass comes to the image.
//
// The range's gradient needs Σ dy·(q−z) of the convolution's output. It is that of the pool's, since
// a tap that won has the code of its window.
type intPool struct {
	s     *intConvStep
	shape kernels.PoolShape
	index []uint8 // the taps that won
	bits  []uint8 // of the convolution's output
	codes []integer.Codes
	taps  []integer.Taps
	dz    [][]float32
	dzAt  kernels.Layout
	dy, y autograd.View // of the pool, as the range's gradient reads them
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
	k.codes, k.taps = make([]integer.Codes, b.Pool.Workers()), make([]integer.Taps, b.Pool.Workers())
	for i := range k.codes {
		k.codes[i] = integer.NewCodes(l, s.shape.OH*s.shape.OW*s.shape.O, s.o.Out.Format.BitWidth, s.o.Out.Format.Signed, 0)
	}
	return k
}

// forwardImage computes and pools one image.
func (k *intPool) forwardImage(worker, n int) {
	s := k.s
	x, y, codes := s.x, s.b.Out, k.codes[worker]
	x.L.Off += n * x.L.SN
	taps := &k.taps[worker]
	size := s.shape.OH * s.driver.PassRow()
	*taps = s.taps[worker]
	taps.Pass = k.bits[n*size : (n+1)*size]
	s.driver.Forward(codes, x, 0, 1, s.scratch[worker], taps)
	k.shape.MaxCodes(y.U8, y.L, codes.U8, codes.L, codes.Signed, k.index, n, n+1)
}

// bindBackward lets the float operation read the gradient of the convolution's output in the
// memory of the worker. It returns the view of that gradient.
func (k *intPool) bindBackward(border autograd.Border) autograd.View {
	s := k.s
	l, size := kernels.Bordered(1, s.shape.OH, s.shape.OW, s.shape.O, border.Top, border.Left, border.Bottom, border.Right)
	l.N, l.SN = s.b.Batch, 0
	k.dz, k.dzAt = scratch[float32](s.b.Pool.Workers(), size), l
	k.dy, k.y = s.b.GradOut, s.b.Out
	if s.o.act != relu6 { // which is masked row by row
		joinRows(&k.dy, &k.y)
	}
	v := autograd.View{Type: s.o.poolType(s.shape, s.b.Batch).Floats(), L: l}
	v.Memory = autograd.Memory{DType: autograd.Float32, F32: k.dz[0]}
	return v
}

// upstream writes the dz of image n.
func (k *intPool) upstream(worker, n int) []float32 {
	s, dz := k.s, k.dz[worker]
	k.shape.MaxBackward(dz, k.dzAt, s.b.GradOut.F32, s.b.GradOut.L, k.index, n, n+1, false)
	rowBytes, length := s.driver.PassRow(), s.shape.OW*s.shape.O
	for h := range s.shape.OH {
		row := dz[k.dzAt.Row(0, h):][:length]
		kernels.SelectBits(row, row, k.bits[(n*s.shape.OH+h)*rowBytes:][:rowBytes], false)
	}
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
	p, c := &k.shape, k.shape.C
	n, oh := r/p.OH, r%p.OH
	rowBytes := k.s.driver.PassRow()
	for i := range d {
		tap := int(k.index[r*len(d)+i])
		h, w := oh*p.StrideH-p.PadTop+tap/p.KW, i/c*p.StrideW-p.PadLeft+tap%p.KW
		bit := w*c + i%c
		if k.bits[(n*k.s.shape.OH+h)*rowBytes+bit/8]>>(bit%8)&1 == 0 {
			d[i] = 0
		}
	}
}
