package integer

import (
	"github.com/bitgrad/bitgrad/internal/kernels"
	"github.com/bitgrad/bitgrad/quant"
)

// Add adds, or subtracts, two tensors of the same shape, element by element:
//
//	q = Rule.Apply(a, b)
//
// Operands on a mid-rise grid enter with their level 2q + 1. A ReLU is the clamp
// range of the rule.
type Add struct {
	Rule AddRule
	Grid quant.Grid // of the output
}

// AddRule is a rule for sums of codes: a quant.AddShift, quant.AddFloat or
// quant.AddFixedPoint, by value.
type AddRule interface{ Apply(a, b int32) int32 }

// Kind returns "add".
func (*Add) Kind() string { return "add" }

func (a *Add) infer(in []*Node) (output, error) {
	out, err := inferPair(in, a.Grid)
	if err != nil {
		return out, err
	}
	subtract, double, lo, hi, err := addRuleParts(a.Rule)
	if err != nil {
		return out, err
	}
	if err := checkClamp(lo, hi, a.Grid); err != nil {
		return out, err
	}
	want, err := newAddRule(addRuleName(a.Rule), in[0].Grid, in[1].Grid, a.Grid, subtract, double, lo, hi)
	if err != nil {
		return out, &reason{err, err.Error()}
	}
	if want != a.Rule {
		return out, refuse(ErrGrid, "the rule %+v is not that of the grids, %+v", a.Rule, want)
	}
	return out, nil
}

// inferPair checks two operands of one shape.
func inferPair(in []*Node, g quant.Grid) (output, error) {
	if len(in) != 2 {
		return output{}, refuse(ErrGraph, "reads %d values: must be 2", len(in))
	}
	a, b := in[0].Out, in[1].Out
	if a.C != b.C || a.H != b.H || a.W != b.W {
		return output{}, refuse(ErrShape, "operands are [%d %d %d] and [%d %d %d]", a.C, a.H, a.W, b.C, b.H, b.W)
	}
	for _, n := range in {
		if err := needCodes(n); err != nil {
			return output{}, err
		}
	}
	return output{Type: typeOf(g, a.C, a.H, a.W), Grid: g}, checkGrid(g)
}

func addRuleName(r AddRule) quant.Rule {
	switch r.(type) {
	case quant.AddShift:
		return quant.Shift
	case quant.AddFloat:
		return quant.Float
	default:
		return quant.FixedPoint
	}
}

// addRuleParts returns what the grids do not say of a rule.
func addRuleParts(r AddRule) (subtract, double bool, lo, hi int32, err error) {
	switch r := r.(type) {
	case quant.AddShift:
		return r.Subtract, false, r.Lo, r.Hi, nil
	case quant.AddFloat:
		return r.Mb < 0, false, r.Lo, r.Hi, nil
	case quant.AddFixedPoint:
		return r.Subtract, r.DoubleRounding, r.Lo, r.Hi, nil
	}
	return false, false, 0, 0, refuse(ErrGrid, "rule %T: must be a quant.AddShift, quant.AddFloat or quant.AddFixedPoint, by value", r)
}

// newAddRule returns the rule of the given name for these grids.
func newAddRule(name quant.Rule, a, b, y quant.Grid, subtract, double bool, lo, hi int32) (AddRule, error) {
	switch name {
	case quant.Shift:
		r, err := quant.NewAddShift(a, b, y, subtract)
		r.Lo, r.Hi = lo, hi
		return r, err
	case quant.Float:
		r, err := quant.NewAddFloat(a, b, y, subtract)
		r.Lo, r.Hi = lo, hi
		return r, err
	default:
		r, err := quant.NewAddFixedPoint(a, b, y, subtract, double)
		r.Lo, r.Hi = lo, hi
		return r, err
	}
}

// ruleOperand returns what the rules of package quant take for code q of grid g.
func ruleOperand(g quant.Grid, q int64) int32 {
	if g.MidRise {
		return int32(2*q + 1)
	}
	return int32(q)
}

func (a *Add) apply(in []*Node) func(p, q int64) int64 {
	return func(p, q int64) int64 {
		return int64(a.Rule.Apply(ruleOperand(in[0].Grid, p), ruleOperand(in[1].Grid, q)))
	}
}

func (a *Add) interpret(_ *Node, in []*Node, x [][]int64) []int64 {
	return interpretPair(x, a.apply(in))
}

func (a *Add) bind(b *binding, n *Node, in []*Node) step {
	sum := a.imageSum(n, in)
	if sum == nil {
		return bindPair(b, n, in, a.apply(in))
	}
	return bindBytes(b, n, sum)
}

// A rowsFunc computes rows of n codes from as many of two operands.
type rowsFunc func(y, p, q kernels.CodeRows, rows, n int)

// imageSum returns the kernel that adds rows of codes in bytes, nil where there is none.
func (a *Add) imageSum(n *Node, in []*Node) rowsFunc {
	for _, k := range []*Node{n, in[0], in[1]} {
		if !bytesOf(k.Out) || k.Grid.MidRise {
			return nil
		}
	}
	signedA, signedB := in[0].Out.Signed, in[1].Out.Signed
	switch r := a.Rule.(type) {
	case quant.AddShift:
		return func(y, p, q kernels.CodeRows, rows, n int) {
			kernels.AddShiftRows(y, p, q, rows, n, signedA, signedB, &r)
		}
	case quant.AddFloat:
		return func(y, p, q kernels.CodeRows, rows, n int) {
			kernels.AddFloatRows(y, p, q, rows, n, signedA, signedB, &r)
		}
	}
	return nil
}

