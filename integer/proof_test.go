package integer

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/bitgrad/bitgrad/quant"
)

// linearBound builds a linear layer on n inputs whose weights are all w, and returns what was
// proved, the width of the accumulators and the error.
func linearBound(x, w quant.Grid, n int, code int32, bias int64, r *quant.Requantizer) (Bound, Type, error) {
	b := NewBuilder("bound")
	weights := make([]int32, n)
	for i := range weights {
		weights[i] = code
	}
	l := Linear{O: 1, Weight: weights, WeightGrid: w, Bias: []int64{bias}, Requant: r, Grid: signed(8, 1)}
	m, p, err := b.Build(b.Linear("fc", codesInput(b, n, 1, 1, x), l))
	if err != nil {
		return Bound{}, Type{}, err
	}
	return p.Nodes[1].Bound, m.Nodes[1].Out, nil
}

func TestProof(t *testing.T) {
	shift8 := must(quant.NewRequantizer(quant.Shift, []float64{1. / 256}, signed(8, 1)))
	for _, c := range []struct {
		name string
		x, w quant.Grid
		n    int
		code int32
		bias int64
		r    *quant.Requantizer
		want Bound
		bits int
	}{
		{"255·127 + 1000", unsigned(8, 1, 0), signed(8, 1), 1, 127, 1000, nil, Bound{Float24, 33385, 0, 8}, 32},
		{"with rounding", unsigned(8, 1, 0), signed(8, 1./256), 1, 127, 1000, &shift8, Bound{Float24, 33385 + 128, 0, 8}, 8},
		{"the zero point counts", unsigned(8, 1, 200), signed(8, 1), 1, 127, 0, nil, Bound{Float24, 200 * 127, 0, 9}, 32},
		{"exactly 2^24", unsigned(8, 1, 0), signed(8, 1), 4, -128, 1<<24 - 4*255*128, nil, Bound{Float24, 1 << 24, 0, 0}, 32},
		{"above 2^24", unsigned(8, 1, 0), signed(8, 1), 4, -128, 1<<24 - 4*255*128 + 1, nil, Bound{Int32, 1<<24 + 1, 0, 6}, 32},
		// |q − z| ≤ 128, but the codes themselves reach 255: the raw sum leaves float32.
		{"raw sums above 2^24", unsigned(8, 1, 128), signed(8, 1), 600, -128, 0, nil, Bound{Int32, 600 * 128 * 128, 0, 7}, 32},
		{"below 2^31", unsigned(8, 1, 0), signed(8, 1), 1, 1, 1<<31 - 256 - 300, nil, Bound{Int32, 1<<31 - 301, 0, 0}, 32},
		{"2^31", unsigned(8, 1, 0), signed(8, 1), 1, 1, 1<<31 - 255, nil, Bound{Int64, 1 << 31, 0, 30}, 64},
		{"wide codes", unsigned(12, 1, 0), signed(4, 1), 1, 7, 0, nil, Bound{Int64, 7 * 4095, 0, 46}, 32},
		{"wide weights", unsigned(4, 1, 0), signed(16, 1), 1, 7, 0, nil, Bound{Int64, 7 * 15, 0, 54}, 32},
		{"nothing", unsigned(8, 1, 0), signed(8, 1), 1, 0, 0, nil, Bound{Float24, 0, 0, 24}, 32},
	} {
		got, out, err := linearBound(c.x, c.w, c.n, c.code, c.bias, c.r)
		if err != nil || got != c.want || out.Bits != c.bits {
			t.Errorf("%s: got %+v, %d bits (%v), want %+v, %d bits", c.name, got, out.Bits, err, c.want, c.bits)
		}
	}
	if _, _, err := linearBound(unsigned(8, 1, 0), signed(8, 1), 1, 1, 1<<61, nil); !errors.Is(err, ErrBound) {
		t.Errorf("2^61: error %v", err)
	}
	if _, _, err := linearBound(unsigned(8, 1, 0), signed(8, 1), 1, 1, -1<<63, nil); !errors.Is(err, ErrBound) {
		t.Errorf("-2^63: error %v", err)
	}
	fixed := must(quant.NewRequantizer(quant.FixedPoint, []float64{1}, signed(8, 1)))
	if _, _, err := linearBound(unsigned(8, 1, 0), signed(8, 1), 1, 1, 1<<31, &fixed); !errors.Is(err, ErrBound) {
		t.Errorf("fixedpoint beyond 32 bits: error %v", err)
	}
}

