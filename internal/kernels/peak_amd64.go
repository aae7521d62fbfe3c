//go:build amd64 && !purego

package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

//go:noescape
func peakFMAAVX512(acc *[PeakLanes]float32, a, b float32, rounds int)

//go:noescape
func peakFMAAVX2(acc *[PeakLanes]float32, a, b float32, rounds int)

//go:noescape
func peakDotVNNI(acc *[PeakLanes]int32, x *[64]uint8, w *[64]int8, rounds int)

//go:noescape
func peakDotAVX2(acc *[PeakLanes]int32, x *[64]uint8, w *[64]int8, rounds int)

//go:noescape
func peakTileAMX(config *tileConfig, acc *int32, x *uint8, w *int8, rounds int)

func init() {
	register("peak fma", cpu.AVX2, func() { peakFMA = peakFMAAVX2 })
	register("peak fma", cpu.AVX512, func() { peakFMA = peakFMAAVX512 })
	register("peak dot", cpu.AVX2, func() { peakDot = peakDotAVX2 })
	register("peak dot", cpu.VNNI, func() { peakDot = peakDotVNNI })
	register("peak tile", cpu.AMX, func() { peakTile = peakTiles })
}

func peakTiles(acc *[PeakTileLanes]int32, x *[1024]uint8, w *[1024]int8, rounds int) {
	var p tileProduct
	p.shape(2*tileSide, 2*tileSide, 4*tileSide)
	peakTileAMX(&p.config, &acc[0], &x[0], &w[0], rounds)
}
