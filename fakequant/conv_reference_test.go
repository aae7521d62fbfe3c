package fakequant

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/autograd/optest"
	"github.com/bitgrad/bitgrad/quant"
)

// convCase is one [IntConvOp].
type convCase struct {
	batch      int
	image      [3]int // C H W; H = 0: a linear layer
	o, k       int
	attrs      autograd.ConvAttrs
	x, w       quant.Grid
	perChannel bool // float weights with a scale per channel
	bias, own  bool
	norm       *Norm   // batch phase
	out        *ranged // nil: accumulators
	act        activation
}

func convCases() []convCase {
	same := autograd.ConvAttrs{Pad: autograd.Same(3)}
	shapes := []convCase{
		{image: [3]int{1, 4, 5}, o: 3, k: 3, attrs: same},
		{image: [3]int{3, 5, 6}, o: 4, k: 3, attrs: autograd.ConvAttrs{StrideH: 2, StrideW: 2, Pad: autograd.Border{Bottom: 1, Right: 1}}},
		{image: [3]int{17, 3, 2}, o: 4, k: 1, batch: 1},
		{image: [3]int{4, 4, 3}, o: 6, k: 3, attrs: autograd.ConvAttrs{Groups: 2, Pad: autograd.Border{Top: 2, Left: 1}}},
		{image: [3]int{6, 4, 4}, o: 6, k: 3, attrs: autograd.ConvAttrs{Groups: 6, StrideW: 2, Pad: autograd.Same(3)}},
		{image: [3]int{2, 6, 7}, o: 3, k: 3, attrs: autograd.ConvAttrs{DilH: 2, DilW: 3}, batch: 1},
		{image: [3]int{17, 0, 0}, o: 5, batch: 3},
		{image: [3]int{1, 0, 0}, o: 1, batch: 1},
	}
	var cs []convCase
	outs := outputs(testScale * 4)
	for i, s := range shapes {
		for j, r := range outs {
			if (i+j)%3 == 2 { // every quantizer meets most shapes, and every activation function
				continue
			}
			c := s
			c.out, c.act = &outs[j], activation((i+2*j)/2%3)
			c.x, c.w = grid(8, true, 0, testScale), grid(4, true, 0, 0.15)
			switch {
			case r.format.PowerOfTwo:
				c.x, c.w = grid(8, j%2 == 0, 0, 1.0/32), grid(5, true, 0, 1.0/8)
			case r.format.Affine:
				c.x = grid(8, false, 90, testScale)
			}
			if r.format.BitWidth > 8 {
				c.x, c.w = grid(16, true, 0, 1.0/2048), grid(10, true, 0, 1.0/256)
			}
			c.bias = (i+j)%2 == 0
			c.perChannel = j%2 == 1 && !r.format.PowerOfTwo
			cs = append(cs, c)
			if r.format.BitWidth <= 8 { // the batch phase keeps accumulators of 32 bits
				c.norm, c.own = testNorm(c.o, autograd.BatchNormAttrs{Eps: 0.01}), c.bias
				cs = append(cs, c)
			}
		}
		s.x, s.w = grid(8, false, 3, testScale), grid(8, true, 0, 0.01)
		cs = append(cs, s)
		s.bias, s.perChannel = true, true
		cs = append(cs, s)
		s.x, s.perChannel = grid(12, true, 0, testScale/16), false
		cs = append(cs, s)
	}
	return cs
}

func (c *convCase) name() string {
	what := fmt.Sprintf("int_conv_%v_%dx%d_%s", c.image, c.o, c.k, c.attrs)
	if c.norm != nil {
		what += "_batch"
	}
	if c.out == nil {
		return fmt.Sprintf("%s_accumulators_bias=%v_x%d", what, c.bias, c.x.BitWidth)
	}
	return fmt.Sprintf("%s_%s_%s", what, c.out.name, activationNames[c.act])
}

func (c *convCase) linear() bool { return c.image[1] == 0 }

// weightFormat is that of float weights with a scale per channel.
var weightFormat = quant.UniformFormat{BitWidth: 6, Signed: true, Narrow: true, PerChannel: true}

// weights returns the codes of w and the scale of every channel; one that is all
// zero has the largest scale of the others.
func (c *convCase) weights(w optest.Array) (q optest.Array, s []float64) {
	s = make([]float64, c.o)
	per := len(w.Data) / c.o
	largest := 0.0
	for k := range s {
		s[k] = float64(c.w.Scale[0])
		if c.perChannel {
			a := 0.0
			for _, v := range w.Data[k*per : (k+1)*per] {
				a = math.Max(a, math.Abs(v))
			}
			s[k] = float64(float32(a / 31))
		}
		largest = math.Max(largest, s[k])
	}
	for k := range s {
		if s[k] == 0 {
			s[k] = largest
		}
	}
	q = w.Clone()
	for k, v := range w.Data {
		q.Data[k] = math.RoundToEven(v / s[k/per])
	}
	return q, s
}

