//go:build amd64 && !purego

package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

//go:noescape
func spreadTilesAVX2(dst, x *float32, tiles, vectors, point, tile, xTile, row, pixel int)

//go:noescape
func gatherTilesAVX2(y, m, bias *float32, tiles, vectors, point, tile, row, pixel, biasStep int)

//go:noescape
func gatherTilesAddAVX2(y, m, bias *float32, tiles, vectors, point, tile, row, pixel, biasStep int)

//go:noescape
func spreadWeightsAVX2(u, taps *float32, vectors, plane, tap, tapRow int)

//go:noescape
func spreadGradientsAVX2(dst, dy *float32, tiles, vectors, point, tile, yTile, row, pixel int)

//go:noescape
func gatherWeightsAVX2(u *float32, vectors, plane int)

func init() {
	register("winograd", cpu.AVX2, func() {
		spreadTiles, gatherTiles, spreadWeights = spreadTiles8, gatherTiles8, spreadWeights8
		spreadGradients, gatherWeights = spreadGradients8, gatherWeights8
	})
}

func spreadTiles8(dst, x []float32, s spreading) {
	pixel, point := s.last(tileWindow)
	_, _ = dst[point], x[pixel]
	spreadTilesAVX2(&dst[0], &x[0], s.tiles, s.channels/8, 4*s.point, 4*s.tile, 4*winogradTile*s.pixel, 4*s.row, 4*s.pixel)
}

// noBias is the bias of any eight channels that have none.
var noBias [8]float32

func gatherTiles8(y, m, bias []float32, s spreading, add bool) {
	pixel, point := s.last(winogradTile)
	_, _ = y[pixel], m[point]
	b, step := &noBias[0], 0
	if bias != nil {
		b, step = &bias[:s.channels][0], 32
	}
	if add {
		gatherTilesAddAVX2(&y[0], &m[0], b, s.tiles, s.channels/8, 4*s.point, 4*s.tile, 4*s.row, 4*s.pixel, step)
	} else {
		gatherTilesAVX2(&y[0], &m[0], b, s.tiles, s.channels/8, 4*s.point, 4*s.tile, 4*s.row, 4*s.pixel, step)
	}
}

func spreadWeights8(u, g []float32, n, plane, tap, tapRow int) {
	_, _ = u[(tilePoints-1)*plane+n-1], g[2*(tap+tapRow)+n-1]
	spreadWeightsAVX2(&u[0], &g[0], n/8, 4*plane, 4*tap, 4*tapRow)
}

func spreadGradients8(dst, dy []float32, s spreading) {
	pixel, point := s.last(winogradTile)
	_, _ = dst[point], dy[pixel]
	spreadGradientsAVX2(&dst[0], &dy[0], s.tiles, s.channels/8, 4*s.point, 4*s.tile, 4*winogradTile*s.pixel, 4*s.row, 4*s.pixel)
}

func gatherWeights8(u []float32, n, plane int) {
	_ = u[(tilePoints-1)*plane+n-1]
	gatherWeightsAVX2(&u[0], n/8, 4*plane)
}
