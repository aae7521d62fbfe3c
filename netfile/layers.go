package netfile

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/layers"
)

// An op is a kind of layer with its fields, which the document sets.
type op interface {
	// operands returns the least and the largest number of layers that it reads.
	operands() [2]int
	// check refuses fields that do not go together and missing ones.
	check() error
	// add puts the layer into the network.
	add(b *layers.Builder, name string, in []*autograd.Node, classes int) *autograd.Node
}

// kinds makes each kind of layer by the word for it. No word is that of a field.
var kinds = map[string]func() op{
	"conv":         func() op { return &conv{} },
	"depthwise":    func() op { return &depthwise{} },
	"linear":       func() op { return &linear{} },
	"batch_norm":   func() op { return &batchNorm{} },
	"max_pool":     func() op { return &maxPool{} },
	"average_pool": func() op { return &averagePool{} },
	"concat":       func() op { return &concat{} },
	"leaky_relu":   func() op { return &leakyReLU{} },
	"dropout":      func() op { return &dropout{} },
	"lrn":          func() op { return &lrn{} },
	"zero_pad":     func() op { return &zeroPad{} },
	"channel_pad":  func() op { return &channelPad{} },
	"slice":        func() op { return &slice{} },
	"reshape":      func() op { return &reshape{} },
}

type (
	unaryFunc  = func(name string, x *autograd.Node) *autograd.Node
	binaryFunc = func(name string, x, y *autograd.Node) *autograd.Node
)

// activations are layers of their own as well as values of the field activation.
var activations = map[string]unaryFunc{
	"relu": autograd.ReLU, "relu6": autograd.ReLU6, "sigmoid": autograd.Sigmoid, "tanh": autograd.Tanh, "hard_swish": autograd.HardSwish,
}

// plains are layers without fields, besides activations.
var plains = map[string]unaryFunc{"global_average_pool": autograd.GlobalAveragePool, "flatten": autograd.Flatten}

// pairs are layers of two operands.
var pairs = map[string]binaryFunc{"add": autograd.Add, "subtract": autograd.Subtract, "multiply": autograd.Multiply}

func init() {
	maps.Copy(plains, activations)
	for word := range plains {
		kinds[word] = func() op { return &plain{kind: word} }
	}
	for word := range pairs {
		kinds[word] = func() op { return &pair{kind: word} }
	}
}

// Kinds returns the kinds of layers, in alphabetical order.
func Kinds() []string { return slices.Sorted(maps.Keys(kinds)) }

// unary is what layers have in common that read one other.
type unary struct{}

func (unary) operands() [2]int { return [2]int{1, 1} }
func (unary) check() error     { return nil }

// tail is what may stand behind a layer, as nodes NAME.bn and NAME.relu.
type tail struct {
	Activation string `yaml:"activation"`
}

func (t tail) check() error {
	if t.Activation == "" {
		return nil
	}
	return oneOf("activation", t.Activation, slices.Sorted(maps.Keys(activations)))
}

func (t tail) end(name string, x *autograd.Node) *autograd.Node {
	if t.Activation == "" {
		return x
	}
	return activations[t.Activation](name+"."+t.Activation, x)
}

// norm is the field bn.
type norm struct {
	BatchNorm string `yaml:"bn"`
}

func (n norm) on() bool { return n.BatchNorm != "" && n.BatchNorm != "false" }

func (n norm) check() error {
	if n.BatchNorm == "" {
		return nil
	}
	return oneOf("bn", n.BatchNorm, []string{"true", "false", "pytorch", "keras"})
}

func (n norm) end(b *layers.Builder, name string, x *autograd.Node) *autograd.Node {
	switch {
	case !n.on():
		return x
	case n.BatchNorm == "keras":
		return b.BatchNormWith(name, x, layers.KerasBatchNorm())
	}
	return b.BatchNorm(name, x)
}

// weighted are the fields of layers with a weight.
type weighted struct {
	Bias *bool  `yaml:"bias"`
	Init string `yaml:"init"`
	norm `yaml:",inline"`
	tail `yaml:",inline"`
}

func (w weighted) check() error {
	_, err := initializer(w.Init)
	return errors.Join(err, w.norm.check(), w.tail.check())
}

// noBias: a batch norm takes the place of a bias unless the description insists.
func (w weighted) noBias() bool {
	if w.Bias != nil {
		return !*w.Bias
	}
	return w.on()
}

func (w weighted) end(b *layers.Builder, name string, x *autograd.Node) *autograd.Node {
	return w.tail.end(name, w.norm.end(b, name+".bn", x))
}

