package files

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// LockFile is the file in the directory of a run that a [Lock] is held on.
const LockFile = "lock"

// A Lock keeps other runs, of this process and of others, out of a directory.
type Lock struct{ file *os.File }

// LockRun takes the directory of a run; where another has it, the error is a
// [*RunBusyError]. The directory must exist. The lock ends with Release or with
// the process, whatever ends it: the file that a killed process leaves behind is
// in nobody's way. (Systems without flock have no such lock. There the file itself
// is the lock, and the error says when it has to be removed by hand.)
//
// A file system that cannot lock gives a lock that keeps nobody out.
func LockRun(dir string) (*Lock, error) {
	path := filepath.Join(dir, LockFile)
	file, err := acquire(path)
	if errors.Is(err, errHeld) {
		return nil, &RunBusyError{Path: dir, Process: holder(path), Remove: byHand(path)}
	}
	if err != nil {
		return nil, fmt.Errorf("files: lock run directory %s: %w", dir, cause(err))
	}
	// The number only helps to find the process: without it the lock holds as well.
	if err := file.Truncate(0); err == nil {
		fmt.Fprintln(file, os.Getpid())
	}
	return &Lock{file}, nil
}

// Release lets others in and removes the file. A nil lock has nothing to release.
func (l *Lock) Release() {
	if l == nil {
		return
	}
	release(l.file)
}

// errHeld is what acquire reports where another holds the lock.
var errHeld = errors.New("held")

// holder returns the number of the process that wrote the file, 0 if it does not say.
func holder(path string) int {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return max(n, 0)
}
