package cgen

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/bitgrad/bitgrad/integer"
	"github.com/bitgrad/bitgrad/quant"
)

// A drawer draws small models that use every op and every rule.
type drawer struct {
	*rand.Rand
	b      *integer.Builder
	nodes  int
	shift  bool // scales are powers of two, so that every rule fits
	kinds  map[string]int
	floats bool // the input takes samples
}

func (d *drawer) between(lo, hi int) int { return lo + d.IntN(hi-lo+1) }

func (d *drawer) chance(one int) bool { return d.IntN(one) == 0 }

func (d *drawer) name(kind string) string {
	d.nodes++
	d.kinds[kind]++
	return fmt.Sprintf("%s %d*/", kind, d.nodes)
}

func (d *drawer) scale(lo, hi float64) float32 {
	if d.shift {
		return float32(math.Ldexp(1, -d.between(0, 6)))
	}
	return float32(lo + (hi-lo)*d.Float64())
}

// grid draws a grid of activations.
func (d *drawer) grid() quant.Grid {
	g := quant.Grid{BitWidth: d.between(2, 8), Signed: d.chance(2), Scale: []float32{d.scale(0.01, 2)}}
	switch d.IntN(8) {
	case 0:
		g.BitWidth = d.between(9, 16)
	case 1, 2:
		g.MidRise, g.BitWidth = true, d.between(1, 8)
	case 3:
		g.Narrow = true
	}
	if !d.shift && !g.MidRise {
		lo, hi := codeRange(g)
		g.ZeroPoint = int32(d.between(int(lo), int(hi)))
	}
	return g
}

// rule draws a rule that can serve accumulators that are written on grid y.
func (d *drawer) rule(y quant.Grid) quant.Rule {
	switch k := d.IntN(3); {
	case k == 0 && d.shift:
		return quant.Shift
	case k == 1 && !y.MidRise:
		return quant.FixedPoint
	}
	return quant.Float
}

func (d *drawer) requantizer(scales []float64, y quant.Grid, rule quant.Rule) (*quant.Requantizer, bool) {
	r, err := quant.NewRequantizer(rule, scales, y)
	if err != nil {
		return nil, false
	}
	r.DoubleRounding = rule == quant.FixedPoint && d.chance(2)
	d.kinds[fmt.Sprint("requantize by ", rule, ", double ", r.DoubleRounding, ", mid-rise ", r.MidRise)]++
	if d.chance(3) && !y.MidRise {
		r = r.ReLU()
	}
	return &r, true
}

func levels(g quant.Grid) float64 {
	s := float64(g.Scale[0])
	if g.MidRise {
		s /= 2
	}
	return s
}

func (d *drawer) weights(n int) ([]int32, quant.Grid) { return d.channels(n, 1) }

// channels draws weights with one scale for each of that many channels.
func (d *drawer) channels(n, scales int) ([]int32, quant.Grid) {
	g := quant.Grid{BitWidth: d.between(1, 8), Signed: d.chance(2), MidRise: d.chance(5)}
	if d.chance(6) {
		g.BitWidth = d.between(9, 16)
	}
	lo, hi := codeRange(g)
	if !d.shift && !g.MidRise && d.chance(2) && scales == 1 {
		g.ZeroPoint = int32(d.between(int(lo), int(hi)))
	}
	for range scales {
		g.Scale = append(g.Scale, d.scale(0.001, 1))
	}
	codes := make([]int32, n)
	for i := range codes {
		codes[i] = int32(d.between(int(lo), int(hi)))
	}
	return codes, g
}

func (d *drawer) biases(n int, size int64) []int64 {
	if d.chance(4) {
		return nil
	}
	b := make([]int64, n)
	for i := range b {
		b[i] = d.Int64N(2*size+1) - size
	}
	return b
}

func scalesOf(x, w quant.Grid) []float64 {
	var s []float64
	for _, v := range w.Scale {
		one := w
		one.Scale = []float32{v}
		s = append(s, levels(x)*levels(one))
	}
	return s
}

// model draws a model, or returns nil where the draw does not fit together.
func (d *drawer) model(name string) *integer.Model {
	d.b, d.shift, d.floats = integer.NewBuilder(name), d.chance(2), d.chance(3)
	c, h, w := d.between(1, 4), d.between(3, 8), d.between(3, 8)
	factors, offsets := make([]float32, c), make([]float32, c)
	for i := range factors {
		factors[i], offsets[i] = 0.02*d.Float32(), d.Float32()-0.5
	}
	g := d.grid()
	g.Reciprocal = d.chance(2)
	rounding := quant.Rounding(d.IntN(int(quant.Stochastic)))
	var x integer.Ref
	if d.floats {
		x = d.b.InputFloat(d.name("samples"), integer.InputFloat{C: c, H: h, W: w, A: factors, B: offsets, Grid: g, Rounding: rounding})
	} else {
		x = d.b.Input(d.name("pixels"), integer.Input{C: c, H: h, W: w, A: factors, B: offsets, Grid: g, Rounding: rounding})
	}
	d.kinds[fmt.Sprint("input by ", rounding)]++
	for n := d.between(2, 6); n > 0; n-- {
		if y, ok := d.layer(x); ok {
			x = y
		}
	}
	if d.chance(2) {
		x = d.logits(x)
	}
	m, _, err := d.b.Build(x)
	if err != nil {
		return nil
	}
	return m
}