// TestProofIsTight runs the input that makes the sum of each channel largest: it must
// reach the bound and not pass it.
func TestProofIsTight(t *testing.T) {
	b := NewBuilder("tight")
	x := codesInput(b, 4, 1, 1, unsigned(8, 1, 0))
	x = b.Linear("fc", x, Linear{O: 2, Weight: []int32{-5, -7, -128, -1, 3, 0, 1, 2}, WeightGrid: signed(8, 1), Bias: []int64{-11, 4}})
	m, p, err := b.Build(x)
	if err != nil {
		t.Fatal(err)
	}
	got := must(m.Run([]uint8{255, 255, 255, 255}))
	if n := p.Nodes[1]; n.Worst != -got[0] || n.Channel != 0 || n.Name != "fc" {
		t.Errorf("%+v, the sums are %v", n, got)
	}
	if m.Proof() != p {
		t.Error("the model does not keep its proof")
	}
	if want := "node  worst sum  channel  headroom  accumulator\nfc    35966      0        8 bits    float32\n"; p.String() != want {
		t.Errorf("got\n%s", p)
	}
}

func TestWordsOfEnums(t *testing.T) {
	for a, want := range map[Accumulator]string{NoAccumulator: "none", Int64: "int64", 9: "accumulator(9)"} {
		if a.String() != want {
			t.Errorf("got %q, want %q", a, want)
		}
	}
	if got := (Type{3, 4, 5, 4, false}).String() + " " + (Type{1, 1, 1, 32, true}).String(); got != "uint4 [3 4 5] int32 [1 1 1]" {
		t.Errorf("got %q", got)
	}
}

