package fakequant

import (
	"fmt"
	"math"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/internal/kernels"
)

// Norm is the batch norm that was folded into a convolution: its moving
// statistics and constants.
type Norm struct {
	autograd.BatchNormAttrs
	Mean, Var *autograd.State // [O]
}

func (n *Norm) states() []*autograd.State { return []*autograd.State{n.Mean, n.Var} }

// sigma returns √(var+ε) of channel c.
func (n *Norm) sigma(c int) float64 {
	return math.Sqrt(float64(n.Var.Value[c]) + float64(n.Epsilon()))
}

// FoldWeightOp multiplies a weight by γ/σ_mv of its output channel:
//
//	w'[o,…] = w[o,…]·γ[o]/√(var_mv[o]+ε)
//
// Operands: w [O …], γ [O]. Gradient: dw = dw'·γ/σ; in the frozen phase
// dγ = Σ dw'·w/σ; in the batch phase γ counts as a constant here.
type FoldWeightOp struct{ Norm *Norm }

// Name returns "fold_weight".
func (FoldWeightOp) Name() string { return "fold_weight" }

// States returns the moving statistics.
func (o FoldWeightOp) States() []*autograd.State { return o.Norm.states() }

// Infer implements [autograd.Op].
func (o FoldWeightOp) Infer(env autograd.Env, in []autograd.Type) (autograd.Spec, error) {
	if len(in) != 2 || !in[0].Plain || !in[1].Plain || len(in[0].Shape) == 0 || in[1].Elements() != in[0].Shape[0] {
		return autograd.Spec{}, fmt.Errorf("takes a weight [O …] and gamma [O]")
	}
	return autograd.Spec{Out: in[0].Floats(), ReadsIn: []bool{true, true}, NoGrad: []bool{false, env.Mode == autograd.Train}}, nil
}

// Bind implements [autograd.Op].
func (o FoldWeightOp) Bind(b *autograd.Binding) autograd.Step {
	channels := b.In[1].Elements()
	s := &foldWeightStep{n: o.Norm, b: b, factor: make([]float32, channels)}
	per := b.In[0].Elements() / channels
	s.forward, s.backward = newRowLoop(channels, per, s.forwardChannel), newRowLoop(channels, per, s.backwardChannel)
	return s
}

type foldWeightStep struct {
	n                 *Norm
	b                 *autograd.Binding
	factor            []float32
	forward, backward *rowLoop
}

func (s *foldWeightStep) Forward(c *autograd.Context) { s.forward.run(c.Pool) }

// of returns the part of x that belongs to an output channel.
func (s *foldWeightStep) of(x []float32, c int) []float32 {
	per := len(x) / len(s.factor)
	return x[c*per : (c+1)*per]
}

func (s *foldWeightStep) forwardChannel(_, c int) {
	f := float32(float64(s.b.In[1].F32[c]) / s.n.sigma(c))
	s.factor[c] = f
	kernels.Scale(s.of(s.b.Out.F32, c), f, s.of(s.b.In[0].F32, c))
}

func (s *foldWeightStep) Backward(c *autograd.Context) { s.backward.run(c.Pool) }

func (s *foldWeightStep) backwardChannel(_, c int) {
	dy := s.of(s.b.GradOut.F32, c)
	if dw := s.b.GradIn[0]; !dw.Empty() {
		if dw.Add {
			kernels.Axpy(s.of(dw.F32, c), s.factor[c], dy)
		} else {
			kernels.Scale(s.of(dw.F32, c), s.factor[c], dy)
		}
	}
	if dg := s.b.GradIn[1]; !dg.Empty() {
		put(dg, c, float32(kernels.Dot(dy, s.of(s.b.In[0].F32, c))/s.n.sigma(c)))
	}
}

// put writes or adds element i of a gradient.
func put(v autograd.View, i int, x float32) {
	if v.Add {
		v.F32[i] += x
	} else {
		v.F32[i] = x
	}
}

// FoldBiasOp is the bias of a folded convolution:
//
//	b' = β + γ·(b − mean_mv)/√(var_mv+ε)
//
// Operands: γ, β and, where the convolution has one, its own bias b, each [O].
// Gradient: dβ = db', dγ = db'·(b−mean)/σ, db = db'·γ/σ.
type FoldBiasOp struct{ Norm *Norm }

// Name returns "fold_bias".
func (FoldBiasOp) Name() string { return "fold_bias" }

// States returns the moving statistics.
func (o FoldBiasOp) States() []*autograd.State { return o.Norm.states() }

// Infer implements [autograd.Op].
func (o FoldBiasOp) Infer(_ autograd.Env, in []autograd.Type) (autograd.Spec, error) {
	if len(in) != 2 && len(in) != 3 {
		return autograd.Spec{}, fmt.Errorf("takes gamma, beta and at most a bias")
	}
	for _, t := range in {
		if !t.Plain || t.Elements() != len(o.Norm.Mean.Value) {
			return autograd.Spec{}, fmt.Errorf("every operand must be [%d]", len(o.Norm.Mean.Value))
		}
	}
	return autograd.Spec{Out: in[0].Floats(), ReadsIn: []bool{true, false, true}}, nil
}

// Bind implements [autograd.Op].
func (o FoldBiasOp) Bind(b *autograd.Binding) autograd.Step { return &foldBiasStep{o.Norm, b} }

type foldBiasStep struct {
	n *Norm
	b *autograd.Binding
}

func (s *foldBiasStep) bias(c int) float64 {
	if len(s.b.In) == 3 {
		return float64(s.b.In[2].F32[c])
	}
	return 0
}

func (s *foldBiasStep) Forward(*autograd.Context) {
	gamma, beta := s.b.In[0].F32, s.b.In[1].F32
	for c := range beta {
		s.b.Out.F32[c] = float32(float64(beta[c]) + float64(gamma[c])*(s.bias(c)-float64(s.n.Mean.Value[c]))/s.n.sigma(c))
	}
}

func (s *foldBiasStep) Backward(*autograd.Context) {
	gamma := s.b.In[0].F32
	for c, d := range s.b.GradOut.F32 {
		sigma := s.n.sigma(c)
		if g := s.b.GradIn[0]; !g.Empty() {
			put(g, c, float32(float64(d)*(s.bias(c)-float64(s.n.Mean.Value[c]))/sigma))
		}
		if g := s.b.GradIn[1]; !g.Empty() {
			put(g, c, d)
		}
		if len(s.b.In) == 3 {
			if g := s.b.GradIn[2]; !g.Empty() {
				put(g, c, float32(float64(d)*float64(gamma[c])/sigma))
			}
		}
	}
}
