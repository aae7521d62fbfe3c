package quant

// InputCode returns the code of an input value x of a channel that is normalized by
// a·x + b: Q(float32(float32(x·a)) + b), where product and sum round to float32 on their own.
// Float data sets enter by it; pixels enter by [InputTable].
func InputCode(x, a, b float32, g Grid, r Rounding) int32 {
	p := float32(x * a)
	return g.Quantize(float32(p+b), 0, r)
}

// InputTable returns one table per channel from a pixel 0 to 255 to its code:
//
//	T[c][p] = Q(float32(float32(p)·a[c]) + b[c])
//
// With mean m and deviation d of pixels scaled to [0, 1], a = 1/(255·d) and b = −m/d. a and b have one
// entry per channel, g has one scale.
//
// For example a = 1/255, b = 0 and int8 2^-7: pixel 128 is 0.50196… · 128 = 64.25, code 64;
// pixel 255 is 128 steps and saturates at 127.
func InputTable(a, b []float32, g Grid, r Rounding) ([][256]int32, error) {
	if err := perTensor(g); err != nil {
		return nil, err
	}
	if len(a) != len(b) || len(a) == 0 {
		return nil, fail(ErrRange, "must be one pair per channel", "%d factors and %d offsets", len(a), len(b))
	}
	for c := range a {
		if !(a[c]-a[c] == 0 && b[c]-b[c] == 0) {
			return nil, fail(ErrRange, "must be finite", "normalization %v·x + %v of channel %d", a[c], b[c], c)
		}
	}
	tables := make([][256]int32, len(a))
	for c := range tables {
		for p := range tables[c] {
			tables[c][p] = InputCode(float32(p), a[c], b[c], g, r)
		}
	}
	return tables, nil
}

// CodeTable returns the integer form of a pointwise function f: entry q − QMin of x is
// the code of f on the grid y for code q of x.
//
//	T[q−QMin] = Q_y(f(x̂(q)))
//
// x̂ and f(x̂) are float32, Q_y rounds by r. Both grids have one scale. A NaN from f becomes
// the zero point of y.
//
// For example a leaky ReLU, max(v, v/8), from int4 2^-2 to int4 2^-3: code −8 is −2, f is −0.25, the code −2.
func CodeTable(x, y Grid, r Rounding, f func(float32) float32) ([]int32, error) {
	for _, g := range [2]Grid{x, y} {
		if err := perTensor(g); err != nil {
			return nil, err
		}
	}
	table := make([]int32, x.QMax()-x.QMin()+1)
	for i := range table {
		table[i] = y.Quantize(f(x.Dequantize(x.QMin()+int32(i), 0)), 0, r)
	}
	return table, nil
}
