//go:build amd64 && !purego

package kernels

import "math"

//go:noescape
func packPairsAVX2(dst *int8, src *uint8, blocks, dstStep, srcStep int)

//go:noescape
func packNarrowAVX2(dst *int8, src *uint8, blocks, dstStep, srcStep int)

//go:noescape
func codeSumsAVX2(sums *int32, codes *uint8, rows, n int) uint32

// packBlock is the number of codes that the packing kernels take of each column at a time. Where
// fewer are left they write zeros behind the last, over which the next panel is written.
const packBlock = 16

// narrowSteps returns how many steps a sum of 16 bits can take in: four codes of some bits and
// four weights of up to an absolute value add two products to it.
func narrowSteps(bits, most int) int {
	return min(math.MaxInt16/(2*(1<<bits-1)*max(most, 1)), 1<<20)
}

// packLowered chooses between winogradForm, pairForm and narrowForm and packs w.
func (s *IntConv) packLowered(p *IntWeights, w []uint8) {
	most := codeSumsAVX2(&p.sums[0], &w[0], s.O, len(w)/s.O)
	steps := narrowSteps(s.bits(), int(most))
	form, offset := pairForm, int32(0)
	switch {
	case s.winograd() && (s.StrideH == 1 || steps < 2):
		form = winogradForm
	case steps >= 2: // of which the loop takes two in a turn
		form, offset = narrowForm, s.offset()
	}
	if s.winograd() {
		p.plan = s.planWinograd(p.plan.chunks)
	}
	if room := s.packedMost(&p.plan); len(p.data) != room { // for all forms, so that other weights allocate nothing
		p.data, p.form = make([]int8, room), panelForm
	}
	if form == winogradForm {
		p.form, p.offset = form, 0
		s.packWinograd(p, w)
		return
	}
	l := s.lower(form)
	if p.form != form {
		clear(p.data)
		s.setOrder(p, &l)
	}
	p.form, p.offset, p.block = form, offset, steps/2
	per := len(w) / s.O
	_, og := s.groups()
	at := 0
	for g := range s.Groups {
		eachPanel(og, func(j, vectors int) {
			for v := range vectors {
				o := g*og + j + 8*v
				s.packVector(p, &l, at+32*v, 32*vectors, w[o*per:], min(8, og-j-8*v))
			}
			at += l.codes() * l.size * 8 * vectors
		})
	}
	if form == narrowForm {
		p.panel, p.all = 8*firstPanel(og)*l.codes(), at // the first panel is the largest
	}
}

// packedMost returns the size of the packed weights in the largest of the forms that weights may choose. The plan is that
// of winogradForm, if that is one of them.
func (s *IntConv) packedMost(plan *winogradPlan) int {
	winograd := plan.weights()
	if winograd > 0 && s.StrideH == 1 {
		return winograd
	}
	l := s.lower(pairForm)
	return max(winograd, s.Groups*ceil(s.O/s.Groups, 8)*l.codes()*l.size+packBlock*2*24)
}

// setOrder computes the place of each code that a column meets in its kernel [Cg KH KW].
func (s *IntConv) setOrder(p *IntWeights, l *lowering) {
	cg, taps := s.C/s.Groups, s.KH*s.KW
	if len(p.order) < l.codes() {
		p.order = make([]int32, ceil(l.codes(), 8))
	}
	for i := range l.codes() {
		segment, k := i/l.k, i%l.k
		p.order[i] = -1
		if k < l.run {
			p.order[i] = int32(k%cg*taps + segment*(taps/l.segments) + k/cg)
		}
	}
}

// packVector packs up to eight columns, whose kernels begin at w[0]. Units of 32 bytes begin at
// data[at] and then every step bytes.
func (s *IntConv) packVector(p *IntWeights, l *lowering, at, step int, w []uint8, columns int) {
	per := s.WeightSize() / s.O
	total, k := l.codes(), 0
	if s.KH*s.KW == 1 && columns == 8 && per >= packBlock { // codes lie as they are read
		l.pack(&p.data[at], &w[0], per/packBlock, step, per)
		k = per / packBlock * packBlock
	}
	var block [8][256]uint8
	for k < total {
		n := min(len(block[0]), total-k)
		for c := range columns {
			row, dst := w[c*per:][:per], block[c][:n]
			for i, at := range p.order[k : k+n] {
				var v uint8
				if at >= 0 {
					v = row[at]
				}
				dst[i] = v
			}
			clear(block[c][n:ceil(n, packBlock)])
		}
		l.pack(&p.data[at+k*l.size/4*step], &block[0][0], ceil(n, packBlock)/packBlock, step, len(block[0]))
		k += n
	}
}

// pack calls the kernel of the form. (Through a variable its arguments would escape.)
func (l *lowering) pack(dst *int8, src *uint8, blocks, dstStep, srcStep int) {
	if l.form == narrowForm {
		packNarrowAVX2(dst, src, blocks, dstStep, srcStep)
	} else {
		packPairsAVX2(dst, src, blocks, dstStep, srcStep)
	}
}

// startLowered brings the initial values, value(o) for output channel o, into the order of
// the panels.
func (s *IntConv) startLowered(p *IntWeights, value func(o int) int32) {
	_, og := s.groups()
	p.start = resize(p.start, s.Groups*ceil(og, 8))
	at := 0
	for g := range s.Groups {
		eachPanel(og, func(j, vectors int) {
			for i := range 8 * vectors {
				p.start[at] = 0
				if j+i < og {
					p.start[at] = value(g*og + j + i)
				}
				at++
			}
		})
	}
}
