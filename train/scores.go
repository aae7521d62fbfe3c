package train

import "math"

// crossEntropy returns log Σ over c of e^x[c] − x[class] for sample n.
func (l logits) crossEntropy(n int, class int32) float64 {
	from := l.Row(n)
	top := math.Inf(-1)
	for c := range l.L.C {
		top = max(top, float64(l.At(from+c, c)))
	}
	sum := 0.0
	for c := range l.L.C {
		sum += math.Exp(float64(l.At(from+c, c)) - top)
	}
	return top + math.Log(sum) - float64(l.At(from+int(class), int(class)))
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// badWord names a number that is not finite.
func badWord(x float64) string {
	switch {
	case math.IsNaN(x):
		return "NaN"
	case x > 0:
		return "+Inf"
	default:
		return "-Inf"
	}
}
