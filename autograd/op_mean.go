package autograd

import (
	"errors"

	"github.com/bitgrad/bitgrad/internal/kernels"
)

// GlobalAveragePool returns the mean of every channel of x [N C H W] as an image
// y [N C 1 1]: y[n c] = 1/(H·W) · Σ over h, w of x[n c h w].
//
// The gradient is dx = dy/(H·W).
func GlobalAveragePool(name string, x *Node) *Node { return Apply(name, GlobalMeanOp{Image: true}, x) }

// MeanHW is [GlobalAveragePool] with the result as features y [N C].
func MeanHW(name string, x *Node) *Node { return Apply(name, GlobalMeanOp{}, x) }

// GlobalMeanOp is the operation of [GlobalAveragePool] and [MeanHW].
type GlobalMeanOp struct {
	// Image keeps the axes H and W, with extent 1.
	Image bool
}

// Name returns "global_average_pool" or "mean_hw".
func (o GlobalMeanOp) Name() string {
	if o.Image {
		return "global_average_pool"
	}
	return "mean_hw"
}

// Infer implements [Op].
func (o GlobalMeanOp) Infer(_ Env, in []Type) (Spec, error) {
	if len(in) != 1 {
		return Spec{}, errors.New("one operand expected")
	}
	c, _, _, err := checkImage(in[0])
	if err != nil {
		return Spec{}, err
	}
	s := Spec{Out: Type{Shape: []int{in[0].Shape[0], c}}}
	if o.Image {
		s.Out.Shape = append(s.Out.Shape, 1, 1)
	}
	s.floatBuffer(in, 0, Border{})
	return s, nil
}

// Bind implements [Op].
func (GlobalMeanOp) Bind(b *Binding) Step {
	c, h, w := b.In[0].CHW()
	return newAveragePool(b, kernels.PoolShape{C: c, KH: h, KW: w, StrideH: 1, StrideW: 1, H: h, W: w, OH: 1, OW: 1})
}
