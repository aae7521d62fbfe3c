package autograd

import (
	"fmt"
	"strings"

	"github.com/bitgrad/bitgrad/quant"
)

// DType is the element type of a value in a program.
type DType uint8

// Element types. Codes of up to 8 bits are stored in one byte: Uint8, or Int8
// as its bit pattern in a byte. Wider codes and accumulators are Int32;
// accumulators that a proof does not keep below 2^31 are Int64.
const (
	Float32 DType = iota
	Uint8
	Int8
	Int32
	Int64
)

var dtypeNames = [...]string{"float32", "uint8", "int8", "int32", "int64"}

// String returns the Go name of the element type.
func (d DType) String() string {
	if int(d) < len(dtypeNames) {
		return dtypeNames[d]
	}
	return fmt.Sprintf("dtype(%d)", uint8(d))
}

// Size returns the bytes of one element.
func (d DType) Size() int {
	switch d {
	case Uint8, Int8:
		return 1
	case Int64:
		return 8
	default:
		return 4
	}
}

// Open is the extent of the batch axis while the batch size is not known.
const Open = -1

// A Type describes a value: its logical shape, its elements and, for codes,
// the format of their grid.
//
// A batched value has the batch as its first axis: [N C H W] or [N F]. It lives
// channels-last. Any other value (parameters and what is computed from them
// alone) is Plain: row-major in the given shape.
type Type struct {
	Shape []int
	Plain bool
	DType DType
	// Format is non-nil where the value consists of codes; the grid itself,
	// which may change every step, is [View.Grid].
	Format *quant.UniformFormat
}

// IsCodes reports whether the value consists of integer codes on a grid.
func (t Type) IsCodes() bool { return t.Format != nil }

// WithBatch returns t with its batch axis set to n.
func (t Type) WithBatch(n int) Type {
	if t.Plain || len(t.Shape) == 0 {
		return t
	}
	s := append([]int(nil), t.Shape...)
	s[0] = n
	t.Shape = s
	return t
}

// CHW returns the extents of one sample: (F,1,1) for [N F].
func (t Type) CHW() (c, h, w int) {
	switch len(t.Shape) {
	case 2:
		return t.Shape[1], 1, 1
	case 4:
		return t.Shape[1], t.Shape[2], t.Shape[3]
	}
	return 0, 0, 0
}

// Elements returns the number of elements; an open batch counts as one.
func (t Type) Elements() int {
	n := 1
	for _, e := range t.Shape {
		if e != Open {
			n *= e
		}
	}
	return n
}

// Floats returns a float32 type of the same shape.
func (t Type) Floats() Type { return Type{Shape: t.Shape, Plain: t.Plain} }

// SameShape reports whether the shapes are equal, an open batch matching any.
func (t Type) SameShape(u Type) bool {
	if len(t.Shape) != len(u.Shape) || t.Plain != u.Plain {
		return false
	}
	for i, e := range t.Shape {
		if f := u.Shape[i]; e != f && e != Open && f != Open {
			return false
		}
	}
	return true
}

// String prints the shape and, for anything but float32, the element type:
// "[N 16 32 32]", "[N 16 32 32] uint8".
func (t Type) String() string {
	var b strings.Builder
	b.WriteByte('[')
	for i, e := range t.Shape {
		if i > 0 {
			b.WriteByte(' ')
		}
		if e == Open {
			b.WriteByte('N')
		} else {
			fmt.Fprint(&b, e)
		}
	}
	b.WriteByte(']')
	if t.Format != nil {
		fmt.Fprintf(&b, " %s", t.Format)
	} else if t.DType != Float32 {
		fmt.Fprintf(&b, " %s", t.DType)
	}
	return b.String()
}

// Border is a frame around the H and W axes of an activation.
type Border struct{ Top, Left, Bottom, Right int }

// IsZero reports whether there is no frame.
func (b Border) IsZero() bool { return b == Border{} }

// Max returns the smallest border that contains both.
func (b Border) Max(c Border) Border {
	return Border{max(b.Top, c.Top), max(b.Left, c.Left), max(b.Bottom, c.Bottom), max(b.Right, c.Right)}
}

// Mode is what a program is compiled for.
type Mode uint8

const (
	// Evaluate runs the network as it is deployed: moving statistics,
	// committed ranges, no randomness, no backward pass unless asked for.
	Evaluate Mode = iota
	// Train is the batch phase: batch norm uses the statistics of the batch
	// and updates the moving ones; observers update ranges.
	Train
	// Frozen trains with batch norm folded with its moving statistics and
	// with committed ranges that observers no longer change.
	Frozen
	// Calibrate runs the network in float and lets observers watch it.
	Calibrate
)

var modeNames = [...]string{"evaluate", "train", "frozen", "calibrate"}

// String returns the lower-case name of the mode.
func (m Mode) String() string {
	if int(m) < len(modeNames) {
		return modeNames[m]
	}
	return fmt.Sprintf("mode(%d)", uint8(m))
}

// Training reports whether the mode has a backward pass.
func (m Mode) Training() bool { return m == Train || m == Frozen }
