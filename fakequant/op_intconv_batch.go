package fakequant

import (
	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/quant"
)

// intBatch is the batch phase of a convolution on integers: all accumulators of
// the batch are kept as int32, their exact sums give the statistics, and the
// code is a monotone function of the accumulator,
//
//	v = float32(float32(acc)·a[c]) + b[c],  q = clamp(round(v) + z).
type intBatch struct {
	s        *intConvStep
	phase    *batchPhase
	acc      []int32 // [N OH OW O]
	rowLen   int
	rows     int
	sum      []float64 // in real units
	square   []float64
	partSum  []int64   // per image and channel
	partSq   []float64 // exact below 2^53
	a, off   []float32 // v = acc·a + off
	lo, hi   []int32   // accumulators that pass
	min, max []int32   // per image and channel
	z        int32     // of the grid
	qlo, qhi int32
	grid     *quant.Grid

	accumulate, emit, mask, input func(worker, i int)
	dySum, dyAcc, residual        []float64 // per row and channel; residual per row
}

func newIntBatch(s *intConvStep) *intBatch {
	c, n := s.channels, s.b.Batch
	acc := s.b.Saved[len(s.b.Saved)-1].I32
	k := &intBatch{s: s, acc: acc, phase: newBatchPhase(s.o.Norm, c, len(acc)/c),
		rowLen: s.shape.OW * c, rows: n * s.shape.OH,
		sum: make([]float64, c), square: make([]float64, c), partSum: make([]int64, n*c), partSq: make([]float64, n*c),
		a: make([]float32, c), off: make([]float32, c), lo: make([]int32, c), hi: make([]int32, c)}
	k.accumulate, k.emit = k.accumulateImage, k.emitRow
	if s.o.Out != nil && s.o.Out.watches(s.b.Mode) {
		k.min, k.max = make([]int32, n*c), make([]int32, n*c)
	}
	if !s.b.GradOut.Empty() {
		k.mask, k.input = k.maskRow, k.inputRow
		k.dySum, k.dyAcc, k.residual = make([]float64, k.rows*c), make([]float64, k.rows*c), make([]float64, k.rows)
	}
	return k
}

func (k *intBatch) image(n int) []int32 {
	per := k.s.shape.OH * k.rowLen
	return k.acc[n*per : (n+1)*per]
}

// accumulateImage computes the accumulators of one image, without bias, and
// their sums.
func (k *intBatch) accumulateImage(worker, n int) {
	s := k.s
	acc := k.image(n)
	s.driver.Accumulators(acc, nil, s.x, n, 0, s.shape.OH)
	c := s.channels
	sum, sq := k.partSum[n*c:(n+1)*c], k.partSq[n*c:(n+1)*c]
	clear(sum)
	clear(sq)
	for ; len(acc) > 0; acc = acc[c:] {
		for i, v := range acc[:c] {
			sum[i] += int64(v)
			sq[i] += float64(v) * float64(v)
		}
	}
	if k.min == nil {
		return
	}
	lo, hi := k.min[n*c:(n+1)*c], k.max[n*c:(n+1)*c]
	acc = k.image(n)
	copy(lo, acc[:c])
	copy(hi, acc[:c])
	for ; len(acc) > 0; acc = acc[c:] {
		for i, v := range acc[:c] {
			lo[i], hi[i] = min(lo[i], v), max(hi[i], v)
		}
	}
}

func (k *intBatch) forward(c *autograd.Context) {
	s := k.s
	c.Pool.Run(s.b.Batch, k.accumulate)
	for ch := range k.sum {
		var sum int64
		sq := 0.0
		for n := range s.b.Batch {
			sum += k.partSum[n*s.channels+ch]
			sq += k.partSq[n*s.channels+ch]
		}
		sc := float64(s.accScale[ch])
		k.sum[ch], k.square[ch] = float64(sum)*sc, sq*sc*sc
	}
	in := s.b.In
	var own []float32
	if s.o.HasOwn {
		own = in[5].F32
	}
	k.phase.forward(in[3].F32, in[4].F32, in[2].F32, own, k.sum, k.square)
	g := s.b.Out.Grid
	s.o.Out.setGrid(g)
	k.grid = g
	k.z, k.qlo, k.qhi = g.ZeroPoint, g.QMin(), g.QMax()
	if s.o.act != linear {
		k.qlo = min(max(k.qlo, k.z), k.qhi)
	}
	rounding := s.o.Out.Format.Rounding
	if s.o.act == relu6 {
		k.qhi = max(min(k.qhi, g.Quantize(6, 0, rounding)), k.qlo)
	}
	sy := float64(g.ScaleAt(0))
	for ch := range k.a {
		real := k.phase.a[ch] * float64(s.accScale[ch])
		k.a[ch], k.off[ch] = float32(real/sy), float32(k.phase.b[ch]/sy)
		st := stage{m: k.a[ch], off: k.off[ch], rounding: rounding, real: real, realOff: k.phase.b[ch]}
		lo, hi := passInterval(s.o.Out.Estimator, g, s.o.act, &st)
		k.lo[ch], k.hi[ch] = int32(lo), int32(hi)
	}
	c.Pool.Run(k.rows, k.emit)
	if k.min != nil {
		k.observe()
	}
}

