package train_test

import (
	"context"
	"fmt"
	"math"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/datasets"
	"github.com/bitgrad/bitgrad/fakequant"
	"github.com/bitgrad/bitgrad/optim"
	"github.com/bitgrad/bitgrad/train"
)

// circle returns points of the plane, labelled by whether they lie in a circle.
func circle() (datasets.Dataset, error) {
	const side = 24
	var points []float32
	var labels []int32
	for i := range side * side {
		x, y := float64(i%side)/12-1, float64(i/side)/12-1
		points = append(points, float32(x), float32(y))
		label := int32(0)
		if math.Hypot(x, y) < 0.7 {
			label = 1
		}
		labels = append(labels, label)
	}
	return datasets.FromFloats(datasets.Info{Name: "circle", C: 2, H: 1, W: 1}, points, labels)
}

func network() *autograd.Graph {
	g := autograd.NewGraph("net")
	x := g.Input("input", autograd.Float32, 2)
	x = autograd.Linear("fc1", x, g.Param("fc1.weight", autograd.Weight, autograd.HeNormal(), 24, 2),
		g.Param("fc1.bias", autograd.Bias, autograd.Normal(0.5), 24))
	x = autograd.ReLU("relu1", x)
	g.SetOutput("logits", autograd.Linear("fc2", x, g.Param("fc2.weight", autograd.Weight, autograd.HeNormal(), 2, 24),
		g.Param("fc2.bias", autograd.Bias, autograd.Zeros(), 2)))
	g.Initialize(1)
	return g
}

// A float network is trained, quantized to 6 bits, calibrated and fine-tuned.
func Example() {
	ctx := context.Background()
	data, err := circle()
	if err != nil {
		fmt.Println(err)
		return
	}
	float := network()
	opt := train.Options{Epochs: 20, Batch: 16, Seed: 1}
	opt.Optimizer = optim.Config{Method: optim.Adam{}, LearningRate: 0.02, Schedule: optim.Cosine{Steps: opt.Steps(data.Info().N)}}
	if _, err := train.Fit(ctx, float, data, opt); err != nil {
		fmt.Println(err)
		return
	}
	score, err := train.Evaluate(ctx, float, data, train.EvaluateOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("float: at least 97 %:", score.Accuracy() >= 0.97)

	quantized, _, err := fakequant.Prepare(float, fakequant.DFP(6))
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := train.Calibrate(ctx, quantized, data, train.CalibrateOptions{}); err != nil {
		fmt.Println(err)
		return
	}
	if _, err := train.FineTune(ctx, quantized, data, train.Options{Epochs: 6, Batch: 16, Seed: 1}); err != nil {
		fmt.Println(err)
		return
	}
	if score, err = train.Evaluate(ctx, quantized, data, train.EvaluateOptions{}); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("6 bits: at least 95 %:", score.Accuracy() >= 0.95)
	// Output:
	// float: at least 97 %: true
	// 6 bits: at least 95 %: true
}

func ExampleOptions_Steps() {
	opt := train.Options{Epochs: 3, Batch: 32, Accumulate: 2}
	fmt.Println(opt.Steps(1000)) // 15 steps of 64 images in each epoch
	// Output: 45
}
