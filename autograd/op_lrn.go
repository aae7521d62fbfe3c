package autograd

import (
	"errors"
	"fmt"
	"math"

	"github.com/bitgrad/bitgrad/internal/kernels"
)

// LRNAttrs are the constants of a local response normalization.
type LRNAttrs struct {
	// Size is the extent of the neighbourhood; 0 means 5. It is odd where the
	// neighbourhood lies within a channel.
	Size int
	// Alpha, Beta and K are α, β and k; 0 means 1, 0.75 and 1.
	Alpha, Beta, K float32
	// WithinChannel takes the neighbourhood from the image, Size×Size pixels of
	// the same channel, and not from Size neighbouring channels.
	WithinChannel bool
}

// Defaults returns the attributes with every 0 replaced.
func (a LRNAttrs) Defaults() LRNAttrs {
	if a.Size == 0 {
		a.Size = 5
	}
	for _, d := range []struct {
		v    *float32
		zero float32
	}{{&a.Alpha, 1}, {&a.Beta, 0.75}, {&a.K, 1}} {
		if *d.v == 0 {
			*d.v = d.zero
		}
	}
	return a
}

func (a LRNAttrs) validate() error {
	finite := func(v float32) bool { return !math.IsInf(float64(v), 0) && v == v }
	switch {
	case a.Size < 1 || a.Size > 1<<15:
		return fmt.Errorf("size %d: must be from 1 to %d", a.Size, 1<<15)
	case a.WithinChannel && a.Size%2 == 0:
		return fmt.Errorf("size %d: must be odd within a channel", a.Size)
	case !(a.Alpha > 0) || !finite(a.Alpha):
		return fmt.Errorf("alpha %v: must be positive", a.Alpha)
	case !(a.K > 0) || !finite(a.K):
		return fmt.Errorf("k %v: must be positive", a.K)
	case !finite(a.Beta):
		return fmt.Errorf("beta %v: must be finite", a.Beta)
	}
	return nil
}

// LRN normalizes x [N C H W] by its neighbourhood, as Caffe defines it:
//
//	y = x·s^−β,  s = k + α/m · Σ x² over the neighbourhood,
//
// which is cut off at the edges while m is not. Across channels it is the
// channels c − ⌊size/2⌋ to c + ⌊(size−1)/2⌋ of the same pixel, and m = size.
// Within a channel it is the size×size pixels around, and m = size²; Caffe fixes
// k at 1 there.
//
// Gradient: dx_i = dy_i·s_i^−β − 2αβ/m · x_i · Σ dy_j·x_j·s_j^(−β−1) over all j
// that have i in their neighbourhood.
//
// Krizhevsky et al., ImageNet Classification with Deep Convolutional Neural
// Networks, 2012.
func LRN(name string, x *Node, a LRNAttrs) *Node { return Apply(name, LRNOp{a}, x) }

// LRNOp is the operation of [LRN].
type LRNOp struct{ LRNAttrs }

// Name returns "lrn".
func (LRNOp) Name() string { return "lrn" }

// Infer implements [Op].
func (o LRNOp) Infer(_ Env, in []Type) (Spec, error) {
	if len(in) != 1 {
		return Spec{}, errors.New("one operand expected")
	}
	if _, _, _, err := checkImage(in[0]); err != nil {
		return Spec{}, err
	}
	a := o.Defaults()
	if err := a.validate(); err != nil {
		return Spec{}, err
	}
	out := in[0].Floats()
	n := batchOf(out) * out.WithBatch(1).Elements()
	s := Spec{Out: out, ReadsIn: []bool{true}, Saved: []Buffer{{Float32, n}}}
	s.Note = fmt.Sprintf("size %d across channels", a.Size)
	if a.WithinChannel {
		s.Note = fmt.Sprintf("size %d within channels", a.Size)
	}
	s.floatBuffer(in, 0, Border{})
	s.Scratch = append(s.Scratch, Buffer{Float32, n})
	return s, nil
}

// lrn is the step of [LRNOp].
type lrn struct {
	LRNAttrs
	x             *asFloats
	y, dx, dy     View
	s             View      // saved, without border
	q             View      // scratch: what is summed over the neighbourhood
	sum           []float32 // one pixel per block
	before, after int
	m             float32
	squares       *rowLoop
	normalize     *rowLoop
	terms         *rowLoop
	gradient      *rowLoop
}

