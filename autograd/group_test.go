package autograd_test

import (
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
)

// A network of large images goes image group by image group, one of small images in large groups.
func TestCacheBatch(t *testing.T) {
	net := func(size int) *autograd.Graph {
		g := autograd.NewGraph("net")
		x := g.Input("x", autograd.Float32, 8, size, size)
		w := g.Param("w", autograd.Weight, autograd.HeNormal(), 8, 8, 3, 3)
		g.SetOutput("y", autograd.Conv2D("conv", x, w, nil, autograd.ConvAttrs{Pad: autograd.Same(3)}))
		return g
	}
	options := autograd.CompileOptions{Mode: autograd.Evaluate}
	for _, c := range []struct{ size, want int }{{4, 128}, {64, 16}, {300, 8}} {
		n, err := net(c.size).CacheBatch(options)
		if err != nil || n != c.want {
			t.Errorf("%d×%d: %d (%v), want %d", c.size, c.size, n, err, c.want)
		}
	}
	if _, err := net(4).CacheBatch(autograd.CompileOptions{Outputs: []string{"nothing"}}); err == nil {
		t.Error("a graph without the output has a batch")
	}
}
