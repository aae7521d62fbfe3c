//go:build amd64 && !purego

package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

//go:noescape
func adamAVX2(value, grad, m, v *float32, n int, decay, keep, beta1, rest1, beta2, rest2, rate, root, eps float32)

//go:noescape
func momentumAVX2(value, grad, v *float32, n int, decay, mu, rate float32)

//go:noescape
func nesterovAVX2(value, grad, v *float32, n int, decay, mu, rate float32)

//go:noescape
func squaresAVX2(sum *float64, x *float32, n int)

// optimizersLevel says which variant runs. It is a number and not function variables, so that the
// operands stay on the stack of a caller.
var optimizersLevel cpu.ISA

func init() {
	for _, level := range []cpu.ISA{cpu.Portable, cpu.AVX2} {
		register("optimizers", level, func() { optimizersLevel = level })
	}
}

// eights returns how many of n elements the AVX2 kernels take: as many as fill vectors.
func eights(n int) int {
	if optimizersLevel < cpu.AVX2 {
		return 0
	}
	return n &^ 7
}

// adam takes the step for the first elements and returns how many.
func adam(value, grad, m, v []float32, s *AdamStep) int {
	n := eights(len(value))
	if n > 0 {
		adamAVX2(&value[0], &grad[0], &m[0], &v[0], n, s.Decay, s.Keep, s.Beta1, s.Rest1, s.Beta2, s.Rest2, s.Rate, s.Root, s.Eps)
	}
	return n
}

// momentum takes the step for the first elements and returns how many.
func momentum(value, grad, v []float32, decay, mu, rate float32, nesterov bool) int {
	n := eights(len(value))
	switch {
	case n == 0:
	case nesterov:
		nesterovAVX2(&value[0], &grad[0], &v[0], n, decay, mu, rate)
	default:
		momentumAVX2(&value[0], &grad[0], &v[0], n, decay, mu, rate)
	}
	return n
}

// sumSquares is sumSquaresPortable.
func sumSquares(lanes *[4]float64, x []float32) int {
	n := eights(len(x))
	if n > 0 {
		squaresAVX2(&lanes[0], &x[0], n)
	}
	return n + sumSquaresPortable(lanes, x[n:])
}
