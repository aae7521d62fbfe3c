package train

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/datasets"
	"github.com/bitgrad/bitgrad/fakequant"
	"github.com/bitgrad/bitgrad/optim"
)

var ctx = context.Background()

// moons returns points of two interleaved half circles, float samples [2 1 1].
func moons(t testing.TB, n int, seed uint64) datasets.Dataset {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	points, labels := make([]float32, 2*n), make([]int32, n)
	for i := range n {
		a := r.Float64() * math.Pi
		x, y := math.Cos(a), math.Sin(a)
		if labels[i] = int32(i % 2); labels[i] == 1 {
			x, y = 1-x, 0.5-y
		}
		points[2*i], points[2*i+1] = float32(x+0.1*r.NormFloat64()), float32(y+0.1*r.NormFloat64())
	}
	ds, err := datasets.FromFloats(datasets.Info{Name: "moons", C: 2, H: 1, W: 1}, points, labels)
	if err != nil {
		t.Fatal(err)
	}
	return ds
}

// bars returns noisy 6×6 images with a bright row, one of three: the class.
func bars(t testing.TB, n int, seed uint64) datasets.Dataset {
	t.Helper()
	const side = 6
	r := rand.New(rand.NewPCG(seed, 2))
	pixels, labels := make([]uint8, n*side*side), make([]int32, n)
	for i := range n {
		labels[i] = int32(r.IntN(3))
		image := pixels[i*side*side:][:side*side]
		for j := range image {
			image[j] = uint8(r.IntN(120))
			if j/side == 2*int(labels[i]) {
				image[j] += uint8(60 + r.IntN(60))
			}
		}
	}
	info := datasets.Info{Name: "bars", C: 1, H: side, W: side, Classes: 3, ClassNames: []string{"top", "middle", "bottom"}}
	ds, err := datasets.FromPixels(info, pixels, labels)
	if err != nil {
		t.Fatal(err)
	}
	return ds
}

// perceptron returns a float network for moons.
func perceptron(t testing.TB, seed uint64) *autograd.Graph {
	t.Helper()
	g := autograd.NewGraph("perceptron")
	x := g.Input("input", autograd.Float32, 2)
	x = autograd.Linear("fc1", x, g.Param("fc1.weight", autograd.Weight, autograd.HeNormal(), 16, 2), g.Param("fc1.bias", autograd.Bias, autograd.Zeros(), 16))
	x = autograd.ReLU("relu1", x)
	g.SetOutput("logits", autograd.Linear("fc2", x, g.Param("fc2.weight", autograd.Weight, autograd.HeNormal(), 2, 16), g.Param("fc2.bias", autograd.Bias, autograd.Zeros(), 2)))
	return initialized(t, g, seed)
}

// convNet returns a network for bars with batch norm and dropout.
func convNet(t testing.TB, seed uint64) *autograd.Graph {
	t.Helper()
	g := autograd.NewGraph("convnet")
	x := g.Input("input", autograd.Uint8, 1, 6, 6)
	x = autograd.Normalize("normalize", x, []float32{1.0 / 64}, []float32{-1})
	x = autograd.Conv2D("conv1", x, g.Param("conv1.weight", autograd.Weight, autograd.HeNormal(), 4, 1, 3, 3), nil, autograd.ConvAttrs{Pad: autograd.Same(3)})
	x = autograd.BatchNorm("conv1.bn", x, g.Param("conv1.bn.weight", autograd.Gamma, autograd.Ones(), 4),
		g.Param("conv1.bn.bias", autograd.Beta, autograd.Zeros(), 4), autograd.BatchNormAttrs{})
	x = autograd.ReLU("relu1", x)
	x = autograd.MaxPool("pool1", x, autograd.PoolAttrs{KH: 2, KW: 2, StrideH: 2, StrideW: 2})
	x = autograd.Flatten("flatten", autograd.Dropout("drop", x, 0.1))
	g.SetOutput("logits", autograd.Linear("fc", x, g.Param("fc.weight", autograd.Weight, autograd.HeNormal(), 3, 36), g.Param("fc.bias", autograd.Bias, autograd.Zeros(), 3)))
	return initialized(t, g, seed)
}

func initialized(t testing.TB, g *autograd.Graph, seed uint64) *autograd.Graph {
	t.Helper()
	if err := g.Err(); err != nil {
		t.Fatal(err)
	}
	g.Initialize(seed)
	return g
}

// quantizedNet returns convNet, prepared and not calibrated.
func quantizedNet(t testing.TB, seed uint64, spec fakequant.Spec) *autograd.Graph {
	t.Helper()
	g, _, err := fakequant.Prepare(convNet(t, seed), spec)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func calibrated(t testing.TB, seed uint64, spec fakequant.Spec) *autograd.Graph {
	t.Helper()
	g := quantizedNet(t, seed, spec)
	if err := Calibrate(ctx, g, bars(t, 100, 9), CalibrateOptions{Images: 40, Batch: 16}); err != nil {
		t.Fatal(err)
	}
	return g
}

func sgd(rate float64) optim.Config {
	return optim.Config{Method: optim.SGD{Momentum: 0.9}, LearningRate: rate, WeightDecay: 1e-4}
}

func fit(t testing.TB, g *autograd.Graph, ds datasets.Dataset, opt Options) *Result {
	t.Helper()
	r, err := Fit(ctx, g, ds, opt)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// values returns the bits of all parameters and states.
func values(g *autograd.Graph) []uint32 {
	var bits []uint32
	variablesOf(g).each(func(_ string, _ []int, data []float32) {
		for _, v := range data {
			bits = append(bits, math.Float32bits(v))
		}
	})
	return bits
}

func sameValues(t testing.TB, what string, got, want *autograd.Graph) {
	t.Helper()
	if !slices.Equal(values(got), values(want)) {
		t.Errorf("%s: the networks differ", what)
	}
}
