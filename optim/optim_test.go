package optim

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/internal/parallel"
)

// network returns parameters of every role, one longer than a chunk, with
// random values.
func network(seed uint64) []*autograd.Param {
	g := autograd.NewGraph("net")
	he := autograd.HeNormal()
	g.Param("conv1.weight", autograd.Weight, he, 8, 3, 3, 3)
	g.Param("conv1.bias", autograd.Bias, he, 8)
	g.Param("conv1.bn.weight", autograd.Gamma, autograd.Ones(), 8)
	g.Param("conv1.bn.bias", autograd.Beta, he, 8)
	g.Param("fc.weight", autograd.Weight, he, 100, 2*chunkLen/100+1)
	g.Param("fc.weight.range", autograd.RangeParam, autograd.Constant(0.5), 1)
	g.Initialize(seed)
	return g.Params()
}

// draw fills every gradient with numbers that depend on the step alone.
func draw(params []*autograd.Param, step int) {
	r := rand.New(rand.NewPCG(uint64(step), 7))
	for _, p := range params {
		for i := range p.Grad {
			p.Grad[i] = float32(r.NormFloat64())
		}
	}
}

func find(t *testing.T, params []*autograd.Param, name string) *autograd.Param {
	t.Helper()
	for _, p := range params {
		if p.Name == name {
			return p
		}
	}
	t.Fatalf("no parameter %q", name)
	return nil
}

func optimizer(t *testing.T, params []*autograd.Param, cfg Config, pool *autograd.Pool) *Optimizer {
	t.Helper()
	o, err := New(params, cfg, pool)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func step(t *testing.T, o *Optimizer) {
	t.Helper()
	if err := o.Step(); err != nil {
		t.Fatal(err)
	}
}

func bits(params []*autograd.Param) []uint32 {
	var b []uint32
	for _, p := range params {
		for _, v := range p.Value {
			b = append(b, math.Float32bits(v))
		}
	}
	return b
}

func TestMethodsEqualTheirTwins(t *testing.T) {
	tests := []struct {
		method Method
		rate   float64
		twin   func() twin
	}{
		{SGD{}, 0.05, func() twin { return &sgdTwin{} }},
		{SGD{Momentum: 0.9}, 0.05, func() twin { return &sgdTwin{mu: 0.9} }},
		{SGD{Momentum: 0.9, Nesterov: true}, 0.05, func() twin { return &sgdTwin{mu: 0.9, nesterov: true} }},
		{Adam{}, 1e-2, func() twin { return &adamTwin{b1: 0.9, b2: 0.999, eps: 1e-8} }},
		{Adam{Beta1: 0.8, Beta2: 0.99, Eps: 1e-3}, 1e-2, func() twin { return &adamTwin{b1: 0.8, b2: 0.99, eps: 1e-3} }},
		{AdamW{}, 1e-2, func() twin { return &adamTwin{b1: 0.9, b2: 0.999, eps: 1e-8, decoupled: true} }},
	}
	const steps, decay = 60, 0.01
	schedule := Warmup{Steps: 10, Then: Cosine{Steps: steps}}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s%+v", tt.method.Name(), tt.method), func(t *testing.T) {
			params := network(1)
			p := find(t, params, "conv1.weight")
			want := make([]float64, len(p.Value))
			twins := make([]twin, len(p.Value))
			for i, v := range p.Value {
				want[i], twins[i] = float64(v), tt.twin()
			}
			o := optimizer(t, params, Config{Method: tt.method, LearningRate: tt.rate, WeightDecay: decay, Schedule: schedule}, nil)
			for s := range steps {
				draw(params, s)
				for i := range want {
					want[i] = twins[i].step(want[i], float64(p.Grad[i]), tt.rate*schedule.At(int64(s)), decay)
				}
				step(t, o)
			}
			for i, w := range want {
				if d := math.Abs(float64(p.Value[i]) - w); d > 2e-5*(1+math.Abs(w)) {
					t.Fatalf("element %d after %d steps: got %v, want %v", i, steps, p.Value[i], w)
				}
			}
		})
	}
}

