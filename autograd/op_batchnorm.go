package autograd

import (
	"errors"
	"fmt"
	"math"

	"github.com/bitgrad/bitgrad/internal/kernels"
)

// BatchNormAttrs are the constants of a batch normalization.
type BatchNormAttrs struct {
	// Eps is added to the variance; 0 means 1e-5.
	Eps float32
	// Momentum is the weight of the batch in the moving statistics; 0 means 0.1.
	// Keras and Caffe count the other way: their 0.99 is 0.01 here.
	Momentum float32
	// Unbiased moves the variance towards v·n/(n−1), as PyTorch does, and not
	// towards v, as Keras does.
	Unbiased bool
}

// Epsilon returns Eps or its default.
func (a BatchNormAttrs) Epsilon() float32 {
	if a.Eps == 0 {
		return 1e-5
	}
	return a.Eps
}

// Rate returns Momentum or its default.
func (a BatchNormAttrs) Rate() float32 {
	if a.Momentum == 0 {
		return 0.1
	}
	return a.Momentum
}

// Move returns the statistics that follow old ones: old + rate·(batch − old)
// for the mean, and for the variance likewise with v or v·n/(n−1), where the
// batch has n values per channel. A single value says nothing about a variance:
// with n = 1 the old statistics stay.
func (a BatchNormAttrs) Move(oldMean, oldVar float32, mean, variance float64, n int) (newMean, newVar float32) {
	if n < 2 {
		return oldMean, oldVar
	}
	if a.Unbiased {
		variance *= float64(n) / float64(n-1)
	}
	rate := float64(a.Rate())
	return float32(float64(oldMean) + rate*(mean-float64(oldMean))), float32(float64(oldVar) + rate*(variance-float64(oldVar)))
}

func (a BatchNormAttrs) validate() error {
	if e := a.Eps; !(e >= 0) || math.IsInf(float64(e), 0) {
		return fmt.Errorf("epsilon %v: must be positive", e)
	}
	if m := a.Momentum; !(m >= 0 && m <= 1) {
		return fmt.Errorf("momentum %v: must be from 0 to 1", m)
	}
	return nil
}

// BatchNorm normalizes every channel of x [N C H W] or [N C],
//
//	y[n c h w] = γ[c]·(x[n c h w] − μ[c])/√(v[c] + eps) + β[c],
//
// with gamma and beta [C]. In [Train] μ and v are the mean and the biased
// variance of the batch, summed in float64, and the moving statistics, states
// name.running_mean and name.running_var, follow them. In every other mode μ
// and v are the moving statistics.
//
// Gradients, with x̂ = (x − μ)/σ, σ = √(v + eps) and means over n, h, w: dβ =
// Σ dy, dγ = Σ dy·x̂, and dx = γ/σ·(dy − mean(dy) − x̂·mean(dy·x̂)) in Train, γ/σ·dy
// elsewhere.
//
// Ioffe and Szegedy, Batch Normalization, 2015.
func BatchNorm(name string, x, gamma, beta *Node, a BatchNormAttrs) *Node {
	c := 0
	if x != nil && len(x.typ.Shape) > 1 {
		c = max(x.typ.Shape[1], 0)
	}
	mean, variance := make([]float32, c), make([]float32, c)
	for i := range variance {
		variance[i] = 1
	}
	return Apply(name, BatchNormOp{BatchNormAttrs: a, Mean: NewState(name+".running_mean", mean),
		Var: NewState(name+".running_var", variance)}, x, gamma, beta)
}

// BatchNormOp is the operation of [BatchNorm]; its operands are x, gamma and
// beta.
type BatchNormOp struct {
	BatchNormAttrs
	// Mean and Var are the moving statistics.
	Mean, Var *State
}

// Name returns "batch_norm".
func (BatchNormOp) Name() string { return "batch_norm" }

// States returns the moving statistics.
func (o BatchNormOp) States() []*State { return []*State{o.Mean, o.Var} }

// Infer implements [Op].
func (o BatchNormOp) Infer(env Env, in []Type) (Spec, error) {
	if len(in) != 3 {
		return Spec{}, errors.New("an input, gamma and beta expected")
	}
	c, err := checkChannels(in[0])
	if err != nil {
		return Spec{}, err
	}
	if err := checkVector("gamma", in[1], c); err != nil {
		return Spec{}, err
	}
	if err := checkVector("beta", in[2], c); err != nil {
		return Spec{}, err
	}
	if err := o.validate(); err != nil {
		return Spec{}, err
	}
	if o.Mean == nil || o.Var == nil || len(o.Mean.Value) != c || len(o.Var.Value) != c {
		return Spec{}, fmt.Errorf("the moving statistics must have %d channels", c)
	}
	s := Spec{Out: in[0].Floats(), ReadsIn: []bool{true, true, false}}
	for i := range in {
		s.floatBuffer(in, i, Border{})
	}
	return s, nil
}

