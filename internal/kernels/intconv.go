package kernels

import "fmt"

// An IntConv is a convolution of 8-bit codes into 32-bit accumulators:
//
//	acc[n,oh,ow,o] = b[o] + Σ_{kh,kw,c} (x[…] − z)·w[o,c,kh,kw]
//
// with the indices of ConvShape, codes x stored one per byte (with Signed as int8
// bit patterns), z the zero point of x, and int8 codes w. The border of x holds z.
// The zero point never enters a loop: Start folds it into the initial value of
// the accumulators, with the sums of the weights. Sums are exact if the true value of an
// accumulator fits into an int32; intermediate ones may wrap.
//
// A linear layer is a 1×1 convolution of one row: H = 1, W the batch.
type IntConv struct {
	ConvShape
	Signed bool // codes of x are signed
	// Bits is the width of the codes of x, 1 to 8; 0 means 8. All codes that a convolution
	// reads must lie in the range of that width, those of the border included.
	Bits int
}

// IntWeights are the weights and initial values of an IntConv, packed for the variant that
// packed them: that one reads them. The zero value is ready for Pack.
type IntWeights struct {
	form   intForm
	data   []int8
	sums   []int32 // of the codes of each output channel
	offset int32   // the form reads codes x + offset
	length int     // panelForm and tileForm: codes of a segment, with the zeros behind them
	start  []int32 // initial values, in the order of the form
	weave  []uint8 // panelForm: how rows are woven, if they are
	order  []int32 // pairForm and narrowForm: place of each packed weight in a kernel, or −1
	block  int     // narrowForm: steps between two widenings
	width  int     // bits of a packed weight, 8 before Compact
	panel  int     // panelForm, narrowForm and tileForm: bytes of the largest panel,
	all    int     // and of all
	room   int     // scratch for a panel of compact weights
	taps   []int16 // winogradForm: room for packing
	plan   winogradPlan
}

// An intForm is an order of packed weights, and the loops that read it.
type intForm int

const (
	panelForm    intForm = iota // for GEMM8
	tapForm                     // depthwise, [KH KW C]
	pairForm                    // 16-bit pairs, for AVX2
	narrowForm                  // bytes with 16-bit sums, for AVX2
	winogradForm                // transformed 16-bit pairs, for AVX2
	depthForm                   // depthwise, pairs of taps, for AVX2
	tileForm                    // panels for the tiles of AMX
)

// A winogradPlan is how winogradForm computes a convolution.
type winogradPlan struct {
	stride int
	points int // places of a transformed tile
	parts  int // of the kernel
	out    int // output channels, rounded up to whole vectors
	tiles  int // that share the scratch
	wide   int // tiles of a row
	chunks []winogradChunk
}

// A winogradChunk is a range of channels that are summed at once.
type winogradChunk struct {
	first, channels int
	blocks          int // of 16 channels, the last with codes that do not count
	depth           int // channels of all parts, rounded up to a multiple of four
	stride          int // the same with room for what does not count
}

// Pack brings the codes w [O Cg KH KW], int8 bit patterns, into the order that Rows reads. It
// allocates when first called.
func (s *IntConv) Pack(p *IntWeights, w []uint8) {
	if len(w) != s.WeightSize() {
		panic(fmt.Sprintf("kernels: integer conv: %d weights, the shape has %d", len(w), s.WeightSize()))
	}
	p.sums = resize(p.sums, s.O)
	p.width, p.panel, p.room = 8, 0, 0
	if s.packOwn(p, w) {
		return
	}
	if s.Depthwise() {
		s.packTaps(p, w)
		return
	}
	l := s.lower(panelForm)
	p.form, p.offset = panelForm, s.offset()
	s.packPanels(p, w, &l)
	if l.gather {
		s.setWeave(p)
	}
}

// sumColumnsPortable sets sums[o] to the sum of the codes of output channel o.
func sumColumnsPortable(sums []int32, w []uint8) {
	per := len(w) / len(sums)
	for o := range sums {
		var sum int32
		for _, v := range w[o*per:][:per] {
			sum += int32(int8(v))
		}
		sums[o] = sum
	}
}

// resize returns a slice of n elements, s if it has as many.
func resize[E any](s []E, n int) []E {
	if len(s) != n {
		return make([]E, n)
	}
	return s
}

