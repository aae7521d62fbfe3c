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

func main() { quickstart(context.Background(), 3, 2, "lenet.safetensors") }

// quickstart does the whole work: some epochs in floating point, then some on
// integers.
func quickstart(ctx context.Context, floatEpochs, epochs int, file string) *export.Diff {
	net, data := layers.LeNet(), must(datasets.Open("digits", ""))
	adam := optim.Config{Method: optim.Adam{}, LearningRate: 1e-3}
	must(train.Fit(ctx, net.Graph, data.Train, train.Options{Epochs: floatEpochs, Batch: 64, Optimizer: adam}))

	fc := fakequant.Rule{Match: "fc*", Spec: fakequant.W(4)} // 4-bit weights in the fully connected layers
	graph, report, err := fakequant.Prepare(net.Graph, fakequant.DFP(8), fc)
	check(err)
	check(train.Calibrate(ctx, graph, data.Train, train.CalibrateOptions{}))
	must(train.FineTune(ctx, graph, data.Train, train.Options{Epochs: epochs, Batch: 64}))

	model := must(export.Lower(graph))
	check(model.Save(file))
	diff := must(export.Verify(ctx, model, graph, data.Test, export.VerifyOptions{Images: 100}))
	fmt.Printf("%v%d codes compared, %d differ\n", report, diff.Codes, diff.Mismatches) // …, 0 differ
	return diff
}

func must[T any](v T, err error) T {
	check(err)
	return v
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
