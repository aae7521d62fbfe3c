package optest

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/quant"
)

// Faults runs the case and returns everything that is wrong with the operation.
func (c Case) Faults() []error {
	faults, _ := c.run()
	return faults
}

// run also returns what the case would see.
func (c Case) run() ([]error, sight) {
	var faults []error
	seen := sight{}
	for _, m := range c.modes() {
		for _, err := range c.faults(m, seen) {
			faults = append(faults, fmt.Errorf("%s: %s: %w", c.Name, m, err))
		}
	}
	return faults, seen
}

// trial is one mode of a case with its drawn operands and weights.
type trial struct {
	Case
	mode autograd.Mode
	r    *rand.Rand
	base []Array   // the operands, exact in float32
	u    []float32 // weights of the value, in NCHW order
	v    [][]float32
}

func (c Case) faults(mode autograd.Mode, seen sight) []error {
	g, _, _, y := c.graph()
	if err := g.Err(); err != nil {
		return []error{err}
	}
	t := &trial{Case: c, mode: mode}
	if t.Tol == 0 {
		t.Tol = 1e-5
	}
	if t.GradTol == 0 {
		t.GradTol = 1e-4
	}
	t.draw()
	want := c.Ref(t.base)
	if s := y.Type().WithBatch(c.batch()).Shape; fmt.Sprint(s) != fmt.Sprint(want.Shape) {
		return []error{fmt.Errorf("the value has shape %v, the reference %v", s, want.Shape)}
	}
	t.u = t.weights(len(want.Data))

	var faults []error
	add := func(what string, errs ...error) {
		for _, err := range errs {
			faults = append(faults, fmt.Errorf("%s: %w", what, err))
		}
	}
	plain, err := t.run(situation{inputGrad: true, count: true})
	if err != nil {
		return append(faults, err)
	}
	add("value", near(plain.value, want.Data, t.Tol)...)
	if c.Surrogate != nil {
		add("surrogate", near(narrow(c.Surrogate(t.base, t.base).Data), want.Data, t.Tol)...)
	}
	grads := make([][]float64, len(c.Inputs))
	for i, in := range c.Inputs {
		if in.differentiable() {
			grads[i] = t.differences(i)
			add("gradient of "+in.Name, nearKnown(plain.grads[i], grads[i], t.GradTol)...)
			seen.look(nameOf(y.Op()), in.Name, plain.grads[i], grads[i], t.GradTol)
		}
	}
	others := []struct {
		name string
		s    situation
	}{
		{"3 workers", situation{inputGrad: true, workers: 3, count: true}},
		{"parameters frozen", situation{inputGrad: true, frozen: true}},
		{"no gradient of inputs", situation{}},
		{"with borders and other readers", situation{inputGrad: true, shared: true, workers: 2}},
	}
	for _, o := range others {
		got, err := t.run(o.s)
		if err != nil {
			add(o.name, err)
			continue
		}
		add(o.name+": value", same(got.value, plain.value)...)
		for i, in := range c.Inputs {
			switch {
			case got.grads[i] == nil:
			case o.s.shared:
				sum := make([]float64, len(grads[i]))
				for k := range sum {
					sum[k] = grads[i][k] + float64(t.v[i][k])
				}
				add(o.name+": gradient of "+in.Name, nearKnown(got.grads[i], sum, t.GradTol)...)
			default:
				add(o.name+": gradient of "+in.Name, same(got.grads[i], plain.grads[i])...)
			}
		}
	}
	return faults
}

// draw samples the operands and the weights of the probe.
func (t *trial) draw() {
	h := fnv.New64a()
	h.Write([]byte(t.Name))
	t.r = rand.New(rand.NewPCG(h.Sum64(), t.Seed))
	for _, in := range t.Inputs {
		a := NewArray(in.shape(t.batch())...)
		sample := in.Draw
		if sample == nil {
			sample = Normal(1)
		}
		sample(t.r, a.Data)
		for k, x := range a.Data {
			a.Data[k] = float64(float32(x))
			if in.Grid != nil {
				a.Data[k] = float64(in.Grid.FakeQuantize(float32(x), 0, quant.HalfEven))
			}
		}
		t.base = append(t.base, a)
		t.v = append(t.v, t.weights(len(a.Data)))
	}
}

// weights draws n numbers whose magnitude is at least a half, so that no
// element can be wrong unnoticed.
func (t *trial) weights(n int) []float32 {
	w := make([]float32, n)
	for i := range w {
		w[i] = float32(0.5 + t.r.Float64())
		if t.r.IntN(2) == 0 {
			w[i] = -w[i]
		}
	}
	return w
}

// maxDifferences bounds the elements per operand that are differentiated
// numerically; of larger operands that many are chosen at random, and the
// others are reported as NaN.
const maxDifferences = 300

