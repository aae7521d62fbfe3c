package fakequant

import (
	"fmt"
	"math"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/autograd/optest"
	"github.com/bitgrad/bitgrad/quant"
)

func init() {
	for _, c := range mathCases() {
		suite.Add(c.optest())
	}
	for _, c := range convCases() {
		suite.Add(c.optest())
	}
}

// mathCase is one [IntMathOp]: the operation on floats, as real numbers, and the
// rule on levels.
type mathCase struct {
	name   string
	op     autograd.Op
	inputs []quant.Grid
	shapes [][]int
	out    ranged
	act    activation
	// real is the operation in float64.
	real func(in []optest.Array) optest.Array
	// rule gives the levels of the output from those of the inputs, unclamped;
	// s is the output's scale.
	rule func(in []optest.Array, s float64) optest.Array
}

func mathCases() []mathCase {
	var cs []mathCase
	image := []int{3, 4, 5}
	for i, out := range outputs(testScale) {
		a, b := grid(8, true, 0, testScale), grid(6, false, 0, 0.171875)
		if out.format.PowerOfTwo {
			a, b = grid(8, true, 0, 1.0/16), grid(6, false, 0, 1.0/8)
		}
		if out.format.Affine {
			a, b = grid(8, false, 31, testScale), grid(4, false, 0, 0.4)
		}
		act := activation(i % 3)
		cs = append(cs,
			sumCase(out, act, a, b, image, 1), sumCase(out, act, b, a, image, -1), sumCase(out, (act+1)%3, a, a, []int{17}, 1),
			productCase(out, act, a, b, image), concatCase(out, act, a, b), concatCase(out, (act+2)%3, b, a, a),
			averageCase(out, act, a, false), averageCase(out, (act+1)%3, b, true), meanCase(out, act, a, true), meanCase(out, (act+1)%3, b, false))
	}
	return cs
}

func zip(a, b optest.Array, f func(x, y float64) float64) optest.Array {
	y := a.Clone()
	for k := range y.Data {
		y.Data[k] = f(a.Data[k], b.Data[k])
	}
	return y
}

// sumCase is a sum or, with sign −1, a difference.
func sumCase(out ranged, act activation, a, b quant.Grid, shape []int, sign float64) mathCase {
	c := mathCase{name: fmt.Sprintf("sum%+v_%v", sign, shape), op: autograd.AddOp{}, inputs: []quant.Grid{a, b}, shapes: [][]int{shape, shape}, out: out, act: act}
	if sign < 0 {
		c.op = autograd.SubtractOp{}
	}
	c.real = func(in []optest.Array) optest.Array {
		return zip(in[0], in[1], func(x, y float64) float64 { return x + sign*y })
	}
	c.rule = func(in []optest.Array, s float64) optest.Array {
		sa, sb := a.Scale[0], b.Scale[0]
		return zip(in[0], in[1], func(x, y float64) float64 {
			if out.format.PowerOfTwo { // exact: one rounding of the sum on the finer scale
				f := math.Min(float64(sa), float64(sb))
				return math.Floor((x*(float64(sa)/f)+sign*y*(float64(sb)/f))*(f/s) + 0.5)
			}
			ma, mb := float32(float64(sa)/s), float32(sign*(float64(sb)/s))
			p, q := float32(float32(x)*ma), float32(float32(y)*mb)
			return math.RoundToEven(float64(p + q))
		})
	}
	return c
}

func productCase(out ranged, act activation, a, b quant.Grid, shape []int) mathCase {
	c := mathCase{name: "product", op: autograd.MultiplyOp{}, inputs: []quant.Grid{a, b}, shapes: [][]int{shape, shape}, out: out, act: act}
	c.real = func(in []optest.Array) optest.Array {
		return zip(in[0], in[1], func(x, y float64) float64 { return x * y })
	}
	c.rule = func(in []optest.Array, s float64) optest.Array {
		return zip(in[0], in[1], func(x, y float64) float64 {
			return out.requantized(x*y, float64(a.Scale[0])*float64(b.Scale[0]), s)
		})
	}
	return c
}

func concatCase(out ranged, act activation, grids ...quant.Grid) mathCase {
	c := mathCase{name: fmt.Sprintf("concat%d", len(grids)), op: autograd.ConcatOp{}, inputs: grids, out: out, act: act}
	for k := range grids {
		c.shapes = append(c.shapes, []int{k + 1, 3, 4})
	}
	join := func(in []optest.Array, f func(x float64, k int) float64) optest.Array {
		channels := 0
		for _, x := range in {
			channels += x.Shape[1]
		}
		y := optest.NewArray(in[0].Shape[0], channels, in[0].Shape[2], in[0].Shape[3])
		first := 0
		for k, x := range in {
			x.Each(func(v float64, at []int) { y.Set(f(v, k), at[0], first+at[1], at[2], at[3]) })
			first += x.Shape[1]
		}
		return y
	}
	c.real = func(in []optest.Array) optest.Array { return join(in, func(x float64, _ int) float64 { return x }) }
	c.rule = func(in []optest.Array, s float64) optest.Array {
		return join(in, func(x float64, k int) float64 { return out.requantized(x, float64(grids[k].Scale[0]), s) })
	}
	return c
}

