package cgen

import (
	"fmt"

	"github.com/bitgrad/bitgrad/integer"
)

// conv writes a convolution: rows of weights outermost, so that packed ones are
// unpacked once.
func (f *function) conv(c *integer.Conv) error {
	s := &sums{channels: c.O, weight: c.Weight, grid: c.WeightGrid, bias: c.Bias, requant: c.Requant}
	if err := f.prepare(s); err != nil {
		return err
	}
	x, y := f.in[0].Out, f.node.Out
	perIn, perOut := x.C/c.Groups, c.O/c.Groups
	f.begin(fmt.Sprintf("convolution, weights [%d %d %d %d], stride %d %d, dilation %d %d, groups %d",
		c.O, perIn, c.KH, c.KW, c.StrideH, c.StrideW, c.DilationH, c.DilationW, c.Groups))
	f.line(1, "int32_t o, i, j, c, k, l;")
	f.line(1, "for (o = 0; o < %d; o++) {", c.O)
	f.row(s)
	image := "x"
	if c.Groups > 1 {
		f.line(2, "const %v *group = x + o / %d * %d;", typeOf(f.in[0]), perOut, perIn*x.H*x.W)
		image = "group"
	}
	f.unpack(s)
	f.loop(2, "i", y.H)
	f.line(3, "for (j = 0; j < %d; j++) {", y.W)
	f.line(4, "%v acc = %s;", s.acc, s.begin)
	f.loop(4, "c", perIn)
	f.line(5, "for (k = 0; k < %d; k++) {", c.KH)
	f.line(6, "int32_t h = %s;", position("i", c.StrideH, "k", c.DilationH, c.Pad.Top))
	if c.Pad.Top+c.Pad.Bottom > 0 {
		f.line(6, "if (h < 0 || h >= %d)", x.H)
		f.line(7, "continue;")
	}
	f.line(6, "for (l = 0; l < %d; l++) {", c.KW)
	f.line(7, "int32_t v = %s;", position("j", c.StrideW, "l", c.DilationW, c.Pad.Left))
	if c.Pad.Left+c.Pad.Right > 0 {
		f.line(7, "if (v < 0 || v >= %d)", x.W)
		f.line(8, "continue;")
	}
	f.line(7, "acc += %s * %s;",
		level(f.in[0].Grid, fmt.Sprintf("%s[(c * %d + h) * %d + v]", image, x.H, x.W), s.acc),
		level(s.grid, fmt.Sprintf("w[(c * %d + k) * %d + l]", c.KH, c.KW), s.acc))
	f.line(6, "}")
	f.line(5, "}")
	f.line(4, "y[(o * %d + i) * %d + j] = %s;", y.H, y.W, f.store(s.finish("acc", "o")))
	f.line(3, "}")
	f.line(1, "}")
	f.end()
	return nil
}

// position returns the C expression of a row or column of the input.
func position(out string, stride int, tap string, dilation, pad int) string {
	return plus(times(out, stride)+" + "+times(tap, dilation), -int64(pad))
}

// linear writes a fully connected layer.
func (f *function) linear(l *integer.Linear) error {
	s := &sums{channels: l.O, weight: l.Weight, grid: l.WeightGrid, bias: l.Bias, requant: l.Requant}
	if err := f.prepare(s); err != nil {
		return err
	}
	f.begin(fmt.Sprintf("linear, weights [%d %d]", l.O, s.row))
	f.line(1, "int32_t o, i;")
	f.line(1, "for (o = 0; o < %d; o++) {", l.O)
	f.row(s)
	f.line(2, "%v acc = %s;", s.acc, s.begin)
	f.unpack(s)
	f.loop(2, "i", s.row)
	f.line(3, "acc += %s * %s;", level(f.in[0].Grid, "x[i]", s.acc), level(s.grid, "w[i]", s.acc))
	f.line(2, "y[o] = %s;", f.store(s.finish("acc", "o")))
	f.line(1, "}")
	f.end()
	return nil
}
