package fakequant

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/autograd/optest"
	"github.com/bitgrad/bitgrad/quant"
)

// suite holds the cases of all operations; the file that tests an operation
// adds its cases in init.
var suite optest.Suite

func TestOperations(t *testing.T) { suite.Run(t) }

func TestEveryOperationHasACase(t *testing.T) { suite.Complete(t, ".") }

var trainAndFrozen = []autograd.Mode{autograd.Train, autograd.Frozen}

// testScale has a short mantissa, so that ranges of whole steps are exact.
const testScale = 3.0 / 64

func grid(bits int, signed bool, zero int32, scale float32) quant.Grid {
	return quant.Grid{BitWidth: bits, Signed: signed, ZeroPoint: zero, Scale: []float32{scale}}
}

func init() {
	for _, r := range outputs(testScale) {
		suite.Add(quantizeCase(r, optest.Input{Name: "x", Shape: []int{3, 5, 4}, Draw: optest.Normal(5)}))
		suite.Add(quantizeCase(r, optest.Input{Name: "x", Shape: []int{7}, Draw: optest.Normal(5)}))
		wide := grid(12, true, 0, 1.0/256)
		suite.Add(quantizeCase(r, optest.Input{Name: "x", Shape: []int{2, 3, 3}, Grid: &wide, Draw: optest.Levels(wide)}))
	}
	for _, w := range weightCases() {
		suite.Add(w.optest())
	}
	suite.Add(biasCases()...)
	for _, bias := range []bool{false, true} {
		suite.Add(foldCases(bias)...)
	}
	codes := []quant.Grid{grid(8, true, 0, testScale/2), grid(4, false, 0, 0.75), grid(8, false, 60, testScale), grid(1, true, 0, 3)}
	for i, r := range outputs(testScale) {
		for j, f := range tableFunctions() {
			suite.Add(tableCase(r, codes[(i+j)%4], f))
		}
	}
	suite.Add(inputTableCases()...)
}

// quantizeCase is [QuantizeOp] on floats, or on codes of another grid.
func quantizeCase(r ranged, x optest.Input) optest.Case {
	c := optest.Case{Name: fmt.Sprintf("quantize_%s_%d", r.name, len(x.Shape)), Modes: trainAndFrozen}
	if x.Grid != nil {
		c.Name += "_codes"
	}
	c.Inputs = append([]optest.Input{x}, r.input()...)
	c.Build = func(g *autograd.Graph, in []*autograd.Node) *autograd.Node {
		return g.Apply("y", QuantizeOp{r.quantizer(Outputs, 1, r.last(in))}, in...)
	}
	c.Surrogate = func(base, in []optest.Array) optest.Array {
		s0, s := r.scales(base, in, perSample(in[0]))
		y := in[0].Clone()
		for k, x0 := range base[0].Data {
			y.Data[k] = r.straight(linear, x0, in[0].Data[k], s0, s, r.level(x0, s0))
		}
		return y
	}
	c.Ref = func(in []optest.Array) optest.Array {
		s, _ := r.scales(in, in, 1)
		return in[0].Map(func(x float64) float64 { return s * r.level(x, s) })
	}
	return c
}

// weightCase is [QuantizeWeightOp].
type weightCase struct {
	ranged
	perChannel bool
	bias       float64 // of every channel; 0: the operation has no bias operand
	spread     float64 // of the weights of the first channel against the others
	allZero    bool    // the first channel holds zeros
}

func weightCases() []weightCase {
	symmetric := quant.UniformFormat{BitWidth: 4, Signed: true, Narrow: true}
	power := quant.UniformFormat{BitWidth: 5, Signed: true, PowerOfTwo: true}
	away := power
	away.Rounding = quant.HalfUp
	one := quant.UniformFormat{BitWidth: 1, Signed: true, PowerOfTwo: true}
	var cs []weightCase
	for _, r := range []ranged{
		{"ste", symmetric, STE{}, 0.15, 0}, {"ste-dfp", power, STE{}, 0, 0}, {"ste-dfp-half-up", away, STE{}, 0, 0},
		{"lsq", symmetric, LSQ{}, 0.15, 0}, {"tqt", power, TQT{}, 0.0625, 0}, {"tqt-1-bit", one, TQT{}, 0.5, 0},
	} {
		for _, perChannel := range []bool{false, true} {
			r.format.PerChannel = perChannel
			cs = append(cs, weightCase{ranged: r, perChannel: perChannel, spread: 3})
			cs = append(cs, weightCase{ranged: r, perChannel: perChannel, spread: 3, bias: 0.4})
			cs = append(cs, weightCase{ranged: r, perChannel: perChannel, spread: 1, bias: 3e6})
			cs = append(cs, weightCase{ranged: r, perChannel: perChannel, allZero: true})
		}
	}
	return cs
}

