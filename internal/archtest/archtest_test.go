package archtest

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestModule applies the rules to the module.
func TestModule(t *testing.T) {
	// Files are read in-process, so that go test sees which they are and does
	// not take an old result from its cache.
	root := filepath.Join("..", "..")
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		t.Fatal(err)
	}
	module, err := load(os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	if packages := module.packages(); !slices.Contains(packages, "quant") || !slices.Contains(packages, "internal/archtest") {
		t.Fatalf("found only the packages %v", packages)
	}
	module.panics = panics
	for _, v := range module.check() {
		t.Errorf("%s: %v", v.rule, v)
	}
}

// TestTable holds the tables to what the other tests take for granted.
func TestTable(t *testing.T) {
	for i, a := range house {
		if i > 0 && a.floor < house[i-1].floor {
			t.Errorf("%s is listed above its floor", a.pattern)
		}
		for _, b := range house[:i] {
			if match(a.pattern, b.pattern) || match(b.pattern, a.pattern) {
				t.Errorf("%s and %s overlap", a.pattern, b.pattern)
			}
		}
		if matches(helpers, a.pattern) {
			t.Errorf("%s has a floor and is a helper", a.pattern)
		}
	}
	for i, a := range dependencies {
		for _, b := range dependencies[:i] {
			if match(a.path+"/...", b.path) || match(b.path+"/...", a.path) {
				t.Errorf("%s and %s overlap", a.path, b.path)
			}
		}
		if a.why == "" {
			t.Errorf("%s has no reason", a.path)
		}
	}
	for _, p := range panics {
		if _, err := path.Match(p.pattern, ""); err != nil || !strings.Contains(p.pattern, ": ") || p.why == "" {
			t.Errorf("%q: want a pattern of file and function, and a reason", p.pattern)
		}
	}
}
