package datasets

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestIDXRoundTrip(t *testing.T) {
	for _, dims := range [][]int{{7}, {2, 3, 4}, {1, 1, 1, 5}, {0}, {0, 28, 28}, {3, 0}} {
		n := 1
		for _, d := range dims {
			n *= d
		}
		file := encodeIDX(dims, ramp(n))
		for name, data := range map[string][]byte{"plain": file, "gzip": pack(t, file)} {
			x, err := parseIDX(name, data)
			if err != nil {
				t.Errorf("%v %s: %v", dims, name, err)
				continue
			}
			if !slices.Equal(x.dims, dims) || !bytes.Equal(x.data, ramp(n)) {
				t.Errorf("%v %s: dims %v, data %v", dims, name, x.dims, x.data)
			}
		}
	}
}

// TestIDXCutAnywhere cuts a file after every byte, packed and not.
func TestIDXCutAnywhere(t *testing.T) {
	file := encodeIDX([]int{2, 3, 2}, ramp(12))
	for _, data := range [][]byte{file, pack(t, file)} {
		for n := range data {
			if _, err := parseIDX("cut", data[:n]); !errors.Is(err, ErrFormat) {
				t.Errorf("%d of %d bytes: error %v", n, len(data), err)
			}
		}
	}
}

func TestIDXErrors(t *testing.T) {
	good := encodeIDX([]int{2, 3}, ramp(6))
	edit := func(at int, b ...byte) []byte {
		data := slices.Clone(good)
		copy(data[at:], b)
		return data
	}
	broken := pack(t, good)
	broken[len(broken)-6] ^= 1 // the checksum
	for name, c := range map[string]struct {
		data []byte
		want error
		text string
	}{
		"empty":     {nil, ErrFormat, "magic number: 0 bytes, then the end of the file, want 4 bytes"},
		"magic":     {edit(0, 1), ErrFormat, "magic number: 0x01000802, want two zero bytes"},
		"floats":    {edit(2, 0x0d), ErrUnsupported, "element type: 0x0d, want 0x08"},
		"no dims":   {edit(3, 0), ErrFormat, "number of dimensions: 0, want 1…8"},
		"many dims": {edit(3, 9), ErrFormat, "number of dimensions: 9"},
		"huge":      {edit(4, 0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff), ErrFormat, "data: at most 18 bytes"},
		"negative":  {edit(4, 0xff, 0xff, 0xff, 0xff), ErrFormat, "dimension 0: 4294967295, want at most 2147483647"},
		"too many":  {edit(4, 0, 0, 0, 1), ErrFormat, "end of file: more bytes, want 3 bytes of data for dimensions [1 3]"},
		"too few":   {edit(4, 0, 0, 0, 3), ErrFormat, "data: 6 bytes, then the end of the file, want 9 bytes"},
		"checksum":  {broken, ErrFormat, "checksum"},
	} {
		x, err := parseIDX("dir/"+name, c.data)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) || !strings.HasPrefix(err.Error(), "datasets: dir/"+name+": ") {
			t.Errorf("%s: %v, error %v, want %q", name, x, err, c.text)
		}
	}
}

// TestIDXBomb packs a header that promises more than its file can hold.
func TestIDXBomb(t *testing.T) {
	data := pack(t, binary.BigEndian.AppendUint32([]byte{0, 0, idxUint8, 1}, 1<<30))
	if _, err := parseIDX("bomb", data); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "data: at most") {
		t.Errorf("error %v", err)
	}
}

func FuzzIDX(f *testing.F) {
	good := encodeIDX([]int{2, 3}, ramp(6))
	f.Add(good)
	f.Add(pack(f, good))
	f.Add(good[:11])
	f.Add(encodeIDX([]int{1 << 30, 1 << 30}, nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		x, err := parseIDX("fuzz", data)
		if err != nil {
			if !errors.Is(err, ErrFormat) && !errors.Is(err, ErrUnsupported) {
				t.Fatalf("error of no kind: %v", err)
			}
			return
		}
		if len(x.data) > len(data)*maxInflation {
			t.Fatalf("%d bytes became %d", len(data), len(x.data))
		}
		if again := encodeIDX(x.dims, x.data); !packed(data) && !bytes.Equal(again, data) {
			t.Fatalf("round trip: %v became %v", data, again)
		}
	})
}

