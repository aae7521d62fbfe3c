package integer

import (
	"fmt"
	"math"

	"github.com/bitgrad/bitgrad/internal/kernels"
	"github.com/bitgrad/bitgrad/quant"
)

// A ConvDriver computes a convolution, or a linear layer, on codes: what the engine
// runs for [Conv] and [Linear] and what training runs for the forward pass of a quantized
// layer, so that both give the same integers.
//
//	acc = bias[o] + Σ (x − zeroPoint)·w        w are levels: q − z, or 2q + 1
//	y   = requant.Apply(acc, o)
//
// With inputs of up to 8 bits and levels that fit an int8 it uses the int8 kernels and
// int32 accumulators, which the caller has to prove wide enough; everything else
// runs in int64.
//
// Setters keep copies, allocate only when first called and must not run while
// another goroutine uses the driver. Forward and Accumulators allocate nothing and may run
// on several goroutines, each with its own [Scratch] and its own images; the result does
// not depend on how images are split.
type ConvDriver struct {
	conv   kernels.IntConv
	linear bool // images are the rows of a product: one row of output, as wide as the batch
	wide   bool // int64
	block  int  // output rows, or images of a linear layer, that share the scratch

	weights kernels.IntWeights // of the narrow path
	codes   []uint8            // room for those of SetWeights
	bias32  []int32
	loaded  bool    // SetWeights was called
	wideW   []int32 // weights of the wide path, [O KH KW I]
	wideSum []int64
	start64 []int64
	bias    []int64
	zero    int32

	requant      *quant.Requantizer // as the caller gave it
	row          quant.Requantizer  // the same with parameters for a row of the output, or for tile pixels
	tile         int                // pixels that make a multiple of eight elements, at least tileSize
	commonScale  []float32
	largestScale float32
	passLo       []int64 // one per channel
	passHi       []int64
	pass32Lo     []int32 // for tile pixels
	pass32Hi     []int32
}

// Scratch is the memory of one goroutine that runs a driver, of the lengths that
// ScratchLen returns or longer.
type Scratch struct {
	I32 []int32
	I64 []int64
	U8  []uint8
}

// Taps are by-products of Forward.
type Taps struct {
	// Pass receives one bit per element of the output, set where the accumulator lies in the
	// interval of SetPass. Row h of image n begins with the least significant bit of byte
	// (n·OH + h)·PassRow, its elements follow in [W C] order: what kernels.SelectBits reads.
	Pass []uint8
	// Min and Max, one entry per output channel, take in the smallest and largest accumulator
	// that Forward meets.
	Min, Max []int64
}

// tileSize is about the number of parameters that kernels like in a row. longRow is the length of rows from which on they
// do not get a parameter for each element.
const (
	tileSize = 256
	longRow  = 1 << 12
)

// NewConvDriver returns a driver for a convolution of codes of xBits bits, 1 to 16. wBits
// is 8 or less if every weight level fits an int8 and every accumulator an int32, and
// larger otherwise. Strides, dilations and groups of 0 mean 1; the output extents are
// computed.
func NewConvDriver(s kernels.ConvShape, xBits int, xSigned bool, wBits int) (*ConvDriver, error) {
	if err := s.Complete(); err != nil {
		return nil, fmt.Errorf("integer: %w", err)
	}
	if xBits < 1 || xBits > 16 {
		return nil, fmt.Errorf("integer: conv driver: %w: inputs of %d bits: must be 1 to 16", ErrGrid, xBits)
	}
	d := &ConvDriver{conv: kernels.IntConv{ConvShape: s, Signed: xSigned, Bits: min(xBits, 8)}, wide: xBits > 8 || wBits > 8}
	d.block = d.conv.BlockRows()
	for d.tile = 1; d.tile*s.O%8 != 0; {
		d.tile *= 2
	}
	d.tile *= (tileSize + d.tile*s.O - 1) / (d.tile * s.O)
	return d, nil
}

// NewLinearDriver returns a driver for a linear layer from in to out features. The batch
// is the axis N of its tensors, whose H and W are 1.
func NewLinearDriver(in, out, xBits int, xSigned bool, wBits int) (*ConvDriver, error) {
	d, err := NewConvDriver(kernels.ConvShape{C: in, O: out, KH: 1, KW: 1, H: 1, W: 1}, xBits, xSigned, wBits)
	if err != nil {
		return nil, err
	}
	d.linear = true
	d.block = min(max(kernels.AccumulatorBlock/out, 1), 64)
	return d, nil
}

