// Command custom trains a network of its own, with an operation of its own, on
// data of its own, and proves that the integer model is the trained network. Each
// part is one file to copy from: net.go, op.go, data.go.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/bitgrad/bitgrad/export"
	"github.com/bitgrad/bitgrad/fakequant"
	"github.com/bitgrad/bitgrad/layers"
	"github.com/bitgrad/bitgrad/optim"
	"github.com/bitgrad/bitgrad/train"
)

func main() {
	diff, err := run(context.Background(), 4096, 4, 3)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("integer accuracy %.2f %%, %d codes compared, %d differ\n", 100*diff.Accuracy(), diff.Codes, diff.Mismatches)
}

// run trains on so many images, some epochs in floating point and some on
// integers, and compares the integer model with the network on others.
func run(ctx context.Context, images, floatEpochs, epochs int) (*export.Diff, error) {
	training, test := Shapes{N: images, Seed: 1}, Shapes{N: 300, Seed: 2}
	info := training.Info()
	net := ShuffleNet(layers.Input{C: info.C, H: info.H, W: info.W, Mean: info.Mean, Std: info.Std}, info.Classes)
	if err := net.Graph.Err(); err != nil { // a mistake in the network, with the path of the layer
		return nil, err
	}
	adam := optim.Config{Method: optim.Adam{}, LearningRate: 3e-3}
	opt := train.Options{Epochs: floatEpochs, Batch: 32, Optimizer: adam, Validation: test, Progress: os.Stderr}
	if _, err := train.Fit(ctx, net.Graph, training, opt); err != nil {
		return nil, err
	}

	graph, report, err := fakequant.Prepare(net.Graph, fakequant.DFP(8))
	if err != nil {
		return nil, err
	}
	fmt.Print(report)
	if err := train.Calibrate(ctx, graph, training, train.CalibrateOptions{}); err != nil {
		return nil, err
	}
	if _, err := train.FineTune(ctx, graph, training, train.Options{Epochs: epochs, Batch: 32, Validation: test, Progress: os.Stderr}); err != nil {
		return nil, err
	}
	model, err := export.Lower(graph)
	if err != nil {
		return nil, err
	}
	return export.Verify(ctx, model, graph, test, export.VerifyOptions{})
}
