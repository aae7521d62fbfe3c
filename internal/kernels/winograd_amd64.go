//go:build amd64 && !purego

package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

//go:noescape
func spreadTilesAVX2(dst, x *float32, tiles, vectors, point, tile, xTile, row, row3, column, column3 int)

//go:noescape
func gatherTilesAVX2(y, m, bias *float32, tiles, vectors, point, tile, row, pixel, biasStep int)

//go:noescape
func gatherTilesAddAVX2(y, m, bias *float32, tiles, vectors, point, tile, row, pixel, biasStep int)

//go:noescape
func spreadWeightsAVX2(u, taps *float32, vectors, plane int)

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
	_, _ = dst[(tilePoints-1)*s.point+s.tiles*s.channels-1], x[(s.tiles-1)*s.xTile+s.row3+s.column3+s.channels-1]
	spreadTilesAVX2(&dst[0], &x[0], s.tiles, s.channels/8, 4*s.point, 4*s.channels, 4*s.xTile, 4*s.row, 4*s.row3, 4*s.column, 4*s.column3)
}

// noBias is the bias of any eight channels that have none.
var noBias [8]float32

func gatherTiles8(y, m, bias []float32, g gathering) {
	_, _ = y[(2*g.tiles-1)*g.pixel+g.row+g.channels-1], m[(tilePoints-1)*g.point+g.tiles*g.channels-1]
	b, step := &noBias[0], 0
	if bias != nil {
		b, step = &bias[:g.channels][0], 32
	}
	if g.add {
		gatherTilesAddAVX2(&y[0], &m[0], b, g.tiles, g.channels/8, 4*g.point, 4*g.channels, 4*g.row, 4*g.pixel, step)
	} else {
		gatherTilesAVX2(&y[0], &m[0], b, g.tiles, g.channels/8, 4*g.point, 4*g.channels, 4*g.row, 4*g.pixel, step)
	}
}

func spreadWeights8(u, g []float32, n int) {
	_, _ = u[tilePoints*n-1], g[kernelTaps*n-1]
	spreadWeightsAVX2(&u[0], &g[0], n/8, 4*n)
}

func spreadGradients8(dst, dy []float32, g gathering) {
	_, _ = dst[(tilePoints-1)*g.point+g.tiles*g.channels-1], dy[(2*g.tiles-1)*g.pixel+g.row+g.channels-1]
	spreadGradientsAVX2(&dst[0], &dy[0], g.tiles, g.channels/8, 4*g.point, 4*g.channels, 8*g.pixel, 4*g.row, 4*g.pixel)
}

func gatherWeights8(u []float32, n int) {
	_ = u[tilePoints*n-1]
	gatherWeightsAVX2(&u[0], n/8, 4*n)
}