// Shape returns the completed shape of the convolution.
func (d *ConvDriver) Shape() kernels.ConvShape { return d.conv.ConvShape }

// units returns the number of bands into which the rows of an image can be cut without waste.
func (d *ConvDriver) units() int { return (d.conv.OH + d.conv.RowUnit() - 1) / d.conv.RowUnit() }

// Wide reports whether accumulators are int64.
func (d *ConvDriver) Wide() bool { return d.wide }

// ScratchLen returns the lengths of the slices of a [Scratch], which Compact may increase.
func (d *ConvDriver) ScratchLen() (i32, i64, u8 int) {
	n := d.block * d.conv.OW * d.conv.O
	if d.wide {
		return 0, n, 0
	}
	conv := d.conv
	if d.linear {
		conv = d.batch(d.block)
	}
	return n + 2*d.conv.O, 0, conv.ScratchLen() + d.weights.Room() // and the extremes of each channel
}

// batch returns the convolution that computes a linear layer for n images.
func (d *ConvDriver) batch(n int) kernels.IntConv {
	b := d.conv
	b.W, b.OW = n, n
	return b
}

// PassRow returns the bytes of [Taps].Pass that one row of the output occupies. A linear
// layer has one row per image.
func (d *ConvDriver) PassRow() int { return kernels.BitBytes(d.conv.OW * d.conv.O) }

// SetWeights packs weight levels, [O I/Groups KH KW], and sets the zero point of the
// input. It refuses a wrong number of levels and, on a driver with wBits of up to 8,
// a level outside int8; the driver is then unchanged.
func (d *ConvDriver) SetWeights(levels []int32, zeroPoint int32) error {
	if err := d.checkWeights(len(levels)); err != nil {
		return err
	}
	if d.wide {
		d.setWide(levels)
		d.setZero(zeroPoint)
		return nil
	}
	d.codes = resize(d.codes, len(levels))
	for i, w := range levels {
		if w != int32(int8(w)) {
			return fmt.Errorf("integer: conv driver: %w: weight %d has level %d: must fit an int8", ErrGrid, i, w)
		}
		d.codes[i] = uint8(w)
	}
	d.conv.Pack(&d.weights, d.codes)
	d.setZero(zeroPoint)
	return nil
}

// Compact stores weights that stay in as few bytes as the kernels can read: those of up to four bits in four or
// two bits. It allocates, and comes after SetWeights and before ScratchLen.
func (d *ConvDriver) Compact() {
	if !d.wide {
		d.codes = nil
		d.weights.Compact()
	}
}

// checkWeights refuses a wrong number of weights.
func (d *ConvDriver) checkWeights(n int) error {
	if want := d.conv.WeightSize(); n != want {
		return fmt.Errorf("integer: conv driver: %w: %d weights, the shape has %d", ErrShape, n, want)
	}
	return nil
}

// setZero sets the zero point of the input, behind the weights.
func (d *ConvDriver) setZero(zeroPoint int32) {
	d.zero, d.loaded = zeroPoint, true
	d.restart()
}

// setWide brings levels into the order in which the inputs lie.
func (d *ConvDriver) setWide(levels []int32) {
	s := &d.conv
	d.wideW, d.wideSum = resize(d.wideW, len(levels)), resize(d.wideSum, s.O)
	per, taps := s.C/s.Groups, s.KH*s.KW
	for o := range s.O {
		var sum int64
		for i := range per {
			for t := range taps {
				w := levels[(o*per+i)*taps+t]
				d.wideW[(o*taps+t)*per+i] = w
				sum += int64(w)
			}
		}
		d.wideSum[o] = sum
	}
}

// SetBias sets the biases in units of the accumulator; nil means none.
func (d *ConvDriver) SetBias(bias []int64) {
	d.bias = resize(d.bias, d.conv.O)
	clear(d.bias)
	copy(d.bias, bias)
	d.restart()
}

