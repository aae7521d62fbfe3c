package integer

import (
	"bytes"
	"fmt"
	"unsafe"
)

// SetCodes is [ConvDriver.SetWeights] for levels that are int8 codes, stored as their bit patterns,
// of a driver whose accumulators are int32. Codes that are those of the last call are not packed
// again.
func (d *ConvDriver) SetCodes(codes []uint8, zeroPoint int32) error {
	s := &d.conv
	if len(codes) != s.WeightSize() {
		return fmt.Errorf("integer: conv driver: %w: %d weights, the shape has %d", ErrShape, len(codes), s.WeightSize())
	}
	if d.wide {
		return fmt.Errorf("integer: conv driver: %w: accumulators are int64: set levels", ErrGrid)
	}
	if d.colsum != nil && bytes.Equal(patterns(d.codes), codes) {
		if d.zero != zeroPoint {
			d.zero = zeroPoint
			d.restart()
		}
		return nil
	}
	d.codes, d.packed, d.colsum = resize(d.codes, len(codes)), resize(d.packed, s.PackedSize()), resize(d.colsum, s.O)
	copy(patterns(d.codes), codes)
	s.PackInt8(d.packed, d.codes, d.colsum)
	d.zero = zeroPoint
	d.restart()
	return nil
}

// patterns reads int8 codes as the bytes that they are.
func patterns(codes []int8) []uint8 {
	return unsafe.Slice((*uint8)(unsafe.Pointer(unsafe.SliceData(codes))), len(codes))
}

// Levels returns the weight levels last set, [O I/Groups KH KW]; nil if there are none.
func (d *ConvDriver) Levels() []int32 {
	if !d.wide {
		if d.colsum == nil {
			return nil
		}
		levels := make([]int32, len(d.codes))
		for i, q := range d.codes {
			levels[i] = int32(q)
		}
		return levels
	}
	if d.wideSum == nil {
		return nil
	}
	s := &d.conv
	per, taps := s.C/s.Groups, s.KH*s.KW
	levels := make([]int32, len(d.wideW))
	for k, w := range d.wideW { // [O KH KW I]
		o, t, i := k/(taps*per), k/per%taps, k%per
		levels[(o*per+i)*taps+t] = w
	}
	return levels
}
