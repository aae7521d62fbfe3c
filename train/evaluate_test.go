package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/datasets"
	"github.com/bitgrad/bitgrad/fakequant"
)

// identity returns a network whose logits are its input.
func identity(t testing.TB, classes int) *autograd.Graph {
	t.Helper()
	g := autograd.NewGraph("identity")
	g.SetOutput("logits", g.Input("input", autograd.Float32, classes))
	return initialized(t, g, 1)
}

func TestEvaluateCounts(t *testing.T) {
	// 23 images of 7 classes; image i has label i%7 and a logit of 2 for class
	// (i+i/7)%7, so that the first seven are right.
	const n, classes = 23, 7
	samples, labels := make([]float32, n*classes), make([]int32, n)
	wantLoss := 0.0
	correct := 0
	perClass := make([]int, classes)
	for i := range n {
		labels[i] = int32(i % classes)
		guess := (i + i/classes) % classes
		samples[i*classes+guess] = 2
		x := 0.0
		if guess == i%classes {
			x = 2
			correct++
			perClass[guess]++
		}
		wantLoss += (math.Log(math.Exp(2)+classes-1) - x) / n
	}
	ds, err := datasets.FromFloats(datasets.Info{C: classes, H: 1, W: 1, Classes: classes}, samples, labels)
	if err != nil {
		t.Fatal(err)
	}
	for _, batch := range []int{1, 7, 23, 64} {
		e, err := Evaluate(ctx, identity(t, classes), ds, EvaluateOptions{Batch: batch})
		if err != nil {
			t.Fatal(err)
		}
		if e.Images != n || e.Correct != correct || math.Abs(e.Loss-wantLoss) > 1e-6 {
			t.Errorf("batch %d: %d of %d images, loss %v; want %d of %d, %v", batch, e.Correct, e.Images, e.Loss, correct, n, wantLoss)
		}
		total := 0
		for c, k := range e.Classes {
			total += k.Images
			if k.Correct != perClass[c] || k.Name != fmt.Sprint(c) {
				t.Errorf("batch %d: class %d: %+v, want %d correct", batch, c, k, perClass[c])
			}
		}
		if total != n {
			t.Errorf("batch %d: %d images in the classes", batch, total)
		}
	}
}

// Ties go to the lowest class, for the first place as for the first five.
func TestEvaluateTies(t *testing.T) {
	const classes = 8
	samples := make([]float32, 2*classes) // all logits equal
	for label := range int32(classes) {
		ds, err := datasets.FromFloats(datasets.Info{C: classes, H: 1, W: 1, Classes: classes}, samples[:classes], []int32{label})
		if err != nil {
			t.Fatal(err)
		}
		e, err := Evaluate(ctx, identity(t, classes), ds, EvaluateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if right, top := e.Correct == 1, e.Top5 == 1; right != (label == 0) || top != (label < 5) {
			t.Errorf("label %d: first %v, among five %v", label, right, top)
		}
		if e.Accuracy() != float64(e.Correct) || e.Top5Accuracy() != float64(e.Top5) || e.Classes[label].Accuracy() != float64(e.Correct) {
			t.Errorf("label %d: fractions do not follow counts", label)
		}
	}
}

// The batch size must not matter to networks on integers either.
func TestEvaluateQuantized(t *testing.T) {
	for name, spec := range map[string]fakequant.Spec{"dfp": fakequant.DFP(8), "int8": fakequant.Int(8)} {
		g := calibrated(t, 3, spec)
		ds := bars(t, 53, 8)
		want, err := Evaluate(ctx, g, ds, EvaluateOptions{Batch: 1, Workers: 1})
		if err != nil {
			t.Fatal(err)
		}
		got, err := Evaluate(ctx, g, ds, EvaluateOptions{Batch: 9, Workers: 3})
		if err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: got %v, one by one %v", name, got, want)
		}
		if got.Classes[1].Name != "middle" {
			t.Errorf("%s: classes %v", name, got.Classes)
		}
	}
}

// mislabelled serves a label that is no class.
type mislabelled struct{ datasets.Dataset }

func (m mislabelled) Read(dst *datasets.Batch, indices []int) error {
	err := m.Dataset.Read(dst, indices)
	if i := slices.Index(indices, 11); i >= 0 && err == nil {
		dst.Labels[i] = -1
	}
	return err
}

