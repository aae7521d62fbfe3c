package optim

import (
	"fmt"
	"math"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/internal/glob"
	"github.com/bitgrad/bitgrad/internal/kernels"
)

// chunkLen is the number of elements that one worker updates at a time. It is
// fixed, so that the partial sums of the gradient norm, and with them every
// bit, are the same for any number of workers; a chunk with its vectors stays
// in the cache between the two looks at it.
const chunkLen = 1 << 13

// Optimizer applies a [Config] to a list of parameters. It is not safe for
// concurrent use.
type Optimizer struct {
	cfg    Config
	pool   *autograd.Pool
	params []*member
	chunks []*chunk
	steps  int64
	micro  int // gradients accumulated since the last step
	norm   float64
	scale  float32
	limit  float32
	// The work of a chunk, bound once so that a step makes no closures.
	accumulate, measure, update func(worker, i int)
}

// member is one parameter with what its method keeps.
type member struct {
	param *autograd.Param
	setting
	slots [][]float32
	count int64 // steps taken
	now   float64
}

// chunk is a run of elements of one parameter.
type chunk struct {
	of      *member
	grad    []float32
	sum     []float32 // accumulated gradients; nil until the first Accumulate
	squares float64
	Update
}

// New returns an optimizer for params, usually all those of a graph. Pool, which
// may be nil, runs the steps.
//
// It returns an error that wraps [ErrConfig] where a setting cannot work, where
// a group's pattern matches no parameter, or where two parameters have one name.
func New(params []*autograd.Param, cfg Config, pool *autograd.Pool) (*Optimizer, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for i, p := range params {
		switch {
		case p == nil:
			return nil, configError("parameter %d is nil", i)
		case seen[p.Name]:
			return nil, configError("two parameters are named %q", p.Name)
		case len(p.Grad) != len(p.Value):
			return nil, configError("parameter %q has %d values and %d gradients", p.Name, len(p.Value), len(p.Grad))
		}
		seen[p.Name] = true
	}
	all := names(params)
	for i, g := range cfg.Groups {
		if g.Match != "" && !glob.Any(g.Match, all) {
			return nil, configError("group %d: pattern %q matches no parameter%s", i, g.Match, glob.Hint(g.Match, all))
		}
	}
	o := &Optimizer{cfg: cfg, pool: pool}
	for _, p := range params {
		m := &member{param: p, setting: cfg.settingOf(p)}
		for range m.method.Slots() {
			m.slots = append(m.slots, make([]float32, len(p.Value)))
		}
		o.params = append(o.params, m)
		for from := 0; from < len(p.Value); from += chunkLen {
			o.chunks = append(o.chunks, m.chunk(from, min(from+chunkLen, len(p.Value))))
		}
	}
	o.accumulate, o.measure, o.update = o.accumulateChunk, o.measureChunk, o.updateChunk
	return o, nil
}

func (m *member) chunk(from, to int) *chunk {
	c := &chunk{of: m, grad: m.param.Grad[from:to]}
	c.Update = Update{Value: m.param.Value[from:to], Grad: c.grad, WeightDecay: m.decay}
	for _, s := range m.slots {
		c.Slots = append(c.Slots, s[from:to])
	}
	return c
}

// Accumulate adds the present gradients to those that the next Step takes the
// mean of. Call it after the backward pass of each of k micro-batches of equal
// size, then Step once. The first call allocates; a run that never accumulates
// needs no memory for it.
func (o *Optimizer) Accumulate() {
	o.pool.Run(len(o.chunks), o.accumulate)
	o.micro++
}

func (o *Optimizer) accumulateChunk(_, i int) {
	c := o.chunks[i]
	if c.sum == nil {
		c.sum = make([]float32, len(c.grad))
	}
	if o.micro == 0 {
		copy(c.sum, c.grad)
		return
	}
	sum := c.sum[:len(c.grad)]
	for j, g := range c.grad {
		sum[j] += g
	}
}

// Discard forgets what was accumulated since the last step.
func (o *Optimizer) Discard() { o.micro = 0 }

