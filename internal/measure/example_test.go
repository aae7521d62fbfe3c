package measure_test

import (
	"context"
	"fmt"

	"github.com/bitgrad/bitgrad/internal/measure"
)

func Example() {
	if err := run(context.Background()); err != nil {
		fmt.Println(err)
	}
}

func run(ctx context.Context) error {
	job, err := measure.New(ctx, measure.Config{Net: "resnet20conv", Mode: measure.QAT, Phase: measure.Frozen, Batch: 128})
	if err != nil {
		return err
	}
	defer job.Close()
	timing, err := job.Time(ctx, measure.Limit{Seconds: 6})
	if err != nil {
		return err
	}
	fmt.Println(timing.ImagesPerSecond())
	return nil
}