// dot is the convolution or the linear layer in float64.
func (c *convCase) dot(x, w optest.Array) optest.Array {
	if c.linear() {
		return linear64(x, w)
	}
	return conv64(x, w, c.attrs)
}

// each64 maps the elements of an array with their channels.
func each64(a optest.Array, f func(v float64, channel int) float64) optest.Array {
	y := a.Clone()
	per := 1
	for _, e := range a.Shape[2:] {
		per *= e
	}
	for k, v := range a.Data {
		y.Data[k] = f(v, k/per%a.Shape[1])
	}
	return y
}

// convBase is everything about a case that stays when operands move.
type convBase struct {
	in     []optest.Array
	acc    optest.Array // Σ X·W, with the code of the bias outside the batch phase
	scale  []float64    // real value of one accumulator
	weight []float64    // what rounding added to the weights
	bias   []float64    // and to the bias
	kept   []bool       // channels that the batch phase does not normalize
	eps    []float64
	real   optest.Array // the value before the activation function
	moving optest.Array // the same, computed in float64
}

func (c *convCase) base(in []optest.Array) *convBase {
	b := &convBase{in: in}
	q, sw := c.weights(in[1])
	sx := float64(c.x.Scale[0])
	b.acc = c.dot(levels(in[0], sx), q)
	b.scale = make([]float64, c.o)
	for k, s := range sw {
		b.scale[k] = float64(float32(sx * s))
	}
	per := len(q.Data) / c.o
	b.weight, b.bias = make([]float64, len(q.Data)), make([]float64, c.o)
	for k, v := range q.Data {
		b.weight[k] = v*sw[k/per] - in[1].Data[k]
	}
	b.kept, b.eps = make([]bool, c.o), make([]float64, c.o)
	switch {
	case c.norm != nil:
		for ch := range b.kept {
			gamma, sigma := in[3].Data[ch], sigma64(c.norm, ch)
			b.eps[ch] = float64(c.norm.Eps) * gamma * gamma / (sigma * sigma)
			b.kept[ch] = true
		}
		for k, v := range b.acc.Data {
			if ch := channelOf(b.acc, k); v != 0 && math.Abs(in[3].Data[ch]) >= 1.0/1024 {
				b.kept[ch] = false
			}
		}
	case c.bias:
		codes := make([]float64, c.o)
		for ch, v := range in[2].Data {
			codes[ch] = math.RoundToEven(v / b.scale[ch])
			b.bias[ch] = codes[ch]*b.scale[ch] - v
		}
		b.acc = each64(b.acc, func(v float64, ch int) float64 { return v + codes[ch] })
	}
	b.real = each64(b.acc, func(v float64, ch int) float64 { return v * b.scale[ch] })
	if c.norm != nil {
		scale, offset := c.line(b, in, b.real)
		b.real = each64(b.real, func(v float64, ch int) float64 { return scale[ch]*v + offset[ch] })
	}
	b.moving = c.value(b, in)
	return b
}

// line returns the batch phase of p as y = scale·p + offset.
func (c *convCase) line(b *convBase, in []optest.Array, p optest.Array) (scale, offset []float64) {
	scale, offset = make([]float64, c.o), make([]float64, c.o)
	mean, variance := moments64(p)
	for ch := range scale {
		scale[ch], offset[ch] = 1, in[2].Data[ch]
		if !b.kept[ch] {
			scale[ch] = math.Abs(in[3].Data[ch]) / math.Sqrt(variance[ch]+b.eps[ch])
			offset[ch] = in[4].Data[ch] - scale[ch]*mean[ch]
		}
	}
	return scale, offset
}

// value is the value before the activation function, of operands that have moved.
func (c *convCase) value(b *convBase, in []optest.Array) optest.Array {
	w := in[1].Clone()
	for k, r := range b.weight {
		w.Data[k] += r
	}
	p := c.dot(in[0], w)
	switch {
	case c.norm != nil:
		scale, offset := c.line(b, in, p)
		return each64(p, func(v float64, ch int) float64 { return scale[ch]*v + offset[ch] })
	case c.bias:
		return each64(p, func(v float64, ch int) float64 { return v + in[2].Data[ch] + b.bias[ch] })
	}
	return p
}

