package integer

import (
	"math"

	"github.com/bitgrad/bitgrad/internal/kernels"
	"github.com/bitgrad/bitgrad/quant"
)

// finish turns the accumulators of rows oh0 … oh1−1 of images n0 … n1−1, of which only one
// number is above 1, into their output.
func (d *ConvDriver) finish(y *Codes, s Scratch, n0, n1, oh0, oh1 int, taps *Taps, e extremes) {
	row := d.conv.OW * d.conv.O
	all, step := (n1-n0)*(oh1-oh0)*row, y.L.SH // step: from one row of y to the next
	if d.linear {
		step = y.L.SN
	}
	if !d.wide && e.least != nil {
		kernels.AccumulatorRange(e.least, e.most, s.I32[:all])
	}
	for from := 0; from < all; from += row {
		n, oh := n0, oh0+from/row
		if d.linear {
			n, oh = n0+from/row, 0
		}
		if d.wide {
			d.finishWide(y, s.I64[from:from+row], n, oh, taps)
		} else if taps != nil && taps.Pass != nil {
			d.passBits(d.passRow(taps, n, oh), s.I32[from:from+row])
		}
	}
	if !d.wide {
		d.finishNarrow(y, s.I32[:all], n0, oh0, step)
	}
}

// whole returns how many of n elements the parameters of whole tiles cover.
func (d *ConvDriver) whole(n int) int { return n - n%(d.tile*d.conv.O) }

// passBits sets the bits of one row.
func (d *ConvDriver) passBits(bits []uint8, acc []int32) {
	n := d.whole(len(acc))
	kernels.PassBits(bits, acc[:n], d.pass32Lo, d.pass32Hi)
	if rest := len(acc) - n; rest > 0 {
		kernels.PassBits(bits[n/8:], acc[n:], d.pass32Lo[:rest], d.pass32Hi[:rest])
	}
}

// requantize turns the accumulators of rows into codes, rows step elements apart.
func (d *ConvDriver) requantize(dst []uint8, step int, acc []int32) {
	row := d.conv.OW * d.conv.O
	if d.shortRows() || len(d.row.Shift) == 1 || d.row.Rule == quant.FixedPoint {
		kernels.RequantizeRows(dst, step, acc, row, &d.row)
		return
	}
	whole := d.whole(row)
	rest := d.row
	rest.Shift, rest.Multiplier = first(rest.Shift, row-whole), first(rest.Multiplier, row-whole)
	for i := 0; i < len(acc); i += row {
		kernels.Requantize(dst[i/row*step:], acc[i:i+whole], &d.row)
		if whole < row {
			kernels.Requantize(dst[i/row*step+whole:], acc[i+whole:i+row], &rest)
		}
	}
}

// first returns the first n elements of s, or none if there are none.
func first[E any](s []E, n int) []E { return s[:min(n, len(s))] }

// finishNarrow turns the accumulators of rows, from row oh of image n on, into their output, whose rows are step
// elements apart.
func (d *ConvDriver) finishNarrow(y *Codes, acc []int32, n, oh, step int) {
	row, at := d.conv.OW*d.conv.O, y.L.Row(n, oh)
	switch {
	case d.requant != nil && y.U8 != nil && y.L.Packed():
		d.requantize(y.U8[at:], step, acc)
	case d.requant == nil && d.commonScale == nil && y.I32 != nil && y.L.Packed():
		for i := 0; i < len(acc); i += row {
			copy(y.I32[at+i/row*step:], acc[i:i+row])
		}
	default:
		for i := 0; i < len(acc); i += row {
			if d.linear {
				finishPixels(d, y, acc[i:i+row], n+i/row, oh)
			} else {
				finishPixels(d, y, acc[i:i+row], n, oh+i/row)
			}
		}
	}
}

func (d *ConvDriver) finishWide(y *Codes, acc []int64, n, oh int, taps *Taps) {
	if taps != nil && taps.Pass != nil {
		bits := d.passRow(taps, n, oh)
		clear(bits)
		for i, a := range acc {
			if c := i % d.conv.O; d.passLo[c] <= a && a <= d.passHi[c] {
				bits[i/8] |= 1 << uint(i%8)
			}
		}
	}
	if taps != nil && taps.Min != nil {
		for i, a := range acc {
			c := i % d.conv.O
			taps.Min[c], taps.Max[c] = min(taps.Min[c], a), max(taps.Max[c], a)
		}
	}
	finishPixels(d, y, acc, n, oh)
}

// passRow returns the bits of one row.
func (d *ConvDriver) passRow(taps *Taps, n, oh int) []uint8 {
	size := d.PassRow()
	return taps.Pass[(n*d.conv.OH+oh)*size:][:size]
}

// finishPixels is the general form of what a row becomes, one value at a time.
func finishPixels[A int32 | int64](d *ConvDriver, y *Codes, acc []A, n, oh int) {
	o := d.conv.O
	for ow := range d.conv.OW {
		to := y.L.At(n, oh, ow, 0)
		for c, a := range acc[ow*o : (ow+1)*o] {
			v := int64(a)
			switch {
			case d.requant != nil:
				v = int64(d.requant.Apply(v, c))
			case d.commonScale != nil:
				v = quant.ToCommonScale(v, d.commonScale[c], d.largestScale)
			}
			y.put(to+c, v)
		}
	}
}

// extremes are the smallest and the largest accumulator of each channel.
type extremes struct{ least, most []int32 }

// extremes takes those of the channels off the end of the scratch, where taps asks for them and finish does not
// follow them itself.
func (d *ConvDriver) extremes(s Scratch, taps *Taps) (Scratch, extremes) {
	if taps == nil || taps.Min == nil || d.wide {
		return s, extremes{}
	}
	o := d.conv.O
	n := len(s.I32) - 2*o
	e := extremes{s.I32[n : n+o], s.I32[n+o:]}
	fill(e.least, math.MaxInt32)
	fill(e.most, math.MinInt32)
	s.I32 = s.I32[:n]
	return s, e
}

// addTo takes the extremes into those of taps.
func (e extremes) addTo(taps *Taps) {
	for c, v := range e.least {
		if v <= e.most[c] {
			taps.Min[c], taps.Max[c] = min(taps.Min[c], int64(v)), max(taps.Max[c], int64(e.most[c]))
		}
	}
}

// Reset sets Min and Max to the values that any accumulator replaces.
func (t *Taps) Reset() {
	fill(t.Min, math.MaxInt64)
	fill(t.Max, math.MinInt64)
}
