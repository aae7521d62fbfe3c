package files

import (
	"math"
	"strconv"
)

// A DType is the element type of a tensor in a safetensors file. Elements are
// stored little endian. The zero value is no type.
type DType uint8

// The element types, in the order of the format's reference implementation,
// which lays out the types that come last here first in a file.
const (
	BOOL DType = iota + 1 // one byte, 0 or 1
	U8
	I8
	I16
	U16
	F16  // IEEE 754 binary16
	BF16 // the upper half of an F32
	I32
	U32
	F32
	F64
	I64
	U64
)

var dtypes = [...]struct {
	name string
	size int
}{
	BOOL: {"BOOL", 1},
	U8:   {"U8", 1},
	I8:   {"I8", 1},
	I16:  {"I16", 2},
	U16:  {"U16", 2},
	F16:  {"F16", 2},
	BF16: {"BF16", 2},
	I32:  {"I32", 4},
	U32:  {"U32", 4},
	F32:  {"F32", 4},
	F64:  {"F64", 8},
	I64:  {"I64", 8},
	U64:  {"U64", 8},
}

// Size returns the bytes of one element, 0 if d is no type.
func (d DType) Size() int {
	if int(d) < len(dtypes) {
		return dtypes[d].size
	}
	return 0
}

// String returns the name of d in the format, such as "F32".
func (d DType) String() string {
	if d.Size() == 0 {
		return "DType(" + strconv.Itoa(int(d)) + ")"
	}
	return dtypes[d].name
}

func parseDType(name string) (DType, bool) {
	for d := BOOL; d <= U64; d++ {
		if dtypes[d].name == name {
			return d, true
		}
	}
	return 0, false
}

// float16 returns the value of an IEEE 754 binary16 number, which float32
// holds exactly. The payload of a NaN is kept.
func float16(bits uint16) float32 {
	sign := uint32(bits&0x8000) << 16
	exponent := uint32(bits >> 10 & 0x1f)
	fraction := uint32(bits & 0x3ff)
	switch exponent {
	case 0: // zero or subnormal: fraction·2^-24
		v := float32(fraction) * 0x1p-24
		return math.Float32frombits(sign | math.Float32bits(v))
	case 0x1f: // infinity or NaN
		return math.Float32frombits(sign | 0xff<<23 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+127-15)<<23 | fraction<<13)
}

// bfloat16 returns the value of a bfloat16 number.
func bfloat16(bits uint16) float32 { return math.Float32frombits(uint32(bits) << 16) }
