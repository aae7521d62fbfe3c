package cgen

import (
	"bytes"
	"errors"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bitgrad/bitgrad/integer"
	"github.com/bitgrad/bitgrad/internal/files"
	"github.com/bitgrad/bitgrad/quant"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestGoldenHeader(t *testing.T) {
	m := tiny(t)
	for name, write := range map[string]func(*bytes.Buffer) error{
		"tiny.h":      func(b *bytes.Buffer) error { return WriteHeader(b, m, Options{Prefix: "tiny"}) },
		"tiny_test.c": func(b *bytes.Buffer) error { return WriteTest(b, m, Options{Prefix: "tiny", Images: noise(m, 2)}) },
	} {
		var got, again bytes.Buffer
		if err := errors.Join(write(&got), write(&again)); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), again.Bytes()) {
			t.Errorf("%s: two texts of one model differ", name)
		}
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, got.Bytes(), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s differs from testdata (run with -update to accept):\n%s", name, got.Bytes())
		}
	}
}

func TestPrefix(t *testing.T) {
	tests := []struct{ prefix, model, want string }{
		{"", "lenet", "lenet"},
		{"", "LeNet-5 (w4)", "LeNet_5__w4_"},
		{"", "5-layer", "layer"},
		{"", "", "model"},
		{"", "七", "model"},
		{"", strings.Repeat("a", 99), strings.Repeat("a", maxPrefix)},
		{"Net_2", "x", "Net_2"},
		{"2net", "x", ""},
		{"_net", "x", ""},
		{"my net", "x", ""},
		{"net;", "x", ""},
		{strings.Repeat("a", maxPrefix+1), "x", ""},
	}
	for _, test := range tests {
		got, err := choosePrefix(test.prefix, test.model)
		if got != test.want || (err == nil) != (test.want != "") || err != nil && !errors.Is(err, ErrPrefix) {
			t.Errorf("prefix %q, model %q: %q, %v, want %q", test.prefix, test.model, got, err, test.want)
		}
	}
}

func TestNamesCannotEscape(t *testing.T) {
	for in, want := range map[string]string{
		"a*/b":   "a* /b",
		"/*":     "/ *",
		"a\nb\\": "a?b?",
		"plain":  "plain",
	} {
		if got := comment(in); got != want {
			t.Errorf("comment %q: %q, want %q", in, got, want)
		}
	}
	if got, want := quote("a\"\\?é\n"), `"a\"\\\?\303\251\012"`; got != want {
		t.Errorf("literal %s, want %s", got, want)
	}
	if a, b := nodeIdentifier("p", 1, "conv.1"), nodeIdentifier("p", 2, "conv/1"); a == b || a != "p_1_conv_1" {
		t.Errorf("nodes conv.1 and conv/1 are called %s and %s", a, b)
	}
}

func TestPackedCodes(t *testing.T) {
	// 3-bit codes −1 and 2, then −4: 111 and 010 and 100 from the lowest bit on, rows of 3.
	got := packed([]int32{-1, 2, -4, 0, 0, 1}, 3, 3)
	if want := []uint8{0b00_010_111, 0b1, 0b01_000_000, 0}; !slices.Equal(got, want) {
		t.Errorf("%08b, want %08b", got, want)
	}
}

