package autograd

import "fmt"

// A Pass is a named rewrite of a graph, applied by [Graph.Compile] in the mode
// that the program is for.
type Pass struct {
	Name  string
	Apply func(mode Mode, e *Edit) error
}

// Edit changes a copy of a graph. Parameters, state and operations are shared
// with the original, names are kept. The first mistake sticks; Rewrite returns
// it.
type Edit struct{ g *Graph }

// Rewrite applies f to a copy of the graph, drops nodes that no output depends
// on, sorts the rest and infers their types again. The original is unchanged.
func (g *Graph) Rewrite(f func(e *Edit) error) (*Graph, error) {
	if err := g.check(); err != nil {
		return nil, err
	}
	return g.clone().edit(f)
}

// rewriteFor is Rewrite with types inferred for a mode, before f and after.
func (g *Graph) rewriteFor(mode Mode, f func(e *Edit) error) (*Graph, error) {
	c := g.clone()
	if c.mode != mode {
		c.mode = mode
		for _, n := range c.nodes {
			if err := n.reinfer(); err != nil {
				return nil, err
			}
		}
	}
	return c.edit(f)
}

func (g *Graph) edit(f func(e *Edit) error) (*Graph, error) {
	e := &Edit{g: g}
	if err := f(e); err != nil {
		return nil, err
	}
	return e.finish()
}

func (g *Graph) clone() *Graph {
	c := NewGraph(g.name)
	c.mode = g.mode
	c.passes = append(c.passes, g.passes...)
	m := make(map[*Node]*Node, len(g.nodes))
	for _, n := range g.nodes {
		k := &Node{name: n.name, op: n.op, param: n.param, typ: n.typ, spec: n.spec, graph: c}
		for _, i := range n.in {
			k.in = append(k.in, m[i])
		}
		for t, v := range n.tags {
			k.tag(t, v)
		}
		m[n] = k
		c.nodes = append(c.nodes, k)
		c.byName[k.name] = k
	}
	for _, name := range g.order {
		c.SetOutput(name, m[g.outputs[name]])
	}
	return c
}

func (n *Node) tag(key, value string) {
	if n.tags == nil {
		n.tags = map[string]string{}
	}
	n.tags[key] = value
}

