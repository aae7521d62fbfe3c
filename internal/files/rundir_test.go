package files

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestCreateRunDir(t *testing.T) {
	path := filepath.Join(t.TempDir(), "runs", "lenet")
	if err := CreateRunDir(path); err != nil {
		t.Fatal(err)
	}
	err := CreateRunDir(path)
	want := "files: run directory " + path + " exists: choose another with --out, or continue it with --resume"
	var exists *RunExistsError
	if !errors.Is(err, ErrRunExists) || !errors.As(err, &exists) || exists.Path != path || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	file := filepath.Join(path, "config")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := CreateRunDir(file); !errors.Is(err, ErrRunExists) {
		t.Errorf("a file is there: got %v", err)
	}
	if err := CreateRunDir(filepath.Join(file, "below")); err == nil || errors.Is(err, ErrRunExists) ||
		!strings.HasPrefix(err.Error(), "files: create run directory ") {
		t.Errorf("below a file: got %v", err)
	}
}

func TestNextRun(t *testing.T) {
	parent := filepath.Join(t.TempDir(), "deep", "runs")
	next := func(want string) {
		t.Helper()
		got, err := NextRun(parent)
		if err != nil || got != filepath.Join(parent, want) {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
		if info, err := os.Stat(got); err != nil || !info.IsDir() {
			t.Errorf("%s was not created: %v", got, err)
		}
	}
	next("001")
	next("002")
	next("003")
	if err := os.Remove(filepath.Join(parent, "002")); err != nil {
		t.Fatal(err)
	}
	next("004")
	for _, other := range []string{"0100", "8", "-50", "+60", "lenet", "99999999999999999999"} {
		if err := os.Mkdir(filepath.Join(parent, other), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	next("005")
	if err := os.WriteFile(filepath.Join(parent, "998"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	next("999")
	next("1000")
	next("1001")
	if _, err := NextRun(filepath.Join(parent, "998")); err == nil || !strings.HasPrefix(err.Error(), "files: next run in ") {
		t.Errorf("parent is a file: got %v", err)
	}
}

func TestNextRunNeverGivesTwice(t *testing.T) {
	parent := t.TempDir()
	paths := make([]string, 32)
	var wait sync.WaitGroup
	for i := range paths {
		wait.Go(func() {
			var err error
			if paths[i], err = NextRun(parent); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	slices.Sort(paths)
	if distinct := len(slices.Compact(slices.Clone(paths))); distinct != len(paths) {
		t.Errorf("%d runs got %d directories", len(paths), distinct)
	}
	if want := filepath.Join(parent, "032"); paths[31] != want {
		t.Errorf("got %s last, want %s", paths[31], want)
	}
}
