package integer

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/bitgrad/bitgrad/quant"
)

// Inputs of these tests are codes: pixel p has the code p, or p − 128 if signed.

func unsigned(bits int, scale float32, zero int32) quant.Grid {
	return quant.Grid{BitWidth: bits, Scale: []float32{scale}, ZeroPoint: zero}
}

func signed(bits int, scale ...float32) quant.Grid {
	return quant.Grid{BitWidth: bits, Signed: true, Scale: scale}
}

// codesInput starts a model whose pixels are codes of g (scale 1), less 128 if signed.
func codesInput(b *Builder, c, h, w int, g quant.Grid) Ref {
	factor, offset := make([]float32, c), make([]float32, c)
	for i := range factor {
		factor[i], offset[i] = g.Scale[0], -float32(g.ZeroPoint)*g.Scale[0]
		if g.Signed {
			offset[i] -= 128 * g.Scale[0]
		}
	}
	return b.Input("x", Input{C: c, H: h, W: w, A: factor, B: offset, Grid: g})
}

func requantizer(t *testing.T, rule quant.Rule, scale []float64, y quant.Grid) *quant.Requantizer {
	t.Helper()
	r, err := quant.NewRequantizer(rule, scale, y)
	if err != nil {
		t.Fatal(err)
	}
	return &r
}

