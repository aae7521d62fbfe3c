package fakequant

import (
	"math"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/internal/kernels"
	"github.com/bitgrad/bitgrad/quant"
)

// intBatch is the batch phase of a convolution on integers: all accumulators of
// the batch are kept as int32, their exact sums give the statistics, and the
// code is a monotone function of the accumulator,
//
//	v = float32(float32(acc)·a[c]) + b[c],  q = clamp(round(v) + z).
type intBatch struct {
	s      *intConvStep
	phase  *batchPhase
	acc    []int32 // [N OH OW O]
	rowLen int
	sum    []float64 // in real units
	square []float64
	worker []batchWorker
	grid   *quant.Grid
	clamp  [2]int32 // the codes that may leave

	// Per channel; those in brackets are repeated for some pixels, which makes longer
	// loops.
	lo, hi  []int32      // accumulators that pass
	a, off  []float32    // [v = acc·a + off]
	factors [3][]float64 // [dp = f0·dy + (f1 + f2·acc)]

	accumulate, mask func(worker, i int)
	emit             *rowLoop
	input            *rowLoop // of a linear layer; a convolution computes the gradient image by image
	// Per image: Σdz and Σdz·acc for each channel, and Σdy·(q−z).
	dySum, dyAcc, residual []float64
}

// batchWorker takes in the accumulators of the images of one worker. As they are
// integers, it does not matter which images these are.
type batchWorker struct {
	moments     *kernels.AccMoments
	least, most []int32 // nil where nobody observes
}

func newIntBatch(s *intConvStep) *intBatch {
	c, n := s.channels, s.b.Batch
	acc := s.b.Saved[len(s.b.Saved)-1].I32
	k := &intBatch{s: s, acc: acc, phase: newBatchPhase(s.o.Norm, c, len(acc)/c), rowLen: s.shape.OW * c,
		sum: make([]float64, c), square: make([]float64, c), worker: make([]batchWorker, s.b.Pool.Workers()),
		lo: make([]int32, c), hi: make([]int32, c)}
	pixels := kernels.RepeatedPixels(s.shape.OW, c)
	k.a, k.off = make([]float32, pixels*c), make([]float32, pixels*c)
	for i := range k.worker {
		k.worker[i].moments = kernels.NewAccMoments(c)
		if s.o.Out.watches(s.b.Mode) {
			k.worker[i].least, k.worker[i].most = make([]int32, c), make([]int32, c)
		}
	}
	k.accumulate, k.emit = k.accumulateBand, newRowLoop(n*s.shape.OH, k.rowLen, k.emitRow)
	return k
}

// bindBackward prepares the backward pass in front of that of the float operation.
func (k *intBatch) bindBackward(conv autograd.ConvStep) {
	n, c := k.s.b.Batch, k.s.channels
	for i := range k.factors {
		k.factors[i] = make([]float64, len(k.a))
	}
	k.mask = k.maskImage
	k.dySum, k.dyAcc, k.residual = make([]float64, n*c), make([]float64, n*c), make([]float64, n)
	if conv != nil {
		conv.Upstream(k.inputImage)
	} else {
		k.input = newRowLoop(n, c, func(worker, n int) { k.inputImage(worker, n) })
	}
}

// row returns the accumulators of row r = n·OH + h.
func (k *intBatch) row(r int) []int32 { return k.acc[r*k.rowLen : (r+1)*k.rowLen] }

// accumulateBand computes the accumulators of a band of an image, without bias, and takes them in.
func (k *intBatch) accumulateBand(worker, i int) {
	s, w := k.s, &k.worker[worker]
	n := i / s.bands
	oh0, oh1 := s.driver.BandRows(i%s.bands, s.bands)
	acc := k.acc[(n*s.shape.OH+oh0)*k.rowLen : (n*s.shape.OH+oh1)*k.rowLen]
	s.driver.Accumulators(acc, nil, s.x, n, oh0, oh1, s.scratch[worker])
	w.moments.Add(acc)
	if w.least != nil {
		kernels.AccumulatorRange(w.least, w.most, acc)
	}
}

func (k *intBatch) forward(c *autograd.Context) {
	s := k.s
	for _, w := range k.worker {
		w.moments.Reset()
		for i := range w.least {
			w.least[i], w.most[i] = math.MaxInt32, math.MinInt32
		}
	}
	c.Pool.Run(s.b.Batch*s.bands, k.accumulate)
	all := k.worker[0]
	for _, w := range k.worker[1:] {
		all.moments.Merge(w.moments)
		for i := range w.least {
			all.least[i], all.most[i] = min(all.least[i], w.least[i]), max(all.most[i], w.most[i])
		}
	}
	for ch, m := 0, all.moments; ch < s.channels; ch++ {
		sc := float64(s.accScale[ch])
		k.sum[ch] = float64(m.Sum[ch]) * sc
		k.square[ch] = (float64(m.High[ch])*(1<<32) + float64(m.Low[ch])) * sc * sc
	}
	in := s.b.In
	var own []float32
	if s.o.HasOwn {
		own = in[5].F32
	}
	k.phase.forward(in[3].F32, in[4].F32, in[2].F32, own, k.sum, k.square)
	k.grid = s.b.Out.Grid
	s.o.Out.setGrid(k.grid)
	k.follow()
	k.emit.run(c.Pool)
	if all.least != nil {
		k.observe(all)
	}
}

