package kernels

import "github.com/bitgrad/bitgrad/internal/cpu"

var (
	spreadTiles     = spreadTilesPortable
	gatherTiles     = gatherTilesPortable
	spreadWeights   = spreadWeightsPortable
	spreadGradients = spreadGradientsPortable
	gatherWeights   = gatherWeightsPortable
)

func init() {
	register("winograd", cpu.Portable, func() {
		spreadTiles, gatherTiles, spreadWeights = spreadTilesPortable, gatherTilesPortable, spreadWeightsPortable
		spreadGradients, gatherWeights = spreadGradientsPortable, gatherWeightsPortable
	})
}

// The points of Winograd and what its matrices have of them. The generator of the assembly has them too.
const (
	pointA, pointB = 5.0 / 8, 3.0 / 2
	a2, b2         = pointA * pointA, pointB * pointB
	a3, b3         = pointA * a2, pointB * b2
	n0             = a2 * b2
	nA, nB         = 2 * a2 * (a2 - b2), 2 * b2 * (b2 - a2)
)

// A spreading says where the pixels of neighbouring tiles lie and where their points do. Distances are
// in elements.
type spreading struct {
	tiles, channels int
	point, tile     int // from one point to the next, from a tile of a point to the next
	row, pixel      int // from one row of pixels to the next, from a pixel to the next
}

// alone returns the same for one tile whose edge × edge pixels lie in a buffer, and the layout of that.
func (s spreading) alone(edge int) (spreading, Layout) {
	l := Dense(1, edge, edge, s.channels)
	s.tiles, s.row, s.pixel = 1, l.SH, l.SW
	return s, l
}

// last returns the place of the last of edge × edge pixels of the last tile, and that of the last point.
func (s *spreading) last(edge int) (pixel, point int) {
	return (edge-1)*s.row + ((s.tiles-1)*winogradTile+edge-1)*s.pixel + s.channels - 1, (tilePoints-1)*s.point + (s.tiles-1)*s.tile + s.channels - 1
}

// A line is a row or a column of a square, or a part of one.
type line [tileWindow]float32

// A square is a matrix of numbers of one channel of a tile, or a part of one.
type square [tileWindow]line

// apply applies f to the first rows rows of m, then to the columns of what results, columns of them.
func (m *square) apply(rows, columns int, f func(line) line) {
	for i := range rows {
		m[i] = f(m[i])
	}
	for j := range columns {
		var v line
		for i := range m {
			v[i] = m[i][j]
		}
		for i, x := range f(v) {
			m[i][j] = x
		}
	}
}

// spreadTilesPortable computes dst[point][tile][c] = Bᵀ·x·B.
func spreadTilesPortable(dst, x []float32, s spreading) {
	s.each(func(tile, c int) {
		var m square
		m.pixels(x, &s, tile, c, tileWindow)
		m.apply(tileWindow, tileWindow, spread)
		m.store(dst[tile*s.tile+c:], s.point)
	})
}

// each calls f for every channel of every tile.
func (s *spreading) each(f func(tile, c int)) {
	for t := range s.tiles {
		for c := range s.channels {
			f(t, c)
		}
	}
}

// pixels reads channel c of the edge × edge pixels of a tile.
func (m *square) pixels(x []float32, s *spreading, tile, c, edge int) {
	for i := range edge {
		for j := range edge {
			m[i][j] = x[i*s.row+(winogradTile*tile+j)*s.pixel+c]
		}
	}
}

// load reads points that lie some elements apart.
func (m *square) load(from []float32, apart int) {
	for i := range tilePoints {
		m[i/tileWindow][i%tileWindow] = from[i*apart]
	}
}

// store writes points some elements apart.
func (m *square) store(to []float32, apart int) {
	for i := range tilePoints {
		to[i*apart] = m[i/tileWindow][i%tileWindow]
	}
}

