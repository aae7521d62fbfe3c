// Package layers builds networks as graphs that read like the network.
//
// A [Builder] adds layers to an [autograd.Graph]: a layer is an operation with
// its parameters, named after it (conv1, conv1.weight, conv1.bias, conv1.bn,
// conv1.bn.weight). Every function of package autograd works on the same nodes,
// so anything without parameters needs no layer here. A mistake sticks to the
// graph and comes out of Compile with the path of the layer. A network with a
// block and operations of its own is in examples/custom.
//
// A [Net] reads pixels or floats at the input node "input", [N C H W], and gives
// the output "logits", [N Classes]. The loss is not part of it. Its parameters
// are drawn with seed 0; [autograd.Graph.Initialize] draws them again. Nothing
// here knows of quantization: that is a rewrite of the graph.
//
// The reference networks are functions ([LeNet], [ResNet20], …) and, by name,
// [ByName].
//
//	b := layers.New("digits", layers.Input{C: 1, H: 28, W: 28})
//	x := b.ConvBN("conv1", b.X, 16, 3, layers.Pad(1))
//	x = b.ReLU("relu1", x)
//	x = b.MaxPool("pool1", x, 2, 2)
//	net := b.Classifier(b.Linear("fc", x, 10))
//	program, err := net.Graph.Compile(autograd.CompileOptions{Batch: 64})
package layers
