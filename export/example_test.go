package export_test

import (
	"context"
	"fmt"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/datasets"
	"github.com/bitgrad/bitgrad/export"
	"github.com/bitgrad/bitgrad/fakequant"
	"github.com/bitgrad/bitgrad/layers"
	"github.com/bitgrad/bitgrad/train"
)

// prepare quantizes an untrained network.
func prepare(ctx context.Context, data *datasets.Splits) (*autograd.Graph, error) {
	graph, _, err := fakequant.Prepare(layers.SmallConvNet().Graph, fakequant.DFP(4))
	if err != nil {
		return nil, err
	}
	return graph, train.Calibrate(ctx, graph, data.Train, train.CalibrateOptions{Images: 32})
}

// Whether a network is trained or not, its integer model computes the same.
func Example() {
	data, err := datasets.DigitSplits(32, 10, 10, 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	verify := func(ctx context.Context) (*export.Diff, error) {
		graph, err := prepare(ctx, data)
		if err != nil {
			return nil, err
		}
		model, err := export.Lower(graph)
		if err != nil {
			return nil, err
		}
		diff, err := export.Verify(ctx, model, graph, data.Test, export.VerifyOptions{})
		// diff.Mismatches == 0
		return diff, err
	}
	diff, err := verify(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(diff.Images, "images,", diff.Codes, "codes,", diff.Mismatches, "differ")
	// Output: 10 images, 133380 codes, 0 differ
}
