package autograd_test

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/bitgrad/bitgrad/autograd"
)

// anyInt draws mostly sensible attributes, and sometimes the worst.
func anyInt(t *rapid.T, name string, most int) int {
	if rapid.IntRange(0, 99).Draw(t, name+" kind") == 99 {
		return rapid.SampledFrom([]int{-1, math.MinInt, math.MaxInt, math.MaxInt32, 1 << 30, 1<<30 + 1, 1 << 16, 300}).Draw(t, name)
	}
	return rapid.IntRange(0, most).Draw(t, name)
}

func anyBorder(t *rapid.T) autograd.Border {
	return autograd.Border{Top: anyInt(t, "top", 1), Left: anyInt(t, "left", 2), Bottom: anyInt(t, "bottom", 1), Right: anyInt(t, "right", 2)}
}

// Whatever the attributes, an operation is refused with an error or runs.
func TestAnyAttributesAreRefusedOrRun(t *testing.T) {
	kinds := map[string]func(t *rapid.T, g *autograd.Graph, x *autograd.Node, a autograd.PoolAttrs) *autograd.Node{
		"conv": func(t *rapid.T, g *autograd.Graph, x *autograd.Node, a autograd.PoolAttrs) *autograd.Node {
			c, groups := x.Type().Shape[1], anyInt(t, "groups", 3)
			w := g.Param("w", autograd.Weight, nil, rapid.IntRange(1, 4).Draw(t, "outputs"), max(1, c/min(max(groups, 1), c)),
				max(1, min(a.KH, 300)), max(1, min(a.KW, 300)))
			return autograd.Conv2D("y", x, w, nil, autograd.ConvAttrs{StrideH: a.StrideH, StrideW: a.StrideW, Pad: a.Pad,
				DilH: anyInt(t, "dil h", 2), DilW: anyInt(t, "dil w", 2), Groups: groups})
		},
		"max": func(_ *rapid.T, _ *autograd.Graph, x *autograd.Node, a autograd.PoolAttrs) *autograd.Node {
			return autograd.MaxPool("y", x, a)
		},
		"average": func(t *rapid.T, _ *autograd.Graph, x *autograd.Node, a autograd.PoolAttrs) *autograd.Node {
			return autograd.AveragePool("y", x, autograd.AveragePoolAttrs{PoolAttrs: a, CountPad: rapid.Bool().Draw(t, "count pad")})
		},
		"lrn": func(t *rapid.T, _ *autograd.Graph, x *autograd.Node, _ autograd.PoolAttrs) *autograd.Node {
			return autograd.LRN("y", x, autograd.LRNAttrs{Size: anyInt(t, "lrn size", 6), WithinChannel: rapid.Bool().Draw(t, "within")})
		},
	}
	for kind, build := range kinds {
		t.Run(kind, func(t *testing.T) {
			accepted := 0
			rapid.Check(t, func(t *rapid.T) {
				g := autograd.NewGraph("net")
				x := g.Input("x", autograd.Float32, rapid.IntRange(1, 4).Draw(t, "channels"),
					rapid.IntRange(1, 7).Draw(t, "rows"), rapid.IntRange(1, 7).Draw(t, "columns"))
				y := build(t, g, x, autograd.PoolAttrs{KH: anyInt(t, "kh", 4), KW: anyInt(t, "kw", 4),
					StrideH: anyInt(t, "stride h", 4), StrideW: anyInt(t, "stride w", 4),
					Pad: anyBorder(t), Size: autograd.PoolSize(rapid.IntRange(0, 2).Draw(t, "size"))})
				if g.Err() != nil {
					return
				}
				if n := y.Type().Elements(); n <= 0 || n > 1<<14 {
					return
				}
				accepted++
				g.SetOutput("y", y)
				g.SetOutput("loss", g.Apply("loss", weightedOp{slices.Repeat([]float64{1}, 2*y.Type().Elements())}, y))
				p, err := g.Compile(autograd.CompileOptions{Batch: 2, Mode: autograd.Train, InputGrad: true})
				if err != nil {
					t.Fatal(err)
				}
				p.Forward()
				p.Backward()
			})
			if accepted == 0 && !testing.Short() {
				t.Error("none was accepted: the draw is too wild")
			}
		})
	}
}
