package integer

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/bitgrad/bitgrad/internal/kernels"
	"github.com/bitgrad/bitgrad/quant"
)

// driverCase is a driver with random weights and inputs, and the accumulators that nested
// loops compute.
type driverCase struct {
	d      *ConvDriver
	x      Codes
	want   []int64 // [N OH OW O]
	shape  kernels.ConvShape
	images int
	zero   int32
}

func newDriverCase(t testing.TB, s kernels.ConvShape, linear bool, xBits, wBits, images int) *driverCase {
	t.Helper()
	rng := rand.New(rand.NewPCG(uint64(xBits), uint64(s.O)))
	c := &driverCase{images: images, zero: 3}
	var err error
	if linear {
		c.d, err = NewLinearDriver(s.C, s.O, xBits, false, wBits)
	} else {
		c.d, err = NewConvDriver(s, xBits, false, wBits)
	}
	if err != nil {
		t.Fatal(err)
	}
	s = c.d.Shape()
	c.shape = s
	l, size := kernels.Bordered(images, s.H, s.W, s.C, s.PadTop, s.PadLeft, s.PadBottom, s.PadRight)
	c.x = NewCodes(l, size, xBits, false, c.zero)
	for n := range images {
		for h := range s.H {
			for w := range s.W {
				for i := range s.C {
					c.x.put(l.At(n, h, w, i), rng.Int64N(1<<uint(xBits)))
				}
			}
		}
	}
	levels, bias := make([]int32, s.WeightSize()), make([]int64, s.O)
	half := int32(1) << uint(wBits-1)
	for i := range levels {
		levels[i] = rng.Int32N(2*half) - half
	}
	for i := range bias {
		bias[i] = rng.Int64N(2001) - 1000
	}
	if err := c.d.SetWeights(levels, c.zero); err != nil {
		t.Fatal(err)
	}
	c.d.SetBias(bias)
	per, perOut := s.C/s.Groups, s.O/s.Groups
	for n := range images {
		for oh := range s.OH {
			for ow := range s.OW {
				for o := range s.O {
					sum := bias[o]
					for i := range per {
						for k := range s.KH {
							for v := range s.KW {
								q := c.x.get(l.At(n, oh*s.StrideH+k*s.DilH-s.PadTop, ow*s.StrideW+v*s.DilW-s.PadLeft, o/perOut*per+i))
								sum += (q - int64(c.zero)) * int64(levels[((o*per+i)*s.KH+k)*s.KW+v])
							}
						}
					}
					c.want = append(c.want, sum)
				}
			}
		}
	}
	return c
}

// driverCases covers narrow and wide operands, groups, strides, and linear layers.
func driverCases(t testing.TB) map[string]*driverCase {
	conv := kernels.ConvShape{C: 6, O: 10, KH: 3, KW: 2, StrideH: 2, PadTop: 1, PadLeft: 1, PadBottom: 1, H: 7, W: 9, DilW: 2, Groups: 2}
	plain := kernels.ConvShape{C: 3, O: 40, KH: 3, KW: 3, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1, H: 12, W: 40}
	depthwise := kernels.ConvShape{C: 5, O: 5, KH: 3, KW: 3, H: 6, W: 5, Groups: 5}
	linear := kernels.ConvShape{C: 37, O: 11}
	return map[string]*driverCase{
		"groups":      newDriverCase(t, conv, false, 8, 8, 3),
		"plain":       newDriverCase(t, plain, false, 8, 4, 2),
		"depthwise":   newDriverCase(t, depthwise, false, 3, 8, 2),
		"linear":      newDriverCase(t, linear, true, 8, 8, 70),
		"two bits":    newDriverCase(t, linear, true, 8, 2, 70),
		"wide codes":  newDriverCase(t, conv, false, 12, 8, 3),
		"wide both":   newDriverCase(t, depthwise, false, 16, 16, 2),
		"wide linear": newDriverCase(t, linear, true, 8, 12, 70),
	}
}

func (c *driverCase) scratch() Scratch {
	i32, i64, u8 := c.d.ScratchLen()
	return Scratch{make([]int32, i32), make([]int64, i64), make([]uint8, u8)}
}

// output returns a dense tensor for codes of the given width.
func (c *driverCase) output(bits int) Codes {
	l := kernels.Dense(c.images, c.shape.OH, c.shape.OW, c.shape.O)
	return NewCodes(l, len(c.want), bits, true, 99)
}

