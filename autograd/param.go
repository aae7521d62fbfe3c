package autograd

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"

	"gorgonia.org/tensor"
)

// Role says what a parameter is for. Optimizers choose their defaults by it:
// decay applies to weights only.
type Role uint8

// Roles of parameters.
const (
	Weight Role = iota
	Bias
	Gamma
	Beta
	// RangeParam is a learned range of a quantizer: a scale or a threshold.
	RangeParam
)

var roleNames = [...]string{"weight", "bias", "gamma", "beta", "range"}

// String returns the lower-case name of the role.
func (r Role) String() string {
	if int(r) < len(roleNames) {
		return roleNames[r]
	}
	return fmt.Sprintf("role(%d)", uint8(r))
}

// A Param is a trained tensor, row-major in its public shape. Value and Grad
// keep their length; whoever changes Value outside an optimizer calls Touch.
type Param struct {
	Name  string
	Role  Role
	Shape []int
	Value []float32
	Grad  []float32
	// Frozen parameters take part in the forward pass only.
	Frozen  bool
	init    Initializer
	version uint64
}

// Version changes whenever the value may have changed.
func (p *Param) Version() uint64 { return p.version }

// Touch announces a change of Value.
func (p *Param) Touch() { p.version++ }

// Tensor returns a dense tensor that shares the parameter's memory.
func (p *Param) Tensor() *tensor.Dense {
	return tensor.New(tensor.WithShape(p.Shape...), tensor.WithBacking(p.Value))
}

// Initialize draws the value again from the initializer and the seed. The
// draw depends on the seed and the parameter's name alone.
func (p *Param) Initialize(seed uint64) {
	h := fnv.New64a()
	h.Write([]byte(p.Name))
	r := rand.New(rand.NewPCG(seed, h.Sum64()))
	if p.init != nil {
		p.init(p.Value, p.Shape, r)
	}
	p.Touch()
}

// An Initializer fills dst, the row-major value of a parameter of the given
// shape, from r.
type Initializer func(dst []float32, shape []int, r *rand.Rand)

// Fans returns the fan-in and fan-out of a weight: [O I H W] and [O I].
func Fans(shape []int) (in, out int) {
	if len(shape) == 0 {
		return 1, 1
	}
	area := 1
	for _, e := range shape[min(2, len(shape)):] {
		area *= e
	}
	in = area
	if len(shape) > 1 {
		in *= shape[1]
	}
	return max(in, 1), max(shape[0]*area, 1)
}

// Constant sets every element to v.
func Constant(v float32) Initializer {
	return func(dst []float32, _ []int, _ *rand.Rand) {
		for i := range dst {
			dst[i] = v
		}
	}
}

// Zeros sets every element to 0.
func Zeros() Initializer { return Constant(0) }

// Ones sets every element to 1.
func Ones() Initializer { return Constant(1) }

// Normal draws from a normal distribution with mean 0 and deviation std.
func Normal(std float64) Initializer {
	return func(dst []float32, _ []int, r *rand.Rand) {
		for i := range dst {
			dst[i] = float32(r.NormFloat64() * std)
		}
	}
}

// HeNormal draws from a normal distribution of deviation √(2/fan-in)
// (He et al., 2015).
func HeNormal() Initializer {
	return func(dst []float32, shape []int, r *rand.Rand) {
		in, _ := Fans(shape)
		Normal(math.Sqrt(2/float64(in)))(dst, shape, r)
	}
}

// Uniform draws from (-a, a).
func Uniform(a float64) Initializer {
	return func(dst []float32, _ []int, r *rand.Rand) {
		for i := range dst {
			dst[i] = float32((2*r.Float64() - 1) * a)
		}
	}
}

// Xavier draws from (-a, a) with a = √(3/fan-in), Caffe's "xavier" filler.
func Xavier() Initializer {
	return func(dst []float32, shape []int, r *rand.Rand) {
		in, _ := Fans(shape)
		Uniform(math.Sqrt(3/float64(in)))(dst, shape, r)
	}
}

// GlorotUniform draws from (-a, a) with a = √(6/(fan-in+fan-out)), the default
// of Keras (Glorot and Bengio, 2010).
func GlorotUniform() Initializer {
	return func(dst []float32, shape []int, r *rand.Rand) {
		in, out := Fans(shape)
		Uniform(math.Sqrt(6/float64(in+out)))(dst, shape, r)
	}
}
