package kernels

import (
	"errors"
	"fmt"
)

// A ConvShape describes a two-dimensional convolution (a cross-correlation, as
// everywhere in machine learning):
//
//	y[n,oh,ow,o] = bias[o] + Σ_{kh,kw,c} x[n, oh·StrideH+kh·DilH−PadTop, ow·StrideW+kw·DilW−PadLeft, g·Cg+c] · w[o,c,kh,kw]
//
// with Cg = C/Groups, Og = O/Groups and g = o/Og. Weights are [O Cg KH KW]. The
// tensor x must have a border at least as wide as the padding, filled with zero.
type ConvShape struct {
	C, O                int // input and output channels
	KH, KW              int
	StrideH, StrideW    int
	PadTop, PadLeft     int
	PadBottom, PadRight int
	DilH, DilW          int
	Groups              int
	H, W                int // input
	OH, OW              int // output
}

// errConv is the sentinel of the errors of Complete.
var errConv = errors.New("kernels: convolution")

// Complete sets strides, dilations and groups that are 0 to 1, computes OH and
// OW, and returns an error if the shape makes no sense.
func (s *ConvShape) Complete() error {
	for _, p := range []*int{&s.StrideH, &s.StrideW, &s.DilH, &s.DilW, &s.Groups} {
		if *p == 0 {
			*p = 1
		}
	}
	switch {
	case min(s.C, s.O, s.KH, s.KW, s.H, s.W) < 1:
		return fmt.Errorf("%w: channels %d → %d, kernel %d×%d, input %d×%d: must be positive", errConv, s.C, s.O, s.KH, s.KW, s.H, s.W)
	case min(s.StrideH, s.StrideW, s.DilH, s.DilW, s.Groups) < 1:
		return fmt.Errorf("%w: stride %d×%d, dilation %d×%d, groups %d: must be positive", errConv, s.StrideH, s.StrideW, s.DilH, s.DilW, s.Groups)
	case min(s.PadTop, s.PadLeft, s.PadBottom, s.PadRight) < 0:
		return fmt.Errorf("%w: padding %d %d %d %d: must not be negative", errConv, s.PadTop, s.PadLeft, s.PadBottom, s.PadRight)
	case s.C%s.Groups != 0 || s.O%s.Groups != 0:
		return fmt.Errorf("%w: %d → %d channels: not divisible into %d groups", errConv, s.C, s.O, s.Groups)
	}
	s.OH = OutExtent(s.H, s.KH, s.StrideH, s.PadTop, s.PadBottom, s.DilH)
	s.OW = OutExtent(s.W, s.KW, s.StrideW, s.PadLeft, s.PadRight, s.DilW)
	if s.OH < 1 || s.OW < 1 {
		return fmt.Errorf("%w: kernel %d×%d with dilation %d×%d does not fit into the padded input %d×%d", errConv,
			s.KH, s.KW, s.DilH, s.DilW, s.PadTop+s.H+s.PadBottom, s.PadLeft+s.W+s.PadRight)
	}
	return nil
}

// OutExtent returns the number of places of a window of k taps on an axis:
// ⌊(before+in+after − dil·(k−1) − 1)/stride⌋ + 1, or 0 if it does not fit.
func OutExtent(in, k, stride, before, after, dil int) int {
	room := before + in + after - dil*(k-1) - 1
	if room < 0 {
		return 0
	}
	return room/stride + 1
}

// Depthwise reports whether each channel is convolved on its own.
func (s *ConvShape) Depthwise() bool { return s.Groups > 1 && s.Groups == s.C && s.Groups == s.O }

// MACs returns the number of multiply-accumulates of one image.
func (s *ConvShape) MACs() int64 {
	return int64(s.OH) * int64(s.OW) * int64(s.O) * int64(s.C/s.Groups) * int64(s.KH) * int64(s.KW)
}

// WeightSize returns the number of weights.
func (s *ConvShape) WeightSize() int { return s.O * (s.C / s.Groups) * s.KH * s.KW }

func (s *ConvShape) groups() (cg, og int) { return s.C / s.Groups, s.O / s.Groups }

// weight returns the index of w[o,c,kh,kw] in [O Cg KH KW].
func (s *ConvShape) weight(o, c, kh, kw int) int {
	return ((o*(s.C/s.Groups)+c)*s.KH+kh)*s.KW + kw
}

// Weights are packed into panels of columns: 32 wide, and the last one 16 if
// that is enough. Missing columns are zero.

// panel returns the width of the panel that begins at column j of n.
func panel(j, n int) int {
	if n-j <= panelWidth/2 {
		return panelWidth / 2
	}
	return panelWidth
}

// panels returns the number of panels of n columns.
func panels(n int) int { return (n + panelWidth - 1) / panelWidth }

// panelColumns returns the columns of all panels of n columns, padding included.
func panelColumns(n int) int {
	sum := 0
	for j := 0; j < n; j += panelWidth {
		sum += panel(j, n)
	}
	return sum
}

// inside returns the range of taps that fall inside an axis of length n, where tap i lies
// at start + i·step.
func inside(start, step, taps, n int) (first, end int) {
	if start < 0 {
		first = min((-start+step-1)/step, taps)
	}
	end = taps
	if over := start + (taps-1)*step - (n - 1); over > 0 {
		end = max(taps-(over+step-1)/step, first)
	}
	return first, end
}

// segments is room for the offsets of a product on the stack.
const segments = 64

// offsets returns a slice of n integers, in buf if there is room.
func offsets(buf []int, n int) []int {
	if n <= len(buf) {
		return buf[:n]
	}
	return make([]int, n)
}

// imageRange checks n0 and n1 against the images of the tensors of a call.
func imageRange(what string, n0, n1 int, a, b Layout) {
	if n0 < 0 || n1 > a.N || n1 > b.N {
		panic(fmt.Sprintf("kernels: %s: images %d to %d of %d and %d", what, n0, n1, a.N, b.N))
	}
}
