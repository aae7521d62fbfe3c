package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestQuickstart(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for some seconds")
	}
	diff := quickstart(context.Background(), 1, 1, filepath.Join(t.TempDir(), "lenet.safetensors"))
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
	program, _, closed := strings.Cut(program, "```")
	if !ok || !closed {
		t.Fatal("the README has no program")
	}
	if !strings.Contains(flat(string(source)), flat(program)) {
		t.Errorf("the program of the README is not in examples/quickstart/main.go:\n%s", program)
	}
}
