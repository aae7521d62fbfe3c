//go:build amd64 && !purego

package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

//go:noescape
func momentsAVX512(sum, product *float64, a, b *float32, pixels, astep, bstep, channels int)

//go:noescape
func accMomentsAVX512(sum *int64, low, high *uint64, acc *int32, pixels, step, channels int)

//go:noescape
func momentsAVX2(sum, product *float64, a, b *float32, pixels, astep, bstep int)

//go:noescape
func accMomentsAVX2(sum *int64, low, high *uint64, acc *int32, pixels, step int)

// momentsLevel says which variant runs. It is a number and not a function variable, so that
// sums on the stack of a caller stay there.
var momentsLevel cpu.ISA

func init() {
	for _, level := range []cpu.ISA{cpu.Portable, cpu.AVX2, cpu.AVX512} {
		register("moments", level, func() { momentsLevel = level })
	}
}

func rowProducts(sum, product []float64, a []float32, astep int, b []float32, bstep, pixels int) {
	if momentsLevel == cpu.Portable {
		rowProductsPortable(sum, product, a, astep, b, bstep, pixels)
		return
	}
	_, _ = a[(pixels-1)*astep+len(sum)-1], b[(pixels-1)*bstep+len(sum)-1]
	if momentsLevel == cpu.AVX2 {
		n := len(sum) &^ 7
		for c := 0; c < n; c += 8 {
			momentsAVX2(&sum[c], &product[c], &a[c], &b[c], pixels, 4*astep, 4*bstep)
		}
		if n < len(sum) {
			rowProductsPortable(sum[n:], product[n:], a[n:], astep, b[n:], bstep, pixels)
		}
		return
	}
	for c := 0; c < len(sum); c += 16 {
		momentsAVX512(&sum[c], &product[c], &a[c], &b[c], pixels, 4*astep, 4*bstep, min(16, len(sum)-c))
	}
}

func addAccumulators(m *AccMoments, acc []int32) {
	channels := len(m.Sum)
	if momentsLevel == cpu.Portable || momentsLevel == cpu.AVX2 && channels%4 != 0 {
		addAccumulatorsPortable(m, acc)
		return
	}
	if momentsLevel == cpu.AVX2 {
		for c := 0; c < channels; c += 4 {
			accMomentsAVX2(&m.Sum[c], &m.Low[c], &m.High[c], &acc[c], len(acc)/channels, 4*channels)
		}
		return
	}
	for c := 0; c < channels; c += 8 {
		accMomentsAVX512(&m.Sum[c], &m.Low[c], &m.High[c], &acc[c], len(acc)/channels, 4*channels, min(8, channels-c))
	}
}
