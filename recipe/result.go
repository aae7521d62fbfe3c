package recipe

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/bitgrad/bitgrad/export"
)

// A Result is what a run came to. Its JSON is the document that --json prints;
// docs/json.md describes every field. Pointers are nil where the run has no such
// number.
type Result struct {
	Net               string   `json:"net"`
	Data              string   `json:"data"`
	Seed              uint64   `json:"seed"`
	Threads           int      `json:"threads"`
	FloatAccuracy     *float64 `json:"float_accuracy"`
	QuantizedAccuracy *float64 `json:"quantized_accuracy"`
	IntegerAccuracy   *float64 `json:"integer_accuracy"`
	// Verify is nil where no integer model was made.
	Verify *export.Diff `json:"verify"`
	Layers []Layer      `json:"layers"`
	// FloatBytes is four bytes for each parameter and statistic of the float
	// network; IntegerBytes is the sum over Layers.
	FloatBytes   int64  `json:"float_bytes"`
	IntegerBytes *int64 `json:"integer_bytes"`
	ImagesPerS   Rates  `json:"images_per_s"`
	// Seconds is the time spent on the run, all of its sessions together.
	Seconds      float64 `json:"seconds"`
	PeakRSSBytes int64   `json:"peak_rss_bytes"`
	// Files maps what the run wrote to where it is.
	Files map[string]string `json:"files"`

	dir  string
	done bool
}

// Rates are images per second of evaluation, each on all threads of the run.
type Rates struct {
	Float     *float64 `json:"float"`
	Quantized *float64 `json:"quantized"`
	Integer   *float64 `json:"integer"`
}

// Dir returns the directory of the run.
func (r *Result) Dir() string { return r.dir }

// Finished reports whether the run had been finished before, so that nothing was
// done.
func (r *Result) Finished() bool { return r.done }

// WriteJSON writes the document that --json prints.
func (r *Result) WriteJSON(w io.Writer) error { return writeJSON(w, r) }

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// WriteTable writes the result as a table per layer and a few lines.
func (r *Result) WriteTable(w io.Writer) error {
	var b strings.Builder
	if len(r.Layers) > 0 {
		writeLayers(&b, r.Layers)
		b.WriteByte('\n')
	}
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row := func(name string, accuracy *float64, bytes, rate string) {
		if accuracy != nil {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", name, percent(*accuracy), bytes, rate)
		}
	}
	fmt.Fprintf(t, "%s on %s\taccuracy\tsize\tspeed\n", r.Net, r.Data)
	row("float", r.FloatAccuracy, size(r.FloatBytes), speed(r.ImagesPerS.Float))
	row("quantized", r.QuantizedAccuracy, "", speed(r.ImagesPerS.Quantized))
	if r.IntegerBytes != nil {
		row("integer", r.IntegerAccuracy, size(*r.IntegerBytes), speed(r.ImagesPerS.Integer))
	}
	t.Flush()
	if v := r.Verify; v != nil {
		fmt.Fprintf(&b, "\nverify: %s codes of %s images compared, %s differ\n", group(v.Codes), group(int64(v.Images)), group(v.Mismatches))
	}
	fmt.Fprintf(&b, "time: %.1f s on %d threads, at most %s of memory\n", r.Seconds, r.Threads, size(r.PeakRSSBytes))
	for _, name := range sortedNames(r.Files) {
		fmt.Fprintf(&b, "%s: %s\n", name, r.Files[name])
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func writeLayers(w io.Writer, layers []Layer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "layer\tkind\tweights\tin\tout\tparams\tMACs\tbytes")
	for _, l := range layers {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.Name, l.Kind,
			column(l.WeightBits, l.WeightFL, l.WeightScale, l.WeightZeroPoint),
			column(l.InBits, l.InFL, l.InScale, l.InZeroPoint),
			column(l.OutBits, l.OutFL, l.OutScale, l.OutZeroPoint),
			group(int64(l.Params)), group(l.MACs), group(l.Bytes))
	}
	t.Flush()
}

// column writes a grid: "8 bit fl 7", "8 bit 0.0123+5".
func column(bits *int, fl, scale *PerScale, zero *int) string {
	if bits == nil {
		return "-"
	}
	text := strconv.Itoa(*bits) + " bit"
	if fl != nil {
		text += " fl " + span(*fl, "%.0f")
	}
	if scale != nil {
		text += " × " + span(*scale, "%.4g")
		if zero != nil && *zero != 0 {
			text += fmt.Sprintf(" z %d", *zero)
		}
	}
	return text
}

// span writes a number, or the smallest and the largest of several.
func span(p PerScale, format string) string {
	lo, hi := p[0], p[0]
	for _, x := range p {
		lo, hi = min(lo, x), max(hi, x)
	}
	if lo == hi {
		return fmt.Sprintf(format, lo)
	}
	return fmt.Sprintf(format+"…"+format, lo, hi)
}

func percent(x float64) string { return fmt.Sprintf("%.2f %%", 100*x) }

func speed(rate *float64) string {
	if rate == nil {
		return ""
	}
	return group(int64(*rate)) + " images/s"
}

func size(bytes int64) string {
	switch {
	case bytes >= 10<<20:
		return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
	case bytes >= 10<<10:
		return fmt.Sprintf("%.1f KiB", float64(bytes)/(1<<10))
	}
	return fmt.Sprintf("%d bytes", bytes)
}

// group writes a whole number with commas.
func group(n int64) string {
	s := strconv.FormatInt(n, 10)
	start := 0
	if n < 0 {
		start = 1
	}
	for i := len(s) - 3; i > start; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
