package train

import (
	"errors"
	"fmt"
	"strings"

	"github.com/bitgrad/bitgrad/internal/files"
)

// Errors of a call.
var (
	// ErrOption marks options that cannot work.
	ErrOption = errors.New("train: invalid option")
	// ErrData marks a data set that does not fit the network.
	ErrData = errors.New("train: data does not fit the network")
)

// Errors of a run.
var (
	// ErrNotFinite marks a loss, a value or a gradient that is NaN or infinite.
	ErrNotFinite = errors.New("train: not finite")
	// ErrStopped marks a run that was cancelled; the error also matches that of
	// the context.
	ErrStopped = errors.New("train: stopped")
)

// Errors of files.
var (
	// ErrCheckpoint marks a checkpoint that this run cannot continue from.
	ErrCheckpoint = errors.New("train: checkpoint does not fit")
	// ErrWeights marks a file of weights that does not fit the network.
	ErrWeights = errors.New("train: weights do not fit")
	// ErrBusy marks the directory of a run that another process is using.
	ErrBusy = files.ErrRunBusy
)

func optionError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrOption, fmt.Sprintf(format, args...))
}

// NotFiniteError says where a bad number came up first. Nothing of the step, or
// of the calibration, that met it was kept.
type NotFiniteError struct {
	// During is "fit", "calibrate" or "evaluate".
	During string
	// Epoch and Step number the step, from 1; 0 outside of Fit. Batch is the
	// number of the batch, from 1, in its epoch, or in the calibration or
	// evaluation.
	Epoch int
	Step  int64
	Batch int
	// What is bad: "the loss is NaN", or the gradient of a parameter.
	What string
	// Node is the first node, run unfused, whose value is bad: an input, a
	// parameter or an operation. It is empty where all of them are finite.
	Node string
}

func (e *NotFiniteError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v: %s: ", ErrNotFinite, e.During)
	if e.Step > 0 {
		fmt.Fprintf(&b, "epoch %d, step %d: ", e.Epoch, e.Step)
	} else {
		fmt.Fprintf(&b, "batch %d: ", e.Batch)
	}
	b.WriteString(e.What)
	if e.Node != "" {
		fmt.Fprintf(&b, "; the first node with a bad value is %s", e.Node)
	}
	return b.String()
}

// Unwrap returns [ErrNotFinite].
func (e *NotFiniteError) Unwrap() error { return ErrNotFinite }

// StoppedError says where a cancelled run stopped.
type StoppedError struct {
	// Epoch, from 1, is the epoch that was running; Steps of Total are done.
	Epoch        int
	Steps, Total int64
	// Checkpoint is the file to continue from; empty where none was asked for.
	Checkpoint string
	// Err is the error of the context.
	Err error
}

func (e *StoppedError) Error() string {
	s := fmt.Sprintf("%v: after step %d of %d, in epoch %d", ErrStopped, e.Steps, e.Total, e.Epoch)
	if e.Checkpoint != "" {
		s += "; continue from " + e.Checkpoint
	}
	return fmt.Sprintf("%s: %v", s, e.Err)
}

// Unwrap returns [ErrStopped] and the error of the context.
func (e *StoppedError) Unwrap() []error { return []error{ErrStopped, e.Err} }

// CheckpointError says in what a checkpoint and a run differ.
type CheckpointError struct {
	// Path is the file, empty where it has none.
	Path string
	// Reasons has one sentence for each difference.
	Reasons []string
}

func (e *CheckpointError) Error() string {
	const shown = 5
	reasons := e.Reasons
	more := ""
	if len(reasons) > shown {
		more = fmt.Sprintf("; and %d more differences", len(reasons)-shown)
		reasons = reasons[:shown]
	}
	s := ErrCheckpoint.Error()
	if e.Path != "" {
		s += ": " + e.Path
	}
	return s + ": " + strings.Join(reasons, "; ") + more
}

// Unwrap returns [ErrCheckpoint].
func (e *CheckpointError) Unwrap() error { return ErrCheckpoint }

// WeightsError says why a file of weights was not loaded.
type WeightsError struct {
	Path   string
	Reason string
	// Report has all names; nil where it did not come to comparing them.
	Report *LoadReport
}

func (e *WeightsError) Error() string { return fmt.Sprintf("%v: %s: %s", ErrWeights, e.Path, e.Reason) }

// Unwrap returns [ErrWeights].
func (e *WeightsError) Unwrap() error { return ErrWeights }
