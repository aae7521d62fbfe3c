package recipe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/datasets"
	"github.com/bitgrad/bitgrad/internal/files"
	"github.com/bitgrad/bitgrad/optim"
	"github.com/bitgrad/bitgrad/train"
)

// Folders of a run in which training keeps its checkpoints.
const (
	floatFolder = "float"
	tuneFolder  = "finetune"
)

// checkpointSteps is how often training can be continued within an epoch.
const checkpointSteps = 500

// config returns the optimizer of a phase of so many steps. ranges is the rate
// of learned ranges; 0 means that there are none.
func (p Phase) config(steps int64, ranges float64) optim.Config {
	schedule := optim.Schedule(optim.Cosine{Steps: max(steps, 1)})
	if warm := int64(p.Warmup * float64(steps)); warm > 0 {
		schedule = optim.Warmup{Steps: warm, Then: schedule}
	}
	c := optim.Config{LearningRate: p.LearningRate, WeightDecay: p.WeightDecay, Schedule: schedule}
	switch p.Optimizer {
	case "sgd":
		c.Method = optim.SGD{Momentum: 0.9, Nesterov: true}
	case "adamw":
		c.Method = optim.AdamW{}
	default:
		c.Method = optim.Adam{}
	}
	if ranges > 0 {
		c.Groups = []optim.Group{{Roles: []autograd.Role{autograd.RangeParam}, Method: optim.Adam{}, LearningRate: ranges}}
	}
	return c
}

// options returns what float training and fine-tuning have in common.
func (r *run) options(p Phase, ranges float64, folder string) (train.Options, error) {
	augment, err := datasets.ParseAugmentation(r.cfg.Augment)
	if err != nil {
		return train.Options{}, err
	}
	o := train.Options{
		Epochs: p.Epochs, Batch: min(r.cfg.Batch, r.data.Train.Info().N), LabelSmoothing: float32(r.cfg.LabelSmoothing), Augment: augment,
		Seed: r.cfg.Seed, Workers: r.pool.Workers(), Validation: r.data.Valid,
		Dir: r.path(folder), CheckpointSteps: checkpointSteps, Progress: r.out,
	}
	o.Optimizer = p.config(o.Steps(r.data.Train.Info().N), ranges)
	path := filepath.Join(o.Dir, train.CheckpointFile)
	if _, err := os.Stat(path); err == nil {
		if o.Resume, err = train.ReadCheckpoint(path); err != nil {
			return o, err
		}
	}
	return o, nil
}

// fitFloat trains the float network.
func (r *run) fitFloat(ctx context.Context, p Phase) error {
	o, err := r.options(p, 0, floatFolder)
	if err != nil {
		return err
	}
	o.KeepBest = true
	if _, err := train.Fit(ctx, r.net.Graph, r.data.Train, o); err != nil {
		return err
	}
	return r.mergeMetrics()
}

// fitQuantized fine-tunes the quantized network. Its last step counts, not its best
// epoch: what ships is what the frozen part ends with.
func (r *run) fitQuantized(ctx context.Context) error {
	o, err := r.options(r.cfg.Tune.Phase, r.cfg.Tune.RangeLearningRate, tuneFolder)
	if err != nil {
		return err
	}
	o.FrozenEpochs = min(r.cfg.Tune.FrozenEpochs, float64(o.Epochs))
	if _, err := train.FineTune(ctx, r.graph, r.data.Train, o); err != nil {
		return err
	}
	if err := copyFile(filepath.Join(o.Dir, train.FLFile), r.path(changesFile)); err != nil {
		return err
	}
	return r.mergeMetrics()
}

// mergeMetrics writes the measurements of all stages so far into one file, with
// the stage in front.
func (r *run) mergeMetrics() error {
	var b strings.Builder
	for _, folder := range []string{floatFolder, tuneFolder} {
		text, err := os.ReadFile(filepath.Join(r.path(folder), train.MetricsFile))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("recipe: metrics: %w", err)
		}
		for i, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
			switch {
			case i > 0:
				b.WriteString(folder + "," + line + "\n")
			case b.Len() == 0:
				b.WriteString("stage," + line + "\n")
			}
		}
	}
	return files.WriteAtomic(r.path(metricsFile), func(w io.Writer) error {
		_, err := io.WriteString(w, b.String())
		return err
	})
}

// copyFile copies a file where there is one.
func copyFile(from, to string) error {
	text, err := os.ReadFile(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("recipe: %w", err)
	}
	return files.WriteAtomic(to, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
}

// findRanges calibrates the quantizers of a graph.
func (r *run) findRanges(ctx context.Context, g *autograd.Graph, images int) error {
	n := r.data.Train.Info().N
	return train.Calibrate(ctx, g, r.data.Train, train.CalibrateOptions{
		Images: min(images, n), Batch: min(64, images, n), Seed: r.cfg.Seed, Workers: r.pool.Workers(),
	})
}

// accuracy evaluates a graph on the test images.
func (r *run) accuracy(ctx context.Context, g *autograd.Graph, what string) (float64, error) {
	e, err := evaluateGraph(ctx, g, r.data.Test, r.pool.Workers())
	if err != nil {
		return 0, err
	}
	r.logf("  %s accuracy %s on %s test images", what, percent(e.Accuracy), group(int64(e.Images)))
	return e.Accuracy, nil
}

// evaluateGraph classifies every image of ds with the evaluation program of a graph.
func evaluateGraph(ctx context.Context, g *autograd.Graph, ds datasets.Dataset, threads int) (*Evaluation, error) {
	found, err := train.Evaluate(ctx, g, ds, train.EvaluateOptions{Workers: threads})
	if err != nil {
		return nil, err
	}
	e := &Evaluation{Images: found.Images, Accuracy: found.Accuracy(), Top5: found.Top5Accuracy(), Classes: []Class{}}
	for _, c := range found.Classes {
		e.Classes = append(e.Classes, Class{c.Name, c.Images, c.Correct, c.Accuracy()})
	}
	return e, nil
}

// logBlock writes text of several lines, indented.
func (r *run) logBlock(text string) {
	for line := range strings.Lines(text) {
		fmt.Fprint(r.out, "  "+line)
	}
}
