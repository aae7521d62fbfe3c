package cgen

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bitgrad/bitgrad/integer"
)

// compiler skips the test, by name, where there is no C compiler.
func compiler(t *testing.T) string {
	t.Helper()
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skipf("%s needs a C compiler: %v", t.Name(), err)
	}
	return cc
}

// strict are the flags that generated programs compile with, without a warning.
var strict = []string{"-O2", "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wshadow", "-Werror", "-ffp-contract=off"}

// build compiles the text of a program that lies in dir and returns its path.
func build(t *testing.T, cc, dir, name, text string, flags ...string) string {
	t.Helper()
	source := filepath.Join(dir, name+".c")
	if err := os.WriteFile(source, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, name)
	args := append(slices.Clone(flags), "-I"+dir, "-o", program, source)
	if out, err := exec.Command(cc, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", cc, strings.Join(args, " "), err, out)
	}
	return program
}

// run runs a program and returns what it prints and its exit status.
func run(t *testing.T, program string) (string, int) {
	t.Helper()
	cmd := exec.Command(program)
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// batch writes the programs of several models to dir and returns one that runs them all
// and returns the number of models that differ.
func batch(t *testing.T, dir string, models []*integer.Model, options []Options) string {
	t.Helper()
	var text, calls strings.Builder
	for k, m := range models {
		if _, err := Write(dir, m, options[k]); err != nil {
			t.Fatal(err)
		}
		prefix := options[k].Prefix
		fmt.Fprintf(&text, "#define main %s_main\n#include \"%s_test.c\"\n#undef main\n", prefix, prefix)
		fmt.Fprintf(&calls, "    failed += %s_main() != 0;\n", prefix)
	}
	return fmt.Sprintf("%s\nint main(void)\n{\n    int failed = 0;\n%s    return failed;\n}\n", text.String(), calls.String())
}

// TestGeneratedProgramsEqualInterpreter compiles random models, and models at the limits of the
// rules, and runs them.
func TestGeneratedProgramsEqualInterpreter(t *testing.T) {
	cc := compiler(t)
	models, options, kinds := drawModels(t, 9, 30)
	limits := extremes(t)
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		m := limits[name]
		models = append(models, m)
		options = append(options, Options{Prefix: name, Images: noise(m, 3)})
	}
	dir := t.TempDir()
	out, status := run(t, build(t, cc, dir, "all", batch(t, dir, models, options), strict...))
	if status != 0 {
		t.Errorf("%d models differ:\n%s", status, out)
	}
	if got := strings.Count(out, ", 0 differences"); got != len(models) {
		t.Errorf("%d of %d programs ran:\n%s", got, len(models), out)
	}
	for _, kind := range []string{
		"pixels", "samples", "conv", "linear", "logits", "max", "concat", "pad", "slice", "reshape", "table", "multiply",
		"quant.AddShift", "quant.AddFloat", "quant.AddFixedPoint",
		"quant.AveragePoolShift", "quant.AveragePoolFloat", "quant.AveragePoolFixedPoint",
		"input by half-even", "input by half-up", "input by half-away", "input by floor",
		"requantize by shift, double false, mid-rise false", "requantize by shift, double false, mid-rise true",
		"requantize by float, double false, mid-rise false", "requantize by float, double false, mid-rise true",
		"requantize by fixedpoint, double false, mid-rise false", "requantize by fixedpoint, double true, mid-rise false",
	} {
		if kinds[kind] == 0 {
			t.Errorf("no model has %q; there are %v", kind, slices.Sorted(maps.Keys(kinds)))
		}
	}
}
