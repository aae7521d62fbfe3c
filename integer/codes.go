package integer

import (
	"github.com/bitgrad/bitgrad/internal/kernels"
	"github.com/bitgrad/bitgrad/quant"
)

// Slack is the number of bytes that a buffer of codes must have after its last element:
// kernels read a little beyond the end.
const Slack = kernels.Slack

// Codes is a channels-last tensor of integers. One of the three slices is set: U8 for
// codes of up to 8 bits, I32 for wider ones and accumulators, I64 for accumulators that
// do not fit.
type Codes struct {
	U8     []uint8 // with Slack bytes after the last element
	I32    []int32
	I64    []int64
	Signed bool // U8 holds the bit patterns of int8 values
	L      kernels.Layout
}

// NewCodes returns a tensor of the given layout for codes of the given width and
// sign. size is the number of elements of the buffer, border included; all of it holds
// the code fill.
func NewCodes(l kernels.Layout, size, bits int, signed bool, fill int32) Codes {
	c := Codes{Signed: signed, L: l}
	switch {
	case bits <= 8:
		c.U8 = make([]uint8, size+Slack)
	case bits <= 32:
		c.I32 = make([]int32, size)
	default:
		c.I64 = make([]int64, size)
	}
	c.fill(0, size, int64(fill))
	return c
}

// get returns the element at index at.
func (c *Codes) get(at int) int64 {
	switch {
	case c.U8 != nil && c.Signed:
		return int64(int8(c.U8[at]))
	case c.U8 != nil:
		return int64(c.U8[at])
	case c.I32 != nil:
		return int64(c.I32[at])
	}
	return c.I64[at]
}

// put stores v at index at.
func (c *Codes) put(at int, v int64) {
	switch {
	case c.U8 != nil:
		c.U8[at] = uint8(v)
	case c.I32 != nil:
		c.I32[at] = int32(v)
	default:
		c.I64[at] = v
	}
}

// fill stores v n times from index at on.
func (c *Codes) fill(at, n int, v int64) {
	switch {
	case c.U8 != nil:
		fill(c.U8[at:at+n], uint8(v))
	case c.I32 != nil:
		fill(c.I32[at:at+n], int32(v))
	default:
		fill(c.I64[at:at+n], v)
	}
}

func fill[E any](s []E, v E) {
	for i := range s {
		s[i] = v
	}
}

// copyFrom copies n elements of x, from index from on, to index at.
func (c *Codes) copyFrom(at int, x *Codes, from, n int) {
	switch {
	case n == 1:
		c.put(at, x.get(from))
	case c.U8 != nil:
		copy(c.U8[at:at+n], x.U8[from:from+n])
	case c.I32 != nil:
		copy(c.I32[at:at+n], x.I32[from:from+n])
	default:
		copy(c.I64[at:at+n], x.I64[from:from+n])
	}
}

// addTo adds the elements from index at on to sums.
func (c *Codes) addTo(sums []int64, at int) {
	for i := range sums {
		sums[i] += c.get(at + i)
	}
}

// place returns the index of the first channel of a pixel.
func (c *Codes) place(image, h, w int) int {
	return c.L.Off + image*c.L.SN + h*c.L.SH + w*c.L.SW
}

// eachRow calls f for every row of the first images of c.
func eachRow(images int, c *Codes, f func(image, h int)) {
	for i := range images {
		for h := range c.L.H {
			f(i, h)
		}
	}
}

// eachPixel calls f for every pixel of the first images of c.
func eachPixel(images int, c *Codes, f func(image, h, w int)) {
	for i := range images {
		for h := range c.L.H {
			for w := range c.L.W {
				f(i, h, w)
			}
		}
	}
}

// bytesOf reports whether the engine stores the codes in bytes.
func bytesOf(t Type) bool { return t.Bits <= 8 }

// byteCode returns the code that byte u stands for.
func byteCode(u int, t Type) int64 {
	if t.Signed {
		return int64(int8(u))
	}
	return int64(u)
}

// isCode reports whether q is a code of g.
func isCode(q int64, g quant.Grid) bool { return q >= int64(g.QMin()) && q <= int64(g.QMax()) }