func TestConstants(t *testing.T) {
	for v, want := range map[float32]string{
		0: "0.0f", 1: "1.0f", -128: "-128.0f", 0.5: "0x1p-01f", 0.1: "0x1.99999ap-04f",
		math.SmallestNonzeroFloat32: "0x1p-149f", 1 << 40: "0x1p+40f",
	} {
		if got := float(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
	for v, want := range map[int64]string{
		-1: "-1", math.MinInt32: "INT32_MIN", math.MaxInt32: "2147483647", 1 << 31: "INT64_C(2147483648)", math.MinInt64: "INT64_MIN",
	} {
		if got := literal(v); got != want {
			t.Errorf("%d: %s, want %s", v, got, want)
		}
	}
	if got, want := quotient(1, 3), float32(1.0/3); got != want {
		t.Errorf("1/3: %v, want %v", got, want)
	}
}

// TestPlan holds plans of random models to what they promise.
func TestPlan(t *testing.T) {
	models, _, _ := drawModels(t, 77, 60)
	saved := 0
	for _, m := range models {
		p := newPlan(m)
		last := make([]int, len(m.Nodes)) // the last step that reads the codes of a node
		for i, n := range m.Nodes {
			last[i] = max(last[i], i)
			for _, j := range n.In {
				last[j] = i
			}
		}
		last[m.Output] = len(m.Nodes)
		for i := len(m.Nodes) - 1; i > 0; i-- { // codes of a reshape are those of its operand
			if _, ok := m.Nodes[i].Op.(*integer.Reshape); ok {
				j := m.Nodes[i].In[0]
				last[j] = max(last[j], last[i])
				if p.offsets[i] != p.offsets[j] {
					t.Errorf("%s: reshape %d moves", m.Name, i)
				}
			}
		}
		total := int64(0)
		for i := range m.Nodes {
			a := &m.Nodes[i]
			total += int64(a.Out.Len())
			if end := p.offsets[i] + int64(a.Out.Len()); end > p.extents[widthIndex(a)] {
				t.Errorf("%s: node %d ends at %d of %d", m.Name, i, end, p.extents[widthIndex(a)])
			}
			if _, ok := a.Op.(*integer.Reshape); ok {
				continue
			}
			for j := range i {
				b := &m.Nodes[j]
				meet := p.offsets[i] < p.offsets[j]+int64(b.Out.Len()) && p.offsets[j] < p.offsets[i]+int64(a.Out.Len())
				if meet && last[j] >= i && widthIndex(a) == widthIndex(b) {
					t.Errorf("%s: node %d overwrites node %d, which node %d reads", m.Name, i, j, last[j])
				}
			}
		}
		for _, n := range p.extents {
			total -= n
		}
		if total > 0 {
			saved++
		}
	}
	if saved < len(models)/2 {
		t.Errorf("only %d of %d plans save memory", saved, len(models))
	}
}

// TestInputCodes compares the tables of pixels with those of the model, which were
// computed by package quant.
func TestInputCodes(t *testing.T) {
	d := &drawer{Rand: rand.New(rand.NewPCG(3, 3))}
	for range 300 {
		d.shift = d.chance(2)
		g := d.grid()
		g.Reciprocal = d.chance(2)
		r := quant.Rounding(d.IntN(4))
		a, b := d.Float32(), 100*d.Float32()-50
		if d.chance(3) { // ties
			a, b, g.Scale = 0.25, 0, []float32{0.5}
		}
		table, err := quant.InputTable([]float32{a}, []float32{b}, g, r)
		if err != nil {
			t.Fatal(err)
		}
		for p := range 256 {
			if got := inputCode(float32(p), a, b, g, r); got != table[0][p] {
				t.Fatalf("pixel %d·%v + %v on %v by %v: %d, package quant has %d", p, a, b, g, r, got, table[0][p])
			}
		}
		for _, x := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), math.MaxFloat32} {
			if got, want := inputCode(x, a, b, g, r), quant.InputCode(x, a, b, g, r); got != want {
				t.Fatalf("%v on %v: %d, package quant has %d", x, g, got, want)
			}
		}
	}
}

