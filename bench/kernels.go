package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/bitgrad/bitgrad/internal/cpu"
	"github.com/bitgrad/bitgrad/internal/glob"
	"github.com/bitgrad/bitgrad/internal/host"
	"github.com/bitgrad/bitgrad/internal/measure"
)

type kernelsCommand struct {
	Net     []string `placeholder:"NAME" help:"Networks whose shapes are run; all unless given."`
	Kernel  []string `placeholder:"NAME" help:"Kernels that run, by their names in the table; all unless given."`
	Batch   int      `default:"32" placeholder:"N" help:"Images per run."`
	Threads int      `placeholder:"N" help:"Number of threads, one for each core unless given."`
	Seconds float64  `default:"0.1" placeholder:"X" help:"How long each kernel runs in a round."`
	Rounds  int      `default:"1" placeholder:"N" help:"How often all kernels are measured."`
	JSON    bool     `name:"json" help:"Print one JSON document instead of tables."`
}

// kernelDocument is what --json prints.
type kernelDocument struct {
	CPU     string               `json:"cpu"`
	Level   string               `json:"level"`
	Threads int                  `json:"threads"`
	Batch   int                  `json:"batch"`
	Limits  measure.Limits       `json:"limits"`
	Kernels []measure.KernelLine `json:"kernels"`
	Sums    []kernelSum          `json:"sums"`
}

// A kernelSum is a kernel over all shapes of a network, each as often as it occurs.
type kernelSum struct {
	Net    string `json:"net"`
	Which  string `json:"which"`
	Kernel string `json:"kernel"`
	// Seconds is the time of the fastest round.
	Seconds float64 `json:"seconds"`
	MACs    int64   `json:"macs"`
	// OfPeak is the median of the rounds, LowerQuartile their lower quartile: all operations over those that the peaks
	// beside the kernels allow in all the time.
	OfPeak        float64 `json:"of_peak"`
	LowerQuartile float64 `json:"of_peak_lower_quartile"`
}

// Run measures limits and kernels.
func (k *kernelsCommand) Run(ctx context.Context, std streams) error {
	if err := cpu.Err(); err != nil {
		return fmt.Errorf("%w: %w", errCall, err)
	}
	if min(k.Batch, k.Rounds) < 1 || k.Threads < 0 || !(k.Seconds > 0) {
		return fmt.Errorf("%w: batch %d, %d threads, %d rounds of %v seconds: must be positive", errCall, k.Batch, k.Threads, k.Rounds, k.Seconds)
	}
	for _, name := range k.Kernel {
		if !slices.Contains(measure.KernelNames, name) {
			return fmt.Errorf("%w: kernel %q: must be one of %s%s", errCall, name, strings.Join(measure.KernelNames, ", "), glob.Hint(name, measure.KernelNames))
		}
	}
	chosen := k.Net
	if len(chosen) == 0 {
		for _, n := range nets {
			chosen = append(chosen, n.name)
		}
	}
	var names []string
	for _, n := range chosen {
		name, err := layersName(n)
		if err != nil {
			return err
		}
		names = append(names, name)
	}
	d := kernelDocument{CPU: host.Processor(), Level: cpu.Level().String(), Batch: k.Batch, Limits: measure.Measure(k.Threads)}
	d.Threads = d.Limits.Threads
	rounds := make([][]measure.KernelLine, k.Rounds)
	for r := range rounds {
		for i, name := range names {
			lines, err := measure.Kernels(ctx, name, measure.KernelOptions{Batch: k.Batch, Seconds: k.Seconds, Limits: d.Limits, Only: k.Kernel})
			if err != nil {
				return err
			}
			for j := range lines {
				lines[j].Net = chosen[i]
			}
			rounds[r] = append(rounds[r], lines...)
		}
	}
	d.Kernels = fastest(rounds)
	for _, net := range chosen {
		d.Sums = append(d.Sums, sums(net, "convolutions from 16 channels", rounds, func(l measure.KernelLine) bool {
			return l.Channels >= 16 && !strings.HasPrefix(l.Shape, "linear") && !strings.Contains(l.Shape, "depthwise")
		})...)
		d.Sums = append(d.Sums, sums(net, "all", rounds, func(measure.KernelLine) bool { return true })...)
	}
	if k.JSON {
		return json.NewEncoder(std.stdout).Encode(d)
	}
	return d.write(std.stdout)
}

// fastest returns each line of the round in which it took the least time.
func fastest(rounds [][]measure.KernelLine) []measure.KernelLine {
	best := slices.Clone(rounds[0])
	for _, lines := range rounds[1:] {
		for i, l := range lines {
			if l.Seconds < best[i].Seconds {
				best[i] = l
			}
		}
	}
	return best
}

// sums adds up the lines of a network that are wanted, by kernel.
func sums(net, which string, rounds [][]measure.KernelLine, want func(measure.KernelLine) bool) []kernelSum {
	var found []kernelSum
	for _, kernel := range measure.KernelNames {
		s := kernelSum{Net: net, Which: which, Kernel: kernel, Seconds: math.Inf(1)}
		wanted := func(l measure.KernelLine) bool { return l.Net == net && l.Kernel == kernel && want(l) }
		var shares []float64
		for _, lines := range rounds {
			seconds, possible, macs := addUp(lines, wanted)
			s.Seconds, s.MACs = min(s.Seconds, seconds), macs
			shares = append(shares, 2*float64(macs)/possible)
		}
		if s.MACs == 0 {
			continue
		}
		spread := measure.SpreadOf(shares)
		s.OfPeak, s.LowerQuartile = spread.Median, spread.Lower
		found = append(found, s)
	}
	return found
}

// addUp returns the time of some lines, the operations that the peaks beside them allow in it, and their
// multiply-accumulates.
func addUp(lines []measure.KernelLine, wanted func(measure.KernelLine) bool) (seconds, possible float64, macs int64) {
	for _, l := range lines {
		if wanted(l) {
			took := float64(l.Count) * l.Seconds
			seconds += took
			possible += took * l.Peak
			macs += int64(l.Count) * l.MACs
		}
	}
	return seconds, possible, macs
}

func (d *kernelDocument) write(w io.Writer) error {
	fmt.Fprintf(w, "%s (%s), %d threads; kernels on batches of %d\n", d.CPU, d.Level, d.Threads, d.Batch)
	if err := d.Limits.WriteText(w); err != nil {
		return err
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "net\tnode\tnodes\tshape\tkernel\tms\tGOP/s\tof peak\tof limit\tlimit")
	for _, l := range d.Kernels {
		name := l.Kernel
		if l.Tiles {
			name += " by tiles"
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\t%.3f\t%.1f\t%.1f %%\t%.1f %%\t%s\n", l.Net, l.Node, l.Count, l.Shape, name,
			1e3*l.Seconds, 2e-9*float64(l.MACs)/l.Seconds, 100*l.OfPeak, 100*l.Share, l.Limit)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	fmt.Fprintln(t, "net\tshapes\tkernel\tms\tGOP/s\tof peak\tlower quartile")
	for _, s := range d.Sums {
		fmt.Fprintf(t, "%s\t%s\t%s\t%.3f\t%.1f\t%.1f %%\t%.1f %%\n", s.Net, s.Which, s.Kernel, 1e3*s.Seconds, 2e-9*float64(s.MACs)/s.Seconds, 100*s.OfPeak, 100*s.LowerQuartile)
	}
	return t.Flush()
}
