// Command customquantizer quantizes a network with a range estimator and an observer
// of its own, beside those of the library, and proves that both integer models are
// the networks that were trained. The two are in quantizer.go, to copy from.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/datasets"
	"github.com/bitgrad/bitgrad/export"
	"github.com/bitgrad/bitgrad/fakequant"
	"github.com/bitgrad/bitgrad/layers"
	"github.com/bitgrad/bitgrad/optim"
	"github.com/bitgrad/bitgrad/train"
)

func main() {
	if _, err := compare(context.Background(), 6000, 3, 2); err != nil {
		log.Fatal(err)
	}
}

// compare trains a network on synthetic digits and quantizes it twice, to 3-bit
// weights and activations: once as the library does, once with SoftClip and Sigma.
func compare(ctx context.Context, images, floatEpochs, epochs int) (diffs []*export.Diff, err error) {
	data, err := datasets.DigitSplits(images, 100, 500, 1)
	if err != nil {
		return nil, err
	}
	net := layers.SmallConvNet()
	adam := optim.Config{Method: optim.Adam{}, LearningRate: 3e-3}
	if _, err := train.Fit(ctx, net.Graph, data.Train, train.Options{Epochs: floatEpochs, Batch: 32, Optimizer: adam}); err != nil {
		return nil, err
	}
	float, err := train.Evaluate(ctx, net.Graph, data.Test, train.EvaluateOptions{})
	if err != nil {
		return nil, err
	}
	fmt.Printf("float: %.1f %%\n", 100*float.Accuracy())

	own := fakequant.Int(3)
	own.Estimator, own.Observer = SoftClip{}, Sigma{K: 4}
	for _, spec := range []fakequant.Spec{fakequant.Int(3), own} {
		copied := layers.SmallConvNet() // each quantization trains weights of its own
		if err := train.CopyWeights(copied.Graph, net.Graph); err != nil {
			return nil, err
		}
		diff, err := quantize(ctx, copied.Graph, spec, data, epochs)
		if err != nil {
			return nil, err
		}
		fmt.Printf("%s: %.1f %%, %d of %d codes differ\n", spec, 100*diff.Accuracy(), diff.Mismatches, diff.Codes)
		diffs = append(diffs, diff)
	}
	return diffs, nil
}

// quantize turns a trained network into an integer model and compares the two.
func quantize(ctx context.Context, float *autograd.Graph, spec fakequant.Spec, data *datasets.Splits, epochs int) (*export.Diff, error) {
	graph, _, err := fakequant.Prepare(float, spec)
	if err != nil {
		return nil, err
	}
	if err := train.Calibrate(ctx, graph, data.Train, train.CalibrateOptions{}); err != nil {
		return nil, err
	}
	if _, err := train.FineTune(ctx, graph, data.Train, train.Options{Epochs: epochs, Batch: 32}); err != nil {
		return nil, err
	}
	model, err := export.Lower(graph)
	if err != nil {
		return nil, err
	}
	return export.Verify(ctx, model, graph, data.Test, export.VerifyOptions{})
}
