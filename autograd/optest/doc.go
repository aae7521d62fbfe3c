// Package optest checks differentiable operations against textbook references.
//
// A [Case] builds one operation and says in float64 what it computes. [Check]
// runs it on random inputs and compares its value with the reference and its
// gradients with central differences of the reference, under a random upstream
// gradient. It does so in every situation that a program may put an operation
// in: operands with borders and a second reader, parameters frozen, several
// workers, freed memory poisoned; and it counts allocations. An operation with
// a straight-through gradient names a [Case.Surrogate], the smooth function
// whose derivative it claims.
//
// A [Suite] collects the cases of a package and fails for an operation that
// has none. The package is for tests only, those of other modules included.
//
//	suite.Add(optest.Case{
//		Name:   "square",
//		Inputs: []optest.Input{{Name: "x", Shape: []int{3, 4, 5}, Draw: optest.Normal(1)}},
//		Build: func(g *autograd.Graph, in []*autograd.Node) *autograd.Node {
//			return autograd.Multiply("y", in[0], in[0])
//		},
//		Ref: func(in []optest.Array) optest.Array {
//			return in[0].Map(func(x float64) float64 { return x * x })
//		},
//	})
package optest
