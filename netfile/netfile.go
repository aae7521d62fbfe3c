package netfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/internal/document"
	"github.com/bitgrad/bitgrad/internal/glob"
	"github.com/bitgrad/bitgrad/layers"
)

// ErrSyntax marks a description that cannot be read.
var ErrSyntax = errors.New("netfile: invalid description")

// Input is the name of what the network reads, in the field from.
const Input = "input"

// maxText is the most that a description may take, in bytes.
const maxText = 1 << 20

// A Description is a network in the form of a list of layers. It does not change
// and is safe for concurrent use.
type Description struct {
	// Name is what the network is called: the field name, or the name of the file
	// without its ending. It is empty where neither is known.
	Name string
	// Input is what the network is drawn for; its extents are 0 where the
	// description does not say.
	Input layers.Input
	// Classes is the number of classes that the network is drawn for, 10 unless the
	// description says another.
	Classes int

	layers []layer
	text   []byte
}

// A layer is one entry of the list.
type layer struct {
	name string
	from []string
	op   op
}

// Read reads the description in a file.
func Read(path string) (*Description, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("netfile: %w", err)
	}
	d, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if d.Name == "" {
		base := filepath.Base(path)
		d.Name = wordless.ReplaceAllString(strings.TrimSuffix(base, filepath.Ext(base)), "_")
	}
	return d, nil
}

var (
	word     = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)
	wordless = regexp.MustCompile(`[^A-Za-z0-9_.-]+`)
)

// page is the form of the document.
type page struct {
	Name    string      `yaml:"name"`
	Input   inputPage   `yaml:"input"`
	Classes positive    `yaml:"classes"`
	Layers  []yaml.Node `yaml:"layers"`
}

type inputPage struct {
	Shape shape   `yaml:"shape"`
	Mean  numbers `yaml:"mean"`
	Std   numbers `yaml:"std"`
}

// Parse reads a description. The error wraps [ErrSyntax] and names the line.
func Parse(text []byte) (*Description, error) {
	d, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSyntax, err)
	}
	return d, nil
}

func parse(text []byte) (*Description, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("%d bytes: at most %d are read", len(text), maxText)
	}
	root, err := document.Parse(text)
	if err != nil {
		return nil, err
	}
	if root == nil {
		return nil, errors.New("it is empty")
	}
	if err := noAliases(root); err != nil {
		return nil, err
	}
	var p page
	if err := document.Decode(root, &p); err != nil {
		return nil, err
	}
	d := &Description{Name: p.Name, Classes: int(p.Classes), text: slices.Clone(text)}
	if p.Name != "" && !word.MatchString(p.Name) {
		return nil, fmt.Errorf("name %q: must consist of letters, digits, _, - and single dots", p.Name)
	}
	if d.Classes == 0 {
		d.Classes = 10
	}
	if err := d.setInput(p.Input); err != nil {
		return nil, err
	}
	if len(p.Layers) == 0 {
		return nil, errors.New("it has no layers")
	}
	return d, d.setLayers(p.Layers)
}

func noAliases(n *yaml.Node) error {
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		return fmt.Errorf("line %d: anchors and aliases are not read here", n.Line)
	}
	for _, k := range n.Content {
		if err := noAliases(k); err != nil {
			return err
		}
	}
	return nil
}

func (d *Description) setInput(p inputPage) error {
	d.Input.Mean, d.Input.Std = p.Mean, p.Std
	if len(p.Shape) == 0 {
		if p.Mean != nil || p.Std != nil {
			return errors.New("input has a mean or a std, but no shape: they count for images of this shape")
		}
		return nil
	}
	if len(p.Shape) != 3 {
		return fmt.Errorf("input.shape %v: must be [C, H, W]", p.Shape)
	}
	d.Input.C, d.Input.H, d.Input.W = p.Shape[0], p.Shape[1], p.Shape[2]
	return d.Input.Validate()
}

// reserved are names of nodes that a network gets without a layer.
var reserved = []string{Input, "normalize", "logits", "labels", "loss"}

