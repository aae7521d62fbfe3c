//go:build amd64 && !purego

package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

//go:noescape
func momentsAVX512(sum, product *float64, a, b *float32, pixels, astep, bstep, channels int)

//go:noescape
func accMomentsAVX512(sum *int64, low, high *uint64, acc *int32, pixels, step, channels int)

var momentsLevel cpu.ISA

func init() {
	register("moments", cpu.Portable, func() { momentsLevel = cpu.Portable })
	register("moments", cpu.AVX512, func() { momentsLevel = cpu.AVX512 })
}

func rowProducts(sum, product []float64, a []float32, astep int, b []float32, bstep, pixels int) {
	if momentsLevel == cpu.Portable {
		rowProductsPortable(sum, product, a, astep, b, bstep, pixels)
		return
	}
	_, _ = a[(pixels-1)*astep+len(sum)-1], b[(pixels-1)*bstep+len(sum)-1]
	for c := 0; c < len(sum); c += 16 {
		momentsAVX512(&sum[c], &product[c], &a[c], &b[c], pixels, 4*astep, 4*bstep, min(16, len(sum)-c))
	}
}

func addAccumulators(m *AccMoments, acc []int32) {
	if momentsLevel == cpu.Portable {
		addAccumulatorsPortable(m, acc)
		return
	}
	channels := len(m.Sum)
	for c := 0; c < channels; c += 8 {
		accMomentsAVX512(&m.Sum[c], &m.Low[c], &m.High[c], &acc[c], len(acc)/channels, 4*channels, min(8, channels-c))
	}
}