func TestOpsByHand(t *testing.T) {
	int8s := signed(8, 1)
	uint8s := unsigned(8, 1, 0)
	affine := unsigned(8, 0.5, 10)
	midRise := quant.Grid{BitWidth: 2, Signed: true, MidRise: true, Scale: []float32{1}}
	for _, c := range []struct {
		name    string
		c, h, w int
		grid    quant.Grid
		codes   []int // [H W C]
		build   func(b *Builder, x Ref) Ref
		want    []int64 // [C H W]
	}{
		{
			// 1·1 + 2·2 + 3·3 + 4·4 = 30; the right column of windows sees the zero point.
			name: "conv pads with the zero point", c: 1, h: 2, w: 2, grid: unsigned(8, 1, 5), codes: []int{6, 7, 8, 9},
			build: func(b *Builder, x Ref) Ref {
				return b.Conv("y", x, Conv{O: 1, KH: 2, KW: 2, Pad: Pads{Right: 1}, Weight: []int32{1, 2, 3, 4}, WeightGrid: int8s})
			},
			want: []int64{30, 2*1 + 4*3},
		}, {
			name: "conv with stride, dilation and a bias", c: 1, h: 1, w: 6, grid: uint8s, codes: []int{1, 2, 3, 4, 5, 6},
			build: func(b *Builder, x Ref) Ref {
				return b.Conv("y", x, Conv{O: 1, KH: 1, KW: 2, StrideW: 3, DilationW: 2, Weight: []int32{1, 10}, WeightGrid: int8s, Bias: []int64{-7}})
			},
			want: []int64{1 + 30 - 7, 4 + 60 - 7},
		}, {
			name: "depthwise conv with two outputs per channel", c: 2, h: 1, w: 1, grid: uint8s, codes: []int{3, 5},
			build: func(b *Builder, x Ref) Ref {
				return b.Conv("y", x, Conv{O: 4, KH: 1, KW: 1, Groups: 2, Weight: []int32{1, 2, 3, 4}, WeightGrid: int8s})
			},
			want: []int64{3, 6, 15, 20},
		}, {
			// (3 + 2) >> 2 = 1 by half up; −6 gives (−6 + 2) >> 2 = −1, −5 gives −1, ReLU cuts at 0.
			name: "conv by shift", c: 1, h: 1, w: 3, grid: int8s, codes: []int{128 + 6, 128 + 5, 128 - 6},
			build: func(b *Builder, x Ref) Ref {
				y := signed(8, 4)
				return b.Conv("y", x, Conv{O: 2, KH: 1, KW: 1, Weight: []int32{1, -1}, WeightGrid: int8s, Grid: y, Requant: requantizer(t, quant.Shift, []float64{1}, y)})
			},
			want: []int64{2, 1, -1, -1, -1, 2},
		}, {
			// M = 0.25/1: 2.5 rounds to 2, 3.5 to 4, 0.5 to 0; saturates at 255.
			name: "conv by float", c: 1, h: 1, w: 4, grid: uint8s, codes: []int{10, 14, 2, 255},
			build: func(b *Builder, x Ref) Ref {
				y := unsigned(8, 1, 3)
				r := requantizer(t, quant.Float, []float64{0.25, 2}, y)
				return b.Conv("y", x, Conv{O: 2, KH: 1, KW: 1, Weight: []int32{1, 1}, WeightGrid: signed(8, 0.25, 2), Grid: y, Requant: r})
			},
			want: []int64{5, 7, 3, 67, 23, 31, 7, 255},
		}, {
			// Scales 1 and ½: the second channel is halved, 2.5 rounds to 2.
			name: "logits with a scale per channel", c: 1, h: 1, w: 1, grid: uint8s, codes: []int{5},
			build: func(b *Builder, x Ref) Ref {
				return b.Linear("y", x, Linear{O: 2, Weight: []int32{7, 1}, WeightGrid: signed(8, 1, 0.5)})
			},
			want: []int64{35, 2},
		}, {
			// Weight codes 0 and −1 are +½ and −½: levels +1 and −1.
			name: "mid-rise weights", c: 2, h: 1, w: 1, grid: uint8s, codes: []int{9, 4},
			build: func(b *Builder, x Ref) Ref {
				return b.Linear("y", x, Linear{O: 1, Weight: []int32{0, -1}, WeightGrid: quant.Grid{BitWidth: 1, Signed: true, MidRise: true, Scale: []float32{1}}})
			},
			want: []int64{5},
		}, {
			// Codes −2 … 1 are −1½ … 1½, levels −3 … 3: 3·(−3) + 1·3 = −6, plus the bias.
			name: "mid-rise inputs", c: 2, h: 1, w: 1, grid: midRise, codes: []int{128 - 2, 128 + 1},
			build: func(b *Builder, x Ref) Ref {
				return b.Linear("y", x, Linear{O: 1, Weight: []int32{3, 1}, WeightGrid: int8s, Bias: []int64{100}})
			},
			want: []int64{94},
		}, {
			// 0.5·(30 − 10) = 10; 10·1 + 10·1 = 20 on a grid of step 1.
			name: "add by float", c: 1, h: 1, w: 2, grid: affine, codes: []int{30, 9},
			build: func(b *Builder, x Ref) Ref {
				return b.Add("y", x, x, Add{must(quant.NewAddFloat(affine, affine, uint8s, false)), uint8s})
			},
			want: []int64{20, 0},
		}, {
			name: "subtract by shift", c: 1, h: 1, w: 2, grid: int8s, codes: []int{128 + 3, 128 - 3},
			build: func(b *Builder, x Ref) Ref {
				half := signed(8, 0.5)
				z := b.Requantize("z", x, Requantize{requantizer(t, quant.Shift, []float64{1}, half), half}) // 6, −6
				return b.Add("y", z, x, Add{must(quant.NewAddShift(half, int8s, half, true)), half})         // 6 − 6
			},
			want: []int64{0, 0},
		}, {
			// (30−10)² = 400 steps of ¼ are 100.
			name: "multiply", c: 1, h: 1, w: 2, grid: affine, codes: []int{30, 0},
			build: func(b *Builder, x Ref) Ref {
				return b.Multiply("y", x, x, Multiply{requantizer(t, quant.Float, quant.AccScale(affine, affine), uint8s), uint8s})
			},
			want: []int64{100, 25},
		}, {
			name: "max pool clips its window", c: 1, h: 1, w: 3, grid: int8s, codes: []int{128 - 5, 128 - 7, 128 - 3},
			build: func(b *Builder, x Ref) Ref {
				return b.MaxPool("y", x, MaxPool{KH: 1, KW: 2, StrideH: 1, StrideW: 2, Pad: Pads{Left: 1}, OH: 1, OW: 2})
			},
			want: []int64{-5, -3},
		}, {
			// Accumulators move as codes do.
			name: "max pool of accumulators", c: 1, h: 1, w: 4, grid: uint8s, codes: []int{1, 200, 3, 100},
			build: func(b *Builder, x Ref) Ref {
				x = b.Conv("acc", x, Conv{O: 1, KH: 1, KW: 1, Weight: []int32{-100}, WeightGrid: int8s})
				x = b.MaxPool("pool", x, MaxPool{KH: 1, KW: 2, StrideH: 1, StrideW: 2, OH: 1, OW: 2})
				return b.Pad("y", x, Pad{Before: 1})
			},
			want: []int64{0, 0, -100, -300},
		}, {
			// Sums 6, 6+7, 7: divisors 1, 2, 1 in the image.
			name: "average without pads", c: 1, h: 1, w: 2, grid: uint8s, codes: []int{6, 7},
			build: func(b *Builder, x Ref) Ref {
				return b.AvgPool("y", x, AvgPool{KH: 1, KW: 2, StrideH: 1, StrideW: 1, Pad: Pads{Left: 1, Right: 1}, OH: 1, OW: 3,
					Rule: must(quant.NewAveragePoolShift(uint8s, uint8s)), Grid: uint8s})
			},
			want: []int64{6, 7, 7}, // 6.5 rounds half up
		}, {
			name: "average with pads counted", c: 1, h: 1, w: 2, grid: uint8s, codes: []int{6, 8},
			build: func(b *Builder, x Ref) Ref {
				return b.AvgPool("y", x, AvgPool{KH: 1, KW: 2, StrideH: 1, StrideW: 1, Pad: Pads{Left: 1, Right: 1}, OH: 1, OW: 3, CountPad: true,
					Rule: must(quant.NewAveragePoolFloat(uint8s, uint8s)), Grid: uint8s})
			},
			want: []int64{3, 7, 4},
		}, {
			// A window that begins in the image and ends beyond the pads: the last divisor is 1.
			name: "average beyond the pads", c: 1, h: 1, w: 3, grid: uint8s, codes: []int{6, 8, 9},
			build: func(b *Builder, x Ref) Ref {
				return b.AvgPool("y", x, AvgPool{KH: 1, KW: 2, StrideH: 1, StrideW: 2, OH: 1, OW: 2, CountPad: true,
					Rule: must(quant.NewAveragePoolFixedPoint(uint8s)), Grid: uint8s})
			},
			want: []int64{7, 9},
		}, {
			// The second operand is on a grid of step ½: its codes double.
			name: "concat", c: 1, h: 1, w: 2, grid: uint8s, codes: []int{3, 4},
			build: func(b *Builder, x Ref) Ref {
				half := unsigned(8, 0.5, 1)
				z := b.Requantize("z", x, Requantize{requantizer(t, quant.Float, []float64{1}, half), half})
				return b.Concat("y", []Ref{z, x}, Concat{[]*quant.Requantizer{nil, requantizer(t, quant.Float, []float64{1}, half)}, half})
			},
			want: []int64{7, 9, 7, 9},
		}, {
			name: "pad", c: 1, h: 1, w: 2, grid: unsigned(8, 1, 7), codes: []int{3, 4},
			build: func(b *Builder, x Ref) Ref { return b.Pad("y", x, Pad{Pads{Top: 1, Right: 1}, 1, 0}) },
			want:  []int64{7, 7, 7, 7, 7, 7, 7, 7, 7, 3, 4, 7},
		}, {
			name: "slice", c: 3, h: 2, w: 2, grid: uint8s, codes: []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12},
			build: func(b *Builder, x Ref) Ref { return b.Slice("y", x, Slice{C: Range{0, 3, 2}, W: Range{1, 2, 1}}) },
			want:  []int64{4, 10, 6, 12},
		}, {
			name: "slice to the end", c: 3, h: 2, w: 2, grid: uint8s, codes: []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12},
			build: func(b *Builder, x Ref) Ref { return b.Slice("y", x, Slice{C: Range{Step: 2}, W: Range{Start: 1}}) },
			want:  []int64{4, 10, 6, 12},
		}, {
			name: "concat on one grid", c: 1, h: 1, w: 2, grid: uint8s, codes: []int{3, 4},
			build: func(b *Builder, x Ref) Ref { return b.Concat("y", []Ref{x, x}, Concat{Grid: uint8s}) },
			want:  []int64{3, 4, 3, 4},
		}, {
			name: "flatten", c: 2, h: 1, w: 2, grid: uint8s, codes: []int{1, 2, 3, 4},
			build: func(b *Builder, x Ref) Ref { return b.Flatten("y", x) },
			want:  []int64{1, 3, 2, 4},
		}, {
			name: "table", c: 2, h: 1, w: 2, grid: quant.Grid{BitWidth: 2, Signed: true, Narrow: true, Scale: []float32{1}},
			codes: []int{128 - 1, 128, 128 + 1, 128 - 1},
			build: func(b *Builder, x Ref) Ref {
				return b.Table("y", x, Table{[][]int32{{10, 20, 30}, {-1, -2, -3}}, signed(12, 1)})
			},
			want: []int64{10, 30, -2, -1},
		}, {
			// (−3)·2^-1 rounds half up to −1.
			name: "requantize", c: 1, h: 1, w: 2, grid: int8s, codes: []int{128 - 3, 128 + 3},
			build: func(b *Builder, x Ref) Ref {
				return b.Requantize("y", x, Requantize{requantizer(t, quant.Shift, []float64{1}, signed(4, 2)), signed(4, 2)})
			},
			want: []int64{-1, 2},
		}, {
			name: "requantize accumulators", c: 1, h: 1, w: 1, grid: uint8s, codes: []int{200},
			build: func(b *Builder, x Ref) Ref {
				acc := b.Linear("acc", x, Linear{O: 1, Weight: []int32{100}, WeightGrid: signed(8, 0.5)})
				return b.Requantize("y", acc, Requantize{requantizer(t, quant.Float, []float64{0.5}, signed(16, 1)), signed(16, 1)})
			},
			want: []int64{10000},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := NewBuilder("hand")
			m, _, err := b.Build(c.build(b, codesInput(b, c.c, c.h, c.w, c.grid)))
			if err != nil {
				t.Fatal(err)
			}
			image := make([]uint8, len(c.codes))
			for i, q := range c.codes {
				image[i] = uint8(q)
			}
			got, err := Interpret(m, image, nil)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("interpreter: got %v, want %v", got, c.want)
			}
			if got, err = m.Run(image); err != nil || !slices.Equal(got, c.want) {
				t.Errorf("engine: got %v, want %v (%v)", got, c.want, err)
			}
			if got, err = must(Decode(encode(t, m))).Run(image); err != nil || !slices.Equal(got, c.want) {
				t.Errorf("engine of the file: got %v, want %v (%v)", got, c.want, err)
			}
		})
	}
}