// initializer reads "he", "xavier", "glorot", "normal=0.01" or "uniform=0.1".
func initializer(text string) (autograd.Initializer, error) {
	word, value, given := strings.Cut(text, "=")
	v, err := strconv.ParseFloat(value, 64)
	if given == (word != "normal" && word != "uniform") || given && (err != nil || !(v >= 0) || math.IsInf(v, 0)) {
		return nil, fmt.Errorf("init %q: must be he, xavier, glorot, normal=DEVIATION or uniform=LIMIT", text)
	}
	switch word {
	case "", "he":
		return autograd.HeNormal(), nil
	case "xavier":
		return autograd.Xavier(), nil
	case "glorot":
		return autograd.GlorotUniform(), nil
	case "normal":
		return autograd.Normal(v), nil
	case "uniform":
		return autograd.Uniform(v), nil
	}
	return nil, fmt.Errorf("init %q: must be he, xavier, glorot, normal=DEVIATION or uniform=LIMIT", text)
}

// window are the fields of convolutions but for the number of outputs.
type window struct {
	Kernel   extents  `yaml:"kernel"`
	Stride   positive `yaml:"stride"`
	Dilation positive `yaml:"dilation"`
	Pad      sides    `yaml:"pad"`
	weighted `yaml:",inline"`
}

func (w window) check() error {
	if w.Kernel.h == 0 {
		return errors.New("needs kernel")
	}
	return w.weighted.check()
}

func (w window) options() []layers.ConvOption {
	init, _ := initializer(w.Init)
	p := w.Pad.border
	opts := []layers.ConvOption{layers.Init(init), layers.Kernel(w.Kernel.h, w.Kernel.w), layers.Pads(p.Top, p.Left, p.Bottom, p.Right)}
	if w.Stride > 0 {
		opts = append(opts, layers.Stride(int(w.Stride)))
	}
	if w.Dilation > 0 {
		opts = append(opts, layers.Dilation(int(w.Dilation)))
	}
	if w.Pad.same {
		opts = append(opts, layers.Same())
	}
	if w.noBias() {
		opts = append(opts, layers.NoBias())
	}
	return opts
}

type conv struct {
	unary  `yaml:"-"`
	Out    count    `yaml:"out"`
	Groups positive `yaml:"groups"`
	window `yaml:",inline"`
}

func (c *conv) check() error {
	if !c.Out.given() {
		return errors.New("needs out")
	}
	return c.window.check()
}

func (c *conv) add(b *layers.Builder, name string, in []*autograd.Node, classes int) *autograd.Node {
	opts := append(c.options(), layers.Groups(int(c.Groups)))
	return c.end(b, name, b.Conv(name, in[0], c.Out.of(classes), c.Kernel.h, opts...))
}

type depthwise struct {
	unary  `yaml:"-"`
	window `yaml:",inline"`
}

func (c *depthwise) check() error { return c.window.check() }

func (c *depthwise) add(b *layers.Builder, name string, in []*autograd.Node, _ int) *autograd.Node {
	return c.end(b, name, b.Depthwise(name, in[0], c.Kernel.h, c.options()...))
}

type linear struct {
	unary    `yaml:"-"`
	Out      count `yaml:"out"`
	weighted `yaml:",inline"`
}

func (l *linear) check() error {
	if !l.Out.given() {
		return errors.New("needs out")
	}
	return l.weighted.check()
}

func (l *linear) add(b *layers.Builder, name string, in []*autograd.Node, classes int) *autograd.Node {
	init, _ := initializer(l.Init)
	opts := []layers.LinearOption{layers.LinearInit(init)}
	if l.noBias() {
		opts = append(opts, layers.LinearNoBias())
	}
	return l.end(b, name, b.Linear(name, in[0], l.Out.of(classes), opts...))
}

type batchNorm struct {
	unary `yaml:"-"`
	Style string `yaml:"style"`
	tail  `yaml:",inline"`
}

func (n *batchNorm) check() error { return errors.Join(norm{n.Style}.check(), n.tail.check()) }

func (n *batchNorm) add(b *layers.Builder, name string, in []*autograd.Node, _ int) *autograd.Node {
	style := n.Style
	if style == "" {
		style = "pytorch"
	}
	return n.end(name, norm{style}.end(b, name, in[0]))
}

// pool are the fields of pools.
type pool struct {
	Kernel extents `yaml:"kernel"`
	Stride extents `yaml:"stride"`
	Pad    sides   `yaml:"pad"`
	Size   string  `yaml:"size"`
}

var poolSizes = []string{"floor", "ceil", "caffe"}

func (p pool) check() error {
	if p.Kernel.h == 0 {
		return errors.New("needs kernel")
	}
	if p.Pad.same {
		return errors.New("pad: a pool has no same: give the sides")
	}
	if p.Size == "" {
		return nil
	}
	return oneOf("size", p.Size, poolSizes)
}

func (p pool) attrs() autograd.PoolAttrs {
	stride := p.Stride
	if stride.h == 0 {
		stride = p.Kernel
	}
	size := autograd.PoolSize(max(slices.Index(poolSizes, p.Size), 0))
	return autograd.PoolAttrs{KH: p.Kernel.h, KW: p.Kernel.w, StrideH: stride.h, StrideW: stride.w, Pad: p.Pad.border, Size: size}
}

