package optest

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/bitgrad/bitgrad/quant"
)

// Array is a dense float64 tensor in row-major order; batched values are
// [N C H W] or [N F].
type Array struct {
	Shape []int
	Data  []float64
}

// NewArray returns an array of zeros.
func NewArray(shape ...int) Array {
	n := 1
	for _, e := range shape {
		n *= e
	}
	return Array{Shape: append([]int(nil), shape...), Data: make([]float64, n)}
}

// index returns the position of the element with the given indices.
func (a Array) index(at []int) int {
	if len(at) != len(a.Shape) {
		panic(fmt.Sprintf("optest: %d indices for shape %v", len(at), a.Shape))
	}
	k := 0
	for i, x := range at {
		if x < 0 || x >= a.Shape[i] {
			panic(fmt.Sprintf("optest: index %v outside shape %v", at, a.Shape))
		}
		k = k*a.Shape[i] + x
	}
	return k
}

// At returns an element.
func (a Array) At(at ...int) float64 { return a.Data[a.index(at)] }

// Set changes an element.
func (a Array) Set(v float64, at ...int) { a.Data[a.index(at)] = v }

// Add adds to an element.
func (a Array) Add(v float64, at ...int) { a.Data[a.index(at)] += v }

// Clone returns a copy.
func (a Array) Clone() Array {
	return Array{Shape: append([]int(nil), a.Shape...), Data: append([]float64(nil), a.Data...)}
}

// Map returns f of each element.
func (a Array) Map(f func(x float64) float64) Array {
	b := a.Clone()
	for i, x := range a.Data {
		b.Data[i] = f(x)
	}
	return b
}

// Each calls f for each element with its indices, which it must not keep.
func (a Array) Each(f func(v float64, at []int)) {
	at := make([]int, len(a.Shape))
	for k, v := range a.Data {
		for i, rest := len(at)-1, k; i >= 0; i-- {
			at[i] = rest % a.Shape[i]
			rest /= a.Shape[i]
		}
		f(v, at)
	}
}

// A Sampler fills dst with the values of one operand.
type Sampler func(r *rand.Rand, dst []float64)

// each returns a sampler that draws the elements one by one.
func each(f func(r *rand.Rand) float64) Sampler {
	return func(r *rand.Rand, dst []float64) {
		for i := range dst {
			dst[i] = f(r)
		}
	}
}

// Normal draws from a normal distribution with mean 0.
func Normal(deviation float64) Sampler {
	return each(func(r *rand.Rand) float64 { return r.NormFloat64() * deviation })
}

// Uniform draws from [lo, hi).
func Uniform(lo, hi float64) Sampler {
	return each(func(r *rand.Rand) float64 { return lo + (hi-lo)*r.Float64() })
}

// Away draws from [lo, hi) at a distance of at least gap from each kink, where
// a function has no derivative.
func Away(lo, hi, gap float64, kinks ...float64) Sampler {
	return each(func(r *rand.Rand) float64 {
		for {
			x := lo + (hi-lo)*r.Float64()
			near := false
			for _, k := range kinks {
				near = near || math.Abs(x-k) < gap
			}
			if !near {
				return x
			}
		}
	})
}

// Distinct draws values that differ from one another, and from 0, by at least gap.
func Distinct(gap float64) Sampler {
	return func(r *rand.Rand, dst []float64) {
		for i, k := range r.Perm(len(dst)) {
			dst[i] = (float64(k-len(dst)/2) + 0.5) * gap
		}
	}
}

// Integers draws whole numbers from lo to hi, both included.
func Integers(lo, hi int) Sampler {
	return each(func(r *rand.Rand) float64 { return float64(lo + r.IntN(hi-lo+1)) })
}

// Levels draws from the levels of a grid with one scale.
func Levels(g quant.Grid) Sampler {
	return each(func(r *rand.Rand) float64 {
		q := g.QMin() + int32(r.IntN(int(g.QMax()-g.QMin())+1))
		return float64(g.Dequantize(q, 0))
	})
}

// Fixed gives the listed values, again from the start when they run out.
func Fixed(values ...float64) Sampler {
	return func(_ *rand.Rand, dst []float64) {
		for i := range dst {
			dst[i] = values[i%len(values)]
		}
	}
}

// Among draws from the listed values.
func Among(values ...float64) Sampler {
	return each(func(r *rand.Rand) float64 { return values[r.IntN(len(values))] })
}
