package layers

import (
	"fmt"

	"github.com/bitgrad/bitgrad/autograd"
)

// Builder adds layers to the graph of a network.
type Builder struct {
	Graph *autograd.Graph
	// X is what the first layer reads: the normalized pixels, or the floats,
	// [N C H W].
	X     *autograd.Node
	name  string
	input Input
}

// New starts a network: the input node "input" and, for pixels, the node
// "normalize".
func New(name string, in Input) *Builder {
	g := autograd.NewGraph(name)
	b := &Builder{Graph: g, name: name, input: in}
	if err := in.Validate(); err != nil {
		g.Fail(fmt.Errorf("%s: %w", name, err))
	}
	if in.Float {
		b.X = g.Input("input", autograd.Float32, in.C, in.H, in.W)
		return b
	}
	x := g.Input("input", autograd.Uint8, in.C, in.H, in.W)
	if g.Err() != nil {
		b.X = x
		return b
	}
	scale, offset := in.affine()
	b.X = autograd.Normalize("normalize", x, scale, offset)
	return b
}

// Classifier ends the network: logits, [N Classes], becomes its output, and every
// parameter is drawn with seed 0. A network with a mistake is returned as well;
// its graph holds the error.
func (b *Builder) Classifier(logits *autograd.Node) *Net {
	net := &Net{Name: b.name, Input: b.input, Graph: b.Graph}
	if logits != nil && b.Graph.Err() == nil {
		t := logits.Type()
		if t.Plain || len(t.Shape) != 2 {
			b.Graph.Fail(fmt.Errorf("%w: %s: logits %s: must be [N Classes]", ErrNet, b.name, t))
		} else {
			net.Classes = t.Shape[1]
		}
	}
	b.Graph.SetOutput("logits", logits)
	if b.Graph.Err() == nil {
		b.Graph.Initialize(0)
	}
	return net
}

// channels returns the number of channels of x, 0 where the graph has an error.
func channels(x *autograd.Node) int {
	if x == nil {
		return 0
	}
	c, _, _ := x.Type().CHW()
	return c
}

// ok reports whether a layer can be added that reads x; otherwise the graph has
// an error and out stands for the layer.
func (b *Builder) ok(name string, x *autograd.Node) bool {
	if x == nil {
		b.Graph.Fail(fmt.Errorf("%w: %s: %s: the operand is nil", ErrNet, b.name, name))
	}
	return b.Graph.Err() == nil
}

// A ConvOption changes a convolution.
type ConvOption func(*conv)

type conv struct {
	kh, kw int
	same   bool
	noBias bool
	init   autograd.Initializer
	attrs  autograd.ConvAttrs
}

// Kernel sets the rows and columns of the kernel.
func Kernel(h, w int) ConvOption { return func(c *conv) { c.kh, c.kw = h, w } }

// Stride sets the step between positions, 1 otherwise.
func Stride(n int) ConvOption { return func(c *conv) { c.attrs.StrideH, c.attrs.StrideW = n, n } }

// Pad puts n zeros on every side, none otherwise.
func Pad(n int) ConvOption { return Pads(n, n, n, n) }

// Pads puts zeros on each side.
func Pads(top, left, bottom, right int) ConvOption {
	return func(c *conv) {
		c.same = false
		c.attrs.Pad = autograd.Border{Top: top, Left: left, Bottom: bottom, Right: right}
	}
}

// Same pads so that the output has ⌈extent/stride⌉ rows and columns, the odd zero
// at the bottom and on the right, as Keras does.
func Same() ConvOption { return func(c *conv) { c.same = true } }

// Dilation sets the distance between taps, 1 otherwise.
func Dilation(n int) ConvOption { return func(c *conv) { c.attrs.DilH, c.attrs.DilW = n, n } }

// Groups splits the channels into n groups.
func Groups(n int) ConvOption { return func(c *conv) { c.attrs.Groups = n } }

// NoBias leaves out the bias.
func NoBias() ConvOption { return func(c *conv) { c.noBias = true } }

// Init sets the initializer of the weight, [autograd.HeNormal] otherwise.
func Init(f autograd.Initializer) ConvOption { return func(c *conv) { c.init = f } }

// Conv adds a convolution of x [N C H W] with out kernels of k×k: the parameters
// name.weight [O C/groups k k] and name.bias [O], which begins at zero.
func (b *Builder) Conv(name string, x *autograd.Node, out, k int, opts ...ConvOption) *autograd.Node {
	if !b.ok(name, x) {
		return x
	}
	c := conv{kh: k, kw: k, init: autograd.HeNormal()}
	for _, f := range opts {
		f(&c)
	}
	ch, h, w := x.Type().CHW()
	if c.same {
		p := &c.attrs.Pad
		p.Top, p.Bottom = autograd.SameStride(h, c.kh, max(c.attrs.StrideH, 1))
		p.Left, p.Right = autograd.SameStride(w, c.kw, max(c.attrs.StrideW, 1))
	}
	g := max(c.attrs.Groups, 1)
	if ch%g != 0 {
		b.Graph.Fail(fmt.Errorf("%w: %s: %s: %d channels do not divide into %d groups", ErrNet, b.name, name, ch, g))
		return x
	}
	weight := b.Graph.Param(name+".weight", autograd.Weight, c.init, out, ch/g, c.kh, c.kw)
	var bias *autograd.Node
	if !c.noBias {
		bias = b.Graph.Param(name+".bias", autograd.Bias, autograd.Zeros(), out)
	}
	return autograd.Conv2D(name, x, weight, bias, c.attrs)
}

