package cgen

import (
	"fmt"

	"github.com/bitgrad/bitgrad/integer"
	"github.com/bitgrad/bitgrad/quant"
)

// A window is the geometry of a pool.
type window struct {
	kh, kw, strideH, strideW int
	pad                      integer.Pads
}

// clip returns the part of a window that begins at start which lies in an axis from
// low up to high.
func clip(start, size, low, high int) (first, last int) {
	return max(start, low), min(start+size, high)
}

// open writes the loops over the windows of an image and the bounds of each: rows h0
// to h1, columns w0 to w1.
func (f *function) open(w window) {
	x, y := f.in[0].Out, f.node.Out
	f.line(1, "int32_t c, i, j, h, w;")
	f.loop(1, "c", y.C)
	f.line(2, "for (i = 0; i < %d; i++) {", y.H)
	f.bounds(3, "h", "i", w.kh, w.strideH, w.pad.Top, x.H, y.H)
	f.line(3, "for (j = 0; j < %d; j++) {", y.W)
	f.bounds(4, "w", "j", w.kw, w.strideW, w.pad.Left, x.W, y.W)
}

// bounds declares the first and last row or column of a window, clipped to the image
// where some window reaches beyond it.
func (f *function) bounds(depth int, axis, out string, size, stride, pad, extent, windows int) {
	start := plus(times(out, stride), -int64(pad))
	first, last := start, plus(times(out, stride), int64(size)-int64(pad))
	if pad > 0 {
		first = fmt.Sprintf("%s < 0 ? 0 : %s", start, start)
	}
	if (windows-1)*stride-pad+size > extent {
		last = fmt.Sprintf("%s > %d ? %d : %s", last, extent, extent, last)
	}
	f.line(depth, "int32_t %s0 = %s;", axis, first)
	f.line(depth, "int32_t %s1 = %s;", axis, last)
}

// close ends the loops of open.
func (f *function) close() {
	f.line(3, "}")
	f.line(2, "}")
	f.end()
}

// maxPool writes a maximum over windows.
func (f *function) maxPool(p *integer.MaxPool) {
	x, y := f.in[0].Out, f.node.Out
	f.begin(fmt.Sprintf("maximum over %dx%d, stride %d %d", p.KH, p.KW, p.StrideH, p.StrideW))
	f.open(window{p.KH, p.KW, p.StrideH, p.StrideW, p.Pad})
	at := func(h, w string) string { return fmt.Sprintf("x[(c * %d + %s) * %d + %s]", x.H, h, x.W, w) }
	f.line(4, "%v best = %s;", typeOf(f.node), at("h0", "w0"))
	f.line(4, "for (h = h0; h < h1; h++)")
	f.line(5, "for (w = w0; w < w1; w++)")
	f.line(6, "if (%s > best)", at("h", "w"))
	f.line(7, "best = %s;", at("h", "w"))
	f.line(4, "y[(c * %d + i) * %d + j] = best;", y.H, y.W)
	f.close()
}

// avgPool writes an average over windows.
func (f *function) avgPool(p *integer.AvgPool) error {
	x, y := f.in[0].Out, f.node.Out
	w := window{p.KH, p.KW, p.StrideH, p.StrideW, p.Pad}
	smallest, largest, constant := w.divisors(x, y, p.CountPad)

	code := "x[(c * %d + h) * %d + w]"
	code = fmt.Sprintf(code, x.H, x.W)
	lo, hi := codeRange(f.in[0].Grid)
	taps := int64(min(p.KH, x.H)) * int64(min(p.KW, x.W))
	sum := sumType(taps*max(largestLevel(f.in[0].Grid), -lo, hi) + largest)
	term := level(f.in[0].Grid, code, sum)

	divisor := fmt.Sprint(smallest)
	if !constant {
		divisor = "n"
	}
	var result, multiplier string
	switch r := p.Rule.(type) {
	case quant.AveragePoolShift:
		call := "average"
		if r.MidRise {
			call = "average_floor"
		}
		result = fmt.Sprintf("%s(%s(sum, %s, %d), %d, %d)", f.use("clamp"), f.use(call), divisor, r.FY-r.FX, r.Lo, r.Hi)
	case quant.AveragePoolFloat:
		call := "scale"
		if r.MidRise {
			call = "scale_floor"
		}
		f.use(call)
		if constant {
			multiplier = float(quotient(r.ScaleX, smallest) / r.ScaleY)
		} else if largest <= 1<<24 {
			multiplier = fmt.Sprintf("%s / (float)n / %s", float(r.ScaleX), float(r.ScaleY))
		} else {
			return unsupported(f.node, "averages over differing numbers of values, up to %d: a float counts to 2^24", largest)
		}
		result = f.scaled(f.use(call), "(float)sum * multiplier", int64(r.Zy), int64(r.Lo), int64(r.Hi))
	case quant.AveragePoolFixedPoint:
		term = fmt.Sprintf("(%v)%s", sum, code)
		half := fmt.Sprintf("%s / 2", divisor)
		result = fmt.Sprintf("%s((sum > 0 ? sum + %s : sum - %s) / %s, %d, %d)", f.use("clamp"), half, half, divisor, r.Lo, r.Hi)
	default:
		return unsupported(f.node, "a rule of type %T", p.Rule)
	}

	f.begin(fmt.Sprintf("average over %dx%d, stride %d %d", p.KH, p.KW, p.StrideH, p.StrideW))
	f.open(w)
	f.line(4, "%v sum = 0;", sum)
	if !constant {
		f.line(4, "int32_t n = %s;", w.count(x, p.CountPad))
	}
	if multiplier != "" {
		f.line(4, "float multiplier = %s;", multiplier)
	}
	f.line(4, "for (h = h0; h < h1; h++)")
	f.line(5, "for (w = w0; w < w1; w++)")
	f.line(6, "sum += %s;", term)
	f.line(4, "y[(c * %d + i) * %d + j] = %s;", y.H, y.W, f.store(result))
	f.close()
	return nil
}

// count returns the C expression of the number of taps that the average divides by.
func (w window) count(x integer.Type, countPad bool) string {
	if !countPad {
		return "(h1 - h0) * (w1 - w0)"
	}
	axis := func(out string, size, stride, before, extent, after int) string {
		start := plus(times(out, stride), -int64(before))
		return fmt.Sprintf("(%s > %d ? %d - (%s) : %d)", start, extent+after-size, extent+after, start, size)
	}
	return axis("i", w.kh, w.strideH, w.pad.Top, x.H, w.pad.Bottom) + " * " +
		axis("j", w.kw, w.strideW, w.pad.Left, x.W, w.pad.Right)
}

// divisors returns the smallest and largest number of taps that an average divides by,
// and whether they are the same.
func (w window) divisors(x, y integer.Type, countPad bool) (smallest, largest int64, constant bool) {
	axis := func(n, size, stride, before, extent, after int) (lo, hi int64) {
		low, high := 0, extent
		if countPad {
			low, high = -before, extent+after
		}
		for i := range n {
			first, last := clip(i*stride-before, size, low, high)
			taps := int64(last - first)
			if i == 0 {
				lo, hi = taps, taps
			}
			lo, hi = min(lo, taps), max(hi, taps)
		}
		return lo, hi
	}
	h0, h1 := axis(y.H, w.kh, w.strideH, w.pad.Top, x.H, w.pad.Bottom)
	w0, w1 := axis(y.W, w.kw, w.strideW, w.pad.Left, x.W, w.pad.Right)
	return h0 * w0, h1 * w1, h0 == h1 && w0 == w1
}