// batchNorm is the step of [BatchNormOp].
type batchNorm struct {
	BatchNormOp
	batch          bool // statistics of the batch
	n              int  // values per channel
	x, gamma, beta *asFloats
	y              View
	dx, dgamma     View
	dbeta, dy      View
	stats          *moments
	sums           *moments
	mean, inv      []float64 // μ and 1/σ of this step
	scale, shift   []float32 // y = x·scale + shift
	a, b, c        []float32 // dx = dy·a + x·b + c
	zero           []float32
	forward        *rowLoop
	backward       *rowLoop
	row            []float32 // one per worker
}

// Bind implements [Op].
func (o BatchNormOp) Bind(b *Binding) Step {
	s := &batchNorm{BatchNormOp: o, batch: b.Mode == Train, y: b.Out,
		dx: b.GradIn[0], dgamma: b.GradIn[1], dbeta: b.GradIn[2], dy: b.GradOut}
	s.x, s.gamma, s.beta = b.floatsOf(0, Border{}), b.floatsOf(1, Border{}), b.floatsOf(2, Border{})
	l := s.y.L
	s.n = l.N * l.H * l.W
	s.mean, s.inv = make([]float64, l.C), make([]float64, l.C)
	s.scale, s.shift = make([]float32, l.C), make([]float32, l.C)
	s.forward = overRows(s.y, s.normalize)
	if s.batch {
		s.stats = newMoments(s.x.View, s.x.View)
	}
	if s.dy.Empty() {
		return s
	}
	if s.batch || !s.dgamma.Empty() || !s.dbeta.Empty() {
		s.sums = newMoments(s.dy, s.x.View)
	}
	if !s.dx.Empty() {
		s.a, s.b, s.c = make([]float32, l.C), make([]float32, l.C), make([]float32, l.C)
		s.zero = make([]float32, l.C)
		s.row = make([]float32, b.Workers*l.W*l.C)
		s.backward = overRows(s.dx, nil)
		s.backward.fn = s.gradient
	}
	return s
}

func (s *batchNorm) Forward(c *Context) {
	s.x.run(c)
	s.gamma.run(c)
	s.beta.run(c)
	if s.batch {
		s.stats.run(c)
		s.follow()
	} else {
		for i, v := range s.Var.Value {
			s.mean[i], s.inv[i] = float64(s.Mean.Value[i]), 1/math.Sqrt(float64(v)+float64(s.Epsilon()))
		}
	}
	for i, inv := range s.inv {
		scale := float64(s.gamma.F32[i]) * inv
		s.scale[i], s.shift[i] = float32(scale), float32(float64(s.beta.F32[i])-s.mean[i]*scale)
	}
	s.forward.run(c)
}

// follow takes mean and variance from the sums of x and x² and stages the moving
// statistics.
func (s *batchNorm) follow() {
	mean, variance := s.Mean.Stage(), s.Var.Stage()
	n := float64(s.n)
	for i, sum := range s.stats.A {
		m := sum / n
		v := max(s.stats.AB[i]/n-m*m, 0)
		s.mean[i], s.inv[i] = m, 1/math.Sqrt(v+float64(s.Epsilon()))
		mean[i], variance[i] = s.Move(mean[i], variance[i], m, v, s.n)
	}
}

func (s *batchNorm) normalize(_, r0, r1 int) {
	for r := r0; r < r1; r++ {
		kernels.ScaleBias(s.y.f32Row(r), s.x.f32Row(r), s.scale, s.shift)
	}
}

// dβ = Σ dy; dγ = Σ dy·x̂; dx = γ/σ·(dy − dβ/n − x̂·dγ/n), without the last two
// terms where the statistics are not those of the batch.
func (s *batchNorm) Backward(c *Context) {
	if s.sums != nil {
		s.x.run(c)
		s.sums.run(c)
		for i, sum := range s.sums.A {
			s.sums.AB[i] = (s.sums.AB[i] - s.mean[i]*sum) * s.inv[i]
		}
		if !s.dbeta.Empty() {
			writeSums(s.dbeta, s.sums.A)
		}
		if !s.dgamma.Empty() {
			writeSums(s.dgamma, s.sums.AB)
		}
	}
	if s.backward == nil {
		return
	}
	s.gamma.run(c)
	for i, inv := range s.inv {
		a := float64(s.gamma.F32[i]) * inv
		s.a[i] = float32(a)
		if s.batch {
			b := -a * inv * s.sums.AB[i] / float64(s.n)
			s.b[i], s.c[i] = float32(b), float32(-b*s.mean[i]-a*s.sums.A[i]/float64(s.n))
		}
	}
	s.backward.run(c)
}

// gradient computes a block of rows of dx = dy·a + (x·b + c).
func (s *batchNorm) gradient(worker, block int) {
	_, length := s.dx.Rows()
	row := s.row[worker*length : (worker+1)*length]
	l := s.backward
	for r := block * l.per; r < min((block+1)*l.per, l.rows); r++ {
		dx, dy := s.dx.f32Row(r), s.dy.f32Row(r)
		if s.dx.Add {
			kernels.ScaleBias(row, dy, s.a, s.zero)
			kernels.Add(dx, dx, row)
		} else {
			kernels.ScaleBias(dx, dy, s.a, s.zero)
		}
		if s.batch {
			kernels.ScaleBias(row, s.x.f32Row(r), s.b, s.c)
			kernels.Add(dx, dx, row)
		}
	}
}
