package kernels

import (
	"errors"
	"fmt"
)

// A PoolShape describes two-dimensional pooling of each channel on its own. The window
// of output (oh, ow) begins at row oh·StrideH − PadTop and column ow·StrideW − PadLeft and
// is clipped to the input, so borders do not matter. OH and OW are the caller's, who may
// round up as Caffe does; each window must contain a pixel.
type PoolShape struct {
	C                   int
	KH, KW              int
	StrideH, StrideW    int
	PadTop, PadLeft     int
	PadBottom, PadRight int
	H, W                int  // input
	OH, OW              int  // output; 0 lets Complete compute them, rounding down
	IncludePad          bool // averages divide by the padded window, not by its pixels
}

// errPool is the sentinel of the errors of Complete.
var errPool = errors.New("kernels: pooling")

// Complete sets strides that are 0 to 1 and an output that is 0 to what fits, and
// returns an error if the shape makes no sense.
func (s *PoolShape) Complete() error {
	if s.StrideH == 0 {
		s.StrideH = 1
	}
	if s.StrideW == 0 {
		s.StrideW = 1
	}
	switch {
	case min(s.C, s.KH, s.KW, s.H, s.W, s.StrideH, s.StrideW) < 1:
		return fmt.Errorf("%w: %d channels, window %d×%d, stride %d×%d, input %d×%d: must be positive", errPool, s.C, s.KH, s.KW, s.StrideH, s.StrideW, s.H, s.W)
	case min(s.PadTop, s.PadLeft, s.PadBottom, s.PadRight) < 0:
		return fmt.Errorf("%w: padding %d %d %d %d: must not be negative", errPool, s.PadTop, s.PadLeft, s.PadBottom, s.PadRight)
	}
	if s.OH == 0 {
		s.OH = OutExtent(s.H, s.KH, s.StrideH, s.PadTop, s.PadBottom, 1)
	}
	if s.OW == 0 {
		s.OW = OutExtent(s.W, s.KW, s.StrideW, s.PadLeft, s.PadRight, 1)
	}
	inside := func(out, stride, pad, k, in int) bool { // first and last window contain a pixel
		return out >= 1 && k > pad && (out-1)*stride-pad < in
	}
	if !inside(s.OH, s.StrideH, s.PadTop, s.KH, s.H) || !inside(s.OW, s.StrideW, s.PadLeft, s.KW, s.W) {
		return fmt.Errorf("%w: window %d×%d, padding %d %d, input %d×%d, output %d×%d: a window contains no pixel", errPool,
			s.KH, s.KW, s.PadTop, s.PadLeft, s.H, s.W, s.OH, s.OW)
	}
	return nil
}

// window returns the pixels of the window of output (oh, ow).
func (s *PoolShape) window(oh, ow int) (h0, h1, w0, w1 int) {
	h0, w0 = oh*s.StrideH-s.PadTop, ow*s.StrideW-s.PadLeft
	return max(h0, 0), min(h0+s.KH, s.H), max(w0, 0), min(w0+s.KW, s.W)
}

// Divisor returns the number that the sum over the window of output (oh, ow) is divided
// by: its pixels, or with IncludePad, as in Caffe and in PyTorch's default, also the
// places in the padding, but none beyond it.
func (s *PoolShape) Divisor(oh, ow int) int {
	if s.IncludePad {
		h0, w0 := oh*s.StrideH-s.PadTop, ow*s.StrideW-s.PadLeft
		return (min(h0+s.KH, s.H+s.PadBottom) - h0) * (min(w0+s.KW, s.W+s.PadRight) - w0)
	}
	h0, h1, w0, w1 := s.window(oh, ow)
	return (h1 - h0) * (w1 - w0)
}
