package cgen

import (
	"fmt"

	"github.com/bitgrad/bitgrad/integer"
	"github.com/bitgrad/bitgrad/quant"
)

// each writes the loop over all elements.
func (f *function) each(code string) {
	f.line(1, "int32_t i;")
	f.loop(1, "i", f.node.Out.Len())
	f.line(2, "y[i] = %s;", f.store(code))
	f.end()
}

// operand returns the level of operand k at position i.
func (f *function) operand(k int, t ctype) string {
	return level(f.in[k].Grid, fmt.Sprintf("x%d[i]", k), t)
}

// add writes a sum or a difference by one of its rules.
func (f *function) add(a *integer.Add) error {
	sign := func(subtract bool) (op, word string) {
		if subtract {
			return "-", "difference"
		}
		return "+", "sum"
	}
	switch r := a.Rule.(type) {
	case quant.AddShift:
		op, word := sign(r.Subtract)
		top := max(r.FA, r.FB)
		raised := func(k int, fl int32) string {
			if fl == top {
				return f.operand(k, int64Type)
			}
			return fmt.Sprintf("%s * ((int64_t)1 << %d)", f.operand(k, int64Type), top-fl)
		}
		call := "shift"
		if r.MidRise {
			call = "shift_floor"
		}
		clamp, shift := f.use("clamp"), f.use(call)
		f.begin(word)
		f.each(fmt.Sprintf("%s(%s(%s %s %s, %d), %d, %d)",
			clamp, shift, raised(0, r.FA), op, raised(1, r.FB), top-r.FY, r.Lo, r.Hi))
	case quant.AddFloat:
		call := "scale"
		if r.MidRise {
			call = "scale_floor"
		}
		scale := f.use(call)
		f.begin("sum of products, each rounded to float; a negative factor subtracts")
		f.line(1, "int32_t i;")
		f.line(1, "for (i = 0; i < %d; i++) {", f.node.Out.Len())
		f.line(2, "float a = (float)%s * %s;", f.operand(0, int32Type), float(r.Ma))
		f.line(2, "float b = (float)%s * %s;", f.operand(1, int32Type), float(r.Mb))
		f.line(2, "y[i] = %s;", f.store(f.scaled(scale, "a + b", int64(r.Zy), int64(r.Lo), int64(r.Hi))))
		f.line(1, "}")
		f.end()
	case quant.AddFixedPoint:
		op, word := sign(r.Subtract)
		multiply, clamp := f.multiplication(r.DoubleRounding), f.use("clamp")
		f.begin(word)
		f.line(1, "int32_t i;")
		f.line(1, "for (i = 0; i < %d; i++) {", f.node.Out.Len())
		for k, m := range [...][2]int32{{r.MantissaA, r.ExponentA}, {r.MantissaB, r.ExponentB}} {
			f.line(2, "int64_t %c = %s(%s * ((int64_t)1 << %d), %s, %d);", 'a'+k, multiply, f.operand(k, int64Type), r.Left, decimal(m[0]), m[1])
		}
		sum := fmt.Sprintf("(int64_t)%s(a %s b, %s, %d)", multiply, op, decimal(r.MantissaY), r.ExponentY)
		f.line(2, "y[i] = %s;", f.store(fmt.Sprintf("%s(%s, %d, %d)", clamp, plus(sum, int64(r.Zy)), r.Lo, r.Hi)))
		f.line(1, "}")
		f.end()
	default:
		return unsupported(f.node, "a rule of type %T", a.Rule)
	}
	return nil
}

// multiply writes an elementwise product.
func (f *function) multiply(m *integer.Multiply) error {
	finish, err := f.requantizer(m.Requant, 1, f.name)
	if err != nil {
		return err
	}
	f.begin("product")
	f.each(finish(fmt.Sprintf("(%s * %s)", f.operand(0, int64Type), f.operand(1, int64Type)), "0"))
	return nil
}

// requantize writes the way of codes, or accumulators, to another grid.
func (f *function) requantize(r *integer.Requantize) error {
	finish, err := f.requantizer(r.Requant, 1, f.name)
	if err != nil {
		return err
	}
	f.begin("requantization")
	f.each(finish(level(f.in[0].Grid, "x[i]", wide(f.in[0])), "0"))
	return nil
}

// concat writes the operands one after another: in the order [C H W] that joins them
// along C.
func (f *function) concat(p *integer.Concat) error {
	finish := make([]requantizer, len(f.in))
	for k := range f.in {
		if r := p.Requant[k]; r != nil {
			var err error
			if finish[k], err = f.requantizer(r, 1, fmt.Sprintf("%s_%d", f.name, k)); err != nil {
				return err
			}
		}
	}
	f.begin("concatenation along C")
	f.line(1, "int32_t i;")
	at := 0
	for k, n := range f.in {
		name := fmt.Sprintf("x%d[i]", k)
		if len(f.in) == 1 {
			name = "x[i]"
		}
		code := name
		if finish[k] != nil {
			code = finish[k](level(n.Grid, name, wide(n)), "0")
		}
		f.loop(1, "i", n.Out.Len())
		f.line(2, "y[%d + i] = %s;", at, f.store(code))
		at += n.Out.Len()
	}
	f.end()
	return nil
}

// table writes a look-up.
func (f *function) table(t *integer.Table) {
	var codes []int32
	for _, one := range t.Codes {
		codes = append(codes, one...)
	}
	lo, _ := codeRange(f.in[0].Grid)
	f.codeArray(f.name+"_table", codes, typeOf(f.node))
	f.other += len(codes) * typeOf(f.node).bits / 8
	index := plus("(int32_t)x[i]", -lo)
	if len(t.Codes) > 1 {
		area := f.node.Out.H * f.node.Out.W
		index = fmt.Sprintf("i / %d * %d + %s", area, len(t.Codes[0]), index)
	}
	f.begin("table of codes")
	f.each(fmt.Sprintf("%s_table[%s]", f.name, index))
}
