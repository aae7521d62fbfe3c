package optim_test

import (
	"errors"
	"fmt"
	"math"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/optim"
)

func Example() {
	w := &autograd.Param{Name: "fc.weight", Shape: []int{1}, Value: []float32{8}, Grad: make([]float32, 1)}
	opt, err := optim.New([]*autograd.Param{w}, optim.Config{
		Method:       optim.SGD{Momentum: 0.5},
		LearningRate: 0.25,
		Schedule:     optim.StepDecay{Size: 2, Gamma: 0.5},
	}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 4 {
		w.Grad[0] = w.Value[0] // of w²/2
		rate := opt.LearningRate()
		if err := opt.Step(); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(rate, w.Value[0])
	}
	// Output:
	// 0.25 6
	// 0.25 3.5
	// 0.125 2.4375
	// 0.125 1.6015625
}

func ExampleGroup() {
	g := autograd.NewGraph("net")
	g.Param("fc.weight", autograd.Weight, autograd.Ones(), 1)
	g.Param("fc.bias", autograd.Bias, autograd.Ones(), 1)
	g.Param("fc.weight.scale", autograd.RangeParam, autograd.Ones(), 1)
	opt, err := optim.New(g.Params(), optim.Config{
		Method: optim.SGD{Momentum: 0.9}, LearningRate: 0.01, WeightDecay: 5e-4,
		Groups: []optim.Group{
			{Roles: []autograd.Role{autograd.Bias}, RateFactor: 2}, // Caffe's lr_mult
			{Roles: []autograd.Role{autograd.RangeParam}, Method: optim.Adam{}, LearningRate: 1e-2},
		},
	}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range opt.Settings() {
		fmt.Println(s.Param.Name, s.Method.Name(), s.LearningRate, s.WeightDecay)
	}
	// Output:
	// fc.weight sgd 0.01 0.0005
	// fc.bias sgd 0.02 0
	// fc.weight.scale adam 0.01 0
}

func ExampleOptimizer_Step() {
	w := &autograd.Param{Name: "fc.weight", Shape: []int{2}, Value: []float32{1, 2}, Grad: []float32{1, float32(math.NaN())}}
	opt, err := optim.New([]*autograd.Param{w}, optim.Config{Method: optim.AdamW{}, LearningRate: 1e-3}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	err = opt.Step()
	fmt.Println(errors.Is(err, optim.ErrNotFinite), w.Value, opt.Steps())
	fmt.Println(err)
	// Output:
	// true [1 2] 0
	// optim: gradient is not finite: fc.weight: NaN at element 1 in step 0
}

// The optimizer of the package comment in a loop.
func Example_groups() {
	graph := autograd.NewGraph("net")
	x := graph.Input("x", autograd.Float32, 1)
	w := graph.Param("fc.weight", autograd.Weight, autograd.Ones(), 1, 1)
	graph.SetOutput("loss", autograd.MeanSquaredError("loss", autograd.Linear("fc", x, w, nil), graph.Input("t", autograd.Float32, 1)))
	graph.Initialize(1)
	pool := autograd.NewPool(1)
	defer pool.Close()
	train := func() error {
		opt, err := optim.New(graph.Params(), optim.Config{
			Method:       optim.SGD{Momentum: 0.9},
			LearningRate: 0.1,
			WeightDecay:  1e-4,
			Schedule:     optim.Warmup{Steps: 500, Then: optim.Cosine{Steps: 10000}},
			Groups: []optim.Group{{ // ranges of quantizers get their own optimizer
				Roles: []autograd.Role{autograd.RangeParam}, Method: optim.Adam{}, LearningRate: 1e-2,
			}},
		}, pool)
		if err != nil {
			return err
		}
		program, err := graph.Compile(autograd.CompileOptions{Mode: autograd.Train, Batch: 1, Pool: pool})
		if err != nil {
			return err
		}
		if err := errors.Join(program.LoadFloats("x", []float32{1}), program.LoadFloats("t", []float32{3})); err != nil {
			return err
		}
		for range 300 {
			program.Forward()
			program.Backward()
			err = opt.Step()
			if err != nil {
				return err
			}
		}
		return nil
	}
	err := train()
	fmt.Printf("%.2f %v\n", w.Param().Value[0], err) // of 3, less what decay takes
	// Output: 3.00 <nil>
}
