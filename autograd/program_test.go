package autograd_test

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/internal/parallel"
)

// convNet has every kind of sum over the batch: weights, bias, batch norm,
// broadcast operands and the loss.
func convNet(t *testing.T) *autograd.Graph {
	t.Helper()
	g := autograd.NewGraph("net")
	x := g.Input("x", autograd.Float32, 3, 12, 10)
	w1 := g.Param("c1.weight", autograd.Weight, autograd.HeNormal(), 8, 3, 3, 3)
	b1 := g.Param("c1.bias", autograd.Bias, autograd.Uniform(0.1), 8)
	h := autograd.Conv2D("c1", x, w1, b1, autograd.ConvAttrs{Pad: autograd.Same(3)})
	gamma := g.Param("bn.gamma", autograd.Gamma, autograd.Ones(), 8)
	beta := g.Param("bn.beta", autograd.Beta, autograd.Zeros(), 8)
	h = autograd.ReLU("r1", autograd.BatchNorm("bn", h, gamma, beta, autograd.BatchNormAttrs{}))
	gate := autograd.Sigmoid("gate", g.Param("gate.logit", autograd.Weight, autograd.Uniform(1), 8, 1, 1))
	h = autograd.Multiply("gated", h, gate)
	h = autograd.MaxPool("pool", h, autograd.PoolAttrs{KH: 2, KW: 2, StrideH: 2, StrideW: 2})
	w2 := g.Param("c2.weight", autograd.Weight, autograd.HeNormal(), 8, 8, 3, 3)
	k := autograd.Conv2D("c2", h, w2, nil, autograd.ConvAttrs{Pad: autograd.Same(3)})
	h = autograd.Dropout("drop", autograd.ReLU6("r2", autograd.Add("sum", k, h)), 0.25)
	return classified(t, g, h, 8*6*5)
}

// classified ends g with five classes of the features h.
func classified(t *testing.T, g *autograd.Graph, h *autograd.Node, features int) *autograd.Graph {
	t.Helper()
	fc := g.Param("fc.weight", autograd.Weight, autograd.HeNormal(), 5, features)
	logits := autograd.Linear("fc", autograd.Flatten("flat", h), fc, nil)
	g.SetOutput("logits", logits)
	g.SetOutput("loss", autograd.SoftmaxCrossEntropy("loss", logits, g.Input("labels", autograd.Int32), 0))
	g.Initialize(3)
	if err := g.Err(); err != nil {
		t.Fatal(err)
	}
	return g
}

const netBatch = 7

