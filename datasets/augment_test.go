package datasets

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
)

// slowCrop is Crop as its sentence says: enlarge, then cut.
func slowCrop(src Image, pad, dy, dx int, fill []uint8) []uint8 {
	side := Image{H: src.H + 2*pad, W: src.W + 2*pad, C: src.C}
	side.Pixels = make([]uint8, side.H*side.W*side.C)
	for y := range side.H {
		for x := range side.W {
			for c := range src.C {
				v := uint8(0)
				if fill != nil {
					v = fill[c]
				}
				if i, j := y-pad, x-pad; i >= 0 && i < src.H && j >= 0 && j < src.W {
					v = src.Pixels[(i*src.W+j)*src.C+c]
				}
				side.row(y)[x*src.C+c] = v
			}
		}
	}
	var out []uint8
	for y := range src.H {
		out = append(out, side.row(y + pad + dy)[(pad+dx)*src.C:][:src.W*src.C]...)
	}
	return out
}

// slowShift repeats the nearest pixel.
func slowShift(src Image, dy, dx int) []uint8 {
	var out []uint8
	for y := range src.H {
		for x := range src.W {
			i, j := min(max(y+dy, 0), src.H-1), min(max(x+dx, 0), src.W-1)
			out = append(out, src.Pixels[(i*src.W+j)*src.C:][:src.C]...)
		}
	}
	return out
}

// TestAugmentersDrawEveryChange compares every outcome with the list of all
// that may come out, and wants each of them to come.
func TestAugmentersDrawEveryChange(t *testing.T) {
	src := Image{H: 4, W: 5, C: 2, Pixels: ramp(40)}
	for i := range src.Pixels {
		src.Pixels[i] += 100
	}
	moves := func(by int, f func(dy, dx int) []uint8) map[string]int {
		m := map[string]int{}
		for dy := -by; dy <= by; dy++ {
			for dx := -by; dx <= by; dx++ {
				m[string(f(dy, dx))] = 0
			}
		}
		return m
	}
	mirrored := []uint8{}
	for y := range 4 {
		for x := range 5 {
			mirrored = append(mirrored, src.row(y)[(4-x)*2:][:2]...)
		}
	}
	for _, c := range []struct {
		augmenter Augmenter
		want      map[string]int
	}{
		{Crop{Pad: 2}, moves(2, func(dy, dx int) []uint8 { return slowCrop(src, 2, dy, dx, nil) })},
		{Crop{Pad: 3, Fill: []uint8{7, 9}}, moves(3, func(dy, dx int) []uint8 { return slowCrop(src, 3, dy, dx, []uint8{7, 9}) })},
		{Shift{By: 2}, moves(2, func(dy, dx int) []uint8 { return slowShift(src, dy, dx) })},
		{Flip{}, map[string]int{string(src.Pixels): 0, string(mirrored): 0}},
	} {
		t.Run(c.augmenter.String(), func(t *testing.T) {
			var r Rand
			dst := Image{H: 4, W: 5, C: 2, Pixels: make([]uint8, 40)}
			const draws = 4000
			for i := range draws {
				r.reseed(streamAugment, 1, 2, uint64(i))
				for j := range dst.Pixels {
					dst.Pixels[j] = 255
				}
				c.augmenter.Augment(dst, src, &r)
				if _, ok := c.want[string(dst.Pixels)]; !ok {
					t.Fatalf("draw %d: %v is no such change", i, dst.Pixels)
				}
				c.want[string(dst.Pixels)]++
			}
			// Five standard deviations around the mean of a fair draw.
			p := 1 / float64(len(c.want))
			for image, n := range c.want {
				if d := float64(n) - draws*p; d*d > 25*draws*p*(1-p) {
					t.Errorf("%v came %d times, want about %.0f", []byte(image), n, draws*p)
				}
			}
			if !bytes.Equal(src.Pixels[:3], []byte{100, 101, 102}) {
				t.Error("the source changed")
			}
		})
	}
}

func TestAugmenterValidate(t *testing.T) {
	info := Info{C: 3, H: 8, W: 6}
	for _, c := range []struct {
		augmenter Augmenter
		ok        bool
	}{
		{Crop{Pad: 5}, true}, {Crop{Pad: 6}, false}, {Crop{}, false}, {Crop{Pad: -1}, false},
		{Crop{Pad: 1, Fill: []uint8{1}}, false}, {Crop{Pad: 1, Fill: []uint8{1, 2, 3}}, true},
		{Shift{By: 5}, true}, {Shift{By: 6}, false}, {Shift{}, false}, {Flip{}, true},
	} {
		if err := c.augmenter.Validate(info); (err == nil) != c.ok || err != nil && !errors.Is(err, ErrOption) {
			t.Errorf("%#v: error %v", c.augmenter, err)
		}
	}
}

func TestParseAugmentation(t *testing.T) {
	steps, err := ParseAugmentation("crop=4, flip,shift=2")
	if got := fmt.Sprint(steps); err != nil || got != "[crop=4 flip shift=2]" {
		t.Errorf("%s, %v", got, err)
	}
	for _, none := range []string{"", "none", " "} {
		if steps, err := ParseAugmentation(none); err != nil || len(steps) != 0 {
			t.Errorf("%q: %v, %v", none, steps, err)
		}
	}
	for _, bad := range []string{"crop", "crop=0", "crop=x", "flip=1", "flip=", "shift=-1", "turn", ",", "crop=4,,flip"} {
		if steps, err := ParseAugmentation(bad); !errors.Is(err, ErrOption) {
			t.Errorf("%q: %v, %v", bad, steps, err)
		}
	}
}

func TestRand(t *testing.T) {
	var r Rand
	r.reseed(streamOrder, 1, 2, 3)
	for _, n := range []int{-5, 0, 1} {
		if got := r.IntN(n); got != 0 {
			t.Errorf("IntN(%d) = %d", n, got)
		}
	}
	if got := r.Between(3, 1); got != 3 {
		t.Errorf("Between(3, 1) = %d", got)
	}
	var seen [7]int
	for range 7000 {
		seen[r.Between(-3, 3)+3]++
	}
	for v, n := range seen {
		if n < 850 || n > 1150 {
			t.Errorf("%d came %d times in 7000, want about 1000", v-3, n)
		}
	}
	// Neighbouring keys and streams have unrelated sequences.
	first := map[uint64][4]uint64{}
	for _, key := range [][4]uint64{{1, 1, 1, 1}, {2, 1, 1, 1}, {1, 2, 1, 1}, {1, 1, 2, 1}, {1, 1, 1, 2}, {1, 0, 2, 1}, {1, 1, 0, 0}} {
		r.reseed(key[0], key[1], key[2], key[3])
		u := r.Uint64()
		if other, ok := first[u]; ok {
			t.Errorf("keys %v and %v draw the same", key, other)
		}
		first[u] = key
	}
	var sum, squares float64
	const draws = 20000
	for range draws {
		v := float64(r.noise(20))
		sum += v
		squares += v * v
	}
	if mean, variance := sum/draws, squares/draws; mean < -1 || mean > 1 || variance < 360 || variance > 440 {
		t.Errorf("noise(20): mean %.2f, variance %.1f, want about 0 and 400", mean, variance)
	}
}
