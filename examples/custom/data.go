package main

import (
	"fmt"
	"math/rand/v2"

	"github.com/bitgrad/bitgrad/datasets"
)

// Shapes is a data set of grey images of 24×24 pixels that show a disc, a ring, a
// square or a cross, of any size, anywhere, on noise. It implements
// [datasets.Dataset].
type Shapes struct {
	N    int
	Seed uint64
}

const side = 24

// Info describes the images. Networks may normalize by Mean and Std; nothing
// does so by itself.
func (s Shapes) Info() datasets.Info {
	return datasets.Info{
		Name: "shapes", N: s.N, C: 1, H: side, W: side,
		Classes: 4, ClassNames: []string{"disc", "ring", "square", "cross"},
		Mean: []float32{60}, Std: []float32{70},
	}
}

// Read draws the images of these indices. It must give the same image for the
// same index every time, and several goroutines may call it at once, each with a
// batch of its own.
func (s Shapes) Read(dst *datasets.Batch, indices []int) error {
	dst.Resize(s.Info(), len(indices))
	for i, index := range indices {
		if index < 0 || index >= s.N {
			return fmt.Errorf("shapes: image %d of %d: %w", index, s.N, datasets.ErrIndex)
		}
		dst.Labels[i] = int32(index % 4)
		s.draw(dst.Pixels[i*side*side:(i+1)*side*side], index) // [H W C] with one channel
	}
	return nil
}

// draw paints an image, which is a function of seed and index alone.
func (s Shapes) draw(pixels []uint8, index int) {
	var r rand.PCG
	r.Seed(s.Seed, uint64(index))
	between := func(lo, hi int) int { return lo + int(r.Uint64()%uint64(hi-lo+1)) }
	radius := between(3, 8)
	cy, cx := between(radius, side-1-radius), between(radius, side-1-radius)
	ink := between(120, 200)
	for y := range side {
		for x := range side {
			dy, dx := max(y-cy, cy-y), max(x-cx, cx-x)
			square := dy*dy + dx*dx
			on := false
			switch index % 4 {
			case 0:
				on = square <= radius*radius
			case 1:
				on = square <= radius*radius && square > (radius-2)*(radius-2)
			case 2:
				on = max(dy, dx) <= radius*7/8
			case 3:
				on = min(dy, dx) == 0 && max(dy, dx) <= radius
			}
			p := between(0, 55)
			if on {
				p += ink
			}
			pixels[y*side+x] = uint8(p)
		}
	}
}
