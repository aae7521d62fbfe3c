package autograd_test

import (
	"slices"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
)

func watched(p *autograd.Program) (forward, backward []string) {
	p.Watch(func(n *autograd.Node, back bool) {
		if back {
			backward = append(backward, n.Name())
		} else {
			forward = append(forward, n.Name())
		}
	})
	p.Forward()
	p.Backward()
	p.Watch(nil)
	return forward, backward
}

func TestWatchSeesEveryNodeInTheOrderOfTheStep(t *testing.T) {
	g := convNet(t)
	p := compile(t, g, autograd.CompileOptions{Mode: autograd.Train, Batch: netBatch, Plain: true})
	loadNet(t, p)
	forward, backward := watched(p)
	var want []string
	for _, n := range g.Nodes() {
		if n.Op() != nil || n.Name() == "x" { // x has a border to fill
			want = append(want, n.Name())
		}
	}
	if !slices.Equal(forward, want) {
		t.Errorf("forward %q, want %q", forward, want)
	}
	want = slices.DeleteFunc(want, func(name string) bool { return name == "x" })
	slices.Reverse(want)
	if !slices.Equal(backward, want) {
		t.Errorf("backward %q, want %q", backward, want)
	}
	p.Forward() // nobody watches any more
	if len(forward) != len(want)+1 {
		t.Errorf("the watcher was called after it was removed")
	}
}

func TestWatchChangesNothing(t *testing.T) {
	g := convNet(t)
	p := compile(t, g, autograd.CompileOptions{Mode: autograd.Train, Batch: netBatch})
	run := func() (loss float32, grads [][]float32) {
		loadNet(t, p)
		p.Forward()
		p.Backward()
		for _, q := range p.Params() {
			grads = append(grads, slices.Clone(q.Grad))
		}
		return p.Loss(), grads
	}
	loss, grads := run()
	calls := 0
	p.Watch(func(*autograd.Node, bool) { calls++ })
	again, same := run()
	if calls == 0 || loss != again || !slices.EqualFunc(grads, same, slices.Equal) {
		t.Errorf("%d calls, loss %v and %v", calls, loss, again)
	}
}

// TestCost counts two nodes by hand: a convolution whose input has no gradient,
// and one whose input has.
func TestCost(t *testing.T) {
	g := convNet(t)
	p := compile(t, g, autograd.CompileOptions{Mode: autograd.Train, Batch: netBatch, Plain: true})
	const n, pixels, half = netBatch, 12 * 10, 6 * 5
	for _, c := range []struct {
		node              string
		forward, backward autograd.Cost
	}{
		{"c1",
			autograd.Cost{MACs: n * pixels * 8 * 27, Bytes: 4 * (n*pixels*3 + 8*27 + 8 + n*pixels*8)},
			autograd.Cost{MACs: n * pixels * 8 * 27, Bytes: 4 * (n*pixels*8 + n*pixels*3 + 8*27 + 8*27 + 8)}},
		{"c2",
			autograd.Cost{MACs: n * half * 8 * 72, Bytes: 4 * (n*half*8 + 8*72 + n*half*8)},
			autograd.Cost{MACs: 2 * n * half * 8 * 72, Bytes: 4 * (n*half*8 + n*half*8 + 8*72 + n*half*8 + 8*72)}},
		{"fc.weight", autograd.Cost{}, autograd.Cost{}},
	} {
		forward, backward := p.Cost(g.Node(c.node))
		if forward != c.forward || backward != c.backward {
			t.Errorf("%s: %+v and %+v, want %+v and %+v", c.node, forward, backward, c.forward, c.backward)
		}
	}
	e := compile(t, g, autograd.CompileOptions{Mode: autograd.Evaluate, Batch: netBatch, Plain: true, Outputs: []string{"logits"}})
	if forward, backward := e.Cost(g.Node("c2")); forward.MACs == 0 || backward != (autograd.Cost{}) {
		t.Errorf("evaluation: %+v and %+v", forward, backward)
	}
	if forward, _ := e.Cost(g.Node("loss")); forward != (autograd.Cost{}) {
		t.Errorf("a node that does not run costs %+v", forward)
	}
}