func (c weightCase) optest() optest.Case {
	const o, i, k = 3, 2, 3
	shape := []int{o, i, k, k}
	x := grid(8, false, 7, 1.0/256)
	draw := func(r *rand.Rand, dst []float64) {
		for n := range dst {
			dst[n] = r.NormFloat64()
			if n < i*k*k {
				dst[n] *= c.spread
			}
		}
	}
	t := optest.Case{Name: fmt.Sprintf("weight_%s_channels=%v_bias=%v_zero=%v", c.name, c.perChannel, c.bias, c.allZero),
		Modes: trainAndFrozen, Inputs: []optest.Input{{Name: "w", Shape: shape, Param: true, Draw: draw}}}
	if c.bias != 0 {
		t.Inputs = append(t.Inputs, optest.Input{Name: "b", Shape: []int{o}, Param: true, NoGrad: true, Draw: optest.Fixed(c.bias, -c.bias, c.bias)},
			optest.Input{Name: "x", Shape: []int{i, 3, 3}, NoGrad: true, Grid: &x})
	}
	channels := 1
	if c.perChannel {
		channels = o
	}
	scales := make([]float64, channels)
	for n := range scales {
		scales[n] = c.scale * math.Exp2(float64(n))
	}
	if c.est.Learned() {
		t.Inputs = append(t.Inputs, c.input(scales...)...)
	}
	t.Build = func(g *autograd.Graph, in []*autograd.Node) *autograd.Node {
		return g.Apply("y", QuantizeWeightOp{Q: c.quantizer(Weights, channels, c.last(in)), HasBias: c.bias != 0}, in...)
	}
	// grids returns the scale of every output channel at the base and moved.
	grids := func(base, in []optest.Array) (s0, s []float64) {
		s0, s = make([]float64, channels), make([]float64, channels)
		per := len(base[0].Data) / channels
		for n := range s0 {
			if c.est.Learned() {
				last := len(in) - 1
				s0[n], s[n] = c.moved(base[last].Data[n], in[last].Data[n], per)
			} else {
				a := 0.0
				for _, v := range base[0].Data[n*per : (n+1)*per] {
					a = math.Max(a, math.Abs(v))
				}
				s0[n] = a / c.hi()
				if c.format.PowerOfTwo {
					s0[n] = math.Exp2(math.Ceil(math.Log2(a)) - float64(c.bits()))
				}
				if a == 0 {
					s0[n] = 0
				}
				s[n] = s0[n]
			}
		}
		for n, v := range s0 { // an all-zero channel has the largest scale of the others
			if v == 0 {
				for _, other := range s0 {
					s0[n] = math.Max(s0[n], other)
				}
				if s0[n] == 0 {
					s0[n] = 1
				}
				s[n] = s0[n]
			}
		}
		for n := range s0 {
			ch := []int{n}
			if channels == 1 {
				ch = []int{0, 1, 2}
			}
			for range ch {
				need := math.Abs(c.bias) / (1 << 30 * float64(x.Scale[0]))
				if need > s0[n] {
					if c.format.PowerOfTwo {
						need = math.Exp2(math.Ceil(math.Log2(need)))
					}
					s[n] *= need / s0[n] // its parameter moves it in proportion
					s0[n] = need
				}
			}
		}
		return s0, s
	}
	each := func(a optest.Array, f func(k, n int)) {
		for k := range a.Data {
			f(k, k/(len(a.Data)/channels))
		}
	}
	t.Surrogate = func(base, in []optest.Array) optest.Array {
		s0, s := grids(base, in)
		y := in[0].Clone()
		each(y, func(k, n int) {
			w0 := base[0].Data[k]
			y.Data[k] = c.straight(linear, w0, in[0].Data[k], s0[n], s[n], c.level(w0, s0[n]))
		})
		return y
	}
	t.Ref = func(in []optest.Array) optest.Array {
		s, _ := grids(in, in)
		y := in[0].Clone()
		each(y, func(k, n int) { y.Data[k] = s[n] * c.level(in[0].Data[k], s[n]) })
		return y
	}
	if c.allZero {
		t.Inputs[0].Draw = func(r *rand.Rand, dst []float64) {
			draw(r, dst)
			clear(dst[:i*k*k])
		}
	}
	return t
}

