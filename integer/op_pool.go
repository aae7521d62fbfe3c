package integer

import (
	"math"
	"math/bits"

	"github.com/bitgrad/bitgrad/internal/kernels"
	"github.com/bitgrad/bitgrad/quant"
)

// MaxPool takes the largest code of each window; the grid is kept. A window that
// reaches beyond the image is clipped. OH and OW are given, so that the caller settles
// how fractional extents round; every window must meet the image.
type MaxPool struct {
	KH, KW, StrideH, StrideW int
	Pad                      Pads
	OH, OW                   int
}

// Kind returns "max_pool".
func (*MaxPool) Kind() string { return "max_pool" }

func (p *MaxPool) window() window {
	return window{p.KH, p.KW, p.StrideH, p.StrideW, 1, 1, p.Pad}
}

func (p *MaxPool) infer(in []*Node) (output, error) {
	x, err := oneInput(in)
	if err != nil {
		return output{}, err
	}
	out := output{Type: x.Out, Grid: x.Grid}
	out.H, out.W = p.OH, p.OW
	return out, checkPool(p.window(), x.Out, p.OH, p.OW)
}

// checkPool accepts output extents for which every window meets the image.
func checkPool(w window, x Type, oh, ow int) error {
	if err := w.validate(); err != nil {
		return err
	}
	for _, axis := range [...]struct {
		name                         string
		out, stride, kernel, pad, in int
	}{{"rows", oh, w.strideH, w.kh, w.pad.Top, x.H}, {"columns", ow, w.strideW, w.kw, w.pad.Left, x.W}} {
		last := int64(axis.out-1)*int64(axis.stride) - int64(axis.pad)
		if axis.out < 1 || last >= int64(axis.in) || axis.pad >= axis.kernel {
			return refuse(ErrShape, "%d output %s of kernel %d, stride %d, pad %d: some window would miss the %d %s of the image",
				axis.out, axis.name, axis.kernel, axis.stride, axis.pad, axis.in, axis.name)
		}
	}
	return Type{C: x.C, H: oh, W: ow}.validate()
}

func (p *MaxPool) interpret(n *Node, in []*Node, x [][]int64) []int64 {
	w := p.window()
	y := make([]int64, 0, n.Out.Len())
	eachWindow(w, in[0].Out, n.Out, func(c, top, left int) {
		best := int64(math.MinInt64)
		eachTap(w, in[0].Out, top, left, func(h, v int) {
			best = max(best, x[0][(c*in[0].Out.H+h)*in[0].Out.W+v])
		})
		y = append(y, best)
	})
	return y
}

// eachWindow calls f with the channel and the upper left corner of every window, in
// [C H W] order of the output.
func eachWindow(w window, x, y Type, f func(c, top, left int)) {
	for c := range y.C {
		for oh := range y.H {
			for ow := range y.W {
				f(c, oh*w.strideH-w.pad.Top, ow*w.strideW-w.pad.Left)
			}
		}
	}
}

// eachTap calls f for the positions of a window that lie in the image.
func eachTap(w window, x Type, top, left int, f func(h, v int)) {
	for k := range w.kh {
		for l := range w.kw {
			if h, v := top+k, left+l; h >= 0 && h < x.H && v >= 0 && v < x.W {
				f(h, v)
			}
		}
	}
}

func (p *MaxPool) bind(b *binding, n *Node, in []*Node) step {
	w, t, source := p.window(), in[0].Out, n.In[0]
	if bytesOf(t) {
		shape := p.window().shape(t, p.OH, p.OW)
		return func(st *state, images int) {
			y, x := st.value(b.self), st.value(source)
			shape.MaxCodes(y.U8, y.L, x.U8, x.L, t.Signed, nil, 0, images)
		}
	}
	return func(st *state, images int) {
		y, x := st.value(b.self), st.value(source)
		eachPixel(images, y, func(i, oh, ow int) {
			top, left := oh*w.strideH-w.pad.Top, ow*w.strideW-w.pad.Left
			k0, k1 := clip(top, w.kh, 1, t.H)
			l0, l1 := clip(left, w.kw, 1, t.W)
			to := y.place(i, oh, ow)
			y.copyFrom(to, x, x.place(i, top+k0, left+l0), t.C)
			for k := k0; k < k1; k++ {
				for l := l0; l < l1; l++ {
					from := x.place(i, top+k, left+l)
					for c := range t.C {
						if v := x.get(from + c); v > y.get(to+c) {
							y.put(to+c, v)
						}
					}
				}
			}
		})
	}
}

