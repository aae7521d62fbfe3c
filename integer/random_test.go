package integer

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/bitgrad/bitgrad/quant"
)

// maker draws small models.
type maker struct {
	t *rapid.T
	b *Builder
	n int
}

func (g *maker) name(kind string) string { g.n++; return fmt.Sprintf("%s%d", kind, g.n) }

func (g *maker) int(lo, hi int, what string) int { return rapid.IntRange(lo, hi).Draw(g.t, what) }

func (g *maker) bool(what string) bool { return rapid.Bool().Draw(g.t, what) }

// grid draws a grid for activations; a power of two if shift. Mid-rise grids have no
// fixedpoint rule and are drawn with the rule in mind.
func (g *maker) grid(shift bool) quant.Grid { return g.gridFor(shift, quant.FixedPoint) }

func (g *maker) gridFor(shift bool, rule quant.Rule) quant.Grid {
	bits := g.int(1, 8, "bits")
	if g.int(0, 7, "wide") == 0 {
		bits = rapid.SampledFrom([]int{12, 16}).Draw(g.t, "wide bits")
	}
	y := quant.Grid{BitWidth: bits, Signed: g.bool("signed"), Narrow: bits > 1 && g.int(0, 7, "narrow") == 0}
	if rule != quant.FixedPoint && g.int(0, 5, "mid-rise") == 0 {
		y.MidRise, y.Narrow = true, false
	}
	if shift {
		y.Scale = []float32{quant.PowerOfTwo(g.int(0, 4, "fl"))}
		return y
	}
	y.Scale = []float32{rapid.Float32Range(0.01, 2).Draw(g.t, "scale")}
	if y.MidRise {
		return y
	}
	y.ZeroPoint = int32(g.int(int(y.QMin()), int(y.QMax()), "zero point"))
	return y
}

func (g *maker) rule() (rule quant.Rule, shift bool) {
	rule = rapid.SampledFrom([]quant.Rule{quant.Shift, quant.Float, quant.FixedPoint}).Draw(g.t, "rule")
	return rule, rule == quant.Shift
}

// sums draws weights, biases and a requantizer for a layer.
func (g *maker) sums(x Node, o, per int, shift bool, rule quant.Rule, logits bool) (w []int32, wg quant.Grid, bias []int64, r *quant.Requantizer, y quant.Grid) {
	bits := g.int(1, 8, "weight bits")
	if g.int(0, 7, "wide weights") == 0 {
		bits = rapid.SampledFrom([]int{12, 16}).Draw(g.t, "wide weight bits")
	}
	wg = quant.Grid{BitWidth: bits, Signed: g.int(0, 3, "unsigned") > 0}
	wg.MidRise = g.int(0, 4, "mid-rise weights") == 0
	if !shift && !wg.MidRise {
		wg.ZeroPoint = int32(g.int(int(wg.QMin()), int(wg.QMax()), "weight zero"))
		if g.bool("symmetric") && wg.Signed {
			wg.ZeroPoint = 0
		}
	}
	for range []int{1, o}[g.int(0, 1, "per channel")] {
		if shift {
			wg.Scale = append(wg.Scale, quant.PowerOfTwo(g.int(0, 5, "weight fl")))
		} else {
			wg.Scale = append(wg.Scale, rapid.Float32Range(0.001, 1).Draw(g.t, "weight scale"))
		}
	}
	saturate := g.int(0, 5, "saturate") == 0
	seed := rapid.Uint32().Draw(g.t, "weights")
	for range o * per {
		seed = seed*1664525 + 1013904223
		q := int64(wg.QMin()) + int64(seed>>8)%(int64(wg.QMax())-int64(wg.QMin())+1)
		if saturate {
			q = int64(wg.QMax())
		}
		w = append(w, int32(q))
	}
	most := 2000
	if g.int(0, 5, "large biases") == 0 {
		most = 1 << 29 // sums that float32 rounds
	}
	for range o {
		bias = append(bias, int64(g.int(-most, most, "bias")))
	}
	if logits {
		return w, wg, bias, nil, y
	}
	y = g.gridFor(shift, rule)
	r = g.requant(rule, quant.AccScale(x.Grid, wg), y)
	return w, wg, bias, r, y
}

func (g *maker) requant(rule quant.Rule, scale []float64, y quant.Grid) *quant.Requantizer {
	r, err := quant.NewRequantizer(rule, scale, y)
	if err != nil {
		g.t.Skip(err)
	}
	if g.bool("relu") {
		r = r.ReLU()
	}
	return &r
}

