package fakequant

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/layers"
	"github.com/bitgrad/bitgrad/quant"
)

// rules reads rules from their text.
func rules(t *testing.T, text ...string) []Rule {
	t.Helper()
	var rs []Rule
	for _, s := range text {
		r, err := ParseRule(s)
		if err != nil {
			t.Fatal(err)
		}
		rs = append(rs, r)
	}
	return rs
}

const lenetReport = `normalize (normalize): output uint8 power-of-two half-up
conv1 (conv2d): weights int8 power-of-two; output int8 power-of-two half-up
conv2 (conv2d): weights int8 power-of-two; output int8 power-of-two half-up
fc1 (linear): weights int8 power-of-two; output uint8 power-of-two half-up
fc2 (linear): weights int8 power-of-two; output accumulators
`

const resnetReport = `normalize (normalize): output uint8 symmetric
conv1 (conv2d): weights int8 narrow symmetric per-channel; batch norm conv1.bn folded in; output uint8 symmetric
stage1.block0.conv1 (conv2d): input uint4 symmetric; weights int4 narrow symmetric per-channel; batch norm stage1.block0.conv1.bn folded in; output uint8 symmetric
stage1.block0.conv2 (conv2d): weights int4 narrow symmetric per-channel; batch norm stage1.block0.conv2.bn folded in; output uint8 affine
stage1.block0.add (add): output uint8 symmetric
stage2.block0.conv1 (conv2d): weights int8 narrow symmetric per-channel; batch norm stage2.block0.conv1.bn folded in; output uint8 symmetric
stage2.block0.conv2 (conv2d): weights int8 narrow symmetric per-channel; batch norm stage2.block0.conv2.bn folded in; output uint8 affine
stage2.block0.shortcut (conv2d): weights int8 narrow symmetric per-channel; output uint8 affine
stage2.block0.add (add): output uint8 symmetric
stage3.block0.conv1 (conv2d): not quantized: a rule keeps it float
stage3.block0.conv2 (conv2d): weights int8 power-of-two; batch norm stage3.block0.conv2.bn folded in; output int5 power-of-two half-up fl 3
stage3.block0.shortcut (conv2d): weights int8 narrow symmetric per-channel; output uint8 affine
stage3.block0.add (add): output uint8 symmetric
pool (global_average_pool): output uint8 symmetric
fc (linear): weights int2 narrow symmetric per-channel; output uint16 affine
`

func TestReport(t *testing.T) {
	_, report, err := Prepare(layers.LeNet().Graph, DFP(8))
	if err != nil {
		t.Fatal(err)
	}
	if got := report.String(); got != lenetReport {
		t.Errorf("lenet:\n%swant\n%s", got, lenetReport)
	}
	base, err := ParseSpec("int8:w8a8,per-channel,ste")
	if err != nil {
		t.Fatal(err)
	}
	_, report, err = Prepare(layers.ResNet8().Graph, base, rules(t, "stage1.*=w4", "stage1.block0.conv1=in=4", "kind:linear=w2",
		"logits=a16", "stage3.block0.conv1=float", "stage3.block0.conv2=dfp:a5,afl=3,ste")...)
	if err != nil {
		t.Fatal(err)
	}
	// The pixels of ResNet-8 are not centred, and the spec's per-channel does not reach dfp's words.
	want := strings.Replace(resnetReport, "weights int8 power-of-two;", "weights int8 power-of-two per-channel;", 1)
	if got := report.String(); got != want {
		t.Errorf("resnet8:\n%swant\n%s", got, want)
	}
}

// formats lists the quantizers of a prepared graph by name.
func formats(g *autograd.Graph) map[string]string {
	m := map[string]string{}
	for _, q := range Quantizers(g) {
		m[q.Name()] = fmt.Sprintf("%d %s %s", q.Format.BitWidth, q.Estimator.Name(), q.Observer.Name())
	}
	return m
}

