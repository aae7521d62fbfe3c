// Package train runs the loops around a network: [Fit] trains it, [Calibrate]
// gives the quantizers of a prepared graph their ranges, [FineTune] trains such
// a graph with settings made for it, [Evaluate] counts what it gets right.
//
// Training has two parts. In the first, batch norm uses the statistics of the
// batch and observers follow the data. In the last, [Options.FrozenEpochs],
// batch norm is folded with its moving statistics and the fractional lengths of
// power-of-two grids stand still, so that the network that leaves training is
// the one that ships. Every change of a fractional length before that is
// recorded.
//
// What comes out depends on the graph, the data and the options alone. The
// number of workers changes no byte, nor does an interruption: a run that is
// continued from any of its checkpoints ends with the bytes, the metrics and
// the log of one that was never stopped. A step is atomic: where a loss, a
// value or a gradient is not finite, nothing of that step is kept, the step is
// repeated node by node to find where it went wrong, and training stops with a
// [NotFiniteError].
//
// Callbacks are plain functions; they run between steps on the goroutine of
// Fit. A cancelled context ends training after the step that is running, with a
// checkpoint where [Options.Dir] is set.
//
//	net := layers.LeNet()
//	net.Graph.Initialize(1)
//	result, err := train.Fit(ctx, net.Graph, data.Train, train.Options{
//		Epochs: 3, Batch: 64, Seed: 1, Validation: data.Valid, KeepBest: true,
//		Optimizer: optim.Config{Method: optim.SGD{Momentum: 0.9}, LearningRate: 0.01},
//		Dir:       "runs/lenet", Progress: os.Stderr,
//	})
//	...
//	quantized, report, err := fakequant.Prepare(net.Graph, fakequant.DFP(8))
//	...
//	err = train.Calibrate(ctx, quantized, data.Train, train.CalibrateOptions{})
//	...
//	result, err = train.FineTune(ctx, quantized, data.Train, train.Options{Epochs: 2, Batch: 64, Validation: data.Valid})
//	...
//	score, err := train.Evaluate(ctx, quantized, data.Test, train.EvaluateOptions{})
package train
