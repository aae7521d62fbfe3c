package integer

import (
	"github.com/bitgrad/bitgrad/internal/kernels"
	"github.com/bitgrad/bitgrad/quant"
)

// Conv is a two-dimensional convolution of codes, [C H W] to [O OH OW]:
//
//	acc[o,y,x] = Bias[o] + Σ_{i,k,l} X(i, y·StrideH−Top+k·DilationH, x·StrideW−Left+l·DilationW) · W(o,i,k,l)
//
// X and W are levels, q − z or 2q + 1 on a mid-rise grid; X is 0 outside the image.
// The sum becomes a code by Requant, with channel o. Without Requant the
// accumulators are the output, the way of logits; if the channels have different
// scales they are first brought to the largest one, quant.ToCommonScale.
//
// A depthwise convolution has Groups = C. The zero values of strides, dilations
// and Groups mean 1. A ReLU or ReLU6 is the clamp range of Requant.
type Conv struct {
	O, KH, KW            int // output channels and extents of the kernel
	StrideH, StrideW     int
	DilationH, DilationW int
	Pad                  Pads
	Groups               int
	Weight               []int32    // codes, [O C/Groups KH KW]
	WeightGrid           quant.Grid // one scale, or one per output channel
	Bias                 []int64    // in units of the accumulator; nil for none
	Requant              *quant.Requantizer
	Grid                 quant.Grid // of the output; unused without Requant
}

// Kind returns "conv".
func (*Conv) Kind() string { return "conv" }

func (c *Conv) defaults() {
	for _, v := range [...]*int{&c.StrideH, &c.StrideW, &c.DilationH, &c.DilationW, &c.Groups} {
		if *v == 0 {
			*v = 1
		}
	}
}

func (c *Conv) window() window {
	return window{c.KH, c.KW, c.StrideH, c.StrideW, c.DilationH, c.DilationW, c.Pad}
}

func (c *Conv) sums() sums {
	return sums{c.O, c.Weight, c.WeightGrid, c.Bias, c.Requant, c.Grid}
}

func (c *Conv) infer(in []*Node) (output, error) {
	x, err := oneInput(in)
	if err != nil {
		return output{}, err
	}
	w := c.window()
	if err := w.validate(); err != nil {
		return output{}, err
	}
	if c.Groups < 1 || x.Out.C%c.Groups != 0 || c.O < 1 || c.O%c.Groups != 0 {
		return output{}, refuse(ErrShape, "%d groups: must divide %d input and %d output channels", c.Groups, x.Out.C, c.O)
	}
	if c.Pad.any() {
		if err := needZero(x, "pads must be zero"); err != nil {
			return output{}, err
		}
	}
	oh, ow, err := w.extent(x.Out)
	if err != nil {
		return output{}, err
	}
	return c.sums().infer(x, int64(x.Out.C/c.Groups)*int64(c.KH)*int64(c.KW), oh, ow)
}

func (c *Conv) interpret(n *Node, in []*Node, x [][]int64) []int64 {
	t := in[0].Out
	perIn, perOut := t.C/c.Groups, c.O/c.Groups
	xs, ws := levels(in[0].Grid, x[0]), levels(c.WeightGrid, c.Weight)
	finish := c.sums().finish(in[0])
	y := make([]int64, 0, n.Out.Len())
	for o := range c.O {
		group := o / perOut
		for oh := range n.Out.H {
			for ow := range n.Out.W {
				var acc int64
				if c.Bias != nil {
					acc = c.Bias[o]
				}
				for i := range perIn {
					for k := range c.KH {
						ih := oh*c.StrideH - c.Pad.Top + k*c.DilationH
						if ih < 0 || ih >= t.H {
							continue
						}
						row := xs[((group*perIn+i)*t.H+ih)*t.W:][:t.W]
						iw := ow*c.StrideW - c.Pad.Left
						for _, w := range ws[((o*perIn+i)*c.KH+k)*c.KW:][:c.KW] {
							if iw >= 0 && iw < t.W {
								acc += row[iw] * w
							}
							iw += c.DilationW
						}
					}
				}
				y = append(y, finish(acc, o))
			}
		}
	}
	return y
}

func (c *Conv) bind(b *binding, n *Node, in []*Node) step {
	t := in[0].Out
	shape := kernels.ConvShape{
		C: t.C, O: c.O, KH: c.KH, KW: c.KW, StrideH: c.StrideH, StrideW: c.StrideW,
		PadTop: c.Pad.Top, PadLeft: c.Pad.Left, PadBottom: c.Pad.Bottom, PadRight: c.Pad.Right,
		DilH: c.DilationH, DilW: c.DilationW, Groups: c.Groups, H: t.H, W: t.W, OH: n.Out.H, OW: n.Out.W,
	}
	levels, zero, bias := c.sums().operands(in[0])
	d, err := NewConvDriver(shape, t.Bits, t.Signed, weightBits(levels, n))
	return c.sums().step(b, n, in[0], d, err, levels, zero, bias)
}

