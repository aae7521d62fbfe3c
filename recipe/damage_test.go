package recipe

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/bitgrad/bitgrad/datasets"
	"github.com/bitgrad/bitgrad/integer"
	"github.com/bitgrad/bitgrad/internal/files"
	"github.com/bitgrad/bitgrad/train"
)

// idxFolder writes a data set in the format of MNIST: n images of 12×12 that show their
// label as a bright row.
func idxFolder(t *testing.T, n int) string {
	t.Helper()
	dir := t.TempDir()
	const side = 12
	write := func(name string, text []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for _, part := range []string{"train", "t10k"} {
		images := binary.BigEndian.AppendUint32([]byte{0, 0, 8, 3}, uint32(n))
		images = binary.BigEndian.AppendUint32(images, side)
		images = binary.BigEndian.AppendUint32(images, side)
		labels := binary.BigEndian.AppendUint32([]byte{0, 0, 8, 1}, uint32(n))
		for i := range n {
			label := i % 10
			for p := range side * side {
				bright := byte(i % 7)
				if p/side == label {
					bright = 200
				}
				images = append(images, bright)
			}
			labels = append(labels, byte(label))
		}
		write(part+"-images-idx3-ubyte", images)
		write(part+"-labels-idx1-ubyte", labels)
	}
	return dir
}

// rewrite changes a file.
func rewrite(t *testing.T, path string, change func(text []byte) []byte) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, change(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

// poison sets an element of a tensor to NaN and seals the file again.
func poison(t *testing.T, path, tensor string, element int) {
	t.Helper()
	f, err := files.LoadSafetensors(path)
	if err != nil {
		t.Fatal(err)
	}
	tensors := f.Tensors()
	for i, x := range tensors {
		if x.Name == tensor {
			tensors[i].Data = bytes.Clone(x.Data)
			binary.LittleEndian.PutUint32(tensors[i].Data[4*element:], math.Float32bits(float32(math.NaN())))
		}
	}
	if err := files.SaveSafetensors(path, tensors, f.Metadata()); err != nil {
		t.Fatal(err)
	}
}

func folderConfig(t *testing.T, data string) Config {
	c := tiny(t)
	c.Data, c.Limit, c.Net, c.Export, c.Verify = data, 0, "mlp", nil, 2
	c.Float.Epochs, c.Tune.Epochs = 1, 1
	return c
}

func TestFolderOfImages(t *testing.T) {
	data := idxFolder(t, 120)
	c := folderConfig(t, data)
	dir := filepath.Join(t.TempDir(), "run")
	if r := start(t, c, Options{Dir: dir}); *r.FloatAccuracy < 0.2 {
		t.Errorf("accuracy %v", *r.FloatAccuracy)
	}
	s, err := Open(filepath.Join(dir, tunedFile))
	if err != nil {
		t.Fatal(err)
	}
	if s.Plan.Data != filepath.Base(data) || s.Plan.H != 12 {
		t.Errorf("blueprint: %+v", s.Plan)
	}
	// Other images than those of the start are noticed.
	if err := errors.Join(os.Remove(filepath.Join(dir, resultFile)), writeDocument(dir, journalFile, journal{Version: 1, Done: []string{}, DataSHA256: "ab"})); err != nil {
		t.Fatal(err)
	}
	_, err = Resume(t.Context(), dir, Options{Threads: 1})
	wantError(t, err, ErrConfig, "not those")
}

func TestDamagedData(t *testing.T) {
	for _, damage := range []struct {
		name, file string
		change     func(text []byte) []byte
		sentinel   error
		says       string
	}{
		{"truncated", "train-images-idx3-ubyte", func(b []byte) []byte { return b[:len(b)-100] }, datasets.ErrFormat, "train-images-idx3-ubyte"},
		{"other magic", "t10k-images-idx3-ubyte", func(b []byte) []byte { b[2] = 99; return b }, nil, "t10k-images-idx3-ubyte"},
		{"label out of range", "train-labels-idx1-ubyte", func(b []byte) []byte { b[8+17] = 250; return b }, datasets.ErrLabel, "label 250 of sample 17"},
		{"counts differ", "t10k-labels-idx1-ubyte", func(b []byte) []byte { b[7]--; return b[:len(b)-1] }, nil, "t10k"},
		{"empty", "train-images-idx3-ubyte", func([]byte) []byte { return nil }, datasets.ErrFormat, "train-images-idx3-ubyte"},
	} {
		t.Run(damage.name, func(t *testing.T) {
			data := idxFolder(t, 60)
			rewrite(t, filepath.Join(data, damage.file), damage.change)
			dir := filepath.Join(t.TempDir(), "run")
			_, err := Start(t.Context(), folderConfig(t, "mnist"), Options{DataDir: data, Dir: dir, Threads: 1})
			wantError(t, err, damage.sentinel, damage.says)
			if IsCall(err) {
				t.Errorf("%v: the call is right, the file is not", err)
			}
			if exists(dir, "") {
				t.Error("a run directory was made")
			}
		})
	}
}

func TestDamagedFilesOfARun(t *testing.T) {
	c := tiny(t)
	c.Export = nil
	whole := start(t, c, Options{}).Dir()
	for _, damage := range []struct {
		name, file string
		change     func(text []byte) []byte
		sentinel   error
	}{
		{"flipped bit", modelFile, func(b []byte) []byte { b[len(b)-9] ^= 4; return b }, files.ErrChecksum},
		{"cut", modelFile, func(b []byte) []byte { return b[:len(b)/2] }, files.ErrFormat},
		{"empty", modelFile, func([]byte) []byte { return nil }, files.ErrFormat},
		{"flipped bit in weights", tunedFile, func(b []byte) []byte { b[len(b)-9] ^= 4; return b }, files.ErrChecksum},
		{"cut weights", floatFile, func(b []byte) []byte { return b[:len(b)-4] }, files.ErrFormat},
		{"no model at all", tunedFile, func([]byte) []byte { return []byte("PK\x03\x04 not a model, but long enough") }, files.ErrFormat},
	} {
		t.Run(damage.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), damage.file)
			text, err := os.ReadFile(filepath.Join(whole, damage.file))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, damage.change(text), 0o666); err != nil {
				t.Fatal(err)
			}
			_, err = Open(path)
			wantError(t, err, damage.sentinel, damage.file)
			if IsCall(err) {
				t.Errorf("%v: the call is right, the file is not", err)
			}
		})
	}
	for name, text := range map[string]string{journalFile: `{"version": 1, "dune": []}`, machineFile: `{`, resultFile: `{} x`, configFile: "a: b: c"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
				t.Fatal(err)
			}
			if name != resultFile {
				os.Remove(filepath.Join(dir, resultFile))
			}
			rewrite(t, filepath.Join(dir, name), func([]byte) []byte { return []byte(text) })
			_, err := Resume(t.Context(), dir, Options{Threads: 1})
			wantError(t, err, ErrRun, name)
		})
	}
}

