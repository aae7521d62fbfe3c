package datasets

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Splits are the three parts of a data set. They share size, classes and
// normalization.
type Splits struct {
	// Train is what a network learns from; Valid is what choices are made by.
	Train, Valid Dataset
	// Test is what the result is reported on. Where the files hold no test
	// images it is Valid itself, and a note says so.
	Test Dataset
	// Notes are sentences that whoever reads the results should see.
	Notes []string
}

func (s *Splits) note(format string, args ...any) {
	s.Notes = append(s.Notes, fmt.Sprintf(format, args...))
}

// catalogue lists the data sets by name.
var catalogue = []struct {
	name string
	open func(dir string) (*Splits, error)
}{
	{"digits", func(string) (*Splits, error) { return DigitSplits(DigitsTrain, DigitsValid, DigitsTest, 1) }},
	{"mnist", openMNIST},
	{"fashion-mnist", openFashion},
	{"cifar10", openCIFAR10},
}

// Names returns the names that [Open] knows.
func Names() []string {
	var names []string
	for _, entry := range catalogue {
		names = append(names, entry.name)
	}
	return names
}

// Open returns a data set by name, read from the files in dir or in the folder
// of dir where they usually lie.
//
//	digits          drawn, needs no files; 12,000 / 2,000 / 4,000 images
//	mnist           55,000 / 5,000 / 10,000: the last training images validate
//	fashion-mnist   the same
//	cifar10         40,000 / 10,000 / 10,000: data_batch_5.bin validates
//
// Case, dashes and underscores do not matter. A name that is a folder opens
// what lies in it: any set in the format of MNIST, normalized by the moments of
// its own training images, or CIFAR-10.
//
// A file that is not there is a *[MissingError], an unknown name an
// *[UnknownError]; both say what to do.
func Open(name, dir string) (*Splits, error) {
	for _, entry := range catalogue {
		if plain(name) == plain(entry.name) {
			return entry.open(dir)
		}
	}
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		return openFolder(name)
	}
	names := Names()
	slices.SortStableFunc(names, func(a, b string) int {
		return cmp.Compare(distance(plain(name), plain(a)), distance(plain(name), plain(b)))
	})
	return nil, &UnknownError{Name: name, Names: names}
}

// openFolder opens what lies in a folder.
func openFolder(dir string) (*Splits, error) {
	if _, err := cifar10Source.find(dir, variants("data_batch_1.bin")...); err == nil {
		return openCIFAR10(dir)
	}
	return openIDX(dir, source{
		dataset: dir, folders: []string{".", "raw"},
		from: "the site of the data set (or the folder of CIFAR-10's data_batch_1.bin)",
	}, Info{Name: filepath.Base(filepath.Clean(dir))})
}

// plain removes what does not matter in a name.
func plain(name string) string {
	return strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(strings.TrimSpace(name)))
}

// distance is the Levenshtein distance: how many letters have to be inserted,
// deleted or replaced to turn a into b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

// A source says where the files of a data set come from and where they lie.
type source struct {
	dataset, from string
	folders       []string              // below the data folder, most likely first
	skip          func(dir string) bool // folders that hold something else; may be nil
}

// find returns the first of names, in the order of the folders, that is a file.
// The error names the first of names.
func (s source) find(dir string, names ...string) (string, error) {
	missing := &MissingError{Dataset: s.dataset, File: names[0], From: s.from}
	if dir == "" {
		return "", missing
	}
	missing.Put = filepath.Join(dir, filepath.FromSlash(s.folders[0]))
	for _, folder := range s.folders {
		folder = filepath.Join(dir, filepath.FromSlash(folder))
		if s.skip != nil && s.skip(folder) {
			continue
		}
		missing.Looked = append(missing.Looked, folder)
		for _, name := range names {
			path := filepath.Join(folder, name)
			if info, err := os.Stat(path); err == nil && !info.IsDir() {
				return path, nil
			}
		}
	}
	return "", missing
}

// variants returns a file name and that of the packed file.
func variants(name string) []string { return []string{name, name + ".gz"} }
