package autograd

import (
	"errors"
	"fmt"
	"math"

	"github.com/bitgrad/bitgrad/quant"
)

// CompileOptions say what a program is for.
type CompileOptions struct {
	Mode  Mode
	Batch int
	// Outputs are the names of the outputs wanted; empty means all.
	Outputs []string
	// Loss names the output that Backward differentiates; empty means "loss"
	// where the mode trains and the graph has an output of that name.
	Loss string
	// Pool runs the steps; nil runs everything on the calling goroutine.
	Pool *Pool
	// Seed keys everything random, together with the step.
	Seed uint64
	// Passes are applied after those of the graph.
	Passes []Pass
	// Plain leaves out the passes of the graph and fusions: the network runs node by node.
	Plain bool
	// Unfused leaves out fusions alone: what runs on floats runs node by node.
	Unfused bool
	// Wanted are further nodes, by name, that must stay readable as outputs. Nothing is fused
	// then.
	Wanted []string
	// InputGrad asks for the gradients of the inputs of element type Float32.
	InputGrad bool
	// Poison fills memory with NaN whenever the plan says that nobody needs it:
	// scratch and fresh buffers before a step, dead ones after it. It is for
	// tests of operations. A result that changes shows an operation that reads
	// what its Spec does not claim, or leaves elements unwritten.
	Poison bool
}

// A Program runs a graph for one batch size in one mode. It is not safe for
// concurrent use. Programs of one graph share parameters and state.
type Program struct {
	graph  *Graph
	opt    CompileOptions
	drafts []*draft
	plan   *plan
	values []View
	grads  []View
	steps  []Step
	loss   int
	ctx    Context
	tap    func(*Node, View)
	watch  func(n *Node, backward bool)
	fills  []*borderFill
	gfills []*borderFill
	states []*State
	feeds  map[string]*feed
	arena  arena
}

// Compile plans and binds a program.
func (g *Graph) Compile(opt CompileOptions) (*Program, error) {
	p, err := g.layOut(opt)
	if err != nil {
		return nil, err
	}
	if err := p.bind(); err != nil {
		return nil, err
	}
	p.states = p.graph.States()
	return p, nil
}

// layOut plans a program without memory or steps.
func (g *Graph) layOut(opt CompileOptions) (*Program, error) {
	if err := g.check(); err != nil {
		return nil, err
	}
	if opt.Batch <= 0 {
		return nil, fmt.Errorf("%w: %s: batch size %d: must be positive", ErrGraph, g.name, opt.Batch)
	}
	passes := opt.Passes
	if !opt.Plain {
		passes = append(append([]Pass(nil), g.passes...), opt.Passes...)
	}
	passes = append(passes[:len(passes):len(passes)], opt.fusions()...)
	for _, p := range passes {
		h, err := g.rewriteFor(opt.Mode, func(e *Edit) error { return p.Apply(opt.Mode, e) })
		if err != nil {
			return nil, fmt.Errorf("pass %s: %w", p.Name, err)
		}
		g = h
	}
	p := &Program{graph: g, opt: opt, loss: -1, ctx: Context{Pool: opt.Pool}}
	if err := p.draft(); err != nil {
		return nil, err
	}
	var err error
	p.plan, err = makePlan(p.drafts)
	return p, err
}

