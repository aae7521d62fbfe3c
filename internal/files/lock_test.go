package files

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

func TestLockRun(t *testing.T) {
	dir := t.TempDir()
	lock, err := LockRun(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = LockRun(dir)
	want := fmt.Sprintf("files: run directory %s is in use by another process (%d)", dir, os.Getpid())
	var busy *RunBusyError
	if !errors.Is(err, ErrRunBusy) || !errors.As(err, &busy) || busy.Path != dir {
		t.Fatalf("a second lock: %v", err)
	}
	if busy.Remove = ""; busy.Error() != want {
		t.Errorf("got  %v\nwant %s", busy, want)
	}
	if text := (&RunBusyError{Path: "a", Remove: "a/lock"}).Error(); text != "files: run directory a is in use by another process: if it was killed, remove a/lock" {
		t.Error(text)
	}
	lock.Release()
	checkDir(t, dir, map[string]string{})
	again, err := LockRun(dir)
	if err != nil {
		t.Fatal(err)
	}
	again.Release()
	(*Lock)(nil).Release()

	if _, err := LockRun(filepath.Join(dir, "missing")); !errors.Is(err, os.ErrNotExist) || errors.Is(err, ErrRunBusy) {
		t.Errorf("no such directory: %v", err)
	}
}

// TestLockIsHeldByOne: whoever gets the lock is alone, although each removes the
// file that others have opened.
func TestLockIsHeldByOne(t *testing.T) {
	dir := t.TempDir()
	var inside, taken atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for taken.Load() < 200 {
				lock, err := LockRun(dir)
				if errors.Is(err, ErrRunBusy) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				if n := inside.Add(1); n != 1 {
					t.Errorf("%d hold the lock", n)
				}
				taken.Add(1)
				inside.Add(-1)
				lock.Release()
			}
		})
	}
	all.Wait()
	checkDir(t, dir, map[string]string{})
}
