//go:build amd64 && !purego

package kernels

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// The table of variants in the package comment is that of the registry.
func TestVariantsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(text), "//\tkernel            variants                computes\n")
	if !found {
		t.Fatal("doc.go has no table of variants")
	}
	table, _, _ = strings.Cut(table, "//\n")
	want := map[string][]string{}
	for _, v := range variants {
		want[v.kernel] = append(want[v.kernel], v.needs.String())
	}
	for line := range strings.Lines(table) {
		kernel, rest, _ := strings.Cut(strings.TrimPrefix(line, "//\t"), "  ")
		levels, _, _ := strings.Cut(strings.TrimLeft(rest, " "), "  ")
		got := strings.Fields(levels)
		slices.Sort(got)
		slices.Sort(want[kernel])
		if !slices.Equal(got, want[kernel]) {
			t.Errorf("%s: doc.go says %v, registered are %v", kernel, got, want[kernel])
		}
		delete(want, kernel)
	}
	for kernel, levels := range want {
		t.Errorf("%s: doc.go misses it, registered are %v", kernel, levels)
	}
}