func TestNaNIsNamed(t *testing.T) {
	c := tiny(t)
	c.Export, c.Integer = nil, false
	dir := filepath.Join(t.TempDir(), "run")
	_, err := Start(newCountdown(t.Context(), 24), c, Options{Dir: dir, Threads: 1})
	var stopped *StageError
	if !errors.As(err, &stopped) || stopped.Stage != "float" {
		t.Fatalf("got %v", err)
	}
	checkpoint := filepath.Join(dir, floatFolder, train.CheckpointFile)
	whole, err := os.ReadFile(checkpoint)
	if err != nil {
		t.Fatal(err)
	}
	poison(t, checkpoint, "conv2.weight", 17)
	_, err = Resume(t.Context(), dir, Options{Threads: 1})
	wantError(t, err, train.ErrCheckpoint, "conv2.weight", "NaN", "17")
	rewrite(t, checkpoint, func([]byte) []byte { return whole })
	if _, err := Resume(t.Context(), dir, Options{Threads: 1}); err != nil {
		t.Fatalf("from the whole checkpoint: %v", err)
	}

	path := filepath.Join(dir, tunedFile)
	poison(t, path, "fc.bias", 3)
	_, err = Open(path)
	wantError(t, err, ErrWeights, "fc.bias", "NaN", "element 3")
}

