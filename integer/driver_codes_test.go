package integer

import (
	"errors"
	"slices"
	"testing"

	"github.com/bitgrad/bitgrad/internal/kernels"
)

// Codes in bytes do what their levels do, also when only some of them, or only the zero point, change.
func TestDriverSetCodes(t *testing.T) {
	s := kernels.ConvShape{C: 4, O: 6, KH: 3, KW: 2, Groups: 2, PadTop: 1, H: 5, W: 4}
	want := newDriverCase(t, s, false, 8, 8, 2)
	got := newDriverCase(t, s, false, 8, 8, 2)
	levels := want.d.Levels()
	run := func(c *driverCase) []int32 {
		acc := make([]int32, len(c.want)/c.images)
		c.d.Accumulators(acc, nil, c.x, 1, 0, c.shape.OH)
		return acc
	}
	check := func(what string, zero int32) {
		t.Helper()
		codes := make([]uint8, len(levels))
		for i, w := range levels {
			codes[i] = uint8(w)
		}
		if err := got.d.SetCodes(codes, zero); err != nil {
			t.Fatal(err)
		}
		if err := want.d.SetWeights(levels, zero); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(run(got), run(want)) {
			t.Errorf("%s: accumulators differ", what)
		}
		if !slices.Equal(got.d.Levels(), levels) {
			t.Errorf("%s: levels %v, want %v", what, got.d.Levels(), levels)
		}
	}
	check("the same", 3)
	levels[7] = -levels[7] - 1
	check("one weight", 3)
	check("zero point", 0)
	fresh, err := NewConvDriver(s, 8, false, 8)
	if err != nil {
		t.Fatal(err)
	}
	if fresh.Levels() != nil {
		t.Error("a driver without weights has levels")
	}
	got.d = fresh
	want.d.SetBias(nil)
	check("first weights", 3)
}

func TestDriverSetCodesRefuses(t *testing.T) {
	s := kernels.ConvShape{C: 2, O: 3, KH: 2, KW: 2, H: 5, W: 4}
	d := newDriverCase(t, s, false, 8, 8, 1).d
	if err := d.SetCodes(make([]uint8, 5), 0); !errors.Is(err, ErrShape) {
		t.Errorf("5 weights: %v", err)
	}
	wide := newDriverCase(t, s, false, 10, 10, 1).d
	if err := wide.SetCodes(make([]uint8, 24), 0); !errors.Is(err, ErrGrid) {
		t.Errorf("a wide driver: %v", err)
	}
}

// Levels of a driver with int64 accumulators come back in the order they were given.
func TestDriverLevels(t *testing.T) {
	s := kernels.ConvShape{C: 4, O: 6, KH: 3, KW: 2, Groups: 2, H: 5, W: 4}
	d, err := NewConvDriver(s, 12, true, 12)
	if err != nil {
		t.Fatal(err)
	}
	if d.Levels() != nil {
		t.Error("a driver without weights has levels")
	}
	shape := d.Shape()
	levels := make([]int32, shape.WeightSize())
	for i := range levels {
		levels[i] = int32(7*i - 400)
	}
	if err := d.SetWeights(levels, 0); err != nil {
		t.Fatal(err)
	}
	if got := d.Levels(); !slices.Equal(got, levels) {
		t.Errorf("got %v, want %v", got, levels)
	}
}
