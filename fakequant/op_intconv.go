package fakequant

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/integer"
	"github.com/bitgrad/bitgrad/internal/kernels"
	"github.com/bitgrad/bitgrad/quant"
)

// IntConvOp is a convolution or a linear layer on integers, fused with what
// stands behind it: codes in, int32 accumulators, bias, batch norm, ReLU, and
// the requantization that ships. Its operands are
//
//	x, w          codes
//	b             the bias, or the folded one; present where HasBias
//	γ, β, [b]     only in the batch phase (Norm non-nil)
//	range         only where the output's range is learned
//
// Without an output quantizer its value is the accumulators, brought to one
// scale: the logits.
//
// The backward pass is that of the float operation on the dequantized
// operands, behind the mask of the estimator and the activation function.
type IntConvOp struct {
	// Conv is the operation on floats: [autograd.Conv2DOp] or [autograd.LinearOp].
	Conv    autograd.Op
	HasBias bool
	Norm    *Norm // batch phase only
	HasOwn  bool  // batch phase: the convolution's own bias is an operand
	act     activation
	Out     *Quantizer
	// Pool is the max pool behind the quantizer, only in training.
	Pool *autograd.MaxPoolOp
}

// Name returns the name of the operations that it fuses.
func (o IntConvOp) Name() string {
	if o.Pool != nil {
		return "int_" + o.Conv.Name() + "_pool"
	}
	return "int_" + o.Conv.Name()
}

// States returns the state of the fused parts.
func (o IntConvOp) States() []*autograd.State {
	var ss []*autograd.State
	if o.Norm != nil {
		ss = o.Norm.states()
	}
	if o.Out != nil {
		ss = append(ss, o.Out.states()...)
	}
	return ss
}

func (o IntConvOp) quantizers() []*Quantizer { return []*Quantizer{o.Out} }

// operandsOfConv is the number of operands that the float operation takes.
func (o IntConvOp) operandsOfConv() int {
	if o.HasBias && o.Norm == nil {
		return 3
	}
	return 2
}

// float returns the operation on floats that differentiates itself: with its pool where that pays.
func (o IntConvOp) float(in []autograd.Type) autograd.Op {
	if conv, ok := o.Conv.(autograd.Conv2DOp); ok && o.Pool != nil {
		if p := (autograd.PooledConvOp{Conv: conv, Bias: o.operandsOfConv() == 3, Pool: *o.Pool}); p.Pays(in[0], in[1]) {
			return p
		}
	}
	return o.Conv
}

func (o IntConvOp) count() int {
	n := 2
	if o.HasBias {
		n++
	}
	if o.Norm != nil {
		n += 2
	}
	if o.HasOwn {
		n++
	}
	return n
}

// geometry is the shape of the driver and whether it is a linear layer.
func (o IntConvOp) geometry(in []autograd.Type) (s kernels.ConvShape, linear bool, err error) {
	if c, ok := o.Conv.(autograd.Conv2DOp); ok {
		s, err = c.Shape(in[0], in[1])
		// Shape drops strides that a single position makes meaningless; the
		// integer model counts its positions itself.
		s.StrideH, s.StrideW = max(c.StrideH, 1), max(c.StrideW, 1)
		return s, false, err
	}
	s = kernels.ConvShape{C: in[1].Shape[1], O: in[1].Shape[0], KH: 1, KW: 1, H: 1, W: 1}
	return s, true, s.Complete()
}