// logits draws a last layer whose accumulators are the output; some need 64 bits.
func (d *drawer) logits(x integer.Ref) integer.Ref {
	x = d.b.Flatten(d.name("flatten"), x)
	n := d.b.Node(x)
	o := d.between(1, 6)
	codes, g := d.channels(o*n.Out.C, []int{1, o}[d.IntN(2)])
	size := []int64{1000, 1 << 30, math.MaxInt32 - 1}[d.IntN(3)]
	return d.b.Linear(d.name("logits"), x, integer.Linear{O: o, Weight: codes, WeightGrid: g, Bias: d.biases(o, size)})
}

func (d *drawer) layer(x integer.Ref) (integer.Ref, bool) {
	n := d.b.Node(x)
	t := n.Out
	y := d.grid()
	rule := d.rule(y)
	if rule == quant.FixedPoint && t.Bits > 8 {
		rule = quant.Float
	}
	switch d.IntN(11) {
	case 0, 1:
		return d.conv(x, n, y, rule)
	case 2:
		codes, g := d.weights(5 * t.Len())
		r, ok := d.requantizer(scalesOf(n.Grid, g), y, rule)
		if !ok || g.BitWidth > 8 && rule == quant.FixedPoint {
			return x, false
		}
		flat := d.b.Flatten(d.name("flatten"), x)
		z := d.b.Linear(d.name("linear"), flat, integer.Linear{O: 5, Weight: codes, WeightGrid: g, Bias: d.biases(5, 1000), Requant: r, Grid: y})
		return d.b.Reshape(d.name("reshape"), z, integer.Reshape{C: 1, H: 1, W: 5}), true
	case 3, 4:
		return d.pair(x, n, y, rule)
	case 5:
		pads := d.pads(n, 1)
		kh, kw, sh, sw := d.between(1, 3), d.between(1, 3), d.between(1, 3), d.between(1, 3)
		p := integer.MaxPool{KH: kh, KW: kw, StrideH: sh, StrideW: sw, Pad: pads}
		p.OH, p.OW = (t.H+pads.Top-1)/sh+1, (t.W+pads.Left-1)/sw+1
		if kh <= pads.Top || kw <= pads.Left {
			return x, false
		}
		return d.b.MaxPool(d.name("max"), x, p), true
	case 6:
		return d.average(x, n, y)
	case 7:
		r, ok := d.requantizer([]float64{levels(n.Grid)}, y, rule)
		if !ok {
			return x, false
		}
		z := d.b.Requantize(d.name("requantize"), x, integer.Requantize{Requant: r, Grid: y})
		return d.b.Concat(d.name("concat"), []integer.Ref{z, x, z}, integer.Concat{Requant: []*quant.Requantizer{nil, r, nil}, Grid: y}), true
	case 8:
		if n.Grid.MidRise {
			return x, false
		}
		return d.b.Pad(d.name("pad"), x, integer.Pad{Pad: d.pads(n, 2), Before: d.between(0, 2), After: d.between(0, 2)}), true
	case 9:
		cut := func(extent int) integer.Range {
			if d.chance(3) {
				return integer.Range{}
			}
			first := d.between(0, extent-1)
			return integer.Range{Start: first, Stop: d.between(first+1, extent), Step: d.between(1, 3)}
		}
		return d.b.Slice(d.name("slice"), x, integer.Slice{C: cut(t.C), H: cut(t.H), W: cut(t.W)}), true
	default:
		if t.Bits > 8 {
			return x, false
		}
		lo, hi := codeRange(n.Grid)
		from, to := codeRange(y)
		tables := make([][]int32, []int{1, t.C}[d.IntN(2)])
		for c := range tables {
			for range hi - lo + 1 {
				tables[c] = append(tables[c], int32(d.between(int(from), int(to))))
			}
		}
		return d.b.Table(d.name("table"), x, integer.Table{Codes: tables, Grid: y}), true
	}
}

// pads draws borders that the grid of n allows.
func (d *drawer) pads(n integer.Node, most int) integer.Pads {
	if n.Grid.MidRise || d.chance(3) {
		return integer.Pads{}
	}
	return integer.Pads{Top: d.between(0, most), Left: d.between(0, most), Bottom: d.between(0, most), Right: d.between(0, most)}
}

