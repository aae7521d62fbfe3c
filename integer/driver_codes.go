package integer

import "fmt"

// SetWeightCodes is [ConvDriver.SetWeights] for levels that are codes of signed bytes, as bit patterns.
// A driver whose Wide is true refuses them.
func (d *ConvDriver) SetWeightCodes(codes []uint8, zeroPoint int32) error {
	s := &d.conv
	if len(codes) != s.WeightSize() {
		return fmt.Errorf("integer: conv driver: %w: %d weights, the shape has %d", ErrShape, len(codes), s.WeightSize())
	}
	if d.wide {
		return fmt.Errorf("integer: conv driver: %w: weights in bytes: this driver takes levels of more than 8 bits", ErrGrid)
	}
	d.codes, d.packed, d.colsum = resize(d.codes, len(codes)), resize(d.packed, s.PackedSize()), resize(d.colsum, s.O)
	for i, q := range codes {
		d.codes[i] = int8(q)
	}
	s.PackInt8(d.packed, d.codes, d.colsum)
	d.zero = zeroPoint
	d.restart()
	return nil
}