// restart computes the initial values of the accumulators.
func (d *ConvDriver) restart() {
	if !d.loaded {
		return
	}
	o := d.conv.O
	if d.wide {
		d.start64 = resize(d.start64, o)
		for c := range d.start64 {
			d.start64[c] = -int64(d.zero) * d.wideSum[c]
			if d.bias != nil {
				d.start64[c] += d.bias[c]
			}
		}
		return
	}
	d.bias32 = resize(d.bias32, o)
	for c := range d.bias32 {
		d.bias32[c] = 0
		if d.bias != nil {
			d.bias32[c] = int32(d.bias[c])
		}
	}
	d.conv.Start(&d.weights, d.bias32, d.zero)
}

// SetRequant sets how accumulators become codes; nil means that they are the output. r
// must not change until the next call.
func (d *ConvDriver) SetRequant(r *quant.Requantizer) {
	d.requant = r
	if r == nil {
		return
	}
	shift, multiplier := d.row.Shift, d.row.Multiplier
	d.row = *r
	pixels := d.tile
	if d.shortRows() {
		pixels = d.conv.OW
	}
	if len(r.Shift) == 1 { // kernels like that best
		d.row.Shift = append(shift[:0], r.Shift[0])
	} else {
		d.row.Shift = spread(shift, r.Shift, d.conv.O, pixels)
	}
	d.row.Multiplier = spread(multiplier, r.Multiplier, d.conv.O, pixels)
}

// shortRows reports whether rows of the output are short enough to have parameters for each element.
func (d *ConvDriver) shortRows() bool { return d.conv.OW*d.conv.O < longRow }

// spread repeats the parameters of the channels, one for all or one each, for a number of
// pixels: kernels run faster over long rows of parameters. It reuses dst.
func spread[E any](dst, perChannel []E, channels, pixels int) []E {
	if len(perChannel) == 0 {
		return dst[:0]
	}
	if cap(dst) < channels*pixels {
		dst = make([]E, channels*pixels)
	}
	dst = dst[:channels*pixels]
	for i := range dst {
		dst[i] = perChannel[i%channels%len(perChannel)]
	}
	return dst
}

// SetCommonScale brings accumulators that are the output from one scale per channel to the
// largest one, quant.ToCommonScale; nil leaves them alone.
func (d *ConvDriver) SetCommonScale(scales []float32, largest float32) {
	d.commonScale, d.largestScale = scales, largest
}

// SetPass sets, for each output channel, the interval of accumulators, both ends included, for
// which [Taps].Pass has a 1: quant.Requantizer.PassRange says which. An empty interval
// has lo > hi.
func (d *ConvDriver) SetPass(lo, hi []int64) {
	o := d.conv.O
	d.passLo, d.passHi = spread(d.passLo, lo, o, 1), spread(d.passHi, hi, o, 1)
	if d.wide {
		return
	}
	d.pass32Lo, d.pass32Hi = resize(d.pass32Lo, o*d.tile), resize(d.pass32Hi, o*d.tile)
	for i := range d.pass32Lo {
		lo, hi := d.passLo[i%o], d.passHi[i%o]
		if lo > math.MaxInt32 || hi < math.MinInt32 || lo > hi {
			lo, hi = 1, 0
		}
		d.pass32Lo[i], d.pass32Hi[i] = int32(max(lo, math.MinInt32)), int32(min(hi, math.MaxInt32))
	}
}

func resize[E any](s []E, n int) []E {
	if len(s) != n {
		return make([]E, n)
	}
	return s
}

// Forward computes images n0 … n1−1 of y from x. Without a requantizer y takes
// accumulators, in I32 or I64. x has a border of zero points at least as wide as the
// pads. taps may be nil.
func (d *ConvDriver) Forward(y, x Codes, n0, n1 int, scratch Scratch, taps *Taps) {
	if !d.linear {
		for n := n0; n < n1; n++ {
			d.ForwardRows(y, x, n, 0, d.conv.OH, scratch, taps)
		}
		return
	}
	scratch, extremes := d.extremes(scratch, taps)
	for n := n0; n < n1; n += d.block {
		last := min(n+d.block, n1)
		d.products(x, n, last, scratch)
		d.finish(&y, scratch, n, last, 0, 1, taps, extremes)
	}
	extremes.addTo(taps)
}

