package measure

import (
	"context"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/integer"
)

// Directions of a step, besides forward and backward: copying the batch in, and
// what the optimizer does.
const (
	loading  = "load"
	forward  = "forward"
	backward = "backward"
	updating = "update"
)

// What bounds a line.
const (
	byFMA    = "fma"
	byDot    = "dot"
	byMemory = "memory"
)

// A Line is one node in one direction of a step.
type Line struct {
	// Node is the name of the node, Kind that of its operation; both are empty for
	// the parts of a step that belong to no node.
	Node string `json:"name"`
	Kind string `json:"kind"`
	// Direction is "load", "forward", "backward" or "update".
	Direction string `json:"direction"`
	// Seconds is the median over the steps.
	Seconds float64 `json:"seconds"`
	// MACs are the multiply-accumulates of convolutions and products, of codes if
	// Integers; Bytes are the operands and results, each once.
	MACs     int64 `json:"macs"`
	Integers bool  `json:"integers"`
	Bytes    int64 `json:"bytes"`
	// Limit is what the line cannot be faster than on this machine: "fma", "dot" or
	// "memory", and Share how close it comes, 1 at best. A share above 1 in memory
	// means that the operands were in a faster cache than their size suggests.
	Limit string  `json:"limit"`
	Share float64 `json:"share"`
	// Allocs is the number of allocations in a step.
	Allocs float64 `json:"allocs"`

	inUse int64 // bytes that are touched together, where they are not all
}

// A Profile says where the time of a step goes.
type Profile struct {
	// Timing is that of steps that nobody watches.
	Timing
	Limits Limits
	// Lines are in the order in which they run.
	Lines []Line
}

// countedSteps is the number of steps whose allocations are counted, after the timed
// ones.
const countedSteps = 2

// Profile times the job, then times its nodes for as many steps again, and compares
// them with the limits of the machine, those that [Measure] finds.
func (j *Job) Profile(ctx context.Context, l Limit, limits Limits) (*Profile, error) {
	t, err := j.Time(ctx, l)
	if err != nil {
		return nil, err
	}
	p := &Profile{Timing: t, Limits: limits}
	c := &clocks{places: map[place]*samples{}}
	stop, err := j.watchWith(c)
	if err != nil {
		return nil, err
	}
	defer stop()
	for i := range t.Steps + countedSteps {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		c.begin(i >= t.Steps)
		if err := j.Step(); err != nil {
			return nil, err
		}
		c.end()
	}
	for _, s := range c.order {
		line := Line{Direction: s.direction, Seconds: median(s.took).Seconds(), Allocs: float64(s.allocs) / countedSteps}
		line.Node, line.Kind = s.name()
		line.MACs, line.Bytes, line.Integers = j.cost(s.place)
		if s.model == nil { // a sample is one pass
			line.Seconds *= float64(j.passes)
			line.inUse = line.Bytes / int64(j.passes)
		}
		if s.model != nil {
			line.inUse = int64(j.Threads) << 20 // what engines keep in the cache
		}
		line.bound(p.Limits)
		p.Lines = append(p.Lines, line)
	}
	return p, nil
}

// bound finds what limits the line.
func (l *Line) bound(m Limits) {
	peak, name := m.FMA.All, byFMA
	if l.Integers {
		peak, name = m.Bytes(), byDot
	}
	inUse := l.Bytes
	if l.inUse > 0 {
		inUse = l.inUse
	}
	compute, memory := 2*float64(l.MACs)/peak, float64(l.Bytes)/m.memory(inUse)
	least := compute
	if memory > compute {
		least, name = memory, byMemory
	}
	if l.Limit = name; l.Seconds > 0 {
		l.Share = least / l.Seconds
	}
}

// watchWith makes the job tell c what it does, until stop is called.
func (j *Job) watchWith(c *clocks) (stop func(), err error) {
	if j.program != nil {
		j.watch = c
		j.program.Watch(func(n *autograd.Node, back bool) {
			direction := forward
			if back {
				direction = backward
			}
			c.mark(place{program: n, direction: direction})
		})
		return func() {
			j.watch = nil
			j.program.Watch(nil)
		}, nil
	}
	quiet := j.engine
	c.perWorker = make([]workerClock, j.Threads)
	j.engine, err = integer.NewEngine(j.model, integer.EngineOptions{Workers: j.Threads, Watch: c.markNode(j.model)})
	if err != nil {
		return nil, err
	}
	return func() {
		j.engine.Close()
		j.engine = quiet
	}, nil
}

// mark tells that a part of a step that belongs to no node is over.
func (j *Job) mark(direction string) {
	if j.watch != nil {
		j.watch.mark(place{direction: direction})
	}
}

// cost returns what a line does.
func (j *Job) cost(p place) (macs, bytes int64, integers bool) {
	switch {
	case p.direction == loading:
		return 0, 2 * int64(4*len(j.floats)+len(j.pixels)), false
	case p.direction == updating:
		for _, q := range j.optimizer.Settings() {
			if !q.Param.Frozen { // gradient, value, momentum; the last two are written too
				bytes += 4 * 5 * int64(len(q.Param.Value))
			}
		}
		return 0, bytes, false
	case p.model != nil:
		return j.engineCost(p.model)
	}
	f, b := j.program.Cost(p.program)
	if p.direction == backward {
		f = b
	}
	n := int64(j.passes)
	return n * f.MACs, n * f.Bytes, f.Integers
}

// engineCost counts codes as the engine stores them.
func (j *Job) engineCost(n *integer.Node) (macs, bytes int64, integers bool) {
	size := func(t integer.Type) int64 {
		switch {
		case t.Bits <= 8:
			return int64(t.Len())
		case t.Bits <= 32:
			return 4 * int64(t.Len())
		}
		return 8 * int64(t.Len())
	}
	bytes = size(n.Out)
	for _, i := range n.In {
		bytes += size(j.model.Nodes[i].Out)
	}
	if len(n.In) == 0 {
		bytes += int64(n.Out.Len()) * int64(4*len(j.floats)+len(j.pixels)) / int64(len(j.floats)+len(j.pixels))
	}
	batch := int64(j.Batch)
	bytes *= batch
	switch o := n.Op.(type) {
	case *integer.Conv:
		bytes += int64(len(o.Weight))
	case *integer.Linear:
		bytes += int64(len(o.Weight))
	}
	return n.MACs() * batch, bytes, n.MACs() > 0
}
