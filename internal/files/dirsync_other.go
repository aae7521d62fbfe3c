//go:build !unix

package files

import (
	"io/fs"
	"os"
)

// directory stands for a directory whose entries the system makes durable by
// itself, or not at all.
type directory struct{}

// openDir checks that path is a directory.
func openDir(path string) (directory, error) {
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		err = &fs.PathError{Op: "open", Path: path, Err: fs.ErrInvalid}
	}
	return directory{}, err
}

// Sync does nothing: there is no way to sync a directory here.
func (directory) Sync() error { return nil }

// Close does nothing.
func (directory) Close() error { return nil }
