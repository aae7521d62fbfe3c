package kernels_test

import (
	"fmt"

	"github.com/bitgrad/bitgrad/internal/kernels"
)

// The calls of the package comment, on images and weights of ones: a sum counts the
// taps in the image.
func Example() {
	const batch = 2
	xl, size := kernels.Bordered(batch, 32, 32, 3, 1, 1, 1, 1)
	x, weight, bias := make([]float32, size), make([]float32, 16*3*3*3), make([]float32, 16)
	yl := kernels.Dense(batch, 32, 32, 16)
	y := make([]float32, batch*32*32*16)
	for i := range weight {
		weight[i] = 1
	}
	for n := range batch {
		for h := range 32 {
			for i := range 32 * 3 {
				x[xl.Row(n, h)+i] = 1
			}
		}
	}

	shape := kernels.ConvShape{C: 3, O: 16, KH: 3, KW: 3, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1, H: 32, W: 32}
	err := shape.Complete() // strides, dilations and groups become 1, OH and OW 32
	packed := make([]float32, shape.ForwardSize())
	shape.PackForward(packed, weight)
	shape.Forward(y, yl, x, xl, packed, bias, 0, batch)
	fmt.Println(err, shape.OH, shape.OW, y[yl.At(1, 0, 0, 15)], y[yl.At(1, 0, 7, 15)], y[yl.At(1, 9, 7, 15)])
	// Output: <nil> 32 32 12 18 27
}