// spread multiplies by Bᵀ.
func spread(x line) line {
	p, q := x[4]-b2*x[2], x[3]-b2*x[1]
	r, s := x[4]-a2*x[2], x[3]-a2*x[1]
	return line{
		n0*x[0] + (x[4] - (a2+b2)*x[2]),
		p + pointA*q, p - pointA*q,
		r + pointB*s, r - pointB*s,
		n0*x[1] + (x[5] - (a2+b2)*x[3]),
	}
}

// gatherTilesPortable computes y = Aᵀ·m·A + bias for 4×4 pixels of each tile, or adds it to y. The bias may be nil.
func gatherTilesPortable(y, m, bias []float32, s spreading, add bool) {
	s.each(func(tile, c int) {
		var v square
		v.load(m[tile*s.tile+c:], s.point)
		v.apply(tileWindow, winogradTile, gather)
		for i := range winogradTile {
			for j := range winogradTile {
				at := i*s.row + (winogradTile*tile+j)*s.pixel + c
				sum := v[i][j]
				if bias != nil {
					sum += bias[c]
				}
				if add {
					sum += y[at]
				}
				y[at] = sum
			}
		}
	})
}

// gather multiplies by Aᵀ.
func gather(m line) line {
	s, d := m[1]+m[2], m[1]-m[2]
	t, e := m[3]+m[4], m[3]-m[4]
	return line{m[0] + s + t, pointA*d + pointB*e, a2*s + b2*t, m[5] + a3*d + b3*e}
}

// spreadWeightsPortable computes u[point] = G·g·Gᵀ for n kernels, into 36 planes of which one begins plane elements
// behind the other. The 3×3 taps of the kernels begin tap elements apart, and their rows tapRow.
func spreadWeightsPortable(u, g []float32, n, plane, tap, tapRow int) {
	for c := range n {
		var m square
		for i := range winogradKernel {
			for j := range winogradKernel {
				m[i][j] = g[i*tapRow+j*tap+c]
			}
		}
		m.apply(winogradKernel, tileWindow, spreadTaps)
		m.store(u[c:], plane)
	}
}

// spreadTaps multiplies by G.
func spreadTaps(g line) line {
	s, d := g[0]*(1/nA)+g[2]*(a2/nA), g[1]*(pointA/nA)
	t, e := g[0]*(1/nB)+g[2]*(b2/nB), g[1]*(pointB/nB)
	return line{g[0] * (1 / n0), s + d, s - d, t + e, t - e, g[2]}
}

// spreadGradientsPortable computes dst[point][tile][c] = A·dy·Aᵀ for 4×4 pixels of each tile.
func spreadGradientsPortable(dst, dy []float32, s spreading) {
	s.each(func(tile, c int) {
		var m square
		m.pixels(dy, &s, tile, c, winogradTile)
		m.apply(winogradTile, tileWindow, spreadPixels)
		m.store(dst[tile*s.tile+c:], s.point)
	})
}

// spreadPixels multiplies by A.
func spreadPixels(d line) line {
	s, o := d[0]+a2*d[2], pointA*(d[1]+a2*d[3])
	t, p := d[0]+b2*d[2], pointB*(d[1]+b2*d[3])
	return line{d[0], s + o, s - o, t + p, t - p, d[3]}
}

// gatherWeightsPortable computes Gᵀ·u·G for n elements of 36 planes, into the first nine of them.
func gatherWeightsPortable(u []float32, n, plane int) {
	for c := range n {
		var m square
		m.load(u[c:], plane)
		m.apply(tileWindow, winogradKernel, gatherTaps)
		for i := range kernelTaps {
			u[i*plane+c] = m[i/winogradKernel][i%winogradKernel]
		}
	}
}

// gatherTaps multiplies by Gᵀ.
func gatherTaps(u line) line {
	s, d := u[1]+u[2], u[1]-u[2]
	t, e := u[3]+u[4], u[3]-u[4]
	return line{
		u[0]*(1/n0) + s*(1/nA) + t*(1/nB),
		d*(pointA/nA) + e*(pointB/nB),
		u[5] + s*(a2/nA) + t*(b2/nB),
	}
}
