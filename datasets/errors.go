package datasets

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// What is wrong with a call.
var (
	// ErrOption: an option is outside its range or does not fit the data.
	ErrOption = errors.New("invalid option")
	// ErrShape: sizes are not positive, or do not agree with each other.
	ErrShape = errors.New("shapes do not agree")
	// ErrIndex: there is no sample of this number.
	ErrIndex = errors.New("index out of range")
	// ErrUnknown: there is no data set of this name.
	ErrUnknown = errors.New("unknown data set")
	// ErrBusy: an epoch of the same loader is still being read.
	ErrBusy = errors.New("the loader is already running an epoch")
)

// What is wrong with data.
var (
	// ErrMissing: a file is not there. The error also matches fs.ErrNotExist.
	ErrMissing = errors.New("file not found")
	// ErrFormat: a file is damaged, cut short or of another kind.
	ErrFormat = errors.New("malformed file")
	// ErrUnsupported: a file is in order, but holds what is not read here.
	ErrUnsupported = errors.New("unsupported file")
	// ErrLabel: a label is not a class.
	ErrLabel = errors.New("label out of range")
	// ErrValue: a sample is not a finite number.
	ErrValue = errors.New("value is not finite")
)

// A FormatError says which field of which file is not what it has to be. It
// matches [ErrFormat], or [ErrUnsupported] where the file is merely of a kind
// that is not read.
type FormatError struct {
	File, Field string
	Got, Want   string
	Kind        error // ErrFormat or ErrUnsupported
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("datasets: %s: %s: %s, want %s", e.File, e.Field, e.Got, e.Want)
}

// Unwrap returns ErrFormat or ErrUnsupported.
func (e *FormatError) Unwrap() error { return e.Kind }

func malformed(file, field, got, want string, args ...any) error {
	return &FormatError{File: file, Field: field, Got: got, Want: fmt.Sprintf(want, args...), Kind: ErrFormat}
}

// A LabelError names the first label that is not in [0, Classes). It matches
// [ErrLabel].
type LabelError struct {
	Source  string // the file, or the constructor
	Index   int    // of the sample
	Label   int64
	Classes int
}

func (e *LabelError) Error() string {
	return fmt.Sprintf("datasets: %s: label %d of sample %d: want 0…%d", e.Source, e.Label, e.Index, e.Classes-1)
}

// Unwrap returns ErrLabel.
func (e *LabelError) Unwrap() error { return ErrLabel }

// A ValueError names the first NaN or infinity in float samples. It matches
// [ErrValue].
type ValueError struct {
	Source        string
	Index         int // in the slice that was given
	Sample        int
	Channel, H, W int
	Value         float64
}

func (e *ValueError) Error() string {
	return fmt.Sprintf("datasets: %s: element %d (sample %d, channel %d, row %d, column %d) is %v",
		e.Source, e.Index, e.Sample, e.Channel, e.H, e.W, e.Value)
}

// Unwrap returns ErrValue.
func (e *ValueError) Unwrap() error { return ErrValue }

// A MissingError says which file is not there, where it was looked for, where
// to get it and where to put it. It matches [ErrMissing] and fs.ErrNotExist.
type MissingError struct {
	Dataset string
	File    string   // as the data set's own site names it
	Looked  []string // folders; none where no folder was given
	From    string   // who offers the file
	Put     string   // the folder where it belongs
}

func (e *MissingError) Error() string {
	if len(e.Looked) == 0 {
		return fmt.Sprintf("datasets: %s: no data folder given: get %s from %s and name the folder that holds it (--data-dir or BITGRAD_DATA)",
			e.Dataset, e.File, e.From)
	}
	return fmt.Sprintf("datasets: %s: %s not found in %s: get it from %s and put it into %s",
		e.Dataset, e.File, strings.Join(e.Looked, ", "), e.From, e.Put)
}

// Unwrap returns ErrMissing and fs.ErrNotExist.
func (e *MissingError) Unwrap() []error { return []error{ErrMissing, fs.ErrNotExist} }

// An UnknownError lists the names there are, those most like the given one
// first. It matches [ErrUnknown].
type UnknownError struct {
	Name  string
	Names []string
}

func (e *UnknownError) Error() string {
	return fmt.Sprintf("datasets: %q is neither a data set nor a folder: there are %s", e.Name, strings.Join(e.Names, ", "))
}

// Unwrap returns ErrUnknown.
func (e *UnknownError) Unwrap() error { return ErrUnknown }
