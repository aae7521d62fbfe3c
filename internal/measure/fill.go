package measure

import (
	"math"

	"github.com/bitgrad/bitgrad/autograd"
)

// unit returns a number in [-1, 1) that depends on the two indices alone: a hash of
// 32 bits (the finalizer of MurmurHash3) of both, so that other languages compute
// the same.
func unit(tensor, element int) float64 {
	h := uint32(element) + uint32(tensor)*0x9e3779b9
	h = (h ^ h>>16) * 0x85ebca6b
	h = (h ^ h>>13) * 0xc2b2ae35
	return float64(h^h>>16)/(1<<31) - 1
}

// Tensors are numbered: the samples are 0, parameters follow from 1 and states from
// firstState, both in the order of the graph.
const (
	samplesTensor = 0
	firstState    = 1001
)

// Fill gives the parameters and the moving statistics of a network the values of a
// formula. With u = unit(tensor, element):
//
//	weight           u·√(6/fan-in)      fan-in: the weights of one output
//	bias, beta       u/10
//	gamma            1 + u/4
//	running mean     u/10
//	running variance 1 + u/2
//
// bench/peers/nets.py has the same formula.
func Fill(g *autograd.Graph) {
	for k, p := range g.Params() {
		scale, offset := 0.1, 0.0
		switch p.Role {
		case autograd.Weight:
			scale = math.Sqrt(6 / float64(len(p.Value)/p.Shape[0]))
		case autograd.Gamma:
			scale, offset = 0.25, 1
		}
		for i := range p.Value {
			p.Value[i] = float32(offset + float64(scale*unit(1+k, i)))
		}
		p.Touch()
	}
	for k, s := range g.States() {
		scale, offset := 0.1, 0.0
		if k%2 == 1 { // mean and variance take turns
			scale, offset = 0.5, 1
		}
		for i := range s.Value {
			s.Value[i] = float32(offset + float64(scale*unit(firstState+k, i)))
		}
	}
}

// Samples returns n samples [n C H W] of size elements each, with values between −√3
// and √3 and deviation 1.
func Samples(n, size int) []float32 {
	x := make([]float32, n*size)
	for i := range x {
		x[i] = float32(math.Sqrt(3) * unit(samplesTensor, i))
	}
	return x
}

// pixels returns n images [n C H W].
func pixels(n, size int) []uint8 {
	x := make([]uint8, n*size)
	for i := range x {
		x[i] = uint8(128 + 128*unit(samplesTensor, i))
	}
	return x
}

// Labels returns n labels below classes.
func Labels(n, classes int) []int32 {
	y := make([]int32, n)
	for i := range y {
		y[i] = int32(7*i%11) % int32(classes)
	}
	return y
}
