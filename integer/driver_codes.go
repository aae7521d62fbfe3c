package integer

import "fmt"

// SetWeightCodes is [ConvDriver.SetWeights] for levels that are codes of signed bytes, as bit patterns. It
// is the faster one. A driver whose Wide is true refuses them.
func (d *ConvDriver) SetWeightCodes(codes []uint8, zeroPoint int32) error {
	if err := d.checkWeights(len(codes)); err != nil {
		return err
	}
	if d.wide {
		return fmt.Errorf("integer: conv driver: %w: weights in bytes: this driver takes levels of more than 8 bits", ErrGrid)
	}
	d.conv.Pack(&d.weights, codes)
	d.setZero(zeroPoint)
	return nil
}
