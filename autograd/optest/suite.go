package optest

import (
	"strings"
	"testing"

	"github.com/bitgrad/bitgrad/internal/methods"
)

// A Suite is the cases of one package, added by the files that test its
// operations. The zero Suite is empty.
type Suite struct{ cases []Case }

// Add adds cases. Files call it from init.
func (s *Suite) Add(c ...Case) { s.cases = append(s.cases, c...) }

// Run checks every case in a subtest of its name. It fails too where no case of an
// operation would see a gradient of an operand that has the wrong sign, or is in
// the wrong order.
func (s *Suite) Run(t *testing.T) {
	seen, ran := sight{}, 0
	for _, c := range s.cases {
		t.Run(strings.ReplaceAll(c.Name, " ", "_"), func(t *testing.T) {
			faults, sees := c.run()
			for _, err := range faults {
				t.Error(err)
			}
			seen.merge(sees)
			ran++
		})
	}
	if ran == len(s.cases) { // not a selection
		for _, b := range seen.blind() {
			t.Error(b)
		}
	}
}

// Missing returns the operations in the Go files of dir that no case builds:
// types with the methods Infer and Bind. Tests of the package do not count as
// its files.
func (s *Suite) Missing(dir string) ([]string, error) {
	covered := map[string]bool{}
	for _, c := range s.cases {
		g, _, _, _ := c.graph()
		for _, n := range g.Nodes() {
			if n.Op() != nil {
				covered[nameOf(n.Op())] = true
			}
		}
	}
	ops, err := methods.Types(dir, "Infer", "Bind")
	if err != nil {
		return nil, err
	}
	var missing []string
	for _, op := range ops {
		if !covered[op] {
			missing = append(missing, op)
		}
	}
	return missing, nil
}

// Complete fails for every operation in dir without a case.
func (s *Suite) Complete(t *testing.T, dir string) {
	t.Helper()
	missing, err := s.Missing(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range missing {
		t.Errorf("operation %s has no case: add one to the suite", op)
	}
}
