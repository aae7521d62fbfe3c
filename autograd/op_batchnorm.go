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
	if err := o.check(c, in[1], in[2]); err != nil {
		return Spec{}, err
	}
	s := Spec{Out: in[0].Floats(), ReadsIn: []bool{true, true, false}}
	for i := range in {
		s.floatBuffer(in, i, Border{})
	}
	return s, nil
}

// check checks what goes with c channels.
func (o BatchNormOp) check(c int, gamma, beta Type) error {
	if err := checkVector("gamma", gamma, c); err != nil {
		return err
	}
	if err := checkVector("beta", beta, c); err != nil {
		return err
	}
	if err := o.validate(); err != nil {
		return err
	}
	if o.Mean == nil || o.Var == nil || len(o.Mean.Value) != c || len(o.Var.Value) != c {
		return fmt.Errorf("the moving statistics must have %d channels", c)
	}
	return nil
}

// A normalizer holds the parameters of a batch norm in the forms in which rows of pixels
// read them: those that are not float64 are repeated for some pixels, which makes longer loops.
type normalizer struct {
	BatchNormOp
	batch         bool // statistics of the batch
	n             int  // values per channel
	gamma, beta   *asFloats
	dgamma, dbeta View
	stats         *moments  // of x and x²; nil with moving statistics
	sums          *moments  // of dy and dy·x; nil where nobody needs them
	mean, inv     []float64 // μ and 1/σ of this step
	scale, shift  []float32 // y = x·scale + shift
	a, b, k       []float32 // dx = dy·a + (b + x·k); nil where no gradient is wanted
}

// newNormalizer binds a batch norm whose operands gamma and beta are number gamma and the
// next, and whose input is x.
func newNormalizer(o BatchNormOp, b *Binding, gamma int, x View) *normalizer {
	l := x.L
	s := &normalizer{BatchNormOp: o, batch: b.Mode == Train, n: l.N * l.H * l.W, gamma: b.floatsOf(gamma, Border{}), beta: b.floatsOf(gamma+1, Border{}),
		dgamma: b.GradIn[gamma], dbeta: b.GradIn[gamma+1], mean: make([]float64, l.C), inv: make([]float64, l.C)}
	pixels := kernels.RepeatedPixels(l.W, l.C)
	s.scale, s.shift = make([]float32, pixels*l.C), make([]float32, pixels*l.C)
	if s.batch {
		s.stats = newMoments(x, x)
	}
	if b.GradOut.Empty() {
		return s
	}
	s.a, s.b, s.k = make([]float32, pixels*l.C), make([]float32, pixels*l.C), make([]float32, pixels*l.C)
	if s.batch || !s.dgamma.Empty() || !s.dbeta.Empty() {
		s.sums = newMoments(b.GradOut, x)
	}
	return s
}

// prepare reads the operands.
func (s *normalizer) prepare(c *Context) {
	s.gamma.run(c)
	s.beta.run(c)
}

// update follows the statistics: those in stats, which it also stages, or the moving ones.
func (s *normalizer) update() {
	if s.batch {
		mean, variance := s.Mean.Stage(), s.Var.Stage()
		n := float64(s.n)
		for i, sum := range s.stats.A {
			m := sum / n
			v := max(s.stats.AB[i]/n-m*m, 0)
			s.mean[i], s.inv[i] = m, 1/math.Sqrt(v+float64(s.Epsilon()))
			mean[i], variance[i] = s.Move(mean[i], variance[i], m, v, s.n)
		}
	} else {
		for i, v := range s.Var.Value {
			s.mean[i], s.inv[i] = float64(s.Mean.Value[i]), 1/math.Sqrt(float64(v)+float64(s.Epsilon()))
		}
	}
	for i, inv := range s.inv {
		scale := float64(s.gamma.F32[i]) * inv
		s.scale[i], s.shift[i] = float32(scale), float32(float64(s.beta.F32[i])-s.mean[i]*scale)
	}
	kernels.Repeat(s.scale, len(s.inv))
	kernels.Repeat(s.shift, len(s.inv))
}

// backward takes the sums, writes dβ = Σ dy and dγ = Σ dy·x̂, and computes the factors of dx =
// γ/σ·(dy − dβ/n − x̂·dγ/n), which is without the last two terms where the statistics are not
// those of the batch.
func (s *normalizer) backward(c *Context) {
	if s.sums != nil {
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
	for i, inv := range s.inv {
		a := float64(s.gamma.F32[i]) * inv
		s.a[i] = float32(a)
		if s.batch {
			k := -a * inv * s.sums.AB[i] / float64(s.n)
			s.k[i], s.b[i] = float32(k), float32(-k*s.mean[i]-a*s.sums.A[i]/float64(s.n))
		}
	}
	for _, f := range [][]float32{s.a, s.b, s.k} {
		kernels.Repeat(f, len(s.inv))
	}
}

// batchNorm is the step of [BatchNormOp].
type batchNorm struct {
	*normalizer
	x        *asFloats
	y        View
	dx, dy   View
	forward  *rowLoop
	backward *rowLoop
	row      []float32 // one per worker
}

// Bind implements [Op].
func (o BatchNormOp) Bind(b *Binding) Step {
	s := &batchNorm{y: b.Out, dx: b.GradIn[0], dy: b.GradOut, x: b.floatsOf(0, Border{})}
	s.normalizer = newNormalizer(o, b, 1, s.x.View)
	s.forward = overRows(s.y, s.normalize)
	if !s.dx.Empty() {
		_, length := s.dx.Rows()
		s.row = make([]float32, b.Pool.Workers()*length)
		s.backward = overRows(s.dx, nil)
		s.backward.fn = s.gradient
	}
	return s
}

func (s *batchNorm) Forward(c *Context) {
	s.x.run(c)
	s.prepare(c)
	if s.stats != nil {
		s.stats.run(c)
	}
	s.update()
	s.forward.run(c)
}

func (s *batchNorm) normalize(_, r0, r1 int) {
	for r := r0; r < r1; r++ {
		kernels.ScaleBias(s.y.f32Row(r), s.x.f32Row(r), s.scale, s.shift)
	}
}

func (s *batchNorm) Backward(c *Context) {
	if s.dy.Empty() {
		return
	}
	s.x.run(c)
	s.prepare(c)
	s.normalizer.backward(c)
	if s.backward != nil {
		s.backward.run(c)
	}
}

// gradient computes a block of rows of dx.
func (s *batchNorm) gradient(worker, block int) {
	_, length := s.dx.Rows()
	row := s.row[worker*length : (worker+1)*length]
	l := s.backward
	for r := block * l.per; r < min((block+1)*l.per, l.rows); r++ {
		dx := s.dx.f32Row(r)
		if !s.dx.Add {
			s.back(dx, s.dy.f32Row(r), s.x.View, r)
			continue
		}
		s.back(row, s.dy.f32Row(r), s.x.View, r)
		kernels.Add(dx, dx, row)
	}
}

// back computes row r of dx.
func (s *normalizer) back(dx, dy []float32, x View, r int) {
	if s.batch {
		kernels.Mix(dx, dy, x.f32Row(r), s.a, s.b, s.k)
	} else {
		kernels.ScaleBias(dx, dy, s.a, s.b)
	}
}
