//go:build amd64 && !purego

package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

//go:noescape
func spreadTilesAVX512(dst, x *float32, tiles, vectors, point, tile, xTile, row, pixel int)

//go:noescape
func gatherTilesAVX512(y, m, bias *float32, tiles, vectors, point, tile, row, pixel, biasStep int)

//go:noescape
func gatherTilesAddAVX512(y, m, bias *float32, tiles, vectors, point, tile, row, pixel, biasStep int)

//go:noescape
func spreadWeightsAVX512(u, taps *float32, vectors, plane, tap, tapRow int)

//go:noescape
func spreadGradientsAVX512(dst, dy *float32, tiles, vectors, point, tile, yTile, row, pixel int)

//go:noescape
func gatherWeightsAVX512(u *float32, vectors, plane int)

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
	register("winograd", cpu.AVX512, func() {
		spreadTiles, gatherTiles, spreadWeights = spreadTiles16, gatherTiles16, spreadWeights16
		spreadGradients, gatherWeights = spreadGradients16, gatherWeights16
	})
}

func spreadTiles8(dst, x []float32, s spreading) {
	pixel, point := s.last(tileWindow)
	_, _ = dst[point], x[pixel]
	spreadTilesAVX2(&dst[0], &x[0], s.tiles, s.channels/8, 4*s.point, 4*s.tile, 4*winogradTile*s.pixel, 4*s.row, 4*s.pixel)
}

// noBias is the bias of any sixteen channels that have none.
var noBias [16]float32

// biasOf returns the first of the biases of some channels, and how many bytes a vector of so many of them goes on.
func biasOf(bias []float32, channels, vector int) (first *float32, step int) {
	if bias == nil {
		return &noBias[0], 0
	}
	return &bias[:channels][0], 4 * vector
}

func gatherTiles8(y, m, bias []float32, s spreading, add bool) {
	pixel, point := s.last(winogradTile)
	_, _ = y[pixel], m[point]
	b, step := biasOf(bias, s.channels, 8)
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

// sixteens cuts channels, a multiple of eight, into vectors of sixteen, and says where what is left begins.
func sixteens(channels int) (vectors, rest int) { return channels / 16, channels &^ 15 }

func spreadTiles16(dst, x []float32, s spreading) {
	pixel, point := s.last(tileWindow)
	_, _ = dst[point], x[pixel]
	vectors, rest := sixteens(s.channels)
	if vectors > 0 {
		spreadTilesAVX512(&dst[0], &x[0], s.tiles, vectors, 4*s.point, 4*s.tile, 4*winogradTile*s.pixel, 4*s.row, 4*s.pixel)
	}
	if s.channels -= rest; s.channels > 0 {
		spreadTiles8(dst[rest:], x[rest:], s)
	}
}

func gatherTiles16(y, m, bias []float32, s spreading, add bool) {
	pixel, point := s.last(winogradTile)
	_, _ = y[pixel], m[point]
	vectors, rest := sixteens(s.channels)
	b, step := biasOf(bias, s.channels, 16)
	switch {
	case vectors == 0:
	case add:
		gatherTilesAddAVX512(&y[0], &m[0], b, s.tiles, vectors, 4*s.point, 4*s.tile, 4*s.row, 4*s.pixel, step)
	default:
		gatherTilesAVX512(&y[0], &m[0], b, s.tiles, vectors, 4*s.point, 4*s.tile, 4*s.row, 4*s.pixel, step)
	}
	if s.channels -= rest; s.channels > 0 {
		if bias != nil {
			bias = bias[rest:]
		}
		gatherTiles8(y[rest:], m[rest:], bias, s, add)
	}
}

func spreadWeights16(u, g []float32, n, plane, tap, tapRow int) {
	_, _ = u[(tilePoints-1)*plane+n-1], g[2*(tap+tapRow)+n-1]
	vectors, rest := sixteens(n)
	if vectors > 0 {
		spreadWeightsAVX512(&u[0], &g[0], vectors, 4*plane, 4*tap, 4*tapRow)
	}
	if n -= rest; n > 0 {
		spreadWeights8(u[rest:], g[rest:], n, plane, tap, tapRow)
	}
}

func spreadGradients16(dst, dy []float32, s spreading) {
	pixel, point := s.last(winogradTile)
	_, _ = dst[point], dy[pixel]
	vectors, rest := sixteens(s.channels)
	if vectors > 0 {
		spreadGradientsAVX512(&dst[0], &dy[0], s.tiles, vectors, 4*s.point, 4*s.tile, 4*winogradTile*s.pixel, 4*s.row, 4*s.pixel)
	}
	if s.channels -= rest; s.channels > 0 {
		spreadGradients8(dst[rest:], dy[rest:], s)
	}
}

func gatherWeights16(u []float32, n, plane int) {
	_ = u[(tilePoints-1)*plane+n-1]
	vectors, rest := sixteens(n)
	if vectors > 0 {
		gatherWeightsAVX512(&u[0], vectors, 4*plane)
	}
	if n -= rest; n > 0 {
		gatherWeights8(u[rest:], n, plane)
	}
}
