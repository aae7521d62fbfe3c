package quant

// Multiply multiplies codes of two tensors elementwise: the product of levels is the
// accumulator of a [Requantizer] at the scale s_a·s_b.
//
// For example a = 12 at 2^-4, b = −3 at 2^-2, output 2^-3: n = 4 + 2 − 3 = 3, −36 becomes
// (−36 + 4) >> 3 = −4, which is −0.5 for −0.5625.
type Multiply struct {
	Za, Zb int32
	Requantizer
}

// NewMultiply returns the product of codes of a and b as a code of y.
func NewMultiply(rule Rule, a, b, y Grid) (Multiply, error) {
	for _, g := range [2]Grid{a, b} {
		if err := perTensor(g); err != nil {
			return Multiply{}, err
		}
	}
	r, err := NewRequantizer(rule, AccScale(a, b), y)
	return Multiply{Za: a.ZeroPoint, Zb: b.ZeroPoint, Requantizer: r}, err
}

// Apply returns the code of the product of codes x and y; for an operand on a mid-rise
// grid, of its level 2q + 1.
func (m *Multiply) Apply(x, y int32) int32 {
	return m.Requantizer.Apply((int64(x)-int64(m.Za))*(int64(y)-int64(m.Zb)), 0)
}

// Recode moves a code from one grid to another: the rule of concat inputs and of edges
// that are requantized. The level of the code is the accumulator of a [Requantizer] at
// the scale s_x: a shift by n = fl_x − fl_y, or M = float32(s_x/s_y). Between equal grids codes do
// not change.
//
// For example 2^-6 to 2^-4: n = 2, code 23 becomes (23 + 2) >> 2 = 6.
type Recode struct {
	Zx int32
	Requantizer
}

// NewRecode returns the map from codes of x to codes of y.
func NewRecode(rule Rule, x, y Grid) (Recode, error) {
	if err := perTensor(x); err != nil {
		return Recode{}, err
	}
	r, err := NewRequantizer(rule, []float64{x.LevelScale(0)}, y)
	return Recode{Zx: x.ZeroPoint, Requantizer: r}, err
}

// Apply returns the code on the output grid of code q, or of level 2q + 1 on a mid-rise
// grid.
func (m *Recode) Apply(q int32) int32 {
	return m.Requantizer.Apply(int64(q)-int64(m.Zx), 0)
}