// Worked by hand: w = 1, two gradients of 1, rate 0.5, momentum 0.5.
func TestSGDByHand(t *testing.T) {
	tests := []struct {
		method Method
		want   [2]float32
	}{
		{SGD{}, [2]float32{0.5, 0}},
		{SGD{Momentum: 0.5}, [2]float32{0.5, -0.25}},                   // v = 1, 1.5
		{SGD{Momentum: 0.5, Nesterov: true}, [2]float32{0.25, -0.625}}, // g+v/2 = 1.5, 1.75
	}
	for _, tt := range tests {
		p := &autograd.Param{Name: "w", Shape: []int{1}, Value: []float32{1}, Grad: []float32{1}}
		o := optimizer(t, []*autograd.Param{p}, Config{Method: tt.method, LearningRate: 0.5}, nil)
		for i, want := range tt.want {
			step(t, o)
			if p.Value[0] != want {
				t.Errorf("%+v: step %d: got %v, want %v", tt.method, i, p.Value[0], want)
			}
		}
	}
}

func TestStepTouches(t *testing.T) {
	params := network(1)
	o := optimizer(t, params, Config{Method: SGD{}, LearningRate: 0.1}, nil)
	before := params[0].Version()
	step(t, o)
	if params[0].Version() == before {
		t.Error("a step did not change the version")
	}
}

func TestWorkersChangeNothing(t *testing.T) {
	run := func(workers int) ([]uint32, float64) {
		pool := parallel.New(workers)
		defer pool.Close()
		params := network(3)
		o := optimizer(t, params, Config{Method: Adam{}, LearningRate: 0.01, WeightDecay: 0.1, ClipNorm: 1}, pool)
		for s := range 5 {
			draw(params, s)
			o.Accumulate()
			draw(params, s+100)
			o.Accumulate()
			step(t, o)
		}
		return bits(params), o.GradNorm()
	}
	want, norm := run(1)
	for _, workers := range []int{2, 3} {
		if got, n := run(workers); !slices.Equal(got, want) || n != norm {
			t.Errorf("%d workers differ from one", workers)
		}
	}
}

func TestBadGradientChangesNothing(t *testing.T) {
	for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		for _, accumulate := range []bool{false, true} {
			params := network(5)
			o := optimizer(t, params, Config{Method: SGD{Momentum: 0.9}, LearningRate: 0.1}, nil)
			draw(params, 0)
			step(t, o)
			before, state := bits(params), clone(o.State())
			version := params[0].Version()
			draw(params, 1)
			find(t, params, "fc.weight").Grad[chunkLen+17] = float32(bad)
			if accumulate {
				o.Accumulate()
				draw(params, 2)
			}
			err := o.Step()
			var e *NotFiniteError
			if !errors.Is(err, ErrNotFinite) || !errors.As(err, &e) {
				t.Fatalf("got %v, want a NotFiniteError", err)
			}
			if e.Param != "fc.weight" || e.Index != chunkLen+17 || e.Step != 1 {
				t.Errorf("the error names %s, element %d, step %d", e.Param, e.Index, e.Step)
			}
			if !slices.Equal(bits(params), before) || !equal(o.State(), state) || params[0].Version() != version {
				t.Error("the refused step left a trace")
			}
			draw(params, 2)
			step(t, o) // the bad micro-batch is gone
		}
	}
}

