package layers_test

import (
	"fmt"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/layers"
)

func ExampleLeNet() {
	net := layers.LeNet()
	for _, n := range net.Graph.Nodes() {
		if n.Op() != nil {
			fmt.Printf("%-12s %-10s %s\n", n.Name(), n.Kind(), n.Type())
		}
	}
	fmt.Println(net.Count(), "trained scalars,", net.MACs(), "multiply-accumulates")
	// Output:
	// normalize    normalize  [N 1 28 28]
	// conv1        conv2d     [N 20 24 24]
	// pool1        max_pool   [N 20 12 12]
	// conv2        conv2d     [N 50 8 8]
	// pool2        max_pool   [N 50 4 4]
	// fc1.flatten  flatten    [N 800]
	// fc1          linear     [N 500]
	// relu1        relu       [N 500]
	// fc2          linear     [N 10]
	// 431080 trained scalars, 2293000 multiply-accumulates
}

func ExampleBuilder() {
	b := layers.New("tiny", layers.Input{C: 3, H: 8, W: 8, Mean: []float32{128}, Std: []float32{64}})
	x := b.ReLU("relu1", b.ConvBN("conv1", b.X, 4, 3, layers.Pad(1), layers.Stride(2)))
	y := b.ConvBN("conv2", x, 4, 3, layers.Pad(1))
	x = b.ReLU("relu2", b.Add("add", y, x))
	net := b.Classifier(b.Linear("fc", b.GlobalAveragePool("pool", x), 2))
	if err := net.Graph.Err(); err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range net.Graph.Params() {
		fmt.Println(p.Name, p.Shape)
	}
	// Output:
	// conv1.weight [4 3 3 3]
	// conv1.bn.weight [4]
	// conv1.bn.bias [4]
	// conv2.weight [4 4 3 3]
	// conv2.bn.weight [4]
	// conv2.bn.bias [4]
	// fc.weight [2 4]
	// fc.bias [2]
}

func ExampleBuilder_mistake() {
	b := layers.New("net", layers.Input{C: 1, H: 4, W: 4})
	net := b.Classifier(b.Linear("fc", b.Conv("conv1", b.X, 8, 5), 10))
	_, err := net.Graph.Compile(autograd.CompileOptions{Batch: 1})
	fmt.Println(err)
	// Output:
	// conv1: conv2d [N 1 4 4] × [8 1 5 5] × [8]: rows: the kernel covers 5, the padded input has 4
}

func ExampleByName() {
	build, err := layers.ByName("resnet20")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(build(layers.WithClasses(100)).Graph.Output("logits").Type())
	_, err = layers.ByName("resnet18")
	fmt.Println(err)
	// Output:
	// [N 100]
	// layers: invalid network: no network is named "resnet18"; nearest: "resnet8", "resnet20"
}

// The network of the package comment.
func Example() {
	b := layers.New("digits", layers.Input{C: 1, H: 28, W: 28})
	x := b.ConvBN("conv1", b.X, 16, 3, layers.Pad(1))
	x = b.ReLU("relu1", x)
	x = b.MaxPool("pool1", x, 2, 2)
	net := b.Classifier(b.Linear("fc", x, 10))
	program, err := net.Graph.Compile(autograd.CompileOptions{Batch: 64})
	if err != nil {
		fmt.Println(err)
		return
	}
	program.Forward()
	logits, err := program.Dense("logits")
	fmt.Println(logits.Shape(), net.Count(), err)
	// Output: (64, 10) 31546 <nil>
}
