//go:build amd64 && !purego

package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

//go:noescape
func channelSumsAVX512(sum *float64, x *float32, rows, pixels, rowStep, step, channels int)

//go:noescape
func channelSums16AVX2(sum *float64, x *float32, rows, pixels, rowStep, step int)

//go:noescape
func channelSums8AVX2(sum *float64, x *float32, rows, pixels, rowStep, step int)

// channelSumsLevel says which variant runs. It is a number and not a function variable, so that
// sums on the stack of a caller stay there.
var channelSumsLevel cpu.ISA

func init() {
	for _, level := range []cpu.ISA{cpu.Portable, cpu.AVX2, cpu.AVX512} {
		register("channel sums", level, func() { channelSumsLevel = level })
	}
}

func channelSums(sum []float64, x []float32, rows, pixels, rowStep, step int) {
	c := 0
	switch channelSumsLevel {
	case cpu.AVX512:
		for ; c < len(sum); c += 32 {
			channelSumsAVX512(&sum[c], &x[c], rows, pixels, 4*rowStep, 4*step, min(32, len(sum)-c))
		}
	case cpu.AVX2:
		for ; c+16 <= len(sum); c += 16 {
			channelSums16AVX2(&sum[c], &x[c], rows, pixels, 4*rowStep, 4*step)
		}
		for ; c+8 <= len(sum); c += 8 {
			channelSums8AVX2(&sum[c], &x[c], rows, pixels, 4*rowStep, 4*step)
		}
		if rest := len(sum) - c; rest > 0 && c > 0 { // with channels before them, whose sums are known
			var last [8]float64
			from := len(sum) - len(last)
			copy(last[len(last)-rest:], sum[c:])
			channelSums8AVX2(&last[0], &x[from], rows, pixels, 4*rowStep, 4*step)
			copy(sum[c:], last[len(last)-rest:])
			c = len(sum)
		}
	}
	if c < len(sum) {
		channelSumsPortable(sum[c:], x[c:], rows, pixels, rowStep, step)
	}
}