func TestErrorText(t *testing.T) {
	p := &autograd.Param{Name: "fc.bias", Role: autograd.Bias, Shape: []int{2}, Value: make([]float32, 2), Grad: []float32{1, float32(math.Inf(1))}}
	o := optimizer(t, []*autograd.Param{p}, Config{Method: SGD{}, LearningRate: 1}, nil)
	if got, want := fmt.Sprint(o.Step()), "optim: gradient is not finite: fc.bias: +Inf at element 1 in step 0"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestLargeGradientsAreFinite(t *testing.T) {
	p := &autograd.Param{Name: "w", Shape: []int{5}, Value: make([]float32, 5), Grad: []float32{3e38, 3e38, 3e38, 3e38, -3e38}}
	o := optimizer(t, []*autograd.Param{p}, Config{Method: SGD{}, LearningRate: 1e-38}, nil)
	step(t, o)
	if want := 3e38 * math.Sqrt(5); math.Abs(o.GradNorm()/want-1) > 1e-6 {
		t.Errorf("norm %v, want %v", o.GradNorm(), want)
	}
}

func TestGroups(t *testing.T) {
	cfg := Config{
		Method: SGD{Momentum: 0.9}, LearningRate: 0.1, WeightDecay: 1e-4, Schedule: StepDecay{Size: 1, Gamma: 0.5},
		Groups: []Group{
			{Roles: []autograd.Role{autograd.Bias}, RateFactor: 2},
			{Roles: []autograd.Role{autograd.RangeParam}, Method: Adam{}, LearningRate: 1e-2, Schedule: Constant{}},
			{Match: "*.bn.*", RateFactor: 3, WeightDecay: new(0.5)},
			{Match: "*.bn.bias", WeightDecay: new(0.0)},
			{Match: "fc.*", Roles: []autograd.Role{autograd.Weight}, RateFactor: 4},
		},
	}
	params := network(1)
	o := optimizer(t, params, cfg, nil)
	step(t, o)
	want := map[string]Setting{
		"conv1.weight":    {nil, SGD{Momentum: 0.9}, 0.05, 1e-4},
		"conv1.bias":      {nil, SGD{Momentum: 0.9}, 0.1, 0},
		"conv1.bn.weight": {nil, SGD{Momentum: 0.9}, 0.15, 0.5},
		"conv1.bn.bias":   {nil, SGD{Momentum: 0.9}, 0.15, 0},
		"fc.weight":       {nil, SGD{Momentum: 0.9}, 0.2, 1e-4},
		"fc.weight.range": {nil, Adam{}, 0.01, 0},
	}
	for _, s := range o.Settings() {
		w := want[s.Param.Name]
		if s.Method != w.Method || math.Abs(s.LearningRate-w.LearningRate) > 1e-12 || s.WeightDecay != w.WeightDecay {
			t.Errorf("%s: got %v %v %v, want %v %v %v", s.Param.Name, s.Method, s.LearningRate, s.WeightDecay, w.Method, w.LearningRate, w.WeightDecay)
		}
	}
	if got := o.LearningRate(); got != 0.05 {
		t.Errorf("learning rate %v, want 0.05", got)
	}
}

// Biases at twice the rate and with decay, as in lenet_solver.prototxt.
func TestCaffeBias(t *testing.T) {
	params := network(1)
	p := find(t, params, "conv1.bias")
	draw(params, 0)
	w, g := float64(p.Value[3]), float64(p.Grad[3])
	o := optimizer(t, params, Config{Method: SGD{Momentum: 0.9}, LearningRate: 0.01, WeightDecay: 5e-4, Schedule: Inv{Gamma: 1e-4, Power: 0.75},
		Groups: []Group{{Roles: []autograd.Role{autograd.Bias}, RateFactor: 2, WeightDecay: new(5e-4)}}}, nil)
	step(t, o)
	if want := w - 0.02*(g+5e-4*w); math.Abs(float64(p.Value[3])-want) > 1e-6 {
		t.Errorf("got %v, want %v", p.Value[3], want)
	}
}

func TestAccumulateIsTheMean(t *testing.T) {
	a, b := network(1), network(1)
	oa := optimizer(t, a, Config{Method: SGD{Momentum: 0.9}, LearningRate: 0.1, ClipNorm: 50}, nil)
	ob := optimizer(t, b, Config{Method: SGD{Momentum: 0.9}, LearningRate: 0.1, ClipNorm: 50}, nil)
	for s := range 3 {
		const k = 4
		for _, p := range b {
			clear(p.Grad)
		}
		for micro := range k {
			draw(a, 10*s+micro)
			oa.Accumulate()
			for i, p := range b {
				for j := range p.Grad {
					p.Grad[j] += a[i].Grad[j]
				}
			}
		}
		for _, p := range b {
			for j := range p.Grad {
				p.Grad[j] /= k
			}
		}
		step(t, oa)
		step(t, ob)
	}
	if d := math.Abs(oa.GradNorm()/ob.GradNorm() - 1); d > 1e-6 {
		t.Errorf("norms %v and %v", oa.GradNorm(), ob.GradNorm())
	}
	for i, p := range a {
		for j, v := range p.Value {
			if w := b[i].Value[j]; math.Abs(float64(v-w)) > 1e-6 {
				t.Fatalf("%s: element %d: got %v, want %v", p.Name, j, v, w)
			}
		}
	}
	draw(a, 1)
	oa.Accumulate()
	oa.Discard()
	draw(a, 2)
	draw(b, 2)
	step(t, oa)
	step(t, ob)
	if d := math.Abs(oa.GradNorm()/ob.GradNorm() - 1); d > 1e-6 {
		t.Error("discarded gradients count")
	}
}

func TestClipNorm(t *testing.T) {
	params := network(1)
	o := optimizer(t, params, Config{Method: SGD{}, LearningRate: 0.1, ClipNorm: 2}, nil)
	draw(params, 0)
	sum := 0.0
	for _, p := range params {
		for _, g := range p.Grad {
			sum += float64(g) * float64(g)
		}
	}
	g0 := float64(params[0].Grad[0])
	step(t, o)
	if want := math.Sqrt(sum); math.Abs(o.GradNorm()/want-1) > 1e-9 {
		t.Errorf("norm %v, want %v", o.GradNorm(), want)
	}
	if want := g0 * 2 / math.Sqrt(sum); math.Abs(float64(params[0].Grad[0])-want) > 1e-7 {
		t.Errorf("clipped gradient %v, want %v", params[0].Grad[0], want)
	}
	for _, p := range params { // below the limit nothing is scaled
		clear(p.Grad)
	}
	params[0].Grad[0] = 1.5
	step(t, o)
	if params[0].Grad[0] != 1.5 {
		t.Errorf("a small gradient became %v", params[0].Grad[0])
	}
}

func TestClipValue(t *testing.T) {
	p := &autograd.Param{Name: "w", Shape: []int{4}, Value: make([]float32, 4), Grad: []float32{3, -3, 0.5, -0.5}}
	o := optimizer(t, []*autograd.Param{p}, Config{Method: SGD{}, LearningRate: 1, ClipValue: 1}, nil)
	step(t, o)
	if want := []float32{-1, 1, -0.5, 0.5}; !slices.Equal(p.Value, want) {
		t.Errorf("got %v, want %v", p.Value, want)
	}
}

func clone(s State) State {
	var c State
	for _, v := range s.Vectors {
		c.Vectors = append(c.Vectors, Vector{v.Name, v.Shape, slices.Clone(v.Data)})
	}
	c.Counters = slices.Clone(s.Counters)
	return c
}

func equal(a, b State) bool {
	return slices.Equal(a.Counters, b.Counters) && slices.EqualFunc(a.Vectors, b.Vectors, func(v, w Vector) bool {
		return v.Name == w.Name && slices.Equal(v.Data, w.Data)
	})
}

func TestResumeIsBitIdentical(t *testing.T) {
	cfg := Config{Method: SGD{Momentum: 0.9, Nesterov: true}, LearningRate: 0.1, WeightDecay: 1e-4, Schedule: Cosine{Steps: 20},
		Groups: []Group{{Match: "fc.*", Method: AdamW{}, LearningRate: 1e-3}}}
	params := network(2)
	o := optimizer(t, params, cfg, nil)
	find(t, params, "conv1.bias").Frozen = true
	for s := range 5 {
		draw(params, s)
		step(t, o)
	}
	find(t, params, "conv1.bias").Frozen = false
	saved := clone(o.State())
	resumed := network(9)
	for i, p := range params {
		copy(resumed[i].Value, p.Value)
	}
	r := optimizer(t, resumed, cfg, nil)
	slices.Reverse(saved.Vectors) // the order in a file is not ours to rely on
	if err := r.Restore(saved); err != nil {
		t.Fatal(err)
	}
	for s := 5; s < 10; s++ {
		draw(params, s)
		draw(resumed, s)
		step(t, o)
		step(t, r)
	}
	if !slices.Equal(bits(params), bits(resumed)) {
		t.Error("the resumed run differs")
	}
	if r.Steps() != 10 {
		t.Errorf("%d steps, want 10", r.Steps())
	}
}

func TestStateNames(t *testing.T) {
	o := optimizer(t, network(1)[:2], Config{Method: Adam{}, LearningRate: 1,
		Groups: []Group{{Match: "*.bias", Method: SGD{Momentum: 0.5}}}}, nil)
	var got []string
	s := o.State()
	for _, v := range s.Vectors {
		got = append(got, fmt.Sprint(v.Name, v.Shape))
	}
	for _, c := range s.Counters {
		got = append(got, c.Name)
	}
	want := []string{"conv1.weight.exp_avg[8 3 3 3]", "conv1.weight.exp_avg_sq[8 3 3 3]", "conv1.bias.momentum[8]",
		"steps", "conv1.weight.steps", "conv1.bias.steps"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestRestoreIsStrict(t *testing.T) {
	tests := []struct {
		name   string
		change func(*State)
		want   string
	}{
		{"vector missing", func(s *State) { s.Vectors = s.Vectors[1:] }, "conv1.weight.momentum: is missing"},
		{"vector unknown", func(s *State) { s.Vectors = append(s.Vectors, Vector{Name: "x"}) }, "x: belongs to no"},
		{"vector twice", func(s *State) { s.Vectors = append(s.Vectors, s.Vectors[0]) }, "conv1.weight.momentum: appears twice"},
		{"vector short", func(s *State) { s.Vectors[0].Data = s.Vectors[0].Data[1:] }, "conv1.weight.momentum: has 215 elements, the parameter has 216"},
		{"counter missing", func(s *State) { s.Counters = s.Counters[1:] }, "steps: is missing"},
		{"counter unknown", func(s *State) { s.Counters = append(s.Counters, Counter{"x", 1}) }, "x: belongs to no"},
		{"counter twice", func(s *State) { s.Counters = append(s.Counters, s.Counters[0]) }, "steps: appears twice"},
		{"counter negative", func(s *State) { s.Counters[0].Value = -1 }, "steps: counts -1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			params := network(1)
			o := optimizer(t, params, Config{Method: SGD{Momentum: 0.9}, LearningRate: 0.1}, nil)
			draw(params, 0)
			step(t, o)
			before := clone(o.State())
			saved := clone(o.State())
			for _, v := range saved.Vectors {
				clear(v.Data)
			}
			tt.change(&saved)
			err := o.Restore(saved)
			if !errors.Is(err, ErrState) || !strings.Contains(fmt.Sprint(err), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			if !equal(o.State(), before) {
				t.Error("the refused state left a trace")
			}
		})
	}
}

func TestFreeze(t *testing.T) {
	params := network(1)
	if err := Freeze(params, "conv1.*"); err != nil {
		t.Fatal(err)
	}
	o := optimizer(t, params, Config{Method: SGD{Momentum: 0.9}, LearningRate: 0.1}, nil)
	draw(params, 0)
	params[0].Grad[0] = float32(math.NaN()) // nobody computes it, nobody looks
	before := slices.Clone(params[0].Value)
	version := params[0].Version()
	fc := find(t, params, "fc.weight")
	fcBefore := slices.Clone(fc.Value)
	step(t, o)
	if !slices.Equal(params[0].Value, before) || params[0].Version() != version {
		t.Error("a frozen parameter changed")
	}
	if slices.Equal(fc.Value, fcBefore) {
		t.Error("a free parameter did not change")
	}
	if c := o.State().Counters; c[1].Value != 0 || c[0].Value != 1 {
		t.Errorf("counters %v", c)
	}
	if err := Unfreeze(params, "*"); err != nil || params[0].Frozen {
		t.Errorf("unfreeze: %v, frozen %v", err, params[0].Frozen)
	}
	err := Freeze(params, "fc.*", "conv2.*")
	if want := `optim: invalid configuration: pattern "conv2.*" matches no parameter`; !errors.Is(err, ErrConfig) || !strings.HasPrefix(fmt.Sprint(err), want) {
		t.Errorf("got %v", err)
	}
	if fc.Frozen {
		t.Error("a refused call froze something")
	}
}

func TestNewRefuses(t *testing.T) {
	good := Config{Method: SGD{}, LearningRate: 0.1}
	with := func(f func(*Config)) Config {
		c := good
		f(&c)
		return c
	}
	group := func(g Group) Config { return with(func(c *Config) { c.Groups = []Group{g} }) }
	params := network(1)
	tests := []struct {
		params []*autograd.Param
		cfg    Config
		want   string
	}{
		{params, Config{LearningRate: 1}, "there is no method"},
		{params, Config{Method: SGD{}}, "learning rate 0: must be positive and finite"},
		{params, with(func(c *Config) { c.LearningRate = math.NaN() }), "learning rate NaN: must be positive and finite"},
		{params, with(func(c *Config) { c.Method = SGD{Momentum: 1} }), "sgd: momentum 1: must be at least 0 and below 1"},
		{params, with(func(c *Config) { c.Method = SGD{Nesterov: true} }), "sgd: nesterov needs a momentum above 0"},
		{params, with(func(c *Config) { c.Method = Adam{Beta1: 1} }), "adam: beta1 1: must be between 0 and 1"},
		{params, with(func(c *Config) { c.Method = AdamW{Beta2: -1} }), "adamw: beta2 -1: must be between 0 and 1"},
		{params, with(func(c *Config) { c.Method = AdamW{Eps: math.Inf(1)} }), "adamw: eps +Inf: must be positive and finite"},
		{params, with(func(c *Config) { c.WeightDecay = -1 }), "weight decay -1: must be finite and not negative"},
		{params, with(func(c *Config) { c.ClipNorm, c.ClipValue = 1, 2 }), "clip norm 1 and clip value 2: only one may be set"},
		{params, with(func(c *Config) { c.Schedule = StepDecay{Gamma: 1} }), "schedule: size 0: must be positive"},
		{params, with(func(c *Config) { c.Schedule = MultiStep{Gamma: 1, Milestones: []int64{5, 5}} }), "schedule: milestone 1 is 5: must be above 5"},
		{params, with(func(c *Config) { c.Schedule = Inv{Gamma: 1} }), "schedule: power 0: must be positive and finite"},
		{params, with(func(c *Config) { c.Schedule = Warmup{Then: Cosine{}} }), "schedule: then: steps 0: must be positive"},
		{params, with(func(c *Config) { c.Schedule = Warmup{Steps: -1} }), "schedule: steps -1: must not be negative"},
		{params, with(func(c *Config) { c.Schedule = Cosine{Steps: 1, Final: 2} }), "schedule: final 2: must be at least 0 and at most 1"},
		{params, group(Group{Match: "conv2.bias"}), `group 0: pattern "conv2.bias" matches no parameter; nearest: "conv1.bias"`},
		{params, group(Group{RateFactor: -1}), "group 0: rate factor -1: must be finite and not negative"},
		{params, group(Group{Method: Adam{Eps: -1}}), "group 0: adam: eps -1: must be positive and finite"},
		{params, group(Group{Schedule: Warmup{Start: 2}}), "group 0: schedule: start 2: must be at least 0 and at most 1"},
		{params, group(Group{WeightDecay: new(math.NaN())}), "group 0: weight decay NaN: must be finite and not negative"},
		{[]*autograd.Param{nil}, good, "parameter 0 is nil"},
		{[]*autograd.Param{params[0], params[0]}, good, `two parameters are named "conv1.weight"`},
		{[]*autograd.Param{{Name: "w", Value: make([]float32, 2)}}, good, `parameter "w" has 2 values and 0 gradients`},
	}
	for _, tt := range tests {
		_, err := New(tt.params, tt.cfg, nil)
		if want := "optim: invalid configuration: " + tt.want; !errors.Is(err, ErrConfig) || !strings.HasPrefix(fmt.Sprint(err), want) {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
	if _, err := New(params, group(Group{Roles: []autograd.Role{autograd.Role(99)}}), nil); err != nil {
		t.Errorf("a role that no parameter has: %v", err)
	}
}

// rising is a schedule that turns bad on its way.
type rising struct{ Constant }

func (rising) At(t int64) float64 { return 1 - float64(t) }

func TestBadScheduleChangesNothing(t *testing.T) {
	params := network(1)
	o := optimizer(t, params, Config{Method: SGD{}, LearningRate: 0.1, Schedule: rising{}}, nil)
	step(t, o)
	step(t, o) // a rate of zero is allowed
	before := bits(params)
	if err := o.Step(); !errors.Is(err, ErrConfig) {
		t.Errorf("got %v", err)
	}
	if !slices.Equal(bits(params), before) {
		t.Error("the refused step left a trace")
	}
}

func TestStepAllocatesNothing(t *testing.T) {
	pool := parallel.New(2)
	defer pool.Close()
	params := network(1)
	o := optimizer(t, params, Config{Method: AdamW{}, LearningRate: 0.1, WeightDecay: 0.1, ClipNorm: 1, Schedule: Warmup{Steps: 3, Then: Cosine{Steps: 100}},
		Groups: []Group{{Match: "*.bias", Method: SGD{Momentum: 0.9}}}}, pool)
	o.Accumulate()
	o.Discard()
	if n := testing.AllocsPerRun(20, func() {
		o.Accumulate()
		o.Accumulate()
		if err := o.Step(); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("a step allocates %v times", n)
	}
	runtime.KeepAlive(o)
}
