package fakequant

import (
	"errors"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/internal/kernels"
	"github.com/bitgrad/bitgrad/quant"
)

// scalarFunction returns the function of an operation that maps every element
// by itself, nil for other operations.
func scalarFunction(op autograd.Op) func(x float32) float32 {
	switch o := op.(type) {
	case autograd.PointwiseOp:
		return o.F
	case autograd.ReLUOp:
		return relu.apply
	case autograd.ReLU6Op:
		return relu6.apply
	case autograd.LeakyReLUOp:
		return func(x float32) float32 {
			if x > 0 {
				return x
			}
			return o.Slope * x
		}
	}
	return nil
}

// TableOp maps codes of up to 8 bits to codes of another grid by a table: a
// pointwise function with the quantizer behind it, or, with Float nil, an edge
// that is requantized. Operands: the codes, and the learned range, if any.
//
//	T[q] = Q_y(f(x̂(q)))
//
// Its backward pass is that of f behind the quantizer's mask.
type TableOp struct {
	Float autograd.Op
	Q     *Quantizer
}

// Name returns "table" or "table_" and the name of the function.
func (o TableOp) Name() string {
	if o.Float == nil {
		return "table"
	}
	return "table_" + o.Float.Name()
}

// States returns the quantizer's state.
func (o TableOp) States() []*autograd.State { return o.Q.states() }

func (o TableOp) quantizers() []*Quantizer { return []*Quantizer{o.Q} }

// Infer implements [autograd.Op].
func (o TableOp) Infer(env autograd.Env, in []autograd.Type) (autograd.Spec, error) {
	if err := operands(in, 1, o.Q); err != nil {
		return autograd.Spec{}, err
	}
	if !in[0].IsCodes() || in[0].Plain || in[0].Format.BitWidth > 8 {
		return autograd.Spec{}, errors.New("a table takes codes of at most 8 bits")
	}
	if o.Float != nil && scalarFunction(o.Float) == nil {
		return autograd.Spec{}, errors.New("the function does not act on single elements")
	}
	s := autograd.Spec{Out: in[0], ReadsIn: []bool{true}, Note: o.Q.Format.String()}
	s.Out.DType, s.Out.Format = codeType(o.Q.Format), &o.Q.Format
	return s, nil
}

// Bind implements [autograd.Op].
func (o TableOp) Bind(b *autograd.Binding) autograd.Step {
	o.Q.initGrid(b.Out.Grid)
	s := &tableStep{o: o, b: b}
	if o.Float != nil {
		s.f = scalarFunction(o.Float)
	}
	if p, ok := o.Float.(autograd.PointwiseOp); ok {
		s.df = p.DF
	} else {
		s.df = slopeOf(o.Float)
	}
	rows, n := b.In[0].Rows()
	s.n = n
	s.parts = make([]rangeSum, rows)
	s.grids = []*quant.Grid{b.In[0].Grid, b.Out.Grid}
	s.fwd, s.bwd = newRowLoop(rows, n, s.forwardRow), newRowLoop(rows, n, s.backwardRow)
	return s
}

// slopeOf returns the derivative of a rectifier; 1 for none.
func slopeOf(op autograd.Op) func(x float32) float32 {
	step := func(on bool, low float32) float32 {
		if on {
			return 1
		}
		return low
	}
	switch o := op.(type) {
	case autograd.ReLUOp:
		return func(x float32) float32 { return step(x > 0, 0) }
	case autograd.ReLU6Op:
		return func(x float32) float32 { return step(x > 0 && x < 6, 0) }
	case autograd.LeakyReLUOp:
		return func(x float32) float32 { return step(x > 0, o.Slope) }
	}
	return func(float32) float32 { return 1 }
}

type tableStep struct {
	o        TableOp
	b        *autograd.Binding
	f, df    func(x float32) float32
	table    [256]int32    // by the byte of the code
	pass     [256]float32  // derivative where the gradient passes, else 0
	residual [256]float32  // what an element adds to the range's gradient, per unit of dy
	grids    []*quant.Grid // of the operand and of the output
	cache    gridCache
	n        int // elements of a row
	parts    []rangeSum
	fwd, bwd *rowLoop
}

func (s *tableStep) Forward(c *autograd.Context) {
	s.o.Q.setGrid(s.b.Out.Grid)
	if s.cache.changed(s.grids) {
		s.fill()
	}
	s.fwd.run(c.Pool)
	if s.o.Q.watches(s.b.Mode) {
		s.observe()
	}
}

// fill computes the tables.
func (s *tableStep) fill() {
	x, g := s.b.In[0], s.b.Out.Grid
	z := float32(g.ZeroPoint)
	in := insideOf(s.o.Q, g)
	lo, hi := x.Grid.QMin(), x.Grid.QMax()
	for q := lo; q <= hi; q++ {
		i := uint8(q)
		real := x.Grid.Dequantize(q, 0)
		value := real
		if s.f != nil {
			value = s.f(real)
		}
		y := g.Quantize(value, 0, s.o.Q.Format.Rounding)
		s.table[i] = y
		v := stepsOf(g, value, 0)
		s.residual[i], s.pass[i] = float32(y)-z, 0
		if in.test(v) {
			s.residual[i] -= v
			s.pass[i] = s.df(real)
		}
	}
}

