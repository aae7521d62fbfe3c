package kernels

import "math"

// Steps of optimizers on a run of elements of one parameter. Each element is computed from
// itself alone, product by product as it is written, so that all variants give the same bits.

// AdamStep are the numbers of a step of Adam that are the same for every element.
type AdamStep struct {
	// Decay is weight decay that goes through the moments, Keep what decoupled weight decay
	// leaves of a value; 0 and 1 where there is none.
	Decay, Keep float32
	// Rest1 is 1−Beta1, Rest2 is 1−Beta2.
	Beta1, Rest1, Beta2, Rest2 float32
	// Rate is η/(1−β1^t) and Root √(1−β2^t) in step t.
	Rate, Root, Eps float32
}

// Adam takes the step
//
//	g = grad[i] + Decay·value[i]
//	m[i] = Beta1·m[i] + Rest1·g
//	v[i] = Beta2·v[i] + Rest2·g·g
//	value[i] = Keep·value[i] − Rate·m[i] / (√v[i]/Root + Eps)
func Adam(value, grad, m, v []float32, s *AdamStep) {
	n := len(value)
	grad, m, v = grad[:n], m[:n], v[:n]
	done := adam(value, grad, m, v, s)
	adamPortable(value[done:], grad[done:], m[done:], v[done:], s)
}

func adamPortable(value, grad, m, v []float32, s *AdamStep) {
	grad, m, v = grad[:len(value)], m[:len(value)], v[:len(value)]
	for i, w := range value {
		g := grad[i] + float32(s.Decay*w)
		m[i] = float32(s.Beta1*m[i]) + float32(s.Rest1*g)
		v[i] = float32(s.Beta2*v[i]) + float32(float32(s.Rest2*g)*g)
		denominator := float32(math.Sqrt(float64(v[i])))/s.Root + s.Eps
		value[i] = float32(s.Keep*w) - float32(s.Rate*m[i])/denominator
	}
}

// Momentum takes the step
//
//	g = grad[i] + decay·value[i]
//	v[i] = mu·v[i] + g
//	value[i] = value[i] − rate·v[i]         nesterov: − rate·(g + mu·v[i])
func Momentum(value, grad, v []float32, decay, mu, rate float32, nesterov bool) {
	n := len(value)
	grad, v = grad[:n], v[:n]
	done := momentum(value, grad, v, decay, mu, rate, nesterov)
	momentumPortable(value[done:], grad[done:], v[done:], decay, mu, rate, nesterov)
}

func momentumPortable(value, grad, v []float32, decay, mu, rate float32, nesterov bool) {
	grad, v = grad[:len(value)], v[:len(value)]
	for i, w := range value {
		g := grad[i] + float32(decay*w)
		v[i] = float32(mu*v[i]) + g
		step := v[i]
		if nesterov {
			step = g + float32(mu*v[i])
		}
		value[i] = w - float32(rate*step)
	}
}

// SumSquares returns Σ x[i]² in float64. It adds in four lanes, element i in lane i mod 4, and what
// is left behind the last four in the first; then (0 + 1) + (2 + 3). It is finite exactly where every element is.
func SumSquares(x []float32) float64 {
	var lanes [4]float64
	for _, v := range x[sumSquares(&lanes, x):] {
		lanes[0] += float64(float64(v) * float64(v))
	}
	return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3])
}

// sumSquaresPortable adds up x as far as it fills lanes, and returns how far.
func sumSquaresPortable(lanes *[4]float64, x []float32) int {
	a, b, c, d := lanes[0], lanes[1], lanes[2], lanes[3]
	whole := len(x) &^ 3
	for x = x[:whole]; len(x) >= 4; x = x[4:] {
		p, q, r, s := float64(x[0]), float64(x[1]), float64(x[2]), float64(x[3])
		a += float64(p * p)
		b += float64(q * q)
		c += float64(r * r)
		d += float64(s * s)
	}
	lanes[0], lanes[1], lanes[2], lanes[3] = a, b, c, d
	return whole
}
