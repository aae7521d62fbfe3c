package measure

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/bitgrad/bitgrad/internal/cpu"
	"github.com/bitgrad/bitgrad/internal/host"
)

// A Report is what bitgrad bench prints; docs/json.md describes its fields.
type Report struct {
	Net                string   `json:"net"`
	Mode               string   `json:"mode"`
	Phase              *string  `json:"phase"`
	Quant              string   `json:"quant"`
	Rules              []string `json:"rules"`
	Batch              int      `json:"batch"`
	Threads            int      `json:"threads"`
	CPU                string   `json:"cpu"`
	Level              string   `json:"level"`
	ImagesPerS         float64  `json:"images_per_s"`
	SecondsPerStep     float64  `json:"seconds_per_step"`
	BestSecondsPerStep float64  `json:"best_seconds_per_step"`
	Steps              int      `json:"steps"`
	AllocsPerStep      float64  `json:"allocs_per_step"`
	PlannedBytes       int      `json:"planned_bytes"`
	PeakRSSBytes       int64    `json:"peak_rss_bytes"`
	// Limits and Nodes are there if the step was looked at node by node.
	Limits *Limits `json:"limits"`
	Nodes  []Line  `json:"nodes"`
}

// Report sums up what was measured; p is nil where no profile was taken.
func (j *Job) Report(t Timing, p *Profile) *Report {
	r := &Report{
		Net: j.Net, Mode: j.Mode, Quant: j.Quant, Rules: append([]string{}, j.Rules...), Batch: j.Batch, Threads: j.Threads,
		CPU: host.Processor(), Level: cpu.Level().String(), ImagesPerS: t.ImagesPerSecond(), SecondsPerStep: t.Median.Seconds(),
		BestSecondsPerStep: t.Best.Seconds(), Steps: t.Steps, AllocsPerStep: t.Allocs, PlannedBytes: j.PlannedBytes(),
		PeakRSSBytes: t.PeakRSS, Nodes: []Line{},
	}
	if j.Phase != "" {
		r.Phase = &j.Phase
	}
	if p != nil {
		r.Limits, r.Nodes = &p.Limits, p.Lines
	}
	return r
}

// WriteJSON writes the document that --json prints.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// WriteText writes a table of the nodes, if there are any, and the rate.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	if len(r.Nodes) > 0 {
		r.writeLines(&b)
		r.writeTotals(&b)
		r.Limits.write(&b)
		b.WriteByte('\n')
	}
	what := []string{r.Net, r.Mode}
	if r.Quant != "float" {
		what = append(append(what, r.Quant), r.Rules...)
	}
	if r.Phase != nil {
		what = append(what, *r.Phase)
	}
	fmt.Fprintf(&b, "%s on %s (%s), batch %d, %d threads\n", strings.Join(what, " "), r.CPU, r.Level, r.Batch, r.Threads)
	fmt.Fprintf(&b, "%.1f images/s, %.3f ms a step, best %.3f of %d; %.1f allocations a step; %.1f MiB planned, %.1f MiB at the peak of the process\n",
		r.ImagesPerS, 1e3*r.SecondsPerStep, 1e3*r.BestSecondsPerStep, r.Steps, r.AllocsPerStep,
		float64(r.PlannedBytes)/(1<<20), float64(r.PeakRSSBytes)/(1<<20))
	_, err := io.WriteString(w, b.String())
	return err
}

// writeLines writes a row for every line.
func (r *Report) writeLines(w io.Writer) {
	t := newTable(w)
	t.row("node", "kind", "direction", "ms", "of all", "rate", "of limit", "", "allocs")
	all := r.watched()
	for i := range r.Nodes {
		l := &r.Nodes[i]
		allocs := ""
		if l.Allocs > 0 {
			allocs = fmt.Sprintf("%.1f", l.Allocs)
		}
		t.row(l.Node, l.Kind, l.Direction, fmt.Sprintf("%.3f", 1e3*l.Seconds), percent(l.Seconds/all), l.rate(), percent(l.Share), l.Limit, allocs)
	}
	t.flush()
}

