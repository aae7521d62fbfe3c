package optim

import "github.com/bitgrad/bitgrad/internal/kernels"

// SGD is stochastic gradient descent as PyTorch defines it, with g the gradient,
// λ the weight decay, μ the momentum and η the learning rate:
//
//	g ← g + λ·w
//	v ← μ·v + g
//	w ← w − η·v             (Nesterov: w ← w − η·(g + μ·v))
//
// The learning rate stands outside the momentum; in Caffe it stands inside
// (v ← μ·v + η·g), which differs only in the steps after the rate changes.
type SGD struct {
	// Momentum is in [0,1); 0 keeps no vector.
	Momentum float64
	// Nesterov looks ahead by one momentum step (Sutskever et al., 2013).
	Nesterov bool
}

// Name returns "sgd".
func (SGD) Name() string { return "sgd" }

// Slots returns "momentum" where there is any.
func (s SGD) Slots() []string {
	if s.Momentum == 0 {
		return nil
	}
	return []string{"momentum"}
}

// Validate reports a momentum outside [0,1) or Nesterov without momentum.
func (s SGD) Validate() error {
	if !(s.Momentum >= 0 && s.Momentum < 1) {
		return configError("momentum %v: must be at least 0 and below 1", s.Momentum)
	}
	if s.Nesterov && s.Momentum == 0 {
		return configError("nesterov needs a momentum above 0")
	}
	return nil
}

// Update implements [Method].
func (s SGD) Update(u *Update) {
	value := u.Value
	grad := u.Grad[:len(value)]
	rate, decay := float32(u.LearningRate), float32(u.WeightDecay)
	if s.Momentum == 0 {
		for i, w := range value {
			g := grad[i] + float32(decay*w)
			value[i] = w - float32(rate*g)
		}
		return
	}
	kernels.Momentum(value, grad, u.Slots[0], decay, float32(s.Momentum), rate, s.Nesterov)
}
