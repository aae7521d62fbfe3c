package quant

import (
	"errors"
	"math"
	"testing"
)

func TestInputTable(t *testing.T) {
	a, b := []float32{1.0 / 255, 1 / (255 * 0.3081)}, []float32{0, -0.1307 / 0.3081}
	tables, err := InputTable(a, b, dfp(8, true, 7), HalfEven)
	if err != nil || len(tables) != 2 {
		t.Fatalf("%d tables, error %v", len(tables), err)
	}
	for p, want := range map[int]int32{0: 0, 1: 1, 128: 64, 254: 127, 255: 127} {
		if got := tables[0][p]; got != want {
			t.Errorf("pixel %d is code %d, want %d", p, got, want)
		}
	}
	for c := range tables {
		for p := range tables[c] {
			// Both float32 steps, each from an exact float64 product or sum.
			product := float32(float64(p) * float64(a[c]))
			x := float32(float64(product) + float64(b[c]))
			want := int32(math.Min(math.Max(math.RoundToEven(float64(x)*128), -128), 127))
			if tables[c][p] != want {
				t.Errorf("channel %d, pixel %d: code %d, want %d", c, p, tables[c][p], want)
			}
		}
	}
	if got := InputCode(float32(math.NaN()), 1, 0, dfp(8, true, 7), HalfEven); got != 0 {
		t.Errorf("NaN is code %d", got)
	}
}

func TestInputTableErrors(t *testing.T) {
	one := []float32{1}
	g := dfp(8, true, 7)
	for name, c := range map[string]struct {
		a, b []float32
		g    Grid
		want error
	}{
		"unpaired":    {one, nil, g, ErrRange},
		"none":        {nil, nil, g, ErrRange},
		"NaN":         {[]float32{float32(math.NaN())}, one, g, ErrRange},
		"infinite":    {one, []float32{float32(math.Inf(-1))}, g, ErrRange},
		"per channel": {one, one, Grid{BitWidth: 8, Scale: []float32{1, 1}}, ErrScale},
		"no grid":     {one, one, Grid{}, ErrBitWidth},
	} {
		if _, err := InputTable(c.a, c.b, c.g, HalfEven); !errors.Is(err, c.want) {
			t.Errorf("%s: got error %v, want %v", name, err, c.want)
		}
	}
	if _, err := CodeTable(g, Grid{}, HalfEven, nil); !errors.Is(err, ErrBitWidth) {
		t.Errorf("no grid: got error %v, want ErrBitWidth", err)
	}
}

func TestCodeTable(t *testing.T) {
	leaky := func(v float32) float32 { return max(v, v/8) }
	table, err := CodeTable(dfp(4, true, 2), dfp(4, true, 3), HalfEven, leaky)
	if err != nil {
		t.Fatal(err)
	}
	// Codes −8 … 7 are −2 … 1.75: below zero v/8·8 = v, above 8·v saturates at 7.
	want := []int32{-2, -2, -2, -1, -1, -1, 0, 0, 0, 2, 4, 6, 7, 7, 7, 7}
	for i := range want {
		if table[i] != want[i] {
			t.Errorf("code %d becomes %d, want %d", i-8, table[i], want[i])
		}
	}
	log := func(v float32) float32 { return float32(math.Log(float64(v))) }
	table, err = CodeTable(dfp(2, true, 0), Grid{BitWidth: 4, ZeroPoint: 9, Scale: []float32{1}}, HalfEven, log)
	if err != nil || table[0] != 9 || table[2] != 0 || table[3] != 9 {
		t.Errorf("log of -2, -1, 0, 1 becomes %v, error %v", table, err)
	}
}
