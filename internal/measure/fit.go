package measure

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/bitgrad/bitgrad/datasets"
	"github.com/bitgrad/bitgrad/train"
)

const (
	// fitImages is the number of images that train.Fit is given.
	fitImages = 10_000
	// fitWarmup is the number of steps of both that do not count.
	fitWarmup = 5
)

// Fitting says how [CompareFit] measures.
type Fitting struct {
	// Augment changes the images of train.Fit.
	Augment []datasets.Augmenter
	// Rounds is the number of pairs; Seconds is how long each half lasts, and at least a step.
	Rounds  int
	Seconds float64
}

// A FitRatio compares training with its steps, in images per second.
type FitRatio struct {
	// Config is the configuration with nothing left open.
	Config Config `json:"-"`
	// Train is the median of train.Fit and Step that of a bare step; Ratio is how the
	// quotients of the rounds are distributed.
	Train float64 `json:"train_images_per_s"`
	Step  float64 `json:"step_images_per_s"`
	Ratio Spread  `json:"ratio"`
}

// CompareFit lets train.Fit and a [Job] of the same configuration take turns. Fit does what it does
// for bitgrad train between one validation or checkpoint and the next: it shuffles, loads and
// augments, watches ranges and fractional lengths, and counts what is right.
func CompareFit(ctx context.Context, c Config, f Fitting) (FitRatio, error) {
	if slices.Contains(Modes, c.Mode) && !c.Training() {
		return FitRatio{}, configError("mode %s does not train: use one of float, qat and lsq", c.Mode)
	}
	if err := c.complete(); err != nil {
		return FitRatio{}, err
	}
	if f.Rounds < 1 || !(f.Seconds > 0) {
		return FitRatio{}, configError("%d rounds of %v seconds: must be positive", f.Rounds, f.Seconds)
	}
	net, err := c.network()
	if err != nil {
		return FitRatio{}, err
	}
	g, err := c.graph(ctx, net)
	if err != nil {
		return FitRatio{}, err
	}
	images, err := c.images(net, max(fitImages, c.Batch))
	if err != nil {
		return FitRatio{}, err
	}
	job, err := New(ctx, c)
	if err != nil {
		return FitRatio{}, err
	}
	defer job.Close()
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	d := &duel{job: job, Fitting: f, end: cancel}
	// Training is endless for this purpose: the duel cancels it.
	const epochs = 1 << 20
	o := train.Options{Epochs: epochs, Batch: c.Batch, Optimizer: c.updates(), Augment: f.Augment, Seed: 1, Workers: c.Threads, OnStep: d.onStep}
	if c.Phase == Frozen {
		o.FrozenEpochs = epochs
	}
	_, err = train.Fit(inner, g, images, o)
	if d.err != nil {
		return FitRatio{}, d.err
	}
	if !d.done() || !errors.Is(err, context.Canceled) {
		return FitRatio{}, err
	}
	return d.result(), nil
}

// A duel watches train.Fit. While a step of it waits for onStep to return, the job has its turn.
type duel struct {
	Fitting
	job *Job
	end func()

	steps       int // of the turn
	begun       time.Time
	train, step []float64 // images per second of each round
	err         error
}

func (d *duel) done() bool { return len(d.train) == d.Rounds }

// onStep ends the turn of Fit when it is time to.
func (d *duel) onStep(s train.Step) {
	took := time.Since(d.begun).Seconds()
	d.steps++
	switch {
	case d.err != nil || d.done(): // Fit is about to stop
		return
	case s.Step < fitWarmup:
		return
	case s.Step == fitWarmup:
		d.turn(fitWarmup)
	case took >= d.Seconds:
		d.train = append(d.train, d.rate(d.steps, took))
		d.step = append(d.step, d.rate(d.steps, d.turn(d.steps)))
	default:
		return
	}
	if d.err != nil || d.done() {
		d.end()
	}
	d.steps, d.begun = 0, time.Now()
}

// turn runs the job and returns how many seconds it took.
func (d *duel) turn(steps int) float64 {
	start := time.Now()
	for range steps {
		if d.err = d.job.Step(); d.err != nil {
			break
		}
	}
	return time.Since(start).Seconds()
}

func (d *duel) rate(steps int, seconds float64) float64 { return float64(steps*d.job.Batch) / seconds }

func (d *duel) result() FitRatio {
	ratios := make([]float64, d.Rounds)
	for i := range ratios {
		ratios[i] = d.train[i] / d.step[i]
	}
	return FitRatio{Config: d.job.Config, Train: SpreadOf(d.train).Median, Step: SpreadOf(d.step).Median, Ratio: SpreadOf(ratios)}
}
