package datasets

import (
	"fmt"
	"strconv"
	"strings"
)

// An Augmenter changes an image at random, so that a network that is trained on
// it sees something else in every epoch.
type Augmenter interface {
	// Augment writes every pixel of dst, which has the size of src and shares no
	// memory with it. It must be a function of src and the draws from r alone,
	// and should not allocate.
	Augment(dst, src Image, r *Rand)
	// Validate says why images of this kind cannot be augmented this way.
	Validate(info Info) error
	// String returns the form that [ParseAugmentation] reads.
	String() string
}

// An Image is one sample of a batch: Pixels is [H W C].
type Image struct {
	H, W, C int
	Pixels  []uint8
}

// row returns row y, [W C].
func (m Image) row(y int) []uint8 { return m.Pixels[y*m.W*m.C:][:m.W*m.C] }

// Crop surrounds the image with Pad pixels of the colour Fill and cuts an image
// of the old size out of it at random: each of the (2·Pad+1)² places is equally
// likely. The usual choice for CIFAR-10 is Pad 4.
type Crop struct {
	Pad int
	// Fill has one value per channel; nil is black.
	Fill []uint8
}

// Augment cuts at a random place.
func (c Crop) Augment(dst, src Image, r *Rand) {
	dy, dx := r.Between(-c.Pad, c.Pad), r.Between(-c.Pad, c.Pad)
	for y := range dst.H {
		row := dst.row(y)
		from := y + dy
		if from < 0 || from >= src.H {
			c.paint(row, dst.C)
			continue
		}
		// Columns [left, right) of dst come from src.
		left, right := max(-dx, 0), min(dst.W-dx, dst.W)
		c.paint(row[:left*dst.C], dst.C)
		copy(row[left*dst.C:right*dst.C], src.row(from)[(left+dx)*src.C:])
		c.paint(row[right*dst.C:], dst.C)
	}
}

func (c Crop) paint(row []uint8, channels int) {
	if c.Fill == nil {
		clear(row)
		return
	}
	for i := 0; i < len(row); i += channels {
		copy(row[i:i+channels], c.Fill)
	}
}

// Validate wants 1 ≤ Pad < min(H, W) and a colour with C channels.
func (c Crop) Validate(info Info) error {
	if c.Pad < 1 || c.Pad >= min(info.H, info.W) {
		return fmt.Errorf("datasets: crop: pad %d of images %d×%d: want 1…%d: %w", c.Pad, info.H, info.W, min(info.H, info.W)-1, ErrOption)
	}
	if c.Fill != nil && len(c.Fill) != info.C {
		return fmt.Errorf("datasets: crop: a colour of %d channels for images of %d: %w", len(c.Fill), info.C, ErrOption)
	}
	return nil
}

// String returns "crop=Pad".
func (c Crop) String() string { return "crop=" + strconv.Itoa(c.Pad) }

// Flip mirrors one image in two from left to right.
type Flip struct{}

// Augment mirrors or copies.
func (Flip) Augment(dst, src Image, r *Rand) {
	if !r.Bool() {
		copy(dst.Pixels, src.Pixels)
		return
	}
	for y := range dst.H {
		to, from := dst.row(y), src.row(y)
		for i := 0; i < len(to); i += dst.C {
			copy(to[i:i+dst.C], from[len(from)-i-dst.C:])
		}
	}
}

// Validate accepts every image.
func (Flip) Validate(Info) error { return nil }

// String returns "flip".
func (Flip) String() string { return "flip" }

// Shift moves the image by up to By pixels in both directions and repeats its
// edge where nothing is left; each of the (2·By+1)² moves is equally likely.
type Shift struct{ By int }

// Augment moves by a random amount.
func (s Shift) Augment(dst, src Image, r *Rand) {
	dy, dx := r.Between(-s.By, s.By), r.Between(-s.By, s.By)
	// Columns [left, right) of dst come from src, the others repeat its edge.
	left, right := max(-dx, 0), min(dst.W-dx, dst.W)
	for y := range dst.H {
		to, from := dst.row(y), src.row(min(max(y+dy, 0), src.H-1))
		for x := range left {
			copy(to[x*dst.C:], from[:dst.C])
		}
		copy(to[left*dst.C:right*dst.C], from[(left+dx)*dst.C:])
		for x := right; x < dst.W; x++ {
			copy(to[x*dst.C:], from[len(from)-dst.C:])
		}
	}
}

// Validate wants 1 ≤ By < min(H, W).
func (s Shift) Validate(info Info) error {
	if s.By < 1 || s.By >= min(info.H, info.W) {
		return fmt.Errorf("datasets: shift: by %d of images %d×%d: want 1…%d: %w", s.By, info.H, info.W, min(info.H, info.W)-1, ErrOption)
	}
	return nil
}

// String returns "shift=By".
func (s Shift) String() string { return "shift=" + strconv.Itoa(s.By) }

// ParseAugmentation reads steps as they are written in configurations, applied
// from left to right: "crop=4,flip". The words are crop=N, shift=N and flip; ""
// and "none" are no steps. The error matches [ErrOption].
func ParseAugmentation(text string) ([]Augmenter, error) {
	if text = strings.TrimSpace(text); text == "" || text == "none" {
		return nil, nil
	}
	var steps []Augmenter
	for word := range strings.SplitSeq(text, ",") {
		name, value, hasValue := strings.Cut(strings.TrimSpace(word), "=")
		n, err := strconv.Atoi(value)
		switch whole := err == nil && n > 0; {
		case name == "crop" && whole:
			steps = append(steps, Crop{Pad: n})
		case name == "shift" && whole:
			steps = append(steps, Shift{By: n})
		case name == "flip" && !hasValue:
			steps = append(steps, Flip{})
		default:
			return nil, fmt.Errorf("datasets: augmentation %q: want crop=N, shift=N or flip, N at least 1: %w", word, ErrOption)
		}
	}
	return steps, nil
}
