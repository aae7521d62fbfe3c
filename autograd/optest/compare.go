package optest

import (
	"fmt"
	"math"

	"github.com/bitgrad/bitgrad/internal/parallel"
)

func newPool(workers int) *parallel.Pool { return parallel.New(workers) }

// shown is how many wrong elements of one array are reported.
const shown = 3

// near compares with a reference.
func near(got []float32, want []float64, tol float64) []error {
	return compare(got, want, func(g, w float64) bool {
		return g == w || g != g && w != w || math.Abs(g-w) <= tol*(1+math.Abs(w))
	})
}

// nearKnown compares with a reference that is NaN where it is not known.
func nearKnown(got []float32, want []float64, tol float64) []error {
	return compare(got, want, func(g, w float64) bool { return w != w || math.Abs(g-w) <= tol*(1+math.Abs(w)) })
}

func compare(got []float32, want []float64, ok func(g, w float64) bool) []error {
	if len(got) != len(want) {
		return []error{fmt.Errorf("%d elements, want %d", len(got), len(want))}
	}
	var errs []error
	wrong := 0
	for i, w := range want {
		if ok(float64(got[i]), w) {
			continue
		}
		if wrong++; wrong <= shown {
			errs = append(errs, fmt.Errorf("element %d of %d: got %v, want %v", i, len(want), got[i], w))
		}
	}
	if wrong > shown {
		errs = append(errs, fmt.Errorf("and %d elements more", wrong-shown))
	}
	return errs
}

// same compares bit by bit.
func same(got, want []float32) []error {
	if len(got) != len(want) {
		return []error{fmt.Errorf("%d elements, want %d", len(got), len(want))}
	}
	for i, w := range want {
		if g := got[i]; math.Float32bits(g) != math.Float32bits(w) && !(g != g && w != w) {
			return []error{fmt.Errorf("element %d of %d: got %v, want the same bits as %v", i, len(want), g, w)}
		}
	}
	return nil
}

func narrow(x []float64) []float32 {
	y := make([]float32, len(x))
	for i, v := range x {
		y[i] = float32(v)
	}
	return y
}
