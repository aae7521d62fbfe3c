package datasets

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// A record of CIFAR-10's binary version is a label and three planes of 32×32
// pixels: red, green, blue.
const (
	cifarSide   = 32
	cifarArea   = cifarSide * cifarSide
	cifarImage  = 3 * cifarArea
	cifarRecord = 1 + cifarImage
	cifarBatch  = 10_000 // records in each of the published files
)

// cifar10Info is CIFAR-10 without its samples; mean and standard deviation are
// those of the training images.
func cifar10Info() Info {
	return Info{
		Name: "cifar10", C: 3, H: cifarSide, W: cifarSide, Classes: 10,
		ClassNames: []string{"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"},
		Mean:       []float32{125.3, 123.0, 113.9},
		Std:        []float32{63.0, 62.1, 66.7},
	}
}

// FromCIFAR10 returns the images of one or more files of CIFAR-10's binary
// version, packed with gzip or not, in this order. Errors match [ErrFormat],
// [ErrLabel] or, without a file, [ErrOption].
func FromCIFAR10(paths ...string) (Dataset, error) {
	if len(paths) == 0 {
		return nil, fmt.Errorf("datasets: FromCIFAR10: no file: %w", ErrOption)
	}
	m := &memory{info: cifar10Info()}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("datasets: %w", err)
		}
		if err := m.appendCIFAR(path, data); err != nil {
			return nil, err
		}
	}
	m.info.N = len(m.labels)
	return m, nil
}

// appendCIFAR parses a file and appends its images as [H W C].
func (m *memory) appendCIFAR(file string, data []byte) error {
	if packed(data) {
		r, _, err := unpack(file, data)
		if err != nil {
			return err
		}
		if data, err = io.ReadAll(r); err != nil {
			return fmt.Errorf("datasets: %s: %w: %w", file, err, ErrFormat)
		}
	}
	if len(data) == 0 || len(data)%cifarRecord != 0 {
		return malformed(file, "size", fmt.Sprintf("%d bytes: record %d has %d bytes", len(data), len(data)/cifarRecord, len(data)%cifarRecord),
			"records of %d bytes", cifarRecord)
	}
	m.pixels = slices.Grow(m.pixels, len(data))
	for i := 0; len(data) > 0; i, data = i+1, data[cifarRecord:] {
		if int(data[0]) >= m.info.Classes {
			return &LabelError{Source: file, Index: i, Label: int64(data[0]), Classes: m.info.Classes}
		}
		m.labels = append(m.labels, int32(data[0]))
		red, green, blue := data[1:], data[1+cifarArea:], data[1+2*cifarArea:]
		for p := range cifarArea {
			m.pixels = append(m.pixels, red[p], green[p], blue[p])
		}
	}
	return nil
}

// cifar10Source is where CIFAR-10 comes from and where it is looked for.
var cifar10Source = source{
	dataset: "cifar10",
	from:    "https://www.cs.toronto.edu/~kriz/cifar.html (the binary version)",
	folders: []string{"cifar-10-batches-bin", "cifar10", "cifar-10", "."},
}

// openCIFAR10 splits by file: batches 1 to 4 train, batch 5 validates.
func openCIFAR10(dir string) (*Splits, error) {
	var train []string
	for i := 1; i <= 5; i++ {
		path, err := cifar10Source.find(dir, variants(fmt.Sprintf("data_batch_%d.bin", i))...)
		if err != nil {
			return nil, err
		}
		train = append(train, path)
	}
	s := &Splits{}
	var err error
	if s.Train, err = FromCIFAR10(train[:4]...); err != nil {
		return nil, err
	}
	if s.Valid, err = FromCIFAR10(train[4]); err != nil {
		return nil, err
	}
	for _, part := range []struct {
		ds    Dataset
		files int
		what  string
	}{{s.Train, 4, "data_batch_1…4.bin hold"}, {s.Valid, 1, "data_batch_5.bin holds"}} {
		if n := part.ds.Info().N; n != part.files*cifarBatch {
			s.note("cifar10: %s %d images, as published %d", part.what, n, part.files*cifarBatch)
		}
	}
	test, err := cifar10Source.find(dir, variants("test_batch.bin")...)
	if err != nil {
		s.Test = s.Valid
		s.note("cifar10: no test_batch.bin in %s: the validation images (data_batch_5.bin) serve as test images", filepath.Dir(train[0]))
		return s, nil
	}
	s.Test, err = FromCIFAR10(test)
	return s, err
}
