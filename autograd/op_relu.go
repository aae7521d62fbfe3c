package autograd

import (
	"fmt"
	"math"

	"github.com/bitgrad/bitgrad/integer"
	"github.com/bitgrad/bitgrad/internal/kernels"
	"github.com/bitgrad/bitgrad/quant"
)

// ReLU returns y = max(x, 0), element by element. NaN stays NaN.
//
// Codes stay codes on the same grid: y = max(x, z) with the zero point z. On a
// mid-rise grid, which has no zero, real numbers come out.
//
// Gradient: dx = dy where x > 0, else 0.
func ReLU(name string, x *Node) *Node { return Apply(name, ReLUOp{}, x) }

// ReLU6 returns y = min(max(x, 0), 6), element by element. NaN stays NaN.
//
// Codes stay codes on the same grid; the upper bound is the code of 6, or the
// largest code of a grid that ends below.
//
// Gradient: dx = dy where 0 < x < 6, else 0.
func ReLU6(name string, x *Node) *Node { return Apply(name, ReLU6Op{}, x) }

// LeakyReLU returns y = x where x > 0 and slope·x elsewhere, with slope ≥ 0.
// Codes are read as the real numbers they stand for.
//
// Gradient: dx = dy where x > 0, slope·dy elsewhere.
func LeakyReLU(name string, x *Node, slope float32) *Node {
	return Apply(name, LeakyReLUOp{Slope: slope}, x)
}

// ReLUOp is the operation of [ReLU].
type ReLUOp struct{}

// ReLU6Op is the operation of [ReLU6].
type ReLU6Op struct{}

// LeakyReLUOp is the operation of [LeakyReLU].
type LeakyReLUOp struct{ Slope float32 }

// Name returns "relu".
func (ReLUOp) Name() string { return "relu" }

// Name returns "relu6".
func (ReLU6Op) Name() string { return "relu6" }

// Name returns "leaky_relu".
func (LeakyReLUOp) Name() string { return "leaky_relu" }

// Infer implements [Op].
func (ReLUOp) Infer(_ Env, in []Type) (Spec, error) { return inferReLU(in, true) }

// Infer implements [Op].
func (ReLU6Op) Infer(_ Env, in []Type) (Spec, error) { return inferReLU(in, true) }

// Infer implements [Op].
func (o LeakyReLUOp) Infer(_ Env, in []Type) (Spec, error) {
	if !(o.Slope >= 0) || math.IsInf(float64(o.Slope), 0) {
		return Spec{}, fmt.Errorf("slope %v: must be finite and not negative", o.Slope)
	}
	s, err := inferReLU(in, false)
	s.Note = fmt.Sprintf("slope %v", o.Slope)
	return s, err
}

// inferReLU infers a rectifier; clamps says that it has no negative result, so
// that codes stay codes.
func inferReLU(in []Type, clamps bool) (Spec, error) {
	if len(in) != 1 {
		return Spec{}, errOneOperand
	}
	x := in[0]
	if err := checkReal(x); err != nil {
		return Spec{}, err
	}
	if clamps && clampsCodes(x) {
		return Spec{Out: x, ReadsIn: []bool{true}, NonNegative: true}, nil
	}
	// The sign of y is that of x, so x need not stay.
	s := Spec{Out: x.Floats(), ReadsOut: true, InPlace: x.DType == Float32, NonNegative: clamps}
	s.floatBuffer(in, 0, Border{})
	return s, nil
}

func clampsCodes(t Type) bool {
	return t.IsCodes() && !t.Format.MidRise && !t.Plain && t.DType != Int64
}

// Bind implements [Op].
func (ReLUOp) Bind(b *Binding) Step { return bindReLU(b, float32(math.Inf(1)), 0) }

// Bind implements [Op].
func (ReLU6Op) Bind(b *Binding) Step { return bindReLU(b, 6, 0) }

// Bind implements [Op].
func (o LeakyReLUOp) Bind(b *Binding) Step { return bindReLU(b, float32(math.Inf(1)), o.Slope) }

func bindReLU(b *Binding, limit, slope float32) Step {
	if b.Out.IsCodes() {
		return bindClamp(b, limit)
	}
	s := &rectifier{limit: limit, slope: slope, x: b.floatsOf(0, Border{}), y: b.Out, dx: b.GradIn[0], dy: b.GradOut}
	s.forward, s.backward = overRows(s.y, s.apply), overRows(s.y, s.derive)
	return s
}

// rectifier is the step on real numbers. One of limit and slope has no effect.
type rectifier struct {
	limit, slope      float32
	x                 *asFloats
	y, dx, dy         View
	forward, backward *rowLoop
}

func (s *rectifier) Forward(c *Context) {
	s.x.run(c)
	s.forward.run(c)
}

func (s *rectifier) apply(_, r0, r1 int) {
	for r := r0; r < r1; r++ {
		x, y := s.x.f32Row(r), s.y.f32Row(r)
		if s.slope == 0 {
			kernels.ReLU(y, x, s.limit)
		} else {
			kernels.LeakyReLU(y, x, s.slope)
		}
	}
}

// dx = dy where 0 < y < limit, slope·dy below.
func (s *rectifier) Backward(c *Context) {
	if !s.dx.Empty() {
		s.backward.run(c)
	}
}

