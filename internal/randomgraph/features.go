package randomgraph

import (
	"reflect"
	"slices"
	"strings"

	"github.com/bitgrad/bitgrad/fakequant"
	"github.com/bitgrad/bitgrad/integer"
	"github.com/bitgrad/bitgrad/quant"
)

// Features lists what the networks of this package exercise besides the kinds of
// steps and operations, which a test reads from the code that defines them.
func Features() []string {
	return slices.Concat(nodeFeatures, geometryFeatures, formatFeatures, ruleFeatures)
}

var nodeFeatures = []string{
	"node conv2d", "node conv2d + relu", "node conv2d + relu6", "node linear", "node linear + relu", "node linear + relu6",
	"node add", "node add + relu", "node add + relu6", "node subtract", "node multiply",
	"node average_pool", "node average_pool + relu", "node global_average_pool", "node mean_hw", "node concat", "node concat + relu",
	"node leaky_relu", "node sigmoid", "node tanh", "node hard_swish", "node relu", "node relu6",
	"node max_pool", "node pad", "node channel_pad", "node slice", "node reshape", "node flatten",
	"edge of a layer", "edge of a sum", "second edge",
}

// node counts a node of the evaluation program by the operation it stands for.
func (f features) node(n fakequant.NodeNote) {
	parts := strings.Split(n.Fused, " + ")
	name := parts[0]
	if name == "" {
		name = n.Kind
	}
	for _, p := range parts[1:] {
		if p == "relu" || p == "relu6" {
			name += " + " + p
		}
	}
	f.add("node %s", name)
	f.when(strings.HasSuffix(n.Name, ".in"), "edge of a layer")
	f.when(strings.HasSuffix(n.Name, ".in1"), "second edge")
	f.when(strings.HasSuffix(n.Name, ".in1") && !strings.HasPrefix(n.Name, "concat"), "edge of a sum")
}

var geometryFeatures = []string{
	"conv 1x1", "conv with rows unlike columns", "conv with groups", "conv depthwise", "conv depthwise, several outputs per channel",
	"conv with dilation", "conv with stride", "conv with strides that differ", "conv with padding", "conv with four sides that differ",
	"conv with a panel of channels", "linear inside the network",
	"max_pool with padding", "max_pool beyond the image", "avg_pool with padding, counted", "avg_pool with padding, not counted",
	"avg_pool beyond the image", "avg_pool over the image", "max_pool with stride",
	"slice with a step in C", "slice with a step in H", "slice with a step in W", "slice from the middle",
	"pad above", "pad to the left", "pad below", "pad to the right", "pad before C", "pad after C",
	"value with several readers", "input of vectors",
}

// operation counts node i of the integer model.
func (f features) operation(m *integer.Model, i int) {
	n := &m.Nodes[i]
	f.add("op %s", reflect.TypeOf(n.Op).Elem().Name())
	readers := 0
	for _, k := range m.Nodes {
		for _, j := range k.In {
			if j == i {
				readers++
			}
		}
	}
	f.when(readers > 1, "value with several readers")
	var x *integer.Node
	if len(n.In) > 0 {
		x = &m.Nodes[n.In[0]]
	}
	switch op := n.Op.(type) {
	case *integer.Input:
		f.when(op.Grid.BitWidth != 8, "input of other width than 8")
	case *integer.InputFloat:
		f.when(op.Grid.BitWidth != 8, "input of other width than 8")
		f.when(op.H*op.W == 1, "input of vectors")
	case *integer.Conv:
		f.conv(op, x.Out)
		f.sums(m, i, op.Weight, op.WeightGrid, op.Bias, op.Requant)
	case *integer.Linear:
		f.when(op.Requant != nil && i != m.Output, "linear inside the network")
		f.sums(m, i, op.Weight, op.WeightGrid, op.Bias, op.Requant)
	case *integer.Add:
		f.add("add by %T", op.Rule)
	case *integer.Multiply:
		f.add("multiply by %s", op.Requant.Rule)
	case *integer.Concat:
		for _, r := range op.Requant {
			f.when(r == nil, "concat of one grid")
			f.when(r != nil && r.Rule == quant.Shift, "concat by shift")
			f.when(r != nil && r.Rule == quant.Float, "concat by float")
		}
	case *integer.Requantize:
		f.add("requantize by %s", op.Requant.Rule)
	case *integer.MaxPool:
		f.when(op.Pad != integer.Pads{}, "max_pool with padding")
		f.when(op.StrideH > 1 || op.StrideW > 1, "max_pool with stride")
		f.when(beyond(op.KH, op.StrideH, op.OH, x.Out.H+op.Pad.Top+op.Pad.Bottom) ||
			beyond(op.KW, op.StrideW, op.OW, x.Out.W+op.Pad.Left+op.Pad.Right), "max_pool beyond the image")
	case *integer.AvgPool:
		f.add("avg_pool by %T", op.Rule)
		padded := op.Pad != integer.Pads{}
		f.when(padded && op.CountPad, "avg_pool with padding, counted")
		f.when(padded && !op.CountPad, "avg_pool with padding, not counted")
		f.when(op.OH*op.OW == 1 && op.KH == x.Out.H && op.KW == x.Out.W && op.KH*op.KW > 1, "avg_pool over the image")
		f.when(beyond(op.KH, op.StrideH, op.OH, x.Out.H+op.Pad.Top+op.Pad.Bottom) ||
			beyond(op.KW, op.StrideW, op.OW, x.Out.W+op.Pad.Left+op.Pad.Right), "avg_pool beyond the image")
	case *integer.Slice:
		f.when(op.C.Step > 1, "slice with a step in C")
		f.when(op.H.Step > 1, "slice with a step in H")
		f.when(op.W.Step > 1, "slice with a step in W")
		f.when(op.C.Start+op.H.Start+op.W.Start > 0, "slice from the middle")
	case *integer.Pad:
		f.when(op.Pad.Top > 0, "pad above")
		f.when(op.Pad.Left > 0, "pad to the left")
		f.when(op.Pad.Bottom > 0, "pad below")
		f.when(op.Pad.Right > 0, "pad to the right")
		f.when(op.Before > 0, "pad before C")
		f.when(op.After > 0, "pad after C")
	}
	f.format(n)
}