// Multiply multiplies two tensors of the same shape, element by element: the product of
// their levels is the accumulator of Requant.
type Multiply struct {
	Requant *quant.Requantizer
	Grid    quant.Grid // of the output
}

// Kind returns "multiply".
func (*Multiply) Kind() string { return "multiply" }

func (m *Multiply) infer(in []*Node) (output, error) {
	out, err := inferPair(in, m.Grid)
	if err != nil {
		return out, err
	}
	if m.Requant == nil {
		return out, refuse(ErrGrid, "no requantizer")
	}
	if err := checkRequantizer(m.Requant, quant.AccScale(in[0].Grid, in[1].Grid), 1, m.Grid); err != nil {
		return out, err
	}
	worst := in[0].Grid.MaxLevel()*in[1].Grid.MaxLevel() + m.Requant.RoundingTerm(0)
	if m.Requant.Rule == quant.FixedPoint && !quant.Fits32(worst) {
		return out, refuse(ErrBound, "products can reach %d: the fixedpoint rule takes 32 bits", worst)
	}
	out.Bound, err = newBound(worst, worst, 0, max(in[0].Out.Bits, in[1].Out.Bits))
	return out, err
}

func (m *Multiply) apply(in []*Node) func(p, q int64) int64 {
	return func(p, q int64) int64 {
		return int64(m.Requant.Apply(level(in[0].Grid, p)*level(in[1].Grid, q), 0))
	}
}

func (m *Multiply) interpret(_ *Node, in []*Node, x [][]int64) []int64 {
	return interpretPair(x, m.apply(in))
}

func (m *Multiply) bind(b *binding, n *Node, in []*Node) step {
	return bindPair(b, n, in, m.apply(in))
}

func interpretPair(x [][]int64, apply func(p, q int64) int64) []int64 {
	y := make([]int64, len(x[0]))
	for i := range y {
		y[i] = apply(x[0][i], x[1][i])
	}
	return y
}

// bindPair returns the step of a rule for two codes. Codes in bytes go through a table
// of all pairs.
func bindPair(b *binding, n *Node, in []*Node, apply func(p, q int64) int64) step {
	left, right := n.In[0], n.In[1]
	if !bytesOf(in[0].Out) || !bytesOf(in[1].Out) || !bytesOf(n.Out) {
		return func(st *state, images int) {
			y, p, q := st.value(b.self), st.value(left), st.value(right)
			eachPixel(images, y, func(i, h, w int) {
				at, ap, aq := y.place(i, h, w), p.place(i, h, w), q.place(i, h, w)
				for c := range y.L.C {
					y.put(at+c, apply(p.get(ap+c), q.get(aq+c)))
				}
			})
		}
	}
	table := new([1 << 16]uint8)
	ga, gb := in[0].Grid, in[1].Grid
	for u := ga.QMin(); u <= ga.QMax(); u++ {
		for v := gb.QMin(); v <= gb.QMax(); v++ {
			table[int(uint8(u))<<8|int(uint8(v))] = uint8(apply(int64(u), int64(v)))
		}
	}
	return bindBytes(b, n, func(y, p, q kernels.CodeRows, rows, n int) {
		for h := range rows {
			y, p, q := y.Codes[h*y.Step:][:n], p.Codes[h*p.Step:][:n], q.Codes[h*q.Step:][:n]
			for k := range y {
				y[k] = table[int(p[k])<<8|int(q[k])]
			}
		}
	})
}

// bindBytes returns the step that computes images of codes in bytes from those of two operands.
func bindBytes(b *binding, n *Node, f rowsFunc) step {
	left, right := n.In[0], n.In[1]
	rows := func(c *Codes, image int) kernels.CodeRows {
		return kernels.CodeRows{Codes: c.U8[c.L.Row(image, 0):], Step: c.L.SH}
	}
	return func(st *state, images int) {
		y, p, q := st.value(b.self), st.value(left), st.value(right)
		for i := range images { // the pixels of a row follow one another
			f(rows(y, i), rows(p, i), rows(q, i), y.L.H, y.L.W*y.L.C)
		}
	}
}

// addFile is what a header says of a sum; the rest follows from the grids.
type addFile struct {
	Rule           quant.Rule `json:"rule"`
	Subtract       bool       `json:"subtract,omitempty"`
	DoubleRounding bool       `json:"double_rounding,omitempty"`
	Lo             int32      `json:"lo"`
	Hi             int32      `json:"hi"`
}

func (a *Add) encode(*fileWriter) any {
	subtract, double, lo, hi, _ := addRuleParts(a.Rule)
	return addFile{addRuleName(a.Rule), subtract, double, lo, hi}
}

func decodeAdd(r *fileReader) (Op, error) {
	var f addFile
	if err := r.attrs(&f); err != nil {
		return nil, err
	}
	if _, err := inferPair(r.in, r.grid); err != nil {
		return nil, err
	}
	rule, err := newAddRule(f.Rule, r.in[0].Grid, r.in[1].Grid, r.grid, f.Subtract, f.DoubleRounding, f.Lo, f.Hi)
	if err != nil {
		return nil, &reason{err, err.Error()}
	}
	return &Add{rule, r.grid}, nil
}

// requantAttrs is what a header says of an op with one requantizer.
type requantAttrs struct {
	Requant *requantFile `json:"requant"`
}

func (m *Multiply) encode(w *fileWriter) any { return requantAttrs{w.requant("", m.Requant)} }

func decodeMultiply(r *fileReader) (Op, error) {
	q, err := decodeRequant(r)
	return &Multiply{q, r.grid}, err
}

func decodeRequant(r *fileReader) (*quant.Requantizer, error) {
	var f requantAttrs
	if err := r.attrs(&f); err != nil {
		return nil, err
	}
	return r.requant("", f.Requant)
}
