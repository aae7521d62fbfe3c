package randomgraph

import (
	"fmt"
	"reflect"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/fakequant"
	"github.com/bitgrad/bitgrad/integer"
)

// Coverage counts the models that exercise each feature.
type Coverage map[string]int

// Missing returns those of the wanted features that no model exercises.
func (c Coverage) Missing(wanted []string) []string {
	var missing []string
	for _, w := range wanted {
		if c[w] == 0 {
			missing = append(missing, w)
		}
	}
	return missing
}

// Add counts what a sample and the integer model that it was lowered to exercise:
//
//	step X      a step of type X, which has an integer form
//	op X        an operation of type X in the integer model
//	node X      a node of kind X in the evaluation program, with its activation function
//	the rest    attributes, rules, formats and edges; see [Features]
func (c Coverage) Add(s *Sample, m *integer.Model) error {
	f := features{}
	p, err := s.Graph.Compile(autograd.CompileOptions{Batch: 1, Outputs: []string{"logits"}})
	if err != nil {
		return err
	}
	p.Steps(func(_ *autograd.Node, step autograd.Step, v autograd.View) {
		if _, ok := step.(integer.Lowerer); ok && !v.Plain {
			f.add("step %s", reflect.TypeOf(step).Elem().Name())
		}
	})
	notes, err := fakequant.Explain(s.Graph, autograd.Evaluate)
	if err != nil {
		return err
	}
	for _, n := range notes {
		f.node(n)
	}
	for i := range m.Nodes {
		f.operation(m, i)
	}
	for name := range f {
		c[name]++
	}
	return nil
}

// features is the set of what one model exercises.
type features map[string]bool

func (f features) add(format string, args ...any) { f[fmt.Sprintf(format, args...)] = true }

func (f features) when(yes bool, name string) {
	if yes {
		f[name] = true
	}
}
