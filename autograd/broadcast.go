package autograd

import (
	"errors"
	"fmt"
)

var errAxes = errors.New("the numbers of axes do not fit")

// strided walks a value in its logical order [N C H W]; a stride of 0 repeats
// an axis.
type strided struct{ off, n, c, h, w int }

func (s strided) at(n, c, h, w int) int { return s.off + n*s.n + c*s.c + h*s.h + w*s.w }

// extents returns the shape as [N C H W]: batched values with their missing
// axes behind, plain ones with their missing axes in front, as NumPy aligns
// them against [N C H W]. Plain values among themselves are aligned the same
// way; against [N F], the axes of a plain value are [F] or [N F].
func extents(t Type, rank int) (e [4]int, ok bool) {
	e = [4]int{1, 1, 1, 1}
	if !t.Plain {
		copy(e[:], t.Shape)
		return e, len(t.Shape) >= 2 && len(t.Shape) <= 4
	}
	if len(t.Shape) > rank {
		return e, false
	}
	copy(e[rank-len(t.Shape):rank], t.Shape)
	return e, true
}

// broadcastTypes returns the type of an element by element operation.
func broadcastTypes(a, b Type) (Type, error) {
	for _, t := range []Type{a, b} {
		if err := checkReal(t); err != nil {
			return Type{}, err
		}
		if !t.Plain && len(t.Shape) != 2 && len(t.Shape) != 4 {
			return Type{}, errNotBatched
		}
	}
	if a.SameShape(b) { // of any rank
		return a.Floats(), nil
	}
	rank := max(len(a.Shape), len(b.Shape))
	switch {
	case !a.Plain && !b.Plain && len(a.Shape) != len(b.Shape):
		return Type{}, errAxes
	case !a.Plain:
		rank = len(a.Shape)
	case !b.Plain:
		rank = len(b.Shape)
	}
	ea, okA := extents(a, rank)
	eb, okB := extents(b, rank)
	if rank > 4 || !okA || !okB {
		return Type{}, errAxes
	}
	out := Type{Plain: a.Plain && b.Plain, Shape: make([]int, rank)}
	for i := range rank {
		x, y := ea[i], eb[i]
		switch {
		case x == y || y == 1:
			out.Shape[i] = x
		case x == 1:
			out.Shape[i] = y
		default:
			return Type{}, fmt.Errorf("extents %s and %s of axis %d: must be equal, or one of them 1", axis(x), axis(y), i)
		}
	}
	if a.Plain != b.Plain { // the batch repeats plain operands only
		plain := ea
		if b.Plain {
			plain = eb
		}
		if plain[0] != 1 {
			return Type{}, fmt.Errorf("extent %d where the batch is", plain[0])
		}
	}
	return out, checkReal(out)
}

func axis(e int) string {
	if e == Open {
		return "N"
	}
	return fmt.Sprint(e)
}

// stridesOf returns how an operand, or the result itself, is walked when the
// result is out.
func stridesOf(v View, out Type) strided {
	rank := len(out.Shape)
	if rank > 4 || rank == 0 { // equal shapes: one axis
		return strided{w: 1}
	}
	e, _ := extents(v.Type, rank)
	var s strided
	if v.Plain {
		step := [4]int{}
		size := 1
		for i := 3; i >= 0; i-- {
			step[i] = size
			size *= e[i]
		}
		s = strided{0, step[0], step[1], step[2], step[3]}
	} else {
		s = strided{v.L.Off, v.L.SN, 1, v.L.SH, v.L.SW}
	}
	for i, p := range []*int{&s.n, &s.c, &s.h, &s.w} {
		if e[i] == 1 {
			*p = 0
		}
	}
	return s
}

// binary is what steps with two broadcast operands share.
type binary struct {
	a, b    *asFloats
	y       View
	dims    [4]int // extents of the result, [N C H W]
	at      [3]strided
	flat    bool // the operands have the shape of the result
	forward *rowLoop
	grads   [2]*broadcastGrad
}

