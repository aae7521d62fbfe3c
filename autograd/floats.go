package autograd

import "github.com/bitgrad/bitgrad/internal/kernels"

// Operations that compute on real numbers read operands that are codes through
// asFloats, a float32 copy in scratch memory, or image by image through
// imageFloats. An operand that is float32 already is read where it lies.

// floatBuffer adds to s what asFloats needs to present operand i with the
// given border. Where the operand is float32 that is the border itself.
func (s *Spec) floatBuffer(in []Type, i int, b Border) {
	if in[i].DType == Float32 {
		s.frame(i, b)
		return
	}
	t := in[i].Floats()
	if !t.Plain {
		t = t.WithBatch(batchOf(t))
	}
	_, n := layoutOf(t, b)
	s.Scratch = append(s.Scratch, Buffer{Float32, n})
}

// frame asks for a border around operand i.
func (s *Spec) frame(i int, b Border) {
	for len(s.Border) <= i {
		s.Border = append(s.Border, Border{})
	}
	s.Border[i] = s.Border[i].Max(b)
}

// asFloats presents one operand of a step as float32.
type asFloats struct {
	// View is what the step reads, after run.
	View
	src  View
	fill *borderFill
	rows *rowLoop
}

// floatsOf binds operand i; the borders must be those given to floatBuffer. It
// takes its memory from the front of b.Scratch.
func (b *Binding) floatsOf(i int, border Border) *asFloats {
	f := &asFloats{View: b.In[i], src: b.In[i]}
	if f.src.Elem() == Float32 {
		return f
	}
	t := f.src.Type.Floats()
	f.View = View{Type: t, Memory: b.Scratch[0]}
	f.View.L, _ = layoutOf(t, border)
	b.Scratch = b.Scratch[1:]
	if t.Plain {
		channels, per := f.src.channels()
		f.rows = newRowLoop(channels, per, f.channel)
		return f
	}
	f.fill = newBorderFill(f.View, border)
	f.rows = overRows(f.View, f.block)
	return f
}

// run reads the operand again; it does nothing for float32 operands.
func (f *asFloats) run(c *Context) {
	if f.rows == nil {
		return
	}
	f.rows.run(c)
	if f.fill != nil {
		f.fill.run(c)
	}
}

func (f *asFloats) block(_, r0, r1 int) {
	for r := r0; r < r1; r++ {
		f.src.expand(f.f32Row(r), f.src.Row(r))
	}
}

func (f *asFloats) channel(_, c0, c1 int) {
	_, per := f.src.channels()
	for c := c0; c < c1; c++ {
		f.src.expandChannel(f.F32[c*per:(c+1)*per], c*per, c)
	}
}

// channels returns the extent of the first axis of a plain value, and the elements
// that share an index of it.
func (v View) channels() (n, per int) {
	n = 1
	if len(v.Shape) > 0 {
		n = v.Shape[0]
	}
	return n, v.Elements() / max(n, 1)
}

// expand writes the real numbers of the elements from index at on, where a pixel
// begins, to dst.
func (v View) expand(dst []float32, at int) {
	if v.Grid == nil || !v.Grid.PerChannel() {
		v.expandChannel(dst, at, 0)
		return
	}
	c := 0
	for i := range dst {
		dst[i] = v.At(at+i, c)
		if c++; c == v.L.C {
			c = 0
		}
	}
}

// expandChannel is expand for elements that all belong to channel c.
func (v View) expandChannel(dst []float32, at, c int) {
	if v.Elem().Size() > 1 || v.Grid != nil && v.Grid.MidRise {
		for i := range dst {
			dst[i] = v.At(at+i, c)
		}
		return
	}
	zero, scale := int32(0), float32(1)
	if v.Grid != nil {
		zero, scale = v.Grid.ZeroPoint, v.Grid.ScaleAt(c)
	}
	kernels.Dequantize(dst, v.U8[at:at+len(dst)], v.Elem() == Int8, zero, scale)
}

// imageFloats presents a batched operand as float32, one image at a time. Codes are
// read where they lie, with the border that the operand has, and written as real numbers
// to memory of the worker, which stays in its cache.
type imageFloats struct {
	src View
	// L is the layout of what of returns; all images of codes lie at the same place.
	L      Layout
	memory [][]float32 // per worker; nil for an operand that is float32
}

// imagesOf binds operand i.
func (b *Binding) imagesOf(i int) *imageFloats {
	f := &imageFloats{src: b.In[i], L: b.In[i].L}
	if f.src.Elem() == Float32 {
		return f
	}
	f.L.SN = 0
	f.memory = make([][]float32, b.Pool.Workers())
	for w := range f.memory {
		f.memory[w] = make([]float32, f.src.L.SN, f.src.L.SN+slack/4)
	}
	return f
}

// of returns memory in which rows h0..h1-1 of image n, those of the border
// counted from below 0 and from H on, lie as L says. It is valid until the next call of
// the worker.
func (f *imageFloats) of(worker, n, h0, h1 int) []float32 {
	if f.memory == nil {
		return f.src.F32
	}
	m := f.memory[worker]
	left := f.L.Off % f.L.SH
	from, to := max(f.L.Row(0, h0)-left, 0), min(f.L.Row(0, h1)-left, len(m))
	f.src.expand(m[from:to], n*f.src.L.SN+from)
	return m
}