func compile(t *testing.T, g *autograd.Graph, opt autograd.CompileOptions) *autograd.Program {
	t.Helper()
	p, err := g.Compile(opt)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func loadNet(t *testing.T, p *autograd.Program) {
	t.Helper()
	x := make([]float32, p.Batch()*12*10*3)
	for i := range x {
		x[i] = float32(math.Sin(float64(i) * 1.7))
	}
	labels := make([]int32, p.Batch())
	for i := range labels {
		labels[i] = int32(i % 5)
	}
	if err := p.LoadFloats("x", x); err != nil {
		t.Fatal(err)
	}
	if err := p.LoadLabels("labels", labels); err != nil {
		t.Fatal(err)
	}
}

// bitsOf collects the loss, the logits and all gradients.
func bitsOf(p *autograd.Program) []uint32 {
	var bits []uint32
	add := func(x []float32) {
		for _, v := range x {
			bits = append(bits, math.Float32bits(v))
		}
	}
	add([]float32{p.Loss()})
	v, _ := p.View("logits")
	add(v.Floats(nil))
	for _, q := range p.Params() {
		add(q.Grad)
	}
	for _, s := range p.Graph().States() {
		add(s.Stage())
	}
	return bits
}

// tiledNet is a network whose convolutions go by tiles in all directions, some behind the others.
func tiledNet(t *testing.T) *autograd.Graph {
	t.Helper()
	g := autograd.NewGraph("tiles")
	h := g.Input("x", autograd.Float32, 3, 12, 10)
	for i, channels := range []int{3, 16, 16} {
		name := fmt.Sprintf("c%d", i)
		w := g.Param(name+".weight", autograd.Weight, autograd.HeNormal(), 16, channels, 3, 3)
		k := autograd.Conv2D(name, h, w, g.Param(name+".bias", autograd.Bias, autograd.Uniform(0.1), 16), autograd.ConvAttrs{Pad: autograd.Same(3)})
		if i < 2 {
			gamma, beta := g.Param(name+".gamma", autograd.Gamma, autograd.Ones(), 16), g.Param(name+".beta", autograd.Beta, autograd.Zeros(), 16)
			k = autograd.BatchNorm(name+".bn", k, gamma, beta, autograd.BatchNormAttrs{})
		}
		if i == 1 {
			k = autograd.Add("sum", k, h)
		}
		h = autograd.ReLU(name+".relu", k)
	}
	return classified(t, g, h, 16*12*10)
}

// Where a batch has few images the workers share them.
func TestWorkersChangeNoByte(t *testing.T) {
	for _, net := range []func(t *testing.T) *autograd.Graph{convNet, tiledNet} {
		for _, batch := range []int{1, 2, 3, netBatch} {
			for _, mode := range []autograd.Mode{autograd.Train, autograd.Frozen} {
				var want []uint32
				for _, workers := range []int{0, 1, 2, 3, 5} {
					g := net(t)
					var pool *autograd.Pool
					if workers > 0 {
						pool = parallel.New(workers)
						defer pool.Close()
					}
					p := compile(t, g, autograd.CompileOptions{Mode: mode, Batch: batch, Pool: pool, Seed: 5, Poison: workers == 2})
					loadNet(t, p)
					p.SetStep(2, 0)
					p.Forward()
					p.Backward()
					got := bitsOf(p)
					if len(got) < 1000 {
						t.Fatalf("only %d numbers to compare", len(got))
					}
					if want == nil {
						want = got
					} else if !slices.Equal(got, want) {
						t.Errorf("%s of %d images in %s: %d workers give other bytes", g.Name(), batch, mode, workers)
					}
				}
			}
		}
	}
}

func TestStepAllocatesNothing(t *testing.T) {
	pool := parallel.New(2)
	defer pool.Close()
	p := compile(t, convNet(t), autograd.CompileOptions{Mode: autograd.Train, Batch: netBatch, Pool: pool})
	loadNet(t, p)
	step := func(n uint64) {
		p.SetStep(n, 0)
		p.Forward()
		p.Backward()
		p.Commit()
	}
	step(0)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for n := range uint64(5) {
		step(n)
	}
	runtime.ReadMemStats(&after)
	if n := after.Mallocs - before.Mallocs; n > 1 { // the runtime itself may allocate one
		t.Errorf("5 steps allocate %d times", n)
	}
}

func TestProgramsShareTheNetwork(t *testing.T) {
	g := convNet(t)
	train := compile(t, g, autograd.CompileOptions{Mode: autograd.Train, Batch: netBatch})
	eval := compile(t, g, autograd.CompileOptions{Mode: autograd.Evaluate, Batch: 2})
	loadNet(t, train)
	loadNet(t, eval)
	eval.Forward()
	before := eval.Loss()
	train.Forward()
	train.Backward()
	for _, q := range train.Params() {
		for i, d := range q.Grad {
			q.Value[i] -= 0.1 * d
		}
		q.Touch()
	}
	eval.Forward()
	moved := eval.Loss()
	train.Commit() // the moving statistics
	eval.Forward()
	if before == moved || moved == eval.Loss() {
		t.Errorf("losses %v, %v after the parameters moved, %v after the statistics did", before, moved, eval.Loss())
	}
}

func TestDiscardLeavesNoTrace(t *testing.T) {
	g := convNet(t)
	p := compile(t, g, autograd.CompileOptions{Mode: autograd.Train, Batch: netBatch})
	loadNet(t, p)
	var before, after []float32
	for _, s := range g.States() {
		before = append(before, s.Value...)
	}
	p.Forward()
	staged := 0
	for _, s := range g.States() {
		if s.Staged() {
			staged++
		}
	}
	p.Discard()
	p.Commit()
	for _, s := range g.States() {
		after = append(after, s.Value...)
	}
	if staged == 0 || !slices.Equal(before, after) {
		t.Errorf("%d states were staged; before %v, after %v", staged, before, after)
	}
}

func TestInputsSurviveTheStep(t *testing.T) {
	p := compile(t, convNet(t), autograd.CompileOptions{Mode: autograd.Frozen, Batch: netBatch, Poison: true})
	loadNet(t, p)
	p.Forward()
	p.Backward()
	first := p.Loss()
	p.Forward()
	if got := p.Loss(); got != first {
		t.Errorf("loss %v, then %v on the same inputs", first, got)
	}
}

func TestFirstBadNamesTheNode(t *testing.T) {
	g := convNet(t)
	p := compile(t, g, autograd.CompileOptions{Mode: autograd.Evaluate, Batch: 2})
	loadNet(t, p)
	if name := p.FirstBad(); name != "" {
		t.Errorf("%q is bad in a sound network", name)
	}
	q := g.Node("c2.weight").Param()
	q.Value[5] = float32(math.NaN())
	q.Touch()
	if name := p.FirstBad(); name != "c2.weight" {
		t.Errorf("the first bad node is %q, want c2.weight", name)
	}
}

func TestGradientStopsWhereNobodyWritesIt(t *testing.T) {
	g := autograd.NewGraph("stop")
	x := g.Input("x", autograd.Float32, 3)
	w := g.Param("w", autograd.Weight, autograd.Ones(), 3, 3)
	v := g.Param("v", autograd.Weight, autograd.Ones(), 3, 3)
	h := autograd.Linear("h", x, w, nil)
	stopped := g.Apply("stop", stopOp{}, h)
	y := autograd.Linear("y", stopped, v, nil)
	g.SetOutput("loss", autograd.MeanSquaredError("loss", y, x))
	g.Initialize(1)
	p := compile(t, g, autograd.CompileOptions{Mode: autograd.Train, Batch: 2, Poison: true})
	if ps := p.Params(); len(ps) != 1 || ps[0].Name != "v" {
		t.Errorf("gradients of %v, want that of v alone", ps)
	}
	w.Param().Grad[0] = 42
	if err := p.LoadFloats("x", []float32{1, 2, 3, 4, 5, 6}); err != nil {
		t.Fatal(err)
	}
	p.Forward()
	p.Backward()
	for _, d := range v.Param().Grad {
		if d != d {
			t.Error("the gradient of v is NaN")
		}
	}
	if w.Param().Grad[0] != 42 {
		t.Error("the gradient of w was written")
	}
}

// stopOp is the identity without derivative.
type stopOp struct{}

func (stopOp) Name() string { return "stop" }

func (stopOp) Infer(_ autograd.Env, in []autograd.Type) (autograd.Spec, error) {
	return autograd.Spec{Out: in[0], NoGrad: []bool{true}}, nil
}

func (stopOp) Bind(b *autograd.Binding) autograd.Step { return stopStep{b} }

type stopStep struct{ *autograd.Binding }

func (s stopStep) Forward(*autograd.Context) { copy(s.Out.F32, s.In[0].F32) }
func (s stopStep) Backward(*autograd.Context) {
	panic("the backward pass reaches an operation without derivative")
}

func TestCompileRefuses(t *testing.T) {
	g := convNet(t)
	for what, opt := range map[string]autograd.CompileOptions{
		`no output "nothing"`:                  {Batch: 1, Outputs: []string{"nothing"}},
		`no output "nothing" to differentiate`: {Batch: 1, Loss: "nothing"},
		`no node "nothing"`:                    {Batch: 1, Wanted: []string{"nothing"}},
		"a loss is one float32":                {Batch: 1, Loss: "logits"},
		"batch size 0":                         {},
		"pass twist: no rule matches":          {Batch: 1, Passes: []autograd.Pass{{Name: "twist", Apply: noRule}}},
	} {
		if p, err := g.Compile(opt); p != nil || err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("got error %v, want one about %q", err, what)
		}
	}
}

