package autograd

import (
	"fmt"
)

// A Node is one value of a graph: an input, a parameter, or the result of an
// operation on earlier nodes. Nodes are made by a [Graph] or an [Edit].
type Node struct {
	name  string
	op    Op // nil for leaves
	in    []*Node
	param *Param
	typ   Type
	spec  Spec
	graph *Graph
	// tags carry what a rewrite wants to tell a later one; they never change results.
	tags map[string]string
}

// Name returns the node's name, unique in its graph.
func (n *Node) Name() string { return n.name }

// Op returns the node's operation, nil for inputs and parameters.
func (n *Node) Op() Op { return n.op }

// Kind returns the name of the operation, "input" or "param".
func (n *Node) Kind() string {
	switch {
	case n.op != nil:
		return n.op.Name()
	case n.param != nil:
		return "param"
	default:
		return "input"
	}
}

// Inputs returns the operands; the slice must not be changed.
func (n *Node) Inputs() []*Node { return n.in }

// Input returns operand i, nil where there is none.
func (n *Node) Input(i int) *Node {
	if i < 0 || i >= len(n.in) {
		return nil
	}
	return n.in[i]
}

// Param returns the parameter of a parameter node, nil for others.
func (n *Node) Param() *Param { return n.param }

// Type returns the type of the value with the batch open, as inferred for
// [Evaluate], and inside a [Pass] for the mode of the program.
func (n *Node) Type() Type { return n.typ }

// Spec returns what the operation inferred for [Evaluate].
func (n *Node) Spec() Spec { return n.spec }

// Tag returns a remark left by a rewrite.
func (n *Node) Tag(key string) string { return n.tags[key] }

// Graph is a network: nodes in topological order, named outputs, parameters
// and state. Building it is not safe for concurrent use; a built graph may be
// compiled from several goroutines.
type Graph struct {
	name    string
	nodes   []*Node
	byName  map[string]*Node
	outputs map[string]*Node
	order   []string // names of outputs in the order they were set
	err     error
	passes  []Pass // the rewrites that Compile applies before planning
	mode    Mode   // the mode that types are inferred for
}

// NewGraph returns an empty graph.
func NewGraph(name string) *Graph {
	return &Graph{name: name, byName: map[string]*Node{}, outputs: map[string]*Node{}}
}

// Name returns the name of the network.
func (g *Graph) Name() string { return g.name }

// Err returns the first mistake made while building, nil if there is none.
func (g *Graph) Err() error { return g.err }

// Fail makes err the error of the graph unless it already has one. Builders of
// layers use it for mistakes of their own.
func (g *Graph) Fail(err error) {
	if g.err == nil {
		g.err = err
	}
}

// env is what types in the graph are inferred for.
func (g *Graph) env() Env { return Env{Mode: g.mode, Workers: 1} }

// Nodes returns the nodes in topological order; the slice must not be changed.
func (g *Graph) Nodes() []*Node { return g.nodes }

// Node returns the node of that name, nil if there is none.
func (g *Graph) Node(name string) *Node { return g.byName[name] }

// Output returns the node set as that output, nil if there is none.
func (g *Graph) Output(name string) *Node { return g.outputs[name] }

// Outputs returns the names of the outputs in the order they were set.
func (g *Graph) Outputs() []string { return append([]string(nil), g.order...) }

// SetOutput names n as an output.
func (g *Graph) SetOutput(name string, n *Node) {
	if g.err != nil {
		return
	}
	if n == nil || n.graph != g {
		g.Fail(fmt.Errorf("%w: output %q: the node is not of this graph", ErrGraph, name))
		return
	}
	if g.outputs[name] == nil {
		g.order = append(g.order, name)
	}
	g.outputs[name] = n
}

// inert stands for every node that could not be built.
func (g *Graph) inert(name string) *Node { return &Node{name: name, graph: g} }

func (g *Graph) add(n *Node) *Node {
	if n.name == "" {
		g.Fail(fmt.Errorf("%w: a node has no name", ErrGraph))
	} else if g.byName[n.name] != nil {
		g.Fail(fmt.Errorf("%w: two nodes are named %q", ErrGraph, n.name))
	}
	if g.err != nil {
		return g.inert(n.name)
	}
	n.graph = g
	g.nodes = append(g.nodes, n)
	g.byName[n.name] = n
	return n
}

// Input adds an input of the given sample shape ([C H W] or [F]); the batch
// axis is added in front and left open. Pixels are Uint8, features Float32,
// labels [Int32] with no sample shape.
func (g *Graph) Input(name string, d DType, sample ...int) *Node {
	if g.err != nil {
		return g.inert(name)
	}
	for _, e := range sample {
		if e <= 0 {
			g.Fail(fmt.Errorf("%w: input %q: shape %v: every extent must be positive", ErrShape, name, sample))
		}
	}
	if k := len(sample); k != 0 && k != 1 && k != 3 {
		g.Fail(fmt.Errorf("%w: input %q: shape %v: a sample is [C H W], [F] or a single label", ErrShape, name, sample))
	}
	return g.add(&Node{name: name, typ: Type{Shape: append([]int{Open}, sample...), DType: d}})
}

// Param adds a parameter leaf. Its value is zero until [Graph.Initialize].
func (g *Graph) Param(name string, role Role, init Initializer, shape ...int) *Node {
	if g.err != nil {
		return g.inert(name)
	}
	n := 1
	for _, e := range shape {
		if e <= 0 || n > 1<<30/e {
			g.Fail(fmt.Errorf("%w: parameter %q: shape %v: extents must be positive and the product below 2^30", ErrShape, name, shape))
			return g.inert(name)
		}
		n *= e
	}
	return g.Leaf(&Param{Name: name, Role: role, Shape: append([]int(nil), shape...),
		Value: make([]float32, n), Grad: make([]float32, n), init: init})
}

