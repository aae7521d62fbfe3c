package train

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/datasets"
	"github.com/bitgrad/bitgrad/fakequant"
	"github.com/bitgrad/bitgrad/optim"
)

func TestFitLearns(t *testing.T) {
	g := perceptron(t, 1)
	valid := moons(t, 200, 2)
	before, err := Evaluate(ctx, g, valid, EvaluateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r := fit(t, g, moons(t, 500, 1), Options{Epochs: 25, Batch: 20, Optimizer: sgd(0.05), Validation: valid, KeepBest: true, Seed: 3})
	after, err := Evaluate(ctx, g, valid, EvaluateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if before.Accuracy() > 0.9 || after.Accuracy() < 0.98 {
		t.Errorf("accuracy %v before and %v after training, want at most 0.9 and at least 0.98", before.Accuracy(), after.Accuracy())
	}
	if r.Steps != 25*25 || len(r.Epochs) != 25 || r.Epochs[24].Steps != r.Steps {
		t.Errorf("%d steps in %d epochs", r.Steps, len(r.Epochs))
	}
	if r.BestAccuracy != after.Accuracy() || r.Epochs[r.BestEpoch-1].ValidationAccuracy != r.BestAccuracy {
		t.Errorf("best accuracy %v in epoch %d, the network has %v", r.BestAccuracy, r.BestEpoch, after.Accuracy())
	}
	for _, e := range r.Epochs[:r.BestEpoch-1] {
		if e.ValidationAccuracy >= r.BestAccuracy {
			t.Errorf("epoch %d with %v is no worse than the best, %d", e.Epoch, e.ValidationAccuracy, r.BestEpoch)
		}
	}
	if first, last := r.Epochs[0], r.Epochs[24]; last.Loss > first.Loss/2 || last.Accuracy < first.Accuracy {
		t.Errorf("the loss went from %v to %v, the accuracy from %v to %v", first.Loss, last.Loss, first.Accuracy, last.Accuracy)
	}
}

// everything is a run that uses all that could depend on order: dropout,
// augmentation, accumulation, batch norm, and both parts of training.
func everything(t testing.TB) Options {
	return Options{Epochs: 3, Batch: 8, Accumulate: 2, Optimizer: sgd(0.05), Seed: 7, FrozenEpochs: 0.7, LabelSmoothing: 0.1,
		Augment: []datasets.Augmenter{datasets.Shift{By: 1}}, Validation: bars(t, 30, 4), KeepBest: true}
}

func TestWorkersChangeNothing(t *testing.T) {
	nets := map[string]func() *autograd.Graph{
		"float": func() *autograd.Graph { return convNet(t, 5) },
		"dfp":   func() *autograd.Graph { return calibrated(t, 5, fakequant.DFP(4)) },
		"int8":  func() *autograd.Graph { return calibrated(t, 5, fakequant.Int(8)) },
	}
	for name, build := range nets {
		t.Run(name, func(t *testing.T) {
			var first *autograd.Graph
			var metrics []byte
			for workers := 1; workers <= 3; workers++ {
				g := build()
				opt := everything(t)
				opt.Workers = workers
				r := fit(t, g, bars(t, 100, 3), opt)
				if first == nil {
					first, metrics = g, formatMetrics(r.Epochs)
					continue
				}
				sameValues(t, fmt.Sprintf("%d workers", workers), g, first)
				if got := formatMetrics(r.Epochs); !bytes.Equal(got, metrics) {
					t.Errorf("%d workers:\n%s\n1 worker:\n%s", workers, got, metrics)
				}
			}
			opt := everything(t)
			opt.Seed++
			g := build()
			fit(t, g, bars(t, 100, 3), opt)
			if slices.Equal(values(g), values(first)) {
				t.Error("another seed gives the same network")
			}
		})
	}
}

// TestAccumulate compares the mean gradient of four batches with the gradient of
// one that holds them all.
func TestAccumulate(t *testing.T) {
	ds := moons(t, 64, 1)
	train := func(batch, accumulate int) *autograd.Graph {
		g := perceptron(t, 2)
		fit(t, g, ds, Options{Epochs: 4, Batch: batch, Accumulate: accumulate, Optimizer: sgd(0.1), Seed: 5})
		return g
	}
	a, b, c := train(32, 1), train(8, 4), train(8, 1)
	var apart, other float64
	variablesOf(a).each(func(name string, _ []int, x []float32) {
		for i := range x {
			apart = max(apart, math.Abs(float64(x[i]-b.Node(name).Param().Value[i])))
			other = max(other, math.Abs(float64(x[i]-c.Node(name).Param().Value[i])))
		}
	})
	if apart > 1e-5 {
		t.Errorf("4 batches of 8 and one of 32 end %v apart", apart)
	}
	if other < 1e-3 {
		t.Errorf("steps of 8 end only %v from steps of 32: the test sees nothing", other)
	}
}

func TestPhases(t *testing.T) {
	g := convNet(t, 1)
	var phases []autograd.Mode
	var moving []float32
	mean := func() float32 {
		for _, s := range g.States() {
			if strings.HasSuffix(s.Name, "mean") {
				return s.Value[0]
			}
		}
		t.Fatal("no moving mean")
		return 0
	}
	r := fit(t, g, bars(t, 40, 1), Options{Epochs: 2, Batch: 4, Optimizer: sgd(0.01), FrozenEpochs: 0.5, OnStep: func(s Step) {
		phases = append(phases, s.Phase)
		moving = append(moving, mean())
		if s.Step != int64(len(phases)) || s.Steps != 20 || s.Epoch != (len(phases)-1)/10+1 {
			t.Errorf("step %d of %d in epoch %d", s.Step, s.Steps, s.Epoch)
		}
	}})
	for i, p := range phases {
		if want := i >= 15; (p == autograd.Frozen) != want {
			t.Errorf("step %d is %s", i+1, p)
		}
		if changed := i > 0 && moving[i] != moving[i-1]; i > 0 && changed == (p == autograd.Frozen) {
			t.Errorf("step %d (%s): moving mean changed: %v", i+1, p, changed)
		}
	}
	if r.Epochs[0].Phase != autograd.Train || r.Epochs[1].Phase != autograd.Frozen {
		t.Errorf("phases of the epochs: %s, %s", r.Epochs[0].Phase, r.Epochs[1].Phase)
	}
}

func TestFractionalLengths(t *testing.T) {
	for name, estimator := range map[string]fakequant.Estimator{"tqt": fakequant.TQT{}, "ste": fakequant.STE{}} {
		t.Run(name, func(t *testing.T) {
			spec := fakequant.DFP(4)
			spec.Estimator = estimator
			g := calibrated(t, 1, spec)
			var frozenParams []string
			var called []FLChange
			opt := Options{Epochs: 6, Batch: 10, Seed: 2, FrozenEpochs: 2, OnFL: func(c FLChange) { called = append(called, c) },
				OnStep: func(s Step) {
					for _, p := range g.Params() {
						if s.Phase == autograd.Frozen && p.Frozen && !slices.Contains(frozenParams, p.Name) {
							frozenParams = append(frozenParams, p.Name)
						}
					}
				},
				Optimizer: optim.Config{Method: optim.SGD{Momentum: 0.9}, LearningRate: 0.1, Groups: []optim.Group{
					{Roles: []autograd.Role{autograd.RangeParam}, Method: optim.Adam{}, LearningRate: 0.1}}}}
			r := fit(t, g, bars(t, 100, 3), opt)
			if len(r.FLChanges) == 0 {
				t.Fatal("no fractional length ever changed: the test sees nothing")
			}
			if !slices.Equal(called, r.FLChanges) {
				t.Errorf("callbacks %v, result %v", called, r.FLChanges)
			}
			// Following the chain of changes must end at the lengths there are.
			last := map[string]int{}
			for _, c := range r.FLChanges {
				if c.From == c.To {
					t.Errorf("%+v changes nothing", c)
				}
				if was, ok := last[c.Quantizer]; ok && was != c.From {
					t.Errorf("%+v: the last length was %d", c, was)
				}
				last[c.Quantizer] = c.To
			}
			for _, q := range fakequant.Quantizers(g) {
				grid, ok := q.Grid()
				if want, changed := last[q.Name()]; ok && changed {
					if fl, _ := grid.FL(0); fl != want {
						t.Errorf("%s ends at %d, the log says %d", q.Name(), fl, want)
					}
				}
			}
			if name == "ste" {
				return // the ranges of weights follow the weights to the end
			}
			for _, c := range r.FLChanges {
				if c.Step > 41 { // the first frozen step runs on the last update before it
					t.Errorf("%+v: the last 20 of 60 steps are frozen", c)
				}
			}
			if len(frozenParams) == 0 {
				t.Error("no range was frozen in the last part")
			}
			for _, p := range g.Params() {
				if p.Frozen {
					t.Errorf("%s is still frozen", p.Name)
				}
			}
		})
	}
}

func TestFreeze(t *testing.T) {
	g := convNet(t, 1)
	before := map[string][]float32{}
	for _, p := range g.Params() {
		before[p.Name] = slices.Clone(p.Value)
	}
	opt := Options{Epochs: 1, Batch: 10, Optimizer: sgd(0.1), Freeze: []string{"conv1.*", "fc.bias"}}
	fit(t, g, bars(t, 30, 1), opt)
	for _, p := range g.Params() {
		if same := slices.Equal(p.Value, before[p.Name]); same != (p.Name != "fc.weight") {
			t.Errorf("%s: unchanged: %v", p.Name, same)
		}
		if p.Frozen {
			t.Errorf("%s is still frozen", p.Name)
		}
	}
	opt.Freeze = []string{"conv2.*"}
	_, err := Fit(ctx, g, bars(t, 30, 1), opt)
	if !errors.Is(err, optim.ErrConfig) || !strings.Contains(err.Error(), `"conv2.*" matches no parameter`) {
		t.Errorf("got %v", err)
	}
}

// A graph may bring its own loss.
func TestOwnLoss(t *testing.T) {
	g := perceptron(t, 1)
	h, err := g.Rewrite(func(e *autograd.Edit) error {
		labels := e.Graph().Input("labels", autograd.Int32)
		loss := autograd.SoftmaxCrossEntropy("smooth", e.Graph().Output("logits"), labels, 0.3)
		e.SetOutput("loss", loss)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	opt := Options{Epochs: 2, Batch: 16, Optimizer: sgd(0.1)}
	fit(t, h, moons(t, 64, 1), opt)
	k := perceptron(t, 1)
	opt.LabelSmoothing = 0.3
	fit(t, k, moons(t, 64, 1), opt)
	sameValues(t, "own loss", g, k)
	if _, err := Fit(ctx, h, moons(t, 64, 1), opt); !errors.Is(err, ErrOption) {
		t.Errorf("smoothing of a loss of its own: got %v", err)
	}
}

// poisoned serves a data set with a NaN in one sample.
type poisoned struct {
	datasets.Dataset
	index int
}

func (p poisoned) Read(dst *datasets.Batch, indices []int) error {
	if err := p.Dataset.Read(dst, indices); err != nil {
		return err
	}
	if i := slices.Index(indices, p.index); i >= 0 {
		dst.Floats[2*i] = float32(math.NaN())
	}
	return nil
}

func TestNotFinite(t *testing.T) {
	opt := Options{Epochs: 2, Batch: 10, Optimizer: sgd(0.1), Seed: 1}
	t.Run("data", func(t *testing.T) {
		g, good := perceptron(t, 1), perceptron(t, 1)
		var steps int64
		o := opt
		o.OnStep = func(s Step) { steps = s.Step }
		_, err := Fit(ctx, g, poisoned{moons(t, 100, 1), 57}, o)
		var bad *NotFiniteError
		if !errors.As(err, &bad) || !errors.Is(err, ErrNotFinite) || bad.Node != "input" || bad.Epoch != 1 || bad.Step != steps+1 {
			t.Fatalf("after %d steps: %v", steps, err)
		}
		// The graph holds the last good step.
		ctx, cancel := context.WithCancel(context.Background())
		o.OnStep = func(s Step) {
			if s.Step == steps {
				cancel()
			}
		}
		if steps == 0 {
			cancel()
		}
		if _, err := Fit(ctx, good, moons(t, 100, 1), o); !errors.Is(err, ErrStopped) {
			t.Fatal(err)
		}
		sameValues(t, "after the bad step", g, good)
	})
	t.Run("weight", func(t *testing.T) {
		g := convNet(t, 1)
		g.Node("fc.weight").Param().Value[3] = float32(math.Inf(1))
		before := values(g)
		_, err := Fit(ctx, g, bars(t, 30, 1), opt)
		want := "train: not finite: fit: epoch 1, step 1: the loss is NaN; the first node with a bad value is fc.weight"
		if fmt.Sprint(err) != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
		if !slices.Equal(values(g), before) {
			t.Error("the bad step left a trace")
		}
	})
	t.Run("gradient", func(t *testing.T) {
		g := perceptron(t, 1)
		h, err := g.Rewrite(func(e *autograd.Edit) error {
			bad := autograd.Pointwise("bad", func(x float32) float32 { return x }, func(float32) float32 { return float32(math.NaN()) })
			e.InsertAfter(e.Node("fc1"), "bad", bad)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		before := values(g)
		_, err = Fit(ctx, h, moons(t, 100, 1), opt)
		if want := "train: not finite: fit: epoch 1, step 1: the gradient of fc1.weight is NaN at element 0"; fmt.Sprint(err) != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
		if !slices.Equal(values(g), before) {
			t.Error("the bad step left a trace")
		}
	})
	t.Run("evaluate", func(t *testing.T) {
		_, err := Evaluate(ctx, perceptron(t, 1), poisoned{moons(t, 100, 1), 57}, EvaluateOptions{Batch: 16})
		if want := "train: not finite: evaluate: batch 4: the loss of image 57 is NaN; the first node with a bad value is input"; fmt.Sprint(err) != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	})
}

func TestOptions(t *testing.T) {
	good := Options{Epochs: 1, Batch: 10, Optimizer: sgd(0.1)}
	g, ds := convNet(t, 1), bars(t, 30, 1)
	two := autograd.NewGraph("two")
	two.SetOutput("logits", autograd.Add("add", two.Input("a", autograd.Float32, 2), two.Input("b", autograd.Float32, 2)))
	wide := autograd.NewGraph("wide")
	wide.SetOutput("logits", wide.Input("x", autograd.Float32, 3, 2, 2))
	broken := autograd.NewGraph("broken")
	broken.Input("x", autograd.Uint8, 0)
	tests := []struct {
		name   string
		g      *autograd.Graph
		ds     datasets.Dataset
		change func(*Options)
		want   string
	}{
		{"epochs", g, ds, func(o *Options) { o.Epochs = 0 }, "train: invalid option: 0 epochs: must be at least 1"},
		{"batch", g, ds, func(o *Options) { o.Batch = 0 }, "train: invalid option: batch of 0: must be at least 1"},
		{"accumulate", g, ds, func(o *Options) { o.Accumulate = -1 }, "train: invalid option: accumulate -1: must not be negative"},
		{"frozen", g, ds, func(o *Options) { o.FrozenEpochs = 2 }, "train: invalid option: 2 frozen epochs: must be 0 to 1, the number of epochs"},
		{"frozen NaN", g, ds, func(o *Options) { o.FrozenEpochs = math.NaN() }, "train: invalid option: NaN frozen epochs: must be 0 to 1, the number of epochs"},
		{"smoothing", g, ds, func(o *Options) { o.LabelSmoothing = 2 }, "train: invalid option: label smoothing 2: must be 0 to 1"},
		{"best", g, ds, func(o *Options) { o.KeepBest = true }, "train: invalid option: keeping the best epoch takes a validation set"},
		{"checkpoint", g, ds, func(o *Options) { o.CheckpointSteps = 5 }, "train: invalid option: a checkpoint every 5 steps needs a directory"},
		{"method", g, ds, func(o *Options) { o.Optimizer.Method = nil }, "optim: invalid configuration: there is no method"},
		{"small", g, ds, func(o *Options) { o.Batch, o.Accumulate = 16, 2 }, "train: invalid option: bars has 30 images, fewer than one step of 2×16"},
		{"resume", g, ds, func(o *Options) { o.Resume = &Checkpoint{} }, "train: invalid option: a checkpoint comes from ReadCheckpoint"},
		{"no data", g, nil, func(*Options) {}, "train: invalid option: the data set is nil"},
		{"no graph", nil, ds, func(*Options) {}, "train: data does not fit the network: the graph is nil"},
		{"broken", broken, ds, func(*Options) {}, `autograd: shapes do not fit: input "x": shape [0]: every extent must be positive`},
		{"no logits", autograd.NewGraph("empty"), ds, func(*Options) {}, `train: data does not fit the network: empty has no output "logits"`},
		{"wide", wide, ds, func(*Options) {}, "train: data does not fit the network: wide: the logits are [N 3 2 2], must be [N C]"},
		{"inputs", two, moons(t, 30, 1), func(*Options) {}, `train: data does not fit the network: two has the inputs "a" and "b": one for images is expected`},
		{"floats", g, moons(t, 30, 1), func(*Options) {}, `train: data does not fit the network: moons holds float32 samples, the input "input" of convnet takes uint8`},
		{"classes", perceptron(t, 1), ds, func(*Options) {}, "train: data does not fit the network: bars has 3 classes, perceptron tells 2 apart"},
		{"validation", g, ds, func(o *Options) { o.Validation = moons(t, 9, 1) }, `train: data does not fit the network: moons holds float32 samples, the input "input" of convnet takes uint8`},
		{"calibration", quantizedNet(t, 1, fakequant.DFP(8)), ds, func(*Options) {}, "train: fit: fakequant: not calibrated: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := good
			tt.change(&o)
			if _, err := Fit(ctx, tt.g, tt.ds, o); !strings.HasPrefix(fmt.Sprint(err), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestProgress(t *testing.T) {
	var out bytes.Buffer
	g := convNet(t, 1)
	opt := Options{Epochs: 2, Batch: 10, Optimizer: sgd(0.1), FrozenEpochs: 1, Validation: bars(t, 10, 2), Progress: &out}
	fit(t, g, bars(t, 30, 1), opt)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[0], "epoch 1/2 (train): loss ") || !strings.HasPrefix(lines[1], "epoch 2/2 (frozen): loss ") ||
		!strings.Contains(lines[1], ", validation loss ") || !strings.Contains(lines[0], " images/s in training, ") || !strings.Contains(lines[0], " to compile, validate and save, ") ||
		!strings.HasSuffix(lines[1], " to compile, validate and save") {
		t.Errorf("progress is\n%s", out.String())
	}
}

func TestFineTune(t *testing.T) {
	if _, err := FineTune(ctx, convNet(t, 1), bars(t, 30, 1), Options{Epochs: 1, Batch: 10}); !errors.Is(err, ErrOption) {
		t.Errorf("a graph without quantizers: %v", err)
	}
	float := convNet(t, 1)
	data, test := bars(t, 300, 1), bars(t, 200, 2)
	fit(t, float, data, Options{Epochs: 6, Batch: 10, Optimizer: sgd(0.05), Seed: 1})
	g, _, err := fakequant.Prepare(float, fakequant.DFP(3))
	if err != nil {
		t.Fatal(err)
	}
	if err := Calibrate(ctx, g, data, CalibrateOptions{}); err != nil {
		t.Fatal(err)
	}
	before, err := Evaluate(ctx, g, test, EvaluateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var phases []autograd.Mode
	r, err := FineTune(ctx, g, data, Options{Epochs: 6, Batch: 10, Seed: 1, OnEpoch: func(e Epoch) { phases = append(phases, e.Phase) }})
	if err != nil {
		t.Fatal(err)
	}
	after, err := Evaluate(ctx, g, test, EvaluateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if after.Loss >= before.Loss || after.Accuracy() < before.Accuracy() || after.Accuracy() < 0.9 {
		t.Errorf("fine-tuning took the loss from %v to %v, the accuracy from %v to %v", before.Loss, after.Loss, before.Accuracy(), after.Accuracy())
	}
	if !slices.Equal(phases, []autograd.Mode{0: autograd.Train, 1: autograd.Train, 2: autograd.Train, 3: autograd.Train, 4: autograd.Frozen, 5: autograd.Frozen}) {
		t.Errorf("phases %v", phases)
	}
	if last := r.Epochs[5]; last.LearningRate > 1e-6 {
		t.Errorf("the rate ends at %v", last.LearningRate)
	}
}
