package cgen

import (
	"math"
	"testing"

	"github.com/bitgrad/bitgrad/integer"
	"github.com/bitgrad/bitgrad/quant"
)

// po2 returns a power-of-two grid.
func po2(bits int, signed bool, fl int) quant.Grid {
	return quant.Grid{BitWidth: bits, Signed: signed, Scale: []float32{float32(math.Ldexp(1, -fl))}}
}

// spread returns n codes of g that look random.
func spread(g quant.Grid, n int) []int32 {
	lo, hi := codeRange(g)
	seed, codes := uint32(n), make([]int32, n)
	for i := range codes {
		seed = seed*1664525 + 1013904223
		codes[i] = int32(lo + int64(seed>>8)%(hi-lo+1))
	}
	return codes
}

// rule returns a requantizer.
func rule(t testing.TB, r quant.Rule, y quant.Grid, scales ...float64) *quant.Requantizer {
	t.Helper()
	q, err := quant.NewRequantizer(r, scales, y)
	if err != nil {
		t.Fatal(err)
	}
	return &q
}

// built returns the model of b.
func built(t testing.TB, b *integer.Builder, output integer.Ref) *integer.Model {
	t.Helper()
	m, _, err := b.Build(output)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// noise returns images that look random, and one that is all white.
func noise(m *integer.Model, n int) [][]uint8 {
	images := make([][]uint8, n)
	seed := uint32(1)
	for k := range images {
		images[k] = make([]uint8, m.Input().Out.Len())
		for i := range images[k] {
			seed = seed*1664525 + 1013904223
			images[k][i] = uint8(seed >> 24)
			if k == 1 {
				images[k][i] = 255
			}
		}
	}
	return images
}

// tiny is the model of the golden header: two layers of 2-bit weights.
func tiny(t testing.TB) *integer.Model {
	b := integer.NewBuilder("tiny net")
	x := b.Input("input", integer.Input{C: 1, H: 4, W: 4, A: []float32{1.0 / 255}, B: []float32{0}, Grid: po2(4, false, 4)})
	w, y := po2(2, true, 1), po2(4, false, 2)
	x = b.Conv("conv1", x, integer.Conv{
		O: 2, KH: 3, KW: 3, StrideH: 2, StrideW: 2, Pad: integer.Pads{Bottom: 1, Right: 1},
		Weight: spread(w, 18), WeightGrid: w, Bias: []int64{8, -3}, Requant: rule(t, quant.Shift, y, math.Ldexp(1, -5)), Grid: y,
	})
	x = b.MaxPool("pool1", x, integer.MaxPool{KH: 2, KW: 2, StrideH: 2, StrideW: 2, OH: 1, OW: 1})
	x = b.Linear("fc", b.Flatten("flatten", x), integer.Linear{O: 3, Weight: spread(w, 6), WeightGrid: w, Bias: []int64{0, 5, -1}})
	return built(t, b, x)
}

// workshop is a model in which every helper of the generated programs matters.
func workshop(t testing.TB) *integer.Model {
	b := integer.NewBuilder("workshop")
	x := b.Input("input", integer.Input{C: 2, H: 9, W: 9, A: []float32{1.0 / 200, 1.0 / 100}, B: []float32{-0.5, -1}, Grid: po2(8, true, 6)})
	w3, w8, y := po2(3, true, 2), po2(8, true, 7), po2(8, true, 5)
	x = b.Conv("narrow", x, integer.Conv{
		O: 4, KH: 3, KW: 3, Pad: integer.PadAll(1),
		Weight: spread(w3, 72), WeightGrid: w3, Bias: []int64{100, -7, 0, 33}, Requant: rule(t, quant.Shift, y, math.Ldexp(1, -8)), Grid: y,
	})
	z := po2(8, true, 6)
	z.ZeroPoint = 5
	a := b.Conv("float", x, integer.Conv{
		O: 4, KH: 1, KW: 1, Groups: 4,
		Weight: []int32{127, 96, -128, 127}, WeightGrid: w8, Requant: rule(t, quant.Float, z, math.Ldexp(1, -12)), Grid: z,
	})
	sum, err := quant.NewAddFloat(y, z, y, true)
	if err != nil {
		t.Fatal(err)
	}
	x = b.Add("difference", x, a, integer.Add{Rule: sum, Grid: y})
	average, err := quant.NewAveragePoolShift(y, po2(8, true, 6))
	if err != nil {
		t.Fatal(err)
	}
	x = b.AvgPool("average", x, integer.AvgPool{KH: 3, KW: 3, StrideH: 2, StrideW: 2, OH: 5, OW: 5, Rule: average, Grid: po2(8, true, 6)})
	x = b.MaxPool("maximum", x, integer.MaxPool{KH: 2, KW: 2, StrideH: 1, StrideW: 1, OH: 4, OW: 4})
	v := quant.Grid{BitWidth: 8, Signed: true, Scale: []float32{0.3}}
	u := quant.Grid{BitWidth: 8, Signed: true, Scale: []float32{4 * v.Scale[0]}}
	once, twice := rule(t, quant.FixedPoint, v, math.Ldexp(1, -6)), rule(t, quant.FixedPoint, u, float64(v.Scale[0]))
	twice.DoubleRounding = true
	x = b.Requantize("once", x, integer.Requantize{Requant: once, Grid: v})
	x = b.Requantize("twice", x, integer.Requantize{Requant: twice, Grid: u})
	per := quant.Grid{BitWidth: 8, Signed: true, Scale: []float32{0.25, 0.1, 0.125}}
	x = b.Linear("logits", b.Flatten("flatten", x), integer.Linear{O: 3, Weight: spread(per, 192), WeightGrid: per, Bias: []int64{1, 1 << 20, -5}})
	return built(t, b, x)
}

// extremes are models at the limits of the rules.
func extremes(t testing.TB) map[string]*integer.Model {
	models := map[string]*integer.Model{}
	pixels := func(name string, g quant.Grid) (*integer.Builder, integer.Ref) {
		b := integer.NewBuilder(name)
		return b, b.Input("input", integer.Input{C: 2, H: 3, W: 3, A: []float32{g.Scale[0], g.Scale[0] * 300}, B: []float32{0, g.Scale[0]}, Grid: g})
	}
	byte8 := po2(8, false, 0)

	// Accumulators that a float32 does not hold, at one scale and at several.
	for name, scales := range map[string][]float32{"shared": {0.5, 0.5, 0.5}, "single": {0.5}, "several": {0.5, 0.3, 0.2}} {
		w := quant.Grid{BitWidth: 8, Signed: true, Scale: scales}
		b, x := pixels(name, byte8)
		x = b.Conv("conv", x, integer.Conv{O: 3, KH: 3, KW: 3, Weight: spread(w, 54), WeightGrid: w, Bias: []int64{1<<30 + 1, 123456789, -1<<30 + 3}})
		models[name] = built(t, b, b.Flatten("flatten", x))
	}
	// Sums of 64 bits that leave, and that are requantized by every rule.
	wide := po2(16, false, 0)
	w := quant.Grid{BitWidth: 16, Signed: true, Scale: []float32{0.5, 0.25, 0.3}}
	b, x := pixels("wide", wide)
	x = b.Conv("conv", x, integer.Conv{O: 3, KH: 3, KW: 3, Weight: spread(w, 54), WeightGrid: w, Bias: []int64{1 << 40, -1 << 41, 3}})
	models["wide"] = built(t, b, x)
	for _, r := range []quant.Rule{quant.Shift, quant.Float} {
		w, y := po2(16, true, 16), po2(16, true, -3)
		b, x := pixels("wide"+r.String(), wide)
		x = b.Conv("conv", x, integer.Conv{O: 3, KH: 3, KW: 3, Weight: spread(w, 54), WeightGrid: w, Bias: []int64{1 << 40, -1 << 41, 3},
			Requant: rule(t, r, y, math.Ldexp(1, -16)), Grid: y})
		models["wide"+r.String()] = built(t, b, x)
	}
	// The largest shifts, both ways.
	for name, fl := range map[string]int{"left": 31, "right": -31} {
		b, x := pixels(name, wide)
		y := po2(16, true, fl)
		x = b.Requantize("requantize", x, integer.Requantize{Requant: rule(t, quant.Shift, y, 1), Grid: y})
		models[name] = built(t, b, x)
		b, x = pixels("average"+name, wide)
		average, err := quant.NewAveragePoolShift(wide, y)
		if err != nil {
			t.Fatal(err)
		}
		x = b.AvgPool("average", x, integer.AvgPool{KH: 2, KW: 2, StrideH: 1, StrideW: 1, OH: 3, OW: 3, Rule: average, Grid: y})
		models["average"+name] = built(t, b, x)
	}
	// Accumulators that move before they are requantized.
	y := quant.Grid{BitWidth: 8, Signed: true, Scale: []float32{900}}
	b, x = pixels("moved", byte8)
	w = po2(8, true, 3)
	x = b.Conv("conv", x, integer.Conv{O: 3, KH: 1, KW: 2, Weight: spread(w, 12), WeightGrid: w})
	x = b.MaxPool("max", x, integer.MaxPool{KH: 2, KW: 2, StrideH: 1, StrideW: 1, OH: 2, OW: 2})
	x = b.Pad("pad", x, integer.Pad{Pad: integer.PadAll(1)})
	x = b.Slice("slice", x, integer.Slice{C: integer.Range{Start: 0, Stop: 3, Step: 2}})
	x = b.Requantize("requantize", x, integer.Requantize{Requant: rule(t, quant.Float, y, 0.125), Grid: y})
	models["moved"] = built(t, b, x)
	return models
}
