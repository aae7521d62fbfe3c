// Package autograd is a static graph of differentiable operations.
//
// A [Graph] is a list of named nodes. Each [Node] applies an [Op] to the
// values of earlier nodes; leaves are inputs and parameters ([Param]). The
// batch size is left open. A graph is never run: [Graph.Compile] turns it into
// a [Program] for one batch size and one [Mode], which plans every buffer once
// and then runs without allocating. Programs of one graph share its parameters
// and its state, so a training program and an evaluation program see the same
// network.
//
// Building returns no error per call. The first mistake sticks to the graph,
// later calls are inert, and Compile (or [Graph.Err]) returns it with the path
// of the node and the shapes involved.
//
// Everything that changes a network is a rewrite of its graph: folding batch
// norm, inserting quantizers, fusing nodes, importing. [Graph.Rewrite] gives an
// [Edit] on a copy that shares parameters and state and keeps names.
//
// Inside a program activations are channels-last, [N H W C], with a border
// where a consumer asks for one; at every public edge they are [N C H W].
// Parameters are row-major in their public shape ([O I H W], [O I], [C]).
//
//	g := autograd.NewGraph("net")
//	x := g.Input("x", autograd.Float32, 4)
//	w := g.Param("fc.weight", autograd.Weight, autograd.Zeros(), 2, 4)
//	g.SetOutput("logits", autograd.Linear("fc", x, w, nil))
//	p, err := g.Compile(autograd.CompileOptions{Batch: 8, Mode: autograd.Evaluate})
package autograd
