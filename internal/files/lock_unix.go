//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package files

import (
	"errors"
	"os"
	"syscall"
)

// acquire opens the file and locks it.
func acquire(path string) (*os.File, error) {
	for {
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
		if err != nil {
			return nil, err
		}
		err = flock(file)
		switch {
		case errors.Is(err, syscall.EWOULDBLOCK):
			file.Close()
			return nil, errHeld
		case err != nil:
			file.Close()
			return nil, err
		case isAt(file, path):
			return file, nil
		}
		// Its holder removed the file between opening and locking it.
		file.Close()
	}
}

// flock locks a file. A file system that knows no locks offers nothing better.
func flock(file *os.File) error {
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.ENOTSUP), errors.Is(err, syscall.ENOSYS), errors.Is(err, syscall.ENOLCK):
			return nil
		default:
			return err
		}
	}
}

// isAt reports whether path still names the open file.
func isAt(file *os.File, path string) bool {
	a, err := file.Stat()
	if err != nil {
		return false
	}
	b, err := os.Stat(path)
	return err == nil && os.SameFile(a, b)
}

// release removes the file while it is locked: whoever opened it before finds
// that it is gone, and opens it again.
func release(file *os.File) {
	os.Remove(file.Name())
	file.Close()
}

// byHand is empty: no lock outlives its process.
func byHand(string) string { return "" }
