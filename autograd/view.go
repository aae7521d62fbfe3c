package autograd

import (
	"unsafe"

	"github.com/bitgrad/bitgrad/internal/hugepages"
	"github.com/bitgrad/bitgrad/internal/kernels"
	"github.com/bitgrad/bitgrad/internal/parallel"
	"github.com/bitgrad/bitgrad/quant"
)

// Layout says where the elements of a channels-last value lie. Its fields are the
// extents N, H, W, C, the strides SN, SH, SW and the offset Off; it has the
// methods
//
//	At(n, h, w, c int) int // Off + n·SN + h·SH + w·SW + c
//	Row(n, h int) int      // At(n, h, 0, 0)
//	Packed() bool          // SW = C: a row is W·C elements without gaps
//
// A vector [N F] has C = F and H = W = 1.
type Layout = kernels.Layout

// Pool runs the parts of a step on the workers of a program. Its methods are
//
//	Run(n int, fn func(worker, i int)) // fn once for each i of 0…n−1, in any order
//	Workers() int                      // worker numbers are below it
//	Close()
//
// A nil *Pool runs everything on its caller. Run allocates nothing as long as fn
// is built beforehand, in Bind. What fn(_, i) writes must not depend on the
// worker and must not overlap with what another i writes.
type Pool = parallel.Pool

// NewPool starts workers for programs, at least one; Close stops them. The
// number of workers changes no result.
func NewPool(workers int) *Pool { return parallel.New(workers) }

// Memory is a typed piece of a program's arena; the slice that matches DType
// is set, Int8 in U8.
type Memory struct {
	DType DType
	F32   []float32
	U8    []uint8
	I32   []int32
	I64   []int64
}

// A View is a value, or the gradient of one, inside a program. Exactly one of
// F32, U8, I32, I64 is set, by DType (Int8 codes are bit patterns in U8).
// Batched values are laid out by L; plain ones are row-major from element 0.
type View struct {
	Type
	L Layout
	Memory
	// Grid is the grid of this step's codes; the producer updates it in
	// Forward before it writes the codes. Nil for floats.
	Grid *quant.Grid
	// Add tells Backward to add to a gradient that holds something already;
	// otherwise it writes every element.
	Add bool
}

// Elem returns the element type.
func (v View) Elem() DType { return v.Memory.DType }

// Empty reports that no memory stands behind the view: a gradient that nobody
// wants.
func (v View) Empty() bool {
	return v.F32 == nil && v.U8 == nil && v.I32 == nil && v.I64 == nil
}

// Rows returns the number of rows (n,h) and the number of elements in each,
// W·C; the row of index r starts at element v.Row(r).
func (v View) Rows() (rows, length int) { return v.L.N * v.L.H, v.L.W * v.L.C }

// Row returns the offset of the first element of row r = n·H + h.
func (v View) Row(r int) int { return v.L.Row(r/v.L.H, r%v.L.H) }

// IsDense reports that the elements are contiguous in [N H W C] order.
func (v View) IsDense() bool {
	return v.L.SW == v.L.C && v.L.SH == v.L.W*v.L.C && v.L.SN == v.L.H*v.L.SH
}

// Code returns the code stored at element i.
func (v View) Code(i int) int32 {
	switch v.Memory.DType {
	case Uint8:
		return int32(v.U8[i])
	case Int8:
		return int32(int8(v.U8[i]))
	default:
		return v.I32[i]
	}
}

// SetCode stores a code at element i.
func (v View) SetCode(i int, q int32) {
	switch v.Memory.DType {
	case Uint8, Int8:
		v.U8[i] = uint8(q)
	default:
		v.I32[i] = q
	}
}

// Copy copies n elements of src, from element from on, to element to of v, as they
// are stored. Both have the same element type.
func (v View) Copy(to int, src View, from, n int) {
	switch v.Elem() {
	case Float32:
		copy(v.F32[to:to+n], src.F32[from:])
	case Int32:
		copy(v.I32[to:to+n], src.I32[from:])
	case Int64:
		copy(v.I64[to:to+n], src.I64[from:])
	default:
		copy(v.U8[to:to+n], src.U8[from:])
	}
}