const (
	ofA = iota
	ofB
	ofY
)

// bindBinary binds y = a ∘ b; row computes contiguous elements and one a
// single one. The gradient of operand i is factor[i]·dy, or with product the
// other operand times dy.
func bindBinary(b *Binding, row func(y, a, b []float32), one func(a, b float32) float32, factor [2]float32, product bool) *binary {
	s := &binary{a: b.floatsOf(0, Border{}), b: b.floatsOf(1, Border{}), y: b.Out, dims: [4]int{1, 1, 1, b.Out.Elements()}}
	if rank := len(s.y.Shape); rank > 0 && rank <= 4 {
		s.dims, _ = extents(s.y.Type, rank)
	}
	for i, v := range []View{s.a.View, s.b.View, s.y} {
		s.at[i] = stridesOf(v, s.y.Type)
	}
	s.flat = s.a.SameShape(s.y.Type) && s.b.SameShape(s.y.Type)
	if s.flat {
		s.forward = overRows(s.y, func(_, r0, r1 int) {
			for r := r0; r < r1; r++ {
				row(s.y.f32Row(r), s.a.f32Row(r), s.b.f32Row(r))
			}
		})
	} else {
		d := s.dims
		s.forward = newRowLoop(d[0]*d[2], d[1]*d[3], func(_, r0, r1 int) {
			for r := r0; r < r1; r++ {
				s.row(r/d[2], r%d[2], one)
			}
		})
	}
	for i, g := range b.GradIn {
		if g.Empty() {
			continue
		}
		s.grads[i] = newBroadcastGrad(s, g, b.GradOut)
		s.grads[i].factor = factor[i]
		if product {
			s.grads[i].other, s.grads[i].atOther = s.b, s.at[ofB]
			if i == ofB {
				s.grads[i].other, s.grads[i].atOther = s.a, s.at[ofA]
			}
		}
	}
	return s
}

// row computes row h of sample n.
func (s *binary) row(n, h int, one func(a, b float32) float32) {
	a, b, y := s.at[ofA], s.at[ofB], s.at[ofY]
	for w := range s.dims[3] {
		ia, ib, iy := a.at(n, 0, h, w), b.at(n, 0, h, w), y.at(n, 0, h, w)
		for range s.dims[1] {
			s.y.F32[iy] = one(s.a.F32[ia], s.b.F32[ib])
			ia, ib, iy = ia+a.c, ib+b.c, iy+y.c
		}
	}
}

func (s *binary) Forward(c *Context) {
	s.a.run(c)
	s.b.run(c)
	s.forward.run(c)
}

func (s *binary) Backward(c *Context) {
	for _, g := range s.grads {
		if g == nil {
			continue
		}
		if g.other != nil {
			g.other.run(c)
		}
		g.run(c)
	}
}

// broadcastGrad writes the gradient of one operand: dy times a factor, summed
// over the axes that the operand repeats.
type broadcastGrad struct {
	dims      [4]int
	dx, dy    View
	gx, gy    strided
	factor    float32
	other     *asFloats // the factor of a product, else nil
	atOther   strided
	each, add func(worker, i int)
	n         int // items of each
	// Sums are float64, in a fixed order: per sample over h, w and c, then over
	// the samples where the operand has no batch.
	sums    []float64
	size    int // elements of the operand per sample
	lay     strided
	batched bool
}

func newBroadcastGrad(s *binary, dx, dy View) *broadcastGrad {
	g := &broadcastGrad{dims: s.dims, dx: dx, dy: dy, n: s.dims[0]}
	g.gx, g.gy = stridesOf(dx, s.y.Type), stridesOf(dy, s.y.Type)
	if dx.SameShape(s.y.Type) {
		l := newRowLoop(s.dims[0]*s.dims[2], s.dims[1]*s.dims[3], g.alike)
		if s.flat {
			l = overRows(dx, g.rows)
		}
		g.each, g.n = l.fn, l.blocks()
		return g
	}
	g.size = 1 // the sums of one sample are dense
	for _, a := range []struct {
		stride, extent int
		to             *int
	}{{g.gx.w, s.dims[3], &g.lay.w}, {g.gx.h, s.dims[2], &g.lay.h}, {g.gx.c, s.dims[1], &g.lay.c}} {
		if a.stride != 0 {
			*a.to = g.size
			g.size *= a.extent
		}
	}
	g.batched = g.gx.n != 0
	g.sums = make([]float64, s.dims[0]*g.size)
	g.each, g.add = g.sample, g.write
	return g
}