func TestInputs(t *testing.T) {
	g := quant.Grid{BitWidth: 4, Signed: true, Scale: []float32{0.5}}
	b := NewBuilder("pixels")
	p, _, err := b.Build(b.Input("x", Input{C: 2, H: 1, W: 1, A: []float32{0.125, 1}, B: []float32{-1, 0}, Grid: g}))
	if err != nil {
		t.Fatal(err)
	}
	// 20/8 − 1 = 1.5 is 3 steps, 3 is 6 steps; 255 saturates.
	if got := must(p.Run([]uint8{20, 3, 0, 255})); !slices.Equal(got, []int64{3, 6, -2, 7}) {
		t.Errorf("pixels: got %v", got)
	}
	if tab := p.Input().Op.(*Input).Table(); len(tab) != 2 || tab[0][20] != 3 {
		t.Error("Table is not what Run applies")
	}
	b = NewBuilder("samples")
	f, _, err := b.Build(b.InputFloat("x", InputFloat{C: 2, H: 1, W: 1, A: []float32{0.125, 1}, B: []float32{-1, 0}, Grid: g}))
	if err != nil {
		t.Fatal(err)
	}
	if got := must(f.ClassifyFloat([]float32{20, 3, 20, 1})); !slices.Equal(got, []int{1, 0}) {
		t.Errorf("classes of samples: %v", got)
	}
	nan := float32(math.NaN())
	samples := []float32{20, 3, 0, 255, nan, -1e30}
	want := []int64{3, 6, -2, 7, 0, -8}
	if got := must(f.RunFloat(samples)); !slices.Equal(got, want) {
		t.Errorf("samples: got %v, want %v", got, want)
	}
	for i := range 3 {
		if got := must(InterpretFloat(f, samples[2*i:2*i+2], nil)); !slices.Equal(got, want[2*i:2*i+2]) {
			t.Errorf("sample %d, interpreter: got %v", i, got)
		}
	}
	if back := must(Decode(encode(t, f))); !slices.Equal(must(back.RunFloat(samples)), want) {
		t.Error("the file gives other codes")
	}
	traced := 0
	e := must(NewEngine(f, EngineOptions{}))
	if err := e.TraceFloat(samples, func(_, image int, codes []int64) {
		traced++
		if !slices.Equal(codes, want[2*image:2*image+2]) {
			t.Errorf("trace of image %d: %v", image, codes)
		}
	}); err != nil || traced != 3 {
		t.Errorf("TraceFloat: %d calls, %v", traced, err)
	}
	for name, err := range map[string]error{
		"floats for pixels":      second(p.RunFloat(samples)),
		"pixels for floats":      second(f.Run([]uint8{1, 2})),
		"half an image":          second(p.Run([]uint8{1})),
		"interpret two images":   second(Interpret(p, []uint8{1, 2, 3, 4}, nil)),
		"interpret other floats": second(InterpretFloat(p, samples[:2], nil)),
		"interpret other pixels": second(Interpret(f, []uint8{1, 2}, nil)),
		"trace pixels":           e.Trace([]uint8{1, 2}, nil),
		"classify":               second(f.Classify([]uint8{1, 2})),
	} {
		if !errors.Is(err, ErrInput) || !strings.HasPrefix(err.Error(), "integer: input does not fit: ") {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if got := must(p.Run(nil)); len(got) != 0 {
		t.Errorf("no images: %v", got)
	}
}

func TestClassify(t *testing.T) {
	b := NewBuilder("classes")
	x := codesInput(b, 3, 1, 1, unsigned(8, 1, 0))
	m, _, err := b.Build(x)
	if err != nil {
		t.Fatal(err)
	}
	got := must(m.Classify([]uint8{1, 2, 3, 9, 4, 9, 5, 5, 5, 0, 7, 7}))
	if want := []int{2, 0, 0, 1}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v: ties go to the lowest class", got, want)
	}
}