func (s *rectifier) derive(_, r0, r1 int) {
	for r := r0; r < r1; r++ {
		y, dx, dy := s.y.f32Row(r), s.dx.f32Row(r), s.dy.f32Row(r)
		if s.slope == 0 {
			kernels.ReLUBackward(dx, dy, y, s.limit, s.dx.Add)
		} else {
			kernels.LeakyReLUBackward(dx, dy, y, s.slope, s.dx.Add)
		}
	}
}

// codeClamp is the step on codes: y = min(max(q, lo), hi[c]). The gradient
// passes where lo < q ≤ pass[c].
type codeClamp struct {
	limit             float32
	x, y, dx, dy      View
	lo                int32
	hi, pass          []int32
	table             [256]uint8
	keep              [256]uint32 // all bits where the gradient passes
	forward, backward *rowLoop
}

func bindClamp(b *Binding, limit float32) Step {
	c := b.In[0].L.C
	s := &codeClamp{limit: limit, x: b.In[0], y: b.Out, dx: b.GradIn[0], dy: b.GradOut,
		hi: make([]int32, c), pass: make([]int32, c)}
	b.Out.Grid = b.In[0].Grid
	s.y.Grid = b.In[0].Grid
	s.forward, s.backward = overRows(s.y, s.apply), overRows(s.y, s.derive)
	return s
}

// bounds follows the grid, which may change from step to step.
func (s *codeClamp) bounds() {
	g := s.x.Grid
	s.lo = g.ZeroPoint
	for c := range s.hi {
		if c > 0 && !g.PerChannel() {
			s.hi[c], s.pass[c] = s.hi[0], s.pass[0]
			continue
		}
		s.hi[c], s.pass[c] = g.QMax(), g.QMax()
		if !math.IsInf(float64(s.limit), 0) {
			s.hi[c] = g.Quantize(s.limit, c, quant.HalfEven)
			s.pass[c] = s.hi[c]
			if g.Dequantize(s.hi[c], c) >= s.limit {
				s.pass[c]--
			}
		}
	}
	if s.tabled() {
		for q := range s.table {
			code := int32(q)
			if s.x.Elem() == Int8 {
				code = int32(int8(q))
			}
			s.table[q] = uint8(min(max(code, s.lo), s.hi[0]))
			s.keep[q] = 0
			if s.lo < code && code <= s.pass[0] {
				s.keep[q] = math.MaxUint32
			}
		}
	}
}

func (s *codeClamp) tabled() bool { return s.x.Elem().Size() == 1 && !s.x.Grid.PerChannel() }

func (s *codeClamp) Forward(c *Context) {
	s.bounds()
	s.forward.run(c)
}

func (s *codeClamp) apply(_, r0, r1 int) {
	_, n := s.y.Rows()
	for r := r0; r < r1; r++ {
		from, to := s.x.Row(r), s.y.Row(r)
		if s.tabled() {
			y := s.y.U8[to : to+n]
			for i, q := range s.x.U8[from : from+n] {
				y[i] = s.table[q]
			}
			continue
		}
		for i := range n {
			s.y.SetCode(to+i, min(max(s.x.Code(from+i), s.lo), s.hi[i%s.y.L.C]))
		}
	}
}

// dx = dy where lo < q ≤ pass.
func (s *codeClamp) Backward(c *Context) {
	if !s.dx.Empty() {
		s.backward.run(c)
	}
}

func (s *codeClamp) derive(_, r0, r1 int) {
	for r := r0; r < r1; r++ {
		from := s.x.Row(r)
		dx, dy := s.dx.f32Row(r), s.dy.f32Row(r)
		if s.tabled() && !s.dx.Add {
			for i, q := range s.x.U8[from:][:len(dy)] {
				dx[i] = math.Float32frombits(math.Float32bits(dy[i]) & s.keep[q])
			}
			continue
		}
		c := 0
		for i, d := range dy {
			if q := s.x.Code(from + i); q <= s.lo || q > s.pass[c] {
				d = 0
			}
			if s.dx.Add {
				d += dx[i]
			}
			dx[i] = d
			if c++; c == len(s.pass) {
				c = 0
			}
		}
	}
}

// Lower implements [integer.Lowerer]: codes of up to 8 bits go through a table,
// wider ones are clamped by a requantizer between equal grids.
func (s *codeClamp) Lower(b *integer.Builder, name string, in []integer.Ref) (integer.Ref, error) {
	if err := movesCodes(s.y, in); err != nil {
		return integer.NoRef, err
	}
	s.bounds()
	g := s.x.Grid.Clone()
	if g.BitWidth > 8 {
		m, err := quant.NewRecode(quant.Float, g, g)
		if err != nil {
			return integer.NoRef, err
		}
		m.Lo, m.Hi = s.lo, s.hi[0]
		return b.Requantize(name, in[0], integer.Requantize{Requant: &m.Requantizer, Grid: g}), b.Err()
	}
	tables := s.hi[:1]
	if g.PerChannel() {
		tables = s.hi
	}
	var codes [][]int32
	for _, hi := range tables {
		var table []int32
		for q := g.QMin(); q <= g.QMax(); q++ {
			table = append(table, min(max(q, s.lo), hi))
		}
		codes = append(codes, table)
	}
	return b.Table(name, in[0], integer.Table{Codes: codes, Grid: g}), b.Err()
}
