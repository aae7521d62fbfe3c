package layers

import (
	"fmt"

	"github.com/bitgrad/bitgrad/autograd"
)

// Shortcut says how a residual block whose output is wider than its input
// brings the input along.
type Shortcut uint8

const (
	// PadShortcut takes every second row and column and adds channels of zeros,
	// half before and half after: option A of He et al. It has no parameters.
	PadShortcut Shortcut = iota
	// ConvShortcut is a 1×1 convolution with batch norm: option B.
	ConvShortcut
)

// ResNet is the residual network of He et al. (2016) for 32×32 images: a 3×3
// convolution of 16 channels, three stages of blocks with 16, 32 and 64 channels,
// the later two at half the resolution of the one before, a global mean, and a
// linear layer. It is 6·blocks+2 layers deep. Convolutions are 3×3 with padding
// 1 and without bias, each followed by batch norm.
//
//	conv1 conv1.bn relu1
//	stage1.block0 …  stage2.block0 …  stage3.block0 …
//	pool fc
//
// Block s.b is the path
//
//	s.b.conv1  s.b.conv1.bn  s.b.relu1  s.b.conv2  s.b.conv2.bn
//
// to which s.b.add adds the input, followed by s.b.relu2. Where the block
// widens, the input passes s.b.shortcut: with [ConvShortcut] a convolution with
// its s.b.shortcut.bn, with [PadShortcut] the nodes s.b.shortcut.slice and
// s.b.shortcut.
//
// Weights are drawn by [autograd.HeNormal]; pixels are normalized by the mean
// and deviation of the CIFAR-10 training images.
func ResNet(blocks int, shortcut Shortcut, opts ...Option) *Net {
	name := fmt.Sprintf("resnet%d", 6*blocks+2)
	if shortcut == ConvShortcut {
		name += "conv"
	}
	b, classes := Begin(name, cifar10Input(), 10, opts...)
	if blocks <= 0 || blocks > 200 {
		b.Graph.Fail(fmt.Errorf("%w: %s: %d blocks per stage: must be 1 to 200", ErrNet, b.name, blocks))
		return b.Classifier(b.X)
	}
	if shortcut > ConvShortcut {
		b.Graph.Fail(fmt.Errorf("%w: %s: shortcut %d: unknown", ErrNet, b.name, shortcut))
	}
	x := b.ReLU("relu1", b.ConvBN("conv1", b.X, 16, 3, Pad(1)))
	for s, width := range []int{16, 32, 64} {
		for k := range blocks {
			path := fmt.Sprintf("stage%d.block%d", s+1, k)
			stride := 1
			if s > 0 && k == 0 {
				stride = 2
			}
			y := b.ReLU(path+".relu1", b.ConvBN(path+".conv1", x, width, 3, Pad(1), Stride(stride)))
			y = b.ConvBN(path+".conv2", y, width, 3, Pad(1))
			if stride != 1 {
				x = b.shortcut(path+".shortcut", x, width, shortcut)
			}
			x = b.ReLU(path+".relu2", b.Add(path+".add", y, x))
		}
	}
	return b.Classifier(b.Linear("fc", b.GlobalAveragePool("pool", x), classes))
}

func (b *Builder) shortcut(name string, x *autograd.Node, width int, kind Shortcut) *autograd.Node {
	if kind == ConvShortcut {
		return b.ConvBN(name, x, width, 1, Stride(2))
	}
	if !b.ok(name, x) {
		return x
	}
	more := width - channels(x)
	half := autograd.Slice(name+".slice", x, autograd.SliceAttrs{H: autograd.Range{Step: 2}, W: autograd.Range{Step: 2}})
	return autograd.ChannelPad(name, half, more/2, more-more/2)
}

// ResNet20 is [ResNet] with three blocks per stage and shortcuts without
// parameters, the network of the paper: 269,722 trained scalars, 40,551,040
// multiply-accumulates.
func ResNet20(opts ...Option) *Net { return ResNet(3, PadShortcut, opts...) }

// ResNet20Conv is [ResNet] with three blocks per stage and convolutions as
// shortcuts, which is what most libraries build: 272,474 trained scalars,
// 40,813,184 multiply-accumulates.
func ResNet20Conv(opts ...Option) *Net { return ResNet(3, ConvShortcut, opts...) }

// ResNet8Conv is [ResNet] with one block per stage and convolutions as
// shortcuts: 78,042 trained scalars, 12,501,632 multiply-accumulates. It differs
// from [ResNet8] in that no convolution has a bias, shortcuts have batch norm, and
// padding with stride 2 is the same on all sides.
func ResNet8Conv(opts ...Option) *Net { return ResNet(1, ConvShortcut, opts...) }

// ResNet8 is the image classification network of MLPerf Tiny in its original
// form, with one block per stage. Every convolution has a bias; padding is that
// of Keras, so with stride 2 the zeros lie at the bottom and on the right;
// shortcuts are 1×1 convolutions without batch norm. Nodes are named as those of
// [ResNet].
//
// It has 78,186 trained scalars; Keras prints 78,666 because it counts the 480
// moving statistics of the batch norms as well. It takes 12,501,632
// multiply-accumulates. Pixels are read as they are, from 0 to 255.
func ResNet8(opts ...Option) *Net {
	b, classes := Begin("resnet8", Input{C: 3, H: 32, W: 32, Std: []float32{1}}, 10, opts...)
	convBN := func(name string, x *autograd.Node, width, stride int) *autograd.Node {
		return b.BatchNormWith(name+".bn", b.Conv(name, x, width, 3, Same(), Stride(stride)), KerasBatchNorm())
	}
	x := b.ReLU("relu1", convBN("conv1", b.X, 16, 1))
	for s, width := range []int{16, 32, 64} {
		path := fmt.Sprintf("stage%d.block0", s+1)
		stride := min(s+1, 2)
		y := b.ReLU(path+".relu1", convBN(path+".conv1", x, width, stride))
		y = convBN(path+".conv2", y, width, 1)
		if stride != 1 {
			x = b.Conv(path+".shortcut", x, width, 1, Same(), Stride(stride))
		}
		x = b.ReLU(path+".relu2", b.Add(path+".add", y, x))
	}
	return b.Classifier(b.Linear("fc", b.GlobalAveragePool("pool", x), classes))
}
