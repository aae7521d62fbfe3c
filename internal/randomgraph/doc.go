// Package randomgraph draws random networks for the tests that hold every way to
// compute a network equal: the evaluation program, the interpreter, the engine,
// and generated C.
//
// [Draw] builds a network of operations that have an integer form, quantizes it,
// trains it for a few steps and adds images that reach the ends of every range.
// [Coverage] counts what a set of models exercises, so that a test can fail when
// something is no longer drawn.
//
// Mid-rise grids and the fixed-point rule come from no spec of a network; the
// random models of packages integer and export/cgen have them.
package randomgraph
