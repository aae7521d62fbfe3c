package autograd_test

import (
	"errors"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/quant"
)

// quantizeOp is an operation from outside the package: it quantizes to a fixed
// grid, with the gradient of the identity.
type quantizeOp struct{ grid quant.Grid }

func (quantizeOp) Name() string { return "quantize" }

func (o quantizeOp) Infer(_ autograd.Env, in []autograd.Type) (autograd.Spec, error) {
	if len(in) != 1 || in[0].DType != autograd.Float32 || in[0].Plain {
		return autograd.Spec{}, errors.New("one batched float32 operand expected")
	}
	t := in[0]
	t.Format = &quant.UniformFormat{BitWidth: o.grid.BitWidth, Signed: o.grid.Signed, Affine: o.grid.ZeroPoint != 0}
	switch {
	case o.grid.BitWidth > 8:
		t.DType = autograd.Int32
	case o.grid.Signed:
		t.DType = autograd.Int8
	default:
		t.DType = autograd.Uint8
	}
	return autograd.Spec{Out: t}, nil
}

func (o quantizeOp) Bind(b *autograd.Binding) autograd.Step {
	*b.Out.Grid = o.grid.Clone()
	return quantizeStep{b}
}

type quantizeStep struct{ *autograd.Binding }

func (s quantizeStep) Forward(*autograd.Context) {
	x, y := s.In[0], s.Out
	rows, n := y.Rows()
	for r := range rows {
		for i := range n {
			y.SetCode(y.Row(r)+i, y.Grid.Quantize(x.F32[x.Row(r)+i], 0, quant.HalfEven))
		}
	}
}

func (s quantizeStep) Backward(*autograd.Context) {
	dx, dy := s.GradIn[0], s.GradOut
	rows, n := dx.Rows()
	for r := range rows {
		for i := range n {
			d := dy.F32[dy.Row(r)+i]
			if dx.Add {
				d += dx.F32[dx.Row(r)+i]
			}
			dx.F32[dx.Row(r)+i] = d
		}
	}
}