// biasCases are [QuantizeBiasOp]: one scale, a scale per channel, and operands
// that stay float.
func biasCases() []optest.Case {
	var cs []optest.Case
	x, w := grid(8, true, 0, 1.0/3), grid(4, true, 0, 1.0/7)
	for _, floats := range []string{"", "x", "w"} {
		c := optest.Case{Name: "bias_float_" + floats, Modes: trainAndFrozen, Inputs: []optest.Input{
			{Name: "b", Shape: []int{5}, Param: true},
			{Name: "w", Shape: []int{5, 2}, Param: true, NoGrad: true, Grid: &w},
			{Name: "x", Shape: []int{2}, NoGrad: true, Grid: &x}}}
		scale := float64(float32(float64(x.Scale[0]) * float64(w.Scale[0])))
		switch floats {
		case "w":
			c.Inputs[1].Grid = nil
		case "x":
			c.Inputs[2].Grid = nil
		}
		c.Build = func(g *autograd.Graph, in []*autograd.Node) *autograd.Node {
			return g.Apply("y", QuantizeBiasOp{}, in...)
		}
		rounded := func(b float64) float64 {
			if floats != "" {
				return b
			}
			return math.RoundToEven(b/scale) * scale
		}
		c.Ref = func(in []optest.Array) optest.Array { return in[0].Map(rounded) }
		c.Surrogate = func(base, in []optest.Array) optest.Array {
			y := in[0].Clone()
			for k, b0 := range base[0].Data {
				y.Data[k] += rounded(b0) - b0
			}
			return y
		}
		cs = append(cs, c)
	}
	perChannel := quant.UniformFormat{BitWidth: 4, Signed: true, PerChannel: true}
	r := ranged{"ste", perChannel, STE{}, 1, 0}
	c := optest.Case{Name: "bias_per_channel", Inputs: []optest.Input{
		{Name: "b", Shape: []int{3}, Param: true},
		{Name: "w", Shape: []int{3, 2}, Param: true, NoGrad: true, Draw: optest.Fixed(1, 7, -14, 3, 3.5, 0)},
		{Name: "x", Shape: []int{2}, NoGrad: true, Grid: &x}}}
	c.Build = func(g *autograd.Graph, in []*autograd.Node) *autograd.Node {
		w := g.Apply("quantized", QuantizeWeightOp{Q: r.quantizer(Weights, 3, nil)}, in[1])
		return g.Apply("y", QuantizeBiasOp{}, in[0], w, in[2])
	}
	scales := []float64{1.0 / 3, 2.0 / 3, 0.5 / 3} // s_x times 7/7, 14/7 and 3.5/7
	c.Ref = func(in []optest.Array) optest.Array {
		y := in[0].Clone()
		for k, b := range y.Data {
			y.Data[k] = math.RoundToEven(b/scales[k]) * scales[k]
		}
		return y
	}
	c.Surrogate = func(base, in []optest.Array) optest.Array {
		y := c.Ref(base)
		for k, b0 := range base[0].Data {
			y.Data[k] += in[0].Data[k] - b0
		}
		return y
	}
	return append(cs, c)
}

// testNorm has moving statistics that are no round numbers.
func testNorm(channels int, a autograd.BatchNormAttrs) *Norm {
	mean, variance := make([]float32, channels), make([]float32, channels)
	for c := range mean {
		mean[c], variance[c] = 0.3*float32(c)-0.5, 0.2+0.7*float32(c%3)
	}
	return &Norm{BatchNormAttrs: a, Mean: autograd.NewState("mean", mean), Var: autograd.NewState("var", variance)}
}

// sigma64 is √(var + ε).
func sigma64(n *Norm, c int) float64 {
	eps := float64(n.Eps)
	if eps == 0 {
		eps = float64(float32(1e-5))
	}
	return math.Sqrt(float64(n.Var.Value[c]) + eps)
}

