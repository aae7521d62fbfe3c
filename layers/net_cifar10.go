package layers

import "github.com/bitgrad/bitgrad/autograd"

// cifar10Mean and cifar10Std are those of the 50,000 training images of
// CIFAR-10, per channel, for pixels of 0 to 255.
var (
	cifar10Mean = []float32{125.307, 122.950, 113.865}
	cifar10Std  = []float32{62.993, 62.089, 66.705}
)

func cifar10Input() Input {
	return Input{C: 3, H: 32, W: 32, Mean: cifar10Mean, Std: cifar10Std}
}

// CIFAR10Full is Caffe's network for CIFAR-10, that of cifar10_full.prototxt:
//
//	conv1 32@5×5 pad 2   pool1 max 3/2   relu1   norm1      [N 32 16 16]
//	conv2 32@5×5 pad 2   relu2   pool2 average 3/2   norm2  [N 32 8 8]
//	conv3 64@5×5 pad 2   relu3   pool3 average 3/2          [N 64 4 4]
//	fc 10
//
// Pools keep a last window that does not fit, as Caffe does; norm1 and norm2
// normalize within the channel over 3×3 pixels (α 5e-5, β 0.75). Weights are
// normal with deviation 1e-4 (conv1) and 0.01, biases are zero, and the mean of
// each channel is taken off the pixels.
//
// It has 89,578 trained scalars and takes 12,298,240 multiply-accumulates.
func CIFAR10Full(opts ...Option) *Net { return cifar10Full("cifar10full", true, opts) }

// CIFAR10FullPlain is [CIFAR10Full] without norm1 and norm2, which have no
// integer form. It has the same parameters.
func CIFAR10FullPlain(opts ...Option) *Net { return cifar10Full("cifar10full-plain", false, opts) }

func cifar10Full(name string, norm bool, opts []Option) *Net {
	b, classes := Begin(name, Input{C: 3, H: 32, W: 32, Mean: cifar10Mean, Std: []float32{1}}, 10, opts...)
	pool := autograd.PoolAttrs{KH: 3, KW: 3, StrideH: 2, StrideW: 2, Size: autograd.PoolCaffe}
	lrn := func(name string, x *autograd.Node) *autograd.Node {
		if !norm || !b.ok(name, x) {
			return x
		}
		return autograd.LRN(name, x, autograd.LRNAttrs{Size: 3, Alpha: 5e-5, Beta: 0.75, WithinChannel: true})
	}
	maxPool := func(name string, x *autograd.Node) *autograd.Node {
		if !b.ok(name, x) {
			return x
		}
		return autograd.MaxPool(name, x, pool)
	}
	average := func(name string, x *autograd.Node) *autograd.Node {
		if !b.ok(name, x) {
			return x
		}
		return autograd.AveragePool(name, x, autograd.AveragePoolAttrs{PoolAttrs: pool})
	}
	weak := autograd.Normal(0.01)
	x := b.Conv("conv1", b.X, 32, 5, Pad(2), Init(autograd.Normal(1e-4)))
	x = lrn("norm1", b.ReLU("relu1", maxPool("pool1", x)))
	x = b.Conv("conv2", x, 32, 5, Pad(2), Init(weak))
	x = lrn("norm2", average("pool2", b.ReLU("relu2", x)))
	x = b.Conv("conv3", x, 64, 5, Pad(2), Init(weak))
	x = average("pool3", b.ReLU("relu3", x))
	return b.Classifier(b.Linear("fc", x, classes, LinearInit(weak)))
}
