package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/bitgrad/bitgrad/datasets"
	"github.com/bitgrad/bitgrad/internal/cpu"
	"github.com/bitgrad/bitgrad/internal/glob"
	"github.com/bitgrad/bitgrad/internal/measure"
	"github.com/bitgrad/bitgrad/optim"
)

type trainCommand struct {
	Net       string   `required:"" placeholder:"NAME" help:"Network: lenet, cifarfull, resnet8, resnet20 or mobilenet."`
	Mode      string   `default:"float" placeholder:"MODE" help:"How it is trained: float, qat or lsq."`
	Quant     string   `placeholder:"SPEC" help:"How quantized modes are quantized, int8:w8a8 unless given."`
	Rule      []string `sep:"none" placeholder:"GLOB=SPEC" help:"How some layers are quantized. May be repeated; the last that matches counts."`
	Phase     string   `placeholder:"PHASE" help:"Phase of training: batch, observe or frozen; batch unless given."`
	Optimizer string   `default:"sgd" placeholder:"NAME" help:"How a step changes the network: adam, or sgd with momentum."`
	Augment   string   `default:"none" placeholder:"STEPS" help:"Change images at random: crop=4,flip,shift=2, or none."`
	Batch     int      `default:"128" placeholder:"N" help:"Images per step."`
	Threads   int      `placeholder:"N" help:"Number of threads, one for each core unless given."`
	Rounds    int      `default:"9" placeholder:"N" help:"Number of paired measurements."`
	Seconds   float64  `default:"2" placeholder:"X" help:"Length of each half of a pair."`
	JSON      bool     `name:"json" help:"Print one JSON line."`
}

// fitLine is what --json prints.
type fitLine struct {
	Net       string `json:"net"`
	Mode      string `json:"mode"`
	Config    string `json:"config"`
	Optimizer string `json:"optimizer"`
	Augment   string `json:"augment"`
	Batch     int    `json:"batch"`
	Threads   int    `json:"threads"`
	Rounds    int    `json:"rounds"`
	measure.FitRatio
}

// methods are the words for --optimizer.
var methods = map[string]optim.Method{"adam": optim.Adam{}, "sgd": optim.SGD{Momentum: 0.9}}

// Run lets training and bare steps take turns.
func (t *trainCommand) Run(ctx context.Context, std streams) error {
	if err := cpu.Err(); err != nil {
		return fmt.Errorf("%w: %w", errCall, err)
	}
	net, err := layersName(t.Net)
	if err != nil {
		return err
	}
	names := []string{"adam", "sgd"}
	if !slices.Contains(names, t.Optimizer) {
		return fmt.Errorf("%w: optimizer %q: must be %s%s", errCall, t.Optimizer, strings.Join(names, " or "), glob.Hint(t.Optimizer, names))
	}
	augment, err := datasets.ParseAugmentation(t.Augment)
	if err != nil {
		return err
	}
	c := measure.Config{Net: net, Mode: t.Mode, Phase: t.Phase, Quant: t.Quant, Rules: t.Rule, Pixels: true,
		Optimizer: methods[t.Optimizer], Batch: t.Batch, Threads: t.Threads}
	found, err := measure.CompareFit(ctx, c, measure.Fitting{Augment: augment, Rounds: t.Rounds, Seconds: t.Seconds})
	if err != nil {
		return err
	}
	l := fitLine{Net: t.Net, Mode: t.Mode, Config: describe(found.Config), Optimizer: t.Optimizer, Augment: t.Augment, Batch: t.Batch,
		Threads: found.Config.Threads, Rounds: t.Rounds, FitRatio: found}
	if t.JSON {
		return json.NewEncoder(std.stdout).Encode(l)
	}
	_, err = fmt.Fprintf(std.stdout, "%s, %s, %s, %s, augment %s, batch %d, %d threads: training %.1f images/s, its steps %.1f; ratio %.3f to %.3f, quartiles %.3f, %.3f, %.3f of %d rounds\n",
		l.Net, l.Mode, l.Config, l.Optimizer, l.Augment, l.Batch, l.Threads, l.Train, l.Step,
		l.Ratio.Min, l.Ratio.Max, l.Ratio.Lower, l.Ratio.Median, l.Ratio.Upper, l.Rounds)
	return err
}
