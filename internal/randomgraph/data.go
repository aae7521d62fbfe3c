package randomgraph

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/bitgrad/bitgrad/datasets"
)

// usual is the number of images that train a network.
const usual = 3

// images is a data set in memory, [N H W C].
type images struct {
	info   datasets.Info
	usual  int // the first ones hold nothing odd
	pixels []uint8
	floats []float32
	labels []int32
}

// data draws the images of a network. The last one is at the ends of the range:
// white and black pixels, or floats that no network was calibrated for.
func (d *drawer) data() *images {
	s := &images{usual: usual, info: datasets.Info{Name: "random", N: usual + 1, C: d.shape[0], H: d.shape[1], W: d.shape[2],
		Classes: Classes, Float: d.floats}}
	r := rand.New(rand.NewPCG(uint64(d.between("images", 0, 1<<bits-1)), 1))
	n := s.info.N * s.info.Size()
	if d.floats {
		s.floats = make([]float32, n)
		for i := range s.floats {
			s.floats[i] = float32(2 * r.NormFloat64())
		}
		odd := []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), math.MaxFloat32, -math.MaxFloat32,
			math.SmallestNonzeroFloat32, float32(math.Copysign(0, -1)), 0.5, 100, -100}
		for i := usual * s.info.Size(); i < n; i++ {
			s.floats[i] = odd[r.IntN(len(odd))]
		}
	} else {
		s.pixels = make([]uint8, n)
		for i := range s.pixels {
			if s.pixels[i] = uint8(r.Uint32()); i >= usual*s.info.Size() {
				s.pixels[i] = -(s.pixels[i] >> 7)
			}
		}
	}
	for range s.info.N {
		s.labels = append(s.labels, int32(r.IntN(Classes)))
	}
	return s
}

// Info implements [datasets.Dataset].
func (s *images) Info() datasets.Info { return s.info }

// Read implements [datasets.Dataset].
func (s *images) Read(dst *datasets.Batch, indices []int) error {
	dst.Resize(s.info, len(indices))
	n := s.info.Size()
	for i, k := range indices {
		if k < 0 || k >= s.info.N {
			return fmt.Errorf("%w: %d of %d", datasets.ErrIndex, k, s.info.N)
		}
		dst.Labels[i] = s.labels[k]
		if s.info.Float {
			copy(dst.Floats[i*n:(i+1)*n], s.floats[k*n:])
		} else {
			copy(dst.Pixels[i*n:(i+1)*n], s.pixels[k*n:])
		}
	}
	return nil
}
