package randomgraph

import "github.com/bitgrad/bitgrad/autograd"

type node = autograd.Node

// layer adds one random layer behind an image.
func (d *drawer) layer(x *node) *node {
	switch d.pick("layer", 26) {
	default:
		return d.conv(x)
	case 5, 6:
		return autograd.MaxPool(d.name("maxpool"), x, d.window(x))
	case 7, 8, 9:
		a := autograd.AveragePoolAttrs{PoolAttrs: d.window(x), CountPad: d.one("count pad", 2)}
		return d.rectified(autograd.AveragePool(d.name("avgpool"), x, a))
	case 10, 11:
		return d.pair(x, d.partner(x))
	case 12, 13:
		return d.concat(x)
	case 14:
		return d.sharedConcat(x)
	case 15:
		return d.pad(x)
	case 16:
		return autograd.ChannelPad(d.name("chpad"), x, d.pick("before", 2), d.pick("after", 3))
	case 17, 18:
		return autograd.Slice(d.name("slice"), x, d.slices(x))
	case 19:
		c, h, w := x.Type().CHW()
		return autograd.Reshape(d.name("reshape"), x, choose(d, "order", []int{h, w, c}, []int{w, c, h}, []int{c, w, h})...)
	case 20, 21:
		return d.function(x)
	case 22:
		return d.rectifier(x)
	case 23, 24:
		return d.pair(x, d.partner(x))
	case 25:
		return d.rectifier(autograd.Dropout(d.name("dropout"), x, 0.25))
	}
}

// pad adds a frame of zeros around an image that is not large yet.
func (d *drawer) pad(x *node) *node {
	if _, h, w := x.Type().CHW(); h*w > 100 {
		return x
	}
	return autograd.Pad(d.name("pad"), x, autograd.Border{Top: d.pick("top", 3), Left: d.pick("left", 3),
		Bottom: d.pick("bottom", 3), Right: d.pick("right", 3)})
}

// rectifier adds a ReLU or ReLU6.
func (d *drawer) rectifier(x *node) *node {
	if d.one("6", 2) {
		return autograd.ReLU6(d.name("clip"), x)
	}
	return autograd.ReLU(d.name("relu"), x)
}

// rectified adds one to every other layer.
func (d *drawer) rectified(x *node) *node {
	if d.one("rectified", 2) {
		return d.rectifier(x)
	}
	return x
}

// function adds a pointwise function, which becomes a table.
func (d *drawer) function(x *node) *node {
	if d.wide {
		return d.rectifier(x)
	}
	switch d.pick("function", 4) {
	case 0:
		return autograd.LeakyReLU(d.name("leaky"), x, choose(d, "slope", float32(0.125), 0.01))
	case 1:
		return autograd.Sigmoid(d.name("sigmoid"), x)
	case 2:
		return autograd.Tanh(d.name("tanh"), x)
	}
	return autograd.HardSwish(d.name("hardswish"), x)
}

// conv adds a convolution, often with a batch norm and an activation function.
func (d *drawer) conv(x *node) *node {
	c, h, w := x.Type().CHW()
	a := autograd.ConvAttrs{StrideH: d.between("stride", 1, 2), StrideW: choose(d, "stride", 1, 1, 2, 3), Groups: 1}
	out := choose(d, "out", 2, 1, 3, 4, 6, 8, 17)
	switch d.pick("groups", 6) {
	case 3:
		a.Groups, out = c, c*d.between("multiplier", 1, max(1, min(3, 16/c)))
	case 4, 5:
		for _, g := range []int{4, 3, 2} {
			if c%g == 0 && c > g {
				a.Groups, out = g, g*d.between("of a group", 1, 3)
				break
			}
		}
	}
	if h*w > 80 {
		out = a.Groups * min(out/a.Groups, max(1, 8/a.Groups)) // the work stays small
	}
	var kh, kw int
	kh, a.DilH, a.Pad.Top, a.Pad.Bottom = d.taps(h)
	kw, a.DilW, a.Pad.Left, a.Pad.Right = d.taps(w)
	return d.weighted("conv", x, func(name string, x, weight, bias *node) *node {
		return autograd.Conv2D(name, x, weight, bias, a)
	}, out, c/a.Groups, kh, kw)
}