func TestBadLabels(t *testing.T) {
	ds := mislabelled{bars(t, 30, 1)}
	want := "train: data does not fit the network: bars: image 11 has label -1 of 3 classes"
	if _, err := Evaluate(ctx, convNet(t, 1), ds, EvaluateOptions{}); fmt.Sprint(err) != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if _, err := Fit(ctx, convNet(t, 1), ds, Options{Epochs: 1, Batch: 10, Optimizer: sgd(0.1)}); fmt.Sprint(err) != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestEvaluateErrors(t *testing.T) {
	ds := bars(t, 30, 1)
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := Evaluate(cancelled, convNet(t, 1), ds, EvaluateOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := Evaluate(ctx, convNet(t, 1), nil, EvaluateOptions{}); !errors.Is(err, ErrOption) {
		t.Errorf("no data: %v", err)
	}
	if _, err := Evaluate(ctx, convNet(t, 1), ds, EvaluateOptions{Batch: -1}); !errors.Is(err, ErrOption) {
		t.Errorf("negative batch: %v", err)
	}
	if _, err := Evaluate(ctx, quantizedNet(t, 1, fakequant.DFP(8)), ds, EvaluateOptions{}); !errors.Is(err, fakequant.ErrNotCalibrated) {
		t.Errorf("not calibrated: %v", err)
	}
}

func TestCalibrate(t *testing.T) {
	ds := bars(t, 100, 1)
	t.Run("ranges", func(t *testing.T) {
		a, b, c := quantizedNet(t, 1, fakequant.DFP(8)), quantizedNet(t, 1, fakequant.DFP(8)), quantizedNet(t, 1, fakequant.DFP(8))
		for _, run := range []struct {
			g   *autograd.Graph
			opt CalibrateOptions
		}{{a, CalibrateOptions{Images: 50, Batch: 16, Workers: 1}}, {b, CalibrateOptions{Images: 50, Batch: 16, Workers: 3}}, {c, CalibrateOptions{Images: 50, Batch: 7}}} {
			if err := Calibrate(ctx, run.g, ds, run.opt); err != nil {
				t.Fatal(err)
			}
			if err := fakequant.Calibrated(run.g); err != nil {
				t.Error(err)
			}
		}
		sameValues(t, "3 workers", b, a)
		// The last batch is shorter than the others, and the observers of these
		// quantizers only count: the batch size must not show.
		sameValues(t, "batches of 7", c, a)
	})
	t.Run("seed", func(t *testing.T) {
		a, b := quantizedNet(t, 1, fakequant.Int(8)), quantizedNet(t, 1, fakequant.Int(8))
		for i, g := range []*autograd.Graph{a, b} {
			if err := Calibrate(ctx, g, ds, CalibrateOptions{Images: 10, Seed: uint64(i)}); err != nil {
				t.Fatal(err)
			}
		}
		if slices.Equal(values(a), values(b)) {
			t.Error("another seed looks at the same images")
		}
	})
	t.Run("errors", func(t *testing.T) {
		if err := Calibrate(ctx, convNet(t, 1), ds, CalibrateOptions{}); !errors.Is(err, ErrOption) || !strings.Contains(err.Error(), "prepare it first") {
			t.Errorf("no quantizers: %v", err)
		}
		if err := Calibrate(ctx, quantizedNet(t, 1, fakequant.DFP(8)), nil, CalibrateOptions{}); !errors.Is(err, ErrOption) {
			t.Errorf("no data: %v", err)
		}
		if err := Calibrate(ctx, quantizedNet(t, 1, fakequant.DFP(8)), ds, CalibrateOptions{Images: -1}); !errors.Is(err, ErrOption) {
			t.Errorf("negative: %v", err)
		}
	})
	t.Run("bad data", func(t *testing.T) {
		g, _, err := fakequant.Prepare(perceptron(t, 1), fakequant.DFP(8))
		if err != nil {
			t.Fatal(err)
		}
		before := values(g)
		err = Calibrate(ctx, g, poisoned{moons(t, 100, 1), 3}, CalibrateOptions{Batch: 20})
		var bad *NotFiniteError
		if !errors.As(err, &bad) || bad.Node != "input" || bad.During != "calibrate" {
			t.Errorf("got %v", err)
		}
		if !slices.Equal(values(g), before) {
			t.Error("the refused calibration left a trace")
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		g := quantizedNet(t, 1, fakequant.DFP(8))
		before := values(g)
		cancelled, cancel := context.WithCancel(ctx)
		err := Calibrate(cancelled, g, cancelling{ds, cancel}, CalibrateOptions{Batch: 1})
		if !errors.Is(err, context.Canceled) || !slices.Equal(values(g), before) {
			t.Errorf("got %v", err)
		}
	})
}
