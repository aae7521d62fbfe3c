package autograd

import (
	"errors"
	"fmt"
	"math"
)

// SoftmaxCrossEntropy returns the mean over the batch of the cross-entropy
// between the labels and the softmax of the logits, one float32:
//
//	y = 1/N Σ over n of (log Σ over c of e^x[n c] − Σ over c of t[n c]·x[n c])
//
// for logits x [N C] or [N C 1 1] and labels [N], int32 from 0 to C−1. The
// target t is 1−smoothing for the label's class, plus smoothing/C for every
// class (Szegedy et al., Rethinking the Inception Architecture, 2016);
// smoothing is 0 to 1, 0 for none. Logits that are codes or accumulators are
// read as the real numbers they stand for.
//
// A label outside 0 to C−1 is a bad number: the loss and the sample's gradient
// are NaN, and [Program.NaNs] counts it.
//
// Gradient: dx = (softmax(x) − t)/N·dy; labels have none.
func SoftmaxCrossEntropy(name string, logits, labels *Node, smoothing float32) *Node {
	return Apply(name, CrossEntropyOp{Smoothing: smoothing}, logits, labels)
}

// CrossEntropyOp is the operation of [SoftmaxCrossEntropy].
type CrossEntropyOp struct{ Smoothing float32 }

// Name returns "crossentropy".
func (CrossEntropyOp) Name() string { return "crossentropy" }

// scalarType is the type of a loss.
func scalarType() Type { return Type{Shape: []int{1}, Plain: true} }

// Infer implements [Op].
func (o CrossEntropyOp) Infer(_ Env, in []Type) (Spec, error) {
	if len(in) != 2 {
		return Spec{}, errors.New("logits and labels expected")
	}
	if !(o.Smoothing >= 0 && o.Smoothing <= 1) {
		return Spec{}, fmt.Errorf("label smoothing %v: must be 0 to 1", o.Smoothing)
	}
	x, labels := in[0], in[1]
	c, h, w := x.CHW()
	if x.Plain || len(x.Shape) != 2 && len(x.Shape) != 4 || h != 1 || w != 1 {
		return Spec{}, errors.New("the logits must be [N C]")
	}
	if err := checkReal(x); err != nil {
		return Spec{}, err
	}
	if labels.Plain || len(labels.Shape) != 1 || labels.DType != Int32 || labels.IsCodes() {
		return Spec{}, errors.New("the labels must be [N] int32")
	}
	s := Spec{Out: scalarType(), NoGrad: []bool{false, true}}
	s.Saved = []Buffer{{Float32, batchOf(x) * c}}
	s.floatBuffer(in, 0, Border{})
	if o.Smoothing != 0 {
		s.Note = fmt.Sprintf("smoothing %v", o.Smoothing)
	}
	return s, nil
}

type crossEntropy struct {
	n, c              int
	smoothing         float64
	x                 *asFloats
	labels, y, dx, dy View
	diff              []float32 // softmax − t, [N C]
	loss              []float64 // per sample
	bad               []bool
	forward, backward *rowLoop
}

// Bind implements [Op].
func (o CrossEntropyOp) Bind(b *Binding) Step {
	s := &crossEntropy{n: b.Batch, c: b.In[0].L.C, smoothing: float64(o.Smoothing), x: b.floatsOf(0, Border{}),
		labels: b.In[1], y: b.Out, dx: b.GradIn[0], dy: b.GradOut, diff: b.Saved[0].F32,
		loss: make([]float64, b.Batch), bad: make([]bool, b.Batch)}
	s.forward, s.backward = overRows(s.x.View, s.samples), overRows(s.x.View, s.derive)
	return s
}

func (s *crossEntropy) Forward(c *Context) {
	s.x.run(c)
	s.forward.run(c)
	sum := 0.0
	for n, v := range s.loss {
		sum += v
		if s.bad[n] {
			c.NaNs++
		}
	}
	s.y.F32[0] = float32(sum / float64(s.n))
}

func (s *crossEntropy) samples(_, n0, n1 int) {
	for n := n0; n < n1; n++ {
		x, diff := s.x.f32Row(n), s.diff[n*s.c:(n+1)*s.c]
		label := int(s.labels.I32[s.labels.Row(n)])
		s.bad[n] = label < 0 || label >= s.c
		if s.bad[n] {
			s.loss[n] = math.NaN()
			for i := range diff {
				diff[i] = float32(math.NaN())
			}
			continue
		}
		m, sum := expSum(x)
		rest := s.smoothing / float64(s.c)
		loss := m + math.Log(sum)
		for i, v := range x {
			t := rest
			if i == label {
				t += 1 - s.smoothing
			}
			if t != 0 { // an infinite logit of another class is no concern
				loss -= t * float64(v)
			}
			diff[i] = float32(math.Exp(float64(v)-m)/sum - t)
		}
		s.loss[n] = loss
	}
}

// dx = (softmax(x) − t)/N·dy.
func (s *crossEntropy) Backward(c *Context) {
	if !s.dx.Empty() {
		s.backward.run(c)
	}
}

func (s *crossEntropy) derive(_, n0, n1 int) {
	g := float32(float64(s.dy.F32[0]) / float64(s.n))
	for n := n0; n < n1; n++ {
		dx := s.dx.f32Row(n)
		for i, v := range s.diff[n*s.c : (n+1)*s.c] {
			d := float32(v * g)
			if s.dx.Add {
				d += dx[i]
			}
			dx[i] = d
		}
	}
}
