package main

import (
	"context"
	"fmt"

	"github.com/bitgrad/bitgrad/recipe"
)

// dataFlags say where images come from.
type dataFlags struct {
	Data    string `placeholder:"NAME|DIR" help:"Data set: digits, mnist, fashion-mnist, cifar10, or a folder. digits are drawn, the others are read."`
	DataDir string `placeholder:"DIR" env:"BITGRAD_DATA" help:"Folder that holds the files of data sets."`
	Threads int    `placeholder:"N" help:"Number of threads, one for each core unless given. It changes no result."`
	JSON    bool   `name:"json" help:"Print one JSON document on stdout instead of a table."`
}

// runFlags are those of a run, whatever its task. What is not given is left to the
// configuration; hence the pointers.
type runFlags struct {
	dataFlags
	Net               *string  `placeholder:"NAME|FILE" help:"Reference network, for example lenet or resnet20, or a description of one in YAML or JSON."`
	Quant             *string  `placeholder:"SPEC" help:"How all layers are quantized: dfp:w4a8, int8:w8a8,per-channel, or float to train without. All words: docs/configuration.md."`
	Rule              []string `sep:"none" placeholder:"GLOB=SPEC" help:"How some layers are quantized. May be repeated; the last that matches counts."`
	Config            string   `placeholder:"FILE" help:"Configuration, YAML or JSON. Flags override it."`
	Batch             *int     `placeholder:"N" help:"Images per step."`
	Augment           *string  `placeholder:"STEPS" help:"Change training images at random: crop=4,flip,shift=2, or none."`
	LabelSmoothing    *float64 `placeholder:"X" help:"Share of the target that is spread over all classes."`
	Seed              *uint64  `placeholder:"N" help:"Seed of everything random."`
	Limit             *int     `placeholder:"N" help:"Use only so many training images."`
	CalibrationImages *int     `placeholder:"N" help:"Training images that ranges are taken from."`
	VerifyImages      *int     `placeholder:"N" help:"Test images whose every code is compared; 0 for all."`
	Integer           bool     `default:"true" negatable:"" help:"Make the integer model. Without it any network can be trained."`
	Out               string   `placeholder:"DIR" help:"Directory of the run, which must not exist. The next free runs/NNN unless given."`
	Resume            string   `placeholder:"DIR" help:"Continue the run in this directory."`
}

// floatFlags are those of training in floating point.
type floatFlags struct {
	FloatEpochs *int     `placeholder:"N" help:"Epochs in floating point."`
	FloatLR     *float64 `name:"float-lr" placeholder:"X" help:"Learning rate in floating point."`
	Init        string   `placeholder:"FILE" help:"Start from these float weights: a run, a file of it, or a PyTorch state dict saved as safetensors."`
}

// tuneFlags are those of training on integers.
type tuneFlags struct {
	Epochs       *int     `placeholder:"N" help:"Epochs of training on integers."`
	FrozenEpochs *float64 `placeholder:"N" help:"The last of them, with batch norm folded and fractional lengths frozen."`
	LR           *float64 `name:"lr" placeholder:"X" help:"Learning rate of training on integers."`
}

// job is what a command asks for.
type job struct {
	task string
	from string // weights to start from, or empty
	runFlags
	floatFlags
	tuneFlags
}

// apply overrides fields of a configuration by the flags that were given.
func (f *job) apply(c *recipe.Config) {
	if f.Net != nil {
		c.Net, c.Network = *f.Net, ""
	}
	set(&c.Quant, f.Quant)
	set(&c.Float.Epochs, f.FloatEpochs)
	set(&c.Float.LearningRate, f.FloatLR)
	set(&c.Tune.Epochs, f.Epochs)
	set(&c.Tune.FrozenEpochs, f.FrozenEpochs)
	set(&c.Tune.LearningRate, f.LR)
	set(&c.Batch, f.Batch)
	set(&c.Augment, f.Augment)
	set(&c.LabelSmoothing, f.LabelSmoothing)
	set(&c.Seed, f.Seed)
	set(&c.Limit, f.Limit)
	set(&c.Calibration, f.CalibrationImages)
	set(&c.Verify, f.VerifyImages)
	if !f.Integer {
		c.Integer = false
	}
	if f.Data != "" {
		c.Data = f.Data
	}
	if len(f.Rule) > 0 {
		c.Rules = f.Rule
	}
}

