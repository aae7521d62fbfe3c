package integer

import (
	"testing"

	"github.com/bitgrad/bitgrad/quant"
)

// smallModel is a convolution of 4-bit weights by shift, ReLU, and a linear layer of
// 3-bit weights whose accumulators are the logits.
func smallModel(t testing.TB) *Model {
	t.Helper()
	b := NewBuilder("small")
	b.SetMeta("by", "test")
	pixels := quant.Grid{BitWidth: 8, Signed: true, Scale: []float32{1. / 64}}
	x := b.Input("input", Input{C: 1, H: 3, W: 3, A: []float32{1. / 128}, B: []float32{-1}, Grid: pixels})
	wg := quant.Grid{BitWidth: 4, Signed: true, Scale: []float32{1. / 8}}
	y := quant.Grid{BitWidth: 4, Scale: []float32{0.25}}
	r := must(quant.NewRequantizer(quant.Shift, quant.AccScale(pixels, wg), y))
	x = b.Conv("conv", x, Conv{
		O: 2, KH: 3, KW: 3, Pad: PadAll(1),
		Weight:     []int32{0, 1, 0, 1, 4, 1, 0, 1, 0, -1, 0, 1, -2, 0, 2, -1, 0, 1},
		WeightGrid: wg, Bias: []int64{16, -3}, Requant: &r, Grid: y,
	})
	x = b.Flatten("flat", x)
	fc := make([]int32, 3*18)
	for i := range fc {
		fc[i] = int32(i%7) - 3
	}
	x = b.Linear("fc", x, Linear{
		O: 3, Weight: fc, WeightGrid: quant.Grid{BitWidth: 3, Signed: true, Scale: []float32{0.5, 0.25, 0.125}}, Bias: []int64{1, 2, 3},
	})
	m, _, err := b.Build(x)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func must[V any](v V, err error) V {
	if err != nil {
		panic(err)
	}
	return v
}