// follow computes what depends on the statistics and the grid of this step.
func (k *intBatch) follow() {
	s, g := k.s, k.grid
	rounding := s.o.Out.Format.Rounding
	k.clamp[0], k.clamp[1] = clampFor(g, s.o.act, rounding)
	sy := float64(g.ScaleAt(0))
	for ch := range k.lo {
		real := k.phase.a[ch] * float64(s.accScale[ch])
		k.a[ch], k.off[ch] = float32(real/sy), float32(k.phase.b[ch]/sy)
		st := stage{m: k.a[ch], off: k.off[ch], rounding: rounding, real: real, realOff: k.phase.b[ch]}
		lo, hi := passInterval(s.o.Out.Estimator, g, s.o.act, &st, accRange)
		if lo > hi { // as int32 they may change places
			lo, hi = 1, 0
		}
		k.lo[ch], k.hi[ch] = int32(lo), int32(hi)
	}
	kernels.Repeat(k.a, s.channels)
	kernels.Repeat(k.off, s.channels)
}

func (k *intBatch) observe(w batchWorker) {
	var o Observation
	for ch, lo := range w.least {
		real := k.phase.a[ch] * float64(k.s.accScale[ch])
		a := k.s.o.act.apply(float32(float64(lo)*real + k.phase.b[ch]))
		b := k.s.o.act.apply(float32(float64(w.most[ch])*real + k.phase.b[ch]))
		if ch == 0 {
			o.Min, o.Max = a, b
		}
		o.Min, o.Max = min(o.Min, a), max(o.Max, b)
	}
	o.Count = k.s.b.Out.Elements()
	k.s.o.Out.observe(o, false)
}

// emitRow turns one row of accumulators into codes.
func (k *intBatch) emitRow(_, r int) {
	y, z, lo, hi := k.s.b.Out, k.grid.ZeroPoint, k.clamp[0], k.clamp[1]
	acc, at := k.row(r), y.Row(r)
	rounding := k.s.o.Out.Format.Rounding
	if y.U8 != nil && (rounding == quant.HalfEven || rounding == quant.HalfUp) {
		kernels.RequantizeAffine(y.U8[at:at+len(acc)], acc, k.a, k.off, z, lo, hi, rounding == quant.HalfUp)
		return
	}
	for i, v := range acc {
		x := rounding.Round32(float32(float32(v)*k.a[i%len(k.a)]) + k.off[i%len(k.a)])
		if x != x {
			x = 0
		}
		y.SetCode(at+i, int32(min(max(x, float32(lo-z)), float32(hi-z)))+z)
	}
}

// backward: with v = acc·a + off the sum Σdz·v of the range's gradient is
// a·Σdz·acc + off·Σdz per channel.
func (k *intBatch) backward(c *autograd.Context) {
	s := k.s
	c.Pool.Run(s.b.Batch, k.mask)
	ch := s.channels
	clear(k.sum)
	clear(k.square)
	total := 0.0
	for n := range s.b.Batch {
		for i := range ch {
			k.sum[i] += k.dySum[n*ch+i]
			k.square[i] += k.dyAcc[n*ch+i]
		}
		total += k.residual[n]
	}
	for i := range k.square {
		total -= float64(k.a[i])*k.square[i] + float64(k.off[i])*k.sum[i]
		k.square[i] *= float64(s.accScale[i])
	}
	k.phase.backward(k.sum, k.square, s.b.GradIn[2], s.b.GradIn[3], s.b.GradIn[4])
	f := &k.factors
	for i := range ch {
		f[0][i], f[1][i], f[2][i] = k.phase.input(i)
		f[2][i] *= float64(s.accScale[i])
	}
	for _, x := range f {
		kernels.Repeat(x, ch)
	}
	if k.input != nil {
		k.input.run(c.Pool)
	}
	s.back.inner.Backward(c)
	learnRange(s.o.Out, s.b, k.grid, total, s.b.Out.Elements())
}

// maskImage: dz = dy·[pass] for one image, with its sums.
func (k *intBatch) maskImage(_, n int) {
	s := k.s
	dy, y, c := s.b.GradOut, s.b.Out, s.channels
	sum, prod := k.dySum[n*c:(n+1)*c], k.dyAcc[n*c:(n+1)*c]
	clear(sum)
	clear(prod)
	k.residual[n] = 0
	learned, top := s.o.Out.learned(), cutsTop(s.o.act, k.clamp[1], k.grid)
	for r := n * s.shape.OH; r < (n+1)*s.shape.OH; r++ {
		d := dy.F32[dy.Row(r):][:k.rowLen]
		if learned && !top {
			k.residual[n] += dotCodes(d, y, y.Row(r))
		}
		kernels.SelectAccumulators(d, k.row(r), k.lo, k.hi, sum, prod)
		if learned && top {
			k.residual[n] += dotCodes(d, y, y.Row(r))
		}
	}
}

// inputImage turns the dz of image n into the gradient of the accumulators' real value.
func (k *intBatch) inputImage(_, n int) []float32 {
	dy := k.s.b.GradOut
	for r := n * dy.L.H; r < (n+1)*dy.L.H; r++ {
		kernels.MixAccumulators(dy.F32[dy.Row(r):][:k.rowLen], k.row(r), k.factors[0], k.factors[1], k.factors[2])
	}
	return dy.F32
}