// Infer implements [autograd.Op].
func (o IntConvOp) Infer(env autograd.Env, in []autograd.Type) (autograd.Spec, error) {
	if err := operands(in, o.count(), o.Out); err != nil {
		return autograd.Spec{}, err
	}
	if !in[0].IsCodes() || !in[1].IsCodes() {
		return autograd.Spec{}, errors.New("input and weight must be codes")
	}
	float := o.float(in)
	spec, err := float.Infer(env, in[:o.operandsOfConv()])
	if err != nil {
		return spec, err
	}
	shape, _, err := o.geometry(in)
	if err != nil {
		return spec, err
	}
	batch := max(in[0].Shape[0], 1)
	elements := batch * shape.OH * shape.OW * shape.O
	border := make([]autograd.Border, 1)
	if c, ok := o.Conv.(autograd.Conv2DOp); ok {
		border[0] = c.Pad
	}
	spec.Border = border
	spec.ReadsIn = append([]bool{true, true}, make([]bool, len(in)-2)...)
	spec.NoGrad = nil
	if o.Norm != nil {
		spec.NoGrad = []bool{false, false, false, false, false, o.HasOwn}
	}
	spec.InPlace = false
	if _, together := float.(autograd.PooledConvOp); o.Pool != nil && !together {
		pooled, err := o.Pool.Infer(env, []autograd.Type{o.poolType(shape, in[0].Shape[0])})
		if err != nil {
			return spec, err
		}
		spec.Out, spec.Saved, spec.GradBorder = pooled.Out, append(spec.Saved, pooled.Saved...), autograd.Border{}
		spec.Note += " max_pool " + pooled.Note
	}
	spec.Out = spec.Out.Floats()
	if o.Out == nil {
		spec.Out.DType, spec.Out.Format = autograd.Int32, &accumulators
		if wide(in) {
			spec.Out.DType = autograd.Int64
		}
	} else {
		spec.Out.DType, spec.Out.Format = codeType(o.Out.Format), &o.Out.Format
		spec.ReadsOut = o.Out.learned()
	}
	switch {
	case o.Norm != nil:
		spec.Saved = append(spec.Saved, autograd.Buffer{DType: autograd.Int32, Len: elements})
	case o.Out != nil && env.Mode.Training():
		rows, row := batch*shape.OH, shape.OW*shape.O
		if o.Pool != nil { // those of what won
			_, h, w := spec.Out.CHW()
			rows, row = batch*h, w*shape.O
		}
		spec.Saved = append(spec.Saved, autograd.Buffer{DType: autograd.Uint8, Len: rows * kernels.BitBytes(row)})
	}
	if o.Out != nil {
		spec.Note = fmt.Sprintf("%s → %s", spec.Note, o.Out.Format)
	} else {
		spec.Note += " → accumulators"
	}
	return spec, nil
}

// accumulators is the format of sums of products.
var accumulators = quant.UniformFormat{BitWidth: 32, Signed: true}

func wide(in []autograd.Type) bool {
	return in[0].Format.BitWidth > 8 || in[1].Format.BitWidth > 8
}

// Bind implements [autograd.Op].
func (o IntConvOp) Bind(b *autograd.Binding) autograd.Step {
	types := []autograd.Type{b.In[0].Type, b.In[1].Type}
	shape, linear, err := o.geometry(types)
	if err != nil {
		panic("fakequant: integer convolution bound without Infer: " + err.Error())
	}
	x, w := types[0].Format, types[1].Format
	s := &intConvStep{o: o, b: b, linear: linear, shape: shape, channels: shape.O,
		bias: make([]int64, shape.O), accScale: make([]float32, shape.O),
		x: codesOf(b.In[0]), y: codesOf(b.Out)}
	wBits := w.BitWidth
	if wide(types) {
		wBits = 16
	}
	if linear {
		s.driver, err = integer.NewLinearDriver(shape.C, shape.O, x.BitWidth, x.Signed, wBits)
	} else {
		s.driver, err = integer.NewConvDriver(shape, x.BitWidth, x.Signed, wBits)
	}
	if err != nil {
		panic("fakequant: integer convolution: " + err.Error())
	}
	if s.driver.Wide() || b.In[1].Elem() != autograd.Int8 {
		s.levels = make([]int32, b.In[1].Elements())
	} else {
		s.codes = make([]uint8, b.In[1].Elements())
	}
	n32, n64, n8 := s.driver.ScratchLen()
	workers := b.Pool.Workers()
	s.scratch = make([]integer.Scratch, workers)
	s.taps = make([]integer.Taps, workers)
	for i := range s.scratch {
		s.scratch[i] = integer.Scratch{I32: make([]int32, n32), I64: make([]int64, n64), U8: make([]uint8, n8)}
	}
	if o.Out != nil {
		o.Out.initGrid(b.Out.Grid)
		s.requant = newRequant(o.Out, w.PerChannel, shape.O, s.driver.Wide())
	} else {
		*b.Out.Grid = quant.Grid{BitWidth: 32, Signed: true, Scale: []float32{1}}
	}
	const few = 16
	s.bands = s.driver.Bands(few / b.Batch)
	s.bindPhase()
	s.forward = s.forwardBlock
	if s.bands > 1 {
		s.forward = s.forwardBand
	}
	if o.Pool != nil {
		s.pool, s.bands = newIntPool(s), 1
		s.forward = s.pool.forwardImage
	}
	s.bindBackward()
	return s
}