// codes returns the levels of the output on a grid of scale s; without a
// quantizer they are the logits, in units of their common scale.
func (c *convCase) codes(b *convBase, s float64) (q optest.Array, unit float64) {
	switch {
	case c.norm != nil:
		scale, offset := c.line(b, b.in, each64(b.acc, func(v float64, ch int) float64 { return v * b.scale[ch] }))
		return each64(b.acc, func(v float64, ch int) float64 {
			steps := float32(float32(v)*float32(scale[ch]*b.scale[ch]/s)) + float32(offset[ch]/s)
			return c.out.clamped(c.out.round(float64(steps)), s, c.act)
		}), s
	case c.out != nil:
		return each64(b.acc, func(v float64, ch int) float64 {
			return c.out.clamped(c.out.requantized(v, b.scale[ch], s), s, c.act)
		}), s
	}
	largest := 0.0
	for _, v := range b.scale {
		largest = math.Max(largest, v)
	}
	if !c.perChannel {
		return b.acc, largest
	}
	return each64(b.acc, func(v float64, ch int) float64 {
		return math.RoundToEven(float64(float32(v) * float32(b.scale[ch]/largest)))
	}), largest
}

func (c *convCase) optest() optest.Case {
	t := optest.Case{Name: c.name(), Batch: c.batch}
	// The backward pass is the same in both modes.
	t.Modes = []autograd.Mode{trainAndFrozen[len(t.Name)%2]}
	x := optest.Input{Name: "x", Shape: c.image[:], Grid: &c.x, Draw: optest.Levels(c.x)}
	w := optest.Input{Name: "w", Shape: []int{c.o, c.image[0] / max(c.attrs.Groups, 1), c.k, c.k}, Param: true, Grid: &c.w, Draw: optest.Levels(c.w)}
	op := autograd.Op(autograd.Conv2DOp{ConvAttrs: c.attrs})
	if c.linear() {
		x.Shape, w.Shape, op = c.image[:1], w.Shape[:2], autograd.LinearOp{}
	}
	if c.perChannel {
		w.Grid, w.Draw = nil, optest.Normal(0.5)
	}
	vector := func(name string, draw optest.Sampler, noGrad bool) {
		t.Inputs = append(t.Inputs, optest.Input{Name: name, Shape: []int{c.o}, Param: true, Draw: draw, NoGrad: noGrad})
	}
	t.Inputs = []optest.Input{x, w}
	if c.norm != nil {
		t.Modes = []autograd.Mode{autograd.Train}
		if c.o > 2 { // channel 2 has no signal
			draw := w.Draw
			t.Inputs[1].Draw = func(r *rand.Rand, dst []float64) {
				draw(r, dst)
				per := len(dst) / c.o
				clear(dst[2*per : 3*per])
			}
		}
		vector("folded", nil, false)
		vector("gamma", optest.Fixed(1.7, -0.0009, 1.5, -2.3), false) // channel 1 is kept
		vector("beta", nil, false)
		if c.own {
			vector("own", nil, true)
		}
	} else if c.bias {
		vector("b", nil, false)
	}
	if c.out != nil {
		t.Inputs = append(t.Inputs, c.out.input()...)
	}
	t.Build = func(g *autograd.Graph, in []*autograd.Node) *autograd.Node {
		in = append([]*autograd.Node(nil), in...)
		if c.perChannel {
			q := ranged{"w", weightFormat, STE{}, 1, 0}.quantizer(Weights, c.o, nil)
			in[1] = g.Apply("w.quantized", QuantizeWeightOp{Q: q}, in[1])
		}
		o := IntConvOp{Conv: op, HasBias: c.bias || c.norm != nil, Norm: c.norm, HasOwn: c.norm != nil && c.own, act: c.act}
		if c.out != nil {
			o.Out = c.out.quantizer(Outputs, 1, c.out.last(in))
		}
		return g.Apply("y", o, in...)
	}
	t.Ref = func(in []optest.Array) optest.Array {
		s := 1.0
		if c.out != nil {
			s, _ = c.out.scales(in, in, 1)
		}
		q, unit := c.codes(c.base(in), s)
		return q.Map(func(v float64) float64 { return unit * v })
	}
	var last *convBase
	var codes, value optest.Array
	t.Surrogate = func(base, in []optest.Array) optest.Array {
		if last == nil || &last.in[0].Data[0] != &base[0].Data[0] {
			last = c.base(base)
			value = t.Ref(base)
			if c.out != nil {
				s0, _ := c.out.scales(base, base, 1)
				codes, _ = c.codes(last, s0)
			}
		}
		x := c.value(last, in)
		if c.out == nil { // accumulators: the sum, and what rounding left
			for k := range x.Data {
				x.Data[k] += value.Data[k] - last.moving.Data[k]
			}
			return x
		}
		s0, s := c.out.scales(base, in, perSample(x))
		for k := range x.Data {
			x0 := last.real.Data[k]
			x.Data[k] = c.out.straight(c.act, x0, x0+x.Data[k]-last.moving.Data[k], s0, s, codes.Data[k])
		}
		return x
	}
	return t
}