// Step changes every parameter that is not frozen by one step and counts it. It
// uses the mean of the accumulated gradients where there are any, otherwise
// Param.Grad; averaged and clipped gradients are written back to Param.Grad.
//
// Where a gradient holds a NaN or an infinity it returns a [NotFiniteError],
// drops what was accumulated and changes no value, vector or counter.
func (o *Optimizer) Step() error {
	for _, m := range o.params {
		m.now = m.rate * m.schedule.At(o.steps)
		if err := notNegative("learning rate", m.now); err != nil {
			return within(fmt.Sprintf("%s: step %d", m.param.Name, o.steps), err)
		}
	}
	o.pool.Run(len(o.chunks), o.measure)
	total := 0.0
	for _, c := range o.chunks {
		total += c.squares
	}
	// A square of a float32 is finite in float64, and so is their sum.
	if math.IsNaN(total) || math.IsInf(total, 0) {
		err := o.firstBad()
		o.micro = 0
		return err
	}
	mean := 1 / float64(max(o.micro, 1))
	o.norm = math.Sqrt(total) * mean
	if limit := o.cfg.ClipNorm; limit > 0 && o.norm > limit {
		mean *= limit / o.norm
	}
	o.scale = float32(mean)
	o.limit = float32(o.cfg.ClipValue)
	o.pool.Run(len(o.chunks), o.update)
	for _, m := range o.params {
		if !m.param.Frozen {
			m.count++
			m.param.Touch()
		}
	}
	o.steps++
	o.micro = 0
	return nil
}

// source returns the gradient that the step starts from.
func (o *Optimizer) source(c *chunk) []float32 {
	if o.micro > 0 {
		return c.sum
	}
	return c.grad
}

func (o *Optimizer) measureChunk(_, i int) {
	c := o.chunks[i]
	c.squares = 0
	if !c.of.param.Frozen {
		c.squares = kernels.SumSquares(o.source(c))
	}
}

func (o *Optimizer) updateChunk(_, i int) {
	c := o.chunks[i]
	m := c.of
	if m.param.Frozen {
		return
	}
	if grad, from := c.grad, o.source(c)[:len(c.grad)]; o.limit > 0 {
		for j, g := range from {
			grad[j] = max(-o.limit, min(o.limit, float32(g*o.scale)))
		}
	} else if o.scale != 1 {
		for j, g := range from {
			grad[j] = float32(g * o.scale)
		}
	} else if o.micro > 0 {
		copy(grad, from)
	}
	c.LearningRate, c.Count = m.now, m.count+1
	m.method.Update(&c.Update)
}

func (o *Optimizer) firstBad() error {
	at := 0
	for i, c := range o.chunks {
		if i > 0 && o.chunks[i-1].of != c.of {
			at = 0
		}
		for j, g := range o.source(c) {
			if !c.of.param.Frozen && (g != g || math.IsInf(float64(g), 0)) {
				return &NotFiniteError{Param: c.of.param.Name, Index: at + j, Value: g, Step: o.steps}
			}
		}
		at += len(c.grad)
	}
	return ErrNotFinite
}

// Steps returns the number of steps taken.
func (o *Optimizer) Steps() int64 { return o.steps }

// GradNorm returns the Euclidean norm of all gradients together that the last
// Step saw, before clipping.
func (o *Optimizer) GradNorm() float64 { return o.norm }

// LearningRate returns the rate of the next step for parameters that no group
// treats differently.
func (o *Optimizer) LearningRate() float64 {
	if o.cfg.Schedule == nil {
		return o.cfg.LearningRate
	}
	return o.cfg.LearningRate * o.cfg.Schedule.At(o.steps)
}

// Setting is what one parameter is trained with.
type Setting struct {
	Param        *autograd.Param
	Method       Method
	LearningRate float64 // of the next step
	WeightDecay  float64
}

// Settings returns what the groups leave for each parameter, in their order.
func (o *Optimizer) Settings() []Setting {
	s := make([]Setting, len(o.params))
	for i, m := range o.params {
		s[i] = Setting{m.param, m.method, m.rate * m.schedule.At(o.steps), m.decay}
	}
	return s
}
