package fakequant

import (
	"fmt"
	"math"

	"github.com/bitgrad/bitgrad/autograd"
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
	return &foldWeightStep{n: o.Norm, b: b, factor: make([]float32, b.In[1].Elements())}
}

type foldWeightStep struct {
	n      *Norm
	b      *autograd.Binding
	factor []float32
}

func (s *foldWeightStep) Forward(*autograd.Context) {
	w, y := s.b.In[0].F32, s.b.Out.F32
	per := len(w) / len(s.factor)
	for c := range s.factor {
		f := float32(float64(s.b.In[1].F32[c]) / s.n.sigma(c))
		s.factor[c] = f
		for i := c * per; i < (c+1)*per; i++ {
			y[i] = w[i] * f
		}
	}
}

func (s *foldWeightStep) Backward(*autograd.Context) {
	dy, w := s.b.GradOut.F32, s.b.In[0].F32
	dw, dg := s.b.GradIn[0], s.b.GradIn[1]
	per := len(w) / len(s.factor)
	for c, f := range s.factor {
		sum := 0.0
		for i := c * per; i < (c+1)*per; i++ {
			sum += float64(dy[i]) * float64(w[i])
			if !dw.Empty() {
				put(dw, i, dy[i]*f)
			}
		}
		if !dg.Empty() {
			put(dg, c, float32(sum/s.n.sigma(c)))
		}
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