func (d *Description) setLayers(nodes []yaml.Node) error {
	lines := map[string]int{Input: 0} // of the layers so far, by name
	read := map[string]bool{}
	last := Input
	for i := range nodes {
		n := &nodes[i]
		l, err := parseLayer(n)
		if err != nil {
			return err
		}
		if slices.Contains(reserved, l.name) || !word.MatchString(l.name) {
			return fmt.Errorf("line %d: a layer cannot be named %q: names consist of letters, digits, _, - and single dots, and %s are taken",
				n.Line, l.name, strings.Join(reserved, ", "))
		}
		if line, ok := lines[l.name]; ok {
			return fmt.Errorf("line %d: the name %q is taken by the layer of line %d", n.Line, l.name, line)
		}
		if len(l.from) == 0 {
			l.from = []string{last}
		}
		for _, name := range l.from {
			if _, ok := lines[name]; !ok {
				known := []string{Input}
				for _, k := range d.layers {
					known = append(known, k.name)
				}
				return fmt.Errorf("line %d: %s reads %q, which no layer above is named%s", n.Line, l.name, name, glob.Hint(name, known))
			}
			read[name] = true
		}
		if got, least, most := len(l.from), l.op.operands()[0], l.op.operands()[1]; got < least || got > most {
			return fmt.Errorf("line %d: %s takes %s, not %d", n.Line, l.name, operandsText(least, most), got)
		}
		lines[l.name], last = n.Line, l.name
		d.layers = append(d.layers, l)
	}
	for _, l := range d.layers[:len(d.layers)-1] {
		if !read[l.name] {
			return fmt.Errorf("line %d: nothing reads %s: name it in from, or leave it out", lines[l.name], l.name)
		}
	}
	return nil
}

func operandsText(least, most int) string {
	switch {
	case most == 1:
		return "one layer"
	case least == most:
		return fmt.Sprintf("%d layers, from: [a, b]", least)
	default:
		return fmt.Sprintf("at least %d layers, from: [a, b]", least)
	}
}

// parseLayer reads an entry of the list: a kind of layer with its name, from, and the
// fields of that kind, in any order.
func parseLayer(n *yaml.Node) (layer, error) {
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 {
		return layer{}, fmt.Errorf("line %d: a layer is a mapping with its kind and its name, {conv: conv1, …}", n.Line)
	}
	at, err := kindOf(n)
	if err != nil {
		return layer{}, err
	}
	kind, name := n.Content[at], n.Content[at+1]
	l := layer{op: kinds[kind.Value]()}
	if name.Kind != yaml.ScalarNode || name.Value == "" {
		return layer{}, fmt.Errorf("line %d: %s: its name is missing, {%s: name, …}", name.Line, kind.Value, kind.Value)
	}
	l.name = name.Value
	rest := *n
	rest.Content = nil
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if i == at {
			continue
		}
		if key.Value != "from" {
			rest.Content = append(rest.Content, key, value)
			continue
		}
		if l.from != nil {
			return layer{}, fmt.Errorf("line %d: %s has two fields from", key.Line, l.name)
		}
		var from names
		if err := value.Decode(&from); err != nil {
			return layer{}, err
		}
		l.from = from
	}
	if err := document.Decode(&rest, l.op); err != nil {
		return layer{}, fmt.Errorf("%w, in %s %s", err, kind.Value, l.name)
	}
	if err := l.op.check(); err != nil {
		return layer{}, fmt.Errorf("line %d: %s %s: %w", n.Line, kind.Value, l.name, err)
	}
	return l, nil
}

// kindOf returns where in a mapping the kind of layer stands.
func kindOf(n *yaml.Node) (int, error) {
	guess, hint := n.Content[0], ""
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if kinds[key.Value] != nil {
			return i, nil
		}
		if h := glob.Hint(key.Value, Kinds()); hint == "" && h != "" {
			guess, hint = key, h
		}
	}
	return 0, fmt.Errorf("line %d: there is no layer %s%s", guess.Line, guess.Value, hint)
}

// Build returns the network. Options replace its name, its input and its number of
// classes. A mistake in shapes is in its graph, with the name of the layer.
func (d *Description) Build(opts ...layers.Option) *layers.Net {
	b, classes := layers.Begin(d.Name, d.Input, d.Classes, opts...)
	nodes := map[string]*autograd.Node{Input: b.X}
	last := b.X
	for _, l := range d.layers {
		in := make([]*autograd.Node, len(l.from))
		for i, name := range l.from {
			in[i] = nodes[name]
		}
		last = l.op.add(b, l.name, in, classes)
		nodes[l.name] = last
	}
	return b.Classifier(last)
}

// Text returns what was read.
func (d *Description) Text() string { return string(d.text) }

// Same reports whether two descriptions say the same network, whatever its name and
// however it is written down.
func (d *Description) Same(other *Description) bool {
	return reflect.DeepEqual(d.Input, other.Input) && d.Classes == other.Classes && reflect.DeepEqual(d.layers, other.layers)
}
