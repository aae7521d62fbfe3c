package kernels

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/bitgrad/bitgrad/internal/cpu"
)

// A transformCase is what the transforms make of random tiles, with what lies around it.
type transformCase struct {
	points, pixels, gradients, weights, taps []float32
}

// transformed computes a case with the variant in use.
func transformed(r *rand.Rand) transformCase {
	nan := float32(math.NaN())
	tiles, channels := 1+r.IntN(5), 8*(1+r.IntN(5))
	sp := spreading{tiles: tiles, channels: channels, tile: channels + 8*r.IntN(3), pixel: channels + r.IntN(3)}
	sp.point = tiles*sp.tile + r.IntN(20)
	sp.row = (winogradTile*tiles+2)*sp.pixel + r.IntN(9)
	pixel, point := sp.last(tileWindow)
	x := guard(pixel+1, nan, 0)
	copy(x.in, normals(r, len(x.in)))
	points := guard(point+1, -77, float32(5))
	spreadTiles(points.in, x.in, sp)

	bias := normals(r, channels)
	if r.IntN(2) == 1 {
		bias = nil
	}
	products, add := normals(r, point+1), r.IntN(2) == 1
	pixel, _ = sp.last(winogradTile)
	dy := normals(r, pixel+1)
	pixels := guard(len(dy), -77, float32(0))
	copy(pixels.in, dy)
	gatherTiles(pixels.in, products, bias, sp, add)

	gradients := guard(point+1, -77, float32(5))
	spreadGradients(gradients.in, dy, sp)

	plane := channels + 8*r.IntN(3)
	weights, taps := guard(tilePoints*plane, -77, float32(0)), guard(tilePoints*plane, -77, float32(0))
	spreadWeights(weights.in, normals(r, 2*(channels+5*channels)+channels), channels, plane, channels, 5*channels)
	copy(taps.in, weights.in)
	gatherWeights(taps.in, channels, plane)
	return transformCase{points.all, pixels.all, gradients.all, weights.all, taps.all}
}

// transformCases computes the same cases with any variant.
func transformCases() (cases [300]transformCase) {
	r := testRand()
	for i := range cases {
		cases[i] = transformed(r)
	}
	return cases
}

// each calls f for the results of two variants.
func (c *transformCase) each(other *transformCase, f func(what string, got, want []float32)) {
	f("points", c.points, other.points)
	f("pixels", c.pixels, other.pixels)
	f("points of gradients", c.gradients, other.gradients)
	f("weights", c.weights, other.weights)
	f("gradient of weights", c.taps, other.taps)
}

// All variants of the transforms compute the same, but for rounding, and write nowhere else.
func TestWinogradTransforms(t *testing.T) {
	use("winograd", cpu.Portable)
	want := transformCases()
	forEach(t, "winograd", func(t *testing.T) {
		for i, got := range transformCases() {
			got.each(&want[i], func(what string, got, want []float32) { nearSums(t, what, got, want, 1) })
		}
	})
}

// Vectors of sixteen channels round as those of eight do.
func TestWinogradTransformsRoundAlike(t *testing.T) {
	if cpu.Best() < cpu.AVX512 {
		t.Skipf("this machine offers %v only", cpu.Best())
	}
	defer restore("winograd")
	use("winograd", cpu.AVX2)
	want := transformCases()
	use("winograd", cpu.AVX512)
	for i, got := range transformCases() {
		got.each(&want[i], func(what string, got, want []float32) {
			for j, v := range got {
				if math.Float32bits(v) != math.Float32bits(want[j]) {
					t.Fatalf("%s of case %d: element %d is %v, want %v", what, i, j, v, want[j])
				}
			}
		})
	}
}