func (g *broadcastGrad) run(c *Context) {
	c.Pool.Run(g.n, g.each)
	switch {
	case g.sums == nil:
	case g.batched:
		c.Pool.Run(g.n, g.add)
	default:
		for n := 1; n < g.n; n++ {
			for k, v := range g.sums[n*g.size : (n+1)*g.size] {
				g.sums[k] += v
			}
		}
		g.write(0, 0)
	}
}

// rows treats contiguous rows: dx = factor·dy or other·dy.
func (g *broadcastGrad) rows(_, r0, r1 int) {
	for r := r0; r < r1; r++ {
		dx, dy := g.dx.f32Row(r), g.dy.f32Row(r)
		if g.other == nil && g.factor == 1 {
			copyRow(dx, dy, g.dx.Add)
			continue
		}
		f := g.factor
		var other []float32
		if g.other != nil {
			other = g.other.f32Row(r)
		}
		for i, d := range dy {
			if other != nil {
				f = other[i]
			}
			d = float32(d * f)
			if g.dx.Add {
				d += dx[i]
			}
			dx[i] = d
		}
	}
}

// term returns the contribution of one element of the result.
func (g *broadcastGrad) term(iy, io int) float32 {
	if g.other != nil {
		return float32(g.dy.F32[iy] * g.other.F32[io])
	}
	return float32(g.dy.F32[iy] * g.factor)
}

// alike treats an operand that has the shape of the result, where the other
// has not.
func (g *broadcastGrad) alike(_, r0, r1 int) {
	for r := r0; r < r1; r++ {
		n, h := r/g.dims[2], r%g.dims[2]
		for w := range g.dims[3] {
			ix, iy, io := g.gx.at(n, 0, h, w), g.gy.at(n, 0, h, w), g.atOther.at(n, 0, h, w)
			for range g.dims[1] {
				d := g.term(iy, io)
				if g.dx.Add {
					d += g.dx.F32[ix]
				}
				g.dx.F32[ix] = d
				ix, iy, io = ix+g.gx.c, iy+g.gy.c, io+g.atOther.c
			}
		}
	}
}

// sample adds up the gradient of one sample.
func (g *broadcastGrad) sample(_, n int) {
	sums := g.sums[n*g.size : (n+1)*g.size]
	clear(sums)
	for h := range g.dims[2] {
		for w := range g.dims[3] {
			iy, io := g.gy.at(n, 0, h, w), g.atOther.at(n, 0, h, w)
			k := h*g.lay.h + w*g.lay.w
			for range g.dims[1] {
				sums[k] += float64(g.term(iy, io))
				iy, io, k = iy+g.gy.c, io+g.atOther.c, k+g.lay.c
			}
		}
	}
}

// write stores the sums of sample n.
func (g *broadcastGrad) write(_, n int) {
	sums := g.sums[n*g.size : (n+1)*g.size]
	dims := [3]int{1, 1, 1}
	for i, stride := range []int{g.gx.c, g.gx.h, g.gx.w} {
		if stride != 0 {
			dims[i] = g.dims[i+1]
		}
	}
	for h := range dims[1] {
		for w := range dims[2] {
			for c := range dims[0] {
				v := sums[c*g.lay.c+h*g.lay.h+w*g.lay.w]
				ix := g.gx.at(n, c, h, w)
				if g.dx.Add {
					v += float64(g.dx.F32[ix])
				}
				g.dx.F32[ix] = float32(v)
			}
		}
	}
}
