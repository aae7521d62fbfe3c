package fakequant_test

import (
	"fmt"

	"github.com/bitgrad/bitgrad/fakequant"
	"github.com/bitgrad/bitgrad/layers"
)

// The linear layers of LeNet get 4-bit weights, everything else has 8 bits.
func Example() {
	net := layers.LeNet()
	q, report, err := fakequant.Prepare(net.Graph, fakequant.DFP(8), fakequant.Rule{Match: "fc*", Spec: fakequant.W(4)})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(report)
	fmt.Println(len(fakequant.Quantizers(q)), "quantizers")
	// Output:
	// normalize (normalize): output uint8 power-of-two half-up
	// conv1 (conv2d): weights int8 power-of-two; output int8 power-of-two half-up
	// conv2 (conv2d): weights int8 power-of-two; output int8 power-of-two half-up
	// fc1 (linear): weights int4 power-of-two; output uint8 power-of-two half-up
	// fc2 (linear): weights int4 power-of-two; output accumulators
	// 8 quantizers
}

func ExampleParseSpec() {
	spec, err := fakequant.ParseSpec("int8:w4a8,per-channel,ste")
	fmt.Println(spec, err)
	_, err = fakequant.ParseSpec("int8:w4a8,per-chanel")
	fmt.Println(err)
	// Output:
	// int8:w4a8,per-channel,ste <nil>
	// fakequant: invalid quantization: "int8:w4a8,per-chanel": no option is named "per-chanel"; nearest: "per-channel"
}
