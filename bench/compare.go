package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/bitgrad/bitgrad/internal/cpu"
	"github.com/bitgrad/bitgrad/internal/glob"
	"github.com/bitgrad/bitgrad/internal/host"
)

type compareCommand struct {
	Net      []string `placeholder:"NAME" help:"Networks; lenet, resnet8 and resnet20 unless given."`
	Mode     []string `placeholder:"MODE" help:"What is compared: float or qat training, infer or int8 inference; all unless given."`
	Only     []string `placeholder:"PATTERN" help:"Only contenders whose name matches one of the patterns: 'torch*', '*channels_last', 'bitgrad float*'."`
	Python   string   `default:"python3" placeholder:"PATH" help:"Python with PyTorch, ONNX Runtime and so on, as far as they are there."`
	TFPython string   `name:"tf-python" placeholder:"PATH" help:"Python with TensorFlow; that of --python unless given."`
	Peers    string   `default:"bench/peers" placeholder:"DIR" help:"Folder of the scripts of the other frameworks."`
	Preload  string   `default:"auto" placeholder:"FILE" help:"Library to preload into PyTorch; tcmalloc, which it is faster with, if it is there, unless given. none: nothing."`
	Rounds   int      `default:"7" placeholder:"N" help:"Number of paired measurements."`
	Seconds  float64  `default:"3" placeholder:"X" help:"Length of each measurement."`
	Turns    int      `default:"1" placeholder:"N" help:"Number of turns in which a contender takes its seconds of a round: more of them even out what drifts."`
	Batch    int      `default:"128" placeholder:"N" help:"Images per step."`
	Threads  int      `placeholder:"N" help:"Number of threads, one for each core unless given."`
	CSV      string   `name:"csv" placeholder:"FILE" help:"Table to write the ratios to; rows of other comparisons in it stay."`
	JSON     bool     `name:"json" help:"Print one JSON document instead of tables."`
}

// A comparison is what --json prints.
type comparison struct {
	CPU    string   `json:"cpu"`
	Level  string   `json:"level"`
	Ratios []ratio  `json:"ratios"`
	Absent []absent `json:"absent"`
}

// absent is a contender that did not take part, and why.
type absent struct {
	Net  string `json:"net"`
	Name string `json:"name"`
	Why  string `json:"why"`
}

// Run compares.
func (c *compareCommand) Run(ctx context.Context, std streams) error {
	if err := c.complete(); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	found := comparison{CPU: host.Processor(), Level: cpu.Level().String(), Ratios: []ratio{}, Absent: []absent{}}
	for _, net := range c.Net {
		for _, mode := range c.Mode {
			h := c.contenders(net, mode, self)
			h.contenders = slices.DeleteFunc(h.contenders, func(k contender) bool { return !c.wanted(k.name) })
			if err := c.run(ctx, h, &found, std.stderr); err != nil {
				return err
			}
		}
	}
	for i := range found.Ratios {
		found.Ratios[i].CPU, found.Ratios[i].Level = found.CPU, found.Level
	}
	if c.CSV != "" {
		if err := saveRatios(c.CSV, found.Ratios); err != nil {
			return err
		}
	}
	if c.JSON {
		return json.NewEncoder(std.stdout).Encode(found)
	}
	fmt.Fprintf(std.stdout, "%s (%s); ratios of images per second, ours over the other's, of %d rounds of %v s\n", found.CPU, found.Level, c.Rounds, c.Seconds)
	if err := writeRatios(std.stdout, found.Ratios); err != nil {
		return err
	}
	for i, a := range found.Absent {
		if i == 0 {
			fmt.Fprintln(std.stdout, "\nnot compared:")
		}
		fmt.Fprintf(std.stdout, "%s: %s: %s\n", a.Net, a.Name, a.Why)
	}
	return nil
}