// codesOf presents a view to the integer drivers, which read a little beyond the
// last code: the arena leaves room for it.
func codesOf(v autograd.View) integer.Codes {
	return integer.Codes{U8: v.U8[:cap(v.U8)], I32: v.I32, I64: v.I64, Signed: v.Elem() == autograd.Int8, L: v.L}
}

// intConvStep is the step of [IntConvOp].
type intConvStep struct {
	o        IntConvOp
	b        *autograd.Binding
	linear   bool
	shape    kernels.ConvShape
	channels int
	driver   *integer.ConvDriver
	codes    []uint8 // of the weight, as the driver has them
	zero     int32   // of the input, likewise
	loaded   bool
	levels   []int32 // instead of codes, where these are no int8 or sums are int64
	bias     []int64
	accScale []float32 // real value of one accumulator, per channel
	x, y     integer.Codes
	requant  *requant
	scratch  []integer.Scratch
	taps     []integer.Taps
	passLo   []int64
	passHi   []int64
	observe  bool
	overflow bool // a bias does not fit its accumulator
	bands    int  // of rows that an image is cut into: more than one where images are few
	forward  func(worker, i int)

	batch *intBatch    // batch phase, else nil
	pool  *intPool     // nil without a pool
	back  *intBackward // nil where there is no backward pass
}

// block is the number of images that one task computes.
func (s *intConvStep) block() int {
	if s.linear {
		return 16
	}
	return 1
}

// tasks returns how many tasks the forward pass has.
func (s *intConvStep) tasks() int { return (s.b.Batch + s.block() - 1) / s.block() * s.bands }

func (s *intConvStep) bindPhase() {
	o, b := s.o, s.b
	if o.Norm != nil {
		s.batch = newIntBatch(s)
		return
	}
	if o.Out == nil {
		return
	}
	s.observe = o.Out.watches(b.Mode)
	if b.Mode.Training() {
		s.passLo, s.passHi = make([]int64, s.channels), make([]int64, s.channels)
	}
	for i := range s.taps {
		if b.Mode.Training() {
			s.taps[i].Pass = b.Saved[len(b.Saved)-1].U8
		}
		if s.observe {
			s.taps[i].Min, s.taps[i].Max = make([]int64, s.channels), make([]int64, s.channels)
		}
	}
}

// load brings weights, biases and requantization of this step into the driver.
func (s *intConvStep) load() {
	x, w := s.b.In[0], s.b.In[1]
	// The driver refuses nothing here: widths were settled when it was made.
	switch zero := x.Grid.ZeroPoint; {
	case s.levels != nil:
		for i := range s.levels {
			s.levels[i] = w.Code(i)
		}
		_ = s.driver.SetWeights(s.levels, zero)
	case !s.loaded || s.zero != zero || !bytes.Equal(s.codes, w.U8):
		copy(s.codes, w.U8)
		s.loaded, s.zero = true, zero
		_ = s.driver.SetWeightCodes(s.codes, zero)
	}
	for c := range s.accScale {
		s.accScale[c] = accScale(x.Grid, w.Grid, c)
	}
	clear(s.bias)
	s.overflow = false
	if s.o.HasBias && s.o.Norm == nil {
		for c, v := range s.b.In[2].F32 {
			code, ok := quant.BiasCode(v, s.accScale[c])
			s.bias[c] = code
			s.overflow = s.overflow || !ok
		}
	}
	s.driver.SetBias(s.bias)
}

