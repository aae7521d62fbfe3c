package cgen

import (
	"fmt"

	"github.com/bitgrad/bitgrad/integer"
)

// pad writes codes with the code of zero around them.
func (f *function) pad(p *integer.Pad) {
	x, y := f.in[0].Out, f.node.Out
	f.begin("pad with the code of zero")
	f.line(1, "int32_t i, c, h, w;")
	f.loop(1, "i", y.Len())
	f.line(2, "y[i] = %d;", f.node.Grid.ZeroPoint)
	f.loop(1, "c", x.C)
	f.loop(2, "h", x.H)
	f.loop(3, "w", x.W)
	f.line(4, "y[(%s) * %d + %s] = x[(c * %d + h) * %d + w];",
		plus(fmt.Sprintf("(%s) * %d + h", plus("c", int64(p.Before)), y.H), int64(p.Pad.Top)), y.W, plus("w", int64(p.Pad.Left)), x.H, x.W)
	f.end()
}

// slice writes a selection of codes.
func (f *function) slice(s *integer.Slice) {
	x, y := f.in[0].Out, f.node.Out
	index := func(v string, r integer.Range) string {
		return plus(times(v, max(r.Step, 1)), int64(r.Start))
	}
	f.begin("slice")
	f.line(1, "int32_t c, h, w;")
	f.loop(1, "c", y.C)
	f.loop(2, "h", y.H)
	f.loop(3, "w", y.W)
	f.line(4, "y[(c * %d + h) * %d + w] = x[((%s) * %d + %s) * %d + %s];",
		y.H, y.W, index("c", s.C), x.H, index("h", s.H), x.W, index("w", s.W))
	f.end()
}