// rate is operations per second where these are the limit, bytes per second elsewhere.
func (l *Line) rate() string {
	switch {
	case l.Seconds == 0:
		return ""
	case l.Limit == byFMA:
		return fmt.Sprintf("%.1f GFLOP/s", 2e-9*float64(l.MACs)/l.Seconds)
	case l.Limit == byDot:
		return fmt.Sprintf("%.1f GOP/s", 2e-9*float64(l.MACs)/l.Seconds)
	}
	return fmt.Sprintf("%.1f GB/s", 1e-9*float64(l.Bytes)/l.Seconds)
}

// watched returns the time of all lines together.
func (r *Report) watched() float64 {
	sum := 0.0
	for i := range r.Nodes {
		sum += r.Nodes[i].Seconds
	}
	return sum
}

// writeTotals adds up lines by kind and direction, those that take longest first.
func (r *Report) writeTotals(w io.Writer) {
	fmt.Fprintln(w)
	t := newTable(w)
	t.row("kind", "direction", "nodes", "ms", "of all", "of limit")
	all := r.watched()
	for _, s := range r.totals() {
		t.row(s.kind, s.direction, fmt.Sprint(s.nodes), fmt.Sprintf("%.3f", 1e3*s.seconds), percent(s.seconds/all), percent(s.least/s.seconds))
	}
	t.row("all", "", "", fmt.Sprintf("%.3f", 1e3*all), "", "")
	t.flush()
}

// A total is the sum of lines of one kind and direction.
type total struct {
	kind, direction string
	nodes           int
	seconds, least  float64
}

func (r *Report) totals() []total {
	var sums []total
	index := map[[2]string]int{}
	for i := range r.Nodes {
		l := &r.Nodes[i]
		key := [2]string{l.Kind, l.Direction}
		k, ok := index[key]
		if !ok {
			k = len(sums)
			index[key] = k
			sums = append(sums, total{kind: l.Kind, direction: l.Direction})
		}
		sums[k].nodes++
		sums[k].seconds += l.Seconds
		sums[k].least += l.Seconds * l.Share
	}
	slices.SortStableFunc(sums, func(a, b total) int { return cmp.Compare(b.seconds, a.seconds) })
	return sums
}

// write prints the limits of the machine.
func (l *Limits) write(w io.Writer) {
	fmt.Fprintln(w, "\nlimits of the machine:")
	t := newTable(w)
	t.row("", "1 thread", fmt.Sprintf("%d threads", l.Threads))
	t.row("fma: float32 multiply and add", fmt.Sprintf("%.1f GFLOP/s", 1e-9*l.FMA.One), fmt.Sprintf("%.1f GFLOP/s", 1e-9*l.FMA.All))
	t.row("dot: products of bytes into int32", fmt.Sprintf("%.1f GOP/s", 1e-9*l.Dot.One), fmt.Sprintf("%.1f GOP/s", 1e-9*l.Dot.All))
	if l.Tile.All > 0 {
		t.row("dot: the same on tiles", fmt.Sprintf("%.1f GOP/s", 1e-9*l.Tile.One), fmt.Sprintf("%.1f GOP/s", 1e-9*l.Tile.All))
	}
	for _, b := range l.Memory {
		t.row(fmt.Sprintf("memory: sum of arrays, %.1f MiB in use", float64(b.Bytes)/(1<<20)), fmt.Sprintf("%.1f GB/s", 1e-9*b.One), fmt.Sprintf("%.1f GB/s", 1e-9*b.All))
	}
	t.flush()
}

// WriteText writes the limits as a table.
func (l *Limits) WriteText(w io.Writer) error {
	var b strings.Builder
	l.write(&b)
	_, err := io.WriteString(w, strings.TrimPrefix(b.String(), "\n"))
	return err
}

func percent(x float64) string { return fmt.Sprintf("%.1f %%", 100*x) }

// table aligns columns and leaves no blanks at the ends of lines.
type table struct {
	to   io.Writer
	text *strings.Builder
	*tabwriter.Writer
}

func newTable(w io.Writer) table {
	text := &strings.Builder{}
	return table{w, text, tabwriter.NewWriter(text, 0, 0, 2, ' ', 0)}
}

func (t table) row(cells ...string) { fmt.Fprintln(t, strings.Join(cells, "\t")) }

func (t table) flush() {
	t.Flush()
	for line := range strings.Lines(t.text.String()) {
		fmt.Fprintln(t.to, strings.TrimRight(line, " \n"))
	}
}