// beyond reports whether the last of n windows passes the end of the padded axis.
func beyond(kernel, stride, n, extent int) bool { return (n-1)*stride+kernel > extent }

func (f features) conv(op *integer.Conv, x integer.Type) {
	f.when(op.KH*op.KW == 1, "conv 1x1")
	f.when(op.KH != op.KW, "conv with rows unlike columns")
	f.when(op.Groups > 1 && op.Groups < x.C, "conv with groups")
	f.when(op.Groups > 1 && op.Groups == x.C, "conv depthwise")
	f.when(op.Groups > 1 && op.Groups == x.C && op.O > x.C, "conv depthwise, several outputs per channel")
	f.when(op.DilationH > 1 || op.DilationW > 1, "conv with dilation")
	f.when(op.StrideH > 1 || op.StrideW > 1, "conv with stride")
	f.when(op.StrideH != op.StrideW, "conv with strides that differ")
	p := op.Pad
	f.when(p != integer.Pads{}, "conv with padding")
	f.when(p.Top != p.Bottom && p.Left != p.Right && p.Top != p.Left, "conv with four sides that differ")
	f.when(op.O >= 16, "conv with a panel of channels")
}

var ruleFeatures = []string{
	"requantize accumulators by shift", "requantize accumulators by float", "requantize accumulators by shift, per channel",
	"requantize accumulators by float, per channel", "shift to the right", "no shift", "shift to the left",
	"add by quant.AddShift", "add by quant.AddFloat", "multiply by shift", "multiply by float",
	"concat of one grid", "concat by shift", "concat by float", "requantize by shift", "requantize by float",
	"avg_pool by quant.AveragePoolShift", "avg_pool by quant.AveragePoolFloat",
	"accumulators float32", "accumulators int32", "accumulators int64",
	"logits of accumulators", "logits at a common scale", "logits with a rule", "logits of 64 bits",
}

// sums counts the weights and the requantization of a layer.
func (f features) sums(m *integer.Model, i int, w []int32, g quant.Grid, bias []int64, r *quant.Requantizer) {
	f.when(g.BitWidth <= 8, "weights of "+width(g))
	f.when(g.BitWidth > 8, "weights of 9 to 16 bits")
	f.when(g.PerChannel(), "weights per channel")
	f.when(!g.PerChannel(), "weights per tensor")
	f.when(g.Narrow, "weights narrow")
	f.when(!g.Narrow, "weights full")
	ends, zeros := 0, 0
	for _, q := range w {
		if q == g.QMin() || q == g.QMax() {
			ends++
		}
		if q == 0 {
			zeros++
		}
	}
	f.when(g.BitWidth > 2 && 2*ends > len(w), "weights saturated")
	f.when(zeros == len(w), "weights all zero")
	large := slices.ContainsFunc(bias, func(b int64) bool { return max(b, -b) > 1<<24 })
	f.when(large, "bias beyond 24 bits")
	f.add("accumulators %s", m.Proof().Nodes[i].Accumulator)
	if r == nil {
		f.when(!g.PerChannel(), "logits of accumulators")
		f.when(g.PerChannel(), "logits at a common scale")
		f.when(m.Nodes[i].Out.Bits == 64, "logits of 64 bits")
		return
	}
	f.when(i == m.Output, "logits with a rule")
	f.add("requantize accumulators by %s", r.Rule)
	if g.PerChannel() {
		f.add("requantize accumulators by %s, per channel", r.Rule)
	}
	for _, n := range r.Shift {
		f.when(n > 0, "shift to the right")
		f.when(n == 0, "no shift")
		f.when(n < 0, "shift to the left")
	}
}

var formatFeatures = slices.Concat(each("weights of %s", 8), each("unsigned codes of %s", 8), each("signed codes of %s", 8), []string{
	"weights of 9 to 16 bits", "weights per channel", "weights per tensor", "weights narrow", "weights full", "weights saturated",
	"weights all zero", "bias beyond 24 bits", "codes of 9 to 16 bits", "codes on powers of two", "codes on float scales", "codes with a zero point",
	"input of other width than 8",
})

func each(format string, bits int) []string {
	var all []string
	for b := 1; b <= bits; b++ {
		all = append(all, strings.ReplaceAll(format, "%s", width(quant.Grid{BitWidth: b})))
	}
	return all
}

func width(g quant.Grid) string {
	if g.BitWidth == 1 {
		return "1 bit"
	}
	return string(rune('0'+g.BitWidth)) + " bits"
}

// format counts the grid of a node.
func (f features) format(n *integer.Node) {
	g := n.Grid
	switch {
	case n.Out.Accumulator():
		return
	case g.BitWidth > 8:
		f.add("codes of 9 to 16 bits")
	case g.Signed:
		f.add("signed codes of %s", width(g))
	default:
		f.add("unsigned codes of %s", width(g))
	}
	_, power := g.FL(0)
	f.when(power, "codes on powers of two")
	f.when(!power, "codes on float scales")
	f.when(g.ZeroPoint != 0, "codes with a zero point")
}