func set[T any](field *T, flag *T) {
	if flag != nil {
		*field = *flag
	}
}

// given returns the name of a flag that belongs to the configuration and was set, "" if
// none was.
func (f *job) given() string {
	for _, flag := range []struct {
		name string
		set  bool
	}{
		{"--data", f.Data != ""}, {"--net", f.Net != nil}, {"--quant", f.Quant != nil}, {"--rule", len(f.Rule) > 0},
		{"--config", f.Config != ""}, {"--float-epochs", f.FloatEpochs != nil}, {"--float-lr", f.FloatLR != nil},
		{"--epochs", f.Epochs != nil}, {"--frozen-epochs", f.FrozenEpochs != nil}, {"--lr", f.LR != nil},
		{"--batch", f.Batch != nil}, {"--augment", f.Augment != nil}, {"--label-smoothing", f.LabelSmoothing != nil}, {"--seed", f.Seed != nil}, {"--limit", f.Limit != nil},
		{"--calibration-images", f.CalibrationImages != nil}, {"--verify-images", f.VerifyImages != nil},
		{"--no-integer", !f.Integer}, {"--out", f.Out != ""}, {"the file " + f.from, f.from != ""},
	} {
		if flag.set {
			return flag.name
		}
	}
	return ""
}

// do starts a run or resumes one.
func (f *job) do(ctx context.Context, s streams) error {
	o := recipe.Options{DataDir: f.DataDir, Threads: f.Threads, Dir: f.Out, From: f.from, Log: s.stderr}
	var result *recipe.Result
	var err error
	if f.Resume != "" {
		if name := f.given(); name != "" {
			return fmt.Errorf("%w: %s together with --resume: a run is continued with the configuration that it has", recipe.ErrConfig, name)
		}
		result, err = recipe.Resume(ctx, f.Resume, o)
	} else {
		var c recipe.Config
		if c, err = f.config(); err != nil {
			return err
		}
		result, err = recipe.Start(ctx, c, o)
	}
	if err != nil {
		return err
	}
	if result.Finished() {
		fmt.Fprintf(s.stderr, "%s is finished: nothing is changed\n", result.Dir())
	}
	if f.JSON {
		return result.WriteJSON(s.stdout)
	}
	return result.WriteTable(s.stdout)
}

// config returns what the file, the weights and the flags say.
func (f *job) config() (c recipe.Config, err error) {
	switch {
	case f.Config != "":
		c, err = recipe.ReadConfig(f.Config, f.Data)
	case f.from != "" && f.task != recipe.Train:
		c, err = recipe.DefaultFrom(f.task, f.from, f.Data)
	default:
		c, err = recipe.Default(f.Data)
	}
	c.Task = f.task
	f.apply(&c)
	return c, err
}

type trainCommand struct {
	runFlags
	floatFlags
	tuneFlags
}

// Run trains.
func (t *trainCommand) Run(ctx context.Context, s streams) error {
	j := job{recipe.Train, t.Init, t.runFlags, t.floatFlags, t.tuneFlags}
	return j.do(ctx, s)
}

type quantizeCommand struct {
	From string `arg:"" optional:"" help:"Float weights: a run, a file of it, or a PyTorch state dict saved as safetensors."`
	runFlags
}

// Run quantizes.
func (q *quantizeCommand) Run(ctx context.Context, s streams) error {
	j := job{task: recipe.Quantize, from: q.From, runFlags: q.runFlags}
	return j.do(ctx, s)
}

type finetuneCommand struct {
	From string `arg:"" optional:"" help:"A run, or its file calibrated.safetensors or quantized.safetensors."`
	runFlags
	tuneFlags
}

// Run fine-tunes.
func (t *finetuneCommand) Run(ctx context.Context, s streams) error {
	j := job{task: recipe.FineTune, from: t.From, runFlags: t.runFlags, tuneFlags: t.tuneFlags}
	return j.do(ctx, s)
}
