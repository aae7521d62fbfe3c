package measure

import (
	"runtime"
	"time"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/integer"
)

// A place is a line of a profile: a node of a program, one of a model, or neither.
type place struct {
	program   *autograd.Node
	model     *integer.Node
	direction string
}

// name returns the name of the node and its kind.
func (p place) name() (node, kind string) {
	switch {
	case p.program != nil:
		return p.program.Name(), p.program.Kind()
	case p.model != nil:
		return p.model.Name, p.model.Op.Kind()
	}
	return "", ""
}

// samples are the measurements of a place.
type samples struct {
	place
	took   []time.Duration
	allocs uint64
}

// clocks measure the time between marks.
type clocks struct {
	places   map[place]*samples
	order    []*samples
	last     time.Time
	counting bool // allocations, not time
	memory   runtime.MemStats
	mallocs  uint64

	// An engine has a clock for each worker.
	model     *integer.Model
	perWorker []workerClock
}

// workerClock adds up what one worker spends on each node in a step. Its size keeps
// the clocks of two workers apart in memory.
type workerClock struct {
	last time.Time
	node []time.Duration
	_    [64]byte
}

func (c *clocks) at(p place) *samples {
	s := c.places[p]
	if s == nil {
		s = &samples{place: p}
		c.places[p] = s
		c.order = append(c.order, s)
	}
	return s
}

func (c *clocks) begin(counting bool) {
	c.counting = counting
	for i := range c.perWorker {
		clear(c.perWorker[i].node)
	}
	c.restart()
}

// restart begins a part, after everything that the clock itself does.
func (c *clocks) restart() {
	if c.counting {
		runtime.ReadMemStats(&c.memory)
		c.mallocs = c.memory.Mallocs
		return
	}
	c.last = time.Now()
}

// mark ends a part.
func (c *clocks) mark(p place) {
	if c.counting {
		runtime.ReadMemStats(&c.memory)
		c.at(p).allocs += c.memory.Mallocs - c.mallocs
	} else {
		took := time.Since(c.last)
		s := c.at(p)
		s.took = append(s.took, took)
	}
	c.restart()
}

// markNode returns what watches an engine.
func (c *clocks) markNode(m *integer.Model) func(worker, node int) {
	c.model = m
	for i := range c.perWorker {
		c.perWorker[i].node = make([]time.Duration, len(m.Nodes))
	}
	return func(worker, node int) {
		w := &c.perWorker[worker]
		now := time.Now()
		if node >= 0 {
			w.node[node] += now.Sub(w.last)
		}
		w.last = now
	}
}

// end closes a step. The time of an engine's node is that of all workers divided by
// their number: what it adds to a step in which all are busy. Its allocations are not
// told apart; they count for the output.
func (c *clocks) end() {
	if c.model == nil {
		return
	}
	for i := range c.model.Nodes {
		s := c.at(place{model: &c.model.Nodes[i], direction: forward})
		if c.counting {
			continue
		}
		sum := time.Duration(0)
		for w := range c.perWorker {
			sum += c.perWorker[w].node[i]
		}
		s.took = append(s.took, sum/time.Duration(len(c.perWorker)))
	}
	if c.counting {
		runtime.ReadMemStats(&c.memory)
		c.at(place{model: &c.model.Nodes[c.model.Output], direction: forward}).allocs += c.memory.Mallocs - c.mallocs
	}
}
