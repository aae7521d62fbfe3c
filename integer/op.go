package integer

import (
	"math"

	"github.com/bitgrad/bitgrad/quant"
)

// Op is an operation on integer codes. The set is closed: [Input], [InputFloat],
// [Conv], [Linear], [Add], [Multiply], [MaxPool], [AvgPool], [Concat], [Pad],
// [Slice], [Reshape], [Table] and [Requantize], each behind a pointer. An exporter
// switches on the type and reads the fields.
//
// Each op keeps in one file what it means: the checks, the formula as nested loops,
// the step of the engine, and what a file says of it.
type Op interface {
	// Kind returns the name of the op in errors and files: "conv".
	Kind() string

	// infer checks the op against its operands and describes its output.
	infer(in []*Node) (output, error)
	// interpret computes the output of one image, in [C H W] order, from codes in the
	// same order.
	interpret(n *Node, in []*Node, x [][]int64) []int64
	// bind returns the step of the engine that computes node n.
	bind(b *binding, n *Node, in []*Node) step
	// encode hands the op's numbers to a file and returns the rest for its header.
	encode(w *fileWriter) any
}

// output is what infer says of a node.
type output struct {
	Type
	Grid  quant.Grid
	Bound Bound
}

// Pads are the rows and columns of real zero around an image.
type Pads struct {
	Top    int `json:"top,omitempty"`
	Left   int `json:"left,omitempty"`
	Bottom int `json:"bottom,omitempty"`
	Right  int `json:"right,omitempty"`
}

// PadAll returns n rows and columns on every side.
func PadAll(n int) Pads { return Pads{n, n, n, n} }

func (p Pads) any() bool { return p != Pads{} }

// maxWindow bounds kernel extents, strides, dilations and pads, so that no
// position overflows.
const maxWindow = 1 << 14

// window is the geometry of a sliding window over one image.
type window struct {
	kh, kw, strideH, strideW, dilH, dilW int
	pad                                  Pads
}

func (w window) validate() error {
	for _, v := range [...]struct {
		what     string
		value    int
		smallest int
	}{
		{"kernel height", w.kh, 1}, {"kernel width", w.kw, 1},
		{"stride of rows", w.strideH, 1}, {"stride of columns", w.strideW, 1},
		{"dilation of rows", w.dilH, 1}, {"dilation of columns", w.dilW, 1},
		{"top pad", w.pad.Top, 0}, {"left pad", w.pad.Left, 0},
		{"bottom pad", w.pad.Bottom, 0}, {"right pad", w.pad.Right, 0},
	} {
		if v.value < v.smallest || v.value > maxWindow {
			return refuse(ErrShape, "%s %d: must be %d to %d", v.what, v.value, v.smallest, maxWindow)
		}
	}
	return nil
}

// extent returns the output rows and columns of a window that stays within the
// padded image.
func (w window) extent(t Type) (oh, ow int, err error) {
	h := t.H + w.pad.Top + w.pad.Bottom - (w.dilH*(w.kh-1) + 1)
	v := t.W + w.pad.Left + w.pad.Right - (w.dilW*(w.kw-1) + 1)
	if h < 0 || v < 0 {
		return 0, 0, refuse(ErrShape, "the %dx%d window is larger than the padded image of [%d %d %d]", w.kh, w.kw, t.C, t.H, t.W)
	}
	return h/w.strideH + 1, v/w.strideW + 1, nil
}

// clip returns the taps first ≤ k < last of a window of n taps that starts at
// position start, step dil, which lie in an axis of size extent.
func clip(start, n, dil, extent int) (first, last int) {
	if start < 0 {
		first = (-start + dil - 1) / dil
	}
	last = n
	if room := extent - start; room <= 0 {
		last = 0
	} else if m := (room + dil - 1) / dil; m < last {
		last = m
	}
	return min(first, last), last
}

// checkRequantizer accepts r for accumulators of the given scales (one, or one per
// channel of c) that become codes of grid y.
func checkRequantizer(r *quant.Requantizer, accScale []float64, c int, y quant.Grid) error {
	if err := r.Validate(c); err != nil {
		return &reason{err, "requantizer: " + err.Error()}
	}
	if r.ZeroPoint != y.ZeroPoint {
		return refuse(ErrGrid, "requantizer adds zero point %d, the grid of the output has %d", r.ZeroPoint, y.ZeroPoint)
	}
	if r.MidRise != y.MidRise {
		return refuse(ErrGrid, "requantizer and grid of the output disagree on mid-rise")
	}
	if err := checkClamp(r.Lo, r.Hi, y); err != nil {
		return err
	}
	entries := max(len(r.Shift), len(r.Multiplier), len(r.Mantissa))
	tolerance := 1e-6
	if r.Rule == quant.Shift {
		tolerance = 0 // the scales are powers of two
	}
	for i := range max(entries, len(accScale)) {
		want := accScale[min(i, len(accScale)-1)] / float64(y.ScaleAt(0))
		got := factor(r, min(i, entries-1))
		if !(math.Abs(got-want) <= tolerance*want) {
			return refuse(ErrGrid, "requantizer multiplies channel %d by %.9g, the grids say %.9g", i, got, want)
		}
	}
	return nil
}

// factor returns the real number that r multiplies channel c by.
func factor(r *quant.Requantizer, c int) float64 {
	switch r.Rule {
	case quant.Shift:
		return math.Ldexp(1, -int(r.Shift[c]))
	case quant.Float:
		return float64(r.Multiplier[c])
	default:
		return math.Ldexp(float64(r.Mantissa[c]), int(r.Exponent[c])-31)
	}
}

// checkClamp accepts a clamp range of codes of grid y.
func checkClamp(lo, hi int32, y quant.Grid) error {
	if lo > hi || lo < y.QMin() || hi > y.QMax() {
		return refuse(ErrGrid, "clamp range %d to %d: must lie within the codes %d to %d", lo, hi, y.QMin(), y.QMax())
	}
	return nil
}

// oneInput returns the only operand.
func oneInput(in []*Node) (*Node, error) {
	if len(in) != 1 {
		return nil, refuse(ErrGraph, "reads %d values: must be 1", len(in))
	}
	return in[0], nil
}

// needCodes refuses accumulators, which have no bounded range of codes.
func needCodes(n *Node) error {
	if n.Out.Accumulator() {
		return refuse(ErrGrid, "operand %s consists of accumulators: requantize it first", n.Name)
	}
	return nil
}

// needZero refuses grids on which real zero is no code.
func needZero(n *Node, why string) error {
	if n.Grid.MidRise {
		return refuse(ErrGrid, "operand %s is on a mid-rise grid, which has no code for zero: %s", n.Name, why)
	}
	return nil
}

// level returns the integer that arithmetic on codes reads for code q of grid g.
func level(g quant.Grid, q int64) int64 {
	if g.MidRise {
		return 2*q + 1
	}
	return q - int64(g.ZeroPoint)
}

// levels is level for many codes.
func levels[Q int32 | int64](g quant.Grid, codes []Q) []int64 {
	factor, offset := int64(1), -int64(g.ZeroPoint)
	if g.MidRise {
		factor, offset = 2, 1
	}
	l := make([]int64, len(codes))
	for i, q := range codes {
		l[i] = factor*int64(q) + offset
	}
	return l
}
