package autograd

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// Dump writes one line per node, in the order they run: name, kind, operands,
// type, trained scalars, multiply-accumulates per sample, and remarks; then the
// totals. A graph with a mistake is written as far as it was built.
func (g *Graph) Dump(w io.Writer) error {
	t := newTable(w)
	t.row("node", "kind", "operands", "type", "params", "MACs", "remarks")
	params, macs := 0, int64(0)
	for _, n := range g.nodes {
		in := make([]string, len(n.in))
		for i, k := range n.in {
			in[i] = k.name
		}
		scalars := 0
		if n.param != nil {
			scalars = len(n.param.Value)
		}
		params += scalars
		macs += n.spec.MACs
		t.row(n.name, n.Kind(), strings.Join(in, " "), n.typ.String(), count(int64(scalars)), count(n.spec.MACs), n.remarks())
	}
	t.row(fmt.Sprintf("%d nodes", len(g.nodes)), "", "", "", count(int64(params)), count(macs), "")
	return t.flush()
}

// remarks joins the note of the operation, the outputs that are the node, the
// role of a parameter and the tags.
func (n *Node) remarks() string {
	var r []string
	if n.param != nil {
		r = append(r, n.param.Role.String())
		if n.param.Frozen {
			r = append(r, "frozen")
		}
	}
	if n.spec.Note != "" {
		r = append(r, n.spec.Note)
	}
	for _, o := range n.graph.order {
		if n.graph.outputs[o] == n {
			r = append(r, "output "+o)
		}
	}
	keys := make([]string, 0, len(n.tags))
	for k := range n.tags {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		r = append(r, k+"="+n.tags[k])
	}
	return strings.Join(r, ", ")
}

// Plan writes the memory plan: one line per buffer with its element type,
// bytes, offset in the arena and life in ticks of the schedule (Forward of node
// i of F is tick i, Backward tick 2F−1−i); then the bytes of the arena, of the
// scratch region, and of all buffers together, which is what the program would
// need if it used no memory twice. Parameters and their gradients live outside.
func (p *Program) Plan(w io.Writer) error {
	t := newTable(w)
	t.row("buffer", "type", "bytes", "offset", "first", "last")
	sum := 0
	for _, b := range p.plan.all {
		sum += b.bytes
		last := fmt.Sprint(b.last)
		if b.last >= 2*len(p.drafts) {
			last = "end"
		}
		t.row(b.name, b.dtype.String(), fmt.Sprint(b.bytes), fmt.Sprint(b.off), fmt.Sprint(b.first), last)
	}
	if err := t.flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "peak %d bytes, scratch %d bytes, without reuse %d bytes\n", p.plan.size, p.plan.scratch, sum)
	return err
}

// Bytes returns the memory of the program: its buffers and its scratch region,
// and what the buffers would need if none were used twice. Parameters, their
// gradients and what the steps keep for themselves come on top.
func (p *Program) Bytes() (planned, withoutReuse int) {
	for _, b := range p.plan.all {
		withoutReuse += b.bytes
	}
	return p.plan.size + p.plan.scratch, withoutReuse + p.plan.scratch
}

// count prints a number, and nothing for 0.
func count(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

// table writes aligned columns without trailing blanks.
type table struct {
	w    io.Writer
	text strings.Builder
	tab  *tabwriter.Writer
}

func newTable(w io.Writer) *table {
	t := &table{w: w}
	t.tab = tabwriter.NewWriter(&t.text, 0, 0, 2, ' ', 0)
	return t
}

func (t *table) row(cells ...string) { fmt.Fprintln(t.tab, strings.Join(cells, "\t")) }

func (t *table) flush() error {
	if err := t.tab.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(t.text.String()) {
		if _, err := fmt.Fprintln(t.w, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}
