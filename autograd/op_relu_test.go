package autograd_test

import (
	"math"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/autograd/optest"
	"github.com/bitgrad/bitgrad/quant"
)

func init() {
	relu := func(x float64) float64 { return max(x, 0) }
	unary(autograd.ReLUOp{}, optest.Away(-2, 2, 0.01, 0), relu)
	unary(autograd.ReLU6Op{}, optest.Away(-4, 10, 0.01, 0, 6), func(x float64) float64 { return min(max(x, 0), 6) })
	unary(autograd.LeakyReLUOp{Slope: 0.1}, optest.Away(-2, 2, 0.01, 0), func(x float64) float64 { return max(x, 0.1*x) })
	unary(autograd.LeakyReLUOp{Slope: 2}, optest.Away(-2, 2, 0.01, 0), func(x float64) float64 { return min(x, 2*x) })
	unary(autograd.LeakyReLUOp{}, optest.Away(-2, 2, 0.01, 0), relu)

	for _, g := range grids {
		suite.Add(optest.Case{
			Name:   "relu on " + g.String(),
			Inputs: []optest.Input{{Name: "x", Shape: []int{3, 4, 5}, Grid: &g, Draw: awayFrom(g, 0)}},
			Build: func(_ *autograd.Graph, in []*autograd.Node) *autograd.Node {
				return autograd.ReLU("y", in[0])
			},
			Ref: func(in []optest.Array) optest.Array { return in[0].Map(relu) },
		}, optest.Case{
			Name:   "relu6 on " + g.String(),
			Inputs: []optest.Input{{Name: "x", Shape: []int{3, 4, 5}, Grid: &g, Draw: awayFrom(g, 0, 6)}},
			Build: func(_ *autograd.Graph, in []*autograd.Node) *autograd.Node {
				return autograd.ReLU6("y", in[0])
			},
			Ref: func(in []optest.Array) optest.Array {
				six := float64(g.FakeQuantize(6, 0, quant.HalfEven))
				return in[0].Map(func(x float64) float64 { return min(max(x, 0), six) })
			},
		})
	}
	rise := quant.Grid{BitWidth: 4, Signed: true, MidRise: true, Scale: []float32{0.25}}
	suite.Add(optest.Case{
		Name:   "relu on a mid-rise grid",
		Inputs: []optest.Input{{Name: "x", Shape: []int{3, 4, 5}, Grid: &rise, Draw: optest.Levels(rise)}},
		Build: func(_ *autograd.Graph, in []*autograd.Node) *autograd.Node {
			return autograd.ReLU("y", in[0])
		},
		Ref: func(in []optest.Array) optest.Array { return in[0].Map(relu) },
	})
}

// awayFrom draws levels of g but those nearest to the kinks of a function.
func awayFrom(g quant.Grid, kinks ...float64) optest.Sampler {
	var levels []float64
	for q := g.QMin(); q <= g.QMax(); q++ {
		x := float64(g.Dequantize(q, 0))
		ok := true
		for _, k := range kinks {
			ok = ok && math.Abs(x-k) > float64(g.ScaleAt(0))/1.9
		}
		if ok {
			levels = append(levels, x)
		}
	}
	return optest.Among(levels...)
}

func TestReLUKeepsCodes(t *testing.T) {
	g := autograd.NewGraph("codes")
	x := g.Input("x", autograd.Float32, 2, 3, 3)
	q := g.Apply("q", quantizeOp{quant.Grid{BitWidth: 8, ZeroPoint: 10, Scale: []float32{0.1}}}, x)
	for _, n := range []*autograd.Node{
		autograd.ReLU("relu", q), autograd.ReLU6("relu6", q), autograd.Flatten("flatten", q),
		autograd.Pad("pad", q, autograd.Border{Top: 1}), autograd.Slice("slice", q, autograd.SliceAttrs{}),
		autograd.Reshape("reshape", q, 18), autograd.Dropout("dropout", q, 0.5), autograd.Concat("concat", q, q),
	} {
		if typ := n.Type(); !typ.IsCodes() || typ.DType != autograd.Uint8 || typ.Format != q.Type().Format {
			t.Errorf("%s gives %s, want the codes of its operand", n.Name(), typ)
		}
	}
	if err := g.Err(); err != nil {
		t.Fatal(err)
	}
	for _, n := range []*autograd.Node{autograd.LeakyReLU("leaky", q, 0.1), autograd.Tanh("tanh", q), autograd.Add("add", q, q)} {
		if typ := n.Type(); typ.IsCodes() || typ.DType != autograd.Float32 {
			t.Errorf("%s gives %s, want real numbers", n.Name(), typ)
		}
	}
}

func TestReLUKeepsNaN(t *testing.T) {
	nan := math.NaN()
	for name, f := range map[string]func(string, *autograd.Node) *autograd.Node{
		"relu": autograd.ReLU, "relu6": autograd.ReLU6,
		"leaky": func(n string, x *autograd.Node) *autograd.Node { return autograd.LeakyReLU(n, x, 0.1) },
	} {
		y, _ := oneSample(t, f, []float64{nan, math.Copysign(nan, -1), 1, -1})
		if y[0] == y[0] || y[1] == y[1] || y[2] != 1 {
			t.Errorf("%s(NaN, -NaN, 1) = %v", name, y[:3])
		}
	}
}

func TestReLUGradientAtKinks(t *testing.T) {
	_, dx := oneSample(t, autograd.ReLU6, []float64{0, 6, math.Nextafter(6, 0) - 1e-6, 1e-30})
	if want := [4]float32{0, 0, 1, 1}; [4]float32(dx) != want {
		t.Errorf("gradient of relu6 at 0, 6, below 6, above 0: %v, want %v", dx, want)
	}
}

func TestLeakyReLURefusesSlopes(t *testing.T) {
	for _, s := range []float64{-0.1, math.NaN(), math.Inf(1)} {
		refused(t, autograd.LeakyReLUOp{Slope: float32(s)}, []int{3})
	}
}
