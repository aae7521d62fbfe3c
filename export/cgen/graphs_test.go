package cgen

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/bitgrad/bitgrad/datasets"
	"github.com/bitgrad/bitgrad/export"
	"github.com/bitgrad/bitgrad/integer"
	"github.com/bitgrad/bitgrad/internal/randomgraph"
)

// TestRandomGraphs generates C of random networks that were trained, quantized and lowered,
// compiles it and compares the codes of every node with those of the interpreter, which
// export.Verify holds equal to the evaluation program.
func TestRandomGraphs(t *testing.T) {
	cc := compiler(t)
	models, options := networks(t, 24)
	n := len(models)
	dir := t.TempDir()
	out, status := run(t, build(t, cc, dir, "all", batch(t, dir, models, options), strict...))
	if status != 0 {
		t.Errorf("%d of %d networks differ:\n%s", status, n, out)
	}
	if got := strings.Count(out, ", 0 differences"); got != n {
		t.Errorf("%d of %d programs ran:\n%s", got, n, out)
	}
	var codes, nodes int
	for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
		var images, some, more int
		if _, rest, ok := strings.Cut(line, ": "); ok {
			fmt.Sscanf(rest, "%d images, %d nodes, %d codes", &images, &some, &more)
		}
		nodes, codes = nodes+some, codes+more
	}
	t.Logf("%d networks, %d nodes, %d codes", n, nodes, codes)
}

// networks lowers and verifies n random networks, and then as many as it takes to have every
// feature of the generator; in short mode a few.
func networks(t *testing.T, n int) (models []*integer.Model, options []Options) {
	t.Helper()
	wanted := randomgraph.Features()
	if testing.Short() {
		n, wanted = 5, nil
	}
	all := rapid.Custom(randomgraph.Draw)
	for seed := 0; len(models) < n || len(wanted) > 0; seed++ {
		if seed > 400 {
			t.Fatalf("no network has %q", wanted)
		}
		s := all.Example(seed)
		m, err := export.Lower(s.Graph)
		if errors.Is(err, export.ErrUnsupported) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		has := randomgraph.Coverage{}
		if err := has.Add(s, m); err != nil {
			t.Fatal(err)
		}
		missing := has.Missing(wanted)
		if len(models) >= n && len(missing) == len(wanted) {
			continue
		}
		wanted = missing
		diff, err := export.Verify(t.Context(), m, s.Graph, s.Data, export.VerifyOptions{})
		if err != nil || diff.Mismatches != 0 {
			t.Fatalf("network %d: %+v, %v", seed, diff, err)
		}
		o := vectorsOf(t, s.Data)
		o.Prefix = fmt.Sprintf("network%d", seed)
		models, options = append(models, m), append(options, o)
	}
	return models, options
}

// vectorsOf returns the images of a data set as test vectors.
func vectorsOf(t *testing.T, ds datasets.Dataset) (o Options) {
	t.Helper()
	var b datasets.Batch
	for i := range ds.Info().N {
		if err := ds.Read(&b, []int{i}); err != nil {
			t.Fatal(err)
		}
		if ds.Info().Float {
			o.Samples = append(o.Samples, append([]float32(nil), b.Floats...))
		} else {
			o.Images = append(o.Images, append([]uint8(nil), b.Pixels...))
		}
	}
	return o
}