// Bands returns into how many bands of output rows, at most as many as given, an image can be cut without
// waste; a linear layer has one.
func (d *ConvDriver) Bands(most int) int {
	if d.linear {
		return 1
	}
	return max(1, min(most, d.units()))
}

// BandRows returns the rows oh0 … oh1−1 of band i of an image that is cut into bands.
func (d *ConvDriver) BandRows(i, bands int) (oh0, oh1 int) {
	first := func(i int) int { return min(i*d.units()/bands*d.conv.RowUnit(), d.conv.OH) }
	return first(i), first(i + 1)
}

// ForwardRows is Forward for output rows oh0 … oh1−1 of image n of a convolution.
func (d *ConvDriver) ForwardRows(y, x Codes, n, oh0, oh1 int, scratch Scratch, taps *Taps) {
	scratch, extremes := d.extremes(scratch, taps)
	for oh := oh0; oh < oh1; oh += d.block {
		last := min(oh+d.block, oh1)
		d.rows(x, n, oh, last, scratch)
		d.finish(&y, scratch, n, n+1, oh, last, taps, extremes)
	}
	extremes.addTo(taps)
}

// Accumulators computes the accumulators, bias included, of output rows oh0 … oh1−1 of image n
// into acc, [oh1−oh0 OW O]. A driver whose Wide is true takes wide instead. Of a linear layer it
// computes the one row of image n. Of the scratch it needs U8 only.
func (d *ConvDriver) Accumulators(acc []int32, wide []int64, x Codes, n, oh0, oh1 int, scratch Scratch) {
	s := Scratch{acc, wide, scratch.U8}
	if d.linear {
		d.products(x, n, n+1, s)
		return
	}
	d.rows(x, n, oh0, oh1, s)
}

// rows computes accumulators of rows of one image.
func (d *ConvDriver) rows(x Codes, n, oh0, oh1 int, s Scratch) {
	if d.wide {
		d.rowsWide(s.I64, x, x.L, n, oh0, oh1)
		return
	}
	d.conv.Rows(s.I32, x.U8, x.L, &d.weights, s.U8, n, oh0, oh1)
}

// products computes accumulators of images n0 … n1−1 of a linear layer.
func (d *ConvDriver) products(x Codes, n0, n1 int, s Scratch) {
	l := x.L
	l.Off, l.N, l.W, l.SW = x.L.Row(n0, 0), 1, n1-n0, x.L.SN
	if d.wide {
		for n := range n1 - n0 {
			d.rowsWide(s.I64[n*d.conv.O:], x, x.L, n0+n, 0, 1)
		}
		return
	}
	batch := d.batch(l.W)
	batch.Rows(s.I32, x.U8, l, &d.weights, s.U8, 0, 0, 1)
}

// rowsWide computes accumulators in int64.
func (d *ConvDriver) rowsWide(acc []int64, x Codes, l kernels.Layout, n, oh0, oh1 int) {
	s := &d.conv
	per, perOut := s.C/s.Groups, s.O/s.Groups
	at := 0
	for oh := oh0; oh < oh1; oh++ {
		for ow := range s.OW {
			for o := range s.O {
				sum, w := d.start64[o], d.wideW[o*s.KH*s.KW*per:]
				for k := range s.KH {
					for v := range s.KW {
						from := l.At(n, oh*s.StrideH-s.PadTop+k*s.DilH, ow*s.StrideW-s.PadLeft+v*s.DilW, o/perOut*per)
						sum += dot(&x, from, w[:per])
						w = w[per:]
					}
				}
				acc[at] = sum
				at++
			}
		}
	}
}

// dot returns the product of the elements of x from index at on with w.
func dot(x *Codes, at int, w []int32) (sum int64) {
	switch {
	case x.U8 == nil:
		for i, v := range x.I32[at : at+len(w)] {
			sum += int64(v) * int64(w[i])
		}
	case x.Signed:
		for i, v := range x.U8[at : at+len(w)] {
			sum += int64(int8(v)) * int64(w[i])
		}
	default:
		for i, v := range x.U8[at : at+len(w)] {
			sum += int64(v) * int64(w[i])
		}
	}
	return sum
}
