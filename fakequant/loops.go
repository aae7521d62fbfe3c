package fakequant

import (
	"math"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/internal/kernels"
	"github.com/bitgrad/bitgrad/quant"
)

// loopBlock is about how many elements one task treats.
const loopBlock = 8192

// A rowLoop calls a function for every row of a value. A task treats as many rows as the
// shape says; a sum per row or per task does not depend on the workers.
type rowLoop struct {
	rows, per int
	row       func(worker, r int)
	task      func(worker, i int)
}

func newRowLoop(rows, length int, row func(worker, r int)) *rowLoop {
	l := &rowLoop{rows: rows, per: max(1, loopBlock/max(length, 1)), row: row}
	l.task = l.block
	return l
}

func (l *rowLoop) run(p *autograd.Pool) { p.Run((l.rows+l.per-1)/l.per, l.task) }

func (l *rowLoop) block(worker, i int) {
	for r := i * l.per; r < min((i+1)*l.per, l.rows); r++ {
		l.row(worker, r)
	}
}

// joinRows makes one row of each image, if images are small and have no gaps in any of the views.
func joinRows(views ...*autograd.View) {
	for _, v := range views {
		l := v.L
		if !v.Empty() && (!l.Packed() || l.SH != l.W*l.C || l.H*l.SH > loopBlock) {
			return
		}
	}
	for _, v := range views {
		v.L.H, v.L.W, v.L.SH = 1, v.L.H*v.L.W, v.L.SN
	}
}

// A piece is a part of a weight whose elements share a scale.
type piece struct{ scale, from, to int }

// pieceLoop calls a function for every piece of a weight with the given number of
// elements per scale. The pieces depend on the shape alone; a task treats several that are short.
type pieceLoop struct {
	pieces []piece
	per    int // pieces in a task
	body   func(i int)
	task   func(worker, i int)
}

// split returns the pieces of scales·per elements, and how many of them make a task.
func split(scales, per int) (pieces []piece, perTask int) {
	for k := range scales {
		for from := k * per; from < (k+1)*per; from += loopBlock {
			pieces = append(pieces, piece{k, from, min(from+loopBlock, (k+1)*per)})
		}
	}
	return pieces, max(1, loopBlock/max(min(per, loopBlock), 1))
}

func newPieceLoop(pieces []piece, perTask int, body func(i int)) *pieceLoop {
	l := &pieceLoop{pieces: pieces, per: perTask, body: body}
	l.task = l.block
	return l
}

func (l *pieceLoop) run(p *autograd.Pool) { p.Run((len(l.pieces)+l.per-1)/l.per, l.task) }

func (l *pieceLoop) block(_, t int) {
	for i := t * l.per; i < min((t+1)*l.per, len(l.pieces)); i++ {
		l.body(i)
	}
}

// quantizeInto writes the codes of x on channel k of g from element at of y on. It returns how
// many elements are not finite.
func quantizeInto(y autograd.View, at int, x []float32, g *quant.Grid, k int, r quant.Rounding) (nans int) {
	if y.U8 != nil {
		one := *g
		if len(g.Scale) > 1 {
			one.Scale = g.Scale[k : k+1]
		}
		return kernels.QuantizeCodes(y.U8[at:at+len(x)], x, &one, r)
	}
	for i, v := range x {
		if bad(v) {
			nans++
		}
		y.SetCode(at+i, g.Quantize(v, k, r))
	}
	return nans
}

// dequantizeInto writes the real numbers of codes with one scale, from element at of x on, to dst.
func dequantizeInto(dst []float32, x autograd.View, at int) {
	if x.U8 != nil && !x.Grid.MidRise {
		kernels.Dequantize(dst, x.U8[at:at+len(dst)], x.Elem() == autograd.Int8, x.Grid.ZeroPoint, x.Grid.ScaleAt(0))
		return
	}
	for i := range dst {
		dst[i] = x.Grid.Dequantize(x.Code(at+i), 0)
	}
}

// dotCodes returns Σ x·(q − z) over codes q from element at of y on.
func dotCodes(x []float32, y autograd.View, at int) float64 {
	z := y.Grid.ZeroPoint
	if y.U8 != nil {
		return kernels.DotCodes(x, y.U8[at:at+len(x)], y.Elem() == autograd.Int8, z)
	}
	sum := 0.0
	for i, v := range x {
		sum += float64(float64(v) * float64(y.Code(at+i)-z))
	}
	return sum
}