type maxPool struct {
	unary `yaml:"-"`
	pool  `yaml:",inline"`
}

func (p *maxPool) check() error { return p.pool.check() }

func (p *maxPool) add(_ *layers.Builder, name string, in []*autograd.Node, _ int) *autograd.Node {
	return autograd.MaxPool(name, in[0], p.attrs())
}

type averagePool struct {
	unary    `yaml:"-"`
	pool     `yaml:",inline"`
	CountPad bool `yaml:"count_pad"`
}

func (p *averagePool) check() error { return p.pool.check() }

func (p *averagePool) add(_ *layers.Builder, name string, in []*autograd.Node, _ int) *autograd.Node {
	return autograd.AveragePool(name, in[0], autograd.AveragePoolAttrs{PoolAttrs: p.attrs(), CountPad: p.CountPad})
}

// plain is one of plains.
type plain struct {
	unary `yaml:"-"`
	kind  string
}

func (p *plain) add(_ *layers.Builder, name string, in []*autograd.Node, _ int) *autograd.Node {
	return plains[p.kind](name, in[0])
}

// pair is one of pairs.
type pair struct {
	tail `yaml:",inline"`
	kind string
}

func (*pair) operands() [2]int { return [2]int{2, 2} }

func (p *pair) add(_ *layers.Builder, name string, in []*autograd.Node, _ int) *autograd.Node {
	return p.end(name, pairs[p.kind](name, in[0], in[1]))
}

type concat struct {
	tail `yaml:",inline"`
}

func (*concat) operands() [2]int { return [2]int{2, math.MaxInt} }

func (c *concat) add(_ *layers.Builder, name string, in []*autograd.Node, _ int) *autograd.Node {
	return c.end(name, autograd.Concat(name, in...))
}

type leakyReLU struct {
	unary `yaml:"-"`
	Slope real `yaml:"slope"`
}

func (l *leakyReLU) add(_ *layers.Builder, name string, in []*autograd.Node, _ int) *autograd.Node {
	return autograd.LeakyReLU(name, in[0], float32(l.Slope))
}

type dropout struct {
	unary `yaml:"-"`
	Rate  real `yaml:"rate"`
}

func (d *dropout) add(_ *layers.Builder, name string, in []*autograd.Node, _ int) *autograd.Node {
	return autograd.Dropout(name, in[0], float32(d.Rate))
}

type lrn struct {
	unary         `yaml:"-"`
	Size          positive `yaml:"size"`
	Alpha         real     `yaml:"alpha"`
	Beta          real     `yaml:"beta"`
	K             real     `yaml:"k"`
	WithinChannel bool     `yaml:"within_channel"`
}

func (l *lrn) add(_ *layers.Builder, name string, in []*autograd.Node, _ int) *autograd.Node {
	return autograd.LRN(name, in[0], autograd.LRNAttrs{Size: int(l.Size), Alpha: float32(l.Alpha), Beta: float32(l.Beta), K: float32(l.K), WithinChannel: l.WithinChannel})
}

type zeroPad struct {
	unary `yaml:"-"`
	Pad   sides `yaml:"pad"`
}

func (p *zeroPad) check() error {
	if p.Pad == (sides{}) || p.Pad.same {
		return errors.New("needs pad, a number or [top, left, bottom, right]")
	}
	return nil
}

func (p *zeroPad) add(_ *layers.Builder, name string, in []*autograd.Node, _ int) *autograd.Node {
	return autograd.Pad(name, in[0], p.Pad.border)
}

type channelPad struct {
	unary  `yaml:"-"`
	Before natural `yaml:"before"`
	After  natural `yaml:"after"`
}

func (p *channelPad) add(_ *layers.Builder, name string, in []*autograd.Node, _ int) *autograd.Node {
	return autograd.ChannelPad(name, in[0], int(p.Before), int(p.After))
}

type slice struct {
	unary    `yaml:"-"`
	Channels span `yaml:"channels"`
	Rows     span `yaml:"rows"`
	Columns  span `yaml:"columns"`
}

func (s *slice) add(_ *layers.Builder, name string, in []*autograd.Node, _ int) *autograd.Node {
	return autograd.Slice(name, in[0], autograd.SliceAttrs{C: autograd.Range(s.Channels), H: autograd.Range(s.Rows), W: autograd.Range(s.Columns)})
}

type reshape struct {
	unary `yaml:"-"`
	Shape shape `yaml:"shape"`
}

func (r *reshape) check() error {
	if len(r.Shape) == 0 {
		return errors.New("needs shape, [C, H, W] or [F]")
	}
	return nil
}

func (r *reshape) add(_ *layers.Builder, name string, in []*autograd.Node, _ int) *autograd.Node {
	return autograd.Reshape(name, in[0], r.Shape...)
}
