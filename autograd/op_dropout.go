package autograd

import (
	"fmt"

	"github.com/bitgrad/bitgrad/integer"
	"github.com/bitgrad/bitgrad/quant"
)

// Dropout returns, in the modes that train,
//
//	y = x/(1−rate) with probability 1−rate, else 0
//
// element by element, and x in the others (Srivastava et al., Dropout, 2014,
// in the form scaled while training). Rate is 0 to 1, without 1.
//
// Whether an element is kept depends on the seed of the program, the step, the
// micro-batch, the name of the node and the index of the element in [N C H W],
// not on workers or layouts. In training, codes are read as the real numbers
// they stand for; in the other modes they stay as they are.
//
// Gradient: dx = dy/(1−rate) where x was kept, else 0.
func Dropout(name string, x *Node, rate float32) *Node {
	return Apply(name, DropoutOp{Rate: rate}, x)
}

// DropoutOp is the operation of [Dropout].
type DropoutOp struct{ Rate float32 }

// Name returns "dropout".
func (DropoutOp) Name() string { return "dropout" }

// Infer implements [Op].
func (o DropoutOp) Infer(env Env, in []Type) (Spec, error) {
	if len(in) != 1 {
		return Spec{}, errOneOperand
	}
	if !(o.Rate >= 0 && o.Rate < 1) {
		return Spec{}, fmt.Errorf("rate %v: must be at least 0 and less than 1", o.Rate)
	}
	x := in[0]
	if x.Plain {
		return Spec{}, errNotBatched
	}
	if err := checkReal(x); err != nil {
		return Spec{}, err
	}
	note := fmt.Sprintf("rate %v", o.Rate)
	if !o.drops(env.Mode) {
		return Spec{Out: x, InPlace: true, Note: note, Moves: true}, nil
	}
	s := Spec{Out: x.Floats(), InPlace: x.DType == Float32, Note: note}
	s.Saved = []Buffer{{Uint8, batchOf(x) * x.WithBatch(1).Elements()}}
	s.floatBuffer(in, 0, Border{})
	return s, nil
}

func (o DropoutOp) drops(m Mode) bool { return m.Training() && o.Rate > 0 }

// Bind implements [Op].
func (o DropoutOp) Bind(b *Binding) Step {
	if !o.drops(b.Mode) {
		return bindIdentity(b)
	}
	s := &dropout{rate: o.Rate, scale: 1 / (1 - o.Rate), seed: b.Seed, name: b.Node.Name(), kept: b.Saved[0].U8,
		x: b.floatsOf(0, Border{}), y: b.Out, dx: b.GradIn[0], dy: b.GradOut}
	s.forward, s.backward = overRows(s.y, s.apply), overRows(s.y, s.derive)
	return s
}

type dropout struct {
	rate, scale       float32
	seed              uint64
	name              string
	rand              quant.KeyedRand
	kept              []uint8 // 0 or 1, per element in [N H W C]
	x                 *asFloats
	y, dx, dy         View
	forward, backward *rowLoop
}

func (s *dropout) Forward(c *Context) {
	s.x.run(c)
	s.rand = quant.NewKeyedRand(s.seed, c.Step, c.Micro, s.name)
	s.forward.run(c)
}

func (s *dropout) apply(_, r0, r1 int) {
	l := s.y.L
	for r := r0; r < r1; r++ {
		x, y := s.x.f32Row(r), s.y.f32Row(r)
		kept := s.kept[r*len(y) : (r+1)*len(y)]
		n, h := r/l.H, r%l.H
		i := 0
		for w := range l.W {
			for c := range l.C {
				index := ((uint64(n)*uint64(l.C)+uint64(c))*uint64(l.H)+uint64(h))*uint64(l.W) + uint64(w)
				v, k := float32(0), uint8(0)
				if s.rand.At(index) >= s.rate {
					v, k = float32(x[i]*s.scale), 1
				}
				y[i], kept[i] = v, k
				i++
			}
		}
	}
}

// dx = dy/(1−rate) where x was kept.
func (s *dropout) Backward(c *Context) {
	if !s.dx.Empty() {
		s.backward.run(c)
	}
}

func (s *dropout) derive(_, r0, r1 int) {
	for r := r0; r < r1; r++ {
		dx, dy := s.dx.f32Row(r), s.dy.f32Row(r)
		for i, k := range s.kept[r*len(dy) : (r+1)*len(dy)] {
			d := float32(float32(dy[i]*s.scale) * float32(k))
			if s.dx.Add {
				d += dx[i]
			}
			dx[i] = d
		}
	}
}

// identity is the step of an operation that has nothing to do in this mode.
type identity struct {
	x                 *asFloats
	y, dx, dy         View
	inPlace           bool
	forward, backward *rowLoop
}

func bindIdentity(b *Binding) Step {
	x := b.source(0)
	s := &identity{x: x, y: b.Out, dx: b.GradIn[0], dy: b.GradOut}
	s.inPlace = sameMemory(s.x.Memory, s.y.Memory)
	s.forward, s.backward = overRows(s.y, s.copy), overRows(s.y, s.back)
	return s
}

func sameMemory(a, b Memory) bool {
	switch {
	case a.F32 != nil && b.F32 != nil:
		return &a.F32[0] == &b.F32[0]
	case a.U8 != nil && b.U8 != nil:
		return &a.U8[0] == &b.U8[0]
	case a.I32 != nil && b.I32 != nil:
		return &a.I32[0] == &b.I32[0]
	case a.I64 != nil && b.I64 != nil:
		return &a.I64[0] == &b.I64[0]
	}
	return false
}

func (s *identity) Forward(c *Context) {
	if !s.inPlace {
		s.forward.run(c)
	}
}

func (s *identity) copy(_, r0, r1 int) {
	_, n := s.y.Rows()
	for r := r0; r < r1; r++ {
		s.y.Copy(s.y.Row(r), s.x.View, s.x.Row(r), n)
	}
}

// dx = dy.
func (s *identity) Backward(c *Context) {
	if !s.dx.Empty() {
		s.backward.run(c)
	}
}

func (s *identity) back(_, r0, r1 int) {
	for r := r0; r < r1; r++ {
		copyRow(s.dx.f32Row(r), s.dy.f32Row(r), s.dx.Add)
	}
}

// Lower implements [integer.Lowerer]: the operation vanishes.
func (s *identity) Lower(_ *integer.Builder, _ string, in []integer.Ref) (integer.Ref, error) {
	if err := movesCodes(s.y, in); err != nil {
		return integer.NoRef, err
	}
	return in[0], nil
}
