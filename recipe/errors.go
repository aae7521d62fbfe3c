package recipe

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/bitgrad/bitgrad/datasets"
	"github.com/bitgrad/bitgrad/fakequant"
	"github.com/bitgrad/bitgrad/internal/files"
	"github.com/bitgrad/bitgrad/layers"
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

// An Interrupted error says where a run that was stopped can be continued.
type Interrupted struct {
	Dir   string // the run
	Stage string // what was being done
	Task  string // the task of the run: "train"
	Err   error  // why it stopped
}

// Error names the stage.
func (e *Interrupted) Error() string {
	return fmt.Sprintf("recipe: interrupted during stage %s: %v", e.Stage, e.Err)
}

// Unwrap returns the reason.
func (e *Interrupted) Unwrap() error { return e.Err }

// Command returns the command line that continues the run.
func (e *Interrupted) Command() string { return "bitgrad " + e.Task + " --resume " + e.Dir }

// IsCall reports whether err says that the call was wrong, and not that the work
// failed: an unknown name, a bad specification, a file that is not there.
func IsCall(err error) bool {
	for _, sentinel := range []error{
		ErrConfig, fakequant.ErrSpec, fakequant.ErrRule, layers.ErrNet, layers.ErrInput, optim.ErrConfig,
		datasets.ErrMissing, datasets.ErrUnknown, datasets.ErrOption, files.ErrRunExists, fs.ErrNotExist,
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