// AvgPool averages the codes of each window:
//
//	q = Rule.Apply(S, n)
//
// S is the sum of the levels q − z, or 2q + 1 on a mid-rise grid, of the taps in the
// image (of the codes themselves with quant.AveragePoolFixedPoint). n counts these taps;
// with CountPad it counts the taps in the padded image, of H + Top + Bottom rows and
// W + Left + Right columns. OH and OW are given as in [MaxPool]. A global pool, or a mean
// over H and W, is one window of H×W.
type AvgPool struct {
	KH, KW, StrideH, StrideW int
	Pad                      Pads
	OH, OW                   int
	CountPad                 bool
	Rule                     PoolRule
	Grid                     quant.Grid // of the output
}

// PoolRule is a rule for averages of codes: a quant.AveragePoolShift,
// quant.AveragePoolFloat or quant.AveragePoolFixedPoint, by value.
type PoolRule interface {
	Apply(sum, divisor int64) int32
}

// Kind returns "avg_pool".
func (*AvgPool) Kind() string { return "avg_pool" }

func (p *AvgPool) window() window {
	return window{p.KH, p.KW, p.StrideH, p.StrideW, 1, 1, p.Pad}
}

func (p *AvgPool) infer(in []*Node) (output, error) {
	x, err := oneInput(in)
	if err != nil {
		return output{}, err
	}
	out := output{Type: typeOf(p.Grid, x.Out.C, p.OH, p.OW), Grid: p.Grid}
	if err := needCodes(x); err != nil {
		return out, err
	}
	if err := checkGrid(p.Grid); err != nil {
		return out, err
	}
	if err := checkPool(p.window(), x.Out, p.OH, p.OW); err != nil {
		return out, err
	}
	if p.CountPad && p.Pad.any() {
		if err := needZero(x, "pads count as zero"); err != nil {
			return out, err
		}
	}
	lo, hi, err := poolRuleParts(p.Rule)
	if err != nil {
		return out, err
	}
	if err := checkClamp(lo, hi, p.Grid); err != nil {
		return out, err
	}
	want, err := newPoolRule(poolRuleName(p.Rule), x.Grid, p.Grid, lo, hi)
	if err != nil {
		return out, err
	}
	if want != p.Rule {
		return out, refuse(ErrGrid, "the rule %+v is not that of the grids, %+v", p.Rule, want)
	}
	taps := int64(min(p.KH, x.Out.H)) * int64(min(p.KW, x.Out.W))
	if taps > quant.MaxDivisor {
		return out, refuse(ErrShape, "averages %d values: at most 2^30", taps)
	}
	low, high := int64(x.Grid.QMin()), int64(x.Grid.QMax())
	worst := taps * max(x.Grid.MaxLevel(), -low, high)
	out.Bound, err = newBound(worst, worst, 0, x.Out.Bits)
	return out, err
}

func poolRuleName(r PoolRule) quant.Rule {
	switch r.(type) {
	case quant.AveragePoolShift:
		return quant.Shift
	case quant.AveragePoolFloat:
		return quant.Float
	default:
		return quant.FixedPoint
	}
}

func poolRuleParts(r PoolRule) (lo, hi int32, err error) {
	switch r := r.(type) {
	case quant.AveragePoolShift:
		return r.Lo, r.Hi, nil
	case quant.AveragePoolFloat:
		return r.Lo, r.Hi, nil
	case quant.AveragePoolFixedPoint:
		return r.Lo, r.Hi, nil
	}
	return 0, 0, refuse(ErrGrid, "rule %T: must be a quant.AveragePoolShift, quant.AveragePoolFloat or quant.AveragePoolFixedPoint, by value", r)
}

// newPoolRule returns the rule of the given name for these grids.
func newPoolRule(name quant.Rule, x, y quant.Grid, lo, hi int32) (PoolRule, error) {
	wrap := func(err error) error {
		if err == nil {
			return nil
		}
		return &reason{err, err.Error()}
	}
	switch name {
	case quant.Shift:
		r, err := quant.NewAveragePoolShift(x, y)
		r.Lo, r.Hi = lo, hi
		return r, wrap(err)
	case quant.Float:
		r, err := quant.NewAveragePoolFloat(x, y)
		r.Lo, r.Hi = lo, hi
		return r, wrap(err)
	}
	if !x.Equal(y) {
		return nil, refuse(ErrGrid, "the fixedpoint average keeps the grid: %v becomes %v", x, y)
	}
	r, err := quant.NewAveragePoolFixedPoint(x)
	r.Lo, r.Hi = lo, hi
	return r, wrap(err)
}