func TestFromIDX(t *testing.T) {
	dir := t.TempDir()
	images := write(t, encodeIDX([]int{3, 2, 2}, ramp(12)), dir, "i")
	labels := write(t, pack(t, encodeIDX([]int{3}, []uint8{1, 0, 4})), dir, "l")
	ds, err := FromIDX(Info{}, images, labels)
	if err != nil {
		t.Fatal(err)
	}
	b := read(t, ds, 2, 0)
	if !slices.Equal(b.Pixels, []uint8{8, 9, 10, 11, 0, 1, 2, 3}) || !slices.Equal(b.Labels, []int32{4, 1}) || ds.Info().Classes != 5 {
		t.Errorf("batch %+v, info %+v", b, ds.Info())
	}
	_, err = FromIDX(Info{Classes: 4}, images, labels)
	var label *LabelError
	if !errors.As(err, &label) || label.Source != labels || label.Index != 2 || label.Label != 4 || label.Classes != 4 {
		t.Errorf("label 4 of 4 classes: error %v", err)
	}
	two := write(t, encodeIDX([]int{2}, []uint8{1, 0}), dir, "two")
	for _, pair := range [][2]string{{images, two}, {labels, labels}, {images, images}} {
		if _, err := FromIDX(Info{}, pair[0], pair[1]); !errors.Is(err, ErrFormat) {
			t.Errorf("%v: error %v", pair, err)
		}
	}
	if _, err := FromIDX(Info{}, images, filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: error %v", err)
	}
}

func TestCIFAR10(t *testing.T) {
	dir := t.TempDir()
	file := encodeCIFAR(12)
	plain := write(t, file, dir, "a.bin")
	small := write(t, pack(t, file), dir, "b.bin.gz")
	ds, err := FromCIFAR10(plain, small)
	if err != nil {
		t.Fatal(err)
	}
	if n := ds.Info().N; n != 24 {
		t.Errorf("N = %d", n)
	}
	for _, sample := range []int{11, 23} {
		b := read(t, ds, sample)
		if b.Labels[0] != 1 || !bytes.Equal(b.Dense().Data().([]uint8), file[11*cifarRecord+1:]) {
			t.Errorf("sample %d: label %d, planes differ", sample, b.Labels[0])
		}
		if got := b.Pixels[3*7 : 3*7+3]; !slices.Equal(got, []uint8{18, 118, 218}) {
			t.Errorf("sample %d: pixel 7 is %v", sample, got)
		}
	}

	bad := slices.Clone(file)
	bad[5*cifarRecord] = 10
	_, err = FromCIFAR10(write(t, bad, dir, "bad.bin"))
	var label *LabelError
	if !errors.As(err, &label) || label.Index != 5 || label.Label != 10 || filepath.Base(label.Source) != "bad.bin" {
		t.Errorf("label 10: error %v", err)
	}
	for _, n := range []int{0, 1, cifarRecord - 1, cifarRecord + 100} {
		_, err := FromCIFAR10(write(t, file[:n], dir, "cut.bin"))
		var format *FormatError
		if !errors.As(err, &format) || format.Field != "size" || !errors.Is(err, ErrFormat) {
			t.Errorf("%d bytes: error %v", n, err)
		}
	}
	cut := pack(t, file)
	if _, err := FromCIFAR10(write(t, cut[:len(cut)-9], dir, "cut.gz")); !errors.Is(err, ErrFormat) {
		t.Errorf("cut gzip: error %v", err)
	}
	if _, err := FromCIFAR10(); !errors.Is(err, ErrOption) {
		t.Errorf("no file: error %v", err)
	}
	if _, err := FromCIFAR10(dir + "/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: error %v", err)
	}
}

func FuzzCIFAR(f *testing.F) {
	file := encodeCIFAR(2)
	f.Add(file)
	f.Add(file[:cifarRecord])
	f.Add(file[:cifarRecord+1])
	f.Add(pack(f, file))
	f.Fuzz(func(t *testing.T, data []byte) {
		m := &memory{info: cifar10Info()}
		if err := m.appendCIFAR("fuzz", data); err != nil {
			if !errors.Is(err, ErrFormat) && !errors.Is(err, ErrLabel) {
				t.Fatalf("error of no kind: %v", err)
			}
			return
		}
		n := len(m.labels)
		if len(m.pixels) != n*cifarImage || !packed(data) && n*cifarRecord != len(data) || n*cifarRecord > len(data)*maxInflation {
			t.Fatalf("%d bytes became %d labels and %d pixels", len(data), n, len(m.pixels))
		}
		for i, label := range m.labels {
			if label < 0 || label > 9 {
				t.Fatalf("label %d of sample %d", label, i)
			}
		}
	})
}

