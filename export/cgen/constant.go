package cgen

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
)

// maxColumn is where lines of constants wrap.
const maxColumn = 100

// writeList writes the items of an initializer, wrapped.
func writeList(b *bytes.Buffer, n int, item func(i int) string) {
	column := 0
	for i := range n {
		s := item(i) + ","
		switch {
		case column == 0:
			b.WriteString("    ")
			column = 4
		case column+1+len(s) > maxColumn:
			b.WriteString("\n    ")
			column = 4
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(s)
		column += len(s)
	}
	b.WriteByte('\n')
}

// array writes "static const type name[n] = {…};".
func array(b *bytes.Buffer, typeName, name string, n int, item func(i int) string) {
	fmt.Fprintf(b, "static const %s %s[%d] = {\n", typeName, name, n)
	writeList(b, n, item)
	b.WriteString("};\n\n")
}

// integers writes an array of integers in the narrowest type that holds them and
// returns its size in bytes. signed asks for a signed type whatever the values.
func integers[T int32 | int64](b *bytes.Buffer, name string, values []T, signed bool) int {
	lo, hi := int64(0), int64(0)
	for _, v := range values {
		lo, hi = min(lo, int64(v)), max(hi, int64(v))
	}
	t := ctype{64, true}
	for _, width := range [...]int{8, 16, 32} {
		if limit := int64(1) << (width - 1); lo >= -limit && hi < limit {
			t = ctype{width, true}
			break
		} else if !signed && lo >= 0 && hi < 2*limit {
			t = ctype{width, false}
			break
		}
	}
	array(b, t.String(), name, len(values), func(i int) string { return literal(int64(values[i])) })
	return len(values) * t.bits / 8
}

// literal returns v as a constant expression of C.
func literal(v int64) string {
	switch {
	case v == math.MinInt64:
		return "INT64_MIN"
	case v == math.MinInt32:
		return "INT32_MIN"
	case v > math.MaxInt32 || v < math.MinInt32:
		return fmt.Sprintf("INT64_C(%d)", v)
	}
	return strconv.FormatInt(v, 10)
}

// float returns v as a constant of C, exactly.
func float(v float32) string {
	if v > -1e6 && v < 1e6 && v == float32(int32(v)) {
		return strconv.FormatFloat(float64(v), 'f', 1, 32) + "f"
	}
	return strconv.FormatFloat(float64(v), 'x', -1, 32) + "f"
}

// integers writes an array that is no weight.
func (p *program) integers(name string, values []int32) {
	p.other += integers(&p.constants, name, values, true)
}

// integers64 is integers for wide values.
func (p *program) integers64(name string, values []int64) {
	p.other += integers(&p.constants, name, values, true)
}

// floatArray writes an array of floats.
func (p *program) floatArray(name string, values []float32) {
	p.floats = true
	p.other += 4 * len(values)
	array(&p.constants, "float", name, len(values), func(i int) string { return float(values[i]) })
}

// codeArray writes codes in the type that holds their width.
func (p *program) codeArray(name string, codes []int32, t ctype) {
	array(&p.constants, t.String(), name, len(codes), func(i int) string { return literal(int64(codes[i])) })
}

// packed returns codes of fewer than 8 bits in two's complement, one after
// another from the lowest bit of a byte on; every row begins a byte.
func packed(codes []int32, row, bits int) []uint8 {
	stride := rowBytes(row, bits)
	out := make([]uint8, len(codes)/row*stride)
	for i, q := range codes {
		bit := i % row * bits
		at := i/row*stride + bit/8
		v := uint32(q) & (1<<bits - 1) << (bit % 8)
		out[at] |= uint8(v)
		if v > 0xff {
			out[at+1] |= uint8(v >> 8)
		}
	}
	return out
}

// rowBytes returns the bytes that n packed codes take.
func rowBytes(n, bits int) int { return int((int64(n)*int64(bits) + 7) / 8) }