// value returns what S adds up for code q: its level, or the code itself.
func (p *AvgPool) value(g quant.Grid) func(q int64) int64 {
	if poolRuleName(p.Rule) == quant.FixedPoint {
		return func(q int64) int64 { return q }
	}
	return func(q int64) int64 { return level(g, q) }
}

// divisor returns the number of taps that count in a window.
func (p *AvgPool) divisor(t Type, top, left int) int64 {
	if p.CountPad {
		h := min(top+p.KH, t.H+p.Pad.Bottom) - top
		w := min(left+p.KW, t.W+p.Pad.Right) - left
		return int64(h) * int64(w)
	}
	k0, k1 := clip(top, p.KH, 1, t.H)
	l0, l1 := clip(left, p.KW, 1, t.W)
	return int64(k1-k0) * int64(l1-l0)
}

func (p *AvgPool) interpret(n *Node, in []*Node, x [][]int64) []int64 {
	w, t, value := p.window(), in[0].Out, p.value(in[0].Grid)
	y := make([]int64, 0, n.Out.Len())
	eachWindow(w, t, n.Out, func(c, top, left int) {
		var sum, taps int64
		eachTap(w, t, top, left, func(h, v int) {
			sum += value(x[0][(c*t.H+h)*t.W+v])
			taps++
		})
		if p.CountPad {
			taps = 0
			for k := range p.KH {
				for l := range p.KW {
					if top+k < t.H+p.Pad.Bottom && left+l < t.W+p.Pad.Right {
						taps++
					}
				}
			}
		}
		y = append(y, int64(p.Rule.Apply(sum, taps)))
	})
	return y
}

func (p *AvgPool) bind(b *binding, n *Node, in []*Node) step {
	t, source := in[0].Out, n.In[0]
	if bytesOf(t) && t.H*t.W <= math.MaxInt32/255 {
		shape, rules := p.window().shape(t, p.OH, p.OW), p.requantizers(in[0], n)
		zero := int32(0)
		if rules != nil {
			zero = in[0].Grid.ZeroPoint
		}
		b.scratch(p.OW*t.C, 0, 0)
		return func(st *state, images int) {
			y, x, all := st.value(b.self), st.value(source), st.scratch.I32[:p.OW*t.C]
			eachRow(images, y, func(i, oh int) {
				shape.SumCodes(all, x.U8, x.L, t.Signed, zero, i, oh)
				for ow := range p.OW {
					sums := all[ow*t.C:][:t.C]
					if rules != nil {
						kernels.Requantize(y.U8[y.place(i, oh, ow):], sums, rules[oh*p.OW+ow])
					} else {
						putAverages(p, y, i, oh, ow, sums, in[0])
					}
				}
			})
		}
	}
	b.scratch(0, t.C, 0)
	return func(st *state, images int) {
		y, x, sums := st.value(b.self), st.value(source), st.scratch.I64[:t.C]
		eachPixel(images, y, func(i, oh, ow int) {
			k0, k1, l0, l1 := p.taps(t, oh, ow)
			clear(sums)
			for k := k0; k < k1; k++ {
				for l := l0; l < l1; l++ {
					x.addTo(sums, x.place(i, k, l))
				}
			}
			putAverages(p, y, i, oh, ow, sums, in[0])
		})
	}
}

// requantizers returns, for each window, what makes the average of its sum of q − z: rules for sums are rules for
// accumulators where the divisor is a factor. It returns nil where that is not so.
func (p *AvgPool) requantizers(x, y *Node) []*quant.Requantizer {
	if x.Grid.MidRise || !bytesOf(y.Out) {
		return nil
	}
	rules := make([]*quant.Requantizer, p.OH*p.OW)
	of := map[int64]*quant.Requantizer{}
	for i := range rules {
		d := p.divisor(x.Out, i/p.OW*p.StrideH-p.Pad.Top, i%p.OW*p.StrideW-p.Pad.Left)
		if of[d] == nil {
			r, ok := averageRequantizer(p.Rule, d)
			if !ok {
				return nil
			}
			of[d] = &r
		}
		rules[i] = of[d]
	}
	return rules
}

