package recipe

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bitgrad/bitgrad/layers"
	"github.com/bitgrad/bitgrad/netfile"
)

const description = `# two branches
input: {shape: [1, 28, 28], mean: 60, std: 70}
layers:
  - {conv: conv1, out: 6, kernel: 3, stride: 2, pad: same, bn: true, activation: relu}
  - {conv: far, out: 6, kernel: 3, pad: same, bn: true}
  - {add: sum, from: [far, conv1], activation: relu}
  - {max_pool: near, from: conv1, kernel: 3, stride: 1, pad: 1}
  - {concat: both, from: [sum, near]}
  - {max_pool: pool1, kernel: 2}
  - {linear: fc, out: classes}
`

// described returns a quick run of a network in a file.
func described(t *testing.T, name, text string) Config {
	t.Helper()
	c := tiny(t)
	c.Net = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(c.Net, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return c
}

// A run of a network in a file needs the file no longer once it has begun.
func TestNetworkFromAFile(t *testing.T) {
	c := described(t, "branches.yaml", description)
	c.Rules = []string{"far=w4"}
	want := start(t, c, Options{})
	if want.Net != "branches" || want.Verify.Mismatches != 0 || want.Verify.Codes == 0 {
		t.Errorf("%s: %+v", want.Net, want.Verify)
	}
	dir := filepath.Join(t.TempDir(), "run")
	if _, err := Start(newCountdown(t.Context(), 12), c, Options{Dir: dir, Threads: 1}); err == nil {
		t.Fatal("the run was not stopped")
	}
	if err := os.Remove(c.Net); err != nil {
		t.Fatal(err)
	}
	if _, err := Resume(t.Context(), dir, Options{Threads: 1}); err != nil {
		t.Fatal(err)
	}
	same(t, content(t, dir), content(t, want.Dir()))

	for _, name := range []string{floatFile, tunedFile, modelFile} {
		s, err := Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if e, err := s.Evaluate(t.Context(), UseOptions{Images: 20}); err != nil || e.Net != "branches" {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
		if _, err := s.Inspect(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if d, err := Verify(t.Context(), dir, "", UseOptions{Images: 5}); err != nil || d.Mismatches != 0 {
		t.Errorf("verify: %+v, %v", d, err)
	}
	for _, task := range []string{Quantize, FineTune} {
		next, err := DefaultFrom(task, dir, "")
		if err != nil {
			t.Fatal(err)
		}
		next.Limit, next.Verify, next.Calibration = 64, 5, 16
		if task == FineTune {
			next.Tune.Epochs, next.Tune.FrozenEpochs = 1, 1
		}
		if r := start(t, next, Options{From: dir}); r.Net != "branches" || r.Verify.Mismatches != 0 {
			t.Errorf("%s: %s: %+v", task, r.Net, r.Verify)
		}
	}
}

func TestDescriptionsThatCannotWork(t *testing.T) {
	for text, says := range map[string][]string{
		"layers:\n- {linaer: fc, out: classes}\n":                                  {"net.yaml", "line 2", `"linear"`},
		"layers:\n- {linear: fc, out: 7}\n":                                        {"net", "7 classes", "10", "out: classes"},
		"layers:\n- {conv: c, out: 2, kernel: 30}\n- {linear: fc, out: classes}\n": {"net", "[1 28 28]", "c: conv2d", "30"},
		"layers:\n- {conv: c, out: 10, kernel: 3}\n":                               {"net", "[N 10 26 26]", "[N Classes]"},
		"layers:\n- {lrn: n}\n- {linear: fc, out: classes}\n":                      {"n (lrn)", "--no-integer"},
	} {
		c := described(t, "net.yaml", text)
		dir := filepath.Join(t.TempDir(), "run")
		_, err := Start(t.Context(), c, Options{Dir: dir, Threads: 1})
		wantError(t, err, nil, says...)
		if !IsCall(err) || exists(dir, "") {
			t.Errorf("%v: the call is wrong, and a run exists: %v", err, exists(dir, ""))
		}
	}
	c := tiny(t)
	c.Net = filepath.Join(t.TempDir(), "none.yaml")
	wantError(t, c.Validate(), os.ErrNotExist, "none.yaml")
	c.Net = "resnet18"
	wantError(t, c.Validate(), layers.ErrNet, "resnet8", "nor is there a file")
	c.Network = "layers: []"
	wantError(t, c.Validate(), netfile.ErrSyntax, "resnet18", "no layers")
	_, err := InspectNet(described(t, "net.yaml", "layers:\n- {linear: fc, out: classes}\n").Net, "", nil)
	wantError(t, err, ErrConfig, "net.yaml", "input: {shape: [C, H, W]}")
	_, err = InspectNet(described(t, "net.yaml", "input: {shape: [1, 2, 2]}\nlayers:\n- {conv: c, out: 2, kernel: 3}\n- {linear: fc, out: 2}\n").Net, "", nil)
	wantError(t, err, ErrConfig, "net", "c: conv2d")
}

// Weights belong to the layers that they were trained in, however those are written.
func TestWeightsOfADescription(t *testing.T) {
	c := described(t, "net.yaml", description)
	c.Integer, c.Float.Epochs, c.Tune.Epochs = false, 0, 0
	from := start(t, c, Options{}).Dir()
	again := func(text string) error {
		c := described(t, "net.yaml", text)
		c.Integer, c.Float.Epochs, c.Tune.Epochs = false, 0, 0
		_, err := Start(t.Context(), c, Options{Dir: filepath.Join(t.TempDir(), "run"), From: from, Threads: 1})
		return err
	}
	if err := again(strings.Replace(description, "two branches", "written anew", 1)); err != nil {
		t.Error(err)
	}
	wantError(t, again(strings.Replace(description, "activation: relu}", "activation: relu6}", 1)), ErrConfig, "net of other layers")
	wantError(t, again(strings.Replace(description, "input:", "name: other\ninput:", 1)), ErrConfig, "the network net", "about other")
}

func TestInspectADescription(t *testing.T) {
	path := described(t, "net.yaml", description).Net
	i, err := InspectNet(path, "dfp:w4a8", []string{"fc=w8"})
	if err != nil {
		t.Fatal(err)
	}
	if i.Net != "net" || i.What != "quantized" || len(i.Nodes) == 0 || !strings.Contains(i.text, "an integer model can be made of it") {
		t.Errorf("%+v", i)
	}
}
