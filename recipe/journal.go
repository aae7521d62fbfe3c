package recipe

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/bitgrad/bitgrad/export"
	"github.com/bitgrad/bitgrad/internal/files"
)

// Files of a run.
const (
	configFile   = "config.yaml"
	machineFile  = "run.json"
	journalFile  = "progress.json"
	resultFile   = "result.json"
	metricsFile  = "metrics.csv"
	initialFile  = "initial.safetensors"
	floatFile    = "float.safetensors"
	rangesFile   = "calibrated.safetensors"
	tunedFile    = "quantized.safetensors"
	modelFile    = "model.safetensors"
	verifyFile   = "verify.json"
	changesFile  = "fl_changes.csv"
	exportFolder = "export"
)

// A journal is progress.json: the stages that are done and what they found. It
// holds nothing that differs between machines.
type journal struct {
	Version int      `json:"version"`
	Done    []string `json:"done"`
	// DataSHA256 is a checksum of the training and the test images, so that a run is not
	// continued on other data.
	DataSHA256         string       `json:"data_sha256"`
	FloatAccuracy      *float64     `json:"float_accuracy"`
	CalibratedAccuracy *float64     `json:"calibrated_accuracy"`
	QuantizedAccuracy  *float64     `json:"quantized_accuracy"`
	IntegerAccuracy    *float64     `json:"integer_accuracy"`
	Verify             *export.Diff `json:"verify"`
}

const journalVersion = 1

func (j *journal) has(stage string) bool { return slices.Contains(j.Done, stage) }

// A machine is run.json: how the run went on this computer. It determines
// nothing.
type machine struct {
	Version      string             `json:"version"` // of Bitgrad
	Go           string             `json:"go"`
	OS           string             `json:"os"`
	Arch         string             `json:"arch"`
	CPU          string             `json:"cpu"`
	Level        string             `json:"kernel_level"`
	Cores        int                `json:"cores"`
	Threads      int                `json:"threads"`
	DataDir      string             `json:"data_dir"`
	Data         string             `json:"data"` // the folder of the data set, where one was named
	From         string             `json:"from"` // the weights that the run started from
	Started      string             `json:"started"`
	Sessions     int                `json:"sessions"`
	StageSeconds map[string]float64 `json:"stage_seconds"`
	PeakRSSBytes int64              `json:"peak_rss_bytes"`
	ImagesPerS   Rates              `json:"images_per_s"`
}

func (m *machine) seconds() float64 {
	sum := 0.0
	for _, name := range sortedNames(m.StageSeconds) {
		sum += m.StageSeconds[name]
	}
	return sum
}

// writeDocument writes v as JSON, whole or not at all.
func writeDocument(dir, name string, v any) error {
	return files.WriteAtomic(filepath.Join(dir, name), func(w io.Writer) error { return writeJSON(w, v) })
}

// readDocument reads a JSON document strictly; a file that is not there leaves v
// as it is.
func readDocument(dir, name string, v any) error {
	path := filepath.Join(dir, name)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRun, err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrRun, path, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: %s: there is text after the document", ErrRun, path)
	}
	return nil
}

func exists(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, name))
	return err == nil
}