// averageCase is an average over windows of 3x2 with stride 2x1, padded at the
// top and on the left.
func averageCase(out ranged, act activation, g quant.Grid, countPad bool) mathCase {
	attrs := autograd.AveragePoolAttrs{PoolAttrs: autograd.PoolAttrs{KH: 3, KW: 2, StrideH: 2, StrideW: 1, Pad: autograd.Border{Top: 1, Left: 1, Right: 1}}, CountPad: countPad}
	c := mathCase{name: fmt.Sprintf("average_count=%v", countPad), op: autograd.AveragePoolOp{AveragePoolAttrs: attrs}, inputs: []quant.Grid{g},
		shapes: [][]int{{3, 6, 4}}, out: out, act: act}
	windows := func(x optest.Array, f func(sum, n float64) float64) optest.Array {
		y := optest.NewArray(x.Shape[0], 3, 3, 5)
		y.Each(func(_ float64, at []int) {
			sum, n := 0.0, 0.0
			for p := range 3 {
				for q := range 2 {
					r, s := at[2]*2+p-1, at[3]+q-1
					in := r >= 0 && r < 6 && s >= 0 && s < 4
					if in {
						sum += x.At(at[0], at[1], r, s)
					}
					// The padded image ends with the image at the bottom.
					if in || countPad && r < 6 && s < 5 {
						n++
					}
				}
			}
			y.Set(f(sum, n), at...)
		})
		return y
	}
	c.real = func(in []optest.Array) optest.Array {
		return windows(in[0], func(sum, n float64) float64 { return sum / n })
	}
	c.rule = func(in []optest.Array, s float64) optest.Array {
		return windows(in[0], func(sum, n float64) float64 { return out.averaged(sum, n, g.Scale[0], s) })
	}
	return c
}

// averaged is the level of the mean of n levels.
func (r ranged) averaged(sum, n float64, scale float32, s float64) float64 {
	if r.format.PowerOfTwo { // ⌊(2·num + den) / (2·den)⌋ of whole numbers
		k := math.Log2(float64(scale) / s)
		num, den := int64(sum*math.Exp2(math.Max(k, 0))), int64(n*math.Exp2(math.Max(-k, 0)))
		return math.Floor(float64(2*num+den) / float64(2*den))
	}
	m := float32(float32(float64(scale)/n) / float32(s))
	return math.RoundToEven(float64(float32(sum) * m))
}

func meanCase(out ranged, act activation, g quant.Grid, image bool) mathCase {
	c := mathCase{name: fmt.Sprintf("mean_image=%v", image), op: autograd.GlobalMeanOp{Image: image}, inputs: []quant.Grid{g},
		shapes: [][]int{{17, 3, 5}}, out: out, act: act}
	each := func(x optest.Array, f func(sum float64) float64) optest.Array {
		shape := []int{x.Shape[0], x.Shape[1]}
		if image {
			shape = append(shape, 1, 1)
		}
		y := optest.NewArray(shape...)
		for k, v := range x.Data {
			y.Data[k/15] += v
		}
		return y.Map(f)
	}
	c.real = func(in []optest.Array) optest.Array {
		return each(in[0], func(sum float64) float64 { return sum / 15 })
	}
	c.rule = func(in []optest.Array, s float64) optest.Array {
		return each(in[0], func(sum float64) float64 { return out.averaged(sum, 15, g.Scale[0], s) })
	}
	return c
}

func (c mathCase) optest() optest.Case {
	t := optest.Case{Name: fmt.Sprintf("int_%s_%s_%s", c.name, c.out.name, activationNames[c.act]), Modes: trainAndFrozen}
	for k, g := range c.inputs {
		t.Inputs = append(t.Inputs, optest.Input{Name: fmt.Sprintf("x%d", k), Shape: c.shapes[k], Grid: &g, Draw: optest.Levels(g)})
	}
	t.Inputs = append(t.Inputs, c.out.input()...)
	t.Build = func(g *autograd.Graph, in []*autograd.Node) *autograd.Node {
		return g.Apply("y", IntMathOp{Float: c.op, act: c.act, Out: c.out.quantizer(Outputs, 1, c.out.last(in))}, in...)
	}
	codes := func(in []optest.Array, s float64) optest.Array {
		ls := make([]optest.Array, len(c.inputs))
		for k, g := range c.inputs {
			ls[k] = levels(in[k], float64(g.Scale[0]))
		}
		return c.rule(ls, s).Map(func(v float64) float64 { return c.out.clamped(v, s, c.act) })
	}
	t.Ref = func(in []optest.Array) optest.Array {
		s, _ := c.out.scales(in, in, 1)
		return codes(in, s).Map(func(v float64) float64 { return s * v })
	}
	t.Surrogate = func(base, in []optest.Array) optest.Array {
		x0, x := c.real(base[:len(c.inputs)]), c.real(in[:len(c.inputs)])
		s0, s := c.out.scales(base, in, perSample(x))
		q := codes(base, s0)
		for k := range x.Data {
			x.Data[k] = c.out.straight(c.act, x0.Data[k], x.Data[k], s0, s, q.Data[k])
		}
		return x
	}
	return t
}
