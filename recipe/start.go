package recipe

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/bitgrad/bitgrad/export"
	"github.com/bitgrad/bitgrad/train"
)

// check finds out, before anything is trained or written, whether the network
// can become an integer model: it calibrates a fresh one with a few images and
// lowers it.
func (r *run) check(ctx context.Context) error {
	if r.graph == nil || !r.cfg.Integer {
		return nil
	}
	net, err := r.plan.build()
	if err != nil {
		return err
	}
	net.Graph.Initialize(r.cfg.Seed)
	g, _, err := r.plan.prepare(net.Graph)
	if err != nil {
		return err
	}
	if err := r.findRanges(ctx, g, 8); err != nil {
		return err
	}
	if _, err := export.Lower(g); err != nil {
		if errors.Is(err, export.ErrUnsupported) {
			return fmt.Errorf("%w: %w: to train it all the same, without an integer model, use --no-integer", ErrConfig, err)
		}
		return err
	}
	return nil
}

// initial loads the weights to start from and returns what writes them into the
// run; nil where there are none.
func (r *run) initial() (func(path string) error, error) {
	if r.opt.From == "" {
		return nil, nil
	}
	path, err := weightsOf(r.opt.From, r.cfg.Task)
	if err != nil {
		return nil, err
	}
	f, plan, err := readWeights(path)
	foreign := errors.Is(err, errNoBlueprint)
	if err != nil && !foreign {
		return nil, err
	}
	if r.cfg.Task == FineTune {
		if foreign || plan.Quant == Float {
			return nil, configError("%s holds float weights: quantize them first, with bitgrad quantize %s", path, r.opt.From)
		}
		if err := plan.same(r.plan); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if err := restore(r.graph, f, path); err != nil {
			return nil, err
		}
		return func(to string) error { return saveWeights(to, r.graph, r.plan) }, nil
	}
	own := r.plan
	own.Quant, own.Rules = Float, []string{}
	if foreign {
		report, err := train.LoadWeights(r.net.Graph, path, train.LoadOptions{})
		if err != nil {
			return nil, err
		}
		r.logf("weights: %s: %v", path, report)
	} else {
		if err := plan.same(own); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if err := restore(r.net.Graph, f, path); err != nil {
			return nil, err
		}
		r.logf("weights: %s", path)
	}
	return func(to string) error { return saveWeights(to, r.net.Graph, own) }, nil
}

// same reports in what the network of a file differs from that of a run. The
// data set may be another one of the same shape.
func (b Blueprint) same(want Blueprint) error {
	switch {
	case b.Net != want.Net:
		return configError("it holds the network %s, the run is about %s", b.Net, want.Net)
	case !sameNetwork(b.Network, want.Network):
		return configError("it holds a network %s of other layers than that of the run", b.Net)
	case b.Quant == Float && want.Quant != Float, b.Quant != Float && want.Quant == Float:
		return configError("it is %s, %s is wanted", b.Quant, want.Quant)
	case b.Quant != want.Quant || !slices.Equal(b.Rules, want.Rules):
		return configError("it was quantized as %s%s, the run says %s%s", b.Quant, rulesText(b.Rules), want.Quant, rulesText(want.Rules))
	case b.C != want.C || b.H != want.H || b.W != want.W || b.Float != want.Float || b.Classes != want.Classes:
		return configError("it takes images [%d %d %d] of %d classes, the data has [%d %d %d] of %d", b.C, b.H, b.W, b.Classes, want.C, want.H, want.W, want.Classes)
	case !slices.Equal(b.Mean, want.Mean) || !slices.Equal(b.Std, want.Std):
		return configError("it normalizes pixels by %v and %v, the run by %v and %v: choose with normalize in the configuration", b.Mean, b.Std, want.Mean, want.Std)
	}
	return nil
}

// weightsOf returns the file of weights that a task starts from: the file itself, or
// the one of a run that fits.
func weightsOf(from, task string) (string, error) {
	info, err := os.Stat(from)
	if err != nil {
		return "", fmt.Errorf("recipe: weights: %w", err)
	}
	if !info.IsDir() {
		return from, nil
	}
	names := []string{floatFile}
	if task == FineTune {
		names = []string{tunedFile, rangesFile}
	}
	for _, name := range names {
		if exists(from, name) {
			return filepath.Join(from, name), nil
		}
	}
	return "", configError("%s has no %s to %s from", from, names[0], task)
}

// DefaultFrom is [Default] for a task that starts from weights: network, data and
// quantization are those of the weights, as far as they say. An empty data means
// the data set that they were trained on.
func DefaultFrom(task, from, data string) (Config, error) {
	var plan Blueprint
	path, err := weightsOf(from, task)
	if err != nil {
		return Config{}, err
	}
	_, plan, err = readWeights(path)
	if err != nil && !errors.Is(err, errNoBlueprint) {
		return Config{}, err
	}
	if data == "" {
		data = plan.Data
	}
	c, err := Default(data)
	if err != nil {
		return c, err
	}
	c.Task = task
	if plan.Net != "" {
		c.Net, c.Network = plan.Net, plan.Network
		if plan.Quant != Float {
			c.Quant, c.Rules = plan.Quant, plan.Rules
		}
	}
	if task == Quantize {
		c.Float.Epochs, c.Tune.Epochs, c.Tune.FrozenEpochs = 0, 0, 0
	}
	return c, nil
}
