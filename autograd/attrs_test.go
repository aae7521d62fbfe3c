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
	accepted := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		g := autograd.NewGraph("net")
		c := rapid.IntRange(1, 4).Draw(t, "channels")
		x := g.Input("x", autograd.Float32, c, rapid.IntRange(1, 7).Draw(t, "rows"), rapid.IntRange(1, 7).Draw(t, "columns"))
		pool := autograd.PoolAttrs{KH: anyInt(t, "kh", 4), KW: anyInt(t, "kw", 4), StrideH: anyInt(t, "stride h", 4), StrideW: anyInt(t, "stride w", 4),
			Pad: anyBorder(t), Size: autograd.PoolSize(rapid.IntRange(0, 2).Draw(t, "size"))}
		kind := rapid.SampledFrom([]string{"conv", "max", "average", "lrn"}).Draw(t, "kind")
		var y *autograd.Node
		switch kind {
		case "conv":
			groups := anyInt(t, "groups", 3)
			w := g.Param("w", autograd.Weight, nil, rapid.IntRange(1, 4).Draw(t, "outputs"), max(1, c/min(max(groups, 1), c)), max(1, min(pool.KH, 300)), max(1, min(pool.KW, 300)))
			y = autograd.Conv2D("y", x, w, nil, autograd.ConvAttrs{StrideH: pool.StrideH, StrideW: pool.StrideW, Pad: pool.Pad,
				DilH: anyInt(t, "dil h", 2), DilW: anyInt(t, "dil w", 2), Groups: groups})
		case "max":
			y = autograd.MaxPool("y", x, pool)
		case "average":
			y = autograd.AveragePool("y", x, autograd.AveragePoolAttrs{PoolAttrs: pool, CountPad: rapid.Bool().Draw(t, "count pad")})
		case "lrn":
			y = autograd.LRN("y", x, autograd.LRNAttrs{Size: anyInt(t, "lrn size", 6), WithinChannel: rapid.Bool().Draw(t, "within")})
		}
		if g.Err() != nil {
			return
		}
		if n := y.Type().Elements(); n <= 0 || n > 1<<14 {
			return
		}
		accepted[kind]++
		g.SetOutput("y", y)
		g.SetOutput("loss", g.Apply("loss", weightedOp{slices.Repeat([]float64{1}, 2*y.Type().Elements())}, y))
		p, err := g.Compile(autograd.CompileOptions{Batch: 2, Mode: autograd.Train, InputGrad: true})
		if err != nil {
			t.Fatal(err)
		}
		p.Forward()
		p.Backward()
	})
	for _, kind := range []string{"conv", "max", "average", "lrn"} {
		if accepted[kind] == 0 {
			t.Errorf("no %s was accepted: the draw is too wild", kind)
		}
	}
}
