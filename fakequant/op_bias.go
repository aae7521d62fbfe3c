package fakequant

import (
	"errors"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/quant"
)

// QuantizeBiasOp rounds a bias to the grid of the accumulators, s_x·s_w[c]:
//
//	b̂[c] = s·roundEven(b[c]/s),  s = float32(s_x·s_w[c])
//
// Operands: the bias [O], the quantized weight and the input of the layer; where
// one of the two is float the bias passes through. Gradient: db = db̂.
type QuantizeBiasOp struct{}

// Name returns "quantize_bias".
func (QuantizeBiasOp) Name() string { return "quantize_bias" }

// Infer implements [autograd.Op].
func (QuantizeBiasOp) Infer(_ autograd.Env, in []autograd.Type) (autograd.Spec, error) {
	if len(in) != 3 || !in[0].Plain || !in[1].Plain || in[0].Elements() != in[1].Shape[0] {
		return autograd.Spec{}, errors.New("takes a bias [O], the weight [O …] and the input of the layer")
	}
	return autograd.Spec{Out: in[0].Floats(), NoGrad: []bool{false, true, true}, Note: "int32"}, nil
}

// Bind implements [autograd.Op].
func (QuantizeBiasOp) Bind(b *autograd.Binding) autograd.Step { return &biasStep{b} }

type biasStep struct{ b *autograd.Binding }

func (s *biasStep) Forward(*autograd.Context) {
	b, w, x := s.b.In[0], s.b.In[1], s.b.In[2]
	if w.Grid == nil || x.Grid == nil {
		copy(s.b.Out.F32, b.F32)
		return
	}
	for c, v := range b.F32 {
		scale := accScale(x.Grid, w.Grid, c)
		code, _ := quant.BiasCode(v, scale)
		s.b.Out.F32[c] = float32(float32(code) * scale)
	}
}

// accScale returns the real value of one accumulator of channel c.
func accScale(x, w *quant.Grid, c int) float32 {
	return float32(float64(x.ScaleAt(0)) * float64(w.ScaleAt(c)))
}

func (s *biasStep) Backward(*autograd.Context) {
	g := s.b.GradIn[0]
	if g.Empty() {
		return
	}
	for c, d := range s.b.GradOut.F32 {
		put(g, c, d)
	}
}
