package cgen_test

import (
	"bufio"
	"bytes"
	"fmt"
	"log"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bitgrad/bitgrad/export/cgen"
	"github.com/bitgrad/bitgrad/integer"
	"github.com/bitgrad/bitgrad/quant"
)

// A linear layer of one output: three 2-bit weights lie in one byte.
func ExampleWriteHeader() {
	pixels := quant.Grid{BitWidth: 8, Scale: []float32{1.0 / 255}}
	weights := quant.Grid{BitWidth: 2, Signed: true, Scale: []float32{0.5}}
	b := integer.NewBuilder("sum")
	x := b.Input("input", integer.Input{C: 3, H: 1, W: 1, A: []float32{1.0 / 255, 1.0 / 255, 1.0 / 255}, B: make([]float32, 3), Grid: pixels})
	x = b.Linear("fc", x, integer.Linear{O: 1, Weight: []int32{1, -2, -1}, WeightGrid: weights, Bias: []int64{100}})
	m, _, err := b.Build(x)
	if err != nil {
		log.Fatal(err)
	}

	var text bytes.Buffer
	if err := cgen.WriteHeader(&text, m, cgen.Options{Prefix: "sum"}); err != nil {
		log.Fatal(err)
	}
	show := false
	for lines := bufio.NewScanner(&text); lines.Scan(); {
		show = show && lines.Text() != "" || strings.HasPrefix(lines.Text(), "/* fc")
		if show {
			fmt.Println(lines.Text())
		}
	}
	// Output:
	// /* fc: linear, weights [1 3]. */
	// static void sum_1_fc(const uint8_t *x, int32_t *y)
	// {
	//     int32_t o, i;
	//     for (o = 0; o < 1; o++) {
	//         const int8_t *w = sum_row;
	//         int32_t acc = sum_1_fc_bias[o];
	//         sum_unpack(sum_1_fc_weight + (size_t)o * 1, 3, 2, 1, sum_row);
	//         for (i = 0; i < 3; i++)
	//             acc += (int32_t)x[i] * (int32_t)w[i];
	//         y[o] = (int32_t)acc;
	//     }
	// }
}

// The call of the package comment, in an empty folder.
func TestWriteAsDocumented(t *testing.T) {
	pixels := quant.Grid{BitWidth: 8, Scale: []float32{1.0 / 255}}
	b := integer.NewBuilder("one")
	x := b.Input("input", integer.Input{C: 1, H: 1, W: 1, A: []float32{1.0 / 255}, B: []float32{0}, Grid: pixels})
	model, _, err := b.Build(b.Linear("fc", x, integer.Linear{O: 1, Weight: []int32{1}, WeightGrid: pixels}))
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	write := func(images [][]uint8) error {
		paths, err := cgen.Write("out", model, cgen.Options{Prefix: "lenet", Images: images})
		if err != nil {
			return err
		}
		if want := []string{filepath.Join("out", "lenet.h"), filepath.Join("out", "lenet_test.c")}; !slices.Equal(paths, want) {
			t.Errorf("wrote %q, want %q", paths, want)
		}
		return nil
	}
	if err := write([][]uint8{{7}}); err != nil {
		t.Error(err)
	}
}