// inside is the estimator's test on v, the number of steps without zero point.
type inside struct {
	rounded  bool
	lo, hi   float32
	rounding quant.Rounding
}

// insideOf returns the test of a quantizer on grid g.
func insideOf(q *Quantizer, g *quant.Grid) inside {
	return insideGrid(q.Estimator, g, q.Format.Rounding)
}

func insideGrid(e Estimator, g *quant.Grid, r quant.Rounding) inside {
	z := float32(g.ZeroPoint)
	return inside{e.Rounded(), float32(g.QMin()) - z, float32(g.QMax()) - z, r}
}

// below says that v lies on this side of the grid or beyond its lower end.
func (i inside) below(v float32) bool {
	if i.rounded {
		return i.rounding.Round32(v) < i.lo
	}
	return v <= i.lo
}

func (i inside) above(v float32) bool {
	if i.rounded {
		return i.rounding.Round32(v) > i.hi
	}
	return v >= i.hi
}

// reals returns the least and the largest float32 of channel c that pass; all between them
// do, since the number of steps never decreases.
func (i inside) reals(g *quant.Grid, c int) (lo, hi float32) {
	s := g.ScaleAt(c)
	lo = firstReal(i.lo*s, func(x float32) bool { return !i.below(stepsOf(g, x, c)) })
	hi = firstReal(i.hi*s, func(x float32) bool { return i.above(stepsOf(g, x, c)) })
	return lo, math.Nextafter32(hi, float32(math.Inf(-1)))
}

// steps returns the least and the largest number of steps, of scale s, that pass the test and the activation
// function.
func (i inside) steps(act activation, s float32) (lo, hi float32) {
	lo = firstReal(i.lo, func(v float32) bool { return !i.below(v) })
	hi = math.Nextafter32(firstReal(i.hi, i.above), float32(math.Inf(-1)))
	if act != linear {
		lo = max(lo, math.SmallestNonzeroFloat32)
	}
	if act == relu6 {
		six := firstReal(6/s, func(v float32) bool { return float64(v)*float64(s) >= 6 })
		hi = min(hi, math.Nextafter32(six, float32(math.Inf(-1))))
	}
	return lo, hi
}

// test reports whether a number of steps passes.
func (i inside) test(v float32) bool { return v == v && !i.below(v) && !i.above(v) }

// firstReal returns the least float32 for which f is true, +Inf at the latest; f is monotone from
// false to true. The search begins at a guess and doubles its steps.
func firstReal(guess float32, f func(x float32) bool) float32 {
	limit := realIndex(float32(math.Inf(1)))
	at := func(i int64) bool { return i >= limit || i > -limit && f(realAt(i)) }
	return realAt(searchFrom(realIndex(guess), -limit, limit, at))
}

// searchFrom returns the smallest i from lo to hi for which f is true; f is monotone, and
// true at hi. It looks near the guess first.
func searchFrom(guess, lo, hi int64, f func(i int64) bool) int64 {
	guess = min(max(guess, lo), hi)
	if step := int64(1); f(guess) {
		hi = guess
		for hi > lo {
			i := max(hi-step, lo)
			if !f(i) {
				lo = i + 1
				break
			}
			hi = i
			step *= 2
		}
	} else {
		lo = guess + 1
		for lo < hi {
			i := min(lo+step, hi)
			if f(i) {
				hi = i
				break
			}
			lo = i + 1
			step *= 2
		}
	}
	for lo < hi {
		m := lo + (hi-lo)>>1
		if f(m) {
			hi = m
		} else {
			lo = m + 1
		}
	}
	return lo
}

// realIndex numbers the floats in their order, zero being 0; realAt is its inverse.
func realIndex(x float32) int64 {
	b := math.Float32bits(x)
	if b>>31 != 0 {
		return -int64(b &^ (1 << 31))
	}
	return int64(b)
}

func realAt(i int64) float32 {
	if i < 0 {
		return -math.Float32frombits(uint32(-i))
	}
	return math.Float32frombits(uint32(i))
}