// foldCases are [FoldWeightOp], [FoldBiasOp] and [FoldedNormOp].
func foldCases(own bool) []optest.Case {
	const o = 4
	norm := testNorm(o, autograd.BatchNormAttrs{Eps: 0.01})
	vector := func(name string, draw optest.Sampler) optest.Input {
		return optest.Input{Name: name, Shape: []int{o}, Param: true, Draw: draw}
	}
	var cs []optest.Case
	for _, mode := range trainAndFrozen {
		gamma := vector("gamma", nil)
		gamma.NoGrad = mode == autograd.Train
		c := optest.Case{Name: fmt.Sprintf("fold_weight_%s", mode), Modes: []autograd.Mode{mode},
			Inputs: []optest.Input{{Name: "w", Shape: []int{o, 2, 3, 1}, Param: true}, gamma}}
		c.Build = func(g *autograd.Graph, in []*autograd.Node) *autograd.Node {
			return g.Apply("y", FoldWeightOp{norm}, in...)
		}
		c.Ref = func(in []optest.Array) optest.Array {
			y := in[0].Clone()
			for k := range y.Data {
				y.Data[k] *= in[1].Data[k/6] / sigma64(norm, k/6)
			}
			return y
		}
		if !own {
			cs = append(cs, c)
		}
	}
	b := optest.Case{Name: fmt.Sprintf("fold_bias_own=%v", own), Modes: trainAndFrozen, Inputs: []optest.Input{vector("gamma", nil), vector("beta", nil)}}
	if own {
		b.Inputs = append(b.Inputs, vector("b", nil))
	}
	b.Build = func(g *autograd.Graph, in []*autograd.Node) *autograd.Node {
		return g.Apply("y", FoldBiasOp{norm}, in...)
	}
	b.Ref = func(in []optest.Array) optest.Array {
		y := in[1].Clone()
		for k := range y.Data {
			bias := 0.0
			if own {
				bias = in[2].Data[k]
			}
			y.Data[k] += in[0].Data[k] * (bias - float64(norm.Mean.Value[k])) / sigma64(norm, k)
		}
		return y
	}
	cs = append(cs, b)
	for _, mode := range trainAndFrozen {
		c := optest.Case{Name: fmt.Sprintf("folded_norm_%s_own=%v", mode, own), Batch: 3, Modes: []autograd.Mode{mode}}
		// Channel 1 has a small γ, channel 2 no signal: both are kept. Channel 3 is turned round.
		p := optest.Input{Name: "p", Shape: []int{o, 2, 3}, Draw: func(r *rand.Rand, dst []float64) {
			for k := range dst {
				dst[k] = 3 * r.NormFloat64()
				if k/6%o == 2 {
					dst[k] = 0
				}
			}
		}}
		gamma, beta, bias := vector("gamma", optest.Fixed(0.7, 0.0009, 1.1, -1.3)), vector("beta", nil), vector("b", nil)
		gamma.NoGrad, beta.NoGrad, bias.NoGrad = mode == autograd.Frozen, mode == autograd.Frozen, true
		c.Inputs = []optest.Input{p, vector("folded", nil), gamma, beta}
		if own {
			c.Inputs = append(c.Inputs, bias)
		}
		c.Build = func(g *autograd.Graph, in []*autograd.Node) *autograd.Node {
			return g.Apply("y", FoldedNormOp{norm}, in...)
		}
		c.Surrogate = func(base, in []optest.Array) optest.Array {
			if mode == autograd.Frozen {
				y := in[0].Clone()
				for k := range y.Data {
					y.Data[k] += in[1].Data[channelOf(y, k)]
				}
				return y
			}
			return batchNorm64(norm, base, in)
		}
		c.Ref = func(in []optest.Array) optest.Array { return c.Surrogate(in, in) }
		cs = append(cs, c)
	}
	return cs
}

// batchNorm64 is the batch phase on p, b′, γ and β: a channel with a small γ or
// no signal is kept, ε′ and the choice are those of the base.
func batchNorm64(norm *Norm, base, in []optest.Array) optest.Array {
	y := in[0].Clone()
	mean, variance := moments64(in[0])
	for c := range mean {
		g0, sigma := base[2].Data[c], sigma64(norm, c)
		eps := float64(norm.Epsilon()) * g0 * g0 / (sigma * sigma)
		silent := true
		for k := range y.Data {
			if channelOf(y, k) == c {
				silent = silent && base[0].Data[k] == 0
			}
		}
		for k := range y.Data {
			if channelOf(y, k) != c {
				continue
			}
			if math.Abs(g0) < 1.0/1024 || silent {
				y.Data[k] += in[1].Data[c]
				continue
			}
			y.Data[k] = in[3].Data[c] + math.Abs(in[2].Data[c])*(y.Data[k]-mean[c])/math.Sqrt(variance[c]+eps)
		}
	}
	return y
}

// moments64 returns mean and biased variance of every channel.
func moments64(x optest.Array) (mean, variance []float64) {
	mean, variance = make([]float64, x.Shape[1]), make([]float64, x.Shape[1])
	n := float64(len(x.Data) / x.Shape[1])
	for k, v := range x.Data {
		mean[channelOf(x, k)] += v / n
	}
	for k, v := range x.Data {
		d := v - mean[channelOf(x, k)]
		variance[channelOf(x, k)] += d * d / n
	}
	return mean, variance
}

