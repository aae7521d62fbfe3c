package integer

import (
	"math"
	"slices"

	"github.com/bitgrad/bitgrad/quant"
)

// sums is what a convolution and a linear layer have in common: per output channel
// a sum of products, a bias and a way to requantize.
type sums struct {
	channels int
	weight   []int32 // codes, channels rows
	grid     quant.Grid
	bias     []int64
	requant  *quant.Requantizer
	out      quant.Grid
}

// infer checks weights, bias and grids, and bounds the accumulators. perChannel is the number of
// weights of one output channel.
func (s sums) infer(x *Node, perChannel int64, oh, ow int) (output, error) {
	fail := func(err error) (output, error) { return output{}, err }
	if s.channels < 1 || s.channels > maxElements {
		return fail(refuse(ErrShape, "%d output channels: must be 1 to 2^28", s.channels))
	}
	if err := needCodes(x); err != nil {
		return fail(err)
	}
	if err := s.grid.Validate(); err != nil {
		return fail(&reason{err, "grid of the weights: " + err.Error()})
	}
	if n := len(s.grid.Scale); n != 1 && n != s.channels {
		return fail(refuse(ErrGrid, "grid of the weights has %d scales: must be 1 or one for each of %d channels", n, s.channels))
	}
	if len(s.weight)%s.channels != 0 || int64(len(s.weight)/s.channels) != perChannel {
		return fail(refuse(ErrShape, "%d weights: input %v wants %d for each of %d channels", len(s.weight), x.Out, perChannel, s.channels))
	}
	lo, hi := s.grid.QMin(), s.grid.QMax()
	for i, w := range s.weight {
		if w < lo || w > hi {
			return fail(refuse(ErrGrid, "weight %d has code %d: the grid has %d to %d", i, w, lo, hi))
		}
	}
	if s.bias != nil && len(s.bias) != s.channels {
		return fail(refuse(ErrShape, "%d biases for %d channels", len(s.bias), s.channels))
	}
	scales := quant.AccScale(x.Grid, s.grid)
	out := output{Type: typeOf(s.out, s.channels, oh, ow), Grid: s.out}
	if s.requant != nil {
		if err := checkGrid(s.out); err != nil {
			return fail(err)
		}
		if err := checkRequantizer(s.requant, scales, s.channels, s.out); err != nil {
			return fail(err)
		}
	}
	bound, err := s.bound(x, int(perChannel))
	if err != nil {
		return fail(err)
	}
	out.Bound = bound
	if s.requant != nil && s.requant.Rule == quant.FixedPoint && !quant.Fits32(bound.Worst) {
		return fail(refuse(ErrBound, "the sums of channel %d can reach %d: the fixedpoint rule takes 32 bits", bound.Channel, bound.Worst))
	}
	if s.requant == nil {
		largest := float32(slices.Max(scales))
		if !(largest >= quant.MinScale && largest <= quant.MaxScale) {
			return fail(refuse(ErrGrid, "scale %g of the accumulators: must be 2^-126 to 2^126", largest))
		}
		out.Grid = accumulatorGrid(bound.Worst, largest)
		out.Type = typeOf(out.Grid, s.channels, oh, ow)
	}
	return out, out.Type.validate()
}

// bound returns the bound of the worst channel.
func (s sums) bound(x *Node, perChannel int) (Bound, error) {
	lo, hi := int64(x.Grid.QMin()), int64(x.Grid.QMax())
	largest := x.Grid.MaxLevel()
	levels := make([]int32, perChannel)
	var worst, raw int64
	channel := 0
	for c := range s.channels {
		var bias, rounding, sum int64
		if s.bias != nil {
			bias = s.bias[c]
		}
		if s.requant != nil {
			rounding = s.requant.RoundingTerm(c)
		}
		for i, w := range s.weight[c*perChannel : (c+1)*perChannel] {
			levels[i] = s.grid.Level(w)
			sum += int64(levels[i])
		}
		if a := quant.AccumulatorBound(largest, levels, bias, rounding); a > worst {
			worst, channel = a, c
		}
		// Products with the codes themselves, corrected by the zero point afterwards.
		correction := sum * int64(x.Grid.ZeroPoint)
		a := quant.AccumulatorBound(max(-lo, hi), levels, bias, rounding)
		raw = max(raw, a, quant.AccumulatorBound(max(-lo, hi), levels, bias, max(correction, -correction)))
	}
	return newBound(worst, raw, channel, max(x.Out.Bits, s.grid.BitWidth))
}