// Linear is a fully connected layer, [I 1 1] to [O 1 1]: a [Conv] of one position.
type Linear struct {
	O          int
	Weight     []int32    // codes, [O I]
	WeightGrid quant.Grid // one scale, or one per output
	Bias       []int64    // in units of the accumulator; nil for none
	Requant    *quant.Requantizer
	Grid       quant.Grid // of the output; unused without Requant
}

// Kind returns "linear".
func (*Linear) Kind() string { return "linear" }

func (l *Linear) sums() sums {
	return sums{l.O, l.Weight, l.WeightGrid, l.Bias, l.Requant, l.Grid}
}

func (l *Linear) infer(in []*Node) (output, error) {
	x, err := oneInput(in)
	if err != nil {
		return output{}, err
	}
	if x.Out.H != 1 || x.Out.W != 1 {
		return output{}, refuse(ErrShape, "operand %s is [%d %d %d]: flatten it first", x.Name, x.Out.C, x.Out.H, x.Out.W)
	}
	return l.sums().infer(x, int64(x.Out.C), 1, 1)
}

func (l *Linear) interpret(n *Node, in []*Node, x [][]int64) []int64 {
	xs, ws := levels(in[0].Grid, x[0]), levels(l.WeightGrid, l.Weight)
	finish := l.sums().finish(in[0])
	y := make([]int64, 0, l.O)
	for o := range l.O {
		var acc int64
		if l.Bias != nil {
			acc = l.Bias[o]
		}
		for i, v := range xs {
			acc += v * ws[o*len(xs)+i]
		}
		y = append(y, finish(acc, o))
	}
	return y
}

func (l *Linear) bind(b *binding, n *Node, in []*Node) step {
	levels, zero, bias := l.sums().operands(in[0])
	d, err := NewLinearDriver(in[0].Out.C, l.O, in[0].Out.Bits, in[0].Out.Signed, weightBits(levels, n))
	return l.sums().step(b, n, in[0], d, err, levels, zero, bias)
}

// convFile is what a header says of a convolution.
type convFile struct {
	Kernel   [2]int `json:"kernel"` // H W, here and below
	Stride   [2]int `json:"stride"`
	Dilation [2]int `json:"dilation"`
	Pad      Pads   `json:"pad"`
	Groups   int    `json:"groups"`
	sumsFile
}

func (c *Conv) encode(w *fileWriter) any {
	per := len(c.Weight) / (c.O * c.KH * c.KW)
	return convFile{
		[2]int{c.KH, c.KW}, [2]int{c.StrideH, c.StrideW}, [2]int{c.DilationH, c.DilationW}, c.Pad, c.Groups,
		c.sums().encode(w, c.O, per, c.KH, c.KW),
	}
}

func decodeConv(r *fileReader) (Op, error) {
	var f convFile
	if err := r.attrs(&f); err != nil {
		return nil, err
	}
	x, err := oneInput(r.in)
	if err != nil {
		return nil, err
	}
	if f.Groups < 1 {
		return nil, refuse(ErrFormat, "groups %d: must be at least 1", f.Groups)
	}
	o := r.node.Shape[0]
	s, err := f.sumsFile.decode(r, o, x.Out.C/f.Groups, f.Kernel[0], f.Kernel[1])
	return &Conv{
		O: o, KH: f.Kernel[0], KW: f.Kernel[1], StrideH: f.Stride[0], StrideW: f.Stride[1],
		DilationH: f.Dilation[0], DilationW: f.Dilation[1], Pad: f.Pad, Groups: f.Groups,
		Weight: s.weight, WeightGrid: s.grid, Bias: s.bias, Requant: s.requant, Grid: s.out,
	}, err
}

func (l *Linear) encode(w *fileWriter) any {
	return l.sums().encode(w, l.O, len(l.Weight)/l.O)
}

func decodeLinear(r *fileReader) (Op, error) {
	var f sumsFile
	if err := r.attrs(&f); err != nil {
		return nil, err
	}
	x, err := oneInput(r.in)
	if err != nil {
		return nil, err
	}
	o := r.node.Shape[0]
	s, err := f.decode(r, o, x.Out.C)
	return &Linear{O: o, Weight: s.weight, WeightGrid: s.grid, Bias: s.bias, Requant: s.requant, Grid: s.out}, err
}