// Start computes the initial values of the accumulators,
//
//	start[o] = bias[o] − (z + what the form adds to codes)·Σ w[o]  (modulo 2^32),
//
// from the bias at the scale of the accumulators (nil for none) and the zero
// point z of x. Mid-rise grids and the like put their own terms into bias.
func (s *IntConv) Start(p *IntWeights, bias []int32, z int32) {
	value := func(o int) int32 {
		v := -(z + p.offset) * p.sums[o]
		if bias != nil {
			v += bias[o]
		}
		return v
	}
	if p.form == pairForm || p.form == narrowForm {
		s.startLowered(p, value)
		return
	}
	p.start = resize(p.start, ceil(s.O, 16))
	for o := range s.O {
		p.start[o] = value(o)
	}
}

// AccumulatorBlock is the number of accumulators that stay in the cache until they are read.
const AccumulatorBlock = 1 << 14

// BlockRows returns how many output rows Rows should compute at a time for someone who reads their accumulators next.
func (s *IntConv) BlockRows() int {
	unit := s.RowUnit()
	return min(max(AccumulatorBlock/(s.OW*s.O)/unit, 1)*unit, s.OH)
}

// ceil rounds n up to a multiple of unit.
func ceil(n, unit int) int { return (n + unit - 1) / unit * unit }

// Rows computes the accumulators of output rows oh0..oh1-1 of image n into acc,
// dense [oh1-oh0 OW O]. p comes from Pack and Start. x has a border of zero points at least
// as wide as the padding, and Slack elements after the last. scratch has ScratchLen + p.Room bytes.
func (s *IntConv) Rows(acc []int32, x []uint8, xl Layout, p *IntWeights, scratch []uint8, n, oh0, oh1 int) {
	if n < 0 || n >= xl.N || oh0 < 0 || oh1 > s.OH {
		panic(fmt.Sprintf("kernels: integer conv: rows %d to %d of %d, image %d of %d", oh0, oh1, s.OH, n, xl.N))
	}
	acc = acc[:(oh1-oh0)*s.OW*s.O]
	if oh0 >= oh1 {
		return
	}
	first := xl.At(n, oh0*s.StrideH-s.PadTop, -s.PadLeft, 0)
	last := xl.At(n, (oh1-1)*s.StrideH+(s.KH-1)*s.DilH-s.PadTop, (s.OW-1)*s.StrideW+(s.KW-1)*s.DilW-s.PadLeft, s.C-1)
	if first < 0 || last+Slack > len(x) {
		panic("kernels: integer conv: the input ends too early; is its border or its slack missing?")
	}
	inPlace := p.form == tileForm || p.form == panelForm && !s.lowersPanels()
	switch {
	case p.form == tapForm:
		s.rowsDepthwise(acc, x, xl, p, n, oh0, oh1)
	case inPlace && s.rows() && s.KW > 1 && !xl.Packed():
		s.rowsStrided(acc, x, xl, p, scratch, n, oh0, oh1)
	case p.form == panelForm:
		s.rowsPanels(acc, x, xl, p, scratch, n, oh0, oh1)
	default:
		s.rowsOwn(acc, x, xl, p, scratch, n, oh0, oh1)
	}
}

// RowsWide computes the accumulators of output rows oh0..oh1-1 of image n for
// operands of any width, in int64: acc is dense [oh1-oh0 OW O], x holds codes minus
// their zero point with a border of zeros, w codes [O Cg KH KW], and bias [O] may
// be nil.
func (s *ConvShape) RowsWide(acc []int64, x []int32, xl Layout, w []int32, bias []int64, n, oh0, oh1 int) {
	cg, og := s.groups()
	for oh := oh0; oh < oh1; oh++ {
		for ow := range s.OW {
			for o := range s.O {
				var sum int64
				if bias != nil {
					sum = bias[o]
				}
				for kh := range s.KH {
					for kw := range s.KW {
						at := xl.At(n, oh*s.StrideH+kh*s.DilH-s.PadTop, ow*s.StrideW+kw*s.DilW-s.PadLeft, o/og*cg)
						for c, v := range x[at : at+cg] {
							sum += int64(v) * int64(w[s.weight(o, c, kh, kw)])
						}
					}
				}
				acc[((oh-oh0)*s.OW+ow)*s.O+o] = sum
			}
		}
	}
}