// Depthwise adds a convolution of each channel of x with a kernel of its own.
func (b *Builder) Depthwise(name string, x *autograd.Node, k int, opts ...ConvOption) *autograd.Node {
	c := channels(x)
	return b.Conv(name, x, c, k, append([]ConvOption{Groups(c)}, opts...)...)
}

// ConvBN adds a convolution without bias and, as name.bn, a batch norm.
func (b *Builder) ConvBN(name string, x *autograd.Node, out, k int, opts ...ConvOption) *autograd.Node {
	return b.BatchNorm(name+".bn", b.Conv(name, x, out, k, append([]ConvOption{NoBias()}, opts...)...))
}

// BatchNorm adds a batch norm over the channels of x: the parameters name.weight
// (γ, ones) and name.bias (β, zeros), and the states name.running_mean and
// name.running_var. Its constants are those of PyTorch: ε 1e-5, momentum 0.1,
// unbiased moving variance.
func (b *Builder) BatchNorm(name string, x *autograd.Node) *autograd.Node {
	return b.BatchNormWith(name, x, autograd.BatchNormAttrs{Unbiased: true})
}

// KerasBatchNorm returns the constants of a batch norm in Keras: ε 1e-3, a momentum
// of 0.99 counted its way, biased moving variance.
func KerasBatchNorm() autograd.BatchNormAttrs {
	return autograd.BatchNormAttrs{Eps: 1e-3, Momentum: 0.01}
}

// BatchNormWith is BatchNorm with other constants.
func (b *Builder) BatchNormWith(name string, x *autograd.Node, a autograd.BatchNormAttrs) *autograd.Node {
	if !b.ok(name, x) {
		return x
	}
	c := channels(x)
	gamma := b.Graph.Param(name+".weight", autograd.Gamma, autograd.Ones(), c)
	beta := b.Graph.Param(name+".bias", autograd.Beta, autograd.Zeros(), c)
	return autograd.BatchNorm(name, x, gamma, beta, a)
}

// Linear adds a fully connected layer: the parameters name.weight [O I] and
// name.bias [O], which begins at zero. An image is flattened first, in [C H W]
// order, by the node name.flatten.
func (b *Builder) Linear(name string, x *autograd.Node, out int, opts ...LinearOption) *autograd.Node {
	if !b.ok(name, x) {
		return x
	}
	l := linear{init: autograd.HeNormal()}
	for _, f := range opts {
		f(&l)
	}
	if len(x.Type().Shape) == 4 {
		x = b.Flatten(name+".flatten", x)
	}
	weight := b.Graph.Param(name+".weight", autograd.Weight, l.init, out, channels(x))
	var bias *autograd.Node
	if !l.noBias {
		bias = b.Graph.Param(name+".bias", autograd.Bias, autograd.Zeros(), out)
	}
	return autograd.Linear(name, x, weight, bias)
}

// A LinearOption changes a fully connected layer.
type LinearOption func(*linear)

type linear struct {
	noBias bool
	init   autograd.Initializer
}

// LinearInit sets the initializer of the weight, [autograd.HeNormal] otherwise.
func LinearInit(f autograd.Initializer) LinearOption { return func(l *linear) { l.init = f } }

// LinearNoBias leaves out the bias.
func LinearNoBias() LinearOption { return func(l *linear) { l.noBias = true } }

// ReLU adds max(x, 0).
func (b *Builder) ReLU(name string, x *autograd.Node) *autograd.Node {
	if !b.ok(name, x) {
		return x
	}
	return autograd.ReLU(name, x)
}

// Add adds x + y.
func (b *Builder) Add(name string, x, y *autograd.Node) *autograd.Node {
	if !b.ok(name, x) || !b.ok(name, y) {
		return x
	}
	return autograd.Add(name, x, y)
}

// Flatten makes a vector of each image, in [C H W] order.
func (b *Builder) Flatten(name string, x *autograd.Node) *autograd.Node {
	if !b.ok(name, x) {
		return x
	}
	return autograd.Flatten(name, x)
}

// MaxPool adds a max pool with windows of k×k at a distance of stride.
func (b *Builder) MaxPool(name string, x *autograd.Node, k, stride int) *autograd.Node {
	if !b.ok(name, x) {
		return x
	}
	return autograd.MaxPool(name, x, autograd.PoolAttrs{KH: k, KW: k, StrideH: stride, StrideW: stride})
}

// GlobalAveragePool adds the mean over all rows and columns.
func (b *Builder) GlobalAveragePool(name string, x *autograd.Node) *autograd.Node {
	if !b.ok(name, x) {
		return x
	}
	return autograd.GlobalAveragePool(name, x)
}