func (d *drawer) conv(x integer.Ref, n integer.Node, y quant.Grid, rule quant.Rule) (integer.Ref, bool) {
	t := n.Out
	p := integer.Conv{
		O: d.between(1, 4), KH: d.between(1, 3), KW: d.between(1, 3), StrideH: d.between(1, 2), StrideW: d.between(1, 2),
		DilationH: d.between(1, 2), DilationW: d.between(1, 2), Pad: d.pads(n, 2), Groups: 1, Grid: y,
	}
	if d.chance(2) {
		p.Groups, p.O = t.C, t.C*d.between(1, 2)
	}
	if t.H+p.Pad.Top+p.Pad.Bottom <= p.DilationH*(p.KH-1) || t.W+p.Pad.Left+p.Pad.Right <= p.DilationW*(p.KW-1) {
		return x, false
	}
	p.Weight, p.WeightGrid = d.channels(p.O*t.C/p.Groups*p.KH*p.KW, []int{1, p.O}[d.IntN(2)])
	p.Bias = d.biases(p.O, 2000)
	if p.WeightGrid.BitWidth > 8 && rule == quant.FixedPoint {
		rule = quant.Float
		if y.MidRise {
			return x, false
		}
	}
	var ok bool
	if p.Requant, ok = d.requantizer(scalesOf(n.Grid, p.WeightGrid), y, rule); !ok {
		return x, false
	}
	return d.b.Conv(d.name("conv"), x, p), true
}

func (d *drawer) pair(x integer.Ref, n integer.Node, y quant.Grid, rule quant.Rule) (integer.Ref, bool) {
	mid := d.grid()
	first, ok := d.requantizer([]float64{levels(n.Grid)}, mid, quant.Float)
	if !ok {
		return x, false
	}
	var add integer.AddRule
	var err error
	var product *quant.Requantizer
	subtract := d.chance(2)
	switch {
	case d.chance(3):
		if rule == quant.FixedPoint && mid.BitWidth > 8 {
			return x, false
		}
		if product, ok = d.requantizer([]float64{levels(n.Grid) * levels(mid)}, y, rule); !ok {
			return x, false
		}
	case rule == quant.Shift:
		add, err = quant.NewAddShift(n.Grid, mid, y, subtract)
	case rule == quant.Float:
		add, err = quant.NewAddFloat(n.Grid, mid, y, subtract)
	default:
		add, err = quant.NewAddFixedPoint(n.Grid, mid, y, subtract, d.chance(2))
	}
	if err != nil {
		return x, false
	}
	z := d.b.Requantize(d.name("requantize"), x, integer.Requantize{Requant: first, Grid: mid})
	if product != nil {
		return d.b.Multiply(d.name("multiply"), x, z, integer.Multiply{Requant: product, Grid: y}), true
	}
	return d.b.Add(d.name(fmt.Sprintf("%T", add)), x, z, integer.Add{Rule: add, Grid: y}), true
}

func (d *drawer) average(x integer.Ref, n integer.Node, y quant.Grid) (integer.Ref, bool) {
	t := n.Out
	pads := d.pads(n, 1)
	p := integer.AvgPool{
		KH: d.between(2, 4), KW: d.between(2, 4), StrideH: d.between(1, 3), StrideW: d.between(1, 3), Pad: pads,
		CountPad: d.chance(2), Grid: y,
	}
	p.OH, p.OW = (t.H+pads.Top-1)/p.StrideH+1, (t.W+pads.Left-1)/p.StrideW+1
	if d.chance(3) {
		p.KH, p.KW, p.OH, p.OW, p.Pad = t.H, t.W, 1, 1, integer.Pads{}
	}
	var err error
	switch k := d.IntN(3); {
	case k == 0 && d.shift:
		p.Rule, err = quant.NewAveragePoolShift(n.Grid, y)
	case k == 1 && !n.Grid.MidRise:
		p.Rule, err = quant.NewAveragePoolFixedPoint(n.Grid)
		p.Grid = n.Grid
	default:
		p.Rule, err = quant.NewAveragePoolFloat(n.Grid, y)
	}
	if err != nil {
		return x, false
	}
	return d.b.AvgPool(d.name(fmt.Sprintf("%T", p.Rule)), x, p), true
}

// vectorsFor draws test vectors of m.
func (d *drawer) vectorsFor(m *integer.Model, n int) Options {
	size := m.Input().Out.Len()
	var o Options
	for range n {
		image, samples := make([]uint8, size), make([]float32, size)
		for i := range image {
			image[i] = uint8(d.IntN(256))
			samples[i] = 400*d.Float32() - 100
		}
		samples[0] = [...]float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), 0}[d.IntN(4)]
		if _, ok := m.Input().Op.(*integer.InputFloat); ok {
			o.Samples = append(o.Samples, samples)
		} else {
			o.Images = append(o.Images, image)
		}
	}
	return o
}

// drawModels returns n models that fit together and counts what is in them.
func drawModels(t *testing.T, seed uint64, n int) (models []*integer.Model, options []Options, kinds map[string]int) {
	t.Helper()
	kinds = map[string]int{}
	d := &drawer{Rand: rand.New(rand.NewPCG(seed, 1))}
	for tries := 0; len(models) < n; tries++ {
		if tries > 20*n {
			t.Fatalf("%d draws gave %d models", tries, len(models))
		}
		d.kinds = map[string]int{}
		m := d.model(fmt.Sprintf("m%d", len(models)))
		if m == nil {
			continue
		}
		for k, v := range d.kinds {
			kinds[k] += v
		}
		o := d.vectorsFor(m, 3)
		o.Prefix = m.Name
		models, options = append(models, m), append(options, o)
	}
	return models, options, kinds
}
