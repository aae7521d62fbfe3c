package autograd_test

import (
	"fmt"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/autograd/optest"
	"github.com/bitgrad/bitgrad/quant"
)

func concatRef(in []optest.Array) optest.Array {
	shape := append([]int(nil), in[0].Shape...)
	shape[1] = 0
	for _, x := range in {
		shape[1] += x.Shape[1]
	}
	y := optest.NewArray(shape...)
	first := 0
	for _, x := range in {
		x.Each(func(v float64, at []int) {
			to := append([]int(nil), at...)
			to[1] += first
			y.Set(v, to...)
		})
		first += x.Shape[1]
	}
	return y
}

func concatNodes(_ *autograd.Graph, in []*autograd.Node) *autograd.Node {
	return autograd.Concat("y", in...)
}

func init() {
	for _, channels := range [][]int{{1}, {3, 17}, {1, 1, 1}, {4, 2, 3}} {
		for _, area := range [][]int{{4, 5}, {1, 1}, nil} {
			c := optest.Case{Name: fmt.Sprintf("concat %v%v", channels, area), Batch: 3, Build: concatNodes, Ref: concatRef}
			for i, n := range channels {
				c.Inputs = append(c.Inputs, optest.Input{Name: string(rune('a' + i)), Shape: append([]int{n}, area...)})
			}
			suite.Add(c)
		}
	}
	codes := func(name string, c int, g *quant.Grid) optest.Input {
		return optest.Input{Name: name, Shape: []int{c, 3, 2}, Grid: g, Draw: optest.Levels(*g)}
	}
	suite.Add(
		optest.Case{Name: "concat of codes with real numbers", Build: concatNodes, Ref: concatRef,
			Inputs: []optest.Input{codes("a", 2, &grids[0]), {Name: "b", Shape: []int{3, 3, 2}}, codes("c", 1, &grids[3])}},
		optest.Case{Name: "concat of different formats", Build: concatNodes, Ref: concatRef,
			Inputs: []optest.Input{codes("a", 2, &grids[0]), codes("b", 3, &grids[1])}},
		optest.Case{Name: "concat of one grid", Inputs: []optest.Input{codes("a", 2, &grids[1])},
			Build: func(_ *autograd.Graph, in []*autograd.Node) *autograd.Node {
				return autograd.Concat("y", in[0], autograd.ReLU("r", in[0]), in[0])
			},
			Ref: func(in []optest.Array) optest.Array {
				return concatRef([]optest.Array{in[0], in[0].Map(func(x float64) float64 { return max(x, 0) }), in[0]})
			},
			// Codes at the kink of ReLU have no derivative to compare with.
			Surrogate: func(base, in []optest.Array) optest.Array {
				r := in[0].Clone()
				for i, b := range base[0].Data {
					if b <= 0 {
						r.Data[i] = 0
					}
				}
				return concatRef([]optest.Array{in[0], r, in[0]})
			},
		},
		optest.Case{Name: "concat of a value with itself", Inputs: []optest.Input{{Name: "x", Shape: []int{2, 3, 4}}},
			Build: func(_ *autograd.Graph, in []*autograd.Node) *autograd.Node {
				return autograd.Concat("y", in[0], in[0])
			},
			Ref: func(in []optest.Array) optest.Array { return concatRef([]optest.Array{in[0], in[0]}) }},
	)
}

// sharedFormatOp quantizes to a grid, with a format that several nodes share.
type sharedFormatOp struct {
	quantizeOp
	format *quant.UniformFormat
}

func (o sharedFormatOp) Infer(env autograd.Env, in []autograd.Type) (autograd.Spec, error) {
	s, err := o.quantizeOp.Infer(env, in)
	s.Out.Format = o.format
	return s, err
}

func TestConcatRequantizesOtherGrids(t *testing.T) {
	format := &quant.UniformFormat{BitWidth: 8, Signed: true, PowerOfTwo: true}
	g := autograd.NewGraph("grids")
	x := g.Input("x", autograd.Float32, 2)
	fine := quant.Grid{BitWidth: 8, Signed: true, Scale: []float32{0.25}}
	coarse := quant.Grid{BitWidth: 8, Signed: true, Scale: []float32{1}}
	a := g.Apply("a", sharedFormatOp{quantizeOp{coarse}, format}, x)
	b := g.Apply("b", sharedFormatOp{quantizeOp{fine}, format}, x)
	g.SetOutput("y", autograd.Concat("y", a, b))
	p, err := g.Compile(autograd.CompileOptions{Batch: 1})
	if err != nil {
		t.Fatal(err)
	}
	in, _ := p.View("x")
	copy(in.F32, []float32{2.5, -1.75})
	p.Forward()
	y, _ := p.View("y")
	got := y.Codes(nil)
	// 2.5 is 10 steps of 0.25, and a tie of the grid with step 1; −1.75 is −2.
	want := []int64{2, -2, 2, -2}
	if fmt.Sprint(got) != fmt.Sprint(want) || !y.Grid.Equal(coarse) {
		t.Errorf("codes %v on %v, want %v on %v", got, y.Grid, want, coarse)
	}
}

func TestConcatRefuses(t *testing.T) {
	refused(t, autograd.ConcatOp{}, []int{3, 4, 5}, []int{3, 4, 4})
	refused(t, autograd.ConcatOp{}, []int{3, 4, 5}, []int{3})
	refused(t, autograd.ConcatOp{}, nil)
	refused(t, autograd.ConcatOp{}, []int{1 << 30}, []int{1})
	g := autograd.NewGraph("none")
	if autograd.Concat("y"); g.Err() != nil {
		t.Error("a concat without operands belongs to no graph")
	}
}
