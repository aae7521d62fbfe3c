package netfile

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/internal/glob"
)

// The types of this file are the values of fields. Each reads itself and says on which
// line it cannot.

// maxWhole bounds whole numbers; what an extent may be is up to the graph.
const maxWhole = 1 << 24

func whole(n *yaml.Node, least int) (int, error) {
	v, err := strconv.Atoi(n.Value)
	if n.Kind != yaml.ScalarNode || err != nil || v < least || v > maxWhole {
		return 0, fmt.Errorf("line %d: %s: must be a whole number from %d to %d", n.Line, shown(n), least, maxWhole)
	}
	return v, nil
}

func wholes(n *yaml.Node, least int) ([]int, error) {
	var vs []int
	for _, k := range n.Content {
		v, err := whole(k, least)
		if err != nil {
			return nil, err
		}
		vs = append(vs, v)
	}
	return vs, nil
}

// shown returns a value as an error shows it.
func shown(n *yaml.Node) string {
	switch n.Kind {
	case yaml.ScalarNode:
		return fmt.Sprintf("%.40q", n.Value)
	case yaml.SequenceNode:
		return "a list"
	default:
		return "a mapping"
	}
}

// positive is a whole number of at least 1; 0 where it is not given.
type positive int

// UnmarshalYAML implements [yaml.Unmarshaler].
func (p *positive) UnmarshalYAML(n *yaml.Node) error {
	v, err := whole(n, 1)
	*p = positive(v)
	return err
}

// natural is a whole number of at least 0.
type natural int

// UnmarshalYAML implements [yaml.Unmarshaler].
func (p *natural) UnmarshalYAML(n *yaml.Node) error {
	v, err := whole(n, 0)
	*p = natural(v)
	return err
}

// count is a number of outputs: a positive one, or that of the classes.
type count struct {
	n       int
	classes bool
}

// UnmarshalYAML implements [yaml.Unmarshaler].
func (c *count) UnmarshalYAML(n *yaml.Node) (err error) {
	if n.Value == "classes" {
		c.classes = true
		return nil
	}
	if c.n, err = whole(n, 1); err != nil {
		return fmt.Errorf("%w, or classes", err)
	}
	return nil
}

func (c count) given() bool { return c.classes || c.n > 0 }

func (c count) of(classes int) int {
	if c.classes {
		return classes
	}
	return c.n
}

// extents are rows and columns: one number for both, or [rows, columns].
type extents struct{ h, w int }

// UnmarshalYAML implements [yaml.Unmarshaler].
func (e *extents) UnmarshalYAML(n *yaml.Node) (err error) {
	if n.Kind != yaml.SequenceNode {
		e.h, err = whole(n, 1)
		e.w = e.h
		return err
	}
	vs, err := wholes(n, 1)
	if err == nil && len(vs) != 2 {
		err = fmt.Errorf("line %d: a list must be [rows, columns]", n.Line)
	}
	if err == nil {
		e.h, e.w = vs[0], vs[1]
	}
	return err
}

// sides are rows and columns of zeros: one number for all four sides, [top, left,
// bottom, right], or same.
type sides struct {
	same   bool
	border autograd.Border
}

// UnmarshalYAML implements [yaml.Unmarshaler].
func (s *sides) UnmarshalYAML(n *yaml.Node) error {
	if n.Value == "same" {
		s.same = true
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		v, err := whole(n, 0)
		if err != nil {
			return fmt.Errorf("%w, a list of four, or same", err)
		}
		s.border = autograd.Border{Top: v, Left: v, Bottom: v, Right: v}
		return nil
	}
	vs, err := wholes(n, 0)
	if err == nil && len(vs) != 4 {
		err = fmt.Errorf("line %d: a list must be [top, left, bottom, right]", n.Line)
	}
	if err == nil {
		s.border = autograd.Border{Top: vs[0], Left: vs[1], Bottom: vs[2], Right: vs[3]}
	}
	return err
}

// span is a range of an axis: [start, stop] or [start, stop, step]; a stop of 0 is the
// end.
type span autograd.Range

// UnmarshalYAML implements [yaml.Unmarshaler].
func (s *span) UnmarshalYAML(n *yaml.Node) error {
	vs, err := wholes(n, 0)
	if err == nil && (n.Kind != yaml.SequenceNode || len(vs) != 2 && len(vs) != 3) {
		err = fmt.Errorf("line %d: must be [start, stop] or [start, stop, step]", n.Line)
	}
	if err == nil {
		s.Start, s.Stop = vs[0], vs[1]
		if len(vs) == 3 {
			s.Step = vs[2]
		}
	}
	return err
}

// shape is a list of extents.
type shape []int

// UnmarshalYAML implements [yaml.Unmarshaler].
func (s *shape) UnmarshalYAML(n *yaml.Node) error {
	vs, err := wholes(n, 1)
	if err == nil && (n.Kind != yaml.SequenceNode || len(vs) == 0) {
		err = fmt.Errorf("line %d: %s: must be a list of extents", n.Line, shown(n))
	}
	*s = vs
	return err
}

// numbers are one number or a list.
type numbers []float32

// UnmarshalYAML implements [yaml.Unmarshaler].
func (s *numbers) UnmarshalYAML(n *yaml.Node) error {
	list := n.Content
	if n.Kind == yaml.ScalarNode {
		list = []*yaml.Node{n}
	}
	for _, k := range list {
		v, err := number(k)
		if err != nil || n.Kind == yaml.MappingNode {
			return fmt.Errorf("line %d: %s: must be a number, or a list of one for each channel", k.Line, shown(k))
		}
		*s = append(*s, v)
	}
	return nil
}

func number(n *yaml.Node) (float32, error) {
	v, err := strconv.ParseFloat(n.Value, 32)
	if n.Kind != yaml.ScalarNode || err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, fmt.Errorf("line %d: %s: must be a finite number", n.Line, shown(n))
	}
	return float32(v), nil
}

// real is a number; nil pointers to it are left open.
type real float32

// UnmarshalYAML implements [yaml.Unmarshaler].
func (r *real) UnmarshalYAML(n *yaml.Node) error {
	v, err := number(n)
	*r = real(v)
	return err
}

// names are one name or a list.
type names []string

// UnmarshalYAML implements [yaml.Unmarshaler].
func (s *names) UnmarshalYAML(n *yaml.Node) error {
	list := n.Content
	if n.Kind == yaml.ScalarNode {
		list = []*yaml.Node{n}
	}
	for _, k := range list {
		if k.Kind != yaml.ScalarNode || k.Value == "" || n.Kind == yaml.MappingNode {
			return fmt.Errorf("line %d: from: must be a name or a list of names", n.Line)
		}
		*s = append(*s, k.Value)
	}
	if len(*s) == 0 {
		return fmt.Errorf("line %d: from: names no layer", n.Line)
	}
	return nil
}

// oneOf refuses a word that is not in the list.
func oneOf(field, value string, words []string) error {
	for _, w := range words {
		if value == w {
			return nil
		}
	}
	return fmt.Errorf("%s: %q: must be %s%s", field, value, strings.Join(words, ", "), glob.Hint(value, words))
}
