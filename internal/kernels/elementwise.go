package kernels

import (
	"fmt"

	"github.com/bitgrad/bitgrad/internal/cpu"
)

var (
	relu         = reluPortable
	reluBackward = reluBackwardPortable
	add          = addPortable
	axpy         = axpyPortable
	scale        = scalePortable
	scaleBias    = scaleBiasPortable
	mix          = mixPortable
	addReLU      = addReLUPortable
	scaleReLU    = scaleReLUPortable
	scaleAddReLU = scaleAddReLUPortable
	leakyReLU    = leakyReLUPortable
	leakyBack    = leakyBackPortable
)

func init() {
	register("elementwise", cpu.Portable, func() {
		relu, reluBackward, add, axpy, scale = reluPortable, reluBackwardPortable, addPortable, axpyPortable, scalePortable
		scaleBias, mix = scaleBiasPortable, mixPortable
		addReLU, scaleReLU, scaleAddReLU = addReLUPortable, scaleReLUPortable, scaleAddReLUPortable
		leakyReLU, leakyBack = leakyReLUPortable, leakyBackPortable
	})
}

// ReLU sets dst[i] = min(max(x[i], 0), limit); limit is +Inf for plain ReLU and 6 for
// ReLU6. NaN stays NaN. dst may be x.
func ReLU(dst, x []float32, limit float32) {
	if x = x[:len(dst)]; len(x) > 0 {
		relu(dst, x, limit)
	}
}

func reluPortable(dst, x []float32, limit float32) {
	for i, v := range x {
		dst[i] = min(max(v, 0), limit)
	}
}

// ReLUBackward sets dx[i] to dy[i] where 0 < y[i] < limit and to 0 elsewhere, or with
// add adds dy[i] there. y is the output of ReLU. dx may be dy.
func ReLUBackward(dx, dy, y []float32, limit float32, add bool) {
	if dy, y = dy[:len(dx)], y[:len(dx)]; len(dx) > 0 {
		reluBackward(dx, dy, y, limit, add)
	}
}

func reluBackwardPortable(dx, dy, y []float32, limit float32, add bool) {
	for i := range dx {
		var v float32
		if y[i] > 0 && y[i] < limit {
			v = dy[i]
		}
		if add {
			v += dx[i]
		}
		dx[i] = v
	}
}

// LeakyReLU sets dst[i] = x[i], or slope·x[i] where x[i] ≤ 0. dst may be x.
func LeakyReLU(dst, x []float32, slope float32) {
	if x = x[:len(dst)]; len(x) > 0 {
		leakyReLU(dst, x, slope)
	}
}

func leakyReLUPortable(dst, x []float32, slope float32) {
	for i, v := range x {
		if v <= 0 {
			v *= slope
		}
		dst[i] = v
	}
}

// LeakyReLUBackward sets dx[i] to dy[i] where y[i] > 0 and to slope·dy[i] elsewhere, or with add
// adds that. y is the output of LeakyReLU. dx may be dy.
func LeakyReLUBackward(dx, dy, y []float32, slope float32, add bool) {
	if dy, y = dy[:len(dx)], y[:len(dx)]; len(dx) > 0 {
		leakyBack(dx, dy, y, slope, add)
	}
}

func leakyBackPortable(dx, dy, y []float32, slope float32, add bool) {
	for i, v := range y {
		d := dy[i]
		if !(v > 0) {
			d = float32(d * slope)
		}
		if add {
			d += dx[i]
		}
		dx[i] = d
	}
}

// Add sets dst[i] = a[i] + b[i]. dst may be a or b.
func Add(dst, a, b []float32) {
	if a, b = a[:len(dst)], b[:len(dst)]; len(dst) > 0 {
		add(dst, a, b)
	}
}

func addPortable(dst, a, b []float32) {
	for i := range dst {
		dst[i] = a[i] + b[i]
	}
}

// Axpy adds alpha·x[i] to dst[i].
func Axpy(dst []float32, alpha float32, x []float32) {
	if x = x[:len(dst)]; len(dst) > 0 {
		axpy(dst, alpha, x)
	}
}

func axpyPortable(dst []float32, alpha float32, x []float32) {
	for i, v := range x {
		dst[i] += float32(alpha * v)
	}
}

// Scale sets dst[i] = alpha·x[i].
func Scale(dst []float32, alpha float32, x []float32) {
	if x = x[:len(dst)]; len(dst) > 0 {
		scale(dst, alpha, x)
	}
}

