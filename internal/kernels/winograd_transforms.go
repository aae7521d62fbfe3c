package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

var (
	spreadTiles   = spreadTilesPortable
	gatherTiles   = gatherTilesPortable
	spreadWeights = spreadWeightsPortable
)

func init() {
	register("winograd", cpu.Portable, func() {
		spreadTiles, gatherTiles, spreadWeights = spreadTilesPortable, gatherTilesPortable, spreadWeightsPortable
		spreadGradients, gatherWeights = spreadGradientsPortable, gatherWeightsPortable
	})
}

// A spreading says where the values of neighbouring tiles lie and where their points go. Distances are
// in elements.
type spreading struct {
	tiles, channels int
	point           int // from one point to the next; a tile of a point has as many elements as channels
	xTile           int // from one tile of x to the next
	row, column     int // from the first row to the second, from the second to the third; likewise columns
	row3, column3   int // from the first one to the last
}

// spreadTilesPortable computes dst[point][tile][c] = Bᵀ·x·B.
func spreadTilesPortable(dst, x []float32, s spreading) {
	rows := [4]int{0, s.row, 2 * s.row, s.row3}
	for t := range s.tiles {
		for c := range s.channels {
			var b [4][4]float32 // x·B
			for i, at := range rows {
				x := x[t*s.xTile+c+at:]
				b[i][0], b[i][1], b[i][2], b[i][3] = spread(x[0], x[s.column], x[2*s.column], x[s.column3])
			}
			d := dst[t*s.channels+c:]
			for j := range 4 {
				at, down := j*s.point, 4*s.point
				d[at], d[at+down], d[at+2*down], d[at+3*down] = spread(b[0][j], b[1][j], b[2][j], b[3][j])
			}
		}
	}
}

// spread multiplies by Bᵀ.
func spread(a, b, c, d float32) (float32, float32, float32, float32) {
	return a - c, b + c, c - b, b - d
}

// A gathering says where the products of neighbouring tiles lie and where their pixels go. Distances are in
// elements.
type gathering struct {
	tiles, channels int
	point           int // from one point to the next; a tile of a point has as many elements as channels
	row, pixel      int // from the first row of y to the second, from a pixel to the next; 0 where there is none
	add             bool
}

// gatherTilesPortable computes y = Aᵀ·m·A + bias, the last of the 2×2 pixels first, or adds it to y. The bias may be
// nil.
func gatherTilesPortable(y, m, bias []float32, g gathering) {
	for t := range g.tiles {
		for c := range g.channels {
			m := m[t*g.channels+c:]
			var a [2][4]float32 // Aᵀ·m
			for j := range 4 {
				m := m[j*g.point:]
				a[0][j], a[1][j] = gather(m[0], m[4*g.point], m[8*g.point], m[12*g.point])
			}
			var b float32
			if bias != nil {
				b = bias[c]
			}
			at := 2*t*g.pixel + c
			places := [4]int{at, at + g.pixel, at + g.row, at + g.row + g.pixel}
			var v [4]float32
			v[0], v[1] = gather(a[0][0], a[0][1], a[0][2], a[0][3])
			v[2], v[3] = gather(a[1][0], a[1][1], a[1][2], a[1][3])
			for i, at := range places {
				v[i] += b
				if g.add {
					v[i] += y[at]
				}
			}
			for i := 3; i >= 0; i-- {
				y[places[i]] = v[i]
			}
		}
	}
}

// gather multiplies by Aᵀ.
func gather(a, b, c, d float32) (float32, float32) { return b + c + a, b - c - d }

// spreadWeightsPortable computes u[point] = G·g·Gᵀ for kernels whose nine taps lie in planes of n
// elements, into 16 such planes. u and g may overlap by whole planes.
func spreadWeightsPortable(u, g []float32, n int) {
	for i := range n {
		var b [4][3]float32 // G·g
		for j := range 3 {
			b[0][j], b[1][j], b[2][j], b[3][j] = spreadTaps(g[j*n+i], g[(3+j)*n+i], g[(6+j)*n+i])
		}
		for p, b := range b {
			at := 4*p*n + i
			u[at], u[at+n], u[at+2*n], u[at+3*n] = spreadTaps(b[0], b[1], b[2])
		}
	}
}

// spreadTaps multiplies by G.
func spreadTaps(a, b, c float32) (float32, float32, float32, float32) {
	s := a + c
	return a, (s + b) * 0.5, (s - b) * 0.5, c
}
