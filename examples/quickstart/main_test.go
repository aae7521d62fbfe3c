package main

import (
	"context"
	"path/filepath"
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