func (c *driverCase) values(y Codes) []int64 {
	got := make([]int64, len(c.want))
	for i := range got {
		got[i] = y.get(i)
	}
	return got
}

func TestDriverAccumulators(t *testing.T) {
	for name, c := range driverCases(t) {
		t.Run(name, func(t *testing.T) {
			c.d.SetRequant(nil)
			y := c.output(32)
			if c.d.Wide() {
				y = c.output(64)
			}
			c.d.Forward(y, c.x, 0, c.images, c.scratch(), nil)
			if got := c.values(y); !slices.Equal(got, c.want) {
				t.Error("Forward: wrong accumulators")
			}
			row := c.shape.OW * c.shape.O
			for n := range c.images {
				for oh := range c.shape.OH {
					narrow, wide := make([]int32, row), make([]int64, row)
					c.d.Accumulators(narrow, wide, c.x, n, oh, oh+1, c.scratch())
					for i, v := range narrow {
						if !c.d.Wide() {
							wide[i] = int64(v)
						}
					}
					if !slices.Equal(wide, c.want[(n*c.shape.OH+oh)*row:][:row]) {
						t.Fatalf("Accumulators of image %d, row %d: wrong", n, oh)
					}
				}
			}
		})
	}
}

// Compact weights, of which the scratch knows, give the same accumulators.
func TestDriverCompact(t *testing.T) {
	for name, c := range driverCases(t) {
		t.Run(name, func(t *testing.T) {
			c.d.SetRequant(nil)
			c.d.Compact()
			y := c.output(32)
			if c.d.Wide() {
				y = c.output(64)
			}
			c.d.Forward(y, c.x, 0, c.images, c.scratch(), nil)
			if got := c.values(y); !slices.Equal(got, c.want) {
				t.Error("wrong accumulators")
			}
		})
	}
}

// TestDriverRequantizes compares codes, pass bits and extremes for every rule, and for
// images in one call, one by one and backwards.
func TestDriverRequantizes(t *testing.T) {
	for name, c := range driverCases(t) {
		o := c.shape.O
		perChannel := make([]float64, o)
		lo, hi := make([]int64, o), make([]int64, o)
		for i := range perChannel {
			perChannel[i] = 1 / float64(int(1)<<uint(i%4))
			lo[i], hi[i] = int64(-500*i), int64(700*i-1000) // the first is empty
		}
		lo[o-1], hi[o-1] = -1<<63, 1<<63-1
		y4, y12 := signed(4, 64), signed(12, 8)
		for _, r := range []struct {
			rule quant.Rule
			grid quant.Grid
			acc  []float64
		}{
			{quant.Shift, y4, perChannel}, {quant.Shift, y4, []float64{1}}, {quant.Shift, y12, perChannel},
			{quant.Float, y4, perChannel}, {quant.Float, y12, []float64{0.3}}, {quant.FixedPoint, y4, perChannel},
		} {
			requant := must(quant.NewRequantizer(r.rule, r.acc, r.grid))
			c.d.SetRequant(&requant)
			c.d.SetPass(lo, hi)
			row := c.shape.OW * o
			want := make([]int64, len(c.want))
			wantBits := make([]byte, c.images*c.shape.OH*c.d.PassRow())
			wantTaps := Taps{Min: make([]int64, o), Max: make([]int64, o)}
			wantTaps.Reset()
			for i, acc := range c.want {
				ch := i % o
				want[i] = int64(requant.Apply(acc, ch))
				if lo[ch] <= acc && acc <= hi[ch] {
					wantBits[i/row*c.d.PassRow()+i%row/8] |= 1 << (i % row % 8)
				}
				wantTaps.Min[ch], wantTaps.Max[ch] = min(wantTaps.Min[ch], acc), max(wantTaps.Max[ch], acc)
			}
			for split, order := range map[string][]int{"whole": {0, c.images}, "parts": {1, c.images, 0, 1}} {
				t.Run(fmt.Sprintf("%s/%v %v/%s", name, r.rule, r.grid, split), func(t *testing.T) {
					y := c.output(r.grid.BitWidth)
					taps := &Taps{Pass: make([]byte, len(wantBits)), Min: make([]int64, o), Max: make([]int64, o)}
					for i := range taps.Pass {
						taps.Pass[i] = 0xaa
					}
					taps.Reset()
					for k := 0; k < len(order); k += 2 {
						c.d.Forward(y, c.x, order[k], order[k+1], c.scratch(), taps)
					}
					if !slices.Equal(c.values(y), want) {
						t.Error("wrong codes")
					}
					if !slices.Equal(taps.Pass, wantBits) {
						t.Error("wrong pass bits")
					}
					if !slices.Equal(taps.Min, wantTaps.Min) || !slices.Equal(taps.Max, wantTaps.Max) {
						t.Errorf("extremes %v %v, want %v %v", taps.Min, taps.Max, wantTaps.Min, wantTaps.Max)
					}
				})
			}
		}
	}
}

