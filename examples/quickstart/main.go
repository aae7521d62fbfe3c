// Command quickstart trains a network on the embedded digits, quantizes it,
// fine-tunes it on integers and proves that what it saves is what it trained.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/bitgrad/bitgrad/datasets"
	"github.com/bitgrad/bitgrad/export"
	"github.com/bitgrad/bitgrad/fakequant"
	"github.com/bitgrad/bitgrad/layers"
	"github.com/bitgrad/bitgrad/optim"
	"github.com/bitgrad/bitgrad/train"
)

func main() {
	diff, err := run(context.Background(), 3, 2, "lenet.safetensors")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%.2f %% correct; %d codes compared, %d differ\n", 100*diff.Accuracy(), diff.Codes, diff.Mismatches)
}

// run does the whole work: epochs in floating point, then on integers.
func run(ctx context.Context, floatEpochs, epochs int, file string) (*export.Diff, error) {
	net := layers.LeNet()
	data, err := datasets.Open("digits", "")
	if err != nil {
		return nil, err
	}
	adam := optim.Config{Method: optim.Adam{}, LearningRate: 1e-3}
	if _, err := train.Fit(ctx, net.Graph, data.Train, train.Options{Epochs: floatEpochs, Batch: 64, Optimizer: adam}); err != nil {
		return nil, err
	}
	graph, report, err := fakequant.Prepare(net.Graph, fakequant.DFP(8), fakequant.Rule{Match: "fc*", Spec: fakequant.W(4)})
	if err != nil {
		return nil, err
	}
	fmt.Print(report)
	if err := train.Calibrate(ctx, graph, data.Train, train.CalibrateOptions{}); err != nil {
		return nil, err
	}
	if _, err := train.FineTune(ctx, graph, data.Train, train.Options{Epochs: epochs, Batch: 64}); err != nil {
		return nil, err
	}
	model, err := export.Lower(graph)
	if err != nil {
		return nil, err
	}
	if err := model.Save(file); err != nil {
		return nil, err
	}
	return export.Verify(ctx, model, graph, data.Test, export.VerifyOptions{Images: 100})
}
