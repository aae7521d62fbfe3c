package cgen

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/bitgrad/bitgrad/integer"
	"github.com/bitgrad/bitgrad/quant"
)

// A function is the C function of one node under construction. Its parameters are
// x, or x0, x1, …, and y, each in the order [C H W].
type function struct {
	*program
	node *integer.Node
	in   []*integer.Node
	name string
	text bytes.Buffer
}

// line writes one line at the given depth.
func (f *function) line(depth int, format string, args ...any) {
	f.text.WriteString(strings.Repeat("    ", depth))
	fmt.Fprintf(&f.text, format, args...)
	f.text.WriteByte('\n')
}

// begin opens the function. note is what its comment says after the name of the
// node.
func (f *function) begin(note string) {
	f.line(0, "/* %s: %s. */", comment(f.node.Name), note)
	var params []string
	for k, n := range f.in {
		name := "x"
		if len(f.in) > 1 {
			name = fmt.Sprintf("x%d", k)
		}
		params = append(params, fmt.Sprintf("const %v *%s", typeOf(n), name))
	}
	if len(f.in) == 0 {
		params = append(params, fmt.Sprintf("const %s *image", f.inputType()))
	}
	f.line(0, "static void %s(%s, %v *y)", f.name, strings.Join(params, ", "), typeOf(f.node))
	f.line(0, "{")
}

// end closes the function.
func (f *function) end() { f.line(0, "}\n") }

// store returns expression as the code of an output of type t.
func (f *function) store(expression string) string {
	return fmt.Sprintf("(%v)%s", typeOf(f.node), expression)
}

// loop opens "for (v = 0; v < n; v++)".
func (f *function) loop(depth int, v string, n int) {
	f.line(depth, "for (%s = 0; %s < %d; %s++)", v, v, n, v)
}

// codeRange returns QMin and QMax of g.
func codeRange(g quant.Grid) (lo, hi int64) {
	switch b := g.BitWidth; {
	case g.Signed && g.Narrow:
		return -(int64(1) << (b - 1)) + 1, int64(1)<<(b-1) - 1
	case g.Signed:
		return -(int64(1) << (b - 1)), int64(1)<<(b-1) - 1
	case g.Narrow:
		return 0, int64(1)<<b - 2
	}
	return 0, int64(1)<<g.BitWidth - 1
}

// levelOf returns the level of code q of g.
func levelOf(g quant.Grid, q int64) int64 {
	if g.MidRise {
		return 2*q + 1
	}
	return q - int64(g.ZeroPoint)
}

// largestLevel returns the largest magnitude of a level of g.
func largestLevel(g quant.Grid) int64 {
	lo, hi := codeRange(g)
	lo, hi = levelOf(g, lo), levelOf(g, hi)
	return max(lo, -lo, hi, -hi)
}

// level returns the C expression of the level of a code, in type t.
func level(g quant.Grid, code string, t ctype) string {
	switch {
	case g.MidRise:
		return fmt.Sprintf("(2 * (%v)%s + 1)", t, code)
	case g.ZeroPoint > 0:
		return fmt.Sprintf("((%v)%s - %d)", t, code, g.ZeroPoint)
	case g.ZeroPoint < 0:
		return fmt.Sprintf("((%v)%s + %d)", t, code, -int64(g.ZeroPoint))
	}
	return fmt.Sprintf("(%v)%s", t, code)
}

// Types of sums.
var (
	int32Type = ctype{32, true}
	int64Type = ctype{64, true}
)

// sumType returns the type in which sums of magnitude bound are exact.
func sumType(bound int64) ctype {
	if bound < 1<<31 {
		return int32Type
	}
	return int64Type
}

// wide returns the type of the level of a code of n.
func wide(n *integer.Node) ctype {
	if n.Out.Bits == 64 {
		return int64Type
	}
	return int32Type
}

// A requantizer gives the C expression for the code that an accumulator becomes. Channel
// is the C expression of the output channel.
type requantizer func(acc, channel string) string

// constant returns the C expression of the entry of an array for a channel: the number
// itself if there is one.
func constant[T any](name string, values []T, channel string, text func(T) string) string {
	if len(values) == 1 {
		return text(values[0])
	}
	return fmt.Sprintf("%s[%s]", name, channel)
}

func decimal(v int32) string { return literal(int64(v)) }

// requantizer declares the constants of r, for n channels, under the given name.
func (f *function) requantizer(r *quant.Requantizer, channels int, name string) (requantizer, error) {
	count := max(len(r.Shift), len(r.Multiplier), len(r.Mantissa))
	if count != 1 && count != channels {
		return nil, unsupported(f.node, "requantization with %d factors for %d channels", count, channels)
	}
	z, lo, hi := int64(r.ZeroPoint), int64(r.Lo), int64(r.Hi)
	switch r.Rule {
	case quant.Shift:
		if count > 1 {
			f.integers(name+"_shift", r.Shift)
		}
		call := "shift"
		if r.MidRise {
			call = "shift_floor"
		}
		shift, clamp := f.use(call), f.use("clamp")
		return func(acc, channel string) string {
			n := constant(name+"_shift", r.Shift, channel, decimal)
			return fmt.Sprintf("%s(%s(%s, %s), %d, %d)", clamp, shift, acc, n, lo, hi)
		}, nil
	case quant.Float:
		if count > 1 {
			f.floatArray(name+"_multiplier", r.Multiplier)
		}
		call := "scale"
		if r.MidRise {
			call = "scale_floor"
		}
		scale := f.use(call)
		return func(acc, channel string) string {
			m := constant(name+"_multiplier", r.Multiplier, channel, float)
			return f.scaled(scale, fmt.Sprintf("(float)%s * %s", acc, m), z, lo, hi)
		}, nil
	case quant.FixedPoint:
		if r.MidRise {
			return nil, unsupported(f.node, "the fixed-point rule on a mid-rise grid")
		}
		if count > 1 {
			f.integers(name+"_mantissa", r.Mantissa)
			f.integers(name+"_exponent", r.Exponent)
		}
		multiply, clamp := f.multiplication(r.DoubleRounding), f.use("clamp")
		return func(acc, channel string) string {
			m := constant(name+"_mantissa", r.Mantissa, channel, decimal)
			e := constant(name+"_exponent", r.Exponent, channel, decimal)
			return fmt.Sprintf("%s(%s, %d, %d)", clamp, plus(fmt.Sprintf("(int64_t)%s(%s, %s, %s)", multiply, acc, m, e), z), lo, hi)
		}, nil
	}
	return nil, unsupported(f.node, "the requantization rule %v", r.Rule)
}

// multiplication returns the name of the product with a fixed-point factor.
func (f *function) multiplication(twice bool) string {
	if twice {
		return f.use("double_round")
	}
	return f.use("single")
}

// scaled returns a call of scale or scale_floor, plus the zero point.
func (f *function) scaled(call, v string, z, lo, hi int64) string {
	e := fmt.Sprintf("%s(%s, %s, %s)", call, v, float(float32(lo-z)), float(float32(hi-z)))
	if z == 0 {
		return e
	}
	return "(" + plus(e, z) + ")"
}

// plus returns "e + z", or e.
func plus(e string, z int64) string {
	switch {
	case z > 0:
		return fmt.Sprintf("%s + %d", e, z)
	case z < 0:
		return fmt.Sprintf("%s - %d", e, -z)
	}
	return e
}

// times returns "v * n", or v.
func times(v string, n int) string {
	if n == 1 {
		return v
	}
	return fmt.Sprintf("%s * %d", v, n)
}