func TestRules(t *testing.T) {
	tests := []struct {
		name  string
		base  Spec
		rules []string
		want  map[string]string
	}{
		{"defaults", DFP(8), nil, map[string]string{"conv1 weights": "8 tqt mse", "conv1 output": "8 tqt mse", "normalize output": "8 ste minmax",
			"fc1 output": "8 tqt mse", "fc2 weights": "8 tqt mse", "fc2 output": ""}},
		{"integers", Int(4), nil, map[string]string{"conv1 weights": "4 lsq mse", "normalize output": "8 ste minmax"}},
		{"observer of an estimator without training", Spec{Estimator: STE{}}, nil, map[string]string{"conv1 weights": "8 ste ema", "conv1 output": "8 ste ema"}},
		{"last match wins field by field", DFP(8), []string{"conv*=w4a6", "conv1=w2", "*1=a3"},
			map[string]string{"conv1 weights": "2 tqt mse", "conv1 output": "3 tqt mse", "conv2 weights": "4 tqt mse", "conv2 output": "6 tqt mse", "fc1 weights": "8 tqt mse", "fc1 output": "3 tqt mse"}},
		{"order counts", DFP(8), []string{"conv1=w2", "conv*=w4"}, map[string]string{"conv1 weights": "4 tqt mse"}},
		{"a kind", DFP(8), []string{"kind:linear=w3"}, map[string]string{"conv1 weights": "8 tqt mse", "fc1 weights": "3 tqt mse", "fc2 weights": "3 tqt mse"}},
		{"globs do not reach the edges", DFP(8), []string{"*=a4", "?*=a5"}, map[string]string{"normalize output": "8 ste minmax", "conv1 output": "5 tqt mse", "fc2 output": ""}},
		{"edges by name", DFP(8), []string{"input=a4", "logits=a12"}, map[string]string{"normalize output": "4 ste minmax", "fc2 output": "12 tqt mse", "conv1 output": "8 tqt mse"}},
		{"the input by its node", DFP(8), []string{"normalize=a6"}, map[string]string{"normalize output": "6 ste minmax"}},
		{"a rule for the last layer leaves its logits alone", DFP(8), []string{"fc2=w4a4"}, map[string]string{"fc2 weights": "4 tqt mse", "fc2 output": ""}},
		{"an edge between layers", DFP(8), []string{"conv2=in=3"}, map[string]string{"conv2.in edge": "3 tqt mse", "conv1 output": "8 tqt mse"}},
		{"float weights", DFP(8), []string{"conv2=w32"}, map[string]string{"conv2 weights": "", "conv2 output": "8 tqt mse"}},
		{"float output", DFP(8), []string{"conv2=a32"}, map[string]string{"conv2 weights": "8 tqt mse", "conv2 output": ""}},
		{"a float layer", DFP(8), []string{"conv2=float"}, map[string]string{"conv2 weights": "", "conv2 output": "", "fc1 weights": "8 tqt mse"}},
		{"another scheme has its own estimator", Spec{Scheme: FixedPoint, Estimator: TQT{}, Observer: MinMax{}}, []string{"conv2=int8:w8"},
			map[string]string{"conv2 weights": "8 lsq mse", "conv1 weights": "8 tqt minmax"}},
		{"a fixed length is not learned", DFP(8), []string{"conv1=wfl=5"}, map[string]string{"conv1 weights": "8 ste mse", "conv1 output": "8 tqt mse"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g, _, err := Prepare(layers.LeNet().Graph, tt.base, rules(t, tt.rules...)...)
			if err != nil {
				t.Fatal(err)
			}
			have := formats(g)
			for name, want := range tt.want {
				if have[name] != want {
					t.Errorf("%s: %q, want %q", name, have[name], want)
				}
			}
		})
	}
}

