package cgen

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/bitgrad/bitgrad/integer"
	"github.com/bitgrad/bitgrad/internal/files"
)

// Options say what is written. The zero value writes a header named after the
// model and no test program.
type Options struct {
	// Prefix begins the names of the files and every identifier in them: letters, digits
	// and underscores, a letter first, at most 40. "" means the name of the
	// model, with underscores for what C does not allow.
	Prefix string
	// Images are the test vectors of a model that takes pixels: one image each,
	// [H W C].
	Images [][]uint8
	// Samples are the test vectors of a model that takes float32 samples: one each,
	// [H W C].
	Samples [][]float32
}

// Write writes PREFIX.h and, if the options hold test vectors, PREFIX_test.c to
// directory dir, which it creates, and returns their paths. Files of these names
// are replaced. The text depends on the model and the options only.
func Write(dir string, m *integer.Model, o Options) ([]string, error) {
	p, err := newProgram(m, o)
	if err != nil {
		return nil, err
	}
	texts := []struct {
		name  string
		write func(io.Writer) error
	}{{p.prefix + ".h", p.header}}
	if len(o.Images)+len(o.Samples) > 0 {
		texts = append(texts, struct {
			name  string
			write func(io.Writer) error
		}{p.prefix + "_test.c", p.test})
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, fmt.Errorf("cgen: %w", err)
	}
	var paths []string
	for _, t := range texts {
		path := filepath.Join(dir, t.name)
		if err := files.WriteAtomic(path, t.write); err != nil {
			return nil, fmt.Errorf("cgen: %w", err)
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// WriteHeader writes the text of PREFIX.h to w.
func WriteHeader(w io.Writer, m *integer.Model, o Options) error {
	p, err := newProgram(m, o)
	if err != nil {
		return err
	}
	return p.header(w)
}

// WriteTest writes the text of PREFIX_test.c to w: a program that runs the test
// vectors of o, compares the codes of every node with those of
// [integer.Interpret], prints the first that differs and the name of its
// node, and returns the number of differences, at most 100.
func WriteTest(w io.Writer, m *integer.Model, o Options) error {
	p, err := newProgram(m, o)
	if err != nil {
		return err
	}
	return p.test(w)
}

// A program is a model on its way to C.
type program struct {
	model  *integer.Model
	o      Options
	prefix string
	plan   plan

	constants bytes.Buffer // the arrays
	functions bytes.Buffer // one per node
	helpers   map[string]bool
	floats    bool // some function computes with floats
	weights   int  // bytes of weights
	other     int  // bytes of the other arrays
	scratch   int  // codes of the longest row of packed weights
}

// newProgram translates every node.
func newProgram(m *integer.Model, o Options) (*program, error) {
	p := &program{model: m, o: o, helpers: map[string]bool{}}
	var err error
	if p.prefix, err = choosePrefix(o.Prefix, m.Name); err != nil {
		return nil, err
	}
	for i := range m.Nodes {
		if err := checkType(&m.Nodes[i]); err != nil {
			return nil, err
		}
	}
	p.plan = newPlan(m)
	for i := range m.Nodes {
		if err := p.node(i); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// checkType refuses what no array of C here can hold.
func checkType(n *integer.Node) error {
	if b := n.Out.Bits; b < 1 || b > 16 && b != 32 && b != 64 {
		return unsupported(n, "codes of %d bits: must be 1 to 16, 32 or 64", b)
	}
	if b := n.Out.Bits; b > 16 && !n.Out.Signed {
		return unsupported(n, "unsigned accumulators")
	}
	return nil
}

// node writes the function of node i, and its constants.
func (p *program) node(i int) error {
	n := &p.model.Nodes[i]
	in := make([]*integer.Node, len(n.In))
	for k, j := range n.In {
		in[k] = &p.model.Nodes[j]
	}
	f := &function{program: p, node: n, in: in, name: nodeIdentifier(p.prefix, i, n.Name)}
	var err error
	switch op := n.Op.(type) {
	case *integer.Input:
		err = f.input(op)
	case *integer.InputFloat:
		err = f.inputFloat(op)
	case *integer.Conv:
		err = f.conv(op)
	case *integer.Linear:
		err = f.linear(op)
	case *integer.Add:
		err = f.add(op)
	case *integer.Multiply:
		err = f.multiply(op)
	case *integer.MaxPool:
		f.maxPool(op)
	case *integer.AvgPool:
		err = f.avgPool(op)
	case *integer.Concat:
		err = f.concat(op)
	case *integer.Pad:
		f.pad(op)
	case *integer.Slice:
		f.slice(op)
	case *integer.Reshape: // shares the memory of its operand, in the same order
	case *integer.Table:
		f.table(op)
	case *integer.Requantize:
		err = f.requantize(op)
	default:
		err = unsupported(n, "an op of type %T", n.Op)
	}
	if err != nil {
		return err
	}
	p.functions.Write(f.text.Bytes())
	return nil
}

// use marks a helper, and those that it needs, as used and returns its name in C.
func (p *program) use(name string) string {
	p.helpers[name] = true
	for _, h := range helpers {
		if h.name != name {
			continue
		}
		p.floats = p.floats || h.floats
		for _, other := range h.needs {
			p.use(other)
		}
	}
	return p.prefix + "_" + name
}

// header writes the text of PREFIX.h.
func (p *program) header(w io.Writer) error {
	b := bufio.NewWriter(w)
	out := p.model.Nodes[p.model.Output].Out
	e := &expander{w: b, words: map[string]string{
		"P": p.prefix, "UP": strings.ToUpper(p.prefix), "INPUT": p.inputType(), "LOGIT": p.logitType().String(),
		"OUTPUTS": fmt.Sprint(out.Len()), "OUTPUT": p.location(p.model.Output), "CODE": typeOf(&p.model.Nodes[p.model.Output]).String(),
	}}
	b.WriteString(p.introduction())
	e.text(declarations)
	if p.floats {
		e.text(floatGuard)
	}
	b.Write(p.constants.Bytes())
	p.memory(b)
	for _, h := range helpers {
		if p.helpers[h.name] {
			e.text(h.text)
		}
	}
	b.Write(p.functions.Bytes())
	p.trace(e)
	e.text(entryPoints)
	return b.Flush()
}

// inputType returns the C type of an element of an image.
func (p *program) inputType() string {
	if _, ok := p.model.Input().Op.(*integer.InputFloat); ok {
		return "float"
	}
	return "uint8_t"
}

// logitType returns the C type of the codes that run hands out.
func (p *program) logitType() ctype {
	return storage(max(p.model.Nodes[p.model.Output].Out.Bits, 32), true)
}

// introduction returns the comment at the head of the file.
func (p *program) introduction() string {
	var s strings.Builder
	in, out := p.model.Input().Out, &p.model.Nodes[p.model.Output]
	fmt.Fprintf(&s, "/*\n * %s: an integer model in C99. Generated by Bitgrad; do not edit.\n *\n", comment(p.model.Name))
	fmt.Fprintf(&s, " * In:  one image, %s [H W C] = [%d %d %d].\n", p.inputType(), in.H, in.W, in.C)
	fmt.Fprintf(&s, " * Out: the codes of %s, %v.\n *\n", comment(out.Name), out.Out)
	fmt.Fprintf(&s, " * Constants: %d bytes of weights, %d bytes of biases, factors and tables.\n", p.weights, p.other)
	fmt.Fprintf(&s, " * Static memory: %d bytes. The stack holds a few loop counters.\n *\n", p.ram())
	s.WriteString(` * In one file of the program, before including this header:
 *
 *     #define ` + strings.ToUpper(p.prefix) + `_IMPLEMENTATION
 *
 * Compile with -ffp-contract=off and without -ffast-math: every float product is
 * rounded before it is added to another, and numbers below 2^-126 are kept. The
 * functions share static memory: call them from one thread at a time.
 *
 * Nodes:
`)
	for i := range p.model.Nodes {
		n := &p.model.Nodes[i]
		fmt.Fprintf(&s, " * %3d %-12s %-18v %s\n", i, n.Op.Kind(), n.Out, comment(n.Name))
	}
	s.WriteString(" */\n")
	return s.String()
}

// memory declares one array for each width of codes.
func (p *program) memory(w *bufio.Writer) {
	for k, n := range p.plan.extents {
		if n > 0 {
			t := ctype{bits: 8 << k, signed: true}
			fmt.Fprintf(w, "static %v %s_memory%d[%d];\n", t, p.prefix, 8<<k, n)
		}
	}
	if p.scratch > 0 {
		fmt.Fprintf(w, "static int8_t %s_row[%d]; /* unpacked weights of one output channel */\n", p.prefix, p.scratch)
	}
	w.WriteByte('\n')
}

// ram returns the bytes of static memory.
func (p *program) ram() int64 {
	total := int64(p.scratch)
	for k, n := range p.plan.extents {
		total += n << k
	}
	return total
}

// location returns the expression that points to the codes of node i.
func (p *program) location(i int) string {
	t := typeOf(&p.model.Nodes[i])
	memory := plus(fmt.Sprintf("%s_memory%d", p.prefix, t.bits), p.plan.offsets[i])
	if t.signed {
		return memory
	}
	return fmt.Sprintf("(%v *)(%s)", t, memory)
}

// trace writes the function that runs every node.
func (p *program) trace(e *expander) {
	e.text("void $P_trace(const $INPUT *image, $P_tap tap, void *context)\n{\n")
	for i := range p.model.Nodes {
		n := &p.model.Nodes[i]
		t := typeOf(n)
		if _, ok := n.Op.(*integer.Reshape); !ok {
			args := []string{"image"}
			if i > 0 {
				args = args[:0]
			}
			for _, j := range n.In {
				args = append(args, p.location(j))
			}
			fmt.Fprintf(e.w, "    %s(%s);\n", nodeIdentifier(p.prefix, i, n.Name), strings.Join(append(args, p.location(i)), ", "))
		}
		fmt.Fprintf(e.w, "    if (tap)\n        tap(context, %d, %s, %d, %d);\n", i, p.location(i), t.tag(), n.Out.Len())
	}
	e.text("}\n\n")
}