func noRule(autograd.Mode, *autograd.Edit) error { return errNoRule }

var errNoRule = errors.New("no rule matches")

func TestPassesRunInOrderAndMode(t *testing.T) {
	g := chain(t)
	var calls []string
	note := func(name string) autograd.Pass {
		return autograd.Pass{Name: name, Apply: func(m autograd.Mode, e *autograd.Edit) error {
			calls = append(calls, name+" "+m.String())
			return nil
		}}
	}
	g.Use(note("a"), note("b"))
	h, err := g.Rewrite(func(*autograd.Edit) error { return nil }) // keeps the passes
	if err != nil {
		t.Fatal(err)
	}
	compile(t, h, autograd.CompileOptions{Batch: 1, Mode: autograd.Calibrate, Passes: []autograd.Pass{note("c")}})
	compile(t, h, autograd.CompileOptions{Batch: 1, Plain: true, Passes: []autograd.Pass{note("c")}})
	want := []string{"a calibrate", "b calibrate", "c calibrate", "c evaluate"}
	if !slices.Equal(calls, want) {
		t.Errorf("got %q, want %q", calls, want)
	}
}

func TestTapSeesEveryNode(t *testing.T) {
	p := compile(t, convNet(t), autograd.CompileOptions{Batch: 1})
	loadNet(t, p)
	var names []string
	p.Tap(func(n *autograd.Node, v autograd.View) {
		names = append(names, n.Name())
		if len(v.Floats(nil)) != v.Elements() {
			t.Errorf("%s: the view does not hold its elements", n.Name())
		}
	})
	p.Forward()
	p.Tap(nil)
	n := len(names)
	p.Forward()
	if len(names) != n || n != len(p.Graph().Nodes()) {
		t.Errorf("%d nodes were seen, %d after the tap was gone; the graph has %d", n, len(names), len(p.Graph().Nodes()))
	}
}
