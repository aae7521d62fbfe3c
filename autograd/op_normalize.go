package autograd

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// Normalize turns pixels, uint8 [N C H W], into real numbers per channel:
//
//	y[n c h w] = float32(float32(p)·scale[c]) + offset[c]
//
// in float32, rounded after the product and after the sum. For a mean m and a
// deviation s of pixels scaled to 0…1, scale = 1/(255·s) and offset = −m/s. The
// slices have one entry per channel and are copied.
//
// There is no gradient.
func Normalize(name string, x *Node, scale, offset []float32) *Node {
	return Apply(name, NormalizeOp{Scale: slices.Clone(scale), Offset: slices.Clone(offset)}, x)
}

// NormalizeOp is the operation of [Normalize].
type NormalizeOp struct{ Scale, Offset []float32 }

// Name returns "normalize".
func (NormalizeOp) Name() string { return "normalize" }

// Infer implements [Op].
func (o NormalizeOp) Infer(_ Env, in []Type) (Spec, error) {
	if len(in) != 1 {
		return Spec{}, errOneOperand
	}
	x := in[0]
	if x.Plain || len(x.Shape) != 4 || x.DType != Uint8 || x.IsCodes() {
		return Spec{}, errors.New("the operand must be pixels, [N C H W] uint8")
	}
	if err := checkReal(x); err != nil {
		return Spec{}, err
	}
	if c := x.Shape[1]; len(o.Scale) != c || len(o.Offset) != c {
		return Spec{}, fmt.Errorf("%d scales and %d offsets: one per channel expected", len(o.Scale), len(o.Offset))
	}
	for _, s := range [][]float32{o.Scale, o.Offset} {
		for c, v := range s {
			if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
				return Spec{}, fmt.Errorf("channel %d: %v is not finite", c, v)
			}
		}
	}
	return Spec{Out: x.Floats(), NoGrad: []bool{true}}, nil
}

type normalize struct {
	x, y    View
	table   [][256]float32
	forward *rowLoop
}

// Bind implements [Op].
func (o NormalizeOp) Bind(b *Binding) Step {
	s := &normalize{x: b.In[0], y: b.Out, table: make([][256]float32, len(o.Scale))}
	for c := range s.table {
		for p := range 256 {
			s.table[c][p] = float32(float32(p)*o.Scale[c]) + o.Offset[c]
		}
	}
	s.forward = overRows(s.y, s.apply)
	return s
}

func (s *normalize) Forward(c *Context) { s.forward.run(c) }

func (s *normalize) apply(_, r0, r1 int) {
	for r := r0; r < r1; r++ {
		y := s.y.f32Row(r)
		at := s.x.Row(r)
		x := s.x.U8[at : at+len(y)]
		for i := 0; i < len(x); i += len(s.table) {
			for c := range s.table {
				y[i+c] = s.table[c][x[i+c]]
			}
		}
	}
}

func (s *normalize) Backward(*Context) {}
