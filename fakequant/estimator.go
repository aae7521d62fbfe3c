package fakequant

import (
	"fmt"
	"math"

	"github.com/bitgrad/bitgrad/quant"
)

// An Estimator decides the scale of a quantizer and the gradient of its range.
// With v = x/s, the forward pass is that of the grid,
//
//	q = clamp(round(v) + z, QMin, QMax),  x̂ = (q − z)·s,
//
// and the straight-through gradient passes where v is inside the grid,
// dx = dx̂·[inside]. The gradient of the scale is
//
//	S = Σ dx̂·((q − z) − v·[inside]),      ds = S
//
// summed over the elements that share a scale; what a ReLU cut adds nothing. An
// estimator maps S to the gradient of its own parameter.
//
// All kernels, fused or not, on floats or on accumulators, are built from
// these few methods: a new estimator touches no kernel.
type Estimator interface {
	// Name is the word for it in a spec: "lsq".
	Name() string
	// Learned reports whether the range is a trained parameter; otherwise it
	// follows the observer.
	Learned() bool
	// Check refuses formats that the estimator cannot drive.
	Check(f quant.UniformFormat) error
	// Param returns the parameter that stands for the given scale; it is called
	// when calibration ends. Adam, with which ranges are usually trained, moves a
	// parameter by about its learning rate per step, 1e-2 by default: choose one
	// for which that is a small step, such as a logarithm of the scale.
	Param(f quant.UniformFormat, scale float32) float32
	// Scale returns the scale that the parameter stands for, positive and finite
	// for any finite parameter.
	Scale(f quant.UniformFormat, param float32) float32
	// Rounded says how inside is tested: QMin−z ≤ round(v) ≤ QMax−z if true, and
	// QMin−z < v < QMax−z on the unrounded value if false.
	Rounded() bool
	// RangeGrad returns the gradient of the parameter from S over n elements.
	RangeGrad(f quant.UniformFormat, scale float32, s float64, n int) float32
}

// STE is the clipped straight-through estimator: the range follows the
// observer and has no gradient; dx = dx̂ where QMin ≤ round(x/s)+z ≤ QMax, else 0.
// It is the quantizer of PyTorch's and TensorFlow's quantization-aware training.
type STE struct{}

// Name returns "ste".
func (STE) Name() string { return "ste" }

// Learned returns false.
func (STE) Learned() bool { return false }

// Check accepts every format.
func (STE) Check(quant.UniformFormat) error { return nil }

// Param returns the scale itself.
func (STE) Param(_ quant.UniformFormat, scale float32) float32 { return scale }

// Scale returns the parameter.
func (STE) Scale(_ quant.UniformFormat, param float32) float32 { return param }

// Rounded returns true.
func (STE) Rounded() bool { return true }

// RangeGrad returns 0.
func (STE) RangeGrad(quant.UniformFormat, float32, float64, int) float32 { return 0 }

// LSQ learns the step size (Esser et al., Learned Step Size Quantization, ICLR
// 2020). The parameter is p = log2 s, so that the scale stays positive whatever
// the optimizer does:
//
//	ds = S,  dp = s·ln 2·S·g,  g = 1/√(n·QMax)
//
// with n the number of elements that share the scale. The gradient passes
// where QMin < x/s < QMax, unrounded, as in the paper.
type LSQ struct{}

// Name returns "lsq".
func (LSQ) Name() string { return "lsq" }

// Learned returns true.
func (LSQ) Learned() bool { return true }

// Check refuses zero points and powers of two.
func (LSQ) Check(f quant.UniformFormat) error {
	if f.Affine {
		return fmt.Errorf("%w: lsq has no zero point: use ste for affine formats", ErrSpec)
	}
	if f.PowerOfTwo {
		return fmt.Errorf("%w: lsq learns any scale: use tqt for dfp", ErrSpec)
	}
	return nil
}

// Param returns log2 of the scale.
func (LSQ) Param(_ quant.UniformFormat, scale float32) float32 {
	return float32(math.Log2(float64(scale)))
}

// Scale returns 2^param, kept between 2^-100 and 2^100.
func (LSQ) Scale(_ quant.UniformFormat, param float32) float32 {
	return float32(math.Exp2(clampParam(param)))
}

func clampParam(p float32) float64 { return min(max(float64(p), -100), 100) }

// Rounded returns false.
func (LSQ) Rounded() bool { return false }

// RangeGrad returns s·ln 2·S/√(n·QMax).
func (LSQ) RangeGrad(f quant.UniformFormat, scale float32, s float64, n int) float32 {
	return float32(float64(scale) * math.Ln2 * s / math.Sqrt(float64(max(n, 1))*float64(max(f.QMax(), 1))))
}

// TQT learns the threshold of a power-of-two grid (Jain et al., Trained
// Quantization Thresholds, MLSys 2020). The parameter is θ = log2 t:
//
//	s = 2^⌈θ⌉ / 2^(b−1) signed,  2^⌈θ⌉ / 2^b unsigned;  dθ = s·ln 2·S
//
// with a straight-through ceiling. The gradient passes where round(x/s), rounded
// by the forward's own rule, lies in the grid. The paper trains θ with Adam,
// which makes the step independent of the size of the gradient.
type TQT struct{}

// Name returns "tqt".
func (TQT) Name() string { return "tqt" }

// Learned returns true.
func (TQT) Learned() bool { return true }

// Check refuses scales that are no power of two.
func (TQT) Check(f quant.UniformFormat) error {
	if !f.PowerOfTwo {
		return fmt.Errorf("%w: tqt learns powers of two: use lsq for float scales", ErrSpec)
	}
	return nil
}

func magnitude(f quant.UniformFormat) int {
	if f.Signed {
		return f.BitWidth - 1
	}
	return f.BitWidth
}

// Param returns the θ in the middle of the octave that stands for the scale, so
// that a first small step does not flip the fractional length.
func (TQT) Param(f quant.UniformFormat, scale float32) float32 {
	return float32(quant.CeilLog2(scale)+magnitude(f)) - 0.5
}

// Scale returns 2^(⌈θ⌉−b+1), or 2^(⌈θ⌉−b) if unsigned.
func (TQT) Scale(f quant.UniformFormat, param float32) float32 {
	return quant.PowerOfTwo(magnitude(f) - int(math.Ceil(clampParam(param))))
}

// Rounded returns true.
func (TQT) Rounded() bool { return true }

// RangeGrad returns s·ln 2·S.
func (TQT) RangeGrad(_ quant.UniformFormat, scale float32, s float64, _ int) float32 {
	return float32(float64(scale) * math.Ln2 * s)
}
