package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for a few seconds")
	}
	diff, err := run(context.Background(), 1, 1, filepath.Join(t.TempDir(), "lenet.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	if diff.Mismatches != 0 || diff.Codes < 1_000_000 || diff.Accuracy() < 0.9 {
		t.Errorf("%d of %d codes differ, accuracy %.3f", diff.Mismatches, diff.Codes, diff.Accuracy())
	}
}

// TestREADME holds the program in the README equal to the one that compiles.
func TestREADME(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	flat := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	_, program, ok := strings.Cut(string(readme), "```go\n")
	program, _, ok2 := strings.Cut(program, "```")
	if !ok || !ok2 {
		t.Fatal("the README has no program")
	}
	// The README leaves out what every Go program does with errors.
	have := flat(string(source))
	for line := range strings.Lines(program) {
		line = strings.TrimSpace(line)
		line = strings.TrimSuffix(line, " // …")
		if line != "" && !strings.Contains(have, flat(line)) {
			t.Errorf("README: %q is not in examples/quickstart/main.go", line)
		}
	}
}
