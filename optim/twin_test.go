package optim

import "math"

// The twins are the papers' equations in float64, one element at a time, with
// everything they remember in a struct. They share no code with the package.

type twin interface {
	step(w, g, rate, decay float64) float64
}

// sgdTwin: Sutskever et al., On the importance of initialization and momentum
// (2013), eq. 1-4, in the form with the rate outside the velocity.
type sgdTwin struct {
	mu       float64
	nesterov bool
	v        float64
}

func (s *sgdTwin) step(w, g, rate, decay float64) float64 {
	g += decay * w
	s.v = s.mu*s.v + g
	if s.nesterov {
		return w - rate*(g+s.mu*s.v)
	}
	return w - rate*s.v
}

// adamTwin: Kingma and Ba, Adam (2015), algorithm 1; with decoupled decay it is
// Loshchilov and Hutter, Decoupled Weight Decay Regularization (2019),
// algorithm 2.
type adamTwin struct {
	b1, b2, eps float64
	decoupled   bool
	m, v        float64
	t           int
}

func (a *adamTwin) step(w, g, rate, decay float64) float64 {
	a.t++
	if !a.decoupled {
		g += decay * w
	}
	a.m = a.b1*a.m + (1-a.b1)*g
	a.v = a.b2*a.v + (1-a.b2)*g*g
	mHat := a.m / (1 - math.Pow(a.b1, float64(a.t)))
	vHat := a.v / (1 - math.Pow(a.b2, float64(a.t)))
	next := w - rate*mHat/(math.Sqrt(vHat)+a.eps)
	if a.decoupled {
		next -= rate * decay * w
	}
	return next
}
