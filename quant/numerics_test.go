package quant

import (
	"os"
	"strings"
	"testing"
)

// The numbers that docs/numerics.md gives for its longer examples, recomputed.
func TestNumericsPage(t *testing.T) {
	page, err := os.ReadFile("../docs/numerics.md")
	if err != nil {
		t.Fatal(err)
	}
	states := func(text string) {
		t.Helper()
		if !strings.Contains(string(page), text) {
			t.Errorf("the page does not state %q", text)
		}
	}

	// Section 5, float.
	x := Grid{BitWidth: 8, ZeroPoint: 128, Scale: []float32{0.02}}
	w := Grid{BitWidth: 8, Signed: true, Narrow: true, Scale: []float32{0.01}}
	y := Grid{BitWidth: 8, ZeroPoint: 3, Scale: []float32{0.05}}
	r, err := NewRequantizer(Float, AccScale(x, w), y)
	if err != nil {
		t.Fatal(err)
	}
	states("M = 0.0039999997 (bits 0x1.0624dcp-08)")
	if r.Multiplier[0] != 0x1.0624dcp-08 {
		t.Errorf("multiplier %x", r.Multiplier[0])
	}
	states("Bias 0.1 → 500")
	bias, ok := BiasCode(0.1, float32(x.Scale[0]*w.Scale[0]))
	if bias != 500 || !ok {
		t.Errorf("bias %d, %v", bias, ok)
	}
	states("acc = 1980 + 1120 + 500 = 3600, v = 14.399999, q = 14 + 3 = 17")
	acc := int64(x.Level(150))*int64(w.Level(90)) + int64(x.Level(100))*int64(w.Level(-40)) + bias
	if q := r.Apply(acc, 0); acc != 3600 || q != 17 {
		t.Errorf("accumulator %d, code %d", acc, q)
	}

	// Section 2, stochastic rounding.
	states("u(0) = 0.29772097, u(1) = 0.4946999")
	k := NewKeyedRand(1, 100, 0, "conv1.weight")
	if k.At(0) != 0.29772097 || k.At(1) != 0.4946999 {
		t.Errorf("random numbers %v, %v", k.At(0), k.At(1))
	}

	// Section 8, observers.
	f := UniformFormat{BitWidth: 8, Signed: true, PowerOfTwo: true}
	states("134.4 steps, code 127")
	states("fl 4, and 4.2 is code 67")
	before, _ := f.GridFromRange([]float32{0}, []float32{3})
	after, _ := f.GridFromRange([]float32{0}, []float32{4.2})
	if a, b := before.Quantize(4.2, 0, HalfUp), after.Quantize(4.2, 0, HalfUp); a != 127 || b != 67 {
		t.Errorf("4.2 is code %d, then %d", a, b)
	}

	// Section 11, fixed-point add.
	grid := func(s float32) Grid { return Grid{BitWidth: 8, Signed: true, Scale: []float32{s}} }
	states("s_a = 0.5, s_b = 0.25, s_y = 1: factors ½, ¼, 2^-20; 3 and 4: a' = 3·2^19, b' = 2^20, sum 2.5·2^20 → 3")
	for _, double := range []bool{false, true} {
		add, err := NewAddFixedPoint(grid(0.5), grid(0.25), grid(1), false, double)
		if err != nil || add.Apply(3, 4) != 3 {
			t.Errorf("fixed-point add: %d, error %v", add.Apply(3, 4), err)
		}
	}

	// Section 12, input table.
	states("Pixel 0 → −13.57 → −14; pixel 100 → 27.15 → 27; pixel 255 → 90.29 → 90")
	table, err := InputTable([]float32{0.012728234}, []float32{-0.42421296}, dfp(8, true, 5), HalfEven)
	if err != nil || table[0][0] != -14 || table[0][100] != 27 || table[0][255] != 90 {
		t.Errorf("codes %d, %d, %d, error %v", table[0][0], table[0][100], table[0][255], err)
	}

	// Section 13, an all-zero weight.
	states("the bias is roundEven(38.4) = 38")
	zero, _ := f.GridFromRange([]float32{0}, []float32{0})
	if code, _ := BiasCode(0.3, PowerOfTwo(7)*zero.Scale[0]); code != 38 {
		t.Errorf("bias code %d", code)
	}
}