// observe shows the quantizer the values of the codes that occur.
func (s *tableStep) observe() {
	var seen [256]bool
	x := s.b.In[0]
	for r := range s.parts {
		at := x.Row(r)
		for _, u := range x.U8[at : at+s.n] {
			seen[u] = true
		}
	}
	o := Observation{Count: 0}
	for q := x.Grid.QMin(); q <= x.Grid.QMax(); q++ {
		if !seen[uint8(q)] {
			continue
		}
		v := x.Grid.Dequantize(q, 0)
		if s.f != nil {
			v = s.f(v)
		}
		if o.Count == 0 {
			o.Min, o.Max = v, v
		}
		o.Count++
		o.Min, o.Max = min(o.Min, v), max(o.Max, v)
	}
	s.o.Q.observe(o, false)
}

func (s *tableStep) forwardRow(_, r int) {
	x, y := s.b.In[0], s.b.Out
	from, to := x.Row(r), y.Row(r)
	src := x.U8[from : from+s.n]
	if y.U8 != nil {
		dst := y.U8[to : to+s.n]
		for i, u := range src {
			dst[i] = uint8(s.table[u])
		}
		return
	}
	for i, u := range src {
		y.SetCode(to+i, s.table[u])
	}
}

func (s *tableStep) Backward(c *autograd.Context) {
	if s.b.GradOut.Empty() {
		return
	}
	s.bwd.run(c.Pool)
	learnRange(s.o.Q, s.b, s.b.Out.Grid, sumParts(s.parts), s.b.Out.Elements())
}

func (s *tableStep) backwardRow(_, r int) {
	x, dy, dx := s.b.In[0], s.b.GradOut, s.b.GradIn[0]
	from := x.Row(r)
	src, d := x.U8[from:from+s.n], dy.F32[dy.Row(r):][:s.n]
	if s.o.Q.learned() {
		sum := 0.0
		for i, u := range src {
			sum += float64(d[i]) * float64(s.residual[u])
		}
		s.parts[r].s = sum
	}
	if dx.Empty() {
		return
	}
	to := dx.F32[dx.Row(r):][:s.n]
	for i, u := range src {
		v := d[i] * s.pass[u]
		if dx.Add {
			v += to[i]
		}
		to[i] = v
	}
}

// TableInputOp brings pixels onto the grid of the network's input by one table
// per channel, quant.InputTable. It has no gradient.
type TableInputOp struct {
	Normalize autograd.NormalizeOp
	Q         *Quantizer
}

// Name returns "table_input".
func (TableInputOp) Name() string { return "table_input" }

// States returns the quantizer's state.
func (o TableInputOp) States() []*autograd.State { return o.Q.states() }

func (o TableInputOp) quantizers() []*Quantizer { return []*Quantizer{o.Q} }

// Infer implements [autograd.Op].
func (o TableInputOp) Infer(env autograd.Env, in []autograd.Type) (autograd.Spec, error) {
	spec, err := o.Normalize.Infer(env, in)
	if err != nil {
		return spec, err
	}
	spec.Scratch, spec.Saved, spec.InPlace = nil, nil, false
	spec.Out = spec.Out.Floats()
	spec.Out.DType, spec.Out.Format = codeType(o.Q.Format), &o.Q.Format
	spec.NoGrad = []bool{true}
	spec.Note = o.Q.Format.String()
	return spec, nil
}

// Bind implements [autograd.Op].
func (o TableInputOp) Bind(b *autograd.Binding) autograd.Step {
	o.Q.initGrid(b.Out.Grid)
	s := &tableInputStep{o: o, b: b}
	rows, n := b.In[0].Rows()
	s.n = n
	s.rows = newRowLoop(rows, n, s.row)
	if b.Out.U8 != nil {
		s.bytes = make([][256]uint8, b.In[0].L.C)
	}
	return s
}

type tableInputStep struct {
	o      TableInputOp
	b      *autograd.Binding
	tables [][256]int32
	bytes  [][256]uint8 // the same, for codes in bytes
	grid   quant.Grid   // that the tables were made for
	rows   *rowLoop
	n      int
}

func (s *tableInputStep) Forward(c *autograd.Context) {
	g := s.b.Out.Grid
	s.o.Q.setGrid(g)
	if s.tables == nil || !s.grid.Equal(*g) {
		// Prepare and Infer have checked what InputTable refuses.
		s.tables, _ = quant.InputTable(s.o.Normalize.Scale, s.o.Normalize.Offset, *g, s.o.Q.Format.Rounding)
		s.grid = g.Clone()
		for c := range s.bytes {
			for p, q := range s.tables[c] {
				s.bytes[c][p] = uint8(q)
			}
		}
	}
	s.rows.run(c.Pool)
}

func (s *tableInputStep) row(_, r int) {
	x, y := s.b.In[0], s.b.Out
	from, to := x.Row(r), y.Row(r)
	if s.bytes != nil {
		kernels.LookUp(y.U8[to:to+s.n], x.U8[from:from+s.n], s.bytes)
		return
	}
	c := 0
	for i, p := range x.U8[from : from+s.n] {
		y.SetCode(to+i, s.tables[c][p])
		if c++; c == x.L.C {
			c = 0
		}
	}
}

func (*tableInputStep) Backward(*autograd.Context) {}
