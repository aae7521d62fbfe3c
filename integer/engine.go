package integer

import (
	"fmt"
	"sync"

	"github.com/bitgrad/bitgrad/internal/kernels"
	"github.com/bitgrad/bitgrad/internal/parallel"
)

// An Engine runs one model: it holds packed weights and planned buffers. It is
// safe for concurrent use.
type Engine struct {
	m       *Model
	chunk   int // images that pass through the network together
	steps   []step
	slots   []slot
	slotOf  []int // the slot of each node
	scratch scratchLen
	pool    *parallel.Pool
	shared  int64 // multiply-accumulates from which on workers share the rows of a single image
	states  sync.Pool
	watch   func(worker, node int)
}

// EngineOptions says how an engine works. It changes no result.
type EngineOptions struct {
	// Workers is the number of goroutines that share the images of a call, or the rows of a
	// single image, the caller included. 0 and 1 mean that a call stays on its goroutine.
	Workers int
	// Chunk is the number of images that pass through the network together. 0 means
	// as many as stay in the cache, about a megabyte, up to 16.
	Chunk int
	// Watch, where not nil, is called by each worker after each node of a group of
	// images, and with node −1 before the first. It serves to find out where the time
	// goes: whoever wants to know reads the clock in it. Such an engine is for one call
	// at a time.
	Watch func(worker, node int)
}

// step computes one node for the first images of a state.
type step func(st *state, images int)

// binding is what an op learns of the engine when it makes its step.
type binding struct {
	self int // index of the node
	need scratchLen
	err  error
}

// scratchLen is the lengths of the slices of a Scratch, and of the row of a state.
type scratchLen struct{ i32, i64, u8, f32 int }

// grow makes room for what one step needs.
func (l *scratchLen) grow(i32, i64, u8 int) {
	l.i32, l.i64, l.u8 = max(l.i32, i32), max(l.i64, i64), max(l.u8, u8)
}

// scratch asks for room during the step.
func (b *binding) scratch(i32, i64, u8 int) { b.need.grow(i32, i64, u8) }

func (b *binding) fail(n *Node, err error) {
	b.err = fmt.Errorf("integer: %s (%s): %w", n.Name, n.Op.Kind(), err)
}

// slot is a buffer that nodes with the same codes and the same border share, one after
// the other; its border is written once.
type slot struct {
	t                        Type
	zero                     int32
	top, left, bottom, right int
}

// state is the memory of one chunk of images.
type state struct {
	e       *Engine
	values  []Codes // per slot
	scratch Scratch
	pixels  []uint8
	floats  []float32
	row     []float32 // for one step

	// A single image whose rows the workers share; more is the scratch of all but the first.
	shared sharedRows
	more   []Scratch
}

// sharedRows is a convolution of one image in bands of rows.
type sharedRows struct {
	d    *ConvDriver
	y, x *Codes
	fn   func(worker, band int)
}

// sharedWork is the usual value of Engine.shared: less takes no longer than waking a worker.
const sharedWork = 1 << 19

// share computes the first image of y on all workers.
func (st *state) share(d *ConvDriver, y, x *Codes) {
	bands := d.Bands(st.e.pool.Workers())
	if bands < 2 {
		d.Forward(*y, *x, 0, 1, st.scratch, nil)
		return
	}
	s := &st.shared
	s.d, s.y, s.x = d, y, x
	if s.fn == nil {
		s.fn = st.sharedBand
	}
	for len(st.more) < st.e.pool.Workers()-1 {
		st.more = append(st.more, st.e.newScratch())
	}
	st.e.pool.Run(bands, s.fn)
}

func (st *state) sharedBand(worker, band int) {
	s := &st.shared
	scratch := st.scratch
	if worker > 0 {
		scratch = st.more[worker-1]
	}
	oh0, oh1 := s.d.BandRows(band, s.d.Bands(st.e.pool.Workers()))
	s.d.ForwardRows(*s.y, *s.x, 0, oh0, oh1, scratch, nil)
}

func (st *state) value(node int) *Codes { return &st.values[st.e.slotOf[node]] }

