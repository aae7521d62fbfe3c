//go:build unix

package files

import (
	"errors"
	"os"
	"syscall"
)

// directory is an open directory whose entries can be made durable.
type directory struct{ file *os.File }

// openDir opens the directory before anything in it changes, so that one
// that cannot be synced is refused early.
func openDir(path string) (directory, error) {
	file, err := os.Open(path)
	return directory{file}, err
}

// Sync makes the renames in the directory durable. A file system that cannot
// sync a directory says EINVAL or ENOTSUP; it offers nothing better.
func (d directory) Sync() error {
	err := d.file.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		return nil
	}
	return err
}

// Close releases the directory.
func (d directory) Close() error { return d.file.Close() }
