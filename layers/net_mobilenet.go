package layers

import "fmt"

// MobileNet is a small network of depthwise-separable blocks for 32×32 images
// (after Howard et al., 2017): a 3×3 convolution of 32 channels, seven blocks, a
// global mean, and a linear layer. Block k is
//
//	blockK.dw  blockK.dw.bn  blockK.relu1   3×3, each channel by itself
//	blockK.pw  blockK.pw.bn  blockK.relu2   1×1
//
// with 64, 128, 128, 256, 256, 512 and 512 channels; blocks 1, 3 and 5 halve the
// resolution. No convolution has a bias.
//
// It has 543,050 trained scalars and takes 22,930,432 multiply-accumulates.
func MobileNet(opts ...Option) *Net {
	b, classes := Begin("mobilenet", cifar10Input(), 10, opts...)
	x := b.ReLU("relu1", b.ConvBN("conv1", b.X, 32, 3, Pad(1)))
	for k, s := range []struct{ width, stride int }{{64, 1}, {128, 2}, {128, 1}, {256, 2}, {256, 1}, {512, 2}, {512, 1}} {
		path := fmt.Sprintf("block%d", k)
		x = b.BatchNorm(path+".dw.bn", b.Depthwise(path+".dw", x, 3, Pad(1), Stride(s.stride), NoBias()))
		x = b.ReLU(path+".relu1", x)
		x = b.ReLU(path+".relu2", b.ConvBN(path+".pw", x, s.width, 1))
	}
	return b.Classifier(b.Linear("fc", b.GlobalAveragePool("pool", x), classes))
}