// NewEngine packs the weights of m and plans its buffers. Close it when Workers is
// above 1; [Model.Run] and its neighbours need no engine of their own.
func NewEngine(m *Model, o EngineOptions) (*Engine, error) {
	e := &Engine{m: m, steps: make([]step, len(m.Nodes)), slotOf: make([]int, len(m.Nodes)), shared: sharedWork, watch: o.Watch}
	for i := range m.Nodes {
		n := &m.Nodes[i]
		b := &binding{self: i}
		e.steps[i] = n.Op.bind(b, n, m.operands(i))
		if b.err != nil {
			return nil, b.err
		}
		e.scratch.grow(b.need.i32, b.need.i64, b.need.u8)
		e.scratch.f32 = max(e.scratch.f32, b.need.f32)
	}
	bytes := e.plan()
	e.chunk = o.Chunk
	if e.chunk < 1 {
		e.chunk = int(max(1, min(16, (1<<20)/bytes)))
	}
	if o.Workers > 1 {
		e.pool = parallel.New(o.Workers)
	}
	e.states.New = func() any { return e.newState() }
	return e, nil
}

// Close ends the goroutines of the engine. It still runs afterwards, on its callers.
func (e *Engine) Close() { e.pool.Close() }

// plan gives every node a slot and returns the bytes of all slots for one image.
func (e *Engine) plan() (bytes int64) {
	last := make([]int, len(e.m.Nodes))
	want := make([]slot, len(e.m.Nodes))
	for i := range e.m.Nodes {
		n := &e.m.Nodes[i]
		last[i] = i
		want[i].t, want[i].zero = n.Out, n.Grid.ZeroPoint
		for _, j := range n.In {
			last[j] = i
			if c, ok := n.Op.(*Conv); ok {
				s := &want[j]
				s.top, s.left = max(s.top, c.Pad.Top), max(s.left, c.Pad.Left)
				s.bottom, s.right = max(s.bottom, c.Pad.Bottom), max(s.right, c.Pad.Right)
			}
		}
	}
	last[e.m.Output] = len(e.m.Nodes)
	free := map[slot][]int{}
	for i := range e.m.Nodes {
		if idle := free[want[i]]; len(idle) > 0 {
			e.slotOf[i], free[want[i]] = idle[len(idle)-1], idle[:len(idle)-1]
		} else {
			e.slotOf[i] = len(e.slots)
			e.slots = append(e.slots, want[i])
			bytes += want[i].bytes()
		}
		for j := range i + 1 {
			if last[j] == i {
				free[want[j]] = append(free[want[j]], e.slotOf[j])
			}
		}
	}
	return max(bytes, 1)
}

// bytes returns the memory of one image.
func (s slot) bytes() int64 {
	n := int64(s.top+s.t.H+s.bottom) * int64(s.left+s.t.W+s.right) * int64(s.t.C)
	switch {
	case s.t.Bits <= 8:
		return n
	case s.t.Bits <= 32:
		return 4 * n
	}
	return 8 * n
}

func (e *Engine) newState() *state {
	st := &state{e: e, values: make([]Codes, len(e.slots))}
	for i, s := range e.slots {
		l, size := kernels.Bordered(e.chunk, s.t.H, s.t.W, s.t.C, s.top, s.left, s.bottom, s.right)
		st.values[i] = NewCodes(l, size, s.t.Bits, s.t.Signed, s.zero)
	}
	st.scratch = e.newScratch()
	st.row = make([]float32, e.scratch.f32)
	return st
}

func (e *Engine) newScratch() Scratch {
	return Scratch{make([]int32, e.scratch.i32), make([]int64, e.scratch.i64), make([]uint8, e.scratch.u8)}
}

// Run computes the output for a batch of pixels, [N H W C], into dst, [N C H W] of the
// output node; a dst that is too short is replaced. It returns dst.
func (e *Engine) Run(dst []int64, images []uint8) ([]int64, error) {
	if _, ok := e.m.Input().Op.(*Input); !ok {
		return nil, e.m.wrongInput("uint8 pixels")
	}
	return run(e, dst, images, func(st *state, part []uint8) { st.pixels = part })
}

// RunFloat is Run for a model that takes float32 samples.
func (e *Engine) RunFloat(dst []int64, images []float32) ([]int64, error) {
	if _, ok := e.m.Input().Op.(*InputFloat); !ok {
		return nil, e.m.wrongInput("float32 samples")
	}
	return run(e, dst, images, func(st *state, part []float32) { st.floats = part })
}

func run[S uint8 | float32](e *Engine, dst []int64, images []S, set func(*state, []S)) ([]int64, error) {
	n, size, err := e.m.batch(len(images))
	if err != nil {
		return nil, err
	}
	out := e.m.Nodes[e.m.Output].Out.Len()
	if cap(dst) < n*out {
		dst = make([]int64, n*out)
	}
	dst = dst[:n*out]
	part := min(e.chunk, max(1, (n+e.pool.Workers()-1)/e.pool.Workers()))
	e.pool.Run((n+part-1)/part, func(worker, i int) {
		first, last := i*part, min((i+1)*part, n)
		st := e.states.Get().(*state)
		set(st, images[first*size:last*size])
		if e.watch != nil {
			e.watch(worker, -1)
		}
		for node, step := range e.steps {
			step(st, last-first)
			if e.watch != nil {
				e.watch(worker, node)
			}
		}
		for k := first; k < last; k++ {
			st.read(dst[k*out:(k+1)*out], e.m.Output, k-first)
		}
		st.pixels, st.floats = nil, nil
		e.states.Put(st)
	})
	return dst, nil
}

