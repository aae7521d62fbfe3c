package optest

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/bitgrad/bitgrad/autograd"
)

// sight says which mistakes in which gradient the cases of an operation would see: a test
// whose gradients are all zero sees none.
type sight map[gradient]mistakes

// gradient names the gradient of one operand of one type of operation.
type gradient struct{ op, operand string }

// mistakes are those that some case would see.
type mistakes struct {
	sign  bool
	order bool // true as well where all cases have a single element
}

// look plants the mistakes into a gradient that is right.
func (s sight) look(op, operand string, right []float32, want []float64, tol float64) {
	wrong, reversed := make([]float32, len(right)), slices.Clone(right)
	for i, v := range right {
		wrong[i] = -v
	}
	slices.Reverse(reversed)
	s.merge(sight{{op, operand}: {
		sign:  len(nearKnown(wrong, want, tol)) > 0,
		order: len(right) < 2 || len(nearKnown(reversed, want, tol)) > 0,
	}})
}

func (s sight) merge(other sight) {
	for g, m := range other {
		have := s[g]
		s[g] = mistakes{have.sign || m.sign, have.order || m.order}
	}
}

// blind lists what no case would see.
func (s sight) blind() []error {
	var all []error
	for _, g := range slices.SortedFunc(maps.Keys(s), func(a, b gradient) int { return strings.Compare(a.op+a.operand, b.op+b.operand) }) {
		if m := s[g]; !m.sign {
			all = append(all, fmt.Errorf("no case of %s would see a wrong sign in the gradient of %s", g.op, g.operand))
		} else if !m.order {
			all = append(all, fmt.Errorf("no case of %s would see a wrong order in the gradient of %s", g.op, g.operand))
		}
	}
	return all
}

// nameOf returns the name of the type of an operation.
func nameOf(op autograd.Op) string {
	t := reflect.TypeOf(op)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Name()
}