func TestPrepareErrors(t *testing.T) {
	lenet := layers.LeNet().Graph
	broken := autograd.NewGraph("broken")
	autograd.ReLU("relu", broken.Input("input", autograd.Float32, 0))
	prepared, _, err := Prepare(lenet, DFP(8))
	if err != nil {
		t.Fatal(err)
	}
	three := 3
	tests := []struct {
		name  string
		g     *autograd.Graph
		base  Spec
		rules []string
		is    error
		want  string
	}{
		{"nil", nil, DFP(8), nil, ErrSpec, "fakequant: invalid quantization: the graph is nil"},
		{"broken", broken, DFP(8), nil, autograd.ErrShape, ""},
		{"twice", prepared, DFP(8), nil, ErrSpec, "fakequant: invalid quantization: lenet is prepared already"},
		{"width", lenet, DFP(17), nil, quant.ErrBitWidth, "fakequant: invalid quantization: weight: quant: bit width 17: must be 1 to 16, or 32 for float"},
		{"negative width", lenet, A(-1), nil, quant.ErrBitWidth, "fakequant: invalid quantization: output: quant: bit width -1: must be 1 to 16, or 32 for float"},
		{"length of integers", lenet, Spec{Scheme: Integer, OutFL: &three}, nil, ErrSpec, "fakequant: invalid quantization: a fractional length is given, but the scheme is int8: only dfp has one"},
		{"afl in a rule", lenet, Int(8), []string{"conv1=afl=3"}, ErrSpec, "conv1: fakequant: invalid quantization: a fractional length is given, but the scheme is int8: only dfp has one"},
		{"affine dfp", lenet, DFP(8), []string{"fc1=affine"}, ErrSpec, "fc1: fakequant: invalid quantization: dfp has no zero point: leave out affine"},
		{"lsq on dfp", lenet, DFP(8), []string{"conv1=lsq"}, ErrSpec, "conv1: weights: fakequant: invalid quantization: lsq learns any scale: use tqt for dfp"},
		{"tqt on integers", lenet, Int(8), []string{"conv1=tqt"}, ErrSpec, "conv1: weights: fakequant: invalid quantization: tqt learns powers of two: use lsq for float scales"},
		{"lsq with a zero point", lenet, Int(8), []string{"conv1=affine"}, ErrSpec, "conv1: output: fakequant: invalid quantization: lsq has no zero point: use ste for affine formats"},
		{"one narrow bit", lenet, DFP(1), []string{"conv1=narrow"}, quant.ErrFormat, "fakequant: invalid quantization: conv1: weights: quant: narrow range of 1 bit: leaves a single code"},
		{"misspelt", lenet, DFP(8), []string{"cnov1=w4"}, ErrRule, `fakequant: rule matches nothing: "cnov1"; nearest: "conv1", "conv2"`},
		{"misspelt edge", lenet, DFP(8), []string{"inputs=a4"}, ErrRule, `fakequant: rule matches nothing: "inputs"; nearest: "input"`},
		{"misspelt kind", lenet, DFP(8), []string{"kind:linaer=w4"}, ErrRule, `fakequant: rule matches nothing: "kind:linaer"; nearest: "kind:linear"`},
		{"nothing near", lenet, DFP(8), []string{"xyzxyzxyz=w4"}, ErrRule, `fakequant: rule matches nothing: "xyzxyzxyz"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g, report, err := Prepare(tt.g, tt.base, rules(t, tt.rules...)...)
			if !errors.Is(err, tt.is) || tt.want != "" && err.Error() != tt.want {
				t.Errorf("%v", err)
			}
			if g != nil || report != nil {
				t.Error("a graph or a report beside an error")
			}
		})
	}
}

// TestPrepareKeepsNames: nodes of the original are found under their names,
// parameters are the same, and the original is as it was.
func TestPrepareKeepsNames(t *testing.T) {
	net := layers.ResNet8()
	var before strings.Builder
	if err := net.Graph.Dump(&before); err != nil {
		t.Fatal(err)
	}
	g, _, err := Prepare(net.Graph, DFP(8))
	if err != nil {
		t.Fatal(err)
	}
	var after strings.Builder
	if err := net.Graph.Dump(&after); err != nil {
		t.Fatal(err)
	}
	if before.String() != after.String() {
		t.Error("Prepare changed the graph that it was given")
	}
	for _, n := range net.Graph.Nodes() {
		k := g.Node(n.Name())
		if k == nil {
			t.Errorf("%s is gone", n.Name())
			continue
		}
		if n.Param() != k.Param() {
			t.Errorf("%s has another parameter", n.Name())
		}
		if len(k.Type().Shape) != len(n.Type().Shape) {
			t.Errorf("%s is %s, was %s", n.Name(), k.Type(), n.Type())
		}
	}
	states := map[string]*autograd.State{}
	for _, s := range g.States() {
		if states[s.Name] != nil {
			t.Errorf("two states are named %s", s.Name)
		}
		states[s.Name] = s
	}
	for _, s := range net.Graph.States() {
		if states[s.Name] != s {
			t.Errorf("state %s is not shared", s.Name)
		}
	}
}

func TestNotCalibrated(t *testing.T) {
	g, _, err := Prepare(mixedNet(t), DFP(8))
	if err != nil {
		t.Fatal(err)
	}
	g = withLoss(t, g)
	for _, mode := range []autograd.Mode{autograd.Train, autograd.Frozen, autograd.Evaluate} {
		if _, err := g.Compile(autograd.CompileOptions{Mode: mode, Batch: 2}); !errors.Is(err, ErrNotCalibrated) || !strings.Contains(err.Error(), "conv1 weights: run calibration first") {
			t.Errorf("%s: %v", mode, err)
		}
	}
	if err := FinishCalibration(g); !errors.Is(err, ErrNotCalibrated) || !strings.Contains(err.Error(), "channel 0 has no range: calibrate with at least one batch") {
		t.Errorf("without a batch: %v", err)
	}
	if err := Calibrated(g); !errors.Is(err, ErrNotCalibrated) {
		t.Errorf("after a calibration that failed: %v", err)
	}
	for _, q := range Quantizers(g) {
		if _, ok := q.Grid(); ok != q.Pinned {
			t.Errorf("%s has a grid before calibration", q.Name())
		}
	}
	calibrated(t, g)
	if err := Calibrated(g); err != nil {
		t.Error(err)
	}
	for _, q := range Quantizers(g) {
		y, ok := q.Grid()
		if !ok || y.Validate() != nil || len(y.Scale) != q.Channels {
			t.Errorf("%s has the grid %s, %v", q.Name(), y, ok)
		}
	}
}

// badNumbers are what no range can be made of.
var badNumbers = []float32{float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN())}

// TestBadCalibration: a bad number in the data is named, not taken for a range
// or left out of it, by every observer, in whichever batch it is.
func TestBadCalibration(t *testing.T) {
	g := autograd.NewGraph("bad")
	x := g.Input("input", autograd.Float32, 2)
	g.SetOutput("logits", autograd.Linear("fc", x, g.Param("w", autograd.Weight, autograd.Ones(), 5, 2), nil))
	g.Initialize(1)
	for _, observer := range []Observer{MinMax{}, MovingAverage{}, MSE{}} {
		for _, bad := range badNumbers {
			for _, batches := range [][][]float32{{{1, bad}}, {{1, 2}, {1, bad}}, {{bad, 1}, {1, 2}}} {
				q, _, err := Prepare(g, Spec{Observer: observer})
				if err != nil {
					t.Fatal(err)
				}
				p := compileFor(t, q, autograd.Calibrate, nil, false)
				counted := int64(0)
				for _, batch := range batches {
					if err := p.LoadFloats("input", batch); err != nil {
						t.Fatal(err)
					}
					p.Forward()
					counted += p.NaNs()
					p.Commit()
				}
				if counted == 0 {
					t.Errorf("%s, %v: not counted", observer.Name(), batches)
				}
				if err := FinishCalibration(q); !errors.Is(err, ErrNotCalibrated) || !strings.Contains(err.Error(), "input output: ") {
					t.Errorf("%s, %v: %v", observer.Name(), batches, err)
				}
				if err := Calibrated(q); !errors.Is(err, ErrNotCalibrated) {
					t.Errorf("%s, %v: calibrated after all: %v", observer.Name(), batches, err)
				}
			}
		}
	}
}

// TestBadWeights: calibration refuses a weight with a bad number, whether its
// range is learned or observed, and says which channel it is in.
func TestBadWeights(t *testing.T) {
	channels, err := ParseSpec("int8:w8a8,per-channel")
	if err != nil {
		t.Fatal(err)
	}
	for name, spec := range map[string]Spec{"learned": DFP(8), "observed": {Estimator: STE{}}, "per channel": channels} {
		for _, bad := range badNumbers {
			g := prepared(t, spec)
			w := g.Node("gate.weight").Param()
			w.Value[len(w.Value)-1] = bad
			w.Touch()
			p := compileFor(t, g, autograd.Calibrate, nil, false)
			loadRandom(p, 5)
			p.Forward()
			if p.NaNs() == 0 {
				t.Errorf("%s, %v: not counted", name, bad)
			}
			p.Commit()
			if err := FinishCalibration(g); !errors.Is(err, ErrNotCalibrated) || !strings.Contains(err.Error(), "gate weights: channel ") {
				t.Errorf("%s, %v: %v", name, bad, err)
			}
		}
	}
}

// TestBadTrainingBatch: observers pass over a bad batch, so that a loop that
// commits it nevertheless keeps its ranges.
func TestBadTrainingBatch(t *testing.T) {
	for _, observer := range []Observer{MinMax{}, MovingAverage{}} {
		g := autograd.NewGraph("bad")
		x := g.Input("input", autograd.Float32, 2)
		g.SetOutput("logits", autograd.Linear("fc", x, g.Param("w", autograd.Weight, autograd.Ones(), 5, 2), nil))
		g.Initialize(1)
		g, _, err := Prepare(g, Spec{Estimator: STE{}, Observer: observer})
		if err != nil {
			t.Fatal(err)
		}
		run := func(mode autograd.Mode, batch ...float32) int64 {
			p := compileFor(t, g, mode, nil, false)
			if err := p.LoadFloats("input", batch); err != nil {
				t.Fatal(err)
			}
			p.Forward()
			p.Commit()
			return p.NaNs()
		}
		run(autograd.Calibrate, 1, 2)
		if err := FinishCalibration(g); err != nil {
			t.Fatal(err)
		}
		before, _ := Quantizers(g)[0].Grid()
		for _, bad := range badNumbers {
			if run(autograd.Train, 1, bad) == 0 {
				t.Errorf("%s, %v: not counted", observer.Name(), bad)
			}
			if after, _ := Quantizers(g)[0].Grid(); after.Scale[0] != before.Scale[0] {
				t.Errorf("%s: %v moved the scale from %v to %v", observer.Name(), bad, before.Scale[0], after.Scale[0])
			}
		}
		run(autograd.Train, 1000, 2)
		if after, _ := Quantizers(g)[0].Grid(); after.Scale[0] <= before.Scale[0] {
			t.Errorf("%s: the range stays where it is", observer.Name())
		}
	}
}

// TestFixedLengths: wfl, afl and ifl are the fractional lengths of the codes.
func TestFixedLengths(t *testing.T) {
	g := prepared(t, DFP(8), rules(t, "conv1=wfl=4,afl=3", "conv2=in=6,ifl=2", "*=minmax", "input=afl=5")...)
	lengths := map[string]int{"conv1 weights": 4, "conv1 output": 3, "conv2.in edge": 2, "normalize output": 5}
	for _, q := range Quantizers(g) {
		fl, ok := lengths[q.Name()]
		if !ok {
			continue
		}
		delete(lengths, q.Name())
		y, _ := q.Grid()
		if got, _ := y.FL(0); got != fl || q.Param != nil {
			t.Errorf("%s has fractional length %d, want %d, and parameter %v", q.Name(), got, fl, q.Param)
		}
	}
	for name := range lengths {
		t.Errorf("no quantizer %s", name)
	}
	for _, mode := range []autograd.Mode{autograd.Train, autograd.Frozen, autograd.Evaluate} {
		p := compileFor(t, g, mode, nil, false)
		loadRandom(p, 8)
		seen := map[string]int{}
		p.Tap(func(n *autograd.Node, v autograd.View) {
			if v.Grid != nil {
				seen[n.Name()], _ = v.Grid.FL(0)
			}
		})
		p.Forward()
		p.Commit()
		if seen["conv1.weight.quantized"] != 4 || seen["conv1"] != 3 || seen["conv2.in"] != 2 || seen["normalize"] != 5 {
			t.Errorf("%s: lengths %v", mode, seen)
		}
	}
}

// TestEveryWidth trains a step with every bit width and looks at the codes.
func TestEveryWidth(t *testing.T) {
	for bits := 1; bits <= 16; bits++ {
		for _, scheme := range []Scheme{FixedPoint, Integer} {
			g := prepared(t, Spec{Scheme: scheme, WeightBits: bits, OutBits: bits})
			for _, mode := range []autograd.Mode{autograd.Train, autograd.Frozen} {
				p := compileFor(t, g, mode, nil, false)
				loadRandom(p, 5)
				checked := 0
				p.Tap(func(n *autograd.Node, v autograd.View) {
					if !v.IsCodes() || v.Format.BitWidth == 32 {
						return
					}
					if v.Format.BitWidth != bits && n.Name() != "normalize" {
						t.Errorf("%s has codes of %s", n.Name(), v.Format)
					}
					used := map[int64]bool{}
					for _, q := range v.Codes(nil) {
						used[q] = true
						if q < int64(v.Grid.QMin()) || q > int64(v.Grid.QMax()) {
							t.Fatalf("%s %d %s: %s: code %d outside %d to %d", scheme, bits, mode, n.Name(), q, v.Grid.QMin(), v.Grid.QMax())
						}
					}
					checked++
				})
				p.Forward()
				p.Backward()
				if loss := float64(p.Loss()); math.IsNaN(loss) || math.IsInf(loss, 0) || p.NaNs() != 0 || checked < 10 {
					t.Errorf("%s %d %s: loss %v, %d bad numbers, %d tensors of codes", scheme, bits, mode, loss, p.NaNs(), checked)
				}
				for _, q := range p.Params() {
					for i, d := range q.Grad {
						if math.IsNaN(float64(d)) || math.IsInf(float64(d), 0) {
							t.Fatalf("%s %d %s: gradient of %s[%d] is %v", scheme, bits, mode, q.Name, i, d)
						}
					}
				}
			}
		}
	}
}

// TestFloatLayerInTheMiddle: what a rule keeps float computes in floats, its
// neighbours on codes, and gradients pass through.
func TestFloatLayerInTheMiddle(t *testing.T) {
	g := prepared(t, DFP(8), rules(t, "conv2=float")...)
	notes, err := Explain(g, autograd.Train)
	if err != nil {
		t.Fatal(err)
	}
	why := map[string]string{}
	for _, n := range notes {
		if !n.Integers {
			why[n.Name] = n.Why
		}
	}
	want := map[string]string{"conv2": "its weight conv2.weight is not quantized", "bn2": "reads conv2, which is computed in floats", "relu2": "reads bn2, which is computed in floats",
		"conv3": "reads relu2, which is computed in floats"}
	for name, w := range want {
		if why[name] != w {
			t.Errorf("%s: %q, want %q", name, why[name], w)
		}
	}
	for _, name := range []string{"conv1", "gate", "fc1", "down"} {
		if w, ok := why[name]; ok {
			t.Errorf("%s is on floats: %s", name, w)
		}
	}
	p := compileFor(t, g, autograd.Train, nil, false)
	loadRandom(p, 5)
	p.Forward()
	p.Backward()
	for _, name := range []string{"conv1.weight", "conv2.weight", "fc2.weight"} {
		sum := 0.0
		for _, d := range g.Node(name).Param().Grad {
			sum += math.Abs(float64(d))
		}
		if !(sum > 0) || math.IsInf(sum, 0) {
			t.Errorf("gradient of %s: %v", name, sum)
		}
	}
}

// TestWeightRangesFreeze: observed weights are quantized with the range of the
// last training step once that phase is over.
func TestWeightRangesFreeze(t *testing.T) {
	g := prepared(t, Spec{Estimator: STE{}})
	scale := func(mode autograd.Mode) float32 {
		p := compileFor(t, g, mode, nil, false)
		loadRandom(p, 5)
		var s float32
		p.Tap(func(n *autograd.Node, v autograd.View) {
			if n.Name() == "gate.weight.quantized" {
				s = v.Grid.ScaleAt(0)
			}
		})
		p.Forward()
		p.Commit()
		return s
	}
	before := scale(autograd.Train)
	w := g.Node("gate.weight").Param()
	for i := range w.Value {
		w.Value[i] *= 4
	}
	w.Touch()
	for _, mode := range []autograd.Mode{autograd.Frozen, autograd.Evaluate} {
		if s := scale(mode); s != before {
			t.Errorf("%s: scale %v, want that of training, %v", mode, s, before)
		}
	}
	if s := scale(autograd.Train); s != 4*before {
		t.Errorf("train: scale %v, want %v", s, 4*before)
	}
	if s := scale(autograd.Evaluate); s != 4*before {
		t.Errorf("evaluate after training: scale %v, want %v", s, 4*before)
	}
}

// TestFreezeRanges: learned powers of two stop, learned scales go on.
func TestFreezeRanges(t *testing.T) {
	g := prepared(t, DFP(8), rules(t, "fc1=int8:w8a8")...)
	FreezeRanges(g, true)
	for _, q := range Quantizers(g) {
		if q.Param != nil && q.Param.Frozen != q.Format.PowerOfTwo {
			t.Errorf("%s: frozen %v", q.Name(), q.Param.Frozen)
		}
	}
	FreezeRanges(g, false)
	for _, q := range Quantizers(g) {
		if q.Param != nil && q.Param.Frozen {
			t.Errorf("%s stays frozen", q.Name())
		}
	}
}
