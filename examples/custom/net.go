package main

import (
	"fmt"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/layers"
)

// ShuffleNet is a small network of the units of ShuffleNet (Zhang et al., 2018),
// with Mish as activation. Layers with parameters come from the builder, all
// else from package autograd or from this one: they work on the same nodes.
func ShuffleNet(in layers.Input, classes int) *layers.Net {
	b := layers.New("shufflenet", in)
	x := b.ReLU("relu1", b.ConvBN("conv1", b.X, 16, 3, layers.Same(), layers.Stride(2)))
	for k := range 2 {
		x = unit(b, fmt.Sprintf("block%d", k), x, 4)
	}
	x = b.MaxPool("pool1", x, 2, 2)
	return b.Classifier(b.Linear("fc", x, classes))
}

// unit adds a residual unit: a 1×1 convolution in groups, a shuffle that lets the
// groups see one another, a depthwise 3×3, and a 1×1 in groups again. The names
// of its nodes begin with its path, so that rules can select them.
func unit(b *layers.Builder, path string, x *autograd.Node, groups int) *autograd.Node {
	channels, _, _ := x.Type().CHW()
	y := b.ReLU(path+".relu1", b.ConvBN(path+".conv1", x, channels, 1, layers.Groups(groups)))
	y = ChannelShuffle(path+".shuffle", y, groups)
	y = b.ConvBN(path+".dw", y, channels, 3, layers.Groups(channels), layers.Pad(1))
	y = b.ConvBN(path+".conv2", y, channels, 1, layers.Groups(groups))
	return Mish(path+".mish", b.Add(path+".add", y, x))
}
