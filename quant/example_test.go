package quant_test

import (
	"fmt"

	"github.com/bitgrad/bitgrad/quant"
)

// A layer with one weight, from real numbers to the code of its output.
func Example() {
	f := quant.UniformFormat{BitWidth: 8, Signed: true, PowerOfTwo: true}
	x, _ := f.GridFromRange([]float32{-0.7}, []float32{1.5})
	w, _ := f.GridFromRange([]float32{-0.2}, []float32{0.1})
	y, _ := f.GridFromRange([]float32{0}, []float32{3})
	r, _ := quant.NewRequantizer(quant.Shift, quant.AccScale(x, w), y)
	acc := int64(x.Quantize(0.5, 0, quant.HalfEven)) * int64(w.Quantize(0.1, 0, quant.HalfEven))
	code := r.Apply(acc, 0)
	fmt.Println(x, w, y)
	fmt.Println(acc, r.Shift, code, y.Dequantize(code, 0))
	// Output:
	// int8 2^-6 int8 2^-9 int8 2^-5
	// 1632 [10] 2 0.0625
}