// weightLevels returns the levels of the weight of the last forward pass.
func (s *intConvStep) weightLevels() []int32 {
	if s.levels != nil {
		return slices.Clone(s.levels)
	}
	levels := make([]int32, len(s.codes))
	for i, q := range s.codes {
		levels[i] = int32(int8(q))
	}
	return levels
}

func (s *intConvStep) Forward(c *autograd.Context) {
	s.load()
	if s.batch != nil {
		s.batch.forward(c)
		return
	}
	g := s.b.Out.Grid
	if s.o.Out == nil {
		s.commonScale(g)
		c.Pool.Run(s.tasks(), s.forward)
		return
	}
	s.o.Out.setGrid(g)
	s.requant.set(s.accScale, g, s.o.act)
	s.driver.SetRequant(&s.requant.Requantizer)
	if s.passLo != nil {
		s.requant.intervals(s.passLo, s.passHi, s.o.Out.Estimator, g, s.o.act, s.accScale)
		s.driver.SetPass(s.passLo, s.passHi)
	}
	for i := range s.taps {
		s.taps[i].Reset()
	}
	c.Pool.Run(s.tasks(), s.forward)
	if s.observe {
		s.observeAccumulators()
	}
}

// commonScale makes the accumulators of all channels codes of one grid.
func (s *intConvStep) commonScale(g *quant.Grid) {
	largest, same := s.accScale[0], true
	for _, v := range s.accScale {
		same = same && v == s.accScale[0]
		largest = max(largest, v)
	}
	g.Scale[0] = largest
	if same {
		s.driver.SetCommonScale(nil, largest)
	} else {
		s.driver.SetCommonScale(s.accScale, largest)
	}
}

func (s *intConvStep) forwardBlock(worker, i int) {
	n0 := i * s.block()
	n1 := min(n0+s.block(), s.b.Batch)
	s.driver.Forward(s.y, s.x, n0, n1, s.scratch[worker], s.tapsOf(worker))
}

func (s *intConvStep) forwardBand(worker, i int) {
	oh0, oh1 := s.driver.BandRows(i%s.bands, s.bands)
	s.driver.ForwardRows(s.y, s.x, i/s.bands, oh0, oh1, s.scratch[worker], s.tapsOf(worker))
}

// tapsOf returns what a worker notes of accumulators; nil where nobody asks.
func (s *intConvStep) tapsOf(worker int) *integer.Taps {
	if s.passLo == nil && !s.observe {
		return nil
	}
	return &s.taps[worker]
}

// observeAccumulators shows the quantizer the range of the values behind the
// activation function, before saturation.
func (s *intConvStep) observeAccumulators() {
	var o Observation
	first := true
	for c := range s.channels {
		lo, hi := s.taps[0].Min[c], s.taps[0].Max[c]
		for _, t := range s.taps[1:] {
			lo, hi = min(lo, t.Min[c]), max(hi, t.Max[c])
		}
		a, b := s.o.act.apply(float32(lo)*s.accScale[c]), s.o.act.apply(float32(hi)*s.accScale[c])
		if first || a < o.Min {
			o.Min = a
		}
		if first || b > o.Max {
			o.Max = b
		}
		first = false
	}
	o.Count = s.elements()
	s.o.Out.observe(o, false)
}

// elements returns how many accumulators a step has.
func (s *intConvStep) elements() int { return s.b.Batch * s.shape.OH * s.shape.OW * s.shape.O }

func (a activation) apply(x float32) float32 {
	switch a {
	case relu:
		return max(x, 0)
	case relu6:
		return min(max(x, 0), 6)
	}
	return x
}
