package autograd

import (
	"fmt"
	"math"
	"slices"
	"sort"
)

// block is one buffer of a program: its bytes and the time it is alive, in
// ticks of the schedule. Forward of node i is tick i, Backward of node i of F
// is tick 2F-1-i.
type block struct {
	name        string
	dtype       DType
	len         int
	bytes       int
	first, last int
	off         int
}

func (b *block) touch(t int) {
	b.first = min(b.first, t)
	b.last = max(b.last, t)
}

// place gives every block an offset so that blocks alive at the same tick do
// not overlap, largest first, each at the lowest offset that is free during
// its whole life. It returns the size of the arena.
func place(blocks []*block) int {
	order := append([]*block(nil), blocks...)
	sort.SliceStable(order, func(i, j int) bool { return order[i].bytes > order[j].bytes })
	var done []*block // sorted by offset
	size := 0
	for _, b := range order {
		off := 0
		for _, d := range done {
			if d.last < b.first || d.first > b.last {
				continue
			}
			if d.off >= off+b.bytes {
				break
			}
			off = max(off, d.off+d.bytes)
		}
		b.off = off
		size = max(size, off+b.bytes)
		i := sort.Search(len(done), func(i int) bool { return done[i].off > off })
		done = append(done, nil)
		copy(done[i+1:], done[i:])
		done[i] = b
	}
	return size
}

// plan is the memory plan of a program.
type plan struct {
	value   []*block // per node, nil for parameters
	grad    []*block // per node, nil where there is none or it is a parameter's
	saved   [][]*block
	all     []*block
	border  []Border
	gborder []Border
	scratch int
	size    int
}

// draft is what the planner knows of each node.
type draft struct {
	node   *Node
	in     []int
	spec   Spec
	grad   bool // takes part in the backward pass
	output bool
}

func (d *draft) readsIn(i int) bool {
	return d.grad && i < len(d.spec.ReadsIn) && d.spec.ReadsIn[i]
}

// gradWanted says that Backward writes the gradient of input k.
func (d *draft) gradWanted(ds []*draft, k int) bool {
	if !d.grad || k >= len(d.in) || k < len(d.spec.NoGrad) && d.spec.NoGrad[k] {
		return false
	}
	return ds[d.in[k]].grad
}

// maxArena bounds the memory of a program: 1 TiB, or a quarter of the address
// space.
const maxArena = min(1<<40, math.MaxInt/2)

// checkSize returns an error for a value that is too large for any arena.
func checkSize(name string, t Type, b Border) error {
	n := float64(t.DType.Size())
	for _, e := range t.Shape {
		n *= float64(e)
	}
	if c, h, w := t.CHW(); !t.Plain && h*w*c > 0 {
		n *= (1 + float64(b.Top+b.Bottom)/float64(h)) * (1 + float64(b.Left+b.Right)/float64(w))
	}
	if n > maxArena {
		return &NodeError{Node: name, In: []Type{t}, Err: errTooLarge, kind: ErrShape}
	}
	return nil
}