func TestWeightsThatDoNotFit(t *testing.T) {
	c := tiny(t)
	c.Integer, c.Float.Epochs, c.Tune.Epochs = false, 0, 0
	path := filepath.Join(start(t, c, Options{}).Dir(), floatFile)
	f, err := files.LoadSafetensors(path)
	if err != nil {
		t.Fatal(err)
	}
	index := func(name string) int {
		for i, x := range f.Tensors() {
			if x.Name == name {
				return i
			}
		}
		t.Fatalf("no %s", name)
		return 0
	}
	for name, change := range map[string]func([]files.Tensor, map[string]string) []files.Tensor{
		"fc.bias is missing": func(ts []files.Tensor, _ map[string]string) []files.Tensor {
			i := index("fc.bias")
			return append(ts[:i:i], ts[i+1:]...)
		},
		"fd.bias belongs to nothing": func(ts []files.Tensor, _ map[string]string) []files.Tensor {
			return append(ts, files.FromFloat32s("fd.bias", []int{1}, []float32{1}))
		},
		"fc.bias has shape [1 10]": func(ts []files.Tensor, _ map[string]string) []files.Tensor {
			ts[index("fc.bias")].Shape = []int{1, 10}
			return ts
		},
		"version \"9\"":         func(ts []files.Tensor, m map[string]string) []files.Tensor { m["version"] = "9"; return ts },
		"blueprint: unexpected": func(ts []files.Tensor, m map[string]string) []files.Tensor { m["blueprint"] = "{"; return ts },
		"0 classes": func(ts []files.Tensor, m map[string]string) []files.Tensor {
			m["blueprint"] = `{"net": "lenet", "c": 1, "h": 28, "w": 28}`
			return ts
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := f.Metadata()
			bad := filepath.Join(t.TempDir(), "bad.safetensors")
			if err := files.SaveSafetensors(bad, change(f.Tensors(), m), m); err != nil {
				t.Fatal(err)
			}
			_, err := Open(bad)
			wantError(t, err, ErrWeights, name)
		})
	}
}

