package cgen

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/bitgrad/bitgrad/integer"
)

// TestPlantedFaultsAreCaught proves that the test vectors see wrong arithmetic: each fault is
// planted into a correct program, which must then name the node that is wrong.
func TestPlantedFaultsAreCaught(t *testing.T) {
	cc := compiler(t)
	faults := []struct{ name, old, new, node string }{
		{"none", "", "", ""},
		{"table entry", "_0_input_table[512] = {\n    -32,", "_0_input_table[512] = {\n    -31,", "input"},
		{"weight", "_1_narrow_weight[28] = {\n    ", "_1_narrow_weight[28] = {\n    1 ^ ", "narrow"},
		{"bias", "_1_narrow_bias[4] = {\n    100", "_1_narrow_bias[4] = {\n    132", "narrow"},
		{"sign of packed weights", "if (sign && code", "if (!sign && code", "narrow"},
		{"bits of two bytes", "if (first + bits > 8)", "if (first + bits > 9)", "narrow"},
		{"border", "if (h < 0 || h >= 9)", "if (h < 0 || h >= 8)", "narrow"},
		{"shift rounds down", "acc + ((int64_t)1 << (n - 1))", "acc", "narrow"},
		{"shift rounds half down", "acc + ((int64_t)1 << (n - 1))", "acc + ((int64_t)1 << (n - 1)) - 1", "narrow"},
		{"no clamp", "v < lo ? lo : v > hi ? hi : (int32_t)v", "lo < hi ? (int32_t)v : 0", "narrow"},
		{"group", "x + o / 1 * 81", "x + o / 2 * 81", "float"},
		{"half away", "rest == 0.5f && n % 2 != 0", "rest == 0.5f", "float"},
		{"rounding constant", "rest > 0.5f", "rest > 0.4f", "float"},
		{"zero point", "-133.0f, 122.0f) + 5", "-133.0f, 122.0f) + 4", "float"},
		{"float clamp", "-133.0f, 122.0f) + 5", "-133.0f, 121.0f) + 5", "float"},
		{"sign of the difference", "float b = (float)", "float b = -(float)", "difference"},
		{"average rounds down", "(2 * (rest * up) + den)", "(2 * (rest * up))", "average"},
		{"average divides towards zero", "if (rest < 0)", "if (rest > den)", "average"},
		{"divisor", "int32_t n = (h1 - h0)", "int32_t n = 3", "average"},
		{"maximum", "> best)", "< best)", "maximum"},
		{"single rounding", "((int64_t)1 << (30 - e))", "((int64_t)1 << (29 - e))", "once"},
		{"double rounding", "(mask >> 1) + (high < 0)", "(mask >> 1)", "twice"},
		{"common scale", "_ratio[3] = {\n    1.0f", "_ratio[3] = {\n    0.99f", "logits"},
	}
	dir := t.TempDir()
	var models []*integer.Model
	var options []Options
	m := workshop(t)
	for k := range faults {
		models = append(models, m)
		options = append(options, Options{Prefix: fmt.Sprintf("f%d", k), Images: noise(m, 3)})
	}
	text := batch(t, dir, models, options)
	for k, f := range faults {
		path := filepath.Join(dir, options[k].Prefix+".h")
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(data), f.old) {
			t.Fatalf("%s: the header does not contain %q:\n%s", f.name, f.old, data)
		}
		if f.old != "" {
			data = []byte(strings.Replace(string(data), f.old, f.new, 1))
		}
		if err := os.WriteFile(path, data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	out, status := run(t, build(t, cc, dir, "faults", text, "-O1", "-std=c99", "-ffp-contract=off"))
	if status != len(faults)-1 {
		t.Errorf("%d programs differ, want %d", status, len(faults)-1)
	}
	for k, f := range faults {
		first := regexp.MustCompile(fmt.Sprintf(`(?m)^f%d: node \d+ \((.*)\), image`, k)).FindStringSubmatch(out)
		switch {
		case f.node == "" && first != nil:
			t.Errorf("%s: difference in %s", f.name, first[1])
		case f.node != "" && first == nil:
			t.Errorf("%s: not seen", f.name)
		case f.node != "" && first[1] != f.node:
			t.Errorf("%s: seen at %s, want %s", f.name, first[1], f.node)
		}
	}
}