// draft selects the nodes, infers their types and marks the backward pass.
func (p *Program) draft() error {
	g, opt := p.graph, p.opt
	wanted := opt.Outputs
	if len(wanted) == 0 {
		wanted = g.order
	}
	lossName := opt.Loss
	if lossName == "" && opt.Mode.Training() && g.outputs["loss"] != nil {
		lossName = "loss"
	}
	isOut := map[*Node]bool{}
	var roots []*Node
	want := func(n *Node) {
		isOut[n] = true
		roots = append(roots, n)
	}
	for _, name := range wanted {
		n := g.outputs[name]
		if n == nil {
			return fmt.Errorf("%w: %s has no output %q, only %q", ErrGraph, g.name, name, g.order)
		}
		want(n)
	}
	for _, name := range opt.Wanted {
		n := g.byName[name]
		if n == nil {
			return fmt.Errorf("%w: %s has no node %q", ErrGraph, g.name, name)
		}
		want(n)
	}
	var lossNode *Node
	if lossName != "" {
		if lossNode = g.outputs[lossName]; lossNode == nil {
			return fmt.Errorf("%w: %s has no output %q to differentiate", ErrGraph, g.name, lossName)
		}
		if !isOut[lossNode] {
			want(lossNode)
		}
	}
	live := reachable(roots)
	feeds := map[*Node]bool{}
	if lossNode != nil {
		feeds = reachable([]*Node{lossNode})
	}
	index := map[*Node]int{}
	env := Env{Mode: opt.Mode, Workers: opt.Pool.Workers()}
	for _, n := range g.nodes {
		if !live[n] {
			continue
		}
		d := &draft{node: n, output: isOut[n]}
		types := make([]Type, len(n.in))
		for i, k := range n.in {
			d.in = append(d.in, index[k])
			types[i] = p.drafts[index[k]].spec.Out
		}
		switch {
		case n.op != nil:
			s, err := n.infer(env, types)
			if err != nil {
				return err
			}
			d.spec = s
			for i, j := range d.in {
				if p.drafts[j].grad && !(i < len(s.NoGrad) && s.NoGrad[i]) {
					d.grad = feeds[n]
				}
			}
		case n.param != nil:
			d.spec.Out = n.typ
			d.grad = feeds[n] && !n.param.Frozen
		default:
			d.spec.Out = n.typ.WithBatch(opt.Batch)
			d.grad = feeds[n] && opt.InputGrad && n.typ.DType == Float32
		}
		if n == lossNode {
			p.loss = len(p.drafts)
			if d.spec.Out.Elements() != 1 || d.spec.Out.DType != Float32 {
				return fmt.Errorf("%w: %s: output %q is %s: a loss is one float32", ErrShape, g.name, lossName, d.spec.Out)
			}
		}
		index[n] = len(p.drafts)
		p.drafts = append(p.drafts, d)
	}
	p.cutGradients()
	return nil
}

// cutGradients takes nodes out of the backward pass whose gradient nobody
// writes, because every way to the loss goes through an operand without
// derivative.
func (p *Program) cutGradients() {
	reached := make([]bool, len(p.drafts))
	if p.loss >= 0 {
		reached[p.loss] = true
	}
	for i := len(p.drafts) - 1; i >= 0; i-- {
		d := p.drafts[i]
		d.grad = d.grad && reached[i]
		for k, j := range d.in {
			if d.gradWanted(p.drafts, k) {
				reached[j] = true
			}
		}
	}
}

// bind places the buffers and binds the steps.
func (p *Program) bind() error {
	f := len(p.drafts)
	scratchAt := p.plan.size
	p.arena = newArena(p.plan.size + p.plan.scratch + slack)
	p.values, p.grads = make([]View, f), make([]View, f)
	p.steps, p.fills, p.gfills = make([]Step, f), make([]*borderFill, f), make([]*borderFill, f)
	for i, d := range p.drafts {
		v := View{Type: d.spec.Out}
		if d.node.param != nil {
			v.L, _ = layoutOf(v.Type, Border{})
			v.Memory = Memory{DType: Float32, F32: d.node.param.Value}
		} else {
			v.L, _ = layoutOf(v.Type, p.plan.border[i])
			v.Memory = p.arena.at(p.plan.value[i].off, v.Type.DType, p.plan.value[i].len)
			p.fills[i] = newBorderFill(v, p.plan.border[i])
		}
		if v.Format != nil {
			v.Grid = &quant.Grid{}
		}
		p.values[i] = v
		if !d.grad {
			continue
		}
		gv := View{Type: d.spec.Out.Floats()}
		if d.node.param != nil {
			gv.L, gv.Memory = v.L, Memory{DType: Float32, F32: d.node.param.Grad}
		} else {
			gv.L, _ = layoutOf(gv.Type, p.plan.gborder[i])
			gv.Memory = p.arena.at(p.plan.grad[i].off, Float32, p.plan.grad[i].len)
			p.gfills[i] = newBorderFill(gv, p.plan.gborder[i])
		}
		p.grads[i] = gv
	}
	// The last reader of a value writes its gradient first.
	writer := make([]int, f)
	for i := range writer {
		writer[i] = -1
	}
	add := make([][]bool, f)
	for i := f - 1; i >= 0; i-- {
		d := p.drafts[i]
		add[i] = make([]bool, len(d.in))
		if !d.grad || d.node.op == nil {
			continue
		}
		for k, j := range d.in {
			if d.gradWanted(p.drafts, k) {
				add[i][k] = writer[j] >= 0
				writer[j] = i
			}
		}
	}
	for i, d := range p.drafts {
		if d.node.op == nil {
			continue
		}
		b := &Binding{Env: Env{Mode: p.opt.Mode, Workers: p.opt.Pool.Workers()}, Node: d.node, Out: p.values[i],
			GradOut: p.grads[i], Pool: p.opt.Pool, Batch: p.opt.Batch, Seed: p.opt.Seed, fill: p.fills[i]}
		for k, j := range d.in {
			b.In = append(b.In, p.values[j])
			var gv View
			if d.gradWanted(p.drafts, k) {
				gv = p.grads[j]
				gv.Add = add[i][k]
			}
			b.GradIn = append(b.GradIn, gv)
		}
		for _, s := range p.plan.saved[i] {
			b.Saved = append(b.Saved, p.arena.at(s.off, s.dtype, s.len))
		}
		off := scratchAt
		for _, s := range d.scratch() {
			b.Scratch = append(b.Scratch, p.arena.at(off, s.DType, s.Len))
			off += bytesFor(s.DType, s.Len)
		}
		if d.spec.Moves && b.Out.IsCodes() && b.In[0].IsCodes() {
			b.Out.Grid = b.In[0].Grid
		}
		p.steps[i] = d.node.op.Bind(b)
		if p.steps[i] == nil {
			return p.bad(d.node, errNoStep)
		}
		p.fills[i] = b.fill
		if b.Out.Grid != nil { // an op that passes codes on passes their grid on
			p.values[i].Grid = b.Out.Grid
			if p.fills[i] != nil {
				p.fills[i].view.Grid = b.Out.Grid
			}
		}
		if b.Out.IsCodes() && (b.Out.Grid == nil || len(b.Out.Grid.Scale) == 0) {
			return p.bad(d.node, errNoGrid)
		}
	}
	if p.loss >= 0 && p.drafts[p.loss].grad {
		p.grads[p.loss].F32[0] = 1
	}
	return nil
}