// The names of a state dict are those of the network.
func TestInitialWeightsOfOthers(t *testing.T) {
	c := tiny(t)
	c.Integer, c.Float.Epochs, c.Tune.Epochs, c.Net = false, 0, 0, "mlp"
	own := start(t, c, Options{})
	f, err := files.LoadSafetensors(filepath.Join(own.Dir(), floatFile))
	if err != nil {
		t.Fatal(err)
	}
	foreign := filepath.Join(t.TempDir(), "state_dict.safetensors")
	tensors := append(f.Tensors(), files.FromInt64s("bn.num_batches_tracked", []int{}, []int64{5}))
	if err := files.SaveSafetensors(foreign, tensors, map[string]string{"format": "pt"}); err != nil {
		t.Fatal(err)
	}
	c.Seed = 99
	r := start(t, c, Options{From: foreign})
	g, err := files.LoadSafetensors(filepath.Join(r.Dir(), floatFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range f.Tensors() {
		if got, err := g.Tensor(want.Name); err != nil || !bytes.Equal(got.Data, want.Data) {
			t.Errorf("%s: %v", want.Name, err)
		}
	}
	c.Net = "lenet"
	_, err = Start(t.Context(), c, Options{From: foreign, Dir: filepath.Join(t.TempDir(), "run")})
	wantError(t, err, train.ErrWeights, "conv1.weight")
}

func TestOpenAndUse(t *testing.T) {
	c := tiny(t)
	dir := start(t, c, Options{}).Dir()
	_, err := Open(filepath.Join(dir, "export"))
	wantError(t, err, ErrRun, "no model")
	_, err = Open(filepath.Join(dir, "none"))
	wantError(t, err, os.ErrNotExist, "none")
	for _, name := range []string{floatFile, tunedFile, modelFile} {
		s, err := Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		e, err := s.Evaluate(t.Context(), UseOptions{Images: 70, Threads: 1})
		if err != nil {
			t.Fatal(err)
		}
		images, correct := 0, 0
		for _, k := range e.Classes {
			images += k.Images
			correct += k.Correct
		}
		if e.Images != 70 || images != 70 || len(e.Classes) != 10 || e.Accuracy != float64(correct)/70 || e.Top5 < e.Accuracy || e.Top5 > 1 {
			t.Errorf("%s: %+v", name, e)
		}
		if _, err := s.Evaluate(t.Context(), UseOptions{Images: -1}); err == nil {
			t.Error("a negative number of images")
		}
		other := idxFolder(t, 30)
		_, err = s.Evaluate(t.Context(), UseOptions{Data: other, Threads: 1})
		wantError(t, err, ErrConfig, "[1 12 12]", "[1 28 28]")
		_, err = s.Export("c", t.TempDir(), 1, UseOptions{})
		if (s.Model == nil) != errors.Is(err, ErrConfig) {
			t.Errorf("export of %s: %v", name, err)
		}
	}
	m, err := integer.Load(filepath.Join(dir, modelFile))
	if err != nil {
		t.Fatal(err)
	}
	lost := filepath.Join(t.TempDir(), "m.safetensors")
	if err := m.Save(lost); err != nil {
		t.Fatal(err)
	}
	s, err := Open(lost)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Evaluate(t.Context(), UseOptions{})
	wantError(t, err, ErrConfig, "--data")
	_, err = Verify(t.Context(), filepath.Dir(lost), "", UseOptions{})
	wantError(t, err, ErrConfig, tunedFile)
}

func TestInspect(t *testing.T) {
	c := tiny(t)
	dir := start(t, c, Options{}).Dir()
	for name, words := range map[string][]string{
		floatFile: {"float", "conv1.weight", "9,122 parameters", "peak"},
		tunedFile: {"dfp:w8a8", "conv2d + bias + relu + quantize", "integers", "an integer model can be made"},
		modelFile: {"integer", "proved", "conv2", "headroom"},
	} {
		s, err := Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		i, err := s.Inspect()
		if err != nil {
			t.Fatal(err)
		}
		var text logText
		if err := i.WriteText(&text); err != nil {
			t.Fatal(err)
		}
		text.wants(t, words...)
		if i.MACs != 290080 {
			t.Errorf("%s: %d multiply-accumulates, want 290080", name, i.MACs)
		}
	}
	i, err := InspectNet("cifar10full", "dfp:w8a8", []string{"fc=float"})
	if err != nil {
		t.Fatal(err)
	}
	var text logText
	if err := i.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	text.wants(t, "norm1", "the operation has no rule on integers", "no integer model", "its weight fc.weight is not quantized")
	if i, err := InspectNet("lenet", "", nil); err != nil || i.What != "float" || i.Params != 431080 {
		t.Errorf("lenet: %+v, %v", i, err)
	}
	_, err = InspectNet("lenett", "", nil)
	wantError(t, err, nil, "lenet")
	_, err = InspectNet("lenet", "", []string{"fc1=w4"})
	wantError(t, err, ErrConfig, "fc1=w4")
	_, err = InspectNet("lenet", "dfp:w0", nil)
	wantError(t, err, nil, "bit width 0")
}

func TestTables(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567", 123456: "123,456", -100: "-100"} {
		if got := group(n); got != want {
			t.Errorf("group(%d): got %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int64]string{12: "12 bytes", 10 << 10: "10.0 KiB", 3 << 22: "12.0 MiB"} {
		if got := size(n); got != want {
			t.Errorf("size(%d): got %q, want %q", n, got, want)
		}
	}
	if got := rank([]int64{3, 7, 7, 1}, 2); got != 1 {
		t.Errorf("rank of the second of two equal logits: got %d, want 1", got)
	}
	if got := rank([]int64{3, 7, 7, 1}, 1); got != 0 {
		t.Errorf("rank of the first of two equal logits: got %d, want 0", got)
	}
	for _, p := range []PerScale{{-3}, {0.25, 0.5}} {
		text, err := p.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		var back PerScale
		if err := back.UnmarshalJSON(text); err != nil || fmt.Sprint(back) != fmt.Sprint(p) {
			t.Errorf("%s: got %v, %v", text, back, err)
		}
	}
}
