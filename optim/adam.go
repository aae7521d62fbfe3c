package optim

import (
	"math"

	"github.com/bitgrad/bitgrad/internal/kernels"
)

// Adam adapts the rate of every element to the running moments of its gradient
// (Kingma and Ba, 2015), as PyTorch defines it, with t the number of steps that
// the parameter has taken:
//
//	g ← g + λ·w
//	m ← β1·m + (1−β1)·g
//	v ← β2·v + (1−β2)·g²
//	w ← w − η/(1−β1^t) · m / (√v/√(1−β2^t) + ε)
//
// Weight decay λ goes through the moments; [AdamW] keeps it apart.
type Adam struct {
	// Beta1 and Beta2 are in (0,1); zero means 0.9 and 0.999.
	Beta1, Beta2 float64
	// Eps keeps the denominator positive; zero means 1e-8.
	Eps float64
}

// Name returns "adam".
func (Adam) Name() string { return "adam" }

// Slots returns the two moments.
func (Adam) Slots() []string { return []string{"exp_avg", "exp_avg_sq"} }

// Update implements [Method].
func (a Adam) Update(u *Update) {
	s := a.step(u)
	s.Decay = float32(u.WeightDecay)
	kernels.Adam(u.Value, u.Grad, u.Slots[0], u.Slots[1], &s)
}

// AdamW is [Adam] with weight decay taken off the weight directly, outside the
// moments (Loshchilov and Hutter, 2019):
//
//	w ← w·(1 − η·λ), then Adam's step on the bare gradient
type AdamW struct {
	// Beta1 and Beta2 are in (0,1); zero means 0.9 and 0.999.
	Beta1, Beta2 float64
	// Eps keeps the denominator positive; zero means 1e-8.
	Eps float64
}

// Name returns "adamw".
func (AdamW) Name() string { return "adamw" }

// Slots returns the two moments.
func (AdamW) Slots() []string { return Adam{}.Slots() }

// Validate reports a setting out of its range.
func (a AdamW) Validate() error { return Adam(a).Validate() }

// Update implements [Method].
func (a AdamW) Update(u *Update) {
	s := Adam(a).step(u)
	s.Keep = float32(1 - u.LearningRate*u.WeightDecay)
	kernels.Adam(u.Value, u.Grad, u.Slots[0], u.Slots[1], &s)
}

// Validate reports a setting out of its range.
func (a Adam) Validate() error {
	a = a.withDefaults()
	switch {
	case !(a.Beta1 > 0 && a.Beta1 < 1):
		return configError("beta1 %v: must be between 0 and 1", a.Beta1)
	case !(a.Beta2 > 0 && a.Beta2 < 1):
		return configError("beta2 %v: must be between 0 and 1", a.Beta2)
	case !(a.Eps > 0) || math.IsInf(a.Eps, 0):
		return configError("eps %v: must be positive and finite", a.Eps)
	}
	return nil
}

func (a Adam) withDefaults() Adam {
	if a.Beta1 == 0 {
		a.Beta1 = 0.9
	}
	if a.Beta2 == 0 {
		a.Beta2 = 0.999
	}
	if a.Eps == 0 {
		a.Eps = 1e-8
	}
	return a
}

// step returns the numbers of a step without weight decay.
func (a Adam) step(u *Update) kernels.AdamStep {
	a = a.withDefaults()
	t := float64(u.Count)
	return kernels.AdamStep{
		Keep:  1,
		Beta1: float32(a.Beta1), Rest1: float32(1 - a.Beta1),
		Beta2: float32(a.Beta2), Rest2: float32(1 - a.Beta2),
		Rate: float32(u.LearningRate / (1 - math.Pow(a.Beta1, t))),
		Root: float32(math.Sqrt(1 - math.Pow(a.Beta2, t))),
		Eps:  float32(a.Eps),
	}
}