// putMNIST writes a set of n training and 5 test images of 4×4 pixels; the
// first pixel of image i is i.
func putMNIST(t *testing.T, n int, dir, suffix string, dotted, gz bool) {
	t.Helper()
	for part, count := range map[string]int{"train": n, "t10k": 5} {
		pixels, labels := make([]uint8, count*16), make([]uint8, count)
		for i := range count {
			pixels[i*16], labels[i] = uint8(i), uint8(i%10)
		}
		for name, data := range map[string][]byte{
			part + "-images-idx3-ubyte": encodeIDX([]int{count, 4, 4}, pixels),
			part + "-labels-idx1-ubyte": encodeIDX([]int{count}, labels),
		} {
			if dotted {
				name = strings.Replace(name, "-idx", ".idx", 1)
			}
			if gz {
				data = pack(t, data)
			}
			write(t, data, dir, name+suffix)
		}
	}
}

func TestOpenMNIST(t *testing.T) {
	for _, c := range []struct {
		name, folder, suffix string
		dotted, gz           bool
	}{
		{"mnist", "mnist", "", false, false},
		{"MNIST", ".", ".gz", false, true},
		{"mnist", "MNIST/raw", "", true, false},
		{"mnist", "mnist", ".gz", true, false}, // the name lies: not packed
		{"mnist", "mnist", "", false, true},    // so does this one
		{"fashion-mnist", "fashion-mnist", "", false, false},
		{"Fashion_MNIST", "FashionMNIST/raw", ".gz", false, true},
	} {
		dir := t.TempDir()
		putMNIST(t, 36, filepath.Join(dir, c.folder), c.suffix, c.dotted, c.gz)
		s, err := Open(c.name, dir)
		if err != nil {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		train, valid, test := s.Train.Info(), s.Valid.Info(), s.Test.Info()
		if train.N != 33 || valid.N != 3 || test.N != 5 || train.Classes != 10 || len(s.Notes) != 0 {
			t.Errorf("%+v: %d, %d, %d images, notes %q", c, train.N, valid.N, test.N, s.Notes)
		}
		if got := read(t, s.Valid, 0); got.Pixels[0] != 33 || got.Labels[0] != 3 {
			t.Errorf("%+v: the first validation image is %d with label %d", c, got.Pixels[0], got.Labels[0])
		}
		if !slices.Equal(train.Mean, test.Mean) || !slices.Equal(valid.Std, test.Std) {
			t.Errorf("%+v: the parts are normalized differently", c)
		}
	}
}

// TestFashionIsNotMNIST: the two share file names, so folders must tell.
func TestFashionIsNotMNIST(t *testing.T) {
	dir := t.TempDir()
	putMNIST(t, 36, dir, "", false, false)
	if _, err := Open("fashion-mnist", dir); !errors.Is(err, ErrMissing) {
		t.Errorf("fashion-mnist in the folder of mnist: error %v", err)
	}
	fashion := filepath.Join(dir, "Fashion")
	putMNIST(t, 24, fashion, "", false, false)
	if s, err := Open("fashion-mnist", fashion); err != nil || s.Train.Info().N != 22 {
		t.Errorf("fashion-mnist in a folder of that name: %v", err)
	}
	if _, err := Open("mnist", fashion); !errors.Is(err, ErrMissing) {
		t.Errorf("mnist in the folder of fashion-mnist: error %v", err)
	}
}

func TestOpenFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kuzushiji")
	putMNIST(t, 36, dir, ".gz", false, true)
	s, err := Open(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	info := s.Train.Info()
	if info.Name != "kuzushiji" || info.N != 33 || info.Mean[0] != 35.*36/2/36/16 || info.Classes != 10 {
		t.Errorf("info %+v", info)
	}
	if test := s.Test.Info(); !slices.Equal(test.Mean, info.Mean) || test.Name != info.Name {
		t.Errorf("test info %+v", test)
	}
	write(t, encodeIDX([]int{5, 1, 16}, ramp(80)), dir, "t10k-images-idx3-ubyte")
	if _, err := Open(dir, ""); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "images 1×16, want 4×4") {
		t.Errorf("test images of another size: error %v", err)
	}
	putMNIST(t, 1, dir, ".gz", false, true)
	if _, err := Open(dir, ""); !errors.Is(err, ErrFormat) {
		t.Errorf("one image cannot be split: error %v", err)
	}
	empty := t.TempDir()
	if _, err := Open(empty, ""); !errors.Is(err, ErrMissing) {
		t.Errorf("empty folder: error %v", err)
	}
}

