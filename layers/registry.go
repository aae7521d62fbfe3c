package layers

import (
	"fmt"
	"strings"

	"github.com/bitgrad/bitgrad/internal/glob"
)

// Entry is a reference network.
type Entry struct {
	Name string
	// About says in a few words what it is.
	About string
	New   func(opts ...Option) *Net
}

// Nets returns the reference networks, small ones first.
func Nets() []Entry {
	return []Entry{
		{"mlp", "perceptron of two hidden layers, 28x28x1", MLP},
		{"smallconvnet", "two convolutions with batch norm, 28x28x1", SmallConvNet},
		{"lenet", "Caffe's LeNet, 28x28x1", LeNet},
		{"cifar10full", "Caffe's cifar10_full, 32x32x3", CIFAR10Full},
		{"cifar10full-plain", "cifar10_full without local response normalization, 32x32x3", CIFAR10FullPlain},
		{"resnet8", "MLPerf Tiny's ResNet-8, 32x32x3", ResNet8},
		{"resnet8conv", "ResNet-8 without biases, convolutions with batch norm as shortcuts, 32x32x3", ResNet8Conv},
		{"resnet20", "ResNet-20 with shortcuts without parameters, 32x32x3", ResNet20},
		{"resnet20conv", "ResNet-20 with convolutions as shortcuts, 32x32x3", ResNet20Conv},
		{"mobilenet", "depthwise-separable blocks, 32x32x3", MobileNet},
	}
}

// Names returns the names of the reference networks.
func Names() []string {
	var names []string
	for _, e := range Nets() {
		names = append(names, e.Name)
	}
	return names
}

// ByName returns the function that builds the reference network of that name; the
// error of an unknown one offers the nearest, or all.
func ByName(name string) (func(opts ...Option) *Net, error) {
	for _, e := range Nets() {
		if e.Name == name {
			return e.New, nil
		}
	}
	hint := glob.Hint(name, Names())
	if hint == "" {
		hint = "; there are " + strings.Join(Names(), ", ")
	}
	return nil, fmt.Errorf("%w: no network is named %q%s", ErrNet, name, hint)
}