func TestVectorErrors(t *testing.T) {
	m := tiny(t)
	for name, o := range map[string]Options{
		"none":    {},
		"short":   {Images: [][]uint8{make([]uint8, 15)}},
		"samples": {Samples: [][]float32{make([]float32, 16)}},
	} {
		if err := WriteTest(new(bytes.Buffer), m, o); !errors.Is(err, ErrVectors) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if paths, err := Write(t.TempDir(), m, Options{}); err != nil || len(paths) != 1 || filepath.Base(paths[0]) != "tiny_net.h" {
		t.Errorf("paths %v, error %v", paths, err)
	}
	if _, err := Write(t.TempDir(), m, Options{Prefix: "a b"}); !errors.Is(err, ErrPrefix) {
		t.Errorf("prefix: error %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Write(filepath.Join(file, "dir"), m, Options{}); err == nil {
		t.Error("a directory within a file is no error")
	}
}

// A writer that fails, early or late, is an error.
func TestFullDisk(t *testing.T) {
	m := tiny(t)
	o := Options{Images: [][]uint8{make([]uint8, 16)}}
	for name, write := range map[string]func(io.Writer, *integer.Model, Options) error{"header": WriteHeader, "test": WriteTest} {
		var whole bytes.Buffer
		if err := write(&whole, m, o); err != nil {
			t.Fatal(err)
		}
		for n := 0; n < whole.Len(); n += 61 {
			if err := write(files.LimitSpace(int64(n))(io.Discard), m, o); !errors.Is(err, files.ErrNoSpace) {
				t.Fatalf("%s with room for %d of %d bytes: %v", name, n, whole.Len(), err)
			}
		}
	}
}

// otherRule is a rule that C knows nothing of.
type otherRule struct{}

func (otherRule) Apply(a, b int32) int32 { return a + b }

func TestUnsupportedIsNamed(t *testing.T) {
	m := tiny(t)
	change := func(i int, edit func(*integer.Node)) *integer.Model {
		c := *m
		c.Nodes = slices.Clone(m.Nodes)
		edit(&c.Nodes[i])
		return &c
	}
	for name, test := range map[string]struct {
		m    *integer.Model
		text string
	}{
		"op":    {change(2, func(n *integer.Node) { n.Op = nil }), "cgen: pool1 (no op): an op of type <nil>"},
		"width": {change(1, func(n *integer.Node) { n.Out.Bits = 24 }), "cgen: conv1 (conv): codes of 24 bits: must be 1 to 16, 32 or 64"},
		"add": {change(3, func(n *integer.Node) { n.Op, n.In = &integer.Add{Rule: otherRule{}}, []int{1, 2} }),
			"cgen: flatten (add): a rule of type cgen.otherRule"},
		"rule": {change(1, func(n *integer.Node) {
			op := *n.Op.(*integer.Conv)
			r := *op.Requant
			r.Rule = 9
			op.Requant = &r
			n.Op = &op
		}), "cgen: conv1 (conv): the requantization rule rule(9)"},
		"rounding": {change(0, func(n *integer.Node) {
			op := *n.Op.(*integer.Input)
			op.Rounding = quant.Stochastic
			n.Op = &op
		}), "cgen: input (input): rounding stochastic"},
	} {
		err := WriteHeader(new(bytes.Buffer), test.m, Options{})
		if !errors.Is(err, ErrUnsupported) || err.Error() != test.text {
			t.Errorf("%s: error %v, want %s", name, err, test.text)
		}
	}
}

// TestHelpersStandInOrder holds the helpers to their order: C knows only what was declared.
func TestHelpersStandInOrder(t *testing.T) {
	var known []string
	for _, h := range helpers {
		for _, other := range h.needs {
			if !slices.Contains(known, other) {
				t.Errorf("%s needs %s, which comes later", h.name, other)
			}
		}
		known = append(known, h.name)
	}
}

// TestArithmeticIsIndependent holds the package to its promise: what it takes from package
// quant are types and names of rules, never a computation.
func TestArithmeticIsIndependent(t *testing.T) {
	types := []string{
		"Grid", "Requantizer", "Rounding", "Rule", "AddShift", "AddFloat", "AddFixedPoint",
		"AveragePoolShift", "AveragePoolFloat", "AveragePoolFixedPoint",
		"Shift", "Float", "FixedPoint", "HalfEven", "HalfUp", "HalfAway", "Floor", "Stochastic",
	}
	methods := []string{
		"Apply", "QMin", "QMax", "Level", "LevelScale", "MaxLevel", "ScaleAt", "Quantize", "Dequantize", "FL",
		"Round", "Round32", "PassRange", "RoundingTerm", "Validate", "ReLU", "ReLU6", "Table",
	}
	paths, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	uses := 0
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "quant" {
					uses++
					if !slices.Contains(types, n.Sel.Name) {
						t.Errorf("%v: uses quant.%s", fset.Position(n.Pos()), n.Sel.Name)
					}
				}
			case *ast.CallExpr:
				if s, ok := n.Fun.(*ast.SelectorExpr); ok && slices.Contains(methods, s.Sel.Name) {
					t.Errorf("%v: calls %s", fset.Position(n.Pos()), s.Sel.Name)
				}
			}
			return true
		})
	}
	if uses == 0 {
		t.Error("found no use of package quant: the test looks at the wrong files")
	}
}
