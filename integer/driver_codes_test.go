package integer

import (
	"errors"
	"slices"
	"testing"

	"github.com/bitgrad/bitgrad/internal/kernels"
)

// Codes in bytes do what their levels do, also when only the zero point changes.
func TestDriverSetWeightCodes(t *testing.T) {
	s := kernels.ConvShape{C: 4, O: 6, KH: 3, KW: 2, Groups: 2, PadTop: 1, H: 5, W: 4}
	want, got := newDriverCase(t, s, false, 8, 8, 2), newDriverCase(t, s, false, 8, 8, 2)
	run := func(c *driverCase) []int32 {
		acc := make([]int32, len(c.want)/c.images)
		c.d.Accumulators(acc, nil, c.x, 1, 0, c.shape.OH, c.scratch())
		return acc
	}
	size := want.shape.WeightSize()
	for _, zero := range []int32{3, 0} {
		levels, codes := make([]int32, size), make([]uint8, size)
		for i := range levels {
			levels[i] = int32(i*37%256) - 128
			codes[i] = uint8(levels[i])
		}
		if err := got.d.SetWeightCodes(codes, zero); err != nil {
			t.Fatal(err)
		}
		if err := want.d.SetWeights(levels, zero); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(run(got), run(want)) {
			t.Errorf("zero point %d: accumulators differ", zero)
		}
	}
}

func TestDriverSetWeightCodesRefuses(t *testing.T) {
	s := kernels.ConvShape{C: 2, O: 3, KH: 2, KW: 2, H: 5, W: 4}
	if err := newDriverCase(t, s, false, 8, 8, 1).d.SetWeightCodes(make([]uint8, 5), 0); !errors.Is(err, ErrShape) {
		t.Errorf("5 weights: %v", err)
	}
	if err := newDriverCase(t, s, false, 10, 10, 1).d.SetWeightCodes(make([]uint8, 24), 0); !errors.Is(err, ErrGrid) {
		t.Errorf("a wide driver: %v", err)
	}
}
