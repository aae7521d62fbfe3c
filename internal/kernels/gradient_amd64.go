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

// gradientLevel says which variant runs. It is a number and not a function variable, so that
// sums on the stack of a caller stay there.
var gradientLevel cpu.ISA

func init() {
	for _, level := range []cpu.ISA{cpu.Portable, cpu.AVX512} {
		register("gradient", level, func() { gradientLevel = level })
	}
}

func dotCodes(sums *[sumLanes]float64, x []float32, codes []uint8, flip, z int32) {
	if gradientLevel == cpu.Portable {
		dotCodesPortable(sums, x, codes, flip, z)
		return
	}
	dotCodesAVX512(&sums[0], &x[0], &codes[0], len(x), flip, z)
}

func selectRange(sums *[sumLanes]float64, dst, src, x []float32, lo, hi float32, add bool) {
	switch {
	case gradientLevel == cpu.Portable:
		selectRangePortable(sums, dst, src, x, lo, hi, add)
	case add:
		selectRangeAddAVX512(&sums[0], &dst[0], &src[0], &x[0], len(x), lo, hi)
	default:
		selectRangeAVX512(&sums[0], &dst[0], &src[0], &x[0], len(x), lo, hi)
	}
}

func selectAccumulators(d []float32, acc, first, last []int32, sum, product []float64) {
	channels := len(sum)
	if gradientLevel == cpu.Portable {
		selectAccumulatorsPortable(d, acc, first, last, sum, product)
		return
	}
	for c := 0; c < channels; c += 16 {
		selectAccumulatorsAVX512(&d[c], &acc[c], &first[c], &last[c], &sum[c], &product[c], len(acc)/channels, 4*channels, min(16, channels-c))
	}
}

func mixAccumulators(d []float32, acc []int32, a, b, k []float64) {
	if gradientLevel == cpu.Portable {
		mixAccumulatorsPortable(d, acc, a, b, k)
		return
	}
	mixAccumulatorsAVX512(&d[0], &acc[0], &a[0], &b[0], &k[0], len(acc)/len(a), len(a))
}
