package kernels

import "math"

// SoftmaxCrossEntropy returns the loss −log softmax(x)[label] of one row of logits,
// computed in float64, and unless dx is nil sets dx[j] = scale·(softmax(x)[j] − [j = label]).
// dx may be x.
func SoftmaxCrossEntropy(dx, x []float32, label int, scale float32) float64 {
	top := math.Inf(-1)
	for _, v := range x {
		top = max(top, float64(v)) // NaN wins
	}
	var sum float64
	for _, v := range x {
		sum += math.Exp(float64(v) - top)
	}
	loss := math.Log(sum) + top - float64(x[label])
	if dx != nil {
		dx = dx[:len(x)]
		for j, v := range x {
			p := math.Exp(float64(v)-top) / sum
			if j == label {
				p--
			}
			dx[j] = float32(p * float64(scale))
		}
	}
	return loss
}
