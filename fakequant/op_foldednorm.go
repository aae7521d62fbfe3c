package fakequant

import (
	"fmt"

	"github.com/bitgrad/bitgrad/autograd"
)

// FoldedNormOp is what is left of a batch norm whose scale went into the
// weight. Operands: p = conv(x, Q(γW/σ)), the folded bias b′, γ, β and, where
// the convolution has one, its own bias. In the batch phase it is the batch
// norm described in docs/numerics.md; otherwise y = p + b′.
//
// This is the node that computes in floats; on integers it is part of the
// fused convolution.
type FoldedNormOp struct{ Norm *Norm }

// Name returns "folded_norm".
func (FoldedNormOp) Name() string { return "folded_norm" }

// States returns the moving statistics.
func (o FoldedNormOp) States() []*autograd.State { return o.Norm.states() }

// Infer implements [autograd.Op].
func (o FoldedNormOp) Infer(env autograd.Env, in []autograd.Type) (autograd.Spec, error) {
	if len(in) != 4 && len(in) != 5 {
		return autograd.Spec{}, fmt.Errorf("takes p, the folded bias, gamma, beta and at most a bias")
	}
	c, _, _ := in[0].CHW()
	if in[0].Plain || in[0].DType != autograd.Float32 {
		return autograd.Spec{}, fmt.Errorf("p must be a float32 activation")
	}
	for _, t := range in[1:] {
		if !t.Plain || t.Elements() != c {
			return autograd.Spec{}, fmt.Errorf("every vector must be [%d]", c)
		}
	}
	train := env.Mode == autograd.Train
	return autograd.Spec{Out: in[0], ReadsIn: []bool{train}, NoGrad: []bool{false, false, !train, !train, true}[:len(in)]}, nil
}

// Bind implements [autograd.Op].
func (o FoldedNormOp) Bind(b *autograd.Binding) autograd.Step {
	x := b.In[0]
	s := &foldedNormStep{b: b, sum: make([]float64, x.L.C), square: make([]float64, x.L.C)}
	if b.Mode == autograd.Train {
		s.phase = newBatchPhase(o.Norm, x.L.C, x.L.N*x.L.H*x.L.W)
	}
	return s
}

type foldedNormStep struct {
	b           *autograd.Binding
	phase       *batchPhase
	sum, square []float64
}

// each calls f for every element with offsets into a and b, which have the
// same shape.
func each(a, b autograd.View, f func(i, j, c int)) {
	rows, n := a.Rows()
	for r := range rows {
		i, j := a.Row(r), b.Row(r)
		for k := range n {
			f(i+k, j+k, k%a.L.C)
		}
	}
}

func (s *foldedNormStep) Forward(*autograd.Context) {
	p, y, in := s.b.In[0], s.b.Out, s.b.In
	if s.phase == nil {
		each(p, y, func(i, j, c int) { y.F32[j] = p.F32[i] + in[1].F32[c] })
		return
	}
	clear(s.sum)
	clear(s.square)
	each(p, y, func(i, _, c int) {
		v := float64(p.F32[i])
		s.sum[c] += v
		s.square[c] += v * v
	})
	var own []float32
	if len(in) == 5 {
		own = in[4].F32
	}
	s.phase.forward(in[2].F32, in[3].F32, in[1].F32, own, s.sum, s.square)
	each(p, y, func(i, j, c int) { y.F32[j] = float32(s.phase.a[c]*float64(p.F32[i]) + s.phase.b[c]) })
}

func (s *foldedNormStep) Backward(*autograd.Context) {
	dy, dx, p := s.b.GradOut, s.b.GradIn[0], s.b.In[0]
	clear(s.sum)
	clear(s.square)
	if s.phase == nil {
		each(dy, dy, func(i, _, c int) { s.sum[c] += float64(dy.F32[i]) })
		if g := s.b.GradIn[1]; !g.Empty() {
			for c, v := range s.sum {
				put(g, c, float32(v))
			}
		}
		if !dx.Empty() {
			each(dx, dy, func(i, j, _ int) { put(dx, i, dy.F32[j]) })
		}
		return
	}
	each(dy, p, func(i, j, c int) {
		d := float64(dy.F32[i])
		s.sum[c] += d
		s.square[c] += d * float64(p.F32[j])
	})
	s.phase.backward(s.sum, s.square, s.b.GradIn[1], s.b.GradIn[2], s.b.GradIn[3])
	if dx.Empty() {
		return
	}
	k := 0
	each(dx, dy, func(i, j, c int) {
		row := k / (dx.L.W * dx.L.C)
		fa, fb, fk := s.phase.input(c)
		put(dx, i, float32(fa*float64(dy.F32[j])+(fb+fk*float64(p.F32[p.Row(row)+k%(dx.L.W*dx.L.C)]))))
		k++
	})
}
