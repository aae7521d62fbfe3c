package autograd

// poisonBefore fills the buffers that come to life at a tick, and the scratch
// region, with bytes that are NaN as a float32 and -1 as a code.
func (p *Program) poisonBefore(tick int) {
	for _, b := range p.plan.all {
		if b.first == tick && tick > 0 { // inputs alone live from tick 0
			p.arena.poison(b.off, b.bytes)
		}
	}
	p.arena.poison(p.plan.size, p.plan.scratch)
}

// poisonAfter does the same to the buffers whose life ends at a tick.
func (p *Program) poisonAfter(tick int) {
	for _, b := range p.plan.all {
		if b.last == tick {
			p.arena.poison(b.off, b.bytes)
		}
	}
}

// poison overwrites bytes of the arena; both numbers are multiples of 8.
func (a arena) poison(off, bytes int) {
	off += a.pad()
	w := a.words[off/8 : (off+bytes)/8]
	for i := range w {
		w[i] = ^uint64(0)
	}
}
