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

func ExampleRounding() {
	for _, r := range []quant.Rounding{quant.HalfEven, quant.HalfUp, quant.HalfAway, quant.Floor} {
		fmt.Println(r, r.Round(2.5), r.Round(-2.5), r.Round(3.7))
	}
	// Output:
	// half-even 2 -2 4
	// half-up 3 -2 4
	// half-away 3 -3 4
	// floor 2 -3 3
}

func ExampleGrid_Quantize() {
	g := quant.Grid{BitWidth: 4, Signed: true, Scale: []float32{0.5}}
	for _, x := range []float32{-9, -1.25, 0.2, 1.25, 9} {
		q := g.Quantize(x, 0, quant.HalfUp)
		fmt.Println(x, q, g.Dequantize(q, 0))
	}
	// Output:
	// -9 -8 -4
	// -1.25 -2 -1
	// 0.2 0 0
	// 1.25 3 1.5
	// 9 7 3.5
}

// One bit, mid-rise: every number becomes plus or minus half a step.
func ExampleGrid_midRise() {
	g := quant.Grid{BitWidth: 1, Signed: true, MidRise: true, Scale: []float32{2}}
	for _, x := range []float32{-3, -0.1, 0.1, 3} {
		q := g.Quantize(x, 0, quant.HalfEven)
		fmt.Println(x, q, g.Dequantize(q, 0), g.Level(q))
	}
	// Output:
	// -3 -1 -1 -1
	// -0.1 -1 -1 -1
	// 0.1 0 1 1
	// 3 0 1 1
}

func ExampleUniformFormat_GridFromRange() {
	lo, hi := []float32{-1}, []float32{3}
	for _, f := range []quant.UniformFormat{
		{BitWidth: 8, Signed: true, PowerOfTwo: true},
		{BitWidth: 8, Signed: true, Narrow: true},
		{BitWidth: 8, Affine: true},
	} {
		g, err := f.GridFromRange(lo, hi)
		fmt.Println(f, "→", g, err)
	}
	_, err := quant.UniformFormat{BitWidth: 33}.GridFromRange(lo, hi)
	fmt.Println(err)
	// Output:
	// int8 power-of-two → int8 2^-5 <nil>
	// int8 narrow symmetric → int8 narrow s=0.02362 <nil>
	// uint8 affine → uint8 s=0.01569 z=64 <nil>
	// quant: bit width 33: must be 1 to 16, or 32 for float
}

func ExampleRequantizeShift() {
	for _, acc := range []int64{11, 12, -12, -13, 5000} {
		fmt.Println(acc, quant.RequantizeShift(acc, 3, -128, 127))
	}
	// Output:
	// 11 1
	// 12 2
	// -12 -1
	// -13 -2
	// 5000 127
}

// The same accumulator by the three rules: 15 steps of 0.05 are 1.5 steps of 0.5 and the
// zero point is 10.
func ExampleNewRequantizer() {
	y := quant.Grid{BitWidth: 8, ZeroPoint: 10, Scale: []float32{0.5}}
	float, _ := quant.NewRequantizer(quant.Float, []float64{0.05}, y)
	single, _ := quant.NewRequantizer(quant.FixedPoint, []float64{0.05}, y)
	double := single
	double.DoubleRounding = true
	fmt.Println(float.Apply(15, 0), single.Apply(15, 0), double.Apply(15, 0))

	z := quant.Grid{BitWidth: 8, Signed: true, Scale: []float32{0.5}}
	shift, _ := quant.NewRequantizer(quant.Shift, []float64{0.0625}, z)
	relu := shift.ReLU()
	fmt.Println(shift.Shift[0], shift.Apply(12, 0), shift.Apply(-13, 0), relu.Apply(-13, 0))
	// Output:
	// 12 11 12
	// 3 2 -2 0
}

func ExampleAccumulatorBound() {
	w := []int32{127, -127, 127, -127, 127, -127, 127, -127, 127}
	bias, ok := quant.BiasCode(0.3, quant.PowerOfTwo(13))
	a := quant.AccumulatorBound(255, w, bias, 128)
	fmt.Println(bias, ok, a, quant.Fits24(a), quant.Fits32(a))
	// Output:
	// 2458 true 294051 true true
}

func ExampleAddShift() {
	grid := func(fl int) quant.Grid {
		return quant.Grid{BitWidth: 8, Signed: true, Scale: []float32{quant.PowerOfTwo(fl)}}
	}
	add, err := quant.NewAddShift(grid(4), grid(6), grid(3), false)
	fmt.Println(add.Apply(5, 3), err) // 0.3125 + 0.046875 = 0.359375, 2.875 steps of 2^-3
	// Output:
	// 3 <nil>
}

func ExampleAveragePoolShift() {
	p := quant.AveragePoolShift{FX: 4, FY: 5, Lo: -128, Hi: 127}
	fmt.Println(p.Apply(-14, 9)) // −14/9 at 2^-4 is −3.11 at 2^-5
	// Output:
	// -3
}

func ExampleInputTable() {
	g := quant.Grid{BitWidth: 8, Signed: true, Scale: []float32{quant.PowerOfTwo(7)}}
	t, _ := quant.InputTable([]float32{1.0 / 255}, []float32{0}, g, quant.HalfEven)
	fmt.Println(t[0][0], t[0][1], t[0][128], t[0][255])
	// Output:
	// 0 1 64 127
}

func ExampleKeyedRand() {
	k := quant.NewKeyedRand(1, 100, 0, "conv1.weight")
	g := quant.Grid{BitWidth: 4, Signed: true, Scale: []float32{0.5}}
	up := 0
	for i := range uint64(1000) {
		if g.QuantizeStochastic(0.6, 0, k.At(i)) == 2 { // 1.2 steps: 2 once in five times
			up++
		}
	}
	fmt.Println(up > 160 && up < 240)
	// Output:
	// true
}
