package fakequant

import (
	"fmt"
	"strings"
)

// words is the format, and the fractional length where the spec gives it.
func (q *Quantizer) words() string {
	if q.FixedFL == nil {
		return q.Format.String()
	}
	return fmt.Sprintf("%s fl %d", q.Format, *q.FixedFL)
}

// Report says what Prepare did.
type Report struct {
	Net  string
	Rows []Row
}

// Row is one layer of a report.
type Row struct {
	Name, Kind string
	// Edge is "input" or "logits" for the edges of the network.
	Edge string
	// Weights, Out and In, of a requantized edge, are the formats in words, empty
	// where nothing is quantized.
	Weights, Out, In            string
	WeightBits, OutBits, InBits int
	// Folded names the batch norm that went into the weight.
	Folded string
	// Why says what kept the layer, or part of it, float.
	Why string
}

// String prints a line per layer.
func (r *Report) String() string {
	var b strings.Builder
	for _, w := range r.Rows {
		fmt.Fprintf(&b, "%s (%s):", w.Name, w.Kind)
		var parts []string
		if w.In != "" {
			parts = append(parts, "input "+w.In)
		}
		if w.Weights != "" {
			parts = append(parts, "weights "+w.Weights)
		}
		if w.Folded != "" {
			parts = append(parts, "batch norm "+w.Folded+" folded in")
		}
		switch {
		case w.Out != "":
			parts = append(parts, "output "+w.Out)
		case w.Edge == LogitsEdge:
			parts = append(parts, "logits stay accumulators")
		}
		if w.Why != "" {
			parts = append(parts, "not quantized: "+w.Why)
		}
		if len(parts) == 0 {
			parts = append(parts, "not quantized")
		}
		b.WriteString(" " + strings.Join(parts, "; ") + "\n")
	}
	return b.String()
}