// TestDriverStaysInPlace checks that an output with a border keeps the border, and one
// that is a range of channels its neighbours.
func TestDriverStaysInPlace(t *testing.T) {
	c := driverCases(t)["plain"]
	s := c.shape
	requant := must(quant.NewRequantizer(quant.Shift, []float64{1}, signed(4, 64)))
	c.d.SetRequant(&requant)
	bordered, size := kernels.Bordered(c.images, s.OH, s.OW, s.O, 1, 2, 3, 4)
	within := kernels.Dense(c.images, s.OH, s.OW, s.O+7)
	within.C, within.Off = s.O, 3
	for name, y := range map[string]Codes{
		"border":   NewCodes(bordered, size, 8, true, 55),
		"channels": NewCodes(within, c.images*s.OH*s.OW*(s.O+7), 8, true, 55),
	} {
		c.d.Forward(y, c.x, 0, c.images, c.scratch(), nil)
		i := 0
		for n := range c.images {
			for h := range s.OH {
				for w := range s.OW {
					for o := range s.O {
						at := y.L.At(n, h, w, o)
						if want := int64(requant.Apply(c.want[i], o)); y.get(at) != want {
							t.Fatalf("%s: element %d: got %d, want %d", name, i, y.get(at), want)
						}
						y.put(at, 55)
						i++
					}
				}
			}
		}
		for i, v := range y.U8[:len(y.U8)-Slack] {
			if v != 55 {
				t.Fatalf("%s: byte %d was written", name, i)
			}
		}
	}
}

func TestDriverAllocatesNothing(t *testing.T) {
	for name, c := range driverCases(t) {
		requant := must(quant.NewRequantizer(quant.Shift, []float64{1}, signed(4, 64)))
		levels, bias := make([]int32, c.shape.WeightSize()), make([]int64, c.shape.O)
		lo := make([]int64, c.shape.O)
		y, s := c.output(4), c.scratch()
		taps := &Taps{Min: make([]int64, c.shape.O), Max: make([]int64, c.shape.O)}
		c.d.SetRequant(&requant)
		c.d.SetPass(lo, lo)
		taps.Pass = make([]byte, c.images*c.shape.OH*c.d.PassRow())
		if n := testing.AllocsPerRun(5, func() {
			if err := c.d.SetWeights(levels, 1); err != nil {
				t.Fatal(err)
			}
			c.d.SetBias(bias)
			c.d.SetRequant(&requant)
			c.d.SetPass(lo, lo)
			c.d.Forward(y, c.x, 0, c.images, s, taps)
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestDriverRefuses(t *testing.T) {
	s := kernels.ConvShape{C: 2, O: 2, KH: 3, KW: 3, H: 2, W: 2}
	if _, err := NewConvDriver(s, 8, false, 8); err == nil {
		t.Error("a window larger than the image was accepted")
	}
	s.PadTop, s.PadLeft = 1, 1
	for _, bits := range []int{0, 17} {
		if _, err := NewConvDriver(s, bits, false, 8); !errors.Is(err, ErrGrid) {
			t.Errorf("%d bits: error %v", bits, err)
		}
	}
	d := must(NewConvDriver(s, 8, false, 8))
	if err := d.SetWeights(make([]int32, 5), 0); !errors.Is(err, ErrShape) {
		t.Errorf("5 weights: error %v", err)
	}
	levels := make([]int32, 36)
	levels[7] = 128
	if err := d.SetWeights(levels, 0); !errors.Is(err, ErrGrid) {
		t.Errorf("level 128: error %v", err)
	}
}
