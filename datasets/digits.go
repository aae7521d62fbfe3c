package datasets

import (
	"fmt"
	"sync"

	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/gobolditalic"
	"golang.org/x/image/font/gofont/goitalic"
	"golang.org/x/image/font/gofont/gomedium"
	"golang.org/x/image/font/gofont/gomediumitalic"
	"golang.org/x/image/font/gofont/gomono"
	"golang.org/x/image/font/gofont/gomonobold"
	"golang.org/x/image/font/gofont/gomonobolditalic"
	"golang.org/x/image/font/gofont/gomonoitalic"
	"golang.org/x/image/font/gofont/goregular"
)

// How many synthetic digits [Open] draws. A LeNet that is trained on them for
// three epochs names about 99 % of the test digits, a linear classifier about
// two thirds.
const (
	DigitsTrain = 12_000
	DigitsValid = 2_000
	DigitsTest  = 4_000
)

// A font is the outlines of the ten digits.
type font = [10]outline

// The fonts fall into those that training and validation see and those that
// only the test sees: the latter are the fixed-width family, with serifs and
// proportions of its own. (The digits of the small-caps fonts are those of the
// regular ones, so they would be no test.)
var (
	seenFonts = sync.OnceValues(func() ([]font, error) {
		return loadFonts(goregular.TTF, goitalic.TTF, gomedium.TTF, gomediumitalic.TTF, gobold.TTF, gobolditalic.TTF)
	})
	heldOutFonts = sync.OnceValues(func() ([]font, error) {
		return loadFonts(gomono.TTF, gomonoitalic.TTF, gomonobold.TTF, gomonobolditalic.TTF)
	})
)

func loadFonts(files ...[]byte) ([]font, error) {
	fonts := make([]font, len(files))
	for i, ttf := range files {
		var err error
		if fonts[i], err = digitOutlines(ttf); err != nil {
			return nil, err
		}
	}
	return fonts, nil
}

// Digits returns n synthetic digits, grey images of 28×28 pixels: a glyph of one
// of the Go fonts, bent, sheared, stretched, rotated by up to 16 degrees, 13 to
// 20 pixels high, up to 3 pixels off the middle, in light ink on a dark, sloping
// and noisy ground. Sample i shows the digit i mod 10 and is a function of
// (seed, i) alone, the same on every machine.
//
// Drawing takes about 11 µs per image. The error matches [ErrOption].
func Digits(n int, seed uint64) (Dataset, error) {
	fonts, err := seenFonts()
	if err != nil {
		return nil, err
	}
	return drawDigits(n, fonts, seed)
}

// DigitsHeldOut returns n synthetic digits as [Digits] does, in fonts that Digits
// never uses and from random numbers that it never draws.
func DigitsHeldOut(n int, seed uint64) (Dataset, error) {
	fonts, err := heldOutFonts()
	if err != nil {
		return nil, err
	}
	return drawDigits(n, fonts, mix(seed)^streamHeldOut)
}

// DigitSplits returns synthetic digits for training, validation and test. The
// first two are drawn in the same fonts from separate random numbers; the test
// digits are [DigitsHeldOut].
func DigitSplits(train, valid, test int, seed uint64) (*Splits, error) {
	var s Splits
	var err error
	if s.Train, err = Digits(train, seed); err != nil {
		return nil, err
	}
	if s.Valid, err = Digits(valid, mix(seed)^streamValid); err != nil {
		return nil, err
	}
	if s.Test, err = DigitsHeldOut(test, seed); err != nil {
		return nil, err
	}
	return &s, nil
}

func drawDigits(n int, fonts []font, seed uint64) (Dataset, error) {
	const area = digitSide * digitSide
	size, ok := product(max(n, 0), area)
	if n < 1 || !ok {
		return nil, fmt.Errorf("datasets: digits: %d images: want at least 1 and fewer than 2³¹ pixels: %w", n, ErrOption)
	}
	m := &memory{info: digitsInfo(n), pixels: make([]uint8, size), labels: make([]int32, n)}
	d := newDrawer()
	for i := range n {
		m.labels[i] = int32(i % 10)
		d.draw(m.pixels[i*area:][:area], fonts, i%10, seed, uint64(i))
	}
	return m, nil
}

// digitsInfo describes synthetic digits; mean and standard deviation are those
// of a large training set, rounded.
func digitsInfo(n int) Info {
	return Info{
		Name: "digits", N: n, C: 1, H: digitSide, W: digitSide, Classes: 10,
		ClassNames: []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"},
		Mean:       []float32{50}, Std: []float32{50},
	}
}
