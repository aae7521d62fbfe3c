package optest

import (
	"fmt"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/quant"
)

// probeOp is the loss that a case is differentiated through: the sum over its
// operands of Σ u·x with fixed weights u, so that dx = u. It asks for borders
// around its batched operands, which gives them layouts with gaps.
type probeOp struct {
	weights [][]float32 // per operand, in NCHW order
	border  autograd.Border
}

func (probeOp) Name() string { return "probe" }

func (o probeOp) Infer(_ autograd.Env, in []autograd.Type) (autograd.Spec, error) {
	s := autograd.Spec{Out: autograd.Type{Shape: []int{1}, Plain: true}}
	for _, t := range in {
		b := o.border
		if t.Plain || len(t.Shape) != 4 {
			b = autograd.Border{}
		}
		s.Border = append(s.Border, b)
	}
	return s, nil
}

func (o probeOp) Bind(b *autograd.Binding) autograd.Step {
	p := &probe{op: o, b: b}
	for _, v := range b.In {
		p.at = append(p.at, offsets(v))
	}
	for _, v := range b.GradIn {
		var at []int
		if !v.Empty() {
			at = offsets(v)
		}
		p.gradAt = append(p.gradAt, at)
	}
	return p
}

type probe struct {
	op         probeOp
	b          *autograd.Binding
	at, gradAt [][]int
}

func (p *probe) Forward(*autograd.Context) {
	sum := 0.0
	for i, v := range p.b.In {
		for k, u := range p.op.weights[i] {
			sum += float64(u) * float64(v.At(p.at[i][k], 0))
		}
	}
	p.b.Out.F32[0] = float32(sum)
}

func (p *probe) Backward(*autograd.Context) {
	g := p.b.GradOut.F32[0]
	for i, v := range p.b.GradIn {
		for k, at := range p.gradAt[i] {
			d := g * p.op.weights[i][k]
			if v.Add {
				d += v.F32[at]
			}
			v.F32[at] = d
		}
	}
}

// offsets returns where the elements of v lie, in NCHW order.
func offsets(v autograd.View) []int {
	var at []int
	if v.Plain {
		for i := range v.Elements() {
			at = append(at, i)
		}
		return at
	}
	for n := range v.L.N {
		for c := range v.L.C {
			for h := range v.L.H {
				for w := range v.L.W {
					at = append(at, v.L.Row(n, h)+w*v.L.SW+c)
				}
			}
		}
	}
	return at
}

// codesOp quantizes floats to a fixed grid, with the gradient of the identity.
type codesOp struct{ grid quant.Grid }

func (codesOp) Name() string { return "codes" }

func (o codesOp) Infer(_ autograd.Env, in []autograd.Type) (autograd.Spec, error) {
	if len(in) != 1 || in[0].DType != autograd.Float32 {
		return autograd.Spec{}, fmt.Errorf("wants one float32 operand")
	}
	t := in[0]
	g := o.grid
	_, po2 := g.FL(0)
	t.Format = &quant.UniformFormat{BitWidth: g.BitWidth, Signed: g.Signed, Narrow: g.Narrow, MidRise: g.MidRise,
		PowerOfTwo: po2 && g.ZeroPoint == 0, Affine: g.ZeroPoint != 0, Reciprocal: g.Reciprocal}
	switch {
	case g.BitWidth > 8:
		t.DType = autograd.Int32
	case g.Signed:
		t.DType = autograd.Int8
	default:
		t.DType = autograd.Uint8
	}
	return autograd.Spec{Out: t}, nil
}

func (o codesOp) Bind(b *autograd.Binding) autograd.Step {
	*b.Out.Grid = o.grid.Clone()
	s := &codes{b: b, from: offsets(b.In[0]), to: offsets(b.Out)}
	if !b.GradIn[0].Empty() {
		s.gradFrom, s.gradTo = offsets(b.GradOut), offsets(b.GradIn[0])
	}
	return s
}

type codes struct {
	b                          *autograd.Binding
	from, to, gradFrom, gradTo []int
}

func (s *codes) Forward(*autograd.Context) {
	x, y := s.b.In[0], s.b.Out
	for k, at := range s.to {
		y.SetCode(at, y.Grid.Quantize(x.F32[s.from[k]], 0, quant.HalfEven))
	}
}

func (s *codes) Backward(*autograd.Context) {
	dx, dy := s.b.GradIn[0], s.b.GradOut
	for k, at := range s.gradTo {
		d := dy.F32[s.gradFrom[k]]
		if dx.Add {
			d += dx.F32[at]
		}
		dx.F32[at] = d
	}
}

// relayOp copies its operand. Its value, unlike that of an input or a
// parameter, dies when the plan says so.
type relayOp struct{}

func (relayOp) Name() string { return "relay" }

func (relayOp) Infer(_ autograd.Env, in []autograd.Type) (autograd.Spec, error) {
	return autograd.Spec{Out: in[0]}, nil
}

func (relayOp) Bind(b *autograd.Binding) autograd.Step {
	s := &relay{codes{b: b, from: offsets(b.In[0]), to: offsets(b.Out)}}
	if !b.GradIn[0].Empty() {
		s.gradFrom, s.gradTo = offsets(b.GradOut), offsets(b.GradIn[0])
	}
	return s
}

type relay struct{ codes }

func (s *relay) Forward(*autograd.Context) {
	x, y := s.b.In[0], s.b.Out
	for k, at := range s.to {
		if y.Elem() == autograd.Float32 {
			y.F32[at] = x.F32[s.from[k]]
		} else {
			y.SetCode(at, x.Code(s.from[k]))
		}
	}
}