// Bind implements [Op].
func (o LRNOp) Bind(b *Binding) Step {
	s := &lrn{LRNAttrs: o.Defaults(), x: b.floatsOf(0, Border{}), y: b.Out, dx: b.GradIn[0], dy: b.GradOut}
	t := b.Out.Type.Floats()
	l, _ := layoutOf(t, Border{})
	s.s = View{Type: t, L: l, Memory: b.Saved[0]}
	s.q = View{Type: t, L: l, Memory: b.Scratch[0]}
	s.before, s.after = s.Size/2, (s.Size-1)/2
	s.m = float32(s.Size)
	if s.WithinChannel {
		s.m *= s.m
	}
	s.squares, s.normalize = overRows(s.q, s.squareRows), overRows(s.y, s.normalizeRows)
	if !s.dx.Empty() {
		s.terms, s.gradient = overRows(s.q, s.termRows), overRows(s.dx, s.gradientRows)
		s.sum = make([]float32, s.gradient.blocks()*l.C)
	}
	return s
}

func (s *lrn) Forward(c *Context) {
	s.x.run(c)
	s.squares.run(c)
	s.normalize.run(c)
}

func (s *lrn) squareRows(_, r0, r1 int) {
	for r := r0; r < r1; r++ {
		x := s.x.f32Row(r)
		for i, q := 0, s.q.f32Row(r); i < len(q); i++ {
			q[i] = float32(x[i] * x[i])
		}
	}
}

func (s *lrn) normalizeRows(_, r0, r1 int) {
	ch := s.q.L.C
	ratio := float32(s.Alpha / s.m)
	for r := r0; r < r1; r++ {
		x, y, sums := s.x.f32Row(r), s.y.f32Row(r), s.s.f32Row(r)
		for w := range s.q.L.W {
			s.neighbours(sums[w*ch:(w+1)*ch], r, w, s.before, s.after)
		}
		for i, v := range sums {
			v = s.K + float32(ratio*v)
			sums[i] = v
			y[i] = float32(x[i] * s.power(v))
		}
	}
}

// power returns v^−β.
func (s *lrn) power(v float32) float32 {
	if s.Beta == 0.75 {
		root := math.Sqrt(float64(v))
		return float32(1 / (root * math.Sqrt(root)))
	}
	return float32(math.Pow(float64(v), -float64(s.Beta)))
}

// neighbours sums q over the neighbourhood of pixel w in row r into dst.
func (s *lrn) neighbours(dst []float32, r, w, before, after int) {
	clear(dst)
	l := s.q.L
	if !s.WithinChannel {
		q := s.q.f32Row(r)[w*l.C : (w+1)*l.C]
		for d := -min(before, l.C-1); d <= min(after, l.C-1); d++ {
			from, to := max(0, -d), min(l.C, l.C-d)
			kernels.Add(dst[from:to], dst[from:to], q[from+d:to+d])
		}
		return
	}
	n, h := r/l.H, r%l.H
	for i := max(h-before, 0); i <= min(h+after, l.H-1); i++ {
		row := s.q.f32Row(n*l.H + i)
		for j := max(w-before, 0); j <= min(w+after, l.W-1); j++ {
			kernels.Add(dst, dst, row[j*l.C:(j+1)*l.C])
		}
	}
}

// dx_i = dy_i·s_i^−β − 2αβ/m · x_i · Σ_j dy_j·x_j·s_j^(−β−1).
func (s *lrn) Backward(c *Context) {
	if s.gradient == nil {
		return
	}
	s.x.run(c)
	s.terms.run(c)
	s.gradient.run(c)
}

func (s *lrn) termRows(_, r0, r1 int) {
	for r := r0; r < r1; r++ {
		x, dy, sums, q := s.x.f32Row(r), s.dy.f32Row(r), s.s.f32Row(r), s.q.f32Row(r)
		for i, v := range sums {
			q[i] = float32(dy[i]*x[i]) * (s.power(v) / v)
		}
	}
}

func (s *lrn) gradientRows(block, r0, r1 int) {
	ch := s.q.L.C
	sum := s.sum[block*ch : (block+1)*ch]
	ratio := float32(2 * float32(s.Alpha*s.Beta) / s.m)
	for r := r0; r < r1; r++ {
		x, dy, sums, dx := s.x.f32Row(r), s.dy.f32Row(r), s.s.f32Row(r), s.dx.f32Row(r)
		for w := range s.q.L.W {
			s.neighbours(sum, r, w, s.after, s.before)
			for i, t := range sum {
				k := w*ch + i
				v := float32(dy[k]*s.power(sums[k])) - float32(float32(ratio*x[k])*t)
				if s.dx.Add {
					v += dx[k]
				}
				dx[k] = v
			}
		}
	}
}