// TestBuilderRefuses makes one mistake at a time.
func TestBuilderRefuses(t *testing.T) {
	u8, s8 := unsigned(8, 1, 0), signed(8, 1)
	mid := quant.Grid{BitWidth: 4, Signed: true, MidRise: true, Scale: []float32{1}}
	shift := must(quant.NewRequantizer(quant.Shift, []float64{1}, s8))
	conv := func(edit func(*Conv)) func(b *Builder, x Ref) Ref {
		return func(b *Builder, x Ref) Ref {
			r := shift
			c := Conv{O: 1, KH: 1, KW: 1, Weight: []int32{1, 1}, WeightGrid: s8, Requant: &r, Grid: s8}
			edit(&c)
			return b.Conv("y", x, c)
		}
	}
	pool := must(quant.NewAveragePoolShift(u8, u8))
	for _, c := range []struct {
		name  string
		want  error
		text  string
		build func(b *Builder, x Ref) Ref // x is uint8 [2 4 4]
	}{
		{"no weights", ErrShape, "0 weights", conv(func(c *Conv) { c.Weight = nil })},
		{"no channels", ErrShape, "groups", conv(func(c *Conv) { c.O = 0 })},
		{"weight code", ErrGrid, "weight 1 has code 128", conv(func(c *Conv) { c.Weight = []int32{0, 128} })},
		{"weight grid", quant.ErrBitWidth, "grid of the weights", conv(func(c *Conv) { c.WeightGrid.BitWidth = 17 })},
		{"weight scales", ErrGrid, "3 scales", conv(func(c *Conv) { c.WeightGrid = signed(8, 1, 1, 1) })},
		{"bias", ErrShape, "2 biases", conv(func(c *Conv) { c.Bias = []int64{1, 2} })},
		{"groups", ErrShape, "3 groups", conv(func(c *Conv) { c.Groups = 3 })},
		{"kernel", ErrShape, "kernel height", conv(func(c *Conv) { c.KH = -1 })},
		{"stride", ErrShape, "stride of rows", conv(func(c *Conv) { c.StrideH = -1 })},
		{"pad", ErrShape, "left pad", conv(func(c *Conv) { c.Pad.Left = 1 << 20 })},
		{"window", ErrShape, "larger than the padded image", conv(func(c *Conv) { c.KH, c.Weight = 5, make([]int32, 10) })},
		{"no output grid", quant.ErrBitWidth, "grid of the output", conv(func(c *Conv) { c.Grid = quant.Grid{} })},
		{"per-channel output", ErrGrid, "one per tensor", conv(func(c *Conv) { c.Grid = signed(8, 1, 1) })},
		{"shift", ErrGrid, "the grids say", conv(func(c *Conv) { c.Requant.Shift = []int32{1} })},
		{"shift count", quant.ErrRule, "requantizer", conv(func(c *Conv) { c.Requant.Shift = []int32{0, 0} })},
		{"clamp", ErrGrid, "clamp range", conv(func(c *Conv) { c.Requant.Hi = 128 })},
		{"zero point", ErrGrid, "zero point", conv(func(c *Conv) { c.Grid.ZeroPoint = 1 })},
		{"mid-rise output", ErrGrid, "mid-rise", conv(func(c *Conv) { c.Grid = mid })},
		{"second input", ErrGraph, "one input", func(b *Builder, x Ref) Ref {
			return b.Input("z", Input{C: 1, H: 1, W: 1, A: []float32{1}, B: []float32{0}, Grid: u8})
		}},
		{"name twice", ErrGraph, "used twice", func(b *Builder, x Ref) Ref { return b.Flatten("x", x) }},
		{"no name", ErrGraph, "used twice", func(b *Builder, x Ref) Ref { return b.Flatten("", x) }},
		{"reference", ErrGraph, "reads node 7", func(b *Builder, x Ref) Ref { return b.Flatten("y", 7) }},
		{"linear on an image", ErrShape, "flatten it first", func(b *Builder, x Ref) Ref {
			return b.Linear("y", x, Linear{O: 1, Weight: []int32{1, 1}, WeightGrid: s8})
		}},
		{"linear without outputs", ErrShape, "0 output channels", func(b *Builder, x Ref) Ref {
			return b.Linear("y", b.Flatten("f", x), Linear{WeightGrid: s8})
		}},
		{"conv on accumulators", ErrGrid, "requantize it first", func(b *Builder, x Ref) Ref {
			x = conv(func(c *Conv) { c.Requant = nil })(b, x)
			return b.Conv("z", x, Conv{O: 1, KH: 1, KW: 1, Weight: []int32{1}, WeightGrid: s8})
		}},
		{"padded conv on mid-rise", ErrGrid, "pads must be zero", func(b *Builder, x Ref) Ref {
			r := must(quant.NewRequantizer(quant.Shift, []float64{1}, mid))
			x = b.Requantize("m", x, Requantize{&r, mid})
			return b.Conv("y", x, Conv{O: 1, KH: 1, KW: 1, Pad: PadAll(1), Weight: []int32{1, 1}, WeightGrid: s8})
		}},
		{"add of shapes", ErrShape, "operands are", func(b *Builder, x Ref) Ref {
			return b.Add("y", x, b.Flatten("f", x), Add{must(quant.NewAddShift(u8, u8, u8, false)), u8})
		}},
		{"add without a rule", ErrGrid, "by value", func(b *Builder, x Ref) Ref { return b.Add("y", x, x, Add{Grid: u8}) }},
		{"add of other grids", ErrGrid, "not that of the grids", func(b *Builder, x Ref) Ref {
			return b.Add("y", x, x, Add{must(quant.NewAddShift(s8, signed(8, 2), u8, false)), u8})
		}},
		{"multiply without a rule", ErrGrid, "no requantizer", func(b *Builder, x Ref) Ref { return b.Multiply("y", x, x, Multiply{Grid: u8}) }},
		{"max pool", ErrShape, "miss the 4 rows", func(b *Builder, x Ref) Ref {
			return b.MaxPool("y", x, MaxPool{KH: 2, KW: 2, StrideH: 2, StrideW: 2, OH: 3, OW: 2})
		}},
		{"average pool", ErrShape, "miss the 4 columns", func(b *Builder, x Ref) Ref {
			return b.AvgPool("y", x, AvgPool{KH: 2, KW: 2, StrideH: 2, StrideW: 2, Pad: Pads{Left: 2}, OH: 2, OW: 2, Rule: pool, Grid: u8})
		}},
		{"average without a rule", ErrGrid, "by value", func(b *Builder, x Ref) Ref {
			return b.AvgPool("y", x, AvgPool{KH: 1, KW: 1, StrideH: 1, StrideW: 1, OH: 4, OW: 4, Grid: u8})
		}},
		{"average of other grids", ErrGrid, "not that of the grids", func(b *Builder, x Ref) Ref {
			return b.AvgPool("y", x, AvgPool{KH: 1, KW: 1, StrideH: 1, StrideW: 1, OH: 4, OW: 4, Rule: pool, Grid: unsigned(8, 2, 0)})
		}},
		{"concat of extents", ErrShape, "operand f is", func(b *Builder, x Ref) Ref {
			return b.Concat("y", []Ref{x, b.Flatten("f", x)}, Concat{make([]*quant.Requantizer, 2), u8})
		}},
		{"concat of nothing", ErrGraph, "0 operands", func(b *Builder, x Ref) Ref { return b.Concat("y", nil, Concat{Grid: u8}) }},
		{"concat of grids", ErrGrid, "it needs a requantizer", func(b *Builder, x Ref) Ref {
			return b.Concat("y", []Ref{x}, Concat{make([]*quant.Requantizer, 1), s8})
		}},
		{"pad", ErrShape, "pad -1", func(b *Builder, x Ref) Ref { return b.Pad("y", x, Pad{Before: -1}) }},
		{"slice", ErrShape, "slice 2:2:1 of axis H", func(b *Builder, x Ref) Ref { return b.Slice("y", x, Slice{H: Range{2, 2, 1}}) }},
		{"reshape", ErrShape, "has 32 elements", func(b *Builder, x Ref) Ref { return b.Reshape("y", x, Reshape{2, 4, 3}) }},
		{"huge reshape", ErrShape, "2^28", func(b *Builder, x Ref) Ref { return b.Reshape("y", x, Reshape{1 << 20, 1 << 20, 1 << 20}) }},
		{"table entries", ErrShape, "1 entries", func(b *Builder, x Ref) Ref { return b.Table("y", x, Table{[][]int32{{1}}, u8}) }},
		{"tables", ErrShape, "0 tables", func(b *Builder, x Ref) Ref { return b.Table("y", x, Table{nil, u8}) }},
		{"table codes", ErrGrid, "entry 0 of table 0 is -1", func(b *Builder, x Ref) Ref {
			codes := make([]int32, 256)
			codes[0] = -1
			return b.Table("y", x, Table{[][]int32{codes}, u8})
		}},
		{"requantize without a rule", ErrGrid, "no requantizer", func(b *Builder, x Ref) Ref { return b.Requantize("y", x, Requantize{Grid: u8}) }},
		{"unused node", ErrGraph, "does not depend on it", func(b *Builder, x Ref) Ref { b.Flatten("f", x); return x }},
		{"output", ErrGraph, "output is node -1", func(b *Builder, x Ref) Ref { return -1 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := NewBuilder("refused")
			m, p, err := b.Build(c.build(b, codesInput(b, 2, 4, 4, u8)))
			if m != nil || p != nil || !errors.Is(err, c.want) {
				t.Fatalf("error %v, want one that wraps %v", err, c.want)
			}
			if !strings.HasPrefix(err.Error(), "integer: ") || !strings.Contains(err.Error(), c.text) {
				t.Errorf("error %q does not say %q", err, c.text)
			}
			if b.Err() != err || b.Flatten("later", 0) != -1 || b.Node(0).Op != nil {
				t.Error("the builder goes on after an error")
			}
		})
	}
	for name, in := range map[string]Input{
		"no extents":  {Grid: u8},
		"factors":     {C: 2, H: 1, W: 1, A: []float32{1}, B: []float32{1}, Grid: u8},
		"infinite":    {C: 1, H: 1, W: 1, A: []float32{1}, B: []float32{float32(math.Inf(1))}, Grid: u8},
		"stochastic":  {C: 1, H: 1, W: 1, A: []float32{1}, B: []float32{1}, Grid: u8, Rounding: quant.Stochastic},
		"no grid":     {C: 1, H: 1, W: 1, A: []float32{1}, B: []float32{1}},
		"two scales":  {C: 1, H: 1, W: 1, A: []float32{1}, B: []float32{1}, Grid: signed(8, 1, 2)},
		"many pixels": {C: 1, H: 1 << 15, W: 1 << 15, A: []float32{1}, B: []float32{1}, Grid: u8},
	} {
		b := NewBuilder("refused")
		b.Input("x", in)
		var node *NodeError
		if !errors.As(b.Err(), &node) || node.Node != "x" || node.Kind != "input" {
			t.Errorf("%s: error %v", name, b.Err())
		}
	}
	b := NewBuilder("empty")
	if b.Flatten("f", 0); !errors.Is(b.Err(), ErrGraph) {
		t.Errorf("a model without an input: %v", b.Err())
	}
	b = NewBuilder("twice")
	x := codesInput(b, 1, 1, 1, u8)
	if _, _, err := b.Build(x); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.Build(x); !errors.Is(err, ErrGraph) {
		t.Errorf("second Build: %v", err)
	}
}
