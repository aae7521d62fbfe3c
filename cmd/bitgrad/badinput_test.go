package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bitgrad/bitgrad/internal/files"
)

// refused checks the exit code of a call, that stdout is empty and that the last line on
// stderr says all of words.
func refused(t *testing.T, want int, words []string, args ...string) {
	t.Helper()
	code, stdout, stderr := call(t, args...)
	name := strings.Join(args, " ")
	if code != want || stdout != "" {
		t.Errorf("%s: exit code %d, want %d, stdout %q\n%s", name, code, want, stdout, stderr)
	}
	last := lastLine(stderr)
	if !strings.HasPrefix(last, "bitgrad: ") {
		t.Errorf("%s: the last line is %q", name, last)
	}
	for _, w := range words {
		if !strings.Contains(last, w) {
			t.Errorf("%s: got %q, want it to say %q", name, last, w)
		}
	}
}

// edit changes a file.
func edit(t *testing.T, path string, change func(text []byte) []byte) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, change(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

// tree returns every file below a folder.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		found[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// images writes a folder of 40 images of side×side in the format of MNIST.
func images(t *testing.T, dir string, side uint32) {
	t.Helper()
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	const n = 40
	header := func(dims ...uint32) []byte {
		b := []byte{0, 0, 8, byte(len(dims))}
		for _, d := range dims {
			b = binary.BigEndian.AppendUint32(b, d)
		}
		return b
	}
	labels := header(n)
	for i := range n {
		labels = append(labels, byte(i%10))
	}
	for _, part := range []string{"train", "t10k"} {
		for name, text := range map[string][]byte{
			part + "-images-idx3-ubyte": append(header(n, side, side), make([]byte, n*side*side)...),
			part + "-labels-idx1-ubyte": labels,
		} {
			if err := os.WriteFile(filepath.Join(dir, name), text, 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Data that are damaged, or that the network cannot take, are found before a run is made.
func TestBadData(t *testing.T) {
	t.Chdir(t.TempDir())
	const pixels, labels = "train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
	for _, c := range []struct {
		name   string
		side   uint32
		file   string
		change func([]byte) []byte
		code   int
		says   []string
	}{
		{"truncated", 12, pixels, func(b []byte) []byte { return b[:len(b)-100] }, exitFailed, []string{pixels, "data: at most 5676 bytes", "dimensions [40 12 12]", "damaged or cut short"}},
		{"header", 12, pixels, func(b []byte) []byte { return b[:5] }, exitFailed, []string{pixels, "then the end of the file"}},
		{"kind", 12, pixels, func(b []byte) []byte { b[2] = 13; return b }, exitFailed, []string{pixels, "element type: 0x0d"}},
		{"label", 12, labels, func(b []byte) []byte { b[8+17] = 250; return b }, exitFailed, []string{"label 250 of sample 17"}},
		{"shapes", 6, "", nil, exitCall, []string{"net lenet for images [1 6 6]", "conv2", "[N 20 1 1]"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			images(t, c.name, c.side)
			if c.file != "" {
				edit(t, filepath.Join(c.name, c.file), c.change)
			}
			before := tree(t, ".")
			refused(t, c.code, c.says, "train", "--data", c.name, "--net", "lenet", "--out", "run-"+c.name)
			if len(tree(t, ".")) != len(before) {
				t.Error("something was written")
			}
			if _, err := os.Stat("run-" + c.name); err == nil {
				t.Error("a run directory was made")
			}
		})
	}
}

// Files of a run that were altered, cut off, replaced or made unreadable are named by
// every command that reads them, and stay as they are.
func TestBadFiles(t *testing.T) {
	t.Chdir(t.TempDir())
	if code, _, stderr := call(t, quick("--out", "whole")...); code != exitDone {
		t.Fatalf("exit code %d:\n%s", code, stderr)
	}
	flip := func(b []byte) []byte { b[len(b)-9] ^= 4; return b }
	half := func(b []byte) []byte { return b[:len(b)/2] }
	foreign := func([]byte) []byte { return []byte("PK\x03\x04 not a model, but long enough") }
	const model, tuned, float = "run/model.safetensors", "run/quantized.safetensors", "run/float.safetensors"
	for _, c := range []struct {
		name, file string
		change     func([]byte) []byte // nil: a folder takes the place of the file
		says       string
		commands   []string
	}{
		{"altered model", model, flip, "sha256", []string{"eval run", "verify run", "export run --out c", "inspect " + model}},
		{"cut model", model, half, "safetensors", []string{"eval run", "verify run", "export run --out c", "inspect " + model}},
		{"foreign model", model, foreign, "safetensors", []string{"eval run", "verify run", "export run --out c", "inspect " + model}},
		{"unreadable model", model, nil, "", []string{"eval run", "verify run", "export run --out c"}},
		{"altered weights", tuned, flip, "sha256", []string{"eval " + tuned, "verify run", "finetune run --out new", "inspect " + tuned}},
		{"cut weights", tuned, half, "safetensors", []string{"eval " + tuned, "verify run", "finetune run --out new"}},
		{"altered float weights", float, flip, "sha256", []string{"quantize run --out new", "train --init run --out new", "eval " + float}},
		{"unreadable float weights", float, nil, "", []string{"quantize run --out new", "train --init run --out new"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := os.CopyFS("run", os.DirFS("whole")); err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll("run")
			if c.change != nil {
				edit(t, c.file, c.change)
			} else if err := os.Remove(c.file); err != nil {
				t.Fatal(err)
			} else if err := os.Mkdir(c.file, 0o777); err != nil {
				t.Fatal(err)
			}
			before := tree(t, ".")
			for _, args := range c.commands {
				refused(t, exitFailed, []string{c.file, c.says}, strings.Fields(args)...)
			}
			for path, text := range tree(t, ".") {
				if before[path] != text {
					t.Errorf("%s was written", path)
				}
			}
		})
	}
}

// A checkpoint with a NaN is refused by name, and left alone; from the whole one the run
// continues.
func TestBadCheckpoint(t *testing.T) {
	t.Chdir(t.TempDir())
	if code, _, stderr := call(t, quick("--out", "run")...); code != exitDone {
		t.Fatalf("exit code %d:\n%s", code, stderr)
	}
	want := tree(t, "run")
	// As if the run had been killed in its first stage.
	if err := os.Remove("run/result.json"); err != nil {
		t.Fatal(err)
	}
	edit(t, "run/progress.json", func(text []byte) []byte {
		var journal map[string]any
		if err := json.Unmarshal(text, &journal); err != nil {
			t.Fatal(err)
		}
		journal["done"] = []string{}
		text, err := json.Marshal(journal)
		if err != nil {
			t.Fatal(err)
		}
		return text
	})
	const path = "run/float/checkpoint.safetensors"
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	poison(t, path, "conv2.weight", 17)
	before := tree(t, "run")
	refused(t, exitFailed, []string{path, "parameter conv2.weight holds NaN at element 17"}, "train", "--resume", "run", "--threads", "1")
	delete(before, "run/run.json")
	for name, text := range before {
		if got := tree(t, "run")[name]; got != text {
			t.Errorf("%s was changed", name)
		}
	}
	edit(t, path, func([]byte) []byte { return whole })
	if code, _, stderr := call(t, "train", "--resume", "run", "--threads", "1"); code != exitDone || !strings.Contains(stderr, "continuing after step") {
		t.Fatalf("exit code %d:\n%s", code, stderr)
	}
	got := tree(t, "run")
	for name, text := range want {
		if name != "run/run.json" && name != "run/result.json" && got[name] != text {
			t.Errorf("%s differs from that of the undisturbed run", name)
		}
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