// taps draws a kernel, a dilation and the padding for an axis, so that the kernel
// fits.
func (d *drawer) taps(extent int) (k, dilation, before, after int) {
	k, dilation = d.between("kernel", 1, 3), 1
	if d.one("dilated", 4) {
		dilation = 2
	}
	if d.one("padded", 2) {
		before, after = d.pick("before", 3), d.pick("after", 3)
	}
	after += max(0, (k-1)*dilation+1-extent-before-after)
	return k, dilation, before, after
}

// weighted adds a layer with weights of the given shape, perhaps with a bias, a
// batch norm and an activation function.
func (d *drawer) weighted(kind string, x *node, layer func(name string, x, w, b *node) *node, shape ...int) *node {
	name, out := d.name(kind), shape[0]
	d.layers = append(d.layers, name)
	var bias *node
	if !d.one("no bias", 3) {
		bias = d.param(name+".bias", autograd.Bias, out)
	}
	y := layer(name, x, d.param(name+".weight", autograd.Weight, shape...), bias)
	if d.one("norm", 3) {
		bn := name + ".bn"
		y = autograd.BatchNorm(bn, y, d.param(bn+".weight", autograd.Gamma, out), d.param(bn+".bias", autograd.Beta, out),
			autograd.BatchNormAttrs{Unbiased: d.one("unbiased", 2)})
	}
	return d.rectified(y)
}

// same is a convolution that keeps the extents of an image.
func (d *drawer) same(x *node, out int) *node {
	c, _, _ := x.Type().CHW()
	k := choose(d, "kernel", 1, 3)
	return d.weighted("conv", x, func(name string, x, w, b *node) *node {
		return autograd.Conv2D(name, x, w, b, autograd.ConvAttrs{Pad: autograd.Same(k)})
	}, out, c, k, k)
}

// partner returns an image of the shape of x: an earlier one, or a branch.
func (d *drawer) partner(x *node) *node {
	for _, y := range d.images {
		if y != x && y.Type().SameShape(x.Type()) && d.one("earlier", 2) {
			return y
		}
	}
	c, _, _ := x.Type().CHW()
	return d.same(x, c)
}

// pair adds a sum, a difference or a product.
func (d *drawer) pair(x, y *node) *node {
	if d.one("swap", 2) {
		x, y = y, x
	}
	op, kind := d.pick("pair", 3), ""
	if op == 2 && d.products > 0 {
		op = 0 // several squares in a row leave the range of float32
	}
	var z *node
	switch op {
	case 0:
		kind = d.name("add")
		z = autograd.Add(kind, x, y)
	case 1:
		kind = d.name("subtract")
		z = autograd.Subtract(kind, x, y)
	default:
		d.products++
		kind = d.name("multiply")
		z = autograd.Multiply(kind, x, y)
	}
	d.sums = append(d.sums, kind)
	return d.rectified(z)
}

// concat joins x with a branch, and sometimes with an earlier image.
func (d *drawer) concat(x *node) *node {
	in := []*node{x, d.same(x, d.between("more", 1, 3))}
	_, h, w := x.Type().CHW()
	for _, y := range d.images {
		if c, yh, yw := y.Type().CHW(); yh == h && yw == w && c < 8 && len(in) < 3 && d.one("third", 2) {
			in = append(in, y)
		}
	}
	name := d.name("concat")
	d.sums = append(d.sums, name)
	return d.rectified(autograd.Concat(name, in...))
}

// sharedConcat joins values of one grid, which needs no quantizer of its own.
func (d *drawer) sharedConcat(x *node) *node {
	name := d.name("shared")
	// A value behind a layer that is quantized, so that both operands move its codes.
	y := d.same(x, d.between("base", 1, 3))
	p := autograd.MaxPool(d.name("maxpool"), y, autograd.PoolAttrs{KH: 3, KW: 3, Pad: autograd.Same(3)})
	d.rules = append(d.rules, keepFloat(name))
	return autograd.Concat(name, y, p)
}

