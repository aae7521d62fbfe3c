package fakequant

import (
	"math"

	"github.com/bitgrad/bitgrad/autograd"
)

// smallGamma is the |γ| below which a channel keeps its moving statistics and
// uses them, also in the batch phase.
const smallGamma = 1.0 / (1 << 10)

// batchPhase is batch norm on p = conv(x, Q(γW/σ_mv)) with the statistics of
// the batch. With m and v the mean and the biased variance of p, σ = σ_mv read
// before the step's update, and ε′ = ε·γ²/σ²:
//
//	y = β + |γ|·(p − m)/√(v + ε′) = A·p + B
//
// A channel with |γ| < 2^-10, or in which p is zero everywhere, is kept: it uses
// its moving statistics, y = p + b′, and leaves them as they are.
//
// Gradients, with σ, the γ inside Q and ε′ constant and x̂ = (p−m)/√(v+ε′):
//
//	dβ = Σdy,  dγ = sign(γ)·Σdy·x̂,  dp = A·(dy − mean(dy) − x̂·mean(dy·x̂));
//	in a kept channel dp = dy and db′ = Σdy.
type batchPhase struct {
	n     *Norm
	count int // elements per channel
	a, b  []float64
	mean  []float64
	inv   []float64 // 1/√(v+ε′)
	kept  []bool
	sign  []float64
	dp0   []float64 // mean(dy)
	dp1   []float64 // mean(dy·x̂)
}

func newBatchPhase(n *Norm, channels, count int) *batchPhase {
	f := func() []float64 { return make([]float64, channels) }
	return &batchPhase{n: n, count: count, a: f(), b: f(), mean: f(), inv: f(), kept: make([]bool, channels),
		sign: f(), dp0: f(), dp1: f()}
}

// forward computes A and B from Σp and Σp² per channel, in real units, and
// stages the moving statistics. own is the convolution's own bias or nil.
func (s *batchPhase) forward(gamma, beta, folded, own []float32, sum, square []float64) {
	n := float64(s.count)
	mean, variance := s.n.Mean.Stage(), s.n.Var.Stage()
	for c := range s.a {
		g := float64(gamma[c])
		sigma := s.n.sigma(c)
		s.kept[c] = math.Abs(g) < smallGamma || square[c] == 0
		if s.kept[c] {
			s.a[c], s.b[c] = 1, float64(folded[c])
			continue
		}
		m := sum[c] / n
		v := max(square[c]/n-m*m, 0)
		ratio := g / sigma
		s.mean[c] = m
		s.inv[c] = 1 / math.Sqrt(v+float64(s.n.Epsilon())*ratio*ratio)
		s.sign[c] = math.Copysign(1, g)
		s.a[c] = math.Abs(g) * s.inv[c]
		s.b[c] = float64(beta[c]) - s.a[c]*m
		sample := m / ratio
		if own != nil {
			sample += float64(own[c])
		}
		mean[c], variance[c] = s.n.Move(mean[c], variance[c], sample, v/(ratio*ratio), s.count)
	}
}

// backward takes Σdy and Σdy·p per channel and writes the gradients of b′, γ and β.
func (s *batchPhase) backward(dy, dyp []float64, folded, gamma, beta autograd.View) {
	n := float64(s.count)
	for c := range s.a {
		var db, dg, dfolded float64
		if s.kept[c] {
			dfolded = dy[c]
			s.dp0[c], s.dp1[c] = 0, 0
		} else {
			x := (dyp[c] - s.mean[c]*dy[c]) * s.inv[c] // Σdy·x̂
			db, dg = dy[c], s.sign[c]*x
			s.dp0[c], s.dp1[c] = dy[c]/n, x/n
		}
		for _, g := range [...]struct {
			v autograd.View
			x float64
		}{{folded, dfolded}, {gamma, dg}, {beta, db}} {
			if !g.v.Empty() {
				put(g.v, c, float32(g.x))
			}
		}
	}
}

// input returns the factors of the gradient of channel c, dp = a·dy + (b + k·p).
func (s *batchPhase) input(c int) (a, b, k float64) {
	if s.kept[c] {
		return 1, 0, 0
	}
	k = -s.a[c] * s.inv[c] * s.dp1[c]
	return s.a[c], -s.a[c]*s.dp0[c] - k*s.mean[c], k
}