func (k *intBatch) observe() {
	var o Observation
	c := k.s.channels
	for i, lo := range k.min {
		ch := i % c
		real := k.phase.a[ch] * float64(k.s.accScale[ch])
		a := k.s.o.act.apply(float32(float64(lo)*real + k.phase.b[ch]))
		b := k.s.o.act.apply(float32(float64(k.max[i])*real + k.phase.b[ch]))
		if i == 0 {
			o.Min, o.Max = a, b
		}
		o.Min, o.Max = min(o.Min, a), max(o.Max, b)
	}
	o.Count = k.s.b.Out.Elements()
	k.s.o.Out.observe(o, false)
}

// emitRow turns one row of accumulators into codes.
func (k *intBatch) emitRow(_, r int) {
	y := k.s.b.Out
	acc := k.acc[r*k.rowLen : (r+1)*k.rowLen]
	at := y.Row(r)
	c := k.s.channels
	rounding := k.s.o.Out.Format.Rounding
	lo, hi := float32(k.qlo-k.z), float32(k.qhi-k.z)
	if y.U8 == nil {
		for i, v := range acc {
			x := rounding.Round32(float32(float32(v)*k.a[i%c]) + k.off[i%c])
			y.SetCode(at+i, int32(min(max(x, lo), hi))+k.z)
		}
		return
	}
	dst := y.U8[at : at+len(acc)]
	up := rounding == quant.HalfUp
	for ; len(acc) > 0; acc, dst = acc[c:], dst[c:] {
		for i, v := range acc[:c] {
			x := float32(float32(v)*k.a[i]) + k.off[i]
			if up {
				x = roundHalfUp(min(max(x, lo-1), hi+1))
			} else {
				x = roundHalfEven(min(max(x, lo-1), hi+1))
			}
			dst[i] = uint8(int32(min(max(x, lo), hi)) + k.z)
		}
	}
}

// roundHalfEven rounds |x| < 2^22 by adding and taking away 1.5·2^23.
func roundHalfEven(x float32) float32 {
	const magic = 3 << 22
	t := x + magic
	return t - magic
}

// roundHalfUp rounds |x| < 2^22: the nearest whole number, ties towards +∞.
func roundHalfUp(x float32) float32 {
	r := roundHalfEven(x)
	if x-r == 0.5 {
		r++
	}
	return r
}

func (k *intBatch) backward(c *autograd.Context) {
	s := k.s
	c.Pool.Run(k.rows, k.mask)
	ch := s.channels
	clear(k.sum)
	clear(k.square)
	total := 0.0
	for r := range k.rows {
		for i := range ch {
			k.sum[i] += k.dySum[r*ch+i]
			k.square[i] += k.dyAcc[r*ch+i]
		}
		total += k.residual[r]
	}
	for i := range k.square {
		k.square[i] *= float64(s.accScale[i])
	}
	k.phase.backward(k.sum, k.square, s.b.GradIn[2], s.b.GradIn[3], s.b.GradIn[4])
	c.Pool.Run(k.rows, k.input)
	s.back.inner.Backward(c)
	learnRange(s.o.Out, s.b, k.grid, total, s.b.Out.Elements())
}

// maskRow: dz = dy·[pass], with Σdz, Σdz·acc per channel and the residuals of
// the range's gradient.
func (k *intBatch) maskRow(_, r int) {
	s := k.s
	dy, y := s.b.GradOut, s.b.Out
	c := s.channels
	acc := k.acc[r*k.rowLen : (r+1)*k.rowLen]
	d := dy.F32[dy.Row(r):][:k.rowLen]
	at := y.Row(r)
	sum, prod := k.dySum[r*c:(r+1)*c], k.dyAcc[r*c:(r+1)*c]
	clear(sum)
	clear(prod)
	lo, hi := k.grid.QMin(), k.grid.QMax()
	total := 0.0
	learned := s.o.Out.learned()
	for p := 0; p < len(acc); p += c {
		for i := range c {
			v := acc[p+i]
			g := float64(d[p+i])
			if v >= k.lo[i] && v <= k.hi[i] {
				sum[i] += g
				prod[i] += g * float64(v)
				if learned {
					total += g * float64(float32(y.Code(at+p+i)-k.z)-(float32(float32(v)*k.a[i])+k.off[i]))
				}
				continue
			}
			if q := y.Code(at + p + i); learned && (q == hi || q == lo && lo != k.z) {
				total += g * float64(q-k.z)
			}
			d[p+i] = 0
		}
	}
	k.residual[r] = total
}

// inputRow turns dz into the gradient of the accumulators' real value.
func (k *intBatch) inputRow(_, r int) {
	s := k.s
	dy := s.b.GradOut
	c := s.channels
	acc := k.acc[r*k.rowLen : (r+1)*k.rowLen]
	d := dy.F32[dy.Row(r):][:k.rowLen]
	for p := 0; p < len(acc); p += c {
		for i := range c {
			d[p+i] = float32(k.phase.input(float64(d[p+i]), float64(acc[p+i])*float64(s.accScale[i]), i))
		}
	}
}
