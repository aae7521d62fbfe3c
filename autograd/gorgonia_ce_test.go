package autograd_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/bitgrad/bitgrad/autograd"
)

// crossEntropyBitgrad returns the loss and its gradient for logits [n c].
func crossEntropyBitgrad(t *testing.T, logits []float64, labels []int32, smoothing float32) (loss float64, grad []float64) {
	t.Helper()
	classes := len(logits) / len(labels)
	g := autograd.NewGraph("net")
	x, l := g.Input("x", autograd.Float32, classes), g.Input("labels", autograd.Int32)
	g.SetOutput("loss", autograd.SoftmaxCrossEntropy("loss", x, l, smoothing))
	p := compile(t, g, autograd.CompileOptions{Mode: autograd.Train, Batch: len(labels), InputGrad: true})
	data := make([]float32, len(logits))
	for i, v := range logits {
		data[i] = float32(v)
	}
	if err := p.LoadFloats("x", data); err != nil {
		t.Fatal(err)
	}
	if err := p.LoadLabels("labels", labels); err != nil {
		t.Fatal(err)
	}
	p.Forward()
	p.Backward()
	d, _ := p.GradView("x")
	return float64(p.Loss()), widen(d.Floats(nil))
}

// crossEntropyGorgonia composes −mean Σ target·log softmax in gorgonia, which
// has no fused form of it, in float64.
func crossEntropyGorgonia(t *testing.T, logits []float64, labels []int32, smoothing float64) (loss float64, grad []float64) {
	t.Helper()
	n := len(labels)
	classes := len(logits) / n
	target := make([]float64, len(logits))
	for i, l := range labels {
		for c := range classes {
			target[i*classes+c] = smoothing / float64(classes)
		}
		target[i*classes+int(l)] += 1 - smoothing
	}
	g := gorgonia.NewGraph()
	node := func(name string, data []float64) *gorgonia.Node {
		v := tensor.New(tensor.WithShape(n, classes), tensor.WithBacking(append([]float64(nil), data...)))
		return gorgonia.NodeFromAny(g, v, gorgonia.WithName(name))
	}
	x, y := node("x", logits), node("t", target)
	prob := gorgonia.Must(gorgonia.SoftMax(x, 1))
	sum := gorgonia.Must(gorgonia.Sum(gorgonia.Must(gorgonia.HadamardProd(gorgonia.Must(gorgonia.Log(prob)), y))))
	cost := gorgonia.Must(gorgonia.Div(gorgonia.Must(gorgonia.Neg(sum)), gorgonia.NewConstant(float64(n))))
	ds, err := gorgonia.Grad(cost, x)
	if err != nil {
		t.Fatal(err)
	}
	var lossValue, gradValue gorgonia.Value
	gorgonia.Read(cost, &lossValue)
	gorgonia.Read(ds[0], &gradValue)
	m := gorgonia.NewTapeMachine(g, gorgonia.BindDualValues(x))
	defer m.Close()
	if err := m.RunAll(); err != nil {
		t.Fatal(err)
	}
	return lossValue.Data().(float64), append([]float64(nil), gradValue.Data().([]float64)...)
}

// crossEntropyExact is the loss and its gradient in float64.
func crossEntropyExact(logits []float64, labels []int32, smoothing float64) (loss float64, grad []float64) {
	n := len(labels)
	classes := len(logits) / n
	for i, l := range labels {
		x := logits[i*classes : (i+1)*classes]
		m, sum := math.Inf(-1), 0.0
		for _, v := range x {
			m = max(m, v)
		}
		for _, v := range x {
			sum += math.Exp(v - m)
		}
		for c, v := range x {
			t := smoothing / float64(classes)
			if c == int(l) {
				t += 1 - smoothing
			}
			loss -= t * (v - m - math.Log(sum)) / float64(n)
			grad = append(grad, (math.Exp(v-m)/sum-t)/float64(n))
		}
	}
	return loss, grad
}

func TestCrossEntropyAgreesWithGorgonia(t *testing.T) {
	for _, k := range []struct {
		n, classes int
		smoothing  float32
		deviation  float64
	}{{2, 10, 0, 1}, {7, 3, 0, 5}, {4, 17, 0.125, 2}, {33, 2, 0, 3}} {
		r := rand.New(rand.NewPCG(11, uint64(k.n)))
		logits := make([]float64, k.n*k.classes)
		for i := range logits {
			logits[i] = float64(float32(r.NormFloat64() * k.deviation))
		}
		labels := make([]int32, k.n)
		for i := range labels {
			labels[i] = r.Int32N(int32(k.classes))
		}
		loss, grad := crossEntropyBitgrad(t, logits, labels, k.smoothing)
		wantLoss, want := crossEntropyGorgonia(t, logits, labels, float64(k.smoothing))
		if d := apart([]float64{loss}, []float64{wantLoss}); d > 1e-6 {
			t.Errorf("%+v: loss %v, gorgonia has %v", k, loss, wantLoss)
		}
		if d := apart(grad, want); d > 1e-6 {
			t.Errorf("%+v: gradients are %.2g apart", k, d)
		}
		exactLoss, exact := crossEntropyExact(logits, labels, float64(k.smoothing))
		if apart([]float64{wantLoss}, []float64{exactLoss}) > 1e-12 || apart(want, exact) > 1e-12 {
			t.Errorf("%+v: gorgonia is off the exact loss %v and gradient", k, exactLoss)
		}
	}
}

// Probabilities that underflow are where a careless log of a softmax gives NaN.
func TestCrossEntropyOfFarLogitsAgreesWithGorgonia(t *testing.T) {
	logits, labels := []float64{1000, 0, -1000, 0, 0, 1000}, []int32{0, 1}
	loss, grad := crossEntropyBitgrad(t, logits, labels, 0)
	wantLoss, want := crossEntropyGorgonia(t, logits, labels, 0)
	if loss != 500 || wantLoss != 500 || apart(grad, want) > 1e-7 {
		t.Errorf("loss %v and gradient %v, gorgonia has %v and %v", loss, grad, wantLoss, want)
	}
}
