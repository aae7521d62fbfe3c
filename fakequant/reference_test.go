package fakequant

import (
	"fmt"
	"math"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/autograd/optest"
	"github.com/bitgrad/bitgrad/quant"
)

// The references of this file compute in float64 with textbook loops and share
// nothing with the operations but the description of a format.

// ranged is a quantizer under test with the range that it is given.
type ranged struct {
	name   string
	format quant.UniformFormat
	est    Estimator
	// scale is the scale of one step; a learned one is a little off it, because
	// its parameter is a float32.
	scale float64
	zero  int32
}

func (r ranged) grid() quant.Grid {
	g, _ := r.format.Uniform()
	g.Scale, g.ZeroPoint = []float32{float32(r.scale)}, r.zero
	return g
}

// lo and hi are the ends of the grid in steps.
func (r ranged) lo() float64 { return float64(r.grid().QMin() - r.zero) }
func (r ranged) hi() float64 { return float64(r.grid().QMax() - r.zero) }

// param returns the parameter that stands for a scale.
func (r ranged) param(scale float64) float64 {
	if _, ok := r.est.(TQT); ok {
		return math.Log2(scale) + float64(r.bits()) - 0.3
	}
	return math.Log2(scale)
}

func (r ranged) bits() int {
	if r.format.Signed {
		return r.format.BitWidth - 1
	}
	return r.format.BitWidth
}

// input is the operand of the learned range, if there is one.
func (r ranged) input(scales ...float64) []optest.Input {
	if !r.est.Learned() {
		return nil
	}
	if len(scales) == 0 {
		scales = []float64{r.scale}
	}
	p := make([]float64, len(scales))
	for i, s := range scales {
		p[i] = r.param(s)
	}
	return []optest.Input{{Name: "range", Shape: []int{len(p)}, Param: true, Draw: optest.Fixed(p...)}}
}

// moved returns the scale at the base and where the parameter has moved to;
// n is the number of elements that the gradient is normalized by.
func (r ranged) moved(p0, p float64, n int) (s0, s float64) {
	switch r.est.(type) {
	case TQT:
		s0 = math.Exp2(math.Ceil(p0) - float64(r.bits()))
		return s0, s0 * math.Exp2(p-p0)
	default:
		s0 = float64(float32(math.Exp2(p0)))
		g := 1 / math.Sqrt(float64(n)*math.Max(float64(r.grid().QMax()), 1))
		return s0, s0 * math.Exp2(g*(p-p0))
	}
}

// scales is moved for the last operand of a case, or the fixed scale.
func (r ranged) scales(base, in []optest.Array, n int) (s0, s float64) {
	if !r.est.Learned() {
		v := float64(float32(r.scale))
		return v, v
	}
	k := len(in) - 1
	return r.moved(base[k].Data[0], in[k].Data[0], n)
}

func (r ranged) round(v float64) float64 {
	if r.format.Rounding == quant.HalfUp {
		return math.Floor(v + 0.5)
	}
	return math.RoundToEven(v)
}

// level returns q − z of a real number.
func (r ranged) level(x, s float64) float64 {
	return math.Min(math.Max(r.round(x/s), r.lo()), r.hi())
}

func (r ranged) inside(v float64) bool {
	if r.est.Rounded() {
		q := r.round(v)
		return q >= r.lo() && q <= r.hi()
	}
	return v > r.lo() && v < r.hi()
}

// clamped returns a level behind an activation function.
func (r ranged) clamped(level, s float64, act activation) float64 {
	lo, hi := r.lo(), r.hi()
	if act != linear {
		lo = math.Min(math.Max(lo, 0), hi)
	}
	if act == relu6 {
		hi = math.Max(math.Min(hi, r.level(6, s)), lo)
	}
	return math.Min(math.Max(level, lo), hi)
}

// straight is the surrogate of one element: x0 before the activation function
// became a level; x and s have moved, the residual of the rounding has not.
func (r ranged) straight(act activation, x0, x, s0, s, level float64) float64 {
	pass := r.inside(x0/s0) && (act == linear || x0 > 0) && (act != relu6 || x0 < 6)
	switch {
	case pass:
		return x + s*(level-x0/s0)
	case level == r.hi() || level == r.lo() && r.lo() != 0:
		return s * level
	}
	return s0 * level // cut by the activation function
}

// quantizer makes the quantizer that the description stands for. Of a graph
// under test, leaf is the operand of the learned range.
func (r ranged) quantizer(subject Subject, channels int, leaf *autograd.Node) *Quantizer {
	f := r.format
	q, err := newQuantizer("layer", subject, f, Spec{Estimator: r.est, Observer: MinMax{}}, channels, nil)
	if err != nil {
		panic(err)
	}
	if r.est.Learned() {
		for leaf.Param() == nil {
			leaf = leaf.Input(0)
		}
		q.Param = leaf.Param()
		q.scales.Value[0] = 1
		return q
	}
	if subject == Weights {
		return q
	}
	g := r.grid()
	s, lo, hi := r.scale, 0.0, r.hi()*r.scale
	switch {
	case f.PowerOfTwo:
		hi = math.Ldexp(s, r.bits())
	case f.Affine:
		lo = r.lo() * s
	}
	q.pin(float32(lo), float32(hi))
	var got quant.Grid
	q.initGrid(&got)
	q.setGrid(&got)
	if !got.Equal(g) {
		panic(fmt.Sprintf("the quantizer %s has the grid %s, want %s", r.name, got, g))
	}
	return q
}