// tableFunction is what stands between the codes of a table.
type tableFunction struct {
	op    autograd.Op
	f, df func(x float64) float64
}

func tableFunctions() []tableFunction {
	step := func(on bool, low float64) float64 {
		if on {
			return 1
		}
		return low
	}
	one := func(float64) float64 { return 1 }
	square := autograd.Pointwise("square", func(x float32) float32 { return x * x }, func(x float32) float32 { return 2 * x })
	return []tableFunction{
		{nil, func(x float64) float64 { return x }, one},
		{autograd.ReLUOp{}, func(x float64) float64 { return max(x, 0) }, func(x float64) float64 { return step(x > 0, 0) }},
		{autograd.ReLU6Op{}, func(x float64) float64 { return min(max(x, 0), 6) }, func(x float64) float64 { return step(x > 0 && x < 6, 0) }},
		{autograd.LeakyReLUOp{Slope: 0.125}, func(x float64) float64 { return max(x, x/8) }, func(x float64) float64 { return step(x > 0, 0.125) }},
		{square, func(x float64) float64 { return x * x }, func(x float64) float64 { return 2 * x }},
	}
}

// tableCase is [TableOp]: the derivative is that of the function at the code,
// so the surrogate is linear in x.
func tableCase(r ranged, x quant.Grid, fn tableFunction) optest.Case {
	op := TableOp{Float: fn.op}
	c := optest.Case{Name: fmt.Sprintf("%s_%s_from_%s", op.Name(), r.name, x), Modes: trainAndFrozen,
		Inputs: append([]optest.Input{{Name: "x", Shape: []int{3, 2, 4}, Grid: &x, Draw: optest.Levels(x)}}, r.input()...)}
	c.Build = func(g *autograd.Graph, in []*autograd.Node) *autograd.Node {
		return g.Apply("y", TableOp{Float: fn.op, Q: r.quantizer(Outputs, 1, r.last(in))}, in...)
	}
	c.Surrogate = func(base, in []optest.Array) optest.Array {
		s0, s := r.scales(base, in, perSample(in[0]))
		y := in[0].Clone()
		for k, x0 := range base[0].Data {
			v0 := fn.f(x0)
			v := v0 + fn.df(x0)*(in[0].Data[k]-x0)
			y.Data[k] = r.straight(linear, v0, v, s0, s, r.level(v0, s0))
		}
		return y
	}
	c.Ref = func(in []optest.Array) optest.Array { return c.Surrogate(in, in) }
	return c
}

// inputTableCases are [TableInputOp].
func inputTableCases() []optest.Case {
	var cs []optest.Case
	norm := autograd.NormalizeOp{Scale: []float32{1.0 / 64, 1.0 / 100}, Offset: []float32{-2, -0.7}}
	for _, f := range []quant.UniformFormat{
		{BitWidth: 8, Signed: true, PowerOfTwo: true, Rounding: quant.HalfUp}, {BitWidth: 8, Affine: true}, {BitWidth: 3, Signed: true}, {BitWidth: 12, Signed: true, PowerOfTwo: true},
	} {
		q, err := newQuantizer("input", Outputs, f, Spec{Estimator: STE{}, Observer: MinMax{}}, 1, nil)
		if err != nil {
			panic(err)
		}
		q.pin(-2, 2)
		var g quant.Grid
		q.initGrid(&g)
		q.setGrid(&g)
		r := ranged{f.String(), f, STE{}, float64(g.Scale[0]), g.ZeroPoint}
		c := optest.Case{Name: "table_input_" + f.String(), Modes: append([]autograd.Mode{autograd.Evaluate}, trainAndFrozen...),
			Inputs: []optest.Input{{Name: "x", Shape: []int{2, 5, 5}, DType: autograd.Uint8, Draw: optest.Integers(0, 255)}}}
		c.Build = func(g *autograd.Graph, in []*autograd.Node) *autograd.Node {
			return g.Apply("y", TableInputOp{Normalize: norm, Q: q}, in...)
		}
		c.Ref = func(in []optest.Array) optest.Array {
			y := in[0].Clone()
			for k, p := range y.Data {
				ch := channelOf(y, k)
				v := float32(float32(p) * norm.Scale[ch])
				y.Data[k] = r.scale * r.level(float64(v+norm.Offset[ch]), r.scale)
			}
			return y
		}
		cs = append(cs, c)
	}
	return cs
}
