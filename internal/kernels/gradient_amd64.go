//go:build amd64 && !purego

package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

//go:noescape
func dotCodesAVX512(sums *float64, x *float32, codes *uint8, n int, flip, z int32)

//go:noescape
func selectRangeAVX512(sums *float64, dst, src, x *float32, n int, lo, hi float32)

//go:noescape
func selectRangeAddAVX512(sums *float64, dst, src, x *float32, n int, lo, hi float32)

//go:noescape
func selectAccumulatorsAVX512(d *float32, acc, first, last *int32, sum, product *float64, pixels, step, channels int)

//go:noescape
func mixAccumulatorsAVX512(d *float32, acc *int32, a, b, k *float64, pixels, channels int)

//go:noescape
func dotCodesAVX2(sums *float64, x *float32, codes *uint8, n int, flip, z int32)

//go:noescape
func selectRangeAVX2(sums *float64, dst, src, x *float32, n int, lo, hi float32)

//go:noescape
func selectRangeAddAVX2(sums *float64, dst, src, x *float32, n int, lo, hi float32)

//go:noescape
func selectAccumulatorsAVX2(d *float32, acc, first, last *int32, sum, product *float64, pixels, step int)

//go:noescape
func mixAccumulatorsAVX2(d *float32, acc *int32, a, b, k *float64, pixels, channels int)

// gradientLevel says which variant runs. It is a number and not a function variable, so that
// sums on the stack of a caller stay there.
var gradientLevel cpu.ISA

func init() {
	for _, level := range []cpu.ISA{cpu.Portable, cpu.AVX2, cpu.AVX512} {
		register("gradient", level, func() { gradientLevel = level })
	}
}

// Of the AVX2 kernels, those with sums by turns take multiples of 16 elements. The portable loops
// add the others to the same sums.

func dotCodes(sums *[sumLanes]float64, x []float32, codes []uint8, flip, z int32) {
	n := 0
	switch gradientLevel {
	case cpu.AVX512:
		dotCodesAVX512(&sums[0], &x[0], &codes[0], len(x), flip, z)
		return
	case cpu.AVX2:
		if n = len(x) - len(x)%sumLanes; n > 0 {
			dotCodesAVX2(&sums[0], &x[0], &codes[0], n, flip, z)
		}
	}
	dotCodesPortable(sums, x[n:], codes[n:], flip, z)
}

func selectRange(sums *[sumLanes]float64, dst, src, x []float32, lo, hi float32, add bool) {
	n := 0
	switch gradientLevel {
	case cpu.AVX512:
		if add {
			selectRangeAddAVX512(&sums[0], &dst[0], &src[0], &x[0], len(x), lo, hi)
		} else {
			selectRangeAVX512(&sums[0], &dst[0], &src[0], &x[0], len(x), lo, hi)
		}
		return
	case cpu.AVX2:
		n = len(x) - len(x)%sumLanes
		switch {
		case n == 0:
		case add:
			selectRangeAddAVX2(&sums[0], &dst[0], &src[0], &x[0], n, lo, hi)
		default:
			selectRangeAVX2(&sums[0], &dst[0], &src[0], &x[0], n, lo, hi)
		}
	}
	selectRangePortable(sums, dst[n:], src[n:], x[n:], lo, hi, add)
}

func selectAccumulators(d []float32, acc, first, last []int32, sum, product []float64) {
	channels := len(sum)
	pixels := len(acc) / channels
	switch {
	case gradientLevel == cpu.AVX512:
		for c := 0; c < channels; c += 16 {
			selectAccumulatorsAVX512(&d[c], &acc[c], &first[c], &last[c], &sum[c], &product[c], pixels, 4*channels, min(16, channels-c))
		}
	case gradientLevel == cpu.AVX2 && channels >= strip:
		n := channels - channels%strip
		for c := 0; c < n; c += strip {
			selectAccumulatorsAVX2(&d[c], &acc[c], &first[c], &last[c], &sum[c], &product[c], pixels, 4*channels)
		}
		if n < channels {
			var t lastSums
			t.load(sum, product)
			c := channels - strip
			selectAccumulatorsAVX2(&d[c], &acc[c], &first[c], &last[c], &t.sum[0], &t.product[0], pixels, 4*channels)
			t.store(sum, product)
		}
	default:
		selectAccumulatorsPortable(d, acc, first, last, sum, product)
	}
}

func mixAccumulators(d []float32, acc []int32, a, b, k []float64) {
	switch gradientLevel {
	case cpu.AVX512:
		mixAccumulatorsAVX512(&d[0], &acc[0], &a[0], &b[0], &k[0], len(acc)/len(a), len(a))
	case cpu.AVX2:
		mixAccumulatorsStrips(d, acc, a, b, k)
	default:
		mixAccumulatorsPortable(d, acc, a, b, k)
	}
}

func mixAccumulatorsStrips(d []float32, acc []int32, a, b, k []float64) {
	pa, pb, pk := &a[0], &b[0], &k[0]
	if avx2.few(len(a)) {
		var rowA, rowB, rowK [equalChannels]float64
		pa, pb, pk = repeated(&rowA, a), repeated(&rowB, b), repeated(&rowK, k)
	}
	spans, tail := avx2.split(len(acc), len(a))
	for _, s := range spans {
		if s.pixels > 0 {
			mixAccumulatorsAVX2(&d[s.from], &acc[s.from], pa, pb, pk, s.pixels, s.channels)
		}
	}
	mixAccumulatorsPortable(d[tail:], acc[tail:], a, b, k)
}