// last returns the last node, nil where the quantizer needs none.
func (r ranged) last(in []*autograd.Node) *autograd.Node {
	if !r.est.Learned() {
		return nil
	}
	return in[len(in)-1]
}

// outputs are quantizers of activations: every estimator with every family
// that it can drive.
func outputs(scale float64) []ranged {
	power := math.Exp2(math.Round(math.Log2(scale)))
	format := func(bits int, signed, affine, po2 bool) quant.UniformFormat {
		f := quant.UniformFormat{BitWidth: bits, Signed: signed, Affine: affine, PowerOfTwo: po2}
		if po2 {
			f.Rounding = quant.HalfUp
		}
		return f
	}
	return []ranged{
		{"ste-int8", format(8, true, false, false), STE{}, scale, 0},
		{"ste-uint4", format(4, false, false, false), STE{}, 16 * scale, 0},
		{"ste-affine", format(8, false, true, false), STE{}, scale, 100},
		{"ste-dfp6", format(6, true, false, true), STE{}, 4 * power, 0},
		{"lsq-int8", format(8, true, false, false), LSQ{}, scale, 0},
		{"lsq-uint2", format(2, false, false, false), LSQ{}, 64 * scale, 0},
		{"lsq-uint8", format(8, false, false, false), LSQ{}, scale, 0},
		{"tqt-dfp8", format(8, true, false, true), TQT{}, power, 0},
		{"tqt-udfp4", format(4, false, false, true), TQT{}, 16 * power, 0},
		{"tqt-dfp1", format(1, true, false, true), TQT{}, 128 * power, 0},
		{"tqt-dfp12", format(12, true, false, true), TQT{}, power / 8, 0},
	}
}

// conv64 is the convolution of x [N C H W] with w [O C/groups KH KW].
func conv64(x, w optest.Array, a autograd.ConvAttrs) optest.Array {
	or := func(v int) int { return max(v, 1) }
	sh, sw, dh, dw, groups := or(a.StrideH), or(a.StrideW), or(a.DilH), or(a.DilW), or(a.Groups)
	n, c, h, width := x.Shape[0], x.Shape[1], x.Shape[2], x.Shape[3]
	o, i, kh, kw := w.Shape[0], w.Shape[1], w.Shape[2], w.Shape[3]
	oh := (h+a.Pad.Top+a.Pad.Bottom-(kh-1)*dh-1)/sh + 1
	ow := (width+a.Pad.Left+a.Pad.Right-(kw-1)*dw-1)/sw + 1
	y := optest.NewArray(n, o, oh, ow)
	k := 0
	for image := range n {
		for out := range o {
			first := image*c + out/(o/groups)*i
			for row := range oh {
				for col := range ow {
					for ch := range i {
						for p := range kh {
							for q := range kw {
								r, s := row*sh+p*dh-a.Pad.Top, col*sw+q*dw-a.Pad.Left
								if r >= 0 && r < h && s >= 0 && s < width {
									y.Data[k] += x.Data[((first+ch)*h+r)*width+s] * w.Data[((out*i+ch)*kh+p)*kw+q]
								}
							}
						}
					}
					k++
				}
			}
		}
	}
	return y
}

// linear64 is x·wᵀ for x [N I] and w [O I].
func linear64(x, w optest.Array) optest.Array {
	n, o, i := x.Shape[0], w.Shape[0], w.Shape[1]
	y := optest.NewArray(n, o)
	for k := range y.Data {
		for j := range i {
			y.Data[k] += x.Data[k/o*i+j] * w.Data[k%o*i+j]
		}
	}
	return y
}

// levels returns the integers that numbers on a grid with one scale stand for.
func levels(x optest.Array, scale float64) optest.Array {
	return x.Map(func(v float64) float64 { return math.Round(v / scale) })
}

// channelOf returns the channel of element k of an array [N C …].
func channelOf(a optest.Array, k int) int {
	per := 1
	for _, e := range a.Shape[2:] {
		per *= e
	}
	return k / per % a.Shape[1]
}

// perSample is the number of elements of one sample.
func perSample(a optest.Array) int { return len(a.Data) / a.Shape[0] }

// requantized returns the level of an accumulator by the rule that ships, with
// its real value and that of a step. Sums and products are integers below 2^53.
func (r ranged) requantized(acc, accScale, s float64) float64 {
	if r.format.PowerOfTwo {
		return math.Floor(acc*(accScale/s) + 0.5) // both are powers of two: exact
	}
	m := float32(float32(accScale) / float32(s))
	return math.RoundToEven(float64(float32(acc) * m))
}
