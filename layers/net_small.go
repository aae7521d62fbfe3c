package layers

// MLP is a perceptron with two hidden layers for 28×28 digits:
//
//	fc1 256  relu1   fc2 128  relu2   fc3 10
//
// It has 235,146 trained scalars and takes 234,752 multiply-accumulates.
func MLP(opts ...Option) *Net {
	b, classes := Begin("mlp", Input{C: 1, H: 28, W: 28}, 10, opts...)
	x := b.ReLU("relu1", b.Linear("fc1", b.X, 256))
	x = b.ReLU("relu2", b.Linear("fc2", x, 128))
	return b.Classifier(b.Linear("fc3", x, classes))
}

// SmallConvNet is a small convolutional network with batch norm for 28×28
// digits, meant for tests and first steps:
//
//	conv1 8@3×3 pad 1    conv1.bn  relu1  pool1 max 2/2   [N 8 14 14]
//	conv2 16@3×3 pad 1   conv2.bn  relu2  pool2 max 2/2   [N 16 7 7]
//	fc 10                                                 [N 10]
//
// It has 9,122 trained scalars and takes 290,080 multiply-accumulates.
func SmallConvNet(opts ...Option) *Net {
	b, classes := Begin("smallconvnet", Input{C: 1, H: 28, W: 28}, 10, opts...)
	x := b.ReLU("relu1", b.ConvBN("conv1", b.X, 8, 3, Pad(1)))
	x = b.MaxPool("pool1", x, 2, 2)
	x = b.ReLU("relu2", b.ConvBN("conv2", x, 16, 3, Pad(1)))
	x = b.MaxPool("pool2", x, 2, 2)
	return b.Classifier(b.Linear("fc", x, classes))
}
