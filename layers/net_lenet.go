package layers

import "github.com/bitgrad/bitgrad/autograd"

// LeNet is Caffe's LeNet for 28×28 digits, the network of lenet.prototxt: two
// convolutions with max pools and no activation, then two linear layers.
//
//	conv1 20@5×5   pool1 max 2/2   [N 20 12 12]
//	conv2 50@5×5   pool2 max 2/2   [N 50 4 4]
//	fc1 500        relu1           [N 500]
//	fc2 10                         [N 10]
//
// It has 431,080 trained scalars and takes 2,293,000 multiply-accumulates.
// Weights are drawn by Caffe's xavier filler, biases are zero, pixels are scaled
// by 1/256.
func LeNet(opts ...Option) *Net {
	b, classes := Begin("lenet", Input{C: 1, H: 28, W: 28, Std: []float32{256}}, 10, opts...)
	xavier := autograd.Xavier()
	x := b.Conv("conv1", b.X, 20, 5, Init(xavier))
	x = b.MaxPool("pool1", x, 2, 2)
	x = b.Conv("conv2", x, 50, 5, Init(xavier))
	x = b.MaxPool("pool2", x, 2, 2)
	x = b.Linear("fc1", x, 500, LinearInit(xavier))
	x = b.ReLU("relu1", x)
	return b.Classifier(b.Linear("fc2", x, classes, LinearInit(xavier)))
}
