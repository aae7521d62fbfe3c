package kernels

// The gradient of the weight is
//
//	dw[kh,kw,c,o] = Σ_{n,oh,ow} x[n, oh·StrideH+kh·DilH−PadTop, ow·StrideW+kw·DilW−PadLeft, c] · dy[n,oh,ow,o]:
//
// for one kernel row a product of the transposed x with dy, or the other way round, with
// one segment per output row.

// rowBlock is the number of output rows that one product sums in its
// accumulators. It is part of the order of summation, hence a constant.
const rowBlock = segments

// BackwardWeight computes the gradient of the weight over images n0..n1-1 into
// dw, or adds it to dw, in an internal order, [G KH KW Cg Og] or [O KH KW Cg];
// UnpackWeightGrad brings it to [O Cg KH KW]. Per image, blocks of 64 output rows are summed and
// added to dw in order. To spread a batch over workers, sum fixed ranges of
// images into arrays of their own and add these in a fixed order.
func (s *ConvShape) BackwardWeight(dw []float32, x []float32, xl Layout, dy []float32, dyl Layout, n0, n1 int, add bool) {
	imageRange("conv backward weight", n0, n1, xl, dyl)
	if n1 <= n0 && !add {
		clear(dw[:s.WeightSize()])
	}
	if s.Depthwise() {
		s.backwardWeightDepthwise(dw, x, xl, dy, dyl, n0, n1, add)
		return
	}
	cg, og := s.groups()
	runs, run := s.KW, cg
	if s.Groups == 1 && s.DilW == 1 && xl.Packed() {
		runs, run = 1, s.KW*cg
	}
	var abuf, bbuf [rowBlock]int
	g := GEMM{
		M: run, N: og, K: s.OW, A: x, RS: 1, CS: s.StrideW * xl.SW,
		B: dy, BS: dyl.SW, LDC: og,
	}
	xoff, dyoff := &abuf, &bbuf
	outputs := s.outputsFirst()
	if outputs {
		g.M, g.N, g.A, g.B, g.CS, g.BS, g.LDC = og, run, dy, x, dyl.SW, s.StrideW*xl.SW, s.KH*s.KW*cg
		xoff, dyoff = &bbuf, &abuf
	}
	for n := n0; n < n1; n++ {
		for first := 0; first < s.OH; first += rowBlock {
			rows := min(rowBlock, s.OH-first)
			g.Add = add || n > n0 || first > 0
			for group := range s.Groups {
				for kh := range s.KH {
					// Output rows whose x lies in the border add nothing.
					from, end := inside(first*s.StrideH+kh*s.DilH-s.PadTop, s.StrideH, rows, s.H)
					g.AOff, g.BOff = abuf[from:end], bbuf[from:end]
					for t := range runs {
						for i := from; i < end; i++ {
							oh := first + i
							xoff[i] = xl.Row(n, oh*s.StrideH+kh*s.DilH-s.PadTop) + (t*s.DilW-s.PadLeft)*xl.SW + group*cg
							dyoff[i] = dyl.Row(n, oh) + group*og
						}
						if outputs {
							g.C = dw[(group*og*s.KH*s.KW+kh*s.KW+t)*cg:]
						} else {
							g.C = dw[((group*s.KH+kh)*s.KW+t)*cg*og:]
						}
						g.Run()
					}
				}
			}
		}
	}
}

// outputsFirst reports whether the internal order of the weight gradient has the outputs first:
// whether tiles waste less if their columns are taps and channels. Winograd has them last.
func (s *ConvShape) outputsFirst() bool {
	if s.Depthwise() || s.byTiles() {
		return false
	}
	cg, og := s.groups()
	run := cg
	if s.Groups == 1 && s.DilW == 1 {
		run = s.KW * cg
	}
	return 32*tileTime(og, run, s.OW) < 31*tileTime(run, og, s.OW)
}

// UnpackWeightGrad brings the result of BackwardWeight into dst [O Cg KH KW], or
// adds it to dst.
func (s *ConvShape) UnpackWeightGrad(dst, src []float32, add bool) {
	cg, og := s.groups()
	taps := s.KH * s.KW
	columns, channels := og, cg
	if s.outputsFirst() { // kernels one after the other, each [tap][column]
		columns, channels = cg, 1
	}
	size := columns * channels * taps
	if channels == 1 && min(columns, taps) == 1 && !add { // both have the same order
		copy(dst[:s.WeightSize()], src)
		return
	}
	for i := 0; i < s.WeightSize(); i += size {
		d, x := dst[i:][:size], src[i:][:size]
		if add {
			addColumns(d, x, columns, channels, taps)
		} else {
			unpackColumns(d, x, columns, channels, taps)
		}
	}
}

// BackwardBias computes db[o] = Σ dy[n,oh,ow,o] over images n0..n1-1, or adds it
// to db. It sums in float64, in the order of n, oh, ow, and rounds once.
func (s *ConvShape) BackwardBias(db, dy []float32, dyl Layout, n0, n1 int, add bool) {
	var sums, products [64]float64 // the products are not needed
	for o := 0; o < s.O; o += len(sums) {
		part := sums[:min(len(sums), s.O-o)]
		clear(part)
		for n := n0; n < n1; n++ {
			for oh := range s.OH {
				row := dy[dyl.Row(n, oh)+o:]
				rowProducts(part, products[:len(part)], row, dyl.SW, row, dyl.SW, s.OW)
			}
		}
		for i, v := range part {
			if add {
				v += float64(db[o+i])
			}
			db[o+i] = float32(v)
		}
	}
}