func makePlan(ds []*draft) (*plan, error) {
	f := len(ds)
	back := func(i int) int { return 2*f - 1 - i }
	p := &plan{value: make([]*block, f), grad: make([]*block, f), saved: make([][]*block, f),
		border: make([]Border, f), gborder: make([]Border, f)}
	for _, d := range ds {
		for k, j := range d.in {
			if k < len(d.spec.Border) && framed(ds[j].spec.Out) {
				p.border[j] = p.border[j].Max(d.spec.Border[k])
			}
		}
	}
	for i, d := range ds {
		if err := checkSize(d.node.name, d.spec.Out, p.border[i].Max(d.spec.GradBorder)); err != nil {
			return nil, err
		}
	}
	consumers := make([]int, f)
	for _, d := range ds {
		for _, j := range d.in {
			consumers[j]++
		}
	}
	add := func(name string, d DType, n, first, last int) *block {
		b := &block{name: name, dtype: d, len: n, bytes: bytesFor(d, n), first: first, last: last}
		p.all = append(p.all, b)
		return b
	}
	// Values. A node that works in place inherits the block of its operand.
	for i, d := range ds {
		if d.node.param != nil {
			continue
		}
		if j, ok := sharesWith(ds, consumers, d); ok && p.value[j] != nil {
			b := p.border[i].Max(p.border[j])
			p.border[i] = b
			for k := j; ; { // the border must agree along the chain
				p.border[k] = b
				if n, ok := sharesWith(ds, consumers, ds[k]); ok {
					k = n
				} else {
					break
				}
			}
			_, n := layoutOf(d.spec.Out, b)
			p.value[i] = p.value[j]
			p.value[i].len = n
			p.value[i].bytes = bytesFor(d.spec.Out.DType, n)
			continue
		}
		_, n := layoutOf(d.spec.Out, p.border[i])
		p.value[i] = add(d.node.name, d.spec.Out.DType, n, i, i)
	}
	for i, d := range ds {
		b := p.value[i]
		if b != nil {
			b.touch(i)
			if d.node.op == nil { // inputs stay as loaded: Forward may run again
				b.touch(0)
				b.touch(2 * f)
			}
			if d.output {
				b.touch(2 * f)
			}
			if d.grad && d.spec.ReadsOut {
				b.touch(back(i))
			}
		}
		for k, j := range d.in {
			if v := p.value[j]; v != nil {
				v.touch(i)
				if d.readsIn(k) {
					v.touch(back(i))
				}
			}
		}
		last := i
		if d.grad {
			last = back(i)
		}
		for _, s := range d.spec.Saved {
			p.saved[i] = append(p.saved[i], add(d.node.name+" (saved)", s.DType, s.Len, i, last))
		}
		n := 0
		for _, s := range d.scratch() {
			n += bytesFor(s.DType, s.Len)
		}
		p.scratch = max(p.scratch, n)
	}
	// Gradients live from the first Backward that writes them to their own.
	for i, d := range ds {
		if !d.grad || d.node.param != nil {
			continue
		}
		if framed(d.spec.Out) && d.gradWanted(ds, 0) {
			p.gborder[i] = d.spec.GradBorder
		}
		_, n := layoutOf(d.spec.Out.Floats(), p.gborder[i])
		p.grad[i] = add(d.node.name+" (gradient)", Float32, n, back(i), back(i))
		if d.node.op == nil {
			p.grad[i].touch(2 * f)
		}
	}
	for i, d := range ds {
		if !d.grad {
			continue
		}
		for _, j := range d.in {
			if g := p.grad[j]; g != nil {
				g.touch(back(i))
			}
		}
	}
	sum := int64(p.scratch)
	for _, b := range p.all {
		sum += int64(b.bytes)
	}
	if sum <= math.MaxInt {
		p.size = place(p.all)
	}
	if sum > math.MaxInt || p.size+p.scratch > maxArena {
		return nil, fmt.Errorf("%w: the program needs %d bytes of memory: make the batch smaller", ErrGraph, sum)
	}
	return p, nil
}

// scratch returns the scratch buffers of a node.
func (d *draft) scratch() []Buffer {
	if !d.grad {
		return d.spec.Scratch
	}
	return slices.Concat(d.spec.Scratch, d.spec.GradScratch)
}

// framed reports whether a value can have a border: images can, features,
// labels and plain values are dense.
func framed(t Type) bool { return !t.Plain && len(t.Shape) == 4 }

// sharesWith returns the operand whose memory node d may take over.
func sharesWith(ds []*draft, consumers []int, d *draft) (int, bool) {
	if !d.spec.InPlace || len(d.in) == 0 || d.readsIn(0) {
		return 0, false
	}
	j := d.in[0]
	s := ds[j]
	if s.node.op == nil || consumers[j] != 1 || s.output || s.grad && s.spec.ReadsOut {
		return 0, false
	}
	o, n := d.spec.Out, s.spec.Out
	if o.Plain != n.Plain || o.DType.Size() != n.DType.Size() || !o.SameShape(n) {
		return 0, false
	}
	return j, true
}
