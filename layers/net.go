package layers

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/bitgrad/bitgrad/autograd"
)

// Errors of this package wrap one of these.
var (
	// ErrInput marks the description of an input that cannot be one.
	ErrInput = errors.New("layers: invalid input")
	// ErrNet marks a network that was asked for in a way it cannot be built.
	ErrNet = errors.New("layers: invalid network")
)

// Net is a classifier.
type Net struct {
	Name    string
	Classes int
	Input   Input
	// Graph has the input "input" and the output "logits" [N Classes].
	Graph *autograd.Graph
}

// Count returns the number of trained scalars.
func (n *Net) Count() int { return n.Graph.Count() }

// MACs returns the multiply-accumulates of one sample: those of convolutions and
// linear layers.
func (n *Net) MACs() int64 {
	sum := int64(0)
	for _, k := range n.Graph.Nodes() {
		sum += k.Spec().MACs
	}
	return sum
}

// Input describes the samples that a network reads.
type Input struct {
	// C, H and W are channels, rows and columns. A vector of F features is F, 1, 1.
	C, H, W int
	// Mean and Std normalize pixels p of 0 to 255 to (p − Mean[c])/Std[c]. They
	// have one entry per channel, or one for all; nil means 0 and 255, which
	// gives 0 to 1.
	Mean, Std []float32
	// Float makes the network read float32 samples as they are; Mean and Std do
	// not apply.
	Float bool
}

// Validate reports an extent, mean or deviation that cannot be.
func (in Input) Validate() error {
	if in.C <= 0 || in.H <= 0 || in.W <= 0 {
		return fmt.Errorf("%w: [%d %d %d]: every extent must be positive", ErrInput, in.C, in.H, in.W)
	}
	for _, v := range []struct {
		name   string
		values []float32
	}{{"mean", in.Mean}, {"std", in.Std}} {
		if n := len(v.values); n > 1 && n != in.C {
			return fmt.Errorf("%w: %s has %d entries: must be one for all or one for each of %d channels", ErrInput, v.name, n, in.C)
		}
		for c, x := range v.values {
			if f := float64(x); math.IsNaN(f) || math.IsInf(f, 0) || v.name == "std" && f <= 0 {
				return fmt.Errorf("%w: %s of channel %d is %v", ErrInput, v.name, c, x)
			}
		}
	}
	return nil
}

// affine returns the factor and the offset per channel of p ↦ a·p + b.
func (in Input) affine() (a, b []float32) {
	at := func(v []float32, c int, or float64) float64 {
		switch len(v) {
		case 0:
			return or
		case 1:
			return float64(v[0])
		}
		return float64(v[c])
	}
	for c := range in.C {
		std := at(in.Std, c, 255)
		a = append(a, float32(1/std))
		b = append(b, float32(-at(in.Mean, c, 0)/std))
	}
	return a, b
}

// An Option changes what a reference network is built for.
type Option func(*options)

type options struct {
	name    string
	input   Input
	classes int
}

// WithInput replaces the network's own input.
func WithInput(in Input) Option { return func(o *options) { o.input = in } }

// WithNormalization replaces mean and deviation of the pixels; see [Input].
func WithNormalization(mean, std []float32) Option {
	mean, std = slices.Clone(mean), slices.Clone(std)
	return func(o *options) { o.input.Mean, o.input.Std = mean, std }
}

// WithFloatInput makes the network read float32 samples as they are.
func WithFloatInput() Option { return func(o *options) { o.input.Float = true } }

// WithClasses sets the number of classes, which is 10 otherwise.
func WithClasses(n int) Option { return func(o *options) { o.classes = n } }

// WithName sets the name of the network.
func WithName(name string) Option { return func(o *options) { o.name = name } }

// Begin is [New] for a network that is drawn for an input and a number of classes,
// and takes options as the reference networks do. It returns the number of
// classes that the last layer is to have.
func Begin(name string, in Input, classes int, opts ...Option) (*Builder, int) {
	o := options{name: name, input: in, classes: classes}
	for _, f := range opts {
		if f != nil {
			f(&o)
		}
	}
	return New(o.name, o.input), o.classes
}