// Mistakes of whoever wrote an operation.
var (
	errNoName  = errors.New("the operation has no name")
	errNoShape = errors.New("Infer gave the result no shape")
	errNoStep  = errors.New("Bind returned no step")
	errNoGrid  = errors.New("the result consists of codes, but Bind gave them no grid: set Moves in the Spec, or a Scale in b.Out.Grid")
)

func (p *Program) bad(n *Node, err error) error {
	return &NodeError{Node: n.name, Op: n.op.Name(), In: typesOf(n.in), Err: err, kind: ErrGraph}
}

// Forward runs every node once on the inputs last loaded.
func (p *Program) Forward() {
	p.ctx.NaNs = 0
	for i, s := range p.steps {
		if p.opt.Poison {
			p.poisonBefore(i)
		}
		if s != nil {
			s.Forward(&p.ctx)
		}
		if b := p.fills[i]; b != nil {
			b.run(&p.ctx)
		}
		if p.tap != nil {
			p.tap(p.drafts[i].node, p.values[i])
		}
		if p.watch != nil && (s != nil || p.fills[i] != nil) {
			p.watch(p.drafts[i].node, false)
		}
		if p.opt.Poison {
			p.poisonAfter(i)
		}
	}
}

// Backward writes the gradient of the loss with respect to every parameter
// that is not frozen into its Grad. It follows a Forward.
func (p *Program) Backward() {
	if p.loss < 0 {
		return
	}
	for i := len(p.steps) - 1; i >= 0; i-- {
		tick := 2*len(p.steps) - 1 - i
		if p.opt.Poison {
			p.poisonAfter(tick - 1) // also of nodes that are passed over
			p.poisonBefore(tick)
		}
		if !p.drafts[i].grad {
			continue
		}
		if b := p.gfills[i]; b != nil {
			b.run(&p.ctx)
		}
		if i == p.loss {
			p.grads[i].F32[0] = 1
		}
		if p.steps[i] != nil {
			p.steps[i].Backward(&p.ctx)
		}
		if p.watch != nil && (p.steps[i] != nil || p.gfills[i] != nil) {
			p.watch(p.drafts[i].node, true)
		}
	}
}

// SetStep numbers the optimizer step and the micro-batch that the next Forward
// belongs to.
func (p *Program) SetStep(step uint64, micro uint32) { p.ctx.Step, p.ctx.Micro = step, micro }

// Commit makes the state that Forward staged current; Discard drops it.
func (p *Program) Commit() {
	for _, s := range p.states {
		s.Commit()
	}
}

// Discard drops the state that Forward staged.
func (p *Program) Discard() {
	for _, s := range p.states {
		s.Discard()
	}
}

// NaNs returns how many bad numbers the kernels of the last Forward met.
func (p *Program) NaNs() int64 { return p.ctx.NaNs }

// Tap makes Forward call f after each node, before its memory is used again.
// Nil removes the tap.
func (p *Program) Tap(f func(n *Node, v View)) { p.tap = f }

// Graph returns the graph that runs, after the passes.
func (p *Program) Graph() *Graph { return p.graph }

