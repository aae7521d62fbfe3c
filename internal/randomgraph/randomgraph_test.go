package randomgraph_test

import (
	"bytes"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/export"
	"github.com/bitgrad/bitgrad/internal/randomgraph"
)

func TestOneSeedOneNetwork(t *testing.T) {
	samples := rapid.Custom(randomgraph.Draw)
	for seed := range 8 {
		var files [2]bytes.Buffer
		for i := range files {
			m, err := export.Lower(samples.Example(seed).Graph)
			if err != nil {
				t.Fatal(err)
			}
			if err := m.Encode(&files[i]); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(files[0].Bytes(), files[1].Bytes()) {
			t.Errorf("seed %d gives two networks", seed)
		}
	}
}

// TestCoverage counts a network that is known.
func TestCoverage(t *testing.T) {
	s := rapid.Custom(randomgraph.Draw).Example(2)
	m, err := export.Lower(s.Graph)
	if err != nil {
		t.Fatal(err)
	}
	c := randomgraph.Coverage{}
	for range 2 {
		if err := c.Add(s, m); err != nil {
			t.Fatal(err)
		}
	}
	convolutions := slices.ContainsFunc(s.Graph.Nodes(), func(n *autograd.Node) bool { return n.Kind() == "conv2d" })
	if convolutions != (c["op Conv"] == 2) {
		t.Errorf("convolutions %v, but counted: %v", convolutions, c)
	}
	if got := c.Missing([]string{"op Reshape of nothing", "step intConvStep"}); !slices.Equal(got, []string{"op Reshape of nothing"}) {
		t.Errorf("missing %q", got)
	}
	names := randomgraph.Features()
	slices.Sort(names)
	if n := len(names); len(slices.Compact(names)) != n {
		t.Error("a feature is listed twice")
	}
}
