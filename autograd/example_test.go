package autograd_test

import (
	"fmt"
	"math"
	"os"

	"github.com/bitgrad/bitgrad/autograd"
)

// A linear classifier learns to tell two points apart.
func Example() {
	g := autograd.NewGraph("classifier")
	x := g.Input("x", autograd.Float32, 2)
	w := g.Param("fc.weight", autograd.Weight, autograd.Zeros(), 2, 2)
	b := g.Param("fc.bias", autograd.Bias, autograd.Zeros(), 2)
	logits := autograd.Linear("fc", x, w, b)
	g.SetOutput("logits", logits)
	g.SetOutput("loss", autograd.SoftmaxCrossEntropy("loss", logits, g.Input("labels", autograd.Int32), 0))
	g.Initialize(1)

	p, err := g.Compile(autograd.CompileOptions{Batch: 2, Mode: autograd.Train})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := p.LoadFloats("x", []float32{1, 0, 0, 1}); err != nil {
		fmt.Println(err)
	}
	if err := p.LoadLabels("labels", []int32{0, 1}); err != nil {
		fmt.Println(err)
	}
	for step := range 3 {
		p.Forward()
		p.Backward()
		fmt.Printf("loss %.4f\n", p.Loss())
		for _, q := range p.Params() {
			for i, d := range q.Grad {
				q.Value[i] -= d
			}
			q.Touch()
		}
		p.SetStep(uint64(step)+1, 0)
	}
	// Output:
	// loss 0.6931
	// loss 0.4741
	// loss 0.3477
}

// An operation of one's own takes a function and its derivative.
func ExamplePointwise() {
	g := autograd.NewGraph("net")
	x := g.Input("x", autograd.Float32, 3)
	softplus := autograd.Pointwise("softplus",
		func(x float32) float32 { return float32(math.Log1p(math.Exp(float64(x)))) },
		func(x float32) float32 { return float32(1 / (1 + math.Exp(-float64(x)))) })
	y := autograd.Apply("act", softplus, x)
	g.SetOutput("y", y)
	p, err := g.Compile(autograd.CompileOptions{Batch: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := p.LoadFloats("x", []float32{-1, 0, 1}); err != nil {
		fmt.Println(err)
	}
	p.Forward()
	values, err := p.Dense("y")
	if err != nil {
		fmt.Println(err)
	}
	fmt.Printf("%.4f\n", values.Data())
	// Output: [0.3133 0.6931 1.3133]
}

// A rewrite gives another graph with the same parameters.
func ExampleGraph_Rewrite() {
	g := autograd.NewGraph("net")
	x := g.Input("x", autograd.Float32, 3)
	w := g.Param("fc.weight", autograd.Weight, autograd.Zeros(), 2, 3)
	g.SetOutput("y", autograd.ReLU("relu", autograd.Linear("fc", x, w, nil)))

	h, err := g.Rewrite(func(e *autograd.Edit) error {
		relu := e.Node("relu")
		e.SetOp(relu, autograd.ReLU6Op{}, relu.Inputs()...)
		return nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := h.Dump(os.Stdout); err != nil {
		fmt.Println(err)
	}
	// Output:
	// node       kind    operands     type   params  MACs  remarks
	// x          input                [N 3]
	// fc.weight  param                [2 3]  6             weight
	// fc         linear  x fc.weight  [N 2]          6
	// relu       relu6   fc           [N 2]                output y
	// 4 nodes                                6       6
}

// The program of the package comment, with values: fc has two outputs of four inputs.
func ExampleGraph_Compile() {
	g := autograd.NewGraph("net")
	x := g.Input("x", autograd.Float32, 4)
	w := g.Param("fc.weight", autograd.Weight, autograd.Zeros(), 2, 4)
	g.SetOutput("logits", autograd.Linear("fc", x, w, nil))
	p, err := g.Compile(autograd.CompileOptions{Batch: 8, Mode: autograd.Evaluate})
	if err != nil {
		fmt.Println(err)
		return
	}
	copy(w.Param().Value, []float32{1, 1, 1, 1, 0, 0, 0, 1})
	w.Param().Touch()
	if err := p.LoadFloats("x", []float32{1, 2, 3, 4}); err != nil { // the other seven are 0
		fmt.Println(err)
		return
	}
	p.Forward()
	logits, err := p.Dense("logits")
	fmt.Println(logits.Shape(), logits.Data().([]float32)[:4], err)
	// Output: (8, 2) [10 4 0 0] <nil>
}
