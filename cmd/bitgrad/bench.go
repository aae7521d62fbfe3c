package main

import (
	"context"
	"fmt"

	"github.com/bitgrad/bitgrad/internal/cpu"
	"github.com/bitgrad/bitgrad/internal/measure"
	"github.com/bitgrad/bitgrad/recipe"
)

type benchCommand struct {
	Net     string   `default:"lenet" placeholder:"NAME|FILE" help:"Reference network, for example lenet or resnet20conv, or a description of one in YAML or JSON."`
	Mode    string   `default:"float" placeholder:"MODE" help:"What a step is: float, qat or lsq training, infer or int8 inference."`
	Phase   string   `placeholder:"PHASE" help:"Phase of training: batch, observe or frozen; batch unless given."`
	Quant   string   `placeholder:"SPEC" help:"How quantized modes are quantized, int8:w8a8 unless given."`
	Rule    []string `sep:"none" placeholder:"GLOB=SPEC" help:"How some layers are quantized. May be repeated; the last that matches counts."`
	Floats  bool     `help:"Let the network read float samples, as networks of other frameworks do, and not pixels."`
	Batch   int      `default:"128" placeholder:"N" help:"Images per step."`
	Threads int      `placeholder:"N" help:"Number of threads, one for each core unless given."`
	Seconds float64  `default:"3" placeholder:"X" help:"How long to measure; with --by-node twice."`
	ByNode  bool     `help:"Show where the time of a step goes, node by node."`
	JSON    bool     `name:"json" help:"Print one JSON document on stdout instead of text."`
}

// Run measures.
func (b *benchCommand) Run(ctx context.Context, s streams) error {
	if err := cpu.Err(); err != nil {
		return fmt.Errorf("%w: %w", measure.ErrConfig, err)
	}
	name, build, err := recipe.Network(b.Net)
	if err != nil {
		return err
	}
	job, err := measure.New(ctx, measure.Config{Net: name, Build: build, Mode: b.Mode, Phase: b.Phase, Quant: b.Quant, Rules: b.Rule,
		Pixels: !b.Floats, Batch: b.Batch, Threads: b.Threads})
	if err != nil {
		return err
	}
	defer job.Close()
	found, err := b.measure(ctx, job)
	if err != nil {
		return err
	}
	if b.JSON {
		return found.WriteJSON(s.stdout)
	}
	return found.WriteText(s.stdout)
}

func (b *benchCommand) measure(ctx context.Context, job *measure.Job) (*measure.Report, error) {
	limit := measure.Limit{Steps: 1000, Seconds: b.Seconds}
	if !b.ByNode {
		t, err := job.Time(ctx, limit)
		return job.Report(t, nil), err
	}
	p, err := job.Profile(ctx, limit, measure.Measure(job.Threads))
	if err != nil {
		return nil, err
	}
	return job.Report(p.Timing, p), nil
}
