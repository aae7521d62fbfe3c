package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/bitgrad/bitgrad/internal/cpu"
	"github.com/bitgrad/bitgrad/internal/measure"
)

// A measurement is the line that every script of the benchmark prints.
type measurement struct {
	Peer       string  `json:"peer"`
	Net        string  `json:"net"`
	Mode       string  `json:"mode"`
	Config     string  `json:"config"`
	Batch      int     `json:"batch"`
	Threads    int     `json:"threads"`
	ImagesPerS float64 `json:"images_per_s"`
	MSPerStep  float64 `json:"ms_per_step"`
	MSBest     float64 `json:"ms_best"`
	Steps      int     `json:"steps"`
	PeakRSSMB  int64   `json:"peak_rss_mb"`

	// What only Bitgrad tells.
	PlannedMB     float64 `json:"planned_mb,omitempty"`
	AllocsPerStep float64 `json:"allocs_per_step"`
}

type stepCommand struct {
	Net     string   `required:"" placeholder:"NAME" help:"Network: lenet, cifarfull, resnet8, resnet20 or mobilenet."`
	Mode    string   `default:"float" placeholder:"MODE" help:"What a step is: float, qat or lsq training, infer or int8 inference."`
	Quant   string   `placeholder:"SPEC" help:"How quantized modes are quantized, int8:w8a8 unless given."`
	Rule    []string `sep:"none" placeholder:"GLOB=SPEC" help:"How some layers are quantized. May be repeated; the last that matches counts."`
	Phase   string   `placeholder:"PHASE" help:"Phase of training: batch, observe or frozen; batch unless given."`
	Input   string   `default:"float" enum:"float,pixels" help:"What the network reads: float samples as the other frameworks do, or pixels as bitgrad train does."`
	Batch   int      `default:"128" placeholder:"N" help:"Images per step."`
	Threads int      `placeholder:"N" help:"Number of threads, one for each core unless given."`
	Steps   int      `default:"60" placeholder:"N" help:"Number of steps that count."`
	Warmup  int      `default:"5" placeholder:"N" help:"Number of steps before, which do not."`
	Seconds float64  `default:"6" placeholder:"X" help:"Stop after so many seconds if the steps are not done."`
	JSON    bool     `name:"json" help:"Print one JSON line."`
	Serve   bool     `help:"Print a line for every number of seconds read from stdin: how compare takes turns."`
}

// config returns what is measured.
func (s *stepCommand) config() (measure.Config, error) {
	net, err := layersName(s.Net)
	return measure.Config{Net: net, Mode: s.Mode, Phase: s.Phase, Quant: s.Quant, Rules: s.Rule,
		Pixels: s.Input == "pixels", Batch: s.Batch, Threads: s.Threads}, err
}

// Run times the step.
func (s *stepCommand) Run(ctx context.Context, std streams) error {
	if err := cpu.Err(); err != nil {
		return fmt.Errorf("%w: %w", errCall, err)
	}
	c, err := s.config()
	if err != nil {
		return err
	}
	job, err := measure.New(ctx, c)
	if err != nil {
		return err
	}
	defer job.Close()
	limit := measure.Limit{Warmup: s.Warmup, Steps: s.Steps, Seconds: s.Seconds}
	if !s.Serve {
		t, err := job.Time(ctx, limit)
		if err != nil {
			return err
		}
		return s.print(std.stdout, job, t)
	}
	return serve(std, func(seconds float64) error {
		limit.Steps, limit.Seconds = math.MaxInt32, seconds
		t, err := job.Time(ctx, limit)
		if err != nil {
			return err
		}
		limit.Warmup = 1 // the first time warms up properly
		return s.print(std.stdout, job, t)
	})
}

// serve says that it is ready and calls measure with every number of seconds that it
// reads, until its input ends.
func serve(std streams, measure func(seconds float64) error) error {
	fmt.Fprintln(std.stdout, "ready")
	lines := bufio.NewScanner(std.stdin)
	for lines.Scan() {
		seconds, err := strconv.ParseFloat(strings.TrimSpace(lines.Text()), 64)
		if err != nil || !(seconds > 0) {
			return fmt.Errorf("%w: %q on stdin: a number of seconds expected", errCall, lines.Text())
		}
		if err := measure(seconds); err != nil {
			return err
		}
	}
	return lines.Err()
}

func (s *stepCommand) print(w io.Writer, job *measure.Job, t measure.Timing) error {
	m := measurement{
		Peer: "bitgrad", Net: s.Net, Mode: s.Mode, Config: describe(job.Config), Batch: job.Batch, Threads: job.Threads,
		ImagesPerS: round(t.ImagesPerSecond(), 1), MSPerStep: round(t.Median.Seconds()*1e3, 3), MSBest: round(t.Best.Seconds()*1e3, 3),
		Steps: t.Steps, PeakRSSMB: t.PeakRSS >> 20, PlannedMB: round(float64(job.PlannedBytes())/(1<<20), 1), AllocsPerStep: round(t.Allocs, 1),
	}
	if s.JSON || s.Serve {
		return json.NewEncoder(w).Encode(m)
	}
	_, err := fmt.Fprintf(w, "%s, %s, %s, batch %d, %d threads: %.1f images/s, %.3f ms a step (best of %d: %.3f), peak %d MB\n",
		m.Net, m.Mode, m.Config, m.Batch, m.Threads, m.ImagesPerS, m.MSPerStep, m.Steps, m.MSBest, m.PeakRSSMB)
	return err
}

// describe joins what tells one configuration of a mode from another.
func describe(c measure.Config) string {
	parts := []string{cpu.Level().String()}
	if c.Quantized() {
		parts = append(parts, c.Quant)
		parts = append(parts, c.Rules...)
	}
	if c.Phase != "" {
		parts = append(parts, c.Phase)
	}
	if c.Pixels {
		parts = append(parts, "pixels")
	}
	return strings.Join(parts, " ")
}

func round(x float64, digits int) float64 {
	p := math.Pow10(digits)
	return math.Round(x*p) / p
}
