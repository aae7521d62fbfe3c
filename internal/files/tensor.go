package files

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// A Tensor is a named array as a safetensors file holds it: row-major, little
// endian, len(Data) = Π Shape · DType.Size(). An empty Shape is a scalar.
type Tensor struct {
	Name  string
	DType DType
	Shape []int
	Data  []byte
}

// FromFloat32s returns an F32 tensor holding a copy of values. This and its
// neighbours check nothing; a shape that does not fit is found when the
// tensor is written.
func FromFloat32s(name string, shape []int, values []float32) Tensor {
	return encode(name, F32, shape, values, func(b []byte, v float32) []byte {
		return binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	})
}

// FromFloat64s returns an F64 tensor holding a copy of values.
func FromFloat64s(name string, shape []int, values []float64) Tensor {
	return encode(name, F64, shape, values, func(b []byte, v float64) []byte {
		return binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	})
}

// FromInt8s returns an I8 tensor holding a copy of values.
func FromInt8s(name string, shape []int, values []int8) Tensor {
	return encode(name, I8, shape, values, func(b []byte, v int8) []byte { return append(b, byte(v)) })
}

// FromUint8s returns a U8 tensor holding a copy of values.
func FromUint8s(name string, shape []int, values []uint8) Tensor {
	return Tensor{Name: name, DType: U8, Shape: slices.Clone(shape), Data: slices.Clone(values)}
}

// FromInt16s returns an I16 tensor holding a copy of values.
func FromInt16s(name string, shape []int, values []int16) Tensor {
	return encode(name, I16, shape, values, func(b []byte, v int16) []byte {
		return binary.LittleEndian.AppendUint16(b, uint16(v))
	})
}

// FromInt32s returns an I32 tensor holding a copy of values.
func FromInt32s(name string, shape []int, values []int32) Tensor {
	return encode(name, I32, shape, values, func(b []byte, v int32) []byte {
		return binary.LittleEndian.AppendUint32(b, uint32(v))
	})
}

// FromInt64s returns an I64 tensor holding a copy of values.
func FromInt64s(name string, shape []int, values []int64) Tensor {
	return encode(name, I64, shape, values, func(b []byte, v int64) []byte {
		return binary.LittleEndian.AppendUint64(b, uint64(v))
	})
}

// FromUint64s returns a U64 tensor holding a copy of values.
func FromUint64s(name string, shape []int, values []uint64) Tensor {
	return encode(name, U64, shape, values, binary.LittleEndian.AppendUint64)
}

// FromBools returns a BOOL tensor holding a copy of values.
func FromBools(name string, shape []int, values []bool) Tensor {
	return encode(name, BOOL, shape, values, func(b []byte, v bool) []byte {
		if v {
			return append(b, 1)
		}
		return append(b, 0)
	})
}

func encode[E any](name string, dtype DType, shape []int, values []E, put func([]byte, E) []byte) Tensor {
	data := make([]byte, 0, len(values)*dtype.Size())
	for _, v := range values {
		data = put(data, v)
	}
	return Tensor{Name: name, DType: dtype, Shape: slices.Clone(shape), Data: data}
}

// Len returns the number of elements that Data holds, 0 if DType is no type.
func (t Tensor) Len() int {
	if t.DType.Size() == 0 {
		return 0
	}
	return len(t.Data) / t.DType.Size()
}

// Float32s returns the elements of a floating-point tensor in a new slice:
// F32, F16 and BF16 exactly, F64 rounded to the nearest float32 (beyond its
// range to ±Inf). Other element types are [ErrDType].
func (t Tensor) Float32s() ([]float32, error) {
	switch t.DType {
	case F32:
		return decode(t, func(b []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b)) }), nil
	case F64:
		return decode(t, func(b []byte) float32 {
			return float32(math.Float64frombits(binary.LittleEndian.Uint64(b)))
		}), nil
	case F16:
		return decode(t, func(b []byte) float32 { return float16(binary.LittleEndian.Uint16(b)) }), nil
	case BF16:
		return decode(t, func(b []byte) float32 { return bfloat16(binary.LittleEndian.Uint16(b)) }), nil
	}
	return nil, t.wrongDType("F32, F16, BF16 or F64")
}

// Float64s returns the elements of a floating-point tensor, exactly, in a new
// slice. Other element types are [ErrDType].
func (t Tensor) Float64s() ([]float64, error) {
	if t.DType == F64 {
		return decode(t, func(b []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b)) }), nil
	}
	narrow, err := t.Float32s()
	if err != nil {
		return nil, err
	}
	wide := make([]float64, len(narrow))
	for i, v := range narrow {
		wide[i] = float64(v)
	}
	return wide, nil
}

// Int8s returns the elements of an I8 tensor in a new slice.
func (t Tensor) Int8s() ([]int8, error) {
	return decodeOnly(t, I8, func(b []byte) int8 { return int8(b[0]) })
}

// Uint8s returns the elements of a U8 tensor in a new slice.
func (t Tensor) Uint8s() ([]uint8, error) {
	return decodeOnly(t, U8, func(b []byte) uint8 { return b[0] })
}

// Int16s returns the elements of an I16 tensor in a new slice.
func (t Tensor) Int16s() ([]int16, error) {
	return decodeOnly(t, I16, func(b []byte) int16 { return int16(binary.LittleEndian.Uint16(b)) })
}

// Int32s returns the elements of an I32 tensor in a new slice.
func (t Tensor) Int32s() ([]int32, error) {
	return decodeOnly(t, I32, func(b []byte) int32 { return int32(binary.LittleEndian.Uint32(b)) })
}

// Int64s returns the elements of an I64 tensor in a new slice.
func (t Tensor) Int64s() ([]int64, error) {
	return decodeOnly(t, I64, func(b []byte) int64 { return int64(binary.LittleEndian.Uint64(b)) })
}

// Uint64s returns the elements of a U64 tensor in a new slice.
func (t Tensor) Uint64s() ([]uint64, error) {
	return decodeOnly(t, U64, binary.LittleEndian.Uint64)
}

// Bools returns the elements of a BOOL tensor in a new slice. A byte other
// than 0 and 1 is an error.
func (t Tensor) Bools() ([]bool, error) {
	for i, b := range t.Data {
		if t.DType == BOOL && b > 1 {
			return nil, &FormatError{Tensor: t.Name, Field: "data", Reason: fmt.Sprintf("holds %d at element %d of BOOL", b, i)}
		}
	}
	return decodeOnly(t, BOOL, func(b []byte) bool { return b[0] == 1 })
}

func decodeOnly[E any](t Tensor, want DType, get func([]byte) E) ([]E, error) {
	if t.DType != want {
		return nil, t.wrongDType(want.String())
	}
	return decode(t, get), nil
}

func decode[E any](t Tensor, get func([]byte) E) []E {
	size := t.DType.Size()
	values := make([]E, t.Len())
	for i := range values {
		values[i] = get(t.Data[i*size:])
	}
	return values
}

func (t Tensor) wrongDType(want string) error {
	return fmt.Errorf("files: tensor %s: %w: holds %v, not %s", quoteShort(t.Name), ErrDType, t.DType, want)
}

// byteLen returns Π shape · dtype.Size(), or false if a dimension is negative
// or the product exceeds an int64.
func byteLen(dtype DType, shape []int) (int64, bool) {
	n := int64(dtype.Size())
	for _, d := range shape {
		switch d := int64(d); {
		case d < 0:
			return 0, false
		case d > 0 && n > math.MaxInt64/d:
			return 0, false
		default:
			n *= d
		}
	}
	return n, true
}
