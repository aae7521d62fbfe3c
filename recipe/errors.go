package recipe

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/bitgrad/bitgrad/datasets"
	"github.com/bitgrad/bitgrad/fakequant"
	"github.com/bitgrad/bitgrad/internal/files"
	"github.com/bitgrad/bitgrad/layers"
	"github.com/bitgrad/bitgrad/netfile"
	"github.com/bitgrad/bitgrad/optim"
)

var (
	// ErrConfig marks a configuration, or a call, that cannot work.
	ErrConfig = errors.New("recipe: invalid configuration")
	// ErrRun marks a directory that is not a run, or a damaged one.
	ErrRun = errors.New("recipe: not a run that can be used")
	// ErrWeights marks a file of weights that does not fit.
	ErrWeights = errors.New("recipe: weights do not fit")
	// ErrDiffers marks an integer model that does not compute what its graph does.
	ErrDiffers = errors.New("recipe: integer model and graph differ")
)

// A StageError says in which stage of which run the work stopped. Everything that
// was done before is on disk.
type StageError struct {
	Dir   string // the run
	Task  string // of the run: Train
	Stage string
	// Interrupted is true where nothing went wrong: the context was cancelled.
	Interrupted bool
	Err         error
}

// Error names the stage.
func (e *StageError) Error() string {
	if e.Interrupted {
		return fmt.Sprintf("recipe: interrupted in stage %s: %v", e.Stage, e.Err)
	}
	return fmt.Sprintf("recipe: stage %s: %v", e.Stage, e.Err)
}

// Unwrap returns the reason.
func (e *StageError) Unwrap() error { return e.Err }

// Command returns the command line that continues the run where that may help: after an
// interruption, and after a file that could not be written. It is empty otherwise.
func (e *StageError) Command() string {
	var disk *files.WriteError
	if e.Interrupted || errors.As(e.Err, &disk) {
		return "bitgrad " + e.Task + " --resume " + e.Dir
	}
	return ""
}

// IsCall reports whether err says that the call was wrong, and not that the work
// failed: an unknown name, a bad specification, a file that is not there.
func IsCall(err error) bool {
	if failed := (*StageError)(nil); errors.As(err, &failed) {
		return false
	}
	for _, sentinel := range []error{
		ErrConfig, fakequant.ErrSpec, fakequant.ErrRule, layers.ErrNet, layers.ErrInput, netfile.ErrSyntax, optim.ErrConfig,
		datasets.ErrMissing, datasets.ErrUnknown, datasets.ErrOption, files.ErrRunExists, files.ErrRunBusy, fs.ErrNotExist,
	} {
		if errors.Is(err, sentinel) {
			return true
		}
	}
	return false
}

func configError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrConfig, fmt.Sprintf(format, args...))
}
