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
	if momentsLevel == cpu.Portable || momentsLevel == cpu.AVX2 && len(sum) < strip {
		rowProductsPortable(sum, product, a, astep, b, bstep, pixels)
		return
	}
	_, _ = a[(pixels-1)*astep+len(sum)-1], b[(pixels-1)*bstep+len(sum)-1]
	if momentsLevel == cpu.AVX2 {
		n := len(sum) - len(sum)%strip
		for c := 0; c < n; c += strip {
			momentsAVX2(&sum[c], &product[c], &a[c], &b[c], pixels, 4*astep, 4*bstep)
		}
		if n < len(sum) {
			var t lastSums
			t.load(sum, product)
			c := len(sum) - strip
			momentsAVX2(&t.sum[0], &t.product[0], &a[c], &b[c], pixels, 4*astep, 4*bstep)
			t.store(sum, product)
		}
		return
	}
	for c := 0; c < len(sum); c += 16 {
		momentsAVX512(&sum[c], &product[c], &a[c], &b[c], pixels, 4*astep, 4*bstep, min(16, len(sum)-c))
	}
}

// lastSums are the sums of the last eight channels where these overlap the eight before. Those
// that are summed already count for nothing.
type lastSums struct{ sum, product [strip]float64 }

func (t *lastSums) load(sum, product []float64) {
	n := len(sum) % strip
	copy(t.sum[strip-n:], sum[len(sum)-n:])
	copy(t.product[strip-n:], product[len(sum)-n:])
}

func (t *lastSums) store(sum, product []float64) {
	n := len(sum) % strip
	copy(sum[len(sum)-n:], t.sum[strip-n:])
	copy(product[len(sum)-n:], t.product[strip-n:])
}

func addAccumulators(m *AccMoments, acc []int32) {
	channels := len(m.Sum)
	pixels := len(acc) / channels
	switch {
	case momentsLevel == cpu.AVX512:
		for c := 0; c < channels; c += 8 {
			accMomentsAVX512(&m.Sum[c], &m.Low[c], &m.High[c], &acc[c], pixels, 4*channels, min(8, channels-c))
		}
	case momentsLevel == cpu.AVX2 && channels >= 4:
		n := channels &^ 3
		for c := 0; c < n; c += 4 {
			accMomentsAVX2(&m.Sum[c], &m.Low[c], &m.High[c], &acc[c], pixels, 4*channels)
		}
		if n < channels { // the last four overlap those before
			var sum [4]int64
			var low, high [4]uint64
			accMomentsAVX2(&sum[0], &low[0], &high[0], &acc[channels-4], pixels, 4*channels)
			for c := n; c < channels; c++ {
				i := c - (channels - 4)
				m.Sum[c], m.Low[c], m.High[c] = m.Sum[c]+sum[i], m.Low[c]+low[i], m.High[c]+high[i]
			}
		}
	default:
		addAccumulatorsPortable(m, acc)
	}
}
