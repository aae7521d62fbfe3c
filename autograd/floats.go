package autograd

// Operations that compute on real numbers read operands that are codes through
// asFloats: a float32 copy in scratch memory, with the border the operation
// wants. An operand that is float32 already is read where it lies.

// floatBuffer adds to s what asFloats needs to present operand i with the
// given border. Where the operand is float32 that is the border itself.
func (s *Spec) floatBuffer(in []Type, i int, b Border) {
	if in[i].DType == Float32 {
		for len(s.Border) <= i {
			s.Border = append(s.Border, Border{})
		}
		s.Border[i] = s.Border[i].Max(b)
		return
	}
	t := in[i].Floats()
	if !t.Plain {
		t = t.WithBatch(batchOf(t))
	}
	_, n := layoutOf(t, b)
	s.Scratch = append(s.Scratch, Buffer{Float32, n})
}

// asFloats presents one operand of a step as float32.
type asFloats struct {
	// View is what the step reads, after run.
	View
	src   View
	fill  *borderFill
	table [256]float32
	rows  *rowLoop
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
	f.fill = newBorderFill(f.View, border)
	f.rows = overRows(f.View, f.block)
	return f
}

// run reads the operand again; it does nothing for float32 operands.
func (f *asFloats) run(c *Context) {
	if f.rows == nil {
		return
	}
	if f.src.Plain {
		f.src.each(func(_, i, ch int) { f.F32[i] = f.src.At(i, ch) })
		return
	}
	if f.tabled() {
		for q := range f.table {
			f.table[q] = f.src.real(uint8(q))
		}
	}
	f.rows.run(c)
	if f.fill != nil {
		f.fill.run(c)
	}
}

// tabled says that every byte stands for one real number.
func (f *asFloats) tabled() bool {
	return f.src.Elem().Size() == 1 && (f.src.Grid == nil || !f.src.Grid.PerChannel())
}

// real returns the real number that the byte q stands for.
func (v View) real(q uint8) float32 {
	code := int32(q)
	if v.Elem() == Int8 {
		code = int32(int8(q))
	}
	if v.Grid == nil {
		return float32(code)
	}
	return v.Grid.Dequantize(code, 0)
}

func (f *asFloats) block(_, r0, r1 int) {
	_, n := f.src.Rows()
	for r := r0; r < r1; r++ {
		from, dst := f.src.Row(r), f.f32Row(r)
		if f.tabled() {
			for i, q := range f.src.U8[from : from+n] {
				dst[i] = f.table[q]
			}
			continue
		}
		c := 0
		for i := range dst {
			dst[i] = f.src.At(from+i, c)
			if c++; c == f.src.L.C {
				c = 0
			}
		}
	}
}