// read copies the values of a node, one image, into dst in [C H W] order.
func (st *state) read(dst []int64, node, image int) {
	v, i := st.value(node), 0
	for c := range v.L.C {
		for h := range v.L.H {
			for w := range v.L.W {
				dst[i] = v.get(v.L.At(image, h, w, c))
				i++
			}
		}
	}
}

// Trace runs a batch of pixels, [N H W C], and calls each for every node of every image
// with the codes of the node, [C H W]. Nodes come in order for each image, images
// in groups. codes is valid during the call only. It is how an engine is compared with
// the interpreter.
func (e *Engine) Trace(images []uint8, each func(node, image int, codes []int64)) error {
	if _, ok := e.m.Input().Op.(*Input); !ok {
		return e.m.wrongInput("uint8 pixels")
	}
	return trace(e, images, each, func(st *state, part []uint8) { st.pixels = part })
}

// TraceFloat is Trace for a model that takes float32 samples.
func (e *Engine) TraceFloat(images []float32, each func(node, image int, codes []int64)) error {
	if _, ok := e.m.Input().Op.(*InputFloat); !ok {
		return e.m.wrongInput("float32 samples")
	}
	return trace(e, images, each, func(st *state, part []float32) { st.floats = part })
}

func trace[S uint8 | float32](e *Engine, images []S, each func(node, image int, codes []int64), set func(*state, []S)) error {
	n, size, err := e.m.batch(len(images))
	if err != nil {
		return err
	}
	st := e.newState()
	for first := 0; first < n; first += e.chunk {
		last := min(first+e.chunk, n)
		set(st, images[first*size:last*size])
		for i, step := range e.steps {
			step(st, last-first)
			codes := make([]int64, e.m.Nodes[i].Out.Len())
			for k := first; k < last; k++ {
				st.read(codes, i, k-first)
				each(i, k, codes)
			}
		}
	}
	return nil
}

// batch returns the number of images in a slice of the given length, and the length of one.
func (m *Model) batch(length int) (n, size int, err error) {
	t := m.Input().Out
	size = t.Len()
	if length%size != 0 {
		return 0, 0, inputError("%d values: no multiple of the %d of an image of [%d %d %d]", length, size, t.H, t.W, t.C)
	}
	return length / size, size, nil
}

func (m *Model) wrongInput(got string) error {
	return inputError("%s: model %s takes %s", got, m.Name, map[string]string{
		"input": "uint8 pixels", "input_float": "float32 samples"}[m.Input().Op.Kind()])
}

func inputError(format string, args ...any) error {
	return fmt.Errorf("integer: %w: %s", ErrInput, fmt.Sprintf(format, args...))
}

// Run computes the output for a batch of pixels, [N H W C]: the values of the output
// node, [N C H W]. Multiplied by the scale of the node's grid they are real numbers. Any
// number of images is a batch. It runs on the calling goroutine; an [Engine] spreads
// the images over several.
func (m *Model) Run(images []uint8) ([]int64, error) {
	e, err := m.engine()
	if err != nil {
		return nil, err
	}
	return e.Run(nil, images)
}

// RunFloat is Run for a model that takes float32 samples.
func (m *Model) RunFloat(images []float32) ([]int64, error) {
	e, err := m.engine()
	if err != nil {
		return nil, err
	}
	return e.RunFloat(nil, images)
}

// Classify returns the class of each image of a batch: the index of its largest output, the
// lowest one of a tie.
func (m *Model) Classify(images []uint8) ([]int, error) {
	logits, err := m.Run(images)
	return m.argmax(logits), err
}

// ClassifyFloat is Classify for a model that takes float32 samples.
func (m *Model) ClassifyFloat(images []float32) ([]int, error) {
	logits, err := m.RunFloat(images)
	return m.argmax(logits), err
}

func (m *Model) argmax(logits []int64) []int {
	n := m.Nodes[m.Output].Out.Len()
	classes := make([]int, 0, len(logits)/n)
	for ; len(logits) > 0; logits = logits[n:] {
		best := 0
		for c, v := range logits[:n] {
			if v > logits[best] {
				best = c
			}
		}
		classes = append(classes, best)
	}
	return classes
}
