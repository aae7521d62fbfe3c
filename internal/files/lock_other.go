//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package files

import (
	"errors"
	"io/fs"
	"os"
)

// acquire creates the file.
func acquire(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, fs.ErrExist) {
		return nil, errHeld
	}
	return file, err
}

// release removes the file.
func release(file *os.File) {
	file.Close()
	os.Remove(file.Name())
}

// byHand names the file, which a process that was killed leaves behind.
func byHand(path string) string { return path }
