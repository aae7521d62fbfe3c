package train_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/bitgrad/bitgrad/datasets"
	"github.com/bitgrad/bitgrad/fakequant"
	"github.com/bitgrad/bitgrad/layers"
	"github.com/bitgrad/bitgrad/optim"
	"github.com/bitgrad/bitgrad/train"
)

// documented is the program of the package comment.
func documented(ctx context.Context, data *datasets.Splits) (string, error) {
	net := layers.LeNet()
	net.Graph.Initialize(1)
	result, err := train.Fit(ctx, net.Graph, data.Train, train.Options{
		Epochs: 3, Batch: 64, Seed: 1, Validation: data.Valid, KeepBest: true,
		Optimizer: optim.Config{Method: optim.SGD{Momentum: 0.9}, LearningRate: 0.01},
		Dir:       "runs/lenet", Progress: os.Stderr,
	})
	if err != nil {
		return "", err
	}
	epochs := len(result.Epochs)
	quantized, report, err := fakequant.Prepare(net.Graph, fakequant.DFP(8))
	if err != nil {
		return "", err
	}
	err = train.Calibrate(ctx, quantized, data.Train, train.CalibrateOptions{})
	if err != nil {
		return "", err
	}
	result, err = train.FineTune(ctx, quantized, data.Train, train.Options{Epochs: 2, Batch: 64, Validation: data.Valid})
	if err != nil {
		return "", err
	}
	score, err := train.Evaluate(ctx, quantized, data.Test, train.EvaluateOptions{})
	return fmt.Sprint(report.Net, ": ", epochs, " + ", len(result.Epochs), " epochs, ", score.Images, " images"), err
}

func TestTheProgramOfThePackageComment(t *testing.T) {
	t.Chdir(t.TempDir())
	data, err := datasets.DigitSplits(128, 20, 30, 1)
	if err != nil {
		t.Fatal(err)
	}
	got, err := documented(t.Context(), data)
	if err != nil || got != "lenet: 3 + 2 epochs, 30 images" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := documented(t.Context(), data); err == nil || !strings.Contains(err.Error(), "lenet") {
		t.Errorf("the second run writes over the first: %v", err)
	}
}
