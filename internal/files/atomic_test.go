package files

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

func writes(content string) func(io.Writer) error {
	return func(w io.Writer) error { _, err := io.WriteString(w, content); return err }
}

// checkDir fails unless dir holds exactly the files of want, name to content.
func checkDir(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if _, ok := want[entry.Name()]; !ok {
			t.Errorf("left behind: %s", entry.Name())
		}
	}
	for name, content := range want {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != content {
			t.Errorf("%s: got %.40q (%d bytes), %v, want %.40q", name, got, len(got), err, content)
		}
	}
}

func TestWriteAtomicCreatesAndReplaces(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "model")
	for _, content := range []string{"first", "second, longer", "", strings.Repeat("large", 1<<16)} {
		if err := WriteAtomic(path, writes(content)); err != nil {
			t.Fatal(err)
		}
		checkDir(t, dir, map[string]string{"model": content})
	}
	longest := strings.Repeat("n", 255)
	if err := WriteAtomic(filepath.Join(dir, longest), writes("x")); err != nil {
		t.Errorf("name of 255 bytes: %v", err)
	}
}

func TestFullDiskKeepsPreviousFile(t *testing.T) {
	const size = 1 << 18
	content := strings.Repeat("z", size)
	for _, limit := range []int64{0, 1, 1 << 16, 1<<16 + 1, size / 2, size - 1} {
		for _, previous := range []string{"", "previous"} {
			dir := t.TempDir()
			path := filepath.Join(dir, "model")
			want := map[string]string{}
			if previous != "" {
				want["model"] = previous
				if err := WriteAtomic(path, writes(previous)); err != nil {
					t.Fatal(err)
				}
			}
			err := WriteAtomicVia(path, LimitSpace(limit), writes(content))
			if !errors.Is(err, ErrNoSpace) || err.Error() != "files: write "+path+": no space left" {
				t.Errorf("%d bytes left: got %v", limit, err)
			}
			checkDir(t, dir, want)
			// A writer that ignores the error must not pass for done.
			err = WriteAtomicVia(path, LimitSpace(limit), func(w io.Writer) error {
				for range size / 64 {
					io.WriteString(w, content[:64])
				}
				return nil
			})
			if !errors.Is(err, ErrNoSpace) {
				t.Errorf("%d bytes left, error ignored: got %v", limit, err)
			}
			checkDir(t, dir, want)
		}
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "model")
	if err := WriteAtomicVia(path, LimitSpace(size), writes(content)); err != nil {
		t.Errorf("just enough space: %v", err)
	}
	checkDir(t, dir, map[string]string{"model": content})
}

func TestFailedWriterKeepsPreviousFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "model")
	if err := WriteAtomic(path, writes("previous")); err != nil {
		t.Fatal(err)
	}
	reason := errors.New("export: layer conv1: unsupported")
	err := WriteAtomic(path, func(w io.Writer) error {
		io.WriteString(w, strings.Repeat("half", 1<<16))
		return reason
	})
	var write *WriteError
	if !errors.Is(err, reason) || !errors.As(err, &write) || write.Path != path ||
		err.Error() != "files: write "+path+": export: layer conv1: unsupported" {
		t.Errorf("got %v", err)
	}
	checkDir(t, dir, map[string]string{"model": "previous"})

	func() {
		defer func() {
			if recover() != "broken" {
				t.Error("the panic was swallowed")
			}
		}()
		WriteAtomic(path, func(io.Writer) error { panic("broken") })
	}()
	checkDir(t, dir, map[string]string{"model": "previous"})
}

func TestWriteAtomicRefuses(t *testing.T) {
	dir := t.TempDir()
	readOnly := filepath.Join(dir, "readonly")
	if err := os.WriteFile(readOnly, []byte("kept"), 0o444); err != nil {
		t.Fatal(err)
	}
	absent := filepath.Join(dir, "none", "model")
	tests := []struct{ path, want string }{
		{dir, "it is a directory"},
		{filepath.Join(dir, "new") + string(filepath.Separator), "the path names no file"},
		{"", "the path names no file"},
		{readOnly, "the file there is read-only: permission denied"},
		{filepath.Join(readOnly, "model"), ""},
		{absent, ""},
	}
	for _, test := range tests {
		err := WriteAtomic(test.path, func(io.Writer) error { t.Errorf("%q: called", test.path); return nil })
		prefix := "files: write " + test.path + ": "
		if err == nil || !strings.HasPrefix(err.Error(), prefix+test.want) || strings.Contains(err.Error(), tempSuffix) {
			t.Errorf("%q: got %v, want %s%s", test.path, err, prefix, test.want)
		}
	}
	if err := WriteAtomic(absent, writes("")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no parent: got %v", err)
	}
	if err := WriteAtomic(readOnly, writes("")); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("read-only: got %v", err)
	}
	checkDir(t, dir, map[string]string{"readonly": "kept"})
	if runtime.GOOS != "windows" {
		if err := WriteAtomic(os.DevNull, writes("x")); err == nil || !strings.Contains(err.Error(), "no regular file") {
			t.Errorf("device: got %v", err)
		}
	}
}

func TestConcurrentWritersLeaveOneWholeFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "model")
	var wait sync.WaitGroup
	for i := range 8 {
		wait.Go(func() {
			if err := WriteAtomic(path, writes(strings.Repeat(fmt.Sprint(i), 1<<17))); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	got, err := os.ReadFile(path)
	if err != nil || len(got) != 1<<17 || len(bytes.Trim(got, string(got[:1]))) != 0 {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	checkDir(t, dir, map[string]string{"model": string(got)})
}

func TestRemoveLeftovers(t *testing.T) {
	dir := t.TempDir()
	for range 3 {
		file, err := createTemp(dir)
		if err != nil {
			t.Fatal(err)
		}
		file.Close()
	}
	want := map[string]string{"model": "m", ".bitgrad": "b", "x.tmp": "t"}
	for name, content := range want {
		if err := WriteAtomic(filepath.Join(dir, name), writes(content)); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := RemoveLeftovers(dir); n != 3 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	checkDir(t, dir, want)
	if _, err := RemoveLeftovers(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("absent directory: got %v", err)
	}
}
