package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

// PeakLanes is the number of accumulators of a peak loop.
const PeakLanes = 192

// PeakTileLanes is the number of accumulators of PeakTile, four tiles of 16×16.
const PeakTileLanes = 4 * 256

var (
	peakFMA  = peakFMAPortable
	peakDot  = peakDotPortable
	peakTile = peakTilePortable
)

func init() {
	register("peak fma", cpu.Portable, func() { peakFMA = peakFMAPortable })
	register("peak dot", cpu.Portable, func() { peakDot = peakDotPortable })
	register("peak tile", cpu.Portable, func() { peakTile = peakTilePortable })
}

// PeakFMA sets every acc[i] to acc[i]·a + b, rounds times, in registers: how fast the
// machine multiplies and adds at best. It counts 2·PeakLanes·rounds operations.
func PeakFMA(acc *[PeakLanes]float32, a, b float32, rounds int) {
	if rounds > 0 {
		peakFMA(acc, a, b, rounds)
	}
}

func peakFMAPortable(acc *[PeakLanes]float32, a, b float32, rounds int) {
	for i := 0; i < PeakLanes; i += 8 {
		v := acc[i : i+8 : i+8]
		x0, x1, x2, x3, x4, x5, x6, x7 := v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]
		for range rounds {
			x0 = float32(x0*a) + b
			x1 = float32(x1*a) + b
			x2 = float32(x2*a) + b
			x3 = float32(x3*a) + b
			x4 = float32(x4*a) + b
			x5 = float32(x5*a) + b
			x6 = float32(x6*a) + b
			x7 = float32(x7*a) + b
		}
		v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7] = x0, x1, x2, x3, x4, x5, x6, x7
	}
}

// PeakDot adds x[4j]·w[4j] + … + x[4j+3]·w[4j+3] with j = i mod 16 to every acc[i],
// rounds times, in registers: how fast the machine multiplies bytes at best. It counts
// 8·PeakLanes·rounds operations. The sum of two neighbouring products must fit an
// int16: that is all AVX2 can do at this rate.
func PeakDot(acc *[PeakLanes]int32, x *[64]uint8, w *[64]int8, rounds int) {
	if rounds > 0 {
		peakDot(acc, x, w, rounds)
	}
}

func peakDotPortable(acc *[PeakLanes]int32, x *[64]uint8, w *[64]int8, rounds int) {
	for i := range acc {
		j := i % 16 * 4
		x0, x1, x2, x3 := int32(x[j]), int32(x[j+1]), int32(x[j+2]), int32(x[j+3])
		w0, w1, w2, w3 := int32(w[j]), int32(w[j+1]), int32(w[j+2]), int32(w[j+3])
		sum := acc[i]
		for r := range rounds {
			// The term in r, which is 0, keeps the products in the loop.
			sum += x0*(w0+int32(r>>62)) + x1*w1 + x2*w2 + x3*w3
		}
		acc[i] = sum
	}
}

// PeakTile adds x·w to each of the four matrices [16 16] in acc, rounds times, in registers: how
// fast a machine with tile registers multiplies bytes at best. x is [16 64], and w holds four rows
// of [64 16] at a time, [16][16][4]. It counts 128·PeakTileLanes·rounds operations.
func PeakTile(acc *[PeakTileLanes]int32, x *[1024]uint8, w *[1024]int8, rounds int) {
	if rounds > 0 {
		peakTile(acc, x, w, rounds)
	}
}

func peakTilePortable(acc *[PeakTileLanes]int32, x *[1024]uint8, w *[1024]int8, rounds int) {
	for range rounds {
		for i := range acc {
			row, column := x[i/16%16*64:][:64], w[i%16*4:]
			for k, v := range row {
				acc[i] += int32(v) * int32(column[k/4*64+k%4])
			}
		}
	}
}
