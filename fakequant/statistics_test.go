package fakequant

import (
	"fmt"
	"math"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/autograd/optest"
)

// normNet is one convolution with batch norm; channel 1 has a small γ, channel 2
// an all-zero weight, channel 3 a negative γ.
func normNet(t *testing.T, bias bool, a autograd.BatchNormAttrs) *autograd.Graph {
	t.Helper()
	g := autograd.NewGraph("norm")
	x := autograd.Normalize("normalize", g.Input("input", autograd.Uint8, 2, 6, 6), []float32{1.0 / 64, 1.0 / 128}, []float32{-2, -1})
	w := g.Param("conv.weight", autograd.Weight, autograd.HeNormal(), 5, 2, 3, 3)
	var b *autograd.Node
	if bias {
		b = g.Param("conv.bias", autograd.Bias, autograd.Normal(1), 5)
	}
	y := autograd.Conv2D("conv", x, w, b, autograd.ConvAttrs{StrideH: 2, Pad: autograd.Same(3)})
	y = autograd.BatchNorm("bn", y, g.Param("bn.weight", autograd.Gamma, autograd.Ones(), 5), g.Param("bn.bias", autograd.Beta, autograd.Normal(0.3), 5), a)
	y = autograd.Flatten("flat", autograd.ReLU("relu", y))
	g.SetOutput("logits", autograd.Linear("fc", y, g.Param("fc.weight", autograd.Weight, autograd.HeNormal(), 5, 90), nil))
	if err := g.Err(); err != nil {
		t.Fatal(err)
	}
	g.Initialize(5)
	copy(g.Node("bn.weight").Param().Value, []float32{1.5, 0.0009, 1.2, -0.8, 0.4})
	clear(g.Node("conv.weight").Param().Value[2*18 : 3*18])
	for _, s := range g.States() {
		for c := range s.Value {
			s.Value[c] = 0.5 + 0.2*float32(c)
		}
	}
	return g
}

// calibrated runs the observers over a few random batches.
func calibrated(t *testing.T, g *autograd.Graph) {
	t.Helper()
	p := compileFor(t, g, autograd.Calibrate, nil, false)
	for i := range 2 {
		loadRandom(p, uint64(i))
		p.Forward()
		p.Commit()
	}
	if err := FinishCalibration(g); err != nil {
		t.Fatal(err)
	}
}

// TestMovingStatistics computes the statistics of a batch from the codes that the
// convolution read, and where they move.
func TestMovingStatistics(t *testing.T) {
	for name, spec := range map[string]Spec{"dfp4": DFP(4), "int5": Int(5), "float-output": {WeightBits: 4, OutBits: 32}} {
		for _, bias := range []bool{false, true} {
			for _, unbiased := range []bool{false, true} {
				for _, plain := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s/bias=%v/unbiased=%v/plain=%v", name, bias, unbiased, plain), func(t *testing.T) {
						attrs := autograd.BatchNormAttrs{Eps: 0.01, Momentum: 0.25, Unbiased: unbiased}
						g, _, err := Prepare(normNet(t, bias, attrs), spec)
						if err != nil {
							t.Fatal(err)
						}
						g = withLoss(t, g)
						calibrated(t, g)
						checkStatistics(t, g, attrs, plain)
					})
				}
			}
		}
	}
}

func checkStatistics(t *testing.T, g *autograd.Graph, attrs autograd.BatchNormAttrs, plain bool) {
	t.Helper()
	p := compileFor(t, g, autograd.Train, nil, plain)
	loadRandom(p, 7)
	x, w := optest.NewArray(testBatch, 2, 6, 6), optest.NewArray(5, 2, 3, 3)
	keep := func(a optest.Array, v autograd.View) {
		for i, f := range v.Floats(nil) {
			a.Data[i] = float64(f)
		}
	}
	p.Tap(func(n *autograd.Node, v autograd.View) {
		switch n.Name() {
		case "normalize.out", "normalize":
			if v.IsCodes() {
				keep(x, v)
			}
		case "conv.weight.quantized":
			keep(w, v)
		}
	})
	param := func(name string, c int) float64 {
		if n := g.Node(name); n != nil {
			return float64(n.Param().Value[c])
		}
		return 0
	}
	stats := map[string][]float32{}
	for _, s := range g.States() {
		stats[s.Name] = append([]float32(nil), s.Value...)
	}
	p.Forward()
	after := map[string][]float32{}
	for _, s := range g.States() {
		if len(s.Value) == 5 && s.Value[0] != stats[s.Name][0] {
			t.Errorf("%s moved before the commit", s.Name)
		}
	}
	p.Commit()
	for _, s := range g.States() {
		after[s.Name] = s.Value
	}
	y := conv64(x, w, autograd.ConvAttrs{StrideH: 2, Pad: autograd.Same(3)})
	mean, variance := moments64(y)
	n := float64(len(y.Data) / 5)
	for c := range 5 {
		oldMean, oldVar := float64(stats["bn.running_mean"][c]), float64(stats["bn.running_var"][c])
		wantMean, wantVar := oldMean, oldVar
		gamma := param("bn.weight", c)
		if math.Abs(gamma) >= 1.0/1024 && c != 2 {
			ratio := math.Sqrt(oldVar+float64(attrs.Eps)) / gamma
			v := variance[c] * ratio * ratio
			if attrs.Unbiased {
				v *= n / (n - 1)
			}
			wantMean += 0.25 * (param("conv.bias", c) + mean[c]*ratio - oldMean)
			wantVar += 0.25 * (v - oldVar)
		}
		if m := float64(after["bn.running_mean"][c]); math.Abs(m-wantMean) > 1e-5*(1+math.Abs(wantMean)) {
			t.Errorf("mean of channel %d: %v, want %v", c, m, wantMean)
		}
		if v := float64(after["bn.running_var"][c]); math.Abs(v-wantVar) > 1e-5*(1+wantVar) {
			t.Errorf("variance of channel %d: %v, want %v", c, v, wantVar)
		}
	}
}

// TestOtherModesKeepStatistics: only the batch phase moves the statistics, and
// only a commit makes them count.
func TestOtherModesKeepStatistics(t *testing.T) {
	g, _, err := Prepare(normNet(t, true, autograd.BatchNormAttrs{}), DFP(8))
	if err != nil {
		t.Fatal(err)
	}
	g = withLoss(t, g)
	calibrated(t, g)
	before := snapshot(g)
	for _, mode := range []autograd.Mode{autograd.Frozen, autograd.Evaluate} {
		p := compileFor(t, g, mode, nil, false)
		loadRandom(p, 3)
		p.Forward()
		p.Commit()
		for name, v := range snapshot(g) {
			if fmt.Sprint(v) != fmt.Sprint(before[name]) {
				t.Errorf("%s changed %s: %v, was %v", mode, name, v, before[name])
			}
		}
	}
	p := compileFor(t, g, autograd.Train, nil, false)
	loadRandom(p, 3)
	p.Forward()
	p.Discard()
	p.Commit()
	for name, v := range snapshot(g) {
		if fmt.Sprint(v) != fmt.Sprint(before[name]) {
			t.Errorf("a discarded step changed %s: %v, was %v", name, v, before[name])
		}
	}
}

// snapshot copies the state of a graph.
func snapshot(g *autograd.Graph) map[string][]float32 {
	m := map[string][]float32{}
	for _, s := range g.States() {
		m[s.Name] = append([]float32(nil), s.Value...)
	}
	return m
}
