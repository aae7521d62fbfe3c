package methods_test

import (
	"slices"
	"testing"

	"github.com/bitgrad/bitgrad/internal/methods"
)

func TestTypes(t *testing.T) {
	ops, err := methods.Types("../../integer", "infer", "interpret")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Conv", "Input", "Requantize"} {
		if !slices.Contains(ops, name) {
			t.Errorf("%s is missing in %v", name, ops)
		}
	}
	if all, _ := methods.Types("../../integer", "infer"); slices.Contains(ops, "sums") || !slices.Contains(all, "sums") {
		t.Errorf("sums has one of the methods, but not both: %v, %v", ops, all)
	}
	if types, err := methods.Types("nowhere", "Infer"); err != nil || len(types) > 0 {
		t.Errorf("a folder without files has %v, %v", types, err)
	}
}