func (e *Edit) finish() (*Graph, error) {
	g := e.g
	if err := g.check(); err != nil {
		return nil, err
	}
	var roots []*Node
	for _, o := range g.order {
		roots = append(roots, g.outputs[o])
	}
	live := reachable(roots)
	kept := make([]*Node, 0, len(g.nodes))
	for _, n := range g.nodes {
		if live[n] {
			kept = append(kept, n)
		}
	}
	sorted, err := sortNodes(kept)
	if err != nil {
		return nil, err
	}
	g.nodes = sorted
	g.byName = make(map[string]*Node, len(sorted))
	for _, n := range sorted {
		if g.byName[n.name] != nil {
			return nil, fmt.Errorf("%w: two nodes are named %q", ErrGraph, n.name)
		}
		g.byName[n.name] = n
		if err := n.reinfer(); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// reinfer brings the type of the node up to date with those of its operands.
func (n *Node) reinfer() (err error) {
	if n.op == nil {
		return nil
	}
	if n.spec, err = n.infer(n.graph.env(), typesOf(n.in)); err == nil {
		n.typ = n.spec.Out
	}
	return err
}

func typesOf(ns []*Node) []Type {
	ts := make([]Type, len(ns))
	for i, n := range ns {
		ts[i] = n.typ
	}
	return ts
}

func (n *Node) infer(env Env, in []Type) (Spec, error) {
	s, err := n.op.Infer(env, in)
	switch {
	case err != nil:
	case n.op.Name() == "":
		err = errNoName
	case len(s.Out.Shape) == 0:
		err = errNoShape
	}
	if err != nil {
		return s, &NodeError{Node: n.name, Op: n.op.Name(), In: in, Err: err, kind: ErrShape}
	}
	return s, nil
}

// Graph returns the graph being edited, for look-ups. Its order is topological
// only at the start and after the rewrite.
func (e *Edit) Graph() *Graph { return e.g }

// Nodes returns a snapshot of the nodes in their present order.
func (e *Edit) Nodes() []*Node { return append([]*Node(nil), e.g.nodes...) }

// Node returns the node of that name, nil if there is none.
func (e *Edit) Node(name string) *Node { return e.g.byName[name] }

// Consumers returns the nodes that read n.
func (e *Edit) Consumers(n *Node) []*Node { return e.g.Consumers(n) }

// IsOutput reports whether n is an output of the graph.
func (e *Edit) IsOutput(n *Node) bool {
	for _, o := range e.g.outputs {
		if o == n {
			return true
		}
	}
	return false
}

// Only returns the one node that reads n, nil where there are several, none,
// or where n is an output.
func (e *Edit) Only(n *Node) *Node {
	if e.IsOutput(n) {
		return nil
	}
	cs := e.Consumers(n)
	if len(cs) != 1 {
		return nil
	}
	uses := 0
	for _, i := range cs[0].in {
		if i == n {
			uses++
		}
	}
	if uses != 1 {
		return nil
	}
	return cs[0]
}

// Add adds a node; see [Graph.Apply].
func (e *Edit) Add(name string, op Op, in ...*Node) *Node { return e.g.Apply(name, op, in...) }

// Param adds a parameter; see [Graph.Param].
func (e *Edit) Param(name string, role Role, init Initializer, shape ...int) *Node {
	return e.g.Param(name, role, init, shape...)
}

// Leaf adds a node for an existing parameter; see [Graph.Leaf].
func (e *Edit) Leaf(p *Param) *Node { return e.g.Leaf(p) }

// owns reports whether every node belongs to the graph, and makes it an error
// if one does not.
func (e *Edit) owns(what string, ns ...*Node) bool {
	for _, n := range ns {
		if n == nil || n.graph != e.g {
			e.g.Fail(fmt.Errorf("%w: %s: a node is nil or of another graph", ErrGraph, what))
		}
	}
	return e.g.err == nil
}

// Replace makes every reader of old, and every output that is old, use new.
// New itself may read old.
func (e *Edit) Replace(old, new *Node) {
	if !e.owns("replace", old, new) {
		return
	}
	for _, n := range e.g.nodes {
		if n == new {
			continue
		}
		for i := range n.in {
			if n.in[i] == old {
				n.in[i] = new
			}
		}
	}
	for name, o := range e.g.outputs {
		if o == old {
			e.g.outputs[name] = new
		}
	}
}

// SetInput makes n read to as its operand i.
func (e *Edit) SetInput(n *Node, i int, to *Node) {
	if !e.owns("set input", n, to) {
		return
	}
	if i < 0 || i >= len(n.in) {
		e.g.Fail(fmt.Errorf("%w: node %q has no operand %d", ErrGraph, n.name, i))
		return
	}
	n.in[i] = to
}

// SetOp gives n another operation and operands and keeps its name and readers.
func (e *Edit) SetOp(n *Node, op Op, in ...*Node) {
	if !e.owns("set operation", append([]*Node{n}, in...)...) {
		return
	}
	if op == nil {
		e.g.Fail(fmt.Errorf("%w: node %q has no operation", ErrGraph, n.name))
		return
	}
	n.op, n.in, n.param = op, append([]*Node(nil), in...), nil
}

// InsertAfter puts op between n and all its readers; the new node may have
// further operands.
func (e *Edit) InsertAfter(n *Node, name string, op Op, more ...*Node) *Node {
	k := e.Add(name, op, append([]*Node{n}, more...)...)
	if e.g.err == nil {
		e.Replace(n, k)
	}
	return k
}

// InsertBefore puts op on the edge into operand i of n.
func (e *Edit) InsertBefore(n *Node, i int, name string, op Op, more ...*Node) *Node {
	if !e.owns("insert before", n) {
		return e.g.inert(name)
	}
	if i < 0 || i >= len(n.in) {
		e.g.Fail(fmt.Errorf("%w: node %q has no operand %d", ErrGraph, n.name, i))
		return e.g.inert(name)
	}
	k := e.Add(name, op, append([]*Node{n.in[i]}, more...)...)
	if e.g.err == nil {
		n.in[i] = k
	}
	return k
}

// Fuse replaces the chain that ends in last by one node called name, usually
// that of the first node of the chain: every reader of last reads op(in...).
func (e *Edit) Fuse(last *Node, name string, op Op, in ...*Node) {
	e.SetOp(last, op, in...)
	if e.g.err != nil {
		return
	}
	if old := e.g.byName[name]; old != nil && old != last {
		e.Rename(old, name+"~")
	}
	if last.name != name {
		e.Rename(last, name)
	}
}

// Tag leaves a remark on n for later rewrites and for dumps.
func (e *Edit) Tag(n *Node, key, value string) {
	if e.owns("tag", n) {
		n.tag(key, value)
	}
}

// Rename gives n another name.
func (e *Edit) Rename(n *Node, name string) {
	if !e.owns("rename", n) {
		return
	}
	if name == "" {
		e.g.Fail(fmt.Errorf("%w: a node has no name", ErrGraph))
		return
	}
	if n.name == name {
		return
	}
	if e.g.byName[name] != nil {
		e.g.Fail(fmt.Errorf("%w: two nodes are named %q", ErrGraph, name))
		return
	}
	delete(e.g.byName, n.name)
	n.name = name
	e.g.byName[name] = n
}

// SetOutput names n as an output; see [Graph.SetOutput].
func (e *Edit) SetOutput(name string, n *Node) { e.g.SetOutput(name, n) }
