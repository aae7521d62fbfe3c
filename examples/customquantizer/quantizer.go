package main

import (
	"fmt"
	"math"

	"github.com/bitgrad/bitgrad/fakequant"
	"github.com/bitgrad/bitgrad/quant"
)

// SoftClip is an estimator: it learns the largest magnitude α that a grid reaches,
//
//	s = α/QMax,  α = ln(1+e^p),  dp = S/QMax·(1−e^-α)/√n
//
// with S the gradient of the scale, summed over n elements, and the parameter p free
// to be any number. It implements [fakequant.Estimator]; whatever runs on integers
// and whatever differentiates calls nothing else.
type SoftClip struct{}

// Name is part of the name of the parameter: "conv1.weights.softclip".
func (SoftClip) Name() string { return "softclip" }

// Learned says that there is a parameter. Without one the range would follow the
// observer.
func (SoftClip) Learned() bool { return true }

// Check refuses formats whose scale is not free, or that have a zero point.
func (SoftClip) Check(f quant.UniformFormat) error {
	if f.PowerOfTwo || f.Affine {
		return fmt.Errorf("%w: softclip needs a symmetric format with any scale, not %s", fakequant.ErrSpec, f)
	}
	return nil
}

// Param inverts Scale; calibration ends with it.
func (SoftClip) Param(f quant.UniformFormat, scale float32) float32 {
	alpha := float64(scale) * qmax(f)
	return float32(alpha + math.Log(-math.Expm1(-alpha))) // ln(e^α−1), without overflow
}

// Scale must be positive and finite for every finite p.
func (SoftClip) Scale(f quant.UniformFormat, p float32) float32 {
	x := float64(p)
	alpha := max(x, 0) + math.Log1p(math.Exp(-math.Abs(x)))
	return max(float32(alpha/qmax(f)), quant.MinScale)
}

// Rounded says that the gradient passes where the rounded value lies in the grid.
func (SoftClip) Rounded() bool { return true }

// RangeGrad is the chain rule from s to p.
func (SoftClip) RangeGrad(f quant.UniformFormat, scale float32, s float64, n int) float32 {
	alpha := float64(scale) * qmax(f)
	return float32(s / qmax(f) * -math.Expm1(-alpha) / math.Sqrt(float64(max(n, 1))))
}

func qmax(f quant.UniformFormat) float64 { return float64(max(f.QMax(), 1)) } // 0 for one signed bit

// Sigma is an observer: its range is the mean and K deviations around it, as far as
// values reach. Mean and deviation are those of whole batches, averaged. It
// implements [fakequant.Observer]; where ranges are learned they begin with it.
type Sigma struct{ K float32 }

// What the state of Sigma holds. The graph owns it, checkpoints it, and drops what a
// failed step wrote.
const (
	sigmaBatches = iota
	sigmaMean    // sums over batches
	sigmaSquare
	sigmaMin
	sigmaMax
	sigmaLen
)

// Name is part of the name of the state: "conv1.output.sigma".
func (Sigma) Name() string { return "sigma" }

// New returns the state of nothing observed.
func (Sigma) New() []float32 { return make([]float32, sigmaLen) }

// NeedsValues says that Observe sees values. There are none on integers, so that
// such an observer watches calibration only.
func (Sigma) NeedsValues() bool { return true }

// Observe takes a batch in. It allocates nothing.
func (Sigma) Observe(s []float32, o fakequant.Observation) {
	if o.Count == 0 || o.Values == nil {
		return
	}
	var sum, square float64
	o.Values(func(x []float32) {
		for _, v := range x {
			sum += float64(v)
			square += float64(v) * float64(v)
		}
	})
	if s[sigmaBatches] == 0 {
		s[sigmaMin], s[sigmaMax] = o.Min, o.Max
	}
	s[sigmaBatches]++
	s[sigmaMean] += float32(sum / float64(o.Count))
	s[sigmaSquare] += float32(square / float64(o.Count))
	s[sigmaMin], s[sigmaMax] = min(s[sigmaMin], o.Min), max(s[sigmaMax], o.Max)
}

// Range returns what the state stands for. The format then makes a grid of it.
func (g Sigma) Range(s []float32, _ quant.UniformFormat) (lo, hi float32, ok bool) {
	n := s[sigmaBatches]
	if n == 0 {
		return 0, 0, false
	}
	mean := s[sigmaMean] / n
	reach := g.K * float32(math.Sqrt(float64(max(s[sigmaSquare]/n-mean*mean, 0))))
	return max(s[sigmaMin], mean-reach), min(s[sigmaMax], mean+reach), true
}

var (
	_ fakequant.Estimator = SoftClip{}
	_ fakequant.Observer  = Sigma{}
)
