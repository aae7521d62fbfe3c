// Package fakequant makes a float network quantization-aware.
//
// [Prepare] rewrites a graph: it folds batch norm into the convolutions, puts
// a quantizer on the weights and on the output of every layer, and attaches
// the passes that turn quantized layers into nodes that compute on integers.
// It works on any graph, whoever built it, and reports in words what was
// quantized how and what was not and why.
//
// A [Spec] says how: a scheme (dynamic fixed point, or integers with a float
// scale), the bit widths of weights and outputs, the estimator that decides
// the range and its gradient, and the observer that looks at the data. Rules
// change the spec for nodes whose name matches a glob.
//
//	q, report, err := fakequant.Prepare(net.Graph, fakequant.DFP(8), fakequant.Rule{Match: "fc*", Spec: fakequant.W(4)})
//
// A new range estimator implements [Estimator], a new calibrator implements
// [Observer]; both fit on one page, need no change here and go into a Spec by
// value. One of each, to copy from, is in examples/customquantizer. The numeric
// rules are those of docs/numerics.md.
package fakequant