// Mode returns the mode the program was compiled for.
func (p *Program) Mode() Mode { return p.opt.Mode }

// Batch returns the batch size the program was compiled for.
func (p *Program) Batch() int { return p.opt.Batch }

// Params returns the parameters that Backward writes gradients of.
func (p *Program) Params() []*Param {
	var ps []*Param
	for _, d := range p.drafts {
		if d.node.param != nil && d.grad {
			ps = append(ps, d.node.param)
		}
	}
	return ps
}

// View returns the value of a node by the name of an output or of a node; the
// second result is false where the program has no such node. The values of
// nodes that are neither inputs nor outputs may be overwritten by later nodes.
func (p *Program) View(name string) (View, bool) {
	i := p.find(name)
	if i < 0 {
		return View{}, false
	}
	return p.values[i], true
}

// GradView is View for the gradient. Those of parameters are valid until the
// next Backward, those of inputs until the next Forward, others while the node
// before runs.
func (p *Program) GradView(name string) (View, bool) {
	i := p.find(name)
	if i < 0 || p.grads[i].Empty() {
		return View{}, false
	}
	return p.grads[i], true
}

func (p *Program) find(name string) int {
	n := p.graph.outputs[name]
	if n == nil {
		n = p.graph.byName[name]
	}
	for i, d := range p.drafts {
		if d.node == n {
			return i
		}
	}
	return -1
}

// Loss returns the value of the loss, NaN where the program has none.
func (p *Program) Loss() float32 {
	if p.loss < 0 {
		return float32(math.NaN())
	}
	return p.values[p.loss].F32[0]
}

// FirstBad runs Forward once more and names the first node whose value holds
// a NaN or an infinity; empty where there is none. Parameters count as nodes.
func (p *Program) FirstBad() string {
	name := ""
	old := p.tap
	p.tap = func(n *Node, v View) {
		if name != "" || v.Elem() != Float32 {
			return
		}
		v.each(func(_, i, _ int) {
			if x := v.F32[i]; name == "" && (x != x || math.IsInf(float64(x), 0)) {
				name = n.name
			}
		})
	}
	p.Forward()
	p.tap = old
	return name
}

// borderFill writes real zero into the frame of a value.
type borderFill struct {
	view   View
	border Border
	fn     func(worker, n int)
	zero   int32
	codes  []uint8 // a row of zero points in bytes
}

func newBorderFill(v View, b Border) *borderFill {
	if b.IsZero() || v.Plain {
		return nil
	}
	f := &borderFill{view: v, border: b}
	f.fn = f.image
	if e := v.Elem(); e == Uint8 || e == Int8 {
		f.codes = make([]uint8, (b.Left+v.L.W+b.Right)*v.L.SW)
	}
	return f
}

func (f *borderFill) run(c *Context) {
	f.zero = ZeroCode(f.view.Grid)
	if len(f.codes) > 0 && f.codes[0] != uint8(f.zero) {
		for i := range f.codes {
			f.codes[i] = uint8(f.zero)
		}
	}
	c.Pool.Run(f.view.L.N, f.fn)
}

func (f *borderFill) image(_, n int) {
	for h := range f.view.L.H {
		f.around(n, h)
	}
}

// around fills what lies beside row h of image n and, at the first and the last row, above
// and below the image.
func (f *borderFill) around(n, h int) {
	l, b := f.view.L, f.border
	left, right := b.Left*l.SW, b.Right*l.SW
	inner := l.W * l.SW
	if h == 0 {
		for k := -b.Top; k < 0; k++ {
			f.fill(l.Row(n, 0)+k*l.SH-left, left+inner+right)
		}
	}
	start := l.Row(n, h) - left
	f.fill(start, left)
	f.fill(start+left+inner, right)
	if h == l.H-1 {
		for k := range b.Bottom {
			f.fill(start+(k+1)*l.SH, left+inner+right)
		}
	}
}

func (f *borderFill) fill(start, n int) {
	switch f.view.Elem() {
	case Float32:
		clear(f.view.F32[start : start+n])
	case Uint8, Int8:
		copy(f.view.U8[start:start+n], f.codes)
	case Int32:
		s := f.view.I32[start : start+n]
		for i := range s {
			s[i] = f.zero
		}
	case Int64:
		s := f.view.I64[start : start+n]
		for i := range s {
			s[i] = int64(f.zero)
		}
	}
}

// Steps calls f for every node that runs, in order, with its step (nil for
// inputs and parameters) and its value.
func (p *Program) Steps(f func(n *Node, s Step, v View)) {
	for i, d := range p.drafts {
		f(d.node, p.steps[i], p.values[i])
	}
}