// window draws a pooling window that fits the image.
func (d *drawer) window(x *node) autograd.PoolAttrs {
	_, h, w := x.Type().CHW()
	a := autograd.PoolAttrs{KH: min(d.between("kernel", 2, 3), h), KW: min(d.between("kernel", 1, 3), w),
		StrideH: d.between("stride", 1, 3), StrideW: d.between("stride", 1, 2), Size: choose(d, "size", autograd.PoolFloor, autograd.PoolCeil, autograd.PoolCeil)}
	if d.one("padded", 2) {
		a.Pad = autograd.Border{Top: d.pick("top", a.KH), Left: d.pick("left", a.KW), Bottom: d.pick("bottom", a.KH), Right: d.pick("right", a.KW)}
	}
	if a.Size == autograd.PoolCeil && a.StrideH <= a.KH && a.StrideW <= a.KW && d.one("caffe", 3) {
		a.Size = autograd.PoolCaffe
	}
	return a
}

// slices draws what a slice selects of each axis.
func (d *drawer) slices(x *node) autograd.SliceAttrs {
	c, h, w := x.Type().CHW()
	cut := func(extent int) autograd.Range {
		if d.one("all", 4) {
			return autograd.Range{}
		}
		first := d.pick("start", (extent+2)/3)
		return autograd.Range{Start: first, Stop: d.between("stop", max(first+1, extent-1), extent), Step: d.between("step", 1, 2)}
	}
	return autograd.SliceAttrs{C: cut(c), H: cut(h), W: cut(w)}
}

// head turns a value into logits.
func (d *drawer) head(x *node) *node {
	if len(x.Type().Shape) == 4 {
		switch d.pick("head", 6) {
		case 0:
			x = autograd.Flatten(d.name("flatten"), x)
		case 1:
			x = autograd.MeanHW(d.name("mean"), x)
		case 2, 3:
			x = autograd.Flatten(d.name("flatten"), autograd.GlobalAveragePool(d.name("gap"), x))
		case 4: // logits that are moved codes
			c, h, w := x.Type().CHW()
			x = d.weighted("conv", x, func(name string, x, w, b *node) *node {
				return autograd.Conv2D(name, x, w, b, autograd.ConvAttrs{})
			}, Classes, c, h, w)
			return autograd.Flatten(d.name("flatten"), x)
		default: // logits that are an average
			d.rules = append(d.rules, output("logits", d.width("logits")))
			return autograd.MeanHW(d.name("mean"), d.same(x, Classes))
		}
	}
	for range d.pick("hidden", 3) {
		x = d.vector(x)
	}
	f, _, _ := x.Type().CHW()
	name := d.name("fc")
	d.layers = append(d.layers, name)
	var bias *node
	if !d.one("no bias", 3) {
		bias = d.param(name+".bias", autograd.Bias, Classes)
	}
	if d.one("quantized", 4) {
		d.rules = append(d.rules, output("logits", d.width("logits")))
	}
	return autograd.Linear(name, x, d.param(name+".weight", autograd.Weight, Classes, f), bias)
}

// vector adds one random layer behind a vector.
func (d *drawer) vector(x *node) *node {
	f, _, _ := x.Type().CHW()
	fc := func(out int) *node {
		return d.weighted("fc", x, autograd.Linear, out, f)
	}
	switch d.pick("vector", 7) {
	case 3:
		return d.pair(x, fc(f))
	case 4:
		name := d.name("concat")
		d.sums = append(d.sums, name)
		return autograd.Concat(name, x, fc(d.between("more", 1, 5)))
	case 5:
		return d.function(x)
	case 6:
		return d.rectifier(x)
	}
	return fc(choose(d, "features", 3, 8, 5, 18))
}