func TestOpenCIFAR10(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "cifar-10-batches-bin")
	for i, name := range []string{"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin"} {
		write(t, encodeCIFAR(i+1), folder, name)
	}
	_, err := Open("cifar10", dir)
	var missing *MissingError
	if !errors.As(err, &missing) || missing.File != "data_batch_5.bin" || missing.Put != folder {
		t.Fatalf("without batch 5: error %v", err)
	}
	write(t, encodeCIFAR(6), folder, "data_batch_5.bin")
	for _, name := range []string{"cifar10", "CIFAR-10", folder} {
		s, err := Open(name, dir)
		if err != nil {
			t.Fatal(err)
		}
		if s.Train.Info().N != 10 || s.Valid.Info().N != 6 || s.Test != s.Valid {
			t.Errorf("%s: %d, %d, %d images", name, s.Train.Info().N, s.Valid.Info().N, s.Test.Info().N)
		}
		notes := strings.Join(s.Notes, "\n")
		for _, want := range []string{"hold 10 images, as published 40000", "holds 6 images, as published 10000", "no test_batch.bin"} {
			if !strings.Contains(notes, want) {
				t.Errorf("%s: notes %q lack %q", name, notes, want)
			}
		}
	}
	write(t, encodeCIFAR(3), folder, "test_batch.bin")
	s, err := Open("cifar10", dir)
	if err != nil || s.Test.Info().N != 3 || len(s.Notes) != 2 {
		t.Errorf("with test_batch.bin: %+v, %v", s, err)
	}
}

func TestMissingFilesAndNames(t *testing.T) {
	dir := t.TempDir()
	_, err := Open("mnist", dir)
	var missing *MissingError
	if !errors.As(err, &missing) || !errors.Is(err, ErrMissing) || !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("error %v", err)
	}
	for _, want := range []string{"train-images-idx3-ubyte", filepath.Join(dir, "mnist"), "get it from https://", "put it into " + filepath.Join(dir, "mnist")} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q lacks %q", err, want)
		}
	}
	// A folder of the name of the file is not the file.
	if err := os.MkdirAll(filepath.Join(dir, "mnist", "train-images-idx3-ubyte"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Open("mnist", dir); !errors.Is(err, ErrMissing) {
		t.Errorf("folder instead of file: error %v", err)
	}
	if _, err := Open("cifar10", ""); !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "--data-dir") {
		t.Errorf("no folder: error %v", err)
	}
	for name, nearest := range map[string]string{"mnits": "mnist", "cifar100": "cifar10", "digit": "digits", "fashion": "fashion-mnist"} {
		_, err := Open(name, dir)
		var unknown *UnknownError
		if !errors.As(err, &unknown) || !errors.Is(err, ErrUnknown) || unknown.Names[0] != nearest ||
			!strings.Contains(err.Error(), "there are "+nearest) || len(unknown.Names) != len(Names()) {
			t.Errorf("%s: error %v, want %s first", name, err, nearest)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"kitten", "sitting", 3}, {"flaw", "lawn", 2}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

// TestPublishedFiles opens the published files in BITGRAD_DATA, where it is set.
func TestPublishedFiles(t *testing.T) {
	dir := os.Getenv("BITGRAD_DATA")
	if dir == "" {
		t.Skip("BITGRAD_DATA is not set: no published MNIST and CIFAR-10 files to read")
	}
	for name, want := range map[string]struct{ train, valid, first int }{
		"mnist":   {55_000, 5_000, 5},
		"cifar10": {40_000, 10_000, 6},
	} {
		s, err := Open(name, dir)
		if errors.Is(err, ErrMissing) {
			t.Logf("%s: skipped: %v", name, err)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		info := s.Train.Info()
		if info.N != want.train || s.Valid.Info().N != want.valid || s.Test.Info().N != 10_000 {
			t.Errorf("%s: %d, %d, %d images", name, info.N, s.Valid.Info().N, s.Test.Info().N)
		}
		if label := read(t, s.Train, 0).Labels[0]; int(label) != want.first {
			t.Errorf("%s: the first label is %d, want %d", name, label, want.first)
		}
		part, err := Subset(s.Train, 0, 4000)
		if err != nil {
			t.Fatal(err)
		}
		mean, std, err := Moments(part)
		if err != nil {
			t.Fatal(err)
		}
		for c := range mean {
			if !near(mean[c], info.Mean[c], 3) || !near(std[c], info.Std[c], 3) {
				t.Errorf("%s: channel %d: mean %v, std %v, stated %v, %v", name, c, mean[c], std[c], info.Mean[c], info.Std[c])
			}
		}
	}
}

func near(a, b, tolerance float32) bool { return a-b <= tolerance && b-a <= tolerance }
