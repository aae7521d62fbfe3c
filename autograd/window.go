package autograd

import (
	"errors"
	"fmt"
	"math"
)

// maxElements bounds the elements of one value, so that no offset overflows.
const maxElements = math.MaxInt / 8

// maxExtent bounds every attribute of a window.
const maxExtent = 1 << 30

// A span is one axis of a window that slides over an image: extent of the
// image and of the kernel, stride, padding before and after, dilation.
type span struct {
	axis                                 string
	in, kernel, stride, before, after, d int
}

// size returns the number of positions of the window: floor((in + before +
// after − extent) / stride) + 1 with extent = (kernel−1)·dilation + 1, rounded
// up where ceil is set.
func (s span) size(ceil bool) (int, error) {
	switch {
	case s.kernel <= 0 || s.kernel > maxExtent:
		return 0, fmt.Errorf("%s: kernel %d: must be positive", s.axis, s.kernel)
	case s.stride <= 0 || s.stride > maxExtent:
		return 0, fmt.Errorf("%s: stride %d: must be positive", s.axis, s.stride)
	case s.d <= 0 || s.d > maxExtent:
		return 0, fmt.Errorf("%s: dilation %d: must be positive", s.axis, s.d)
	case s.before < 0 || s.after < 0 || s.before > maxExtent || s.after > maxExtent:
		return 0, fmt.Errorf("%s: padding %d and %d: must not be negative", s.axis, s.before, s.after)
	case s.in <= 0 || s.in > maxExtent:
		return 0, fmt.Errorf("%s: extent %d: must be positive", s.axis, s.in)
	}
	extent := int64(s.kernel-1)*int64(s.d) + 1
	padded := int64(s.in) + int64(s.before) + int64(s.after)
	if padded > maxExtent {
		return 0, fmt.Errorf("%s: the padded input has %d, more than 2^30", s.axis, padded)
	}
	room := padded - extent
	if room < 0 {
		return 0, fmt.Errorf("%s: the kernel covers %d, the padded input has %d", s.axis, extent, padded)
	}
	if ceil {
		room += int64(s.stride) - 1
	}
	return int(room/int64(s.stride)) + 1, nil
}

// clip returns the cells that position o of a window of dilation 1 has inside
// an image of the given extent.
func clip(o, stride, before, kernel, in int) (from, to int) {
	from = o*stride - before
	return max(from, 0), min(from+kernel, in)
}

// orOne gives an attribute its default.
func orOne(v int) int {
	if v == 0 {
		return 1
	}
	return v
}

// Same returns the padding with which a kernel of extent k and stride 1 keeps
// the size of its input: k−1 in all, the odd one at the bottom and on the
// right. For k = 3 that is 1 on every side.
func Same(k int) Border {
	if k <= 0 {
		return Border{}
	}
	return Border{Top: (k - 1) / 2, Left: (k - 1) / 2, Bottom: k / 2, Right: k / 2}
}

// SameStride returns the padding of one axis that Keras calls "same": the
// output has ⌈in/stride⌉ positions, the odd cell of padding comes after. For
// in = 32, k = 3, stride 2 that is 0 before and 1 after.
func SameStride(in, k, stride int) (before, after int) {
	if in <= 0 || k <= 0 || stride <= 0 {
		return 0, 0
	}
	out := (in + stride - 1) / stride
	pad := max((out-1)*stride+k-in, 0)
	return pad / 2, pad - pad/2
}

// checkImage checks an operand [N C H W] that is read as real numbers.
func checkImage(t Type) (c, h, w int, err error) {
	if t.Plain || len(t.Shape) != 4 {
		return 0, 0, 0, errors.New("the input must be an image [N C H W]")
	}
	if err := checkReal(t); err != nil {
		return 0, 0, 0, err
	}
	c, h, w = t.CHW()
	return c, h, w, nil
}

// checkReal checks that a value can be read as real numbers and that its
// extents are sound.
func checkReal(t Type) error {
	if t.DType == Int64 && t.Format == nil {
		return errors.New("int64 accumulators have no grid to be read on")
	}
	n := int64(1)
	for i, e := range t.Shape {
		if i == 0 && !t.Plain && e == Open {
			continue
		}
		if e <= 0 {
			return fmt.Errorf("extent %d of axis %d: must be positive", e, i)
		}
		if n > int64(maxElements)/int64(e) {
			return errors.New("the value has too many elements")
		}
		n *= int64(e)
	}
	return nil
}

// image returns the type [n c h w] of float32 after checking its size.
func image(n, c, h, w int) (Type, error) {
	t := Type{Shape: []int{n, c, h, w}}
	return t, checkReal(t)
}

// batchOf returns the batch for buffer sizes: 1 while it is open.
func batchOf(t Type) int {
	if len(t.Shape) == 0 || t.Shape[0] == Open {
		return 1
	}
	return t.Shape[0]
}

// padded returns the extent of the padded input.
func (s span) padded() int { return s.before + s.in + s.after }