// accumulatorGrid returns the grid of accumulators up to worst with the given scale.
func accumulatorGrid(worst int64, scale float32) quant.Grid {
	g := quant.Grid{BitWidth: 32, Signed: true, Scale: []float32{scale}}
	// Bringing a sum to a common scale passes through float32, which may round it up.
	if worst > math.MaxInt32-1<<8 {
		g.BitWidth = 64
	}
	return g
}

// commonScale returns the scale of each channel and the largest, or nil where the
// accumulators have one scale already.
func commonScale(x, w quant.Grid) (scales []float32, largest float32) {
	for _, s := range quant.AccScale(x, w) {
		scales = append(scales, float32(s))
		largest = max(largest, float32(s))
	}
	if slices.Min(scales) == largest {
		return nil, largest
	}
	return scales, largest
}

// finish returns the function that turns the accumulator of a channel into a value
// of the output.
func (s sums) finish(x *Node) func(acc int64, c int) int64 {
	if s.requant != nil {
		return func(acc int64, c int) int64 { return int64(s.requant.Apply(acc, c)) }
	}
	scales, largest := commonScale(x.Grid, s.grid)
	if scales == nil {
		return func(acc int64, _ int) int64 { return acc }
	}
	return func(acc int64, c int) int64 { return quant.ToCommonScale(acc, scales[c], largest) }
}

// operands returns what a [ConvDriver] needs: weight levels, the zero point of the input and
// biases. Mid-rise inputs have none: Σ(2q+1)·w is Σq·2w + Σw.
func (s sums) operands(x *Node) (levels []int32, zero int32, bias []int64) {
	levels = make([]int32, len(s.weight))
	bias = make([]int64, s.channels)
	copy(bias, s.bias)
	for i, w := range s.weight {
		levels[i] = s.grid.Level(w)
		if x.Grid.MidRise {
			bias[i/(len(s.weight)/s.channels)] += int64(levels[i])
			levels[i] *= 2
		}
	}
	return levels, x.Grid.ZeroPoint, bias
}

// weightBits returns the width of weight operands: 8 if every level fits an int8 and the
// accumulators of n fit an int32, else 32.
func weightBits(levels []int32, n *Node) int {
	if n.bound.Accumulator == Int64 || slices.Min(levels) < math.MinInt8 || slices.Max(levels) > math.MaxInt8 {
		return 32
	}
	return 8
}

// step loads the driver and returns the step that runs it.
func (s sums) step(b *binding, n *Node, x *Node, d *ConvDriver, err error, levels []int32, zero int32, bias []int64) step {
	if err != nil {
		b.fail(n, err)
		return nil
	}
	if err := d.SetWeights(levels, zero); err != nil {
		b.fail(n, err)
		return nil
	}
	d.Compact()
	d.SetBias(bias)
	d.SetRequant(s.requant)
	if s.requant == nil {
		d.SetCommonScale(commonScale(x.Grid, s.grid))
	}
	b.scratch(d.ScratchLen())
	in := n.In[0]
	work := d.conv.MACs()
	return func(st *state, images int) {
		if images == 1 && work >= st.e.shared {
			st.share(d, st.value(b.self), st.value(in))
			return
		}
		d.Forward(*st.value(b.self), *st.value(in), 0, images, st.scratch, nil)
	}
}

// sumsFile is what a header says of weights and requantizer.
type sumsFile struct {
	Weight  gridFile     `json:"weight_grid"`
	Bias    bool         `json:"bias,omitempty"`
	Requant *requantFile `json:"requant,omitempty"`
}

// encode stores weights of the given shape, biases and requantizer.
func (s sums) encode(w *fileWriter, shape ...int) sumsFile {
	w.codes("weight", s.weight, s.grid, shape...)
	w.floats("weight_scale", s.grid.Scale)
	w.bias(s.bias)
	g := s.grid
	g.Scale = nil
	return sumsFile{newGridFile(g), s.bias != nil, w.requant("", s.requant)}
}

// decode reads what encode stored; counts are the axes of the weights.
func (f sumsFile) decode(r *fileReader, counts ...int) (s sums, err error) {
	scale, err := r.floats("weight_scale")
	if err != nil {
		return s, err
	}
	s.grid = f.Weight.grid(scale...)
	if s.weight, err = r.codes("weight", s.grid, counts...); err != nil {
		return s, err
	}
	if s.bias, err = r.bias(f.Bias); err != nil {
		return s, err
	}
	if s.requant, err = r.requant("", f.Requant); err != nil {
		return s, err
	}
	if s.requant != nil {
		s.out = r.grid
	}
	return s, nil
}