// At returns the real value of element i of channel c: the float itself, or
// the dequantized code.
func (v View) At(i, c int) float32 {
	switch {
	case v.Memory.DType == Float32:
		return v.F32[i]
	case v.Memory.DType == Int64:
		return float32(float32(v.I64[i]) * v.Grid.ScaleAt(c))
	case v.Grid == nil:
		return float32(v.Code(i))
	default:
		return v.Grid.Dequantize(v.Code(i), c)
	}
}

// each calls f for every element in NCHW order with its offset and channel;
// for plain values the channel is that of the first axis.
func (v View) each(f func(k, offset, c int)) {
	k := 0
	if v.Plain {
		per := 1
		if len(v.Shape) > 0 {
			per = max(v.Elements()/max(v.Shape[0], 1), 1)
		}
		for ; k < v.Elements(); k++ {
			f(k, k, k/per)
		}
		return
	}
	for n := range v.L.N {
		for c := range v.L.C {
			for h := range v.L.H {
				for w := range v.L.W {
					f(k, v.L.Row(n, h)+w*v.L.SW+c, c)
					k++
				}
			}
		}
	}
}

// Floats appends the real values in NCHW order to dst[:0].
func (v View) Floats(dst []float32) []float32 {
	dst = dst[:0]
	v.each(func(_, i, c int) { dst = append(dst, v.At(i, c)) })
	return dst
}

// Codes appends the codes in NCHW order to dst[:0]; accumulators count as codes.
func (v View) Codes(dst []int64) []int64 {
	dst = dst[:0]
	v.each(func(_, i, _ int) {
		if v.Memory.DType == Int64 {
			dst = append(dst, v.I64[i])
		} else {
			dst = append(dst, int64(v.Code(i)))
		}
	})
	return dst
}

// arena hands out typed slices of one block of memory.
type arena struct{ words []uint64 }

const (
	alignment = 64
	// slack is readable behind every buffer: kernels read codes in groups of
	// four, or floats in vectors, and may pass the end.
	slack = 64
)

func newArena(bytes int) arena {
	words := make([]uint64, (bytes+alignment)/8+1)
	hugepages.Advise(words)
	return arena{words}
}

// pad returns the bytes before the first aligned one.
func (a arena) pad() int {
	return int(-uintptr(unsafe.Pointer(unsafe.SliceData(a.words))) & (alignment - 1))
}

func (a arena) at(off int, d DType, n int) Memory {
	m := Memory{DType: d}
	if n == 0 {
		return m
	}
	p := unsafe.Add(unsafe.Pointer(unsafe.SliceData(a.words)), a.pad()+off)
	switch d {
	case Float32:
		m.F32 = unsafe.Slice((*float32)(p), n+slack/4)[:n]
	case Uint8, Int8:
		m.U8 = unsafe.Slice((*uint8)(p), n+slack)[:n]
	case Int32:
		m.I32 = unsafe.Slice((*int32)(p), n)
	case Int64:
		m.I64 = unsafe.Slice((*int64)(p), n)
	}
	return m
}

func bytesFor(d DType, n int) int {
	return (n*d.Size() + slack + alignment - 1) / alignment * alignment
}

// layoutOf places a batched value with the given border and returns the
// number of elements, border included.
func layoutOf(t Type, b Border) (Layout, int) {
	c, h, w := t.CHW()
	if len(t.Shape) == 1 { // one label per sample
		c, h, w = 1, 1, 1
	}
	if t.Plain {
		n := t.Elements()
		return kernels.Dense(1, 1, 1, n), n
	}
	return kernels.Bordered(t.Shape[0], h, w, c, b.Top, b.Left, b.Bottom, b.Right)
}
