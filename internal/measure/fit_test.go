package measure

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/bitgrad/bitgrad/datasets"
	"github.com/bitgrad/bitgrad/optim"
	"github.com/bitgrad/bitgrad/train"
)

func TestCompareFit(t *testing.T) {
	f := Fitting{Augment: []datasets.Augmenter{datasets.Shift{By: 1}}, Rounds: 3, Seconds: 0.01}
	for _, c := range []Config{tiny(Float, ""), tiny(Float, Frozen), tiny(QAT, Observe), tiny(QAT, Frozen), tiny(LSQ, Batch)} {
		c.Pixels = true
		r, err := CompareFit(t.Context(), c, f)
		if err != nil {
			t.Fatalf("%s %s: %v", c.Mode, c.Phase, err)
		}
		if !(r.Train > 0 && r.Step > 0 && r.Ratio.Min > 0 && r.Ratio.Min <= r.Ratio.Lower && r.Ratio.Lower <= r.Ratio.Median && r.Ratio.Upper <= r.Ratio.Max) {
			t.Errorf("%s %s: %+v", c.Mode, c.Phase, r)
		}
		if r.Config.Phase == "" || r.Config.Optimizer.Name() != "sgd" || r.Config.Threads != 2 {
			t.Errorf("%s %s: %+v is not complete", c.Mode, c.Phase, r.Config)
		}
	}
}

// TestDuel counts the steps of both sides.
func TestDuel(t *testing.T) {
	c := tiny(Float, "")
	c.Optimizer = optim.Adam{}
	ended := 0
	d := &duel{Fitting: Fitting{Rounds: 2, Seconds: 1e-9}, job: newJob(t, c), end: func() { ended++ }}
	for i := int64(1); !d.done(); i++ {
		d.onStep(train.Step{Step: i})
		if n, want := d.job.n, max(0, i-fitWarmup)+fitWarmup; i >= fitWarmup && n != want {
			t.Errorf("after step %d of training: %d steps of the job, want %d", i, n, want)
		}
	}
	d.onStep(train.Step{Step: 100}) // comes too late
	if ended != 1 || len(d.train) != 2 || len(d.step) != 2 {
		t.Errorf("ended %d times after %d and %d turns", ended, len(d.train), len(d.step))
	}
	d.train, d.step = []float64{90, 80}, []float64{100, 100}
	if r := d.result(); r.Train != 85 || r.Step != 100 || math.Abs(r.Ratio.Median-0.85) > 1e-9 || r.Ratio.Min != 0.8 || r.Ratio.Max != 0.9 {
		t.Errorf("%+v", r)
	}
}

func TestWrongFittings(t *testing.T) {
	good := Fitting{Rounds: 1, Seconds: 0.01}
	for _, c := range []struct {
		config Config
		f      Fitting
		says   string
	}{
		{tiny(Infer, ""), good, "mode infer does not train"},
		{tiny(Int8, ""), good, "mode int8 does not train"},
		{tiny(Float, Observe), good, "has no observers"},
		{tiny(Float, ""), Fitting{Seconds: 1}, "0 rounds of 1 seconds"},
		{tiny(Float, ""), Fitting{Rounds: 1}, "1 rounds of 0 seconds"},
		{tiny("train", ""), good, `mode "train"`},
	} {
		if _, err := CompareFit(t.Context(), c.config, c.f); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v, want %q", err, c.says)
		}
	}
	inference := tiny(Infer, "")
	inference.Optimizer = optim.Adam{}
	if _, err := New(t.Context(), inference); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "optimizer adam: mode infer is inference") {
		t.Errorf("an optimizer in inference: %v", err)
	}
	augmented := good
	augmented.Augment = []datasets.Augmenter{datasets.Crop{Pad: 99}}
	c := tiny(Float, "")
	c.Pixels = true
	if _, err := CompareFit(t.Context(), c, augmented); !errors.Is(err, datasets.ErrOption) {
		t.Errorf("a crop that is too wide: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := CompareFit(ctx, c, good); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
