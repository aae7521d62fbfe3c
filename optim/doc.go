// Package optim turns gradients into updates of parameters.
//
// A [Config] is plain data: a method ([SGD], [Adam], [AdamW] or your own), a
// learning rate, a [Schedule] that scales it as a pure function of the step,
// decay, clipping, and groups that treat some parameters differently. [New]
// binds it to the parameters of a graph. An [Optimizer] reads Param.Grad and
// writes Param.Value; it knows nothing of programs, data or quantizers.
//
// A step is atomic. It looks at every gradient first and, where one holds a NaN
// or an infinity, returns an error that names the parameter and leaves values,
// buffers and counters as they were. It allocates nothing, reads and writes
// each parameter once, and its result does not depend on the number of workers.
//
// Everything that a resumed run needs is in [Optimizer.State]: vectors and
// counters by name, in a fixed order.
//
//	opt, err := optim.New(graph.Params(), optim.Config{
//		Method:       optim.SGD{Momentum: 0.9},
//		LearningRate: 0.1,
//		WeightDecay:  1e-4,
//		Schedule:     optim.Warmup{Steps: 500, Then: optim.Cosine{Steps: 10000}},
//		Groups: []optim.Group{{ // ranges of quantizers get their own optimizer
//			Roles: []autograd.Role{autograd.RangeParam}, Method: optim.Adam{}, LearningRate: 1e-2,
//		}},
//	}, pool)
//	...
//	program.Forward()
//	program.Backward()
//	err = opt.Step()
package optim