// differences returns the gradient of Σ u·f(in) with respect to operand i, by
// central differences.
func (t *trial) differences(i int) []float64 {
	f := t.Ref
	if t.Surrogate != nil {
		f = func(in []Array) Array { return t.Surrogate(t.base, in) }
	}
	in := append([]Array(nil), t.base...)
	in[i] = t.base[i].Clone()
	x := in[i].Data
	grad := make([]float64, len(x))
	chosen := t.r.Perm(len(x))
	for n, k := range chosen {
		if n >= maxDifferences {
			grad[k] = math.NaN()
			continue
		}
		h := 1e-5 * max(1, math.Abs(x[k]))
		old := x[k]
		x[k] = old + h
		up := f(in).Clone() // it may be the operand's memory
		x[k] = old - h
		down := f(in).Clone()
		x[k] = old
		for j, u := range t.u {
			if u != 0 {
				grad[k] += float64(u) * (up.Data[j] - down.Data[j])
			}
		}
		grad[k] /= 2 * h
	}
	return grad
}

// situation is what a program does around the operation.
type situation struct {
	workers   int
	inputGrad bool
	frozen    bool // parameters take no gradient
	shared    bool // operands have borders and another reader that writes its gradient first
	count     bool // count allocations
}

type result struct {
	value []float32
	grads [][]float32 // nil where none is wanted
}

func (t *trial) run(s situation) (result, error) {
	g := autograd.NewGraph(t.Name)
	var leaves, operands []*autograd.Node
	for i, in := range t.Inputs {
		l, o := t.leaf(g, i)
		if in.Grid == nil && (!in.Param || s.shared) {
			o = g.Apply(in.Name+".relay", relayOp{}, l)
		}
		leaves, operands = append(leaves, l), append(operands, o)
	}
	y := t.Build(g, operands)
	probes := []*autograd.Node{y}
	probe := probeOp{weights: [][]float32{t.u}}
	for i, in := range t.Inputs {
		if in.Param && s.frozen && leaves[i].Param() != nil {
			leaves[i].Param().Frozen = true
		}
		if s.shared && in.differentiable() {
			probes = append(probes, operands[i])
			probe.weights = append(probe.weights, t.v[i])
		}
	}
	if s.shared {
		probe.border = autograd.Border{Top: 1, Left: 2, Bottom: 3, Right: 1}
	}
	g.SetOutput("probe", g.Apply("probe", probe, probes...))

	var pool *autograd.Pool
	if s.workers > 1 {
		pool = newPool(s.workers)
		defer pool.Close()
	}
	p, err := g.Compile(autograd.CompileOptions{Mode: t.mode, Batch: t.batch(), Loss: "probe", Pool: pool,
		Seed: 7, InputGrad: s.inputGrad, Poison: true, Plain: true})
	if err != nil {
		return result{}, err
	}
	p.SetStep(3, 1)
	var res result
	p.Tap(func(n *autograd.Node, v autograd.View) {
		if n == y {
			res.value = v.Floats(res.value)
		}
	})
	for i, in := range t.Inputs {
		t.load(p, leaves[i], in, t.base[i].Data)
	}
	step := func() {
		p.Forward()
		p.Backward()
	}
	step()
	for i, l := range leaves {
		var grad []float32
		if v, ok := p.GradView(l.Name()); ok && t.Inputs[i].differentiable() {
			grad = v.Floats(nil)
		}
		res.grads = append(res.grads, grad)
	}
	// A second run must give the same: no step may depend on what memory held.
	first := result{append([]float32(nil), res.value...), res.grads}
	for _, l := range leaves {
		if q := l.Param(); q != nil && !q.Frozen {
			for k := range q.Grad {
				q.Grad[k] = float32(math.NaN())
			}
		}
	}
	step()
	faults := same(res.value, first.value)
	for i, l := range leaves {
		if v, ok := p.GradView(l.Name()); ok && res.grads[i] != nil {
			faults = append(faults, same(v.Floats(nil), first.grads[i])...)
		}
	}
	if len(faults) > 0 {
		return result{}, fmt.Errorf("a second run gives something else: %w", faults[0])
	}
	p.Tap(nil)
	if s.count {
		if n := allocations(step); n > 0 {
			return result{}, fmt.Errorf("a step allocates %v times", n)
		}
	}
	return first, nil
}

// allocations returns how often a step allocates. The runtime allocates now and then as
// well, when goroutines wait for one another on a busy machine: what a step does, it
// does each time.
func allocations(step func()) float64 {
	least := math.Inf(1)
	for range 3 {
		if least = min(least, testing.AllocsPerRun(2, step)); least == 0 {
			break
		}
	}
	return least
}

// load writes the drawn values into an input or a parameter of the program.
func (t *trial) load(p *autograd.Program, leaf *autograd.Node, in Input, data []float64) {
	v, ok := p.View(leaf.Name())
	if !ok { // the operation does not read the operand
		return
	}
	for k, at := range offsets(v) {
		switch v.Elem() {
		case autograd.Float32:
			v.F32[at] = float32(data[k])
		default:
			v.SetCode(at, int32(data[k]))
		}
	}
	if q := leaf.Param(); q != nil {
		for k := range q.Grad {
			q.Grad[k] = float32(math.NaN())
		}
		q.Touch()
	}
}
