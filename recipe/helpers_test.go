package recipe

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

func TestMain(m *testing.M) {
	measureTime = 0
	os.Exit(m.Run())
}

// tiny returns a run that takes a fraction of a second and has everything: batch
// norm, a phase before the frozen one, an export.
func tiny(t *testing.T) Config {
	t.Helper()
	c, err := Default("digits")
	if err != nil {
		t.Fatal(err)
	}
	c.Net, c.Limit, c.Batch, c.Calibration, c.Verify = "smallconvnet", 256, 16, 64, 24
	c.Float.Epochs, c.Float.LearningRate = 2, 0.01
	c.Tune.Epochs, c.Tune.FrozenEpochs = 2, 1
	return c
}

func start(t *testing.T, c Config, o Options) *Result {
	t.Helper()
	if o.Dir == "" {
		o.Dir = filepath.Join(t.TempDir(), "run")
	}
	if o.Threads == 0 {
		o.Threads = 1
	}
	r, err := Start(t.Context(), c, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// content returns the files of a run that its configuration determines.
func content(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil || name == machineFile || name == resultFile {
			return err
		}
		text, err := os.ReadFile(path)
		found[filepath.ToSlash(name)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// same compares two runs byte by byte.
func same(t *testing.T, got, want map[string]string) {
	t.Helper()
	for _, name := range sortedNames(want) {
		if text, ok := got[name]; !ok {
			t.Errorf("%s is missing", name)
		} else if text != want[name] {
			t.Errorf("%s differs", name)
		}
	}
	for _, name := range sortedNames(got) {
		if _, ok := want[name]; !ok {
			t.Errorf("%s is there and should not be", name)
		}
	}
}

// countdown is a context that is cancelled when it was asked so many times.
type countdown struct {
	context.Context
	left atomic.Int64
	done chan struct{}
}

func newCountdown(ctx context.Context, n int64) *countdown {
	c := &countdown{Context: ctx, done: make(chan struct{})}
	c.left.Store(n)
	return c
}

func (c *countdown) Done() <-chan struct{} { return c.done }

func (c *countdown) Err() error {
	n := c.left.Add(-1)
	if n == 0 {
		close(c.done)
	}
	if n <= 0 {
		return context.Canceled
	}
	return nil
}

// wantError checks that err matches a sentinel and says all of words.
func wantError(t *testing.T, err, sentinel error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	if sentinel != nil && !errors.Is(err, sentinel) {
		t.Errorf("got %v, want %v", err, sentinel)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("got %q, want it to say %q", err, w)
		}
	}
}

// log is a writer that tests read.
type logText struct{ bytes.Buffer }

func (l *logText) wants(t *testing.T, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(l.String(), w) {
			t.Errorf("the log does not say %q:\n%s", w, l.String())
		}
	}
}
