// Package quant is the numeric law of Bitgrad: grids of integer codes, rounding,
// requantization, and the integer forms of adds, pools and products, as pure
// functions over plain numbers.
//
// A [Grid] maps real numbers to integer codes and back:
//
//	q = clamp(round(x/s) + z, QMin, QMax)        x̂ = (q − z)·s
//
// A layer that computes on codes sums products of codes in an integer
// accumulator. A [Requantizer] turns that accumulator into a code of the next
// grid by one of three named rules: a shift (scales are powers of two), a float32
// multiplier, or a 31-bit fixed-point multiplier. Training, the integer model and
// every exporter call, or restate, the functions of this package; none of them has
// a rounding rule of its own. The same rules in words, with numbers to redo by
// hand, are in docs/numerics.md.
//
//	f := quant.UniformFormat{BitWidth: 8, Signed: true, PowerOfTwo: true}
//	x, _ := f.GridFromRange([]float32{-0.7}, []float32{1.5}) // int8 2^-6
//	w, _ := f.GridFromRange([]float32{-0.2}, []float32{0.1}) // int8 2^-9
//	y, _ := f.GridFromRange([]float32{0}, []float32{3})      // int8 2^-5
//	r, _ := quant.NewRequantizer(quant.Shift, quant.AccScale(x, w), y)
//	acc := int64(x.Quantize(0.5, 0, quant.HalfEven)) * int64(w.Quantize(0.1, 0, quant.HalfEven)) // 32 * 51
//	code := r.Apply(acc, 0)                                            // (1632 + 512) >> 10 = 2
//
// Functions that take a channel c follow the rule of slices: a value with one
// entry serves every channel, otherwise c must be in range. Everything here is safe
// for concurrent use as long as nobody writes to the values.
package quant
