// Package files writes files that are either whole or not there, and reads
// and writes tensors in the safetensors format.
//
// A file goes to a hidden temporary name in its own directory, is synced and
// then renamed over its target: whoever opens the target sees the previous
// content or the new one, whatever fails in between. A run owns a directory
// that no other run was ever given. A safetensors file is read strictly
// (every byte of it belongs to exactly one field or tensor), written
// deterministically (equal tensors and metadata give equal bytes), and may be
// sealed: it then carries the SHA-256 of its own content, which reading
// verifies.
//
//	bias := files.FromInt32s("conv1.bias", []int{3}, []int32{-7, 0, 1 << 20})
//	err := files.SaveSafetensors(path, []files.Tensor{bias}, map[string]string{"scheme": "dfp"})
//	...
//	file, err := files.LoadSafetensors(path)
//	...
//	values, err := file.Int32s("conv1.bias")
package files

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// The temporary name is tempPrefix, sixteen hexadecimal digits, tempSuffix.
// It leaves out the target's own name, which may already be as long as the
// file system allows.
const (
	tempPrefix = ".bitgrad-"
	tempSuffix = ".tmp"
)

// WriteAtomic replaces the file at path by what write writes.
//
// The bytes go through a buffer to a temporary file in the directory of path,
// which is synced, renamed to path and made durable by syncing the directory.
// On any error, and when write panics, the temporary file is removed and
// the previous file stays as it was; a buffered write that failed is reported
// even if write ignored it. A failure of the very last step, syncing the
// directory, is reported with the new file already in place.
//
// A file that exists keeps its permissions; a symbolic link is followed. What
// is no regular file (a directory, a device) and a file without write
// permission are refused. Concurrent writers of one path do not disturb one
// another: the last rename wins.
//
// Errors are a [*WriteError].
func WriteAtomic(path string, write func(io.Writer) error) error {
	return WriteAtomicVia(path, nil, write)
}

// WriteAtomicVia is [WriteAtomic] with wrap standing between the buffer and
// the temporary file, where a test makes the disk fill or break; see
// [LimitSpace]. A nil wrap changes nothing.
func WriteAtomicVia(path string, wrap func(io.Writer) io.Writer, write func(io.Writer) error) error {
	if err := replace(path, wrap, write); err != nil {
		return &WriteError{Path: path, Err: cause(err)}
	}
	return nil
}

func replace(path string, wrap func(io.Writer) io.Writer, write func(io.Writer) error) (err error) {
	target, perm, err := resolve(path)
	if err != nil {
		return err
	}
	dir, err := openDir(filepath.Dir(target))
	if err != nil {
		return err
	}
	defer dir.Close()

	temp, err := createTemp(filepath.Dir(target))
	if err != nil {
		return err
	}
	done := false
	defer func() {
		if !done {
			temp.Close() // harmless if closed already
			os.Remove(temp.Name())
		}
	}()
	if perm != 0 {
		if err := temp.Chmod(perm); err != nil {
			return err
		}
	}

	var sink io.Writer = temp
	if wrap != nil {
		sink = wrap(temp)
	}
	buffer := bufio.NewWriterSize(sink, 1<<16)
	if err := write(buffer); err != nil {
		return err
	}
	if err := buffer.Flush(); err != nil {
		return err
	}
	if err := temp.Sync(); err != nil {
		return err
	}
	if err := temp.Close(); err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), target); err != nil {
		return err
	}
	done = true
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("the new file is in place, but a power failure may undo that: %w", cause(err))
	}
	return nil
}

// resolve follows path to the file that is to be replaced and returns its
// permissions, 0 if there is no such file yet.
func resolve(path string) (target string, perm fs.FileMode, err error) {
	if _, name := filepath.Split(path); name == "" {
		return "", 0, errors.New("the path names no file")
	}
	if link, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return path, 0, nil
	} else if err != nil {
		return "", 0, err
	} else if link.Mode()&fs.ModeSymlink != 0 {
		if path, err = filepath.EvalSymlinks(path); err != nil {
			return "", 0, err
		}
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return "", 0, err
	case info.IsDir():
		return "", 0, errors.New("it is a directory")
	case !info.Mode().IsRegular():
		return "", 0, errors.New("it is no regular file")
	case info.Mode().Perm()&0o222 == 0:
		return "", 0, fmt.Errorf("the file there is read-only: %w", fs.ErrPermission)
	}
	return path, info.Mode().Perm(), nil
}

// createTemp creates an empty file under a new hidden name in dir. Unlike
// [os.CreateTemp] it leaves the permissions of a new file to the umask.
func createTemp(dir string) (*os.File, error) {
	const attempts = 100
	var file *os.File
	err := fs.ErrExist
	for i := 0; i < attempts && errors.Is(err, fs.ErrExist); i++ {
		name := fmt.Sprintf("%s%016x%s", tempPrefix, rand.Uint64(), tempSuffix)
		file, err = os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	}
	return file, err
}

// RemoveLeftovers removes from dir the temporary files of writers that were
// killed, and returns how many there were. Nobody may be writing in dir; the
// process that continues a run calls it on the directory of that run.
func RemoveLeftovers(dir string) (int, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, fmt.Errorf("files: clean %s: %w", dir, cause(err))
	}
	removed := 0
	for _, entry := range entries {
		name := entry.Name()
		if !entry.Type().IsRegular() || !strings.HasPrefix(name, tempPrefix) || !strings.HasSuffix(name, tempSuffix) {
			continue
		}
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			return removed, fmt.Errorf("files: clean %s: %w", dir, cause(err))
		}
		removed++
	}
	return removed, nil
}

// LimitSpace returns a wrapper for [WriteAtomicVia] that behaves as a disk
// with space for n more bytes: the write that exceeds it is cut short and
// fails with [ErrNoSpace], as does each later one.
func LimitSpace(n int64) func(io.Writer) io.Writer {
	return func(w io.Writer) io.Writer { return &limitedWriter{w: w, left: n} }
}

type limitedWriter struct {
	w    io.Writer
	left int64
}

func (l *limitedWriter) Write(p []byte) (int, error) {
	if int64(len(p)) <= l.left {
		n, err := l.w.Write(p)
		l.left -= int64(n)
		return n, err
	}
	n, err := l.w.Write(p[:max(l.left, 0)])
	l.left = 0
	if err == nil {
		err = ErrNoSpace
	}
	return n, err
}

// cause strips from an error of the os package the operation and the path,
// which may be that of the temporary file: the caller's message names the
// target.
func cause(err error) error {
	switch e := err.(type) { // not errors.As: a wrapped one belongs to the caller's text
	case *fs.PathError:
		return e.Err
	case *os.LinkError:
		return e.Err
	}
	return err
}
