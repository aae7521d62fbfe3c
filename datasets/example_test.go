package datasets_test

import (
	"context"
	"fmt"

	"github.com/bitgrad/bitgrad/datasets"
)

// An epoch of a small data set, in order, with a last batch that is not full.
func ExampleLoader() {
	pixels := []uint8{10, 20, 30, 40, 50} // five images of one pixel
	ds, err := datasets.FromPixels(datasets.Info{C: 1, H: 1, W: 1}, pixels, []int32{0, 1, 0, 1, 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	loader, err := datasets.NewLoader(ds, datasets.LoaderOptions{Batch: 2})
	if err != nil {
		fmt.Println(err)
		return
	}
	for batch, err := range loader.Epoch(context.Background(), 0, 0) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(batch.Step, batch.Pixels, batch.Labels)
	}
	// Output:
	// 0 [10 20] [0 1]
	// 1 [30 40] [0 1]
	// 2 [50] [1]
}

// Synthetic digits need no files.
func ExampleOpen() {
	data, err := datasets.Open("digits", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	info := data.Train.Info()
	fmt.Println(info.N, data.Valid.Info().N, data.Test.Info().N)
	fmt.Println(info.C, info.H, info.W, info.Classes)
	// Output:
	// 12000 2000 4000
	// 1 28 28 10
}

// Images flow through two steps of augmentation before they are served.
func ExampleParseAugmentation() {
	steps, err := datasets.ParseAugmentation("crop=4,flip")
	fmt.Println(steps, err)
	// Output: [crop=4 flip] <nil>
}

// The loop of the package comment.
func Example() {
	images, sum := 0, 0
	step := func(pixels []uint8, labels []int32) {
		images += len(labels)
		for _, l := range labels {
			sum += int(l)
		}
	}
	epochs := func(ctx context.Context) error {
		data, err := datasets.Open("digits", "")
		if err != nil {
			return err
		}
		loader, err := datasets.NewLoader(data.Train, datasets.LoaderOptions{Batch: 64, Shuffle: true, Seed: 1})
		if err != nil {
			return err
		}
		for epoch := range 3 {
			for batch, err := range loader.Epoch(ctx, epoch, 0) {
				if err != nil {
					return err
				}
				step(batch.Pixels, batch.Labels)
			}
		}
		return nil
	}
	err := epochs(context.Background())
	fmt.Println(images, float64(sum)/float64(images), err)
	// Output: 36000 4.5 <nil>
}