// complete checks the flags and fills in what is left open.
func (c *compareCommand) complete() error {
	if err := cpu.Err(); err != nil {
		return fmt.Errorf("%w: %w", errCall, err)
	}
	if len(c.Net) == 0 {
		c.Net = []string{"lenet", "resnet8", "resnet20"}
	}
	for _, n := range c.Net {
		if _, err := layersName(n); err != nil {
			return err
		}
	}
	if len(c.Mode) == 0 {
		c.Mode = heats
	}
	for _, m := range c.Mode {
		if !slices.Contains(heats, m) {
			return fmt.Errorf("%w: mode %q: must be %s%s", errCall, m, strings.Join(heats, ", "), glob.Hint(m, heats))
		}
	}
	if min(c.Rounds, c.Turns, c.Batch) < 1 || !(c.Seconds > 0) || c.Threads < 0 {
		return fmt.Errorf("%w: %d rounds of %v seconds in %d turns, batch %d, %d threads: must be positive", errCall, c.Rounds, c.Seconds, c.Turns, c.Batch, c.Threads)
	}
	if !exists(filepath.Join(c.Peers, torchScript)) {
		return fmt.Errorf("%w: peers: %s has no %s: name the folder bench/peers of the project", errCall, c.Peers, torchScript)
	}
	if c.CSV != "" {
		if _, err := readRows(c.CSV); err != nil {
			return err
		}
	}
	if c.Threads == 0 {
		c.Threads = runtime.GOMAXPROCS(0)
	}
	if c.TFPython == "" {
		c.TFPython = c.Python
	}
	switch c.Preload {
	case "auto":
		c.Preload = tcmalloc()
	case "none":
		c.Preload = ""
	}
	return nil
}

func (c *compareCommand) wanted(name string) bool {
	return len(c.Only) == 0 || slices.ContainsFunc(c.Only, func(pattern string) bool { return glob.Match(pattern, name) })
}

// run starts the contenders of a heat, lets them take turns, and adds what it found.
func (c *compareCommand) run(ctx context.Context, h heat, found *comparison, log io.Writer) error {
	if !slices.ContainsFunc(h.contenders, func(k contender) bool { return k.ours }) || len(h.contenders) < 2 {
		return nil
	}
	var runners []*runner
	defer func() {
		for _, r := range runners {
			r.stop()
		}
	}()
	drop := func(name string, err error) {
		fmt.Fprintf(log, "%s %s: %s: %v\n", h.net, h.mode, name, err)
		found.Absent = append(found.Absent, absent{h.net, name, err.Error()})
	}
	for _, k := range h.contenders {
		fmt.Fprintf(log, "%s %s: starting %s\n", h.net, h.mode, k.name)
		r, err := start(ctx, k)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && k.ours:
			return fmt.Errorf("%s: %w", k.name, err)
		case err != nil:
			drop(k.name, err)
		default:
			runners = append(runners, r)
		}
	}
	all := map[*runner]*turns{}
	for _, r := range runners {
		all[r] = &turns{contender: r.contender, each: c.Turns}
	}
	for lap := range c.Rounds * c.Turns {
		if lap%c.Turns == 0 {
			fmt.Fprintf(log, "%s %s: round %d of %d\n", h.net, h.mode, lap/c.Turns+1, c.Rounds)
		}
		order := slices.Clone(runners)
		if lap%2 == 1 { // what drifts, drifts both ways
			slices.Reverse(order)
		}
		for _, r := range order {
			m, err := r.turn(c.Seconds / float64(c.Turns))
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err == nil {
				all[r].took = append(all[r].took, m)
				continue
			}
			runners = slices.DeleteFunc(runners, func(o *runner) bool { return o == r })
			if r.ours {
				return fmt.Errorf("%s: %w", r.name, err)
			}
			drop(r.name, err)
		}
	}
	var finished []*turns
	for _, r := range runners {
		finished = append(finished, all[r])
	}
	found.Ratios = append(found.Ratios, ratios(h, finished)...)
	return nil
}