// averageRequantizer returns what makes of a sum of levels q − z what rule makes of it with divisor d, if there is such.
func averageRequantizer(rule PoolRule, d int64) (r quant.Requantizer, ok bool) {
	switch p := rule.(type) {
	case quant.AveragePoolShift:
		n := int32(bits.TrailingZeros64(uint64(d))) + p.FX - p.FY
		r = quant.Requantizer{Rule: quant.Shift, Shift: []int32{n}, MidRise: p.MidRise, Lo: p.Lo, Hi: p.Hi}
		return r, d&(d-1) == 0 && -31 <= n && n <= 31
	case quant.AveragePoolFloat:
		return quant.Requantizer{Rule: quant.Float, Multiplier: []float32{p.Multiplier(d)}, ZeroPoint: p.Zy, MidRise: p.MidRise, Lo: p.Lo, Hi: p.Hi}, true
	}
	return r, false
}

// taps returns the rows and columns of x in the window of an output.
func (p *AvgPool) taps(x Type, oh, ow int) (k0, k1, l0, l1 int) {
	top, left := oh*p.StrideH-p.Pad.Top, ow*p.StrideW-p.Pad.Left
	k0, k1 = clip(top, p.KH, 1, x.H)
	l0, l1 = clip(left, p.KW, 1, x.W)
	return top + k0, top + k1, left + l0, left + l1
}

// shape returns a pool of x with oh×ow outputs, as kernels take it.
func (w window) shape(x Type, oh, ow int) kernels.PoolShape {
	return kernels.PoolShape{C: x.C, KH: w.kh, KW: w.kw, StrideH: w.strideH, StrideW: w.strideW, PadTop: w.pad.Top, PadLeft: w.pad.Left,
		PadBottom: w.pad.Bottom, PadRight: w.pad.Right, H: x.H, W: x.W, OH: oh, OW: ow}
}

// putAverages stores a pixel, whose windows of x have the given sums of codes.
func putAverages[S int32 | int64](p *AvgPool, y *Codes, i, oh, ow int, sums []S, x *Node) {
	// Every code adds value(q) = slope·q + offset.
	value := p.value(x.Grid)
	offset := value(0)
	slope := value(1) - offset
	k0, k1, l0, l1 := p.taps(x.Out, oh, ow)
	offset *= int64(k1-k0) * int64(l1-l0)
	divisor := p.divisor(x.Out, oh*p.StrideH-p.Pad.Top, ow*p.StrideW-p.Pad.Left)
	at := y.place(i, oh, ow)
	for c, s := range sums {
		y.put(at+c, int64(p.Rule.Apply(slope*int64(s)+offset, divisor)))
	}
}

// poolFile is what a header says of a pool; its output extents are those of the node.
type poolFile struct {
	Kernel   [2]int     `json:"kernel"` // H W, here and below
	Stride   [2]int     `json:"stride"`
	Pad      Pads       `json:"pad"`
	CountPad bool       `json:"count_pad,omitempty"`
	Average  *clampFile `json:"average,omitempty"`
}

// clampFile is what a header says of an average; the rest follows from the grids.
type clampFile struct {
	Rule quant.Rule `json:"rule"`
	Lo   int32      `json:"lo"`
	Hi   int32      `json:"hi"`
}

func (p *MaxPool) encode(*fileWriter) any {
	return poolFile{Kernel: [2]int{p.KH, p.KW}, Stride: [2]int{p.StrideH, p.StrideW}, Pad: p.Pad}
}

func decodeMaxPool(r *fileReader) (Op, error) {
	var f poolFile
	if err := r.attrs(&f); err != nil {
		return nil, err
	}
	s := r.node.Shape
	return &MaxPool{f.Kernel[0], f.Kernel[1], f.Stride[0], f.Stride[1], f.Pad, s[1], s[2]}, nil
}

func (p *AvgPool) encode(*fileWriter) any {
	lo, hi, _ := poolRuleParts(p.Rule)
	return poolFile{[2]int{p.KH, p.KW}, [2]int{p.StrideH, p.StrideW}, p.Pad, p.CountPad, &clampFile{poolRuleName(p.Rule), lo, hi}}
}

func decodeAvgPool(r *fileReader) (Op, error) {
	var f poolFile
	if err := r.attrs(&f); err != nil {
		return nil, err
	}
	x, err := oneInput(r.in)
	if err != nil {
		return nil, err
	}
	if f.Average == nil {
		return nil, refuse(ErrFormat, "attrs: average is missing")
	}
	if err := needCodes(x); err != nil {
		return nil, err
	}
	rule, err := newPoolRule(f.Average.Rule, x.Grid, r.grid, f.Average.Lo, f.Average.Hi)
	s := r.node.Shape
	return &AvgPool{f.Kernel[0], f.Kernel[1], f.Stride[0], f.Stride[1], f.Pad, s[1], s[2], f.CountPad, rule, r.grid}, err
}
