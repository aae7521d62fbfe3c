package export

import (
	"context"
	"errors"
	"flag"
	"testing"

	"pgregory.net/rapid"

	"github.com/bitgrad/bitgrad/internal/methods"
	"github.com/bitgrad/bitgrad/internal/randomgraph"
)

// TestRandomGraphs: interpreter, engine and evaluation program agree in every
// tensor of 200 random networks, which exercise together every operation that
// can be lowered and every format and rule.
func TestRandomGraphs(t *testing.T) {
	checks := "210" // of which a few have scales too far apart for any rule
	if testing.Short() {
		checks = "30"
	}
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		if err := f.Value.Set(checks); err != nil {
			t.Fatal(err)
		}
	}
	v := &verification{coverage: randomgraph.Coverage{}}
	wanted := lowerable(t)
	// What is rare may be missing once in a thousand runs; then more is drawn.
	for round := range 3 {
		if missing := v.coverage.Missing(wanted); round > 0 && (len(missing) == 0 || testing.Short()) {
			break
		}
		rapid.Check(t, v.check)
	}
	t.Logf("%d networks, %d codes, 0 differ; refused: %q", v.lowered, v.codes, v.refused)
	if len(v.refused) > v.lowered/20 {
		t.Errorf("%d networks lowered, %d refused: the generator draws too much that has no integer form", v.lowered, len(v.refused))
	}
	if testing.Short() {
		return
	}
	if v.lowered < 200 {
		t.Errorf("%d networks, want 200", v.lowered)
	}
	for _, w := range wanted {
		t.Logf("%5d with %s", v.coverage[w], w)
	}
	for _, m := range v.coverage.Missing(wanted) {
		t.Errorf("no network has %q", m)
	}
}

type verification struct {
	coverage randomgraph.Coverage
	refused  []string
	lowered  int
	codes    int64
}

// check draws one network, lowers it and verifies the model.
func (v *verification) check(t *rapid.T) {
	s := randomgraph.Draw(t)
	m, err := Lower(s.Graph)
	if err != nil {
		if !errors.Is(err, ErrUnsupported) {
			t.Fatalf("%s: %v", s.Quantization, err)
		}
		v.refused = append(v.refused, err.Error())
		return
	}
	diff, err := Verify(context.Background(), m, s.Graph, s.Data, VerifyOptions{Batch: 3})
	if err != nil {
		t.Fatalf("%s: %v", s.Quantization, err)
	}
	if diff.Mismatches != 0 {
		t.Fatalf("%s: %d of %d codes differ: %s", s.Quantization, diff.Mismatches, diff.Codes, diff.First)
	}
	if err := v.coverage.Add(s, m); err != nil {
		t.Fatal(err)
	}
	v.lowered++
	v.codes += diff.Codes
}

// lowerable lists what random networks must exercise: every step that lowers
// itself and every operation of the integer model, as the code has them, and the
// features that the generator promises.
func lowerable(t *testing.T) []string {
	wanted := randomgraph.Features()
	add := func(what, dir string, names ...string) {
		types, err := methods.Types(dir, names...)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range types {
			if name != "identity" { // a dropout, which prepared networks leave out
				wanted = append(wanted, what+" "+name)
			}
		}
	}
	add("step", "../autograd", "Lower")
	add("step", "../fakequant", "Lower")
	add("op", "../integer", "infer", "interpret")
	return wanted
}