// model draws a model with the given number of layers.
func drawModel(t *rapid.T) *Model {
	g := &maker{t: t, b: NewBuilder("random")}
	in := g.gridFor(g.bool("po2 input"), quant.Shift)
	c := g.int(1, 5, "channels")
	a, o := make([]float32, c), make([]float32, c)
	for i := range a {
		a[i], o[i] = rapid.Float32Range(-0.1, 0.1).Draw(t, "a"), rapid.Float32Range(-2, 2).Draw(t, "b")
	}
	x := g.b.Input("input", Input{C: c, H: g.int(1, 7, "H"), W: g.int(1, 7, "W"), A: a, B: o, Grid: in})
	for range g.int(1, 5, "layers") {
		x = g.layer(x)
	}
	if g.bool("logits") {
		x = g.b.Flatten("flat", x)
		n, outs := g.b.Node(x), g.int(1, 6, "classes")
		w, wg, bias, _, _ := g.sums(n, outs, n.Out.C, g.bool("po2 logits"), 0, true)
		x = g.b.Linear("logits", x, Linear{O: outs, Weight: w, WeightGrid: wg, Bias: bias})
	}
	m, _, err := g.b.Build(x)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// layer draws one layer that reads x.
func (g *maker) layer(x Ref) Ref {
	n := g.b.Node(x)
	if g.b.Err() != nil {
		g.t.Fatal(g.b.Err())
	}
	rule, shift := g.rule()
	if _, ok := n.Grid.FL(0); shift && (!ok || n.Grid.ZeroPoint != 0) {
		rule, shift = quant.Float, false
	}
	if rule == quant.FixedPoint && n.Out.Bits > 8 {
		rule = quant.Float
	}
	t := n.Out
	switch g.int(0, 9, "kind") {
	default:
		return g.conv(x, n, rule, shift)
	case 3:
		return g.pair(x, n, rule, shift)
	case 4:
		y := g.gridFor(shift, rule)
		return g.b.Requantize(g.name("requantize"), x, Requantize{g.requant(rule, []float64{n.Grid.LevelScale(0)}, y), y})
	case 5:
		return g.pool(x, n, shift)
	case 6:
		y := g.grid(shift)
		z := g.b.Requantize(g.name("requantize"), x, Requantize{g.requant(rule, []float64{n.Grid.LevelScale(0)}, y), y})
		r := g.requant(rule, []float64{n.Grid.LevelScale(0)}, y)
		return g.b.Concat(g.name("concat"), []Ref{x, z}, Concat{[]*quant.Requantizer{r, nil}, y})
	case 7:
		if n.Grid.MidRise {
			return x
		}
		pad := Pads{g.int(0, 2, "top"), g.int(0, 2, "left"), g.int(0, 2, "bottom"), g.int(0, 2, "right")}
		return g.b.Pad(g.name("pad"), x, Pad{pad, g.int(0, 1, "before"), g.int(0, 1, "after")})
	case 8:
		cut := func(n int) Range {
			first := g.int(0, n-1, "start")
			return Range{first, g.int(first+1, n, "stop"), g.int(1, 3, "step")}
		}
		y := g.b.Slice(g.name("slice"), x, Slice{cut(t.C), cut(t.H), cut(t.W)})
		if g.bool("reshape") {
			n := g.b.Node(y).Out
			y = g.b.Reshape(g.name("reshape"), y, Reshape{n.W, n.C, n.H})
		}
		return y
	case 9:
		if t.Bits > 8 {
			return x
		}
		y := g.grid(false)
		codes, err := quant.CodeTable(n.Grid, y, quant.HalfEven, func(v float32) float32 { return v * v })
		if err != nil {
			g.t.Fatal(err)
		}
		tables := [][]int32{codes}
		for len(tables) < t.C && g.bool("table per channel") {
			for range t.C - 1 {
				other := append([]int32(nil), codes...)
				other[g.int(0, len(other)-1, "entry")] = y.QMax()
				tables = append(tables, other)
			}
		}
		return g.b.Table(g.name("table"), x, Table{tables, y})
	}
}

func (g *maker) conv(x Ref, n Node, rule quant.Rule, shift bool) Ref {
	p := Conv{
		O: g.int(1, 5, "O"), KH: g.int(1, 3, "KH"), KW: g.int(1, 3, "KW"),
		StrideH: g.int(1, 3, "stride"), StrideW: g.int(1, 3, "stride"),
		DilationH: g.int(1, 2, "dilation"), DilationW: g.int(1, 2, "dilation"), Groups: 1,
	}
	if g.int(0, 3, "many") == 0 {
		p.O = g.int(15, 35, "many channels")
	}
	switch g.int(0, 3, "groups") {
	case 0: // depthwise
		p.Groups, p.O = n.Out.C, n.Out.C*g.int(1, 2, "multiplier")
	case 1:
		if n.Out.C%2 == 0 {
			p.Groups, p.O = 2, 2*p.O
		}
	}
	p.Pad = Pads{g.int(0, 2, "top"), g.int(0, 2, "left"), g.int(0, 2, "bottom"), g.int(0, 2, "right")}
	if n.Grid.MidRise {
		p.Pad, p.KH, p.KW = Pads{}, min(p.KH, n.Out.H), min(p.KW, n.Out.W)
		p.DilationH, p.DilationW = 1, 1
	}
	for n.Out.H+p.Pad.Top+p.Pad.Bottom <= p.DilationH*(p.KH-1) {
		p.Pad.Bottom++
	}
	for n.Out.W+p.Pad.Left+p.Pad.Right <= p.DilationW*(p.KW-1) {
		p.Pad.Right++
	}
	p.Weight, p.WeightGrid, p.Bias, p.Requant, p.Grid = g.sums(n, p.O, n.Out.C/p.Groups*p.KH*p.KW, shift, rule, false)
	if p.WeightGrid.BitWidth > 8 && rule == quant.FixedPoint {
		p.Requant = g.requant(quant.Float, quant.AccScale(n.Grid, p.WeightGrid), p.Grid)
	}
	return g.b.Conv(g.name("conv"), x, p)
}

func (g *maker) pair(x Ref, n Node, rule quant.Rule, shift bool) Ref {
	mid := g.gridFor(shift, rule)
	z := g.b.Requantize(g.name("requantize"), x, Requantize{g.requant(rule, []float64{n.Grid.LevelScale(0)}, mid), mid})
	y := g.gridFor(shift, rule)
	if g.bool("multiply") {
		if rule == quant.FixedPoint {
			rule = quant.Float
		}
		return g.b.Multiply(g.name("multiply"), x, z, Multiply{g.requant(rule, quant.AccScale(n.Grid, mid), y), y})
	}
	lo, hi := y.QMin(), y.QMax()
	if g.bool("relu") {
		lo = y.ZeroPoint
	}
	if rule == quant.FixedPoint && (n.Grid.MidRise || mid.MidRise) {
		rule = quant.Float
	}
	r, err := newAddRule(rule, n.Grid, mid, y, g.bool("subtract"), g.bool("double"), lo, hi)
	if err != nil {
		g.t.Skip(err)
	}
	return g.b.Add(g.name("add"), x, z, Add{r, y})
}

func (g *maker) pool(x Ref, n Node, shift bool) Ref {
	t := n.Out
	kh, kw, sh, sw := g.int(1, 3, "KH"), g.int(1, 3, "KW"), g.int(1, 3, "stride"), g.int(1, 3, "stride")
	pad := Pads{g.int(0, kh-1, "top"), g.int(0, kw-1, "left"), g.int(0, 1, "bottom"), g.int(0, 1, "right")}
	most := func(in, stride, before int) int { return (in+before-1)/stride + 1 }
	oh, ow := g.int(1, most(t.H, sh, pad.Top), "OH"), g.int(1, most(t.W, sw, pad.Left), "OW")
	if g.bool("max") {
		return g.b.MaxPool(g.name("max"), x, MaxPool{kh, kw, sh, sw, pad, oh, ow})
	}
	rule, y := quant.Float, g.grid(shift)
	if shift {
		rule = quant.Shift
	} else if !n.Grid.MidRise && g.bool("fixedpoint pool") {
		rule, y = quant.FixedPoint, n.Grid
	}
	r, err := newPoolRule(rule, n.Grid, y, y.QMin(), y.QMax())
	if err != nil {
		g.t.Skip(err)
	}
	count := !n.Grid.MidRise && g.bool("count pad")
	return g.b.AvgPool(g.name("avg"), x, AvgPool{kh, kw, sh, sw, pad, oh, ow, count, r, y})
}

// compare runs images through both programs and returns the first difference.
func compare(m *Model, images []uint8, chunk int) error {
	e, err := NewEngine(m, EngineOptions{Chunk: chunk})
	if err != nil {
		return err
	}
	return compareWith(m, e, images)
}

// compareWith compares the codes of an engine, every tensor of every image, with those
// of the interpreter.
func compareWith(m *Model, e *Engine, images []uint8) error {
	size := m.Input().Out.Len()
	n := len(images) / size
	want := make([][][]int64, n)
	for i := range want {
		if _, err := Interpret(m, images[i*size:(i+1)*size], func(_ int, codes []int64) {
			want[i] = append(want[i], codes)
		}); err != nil {
			return err
		}
	}
	var diff error
	err := e.Trace(images, func(node, image int, codes []int64) {
		for k, q := range codes {
			if diff == nil && q != want[image][node][k] {
				diff = fmt.Errorf("node %s (%s), image %d, element %d: engine %d, interpreter %d",
					m.Nodes[node].Name, m.Nodes[node].Op.Kind(), image, k, q, want[image][node][k])
			}
		}
	})
	if err != nil {
		return err
	}
	return diff
}

func drawImages(t *rapid.T, m *Model, n int) []uint8 {
	images := make([]uint8, n*m.Input().Out.Len())
	seed := rapid.Uint32().Draw(t, "pixels")
	for i := range images {
		seed = seed*1664525 + 1013904223
		images[i] = uint8(seed >> 24)
	}
	return images
}

func TestEngineEqualsInterpreter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawModel(t)
		images := drawImages(t, m, 3)
		if err := compare(m, images, rapid.IntRange(1, 4).Draw(t, "chunk")); err != nil {
			t.Fatal(err)
		}
	})
}
