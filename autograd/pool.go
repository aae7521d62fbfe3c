package autograd

import (
	"errors"
	"fmt"

	"github.com/bitgrad/bitgrad/internal/kernels"
)

// PoolSize is the rule by which a pooling window that does not fit exactly is
// counted.
type PoolSize uint8

const (
	// PoolFloor leaves out a last window that would pass the padded input.
	PoolFloor PoolSize = iota
	// PoolCeil keeps it, unless it would begin beyond the input and the padding
	// before it: the rule of PyTorch, and of Caffe where there is padding.
	PoolCeil
	// PoolCaffe is Caffe's rule without padding: every window is kept. A
	// geometry in which a window then covers nothing is refused.
	PoolCaffe
)

// PoolAttrs say how a pooling window slides over an image.
type PoolAttrs struct {
	// KH and KW are the extents of the window; 0 means 1.
	KH, KW int
	// StrideH and StrideW are the steps between windows; 0 means 1.
	StrideH, StrideW int
	// Pad lies around the image; each side must be smaller than the window.
	Pad Border
	// Size settles the last window of each axis.
	Size PoolSize
}

// String prints the attributes as "3x3 stride 2x2 pad 0,0,1,1 ceil".
func (a PoolAttrs) String() string {
	s := fmt.Sprintf("%dx%d stride %dx%d", orOne(a.KH), orOne(a.KW), orOne(a.StrideH), orOne(a.StrideW))
	if p := a.Pad; !p.IsZero() {
		s += fmt.Sprintf(" pad %d,%d,%d,%d", p.Top, p.Left, p.Bottom, p.Right)
	}
	switch a.Size {
	case PoolCeil:
		s += " ceil"
	case PoolCaffe:
		s += " ceil (caffe)"
	}
	return s
}

// extent returns the number of windows along s under the rule.
func (a PoolAttrs) extent(s span) (int, error) {
	if a.Size > PoolCaffe {
		return 0, fmt.Errorf("size rule %d: unknown", a.Size)
	}
	n, err := s.size(a.Size != PoolFloor)
	if err != nil {
		return 0, err
	}
	if s.before >= s.kernel || s.after >= s.kernel {
		return 0, fmt.Errorf("%s: padding %d and %d: must be smaller than the window, %d", s.axis, s.before, s.after, s.kernel)
	}
	outside := func() bool { return int64(n-1)*int64(s.stride) >= int64(s.in)+int64(s.before) }
	if outside() && (a.Size == PoolCeil || !a.Pad.IsZero()) {
		n--
	}
	if outside() {
		return 0, fmt.Errorf("%s: the last window begins beyond the input and covers nothing", s.axis)
	}
	return n, nil
}

// Shape checks the operand of a pool, x [N C H W], and returns its geometry.
func (a PoolAttrs) Shape(x Type) (kernels.PoolShape, error) {
	var s kernels.PoolShape
	c, h, w, err := checkImage(x)
	if err != nil {
		return s, err
	}
	rows := span{"rows", h, orOne(a.KH), orOne(a.StrideH), a.Pad.Top, a.Pad.Bottom, 1}
	cols := span{"columns", w, orOne(a.KW), orOne(a.StrideW), a.Pad.Left, a.Pad.Right, 1}
	s = kernels.PoolShape{C: c, KH: rows.kernel, KW: cols.kernel, StrideH: rows.stride, StrideW: cols.stride,
		PadTop: rows.before, PadLeft: cols.before, PadBottom: rows.after, PadRight: cols.after, H: h, W: w}
	if s.OH, err = a.extent(rows); err != nil {
		return s, err
	}
	s.OW, err = a.extent(cols)
	return s, err
}

// infer returns the geometry and the type of the result.
func (a PoolAttrs) infer(in []Type) (s kernels.PoolShape, out Type, err error) {
	if len(in) != 1 {
		return s, out, errors.New("one operand expected")
	}
	if s, err = a.Shape(in[0]); err != nil {
		return s, out, err
	}
	out, err = image(in[0].Shape[0], s.C, s.OH, s.OW)
	return s, out, err
}
