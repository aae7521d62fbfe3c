package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// CreateRunDir creates the directory of a run, and its parents where they are
// missing. One that exists, empty or not, is never taken: the error is then a
// [*RunExistsError]. Of several processes that ask for one path, one gets it.
func CreateRunDir(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return fmt.Errorf("files: create run directory %s: %w", path, err)
	}
	err := os.Mkdir(path, 0o777)
	switch {
	case errors.Is(err, fs.ErrExist):
		return &RunExistsError{Path: path}
	case err != nil:
		return fmt.Errorf("files: create run directory %s: %w", path, cause(err))
	}
	return nil
}

// NextRun creates the next run directory in parent and returns its path:
// parent/001, then 002, up to 999, then 1000. The number is one above the
// highest one there, so the number of a run that was deleted in between is
// not given again. Processes that ask at the same time get different ones.
func NextRun(parent string) (string, error) {
	fail := func(err error) (string, error) {
		return "", fmt.Errorf("files: next run in %s: %w", parent, err)
	}
	if err := os.MkdirAll(parent, 0o777); err != nil {
		return fail(err)
	}
	entries, err := os.ReadDir(parent)
	if err != nil {
		return fail(cause(err))
	}
	last := 0
	for _, entry := range entries {
		if n, err := strconv.Atoi(entry.Name()); err == nil && n > last && runName(n) == entry.Name() {
			last = n
		}
	}
	for n := last + 1; n > 0; n++ {
		path := filepath.Join(parent, runName(n))
		err := os.Mkdir(path, 0o777)
		if err == nil {
			return path, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return fail(cause(err))
		}
	}
	return fail(fmt.Errorf("no number is left above %d", last))
}

func runName(n int) string { return fmt.Sprintf("%03d", n) }