func scalePortable(dst []float32, alpha float32, x []float32) {
	for i, v := range x {
		dst[i] = alpha * v
	}
}

// ScaleBias sets dst[i] = x[i]·scale[c] + bias[c], c = i mod C, for a row x [pixels C].
// dst may be x.
func ScaleBias(dst, x, scale, bias []float32) {
	checkRow("scale and bias", len(dst), len(x), len(scale))
	if bias = bias[:len(scale)]; len(x) > 0 {
		scaleBias(dst, x, scale, bias)
	}
}

func scaleBiasPortable(dst, x, scale, bias []float32) {
	for i := 0; i < len(x); i += len(scale) {
		d, v := dst[i:i+len(scale)], x[i:i+len(scale)]
		for c, s := range scale {
			d[c] = float32(v[c]*s) + bias[c]
		}
	}
}

// Mix sets dst[i] = a[c]·x[i] + (b[c] + k[c]·y[i]), c = i mod C, for rows x and y [pixels C]. Each
// product and each sum is rounded on its own. dst may be x or y.
func Mix(dst, x, y, a, b, k []float32) {
	checkRow("mix", len(dst), len(x), len(a))
	y, b, k = y[:len(dst)], b[:len(a)], k[:len(a)]
	if len(dst) > 0 {
		mix(dst, x, y, a, b, k)
	}
}

func mixPortable(dst, x, y, a, b, k []float32) {
	for i := 0; i < len(x); i += len(a) {
		d, p, q := dst[i:i+len(a)], x[i:i+len(a)], y[i:i+len(a)]
		for c, f := range a {
			t := float32(q[c]*k[c]) + b[c]
			d[c] = float32(p[c]*f) + t
		}
	}
}

// AddReLU is Add and then ReLU.
func AddReLU(dst, a, b []float32, limit float32) {
	if a, b = a[:len(dst)], b[:len(dst)]; len(dst) > 0 {
		addReLU(dst, a, b, limit)
	}
}

func addReLUPortable(dst, a, b []float32, limit float32) {
	addPortable(dst, a, b)
	reluPortable(dst, dst, limit)
}

// ScaleBiasReLU is ScaleBias and then ReLU.
func ScaleBiasReLU(dst, x, scale, bias []float32, limit float32) {
	checkRow("scale, bias and relu", len(dst), len(x), len(scale))
	if bias = bias[:len(scale)]; len(x) > 0 {
		scaleReLU(dst, x, scale, bias, limit)
	}
}

func scaleReLUPortable(dst, x, scale, bias []float32, limit float32) {
	scaleBiasPortable(dst, x, scale, bias)
	reluPortable(dst, dst, limit)
}

// ScaleBiasAddReLU is ScaleBias, Add of other and then ReLU. dst may be x but not other.
func ScaleBiasAddReLU(dst, x, scale, bias, other []float32, limit float32) {
	checkRow("scale, bias, add and relu", len(dst), len(x), len(scale))
	bias, other = bias[:len(scale)], other[:len(dst)]
	if len(x) > 0 {
		scaleAddReLU(dst, x, scale, bias, other, limit)
	}
}

func scaleAddReLUPortable(dst, x, scale, bias, other []float32, limit float32) {
	scaleBiasPortable(dst, x, scale, bias)
	addReLUPortable(dst, dst, other, limit)
}

// accumulatePortable adds x to dst; both are equally long.
func accumulatePortable(dst, x []float32) {
	x = x[:len(dst)]
	for i := range dst {
		dst[i] += x[i]
	}
}

// dividePortable sets dst to x / divisor; both are equally long.
func dividePortable(dst, x []float32, divisor float32) {
	x = x[:len(dst)]
	for i := range dst {
		dst[i] = x[i] / divisor
	}
}

// Dot returns Σ a[i]·b[i] in float64: eight sums of every eighth product, which are then added in order, and the
// products that are left.
func Dot(a, b []float32) float64 {
	if len(a) != len(b) {
		panic(fmt.Sprintf("kernels: dot: %d and %d elements", len(a), len(b)))
	}
	var sums, products [8]float64 // the sums of a are not needed
	n := len(a) &^ 7
	if n > 0 {
		rowProducts(sums[:], products[:], a[:n], 8, b[:n], 8, n/8)
	}
	var sum float64
	for _, v := range products {
		sum += v
	}
	for i, v := range a[n:] {
		sum += float64(float64(v) * float64(b[n+i]))
	}
	return sum
}
