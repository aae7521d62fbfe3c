package files

import (
	"errors"
	"strconv"
	"strings"
)

// Writing.
var (
	// ErrNoSpace is what a disk limited by [LimitSpace] reports.
	ErrNoSpace = errors.New("no space left")
	// ErrRunExists means that a run directory was there already.
	ErrRunExists = errors.New("files: run directory exists")
	// ErrRunBusy means that another run is using the directory.
	ErrRunBusy = errors.New("files: run directory is in use")
)

// Reading, and writing tensors that do not fit together.
var (
	// ErrFormat means that a safetensors file breaks the format.
	ErrFormat = errors.New("files: malformed safetensors")
	// ErrChecksum means that a sealed file is not what was written.
	ErrChecksum = errors.New("files: checksum mismatch")
)

// Asking a [File] for a tensor.
var (
	// ErrNoTensor means that the file holds no tensor of that name.
	ErrNoTensor = errors.New("not in the file")
	// ErrDType means that the tensor holds elements of another type.
	ErrDType = errors.New("wrong element type")
)

// A WriteError says which file was not written and why.
type WriteError struct {
	Path string // as the caller gave it
	Err  error  // the reason
}

// Error returns "files: write PATH: why".
func (e *WriteError) Error() string { return "files: write " + e.Path + ": " + e.Err.Error() }

// Unwrap returns the reason.
func (e *WriteError) Unwrap() error { return e.Err }

// A RunExistsError names a run directory that was not created because it was
// there already.
type RunExistsError struct{ Path string }

// Error names the directory and both ways on.
func (e *RunExistsError) Error() string {
	return "files: run directory " + e.Path + " exists: choose another with --out, or continue it with --resume"
}

// Unwrap returns [ErrRunExists].
func (e *RunExistsError) Unwrap() error { return ErrRunExists }

// A RunBusyError names a run directory that another process is using.
type RunBusyError struct {
	Path    string
	Process int // its number; 0 if it is not known
	// Remove is the file to remove if there is no such process any more; empty
	// where the system sees to that.
	Remove string
}

// Error names the directory and the process.
func (e *RunBusyError) Error() string {
	s := "files: run directory " + e.Path + " is in use by another process"
	if e.Process > 0 {
		s += " (" + strconv.Itoa(e.Process) + ")"
	}
	if e.Remove != "" {
		s += ": if it was killed, remove " + e.Remove
	}
	return s
}

// Unwrap returns [ErrRunBusy].
func (e *RunBusyError) Unwrap() error { return ErrRunBusy }

// A FormatError says where a safetensors file breaks the format.
type FormatError struct {
	Path   string // empty if the file came without a name
	Tensor string // empty if no single tensor is at fault
	Field  string // "header", "data", "dtype", "shape", "data_offsets" …
	Reason string // follows the field in a sentence
}

// Error returns, for example, `files: safetensors: tensor "conv1.weight":
// data_offsets [0 400]: 400 bytes, shape [20 1 5 5] of F32 needs 2000`.
func (e *FormatError) Error() string {
	var b strings.Builder
	b.WriteString("files: ")
	if e.Path != "" {
		b.WriteString(e.Path + ": ")
	}
	b.WriteString("safetensors: ")
	if e.Tensor != "" {
		b.WriteString("tensor " + quoteShort(e.Tensor) + ": ")
	}
	b.WriteString(e.Field + " " + e.Reason)
	return b.String()
}

// Unwrap returns [ErrFormat].
func (e *FormatError) Unwrap() error { return ErrFormat }

// A ChecksumError means that a sealed file is not what was written.
type ChecksumError struct {
	Path string // empty if the file came without a name
}

// Error says that the content does not match.
func (e *ChecksumError) Error() string {
	name := e.Path
	if name == "" {
		name = "safetensors"
	}
	return "files: " + name + ": data does not match its sha256: the file was altered or damaged"
}

// Unwrap returns [ErrChecksum].
func (e *ChecksumError) Unwrap() error { return ErrChecksum }

// quoteShort quotes s for a message. Names in a hostile file may be long.
func quoteShort(s string) string {
	const limit = 100
	if len(s) > limit {
		return strconv.Quote(s[:limit]) + "…"
	}
	return strconv.Quote(s)
}