// Leaf adds a node for an existing parameter, which other graphs may share.
func (g *Graph) Leaf(p *Param) *Node {
	if g.err != nil {
		return g.inert(p.Name)
	}
	return g.add(&Node{name: p.Name, param: p, typ: Type{Shape: p.Shape, Plain: true}})
}

// Apply adds the node name = op(in...). It is the one way onto a graph, for
// operations of this package and of any other.
func (g *Graph) Apply(name string, op Op, in ...*Node) *Node {
	if g.err != nil {
		return g.inert(name)
	}
	if op == nil {
		g.Fail(fmt.Errorf("%w: node %q has no operation", ErrGraph, name))
		return g.inert(name)
	}
	types := make([]Type, len(in))
	for i, n := range in {
		if n == nil || n.graph != g {
			g.Fail(&NodeError{Node: name, Op: op.Name(), Err: fmt.Errorf("operand %d is not a node of this graph", i), kind: ErrGraph})
			return g.inert(name)
		}
		types[i] = n.typ
	}
	n := &Node{name: name, op: op, in: append([]*Node(nil), in...)}
	spec, err := n.infer(g.env(), types)
	if err != nil {
		g.Fail(err)
		return g.inert(name)
	}
	n.typ, n.spec = spec.Out, spec
	return g.add(n)
}

// graphOf returns the graph that an operation on in belongs to.
func graphOf(in ...*Node) *Graph {
	for _, n := range in {
		if n != nil && n.graph != nil {
			return n.graph
		}
	}
	return &Graph{err: fmt.Errorf("%w: an operation needs at least one node", ErrGraph), byName: map[string]*Node{}, outputs: map[string]*Node{}}
}

// Apply adds the node name = op(in...) to the graph of its operands; nil
// operands at the end are left out. It is what the function of an operation
// calls.
func Apply(name string, op Op, in ...*Node) *Node {
	for len(in) > 0 && in[len(in)-1] == nil {
		in = in[:len(in)-1]
	}
	return graphOf(in...).Apply(name, op, in...)
}

// Graph returns the graph of the node.
func (n *Node) Graph() *Graph { return n.graph }

// Params returns the parameters that the outputs depend on, in the order of
// the graph.
func (g *Graph) Params() []*Param {
	var ps []*Param
	for _, n := range g.nodes {
		if n.param != nil {
			ps = append(ps, n.param)
		}
	}
	return ps
}

// States returns the state of all nodes in the order of the graph, each once.
func (g *Graph) States() []*State {
	var ss []*State
	seen := map[*State]bool{}
	for _, n := range g.nodes {
		if s, ok := n.op.(Stateful); ok {
			for _, st := range s.States() {
				if st != nil && !seen[st] {
					seen[st] = true
					ss = append(ss, st)
				}
			}
		}
	}
	return ss
}

// Initialize draws every parameter from its initializer. Each draw depends on
// the seed and the parameter's name, not on the other parameters.
func (g *Graph) Initialize(seed uint64) {
	for _, p := range g.Params() {
		p.Initialize(seed)
	}
}

// Consumers returns the nodes that read n, in the order of the graph.
func (g *Graph) Consumers(n *Node) []*Node {
	var cs []*Node
	for _, c := range g.nodes {
		for _, i := range c.in {
			if i == n {
				cs = append(cs, c)
				break
			}
		}
	}
	return cs
}

// Count returns the number of trained scalars.
func (g *Graph) Count() int {
	n := 0
	for _, p := range g.Params() {
		n += len(p.Value)
	}
	return n
}

// Use attaches passes that every Compile of this graph applies, in order. A
// rewrite keeps them.
func (g *Graph) Use(p ...Pass) { g.passes = append(g.passes, p...) }

// Passes returns the attached passes.
func (g *Graph) Passes() []Pass { return append([]Pass(nil), g.passes...) }

// check reports the graph's error, or a missing output.
func (g *Graph) check() error {
	if g == nil {
		return fmt.Errorf("%w: the graph is nil", ErrGraph)
	}
	if g.err != nil {
		return g.err
	}
	if len(g.outputs) == 0 {
		return fmt.Errorf("%w: %s has no output: call SetOutput", ErrGraph, g.name)
	}
	return nil
}

// reachable marks what the given nodes depend on, themselves included.
func reachable(from []*Node) map[*Node]bool {
	seen := map[*Node]bool{}
	var visit func(n *Node)
	visit = func(n *Node) {
		if n == nil || seen[n] {
			return
		}
		seen[n] = true
		for _, i := range n.in {
			visit(i)
		}
	}
	for _, n := range from {
		visit(n)
	}
	return seen
}

// sortNodes orders nodes topologically, ties by their present position.
func sortNodes(nodes []*Node) ([]*Node, error) {
	pos := make(map[*Node]int, len(nodes))
	for i, n := range nodes {
		pos[n] = i
	}
	const open, done = 1, 2
	state := make(map[*Node]int, len(nodes))
	out := make([]*Node, 0, len(nodes))
	var visit func(n *Node) error
	visit = func(n *Node) error {
		switch state[n] {
		case done:
			return nil
		case open:
			return fmt.Errorf("%w: node %q depends on itself", ErrGraph, n.name)
		}
		state[n] = open
		for _, i := range n.in {
			if _, ok := pos[i]; !ok {
				return fmt.Errorf("%w: node %q reads %q, which is not in the graph", ErrGraph, n.name, i.name)
			}
			if err := visit(i); err != nil {
				return err
			}
		}
		state[n] = done
		out = append(out, n)
		return nil
	}
	for _, n := range nodes {
		if err := visit(n); err != nil {
			return nil, err
		}
	}
	return out, nil
}
