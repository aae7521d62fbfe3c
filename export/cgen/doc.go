// Package cgen writes an integer model as plain C99.
//
// One header holds everything: the codes of the weights, biases, shifts,
// multipliers and tables as constant arrays, and one function per node that
// computes its codes with nested loops. It includes no more than the
// freestanding headers of C, allocates nothing and keeps its buffers in static
// memory, planned so that values which are never needed together share bytes.
// Weights of fewer than 8 bits stay packed.
//
// The arithmetic of the C text is written from the page of the numeric law
// (docs/numerics.md) alone and shares nothing with package quant, nor with the
// interpreter or the engine of package integer. So it is more than an export: it
// is an independent check. A test program beside the header holds images and the
// codes that the interpreter computed for every node; it says where the first
// difference is and exits with status 0 if there is none.
//
//	paths, err := cgen.Write("out", model, cgen.Options{Prefix: "lenet", Images: images})
//	if err != nil {
//		return err
//	}
//	// out/lenet.h and out/lenet_test.c:
//	//	cc -std=c99 -O2 -ffp-contract=off -o lenet_test out/lenet_test.c && ./lenet_test
//
// A program that runs the model:
//
//	#define LENET_IMPLEMENTATION // in one file of the program
//	#include "lenet.h"
//
//	int digit = lenet_classify(pixels); // uint8_t [H W C]
//
// Every op and every rule of package integer can be written. What could not be
// computed exactly is refused by the name of its node with [ErrUnsupported].
package cgen
