package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/bitgrad/bitgrad/export"
	"github.com/bitgrad/bitgrad/recipe"
)

// asCommand makes the test binary be the command.
const asCommand = "BITGRAD_TEST_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
	}
	os.Unsetenv("BITGRAD_DATA")
	os.Exit(m.Run())
}

// call runs the command in this process.
func call(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, log bytes.Buffer
	code = run(args, strings.NewReader(""), &out, &log)
	return code, out.String(), log.String()
}

// quick are the flags of a run that takes a moment.
func quick(more ...string) []string {
	return append([]string{"train", "--net", "smallconvnet", "--limit", "256", "--batch", "16", "--float-epochs", "1", "--float-lr", "0.01",
		"--epochs", "1", "--calibration-images", "32", "--verify-images", "8", "--threads", "1"}, more...)
}

// command returns the command as a process of its own.
func command(dir string, args ...string) *exec.Cmd {
	c := exec.Command(os.Args[0], args...)
	c.Dir = dir
	c.Env = append(os.Environ(), asCommand+"=1")
	return c
}

func TestWrongCalls(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("taken", 0o777); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"bad.yaml":   "nett: lenet\nnamee: x\n",
		"small.yaml": "layers:\n- {conv: conv1, out: 2, kernel: 29}\n- {linear: fc, out: classes}\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		args []string
		says []string
	}{
		{[]string{"frobnicate"}, []string{"frobnicate"}},
		{[]string{"train", "--quantt", "dfp:w4a8"}, []string{"--quantt"}},
		{[]string{"train", "--lr", "fast"}, []string{"--lr", "fast"}},
		{[]string{"train", "more"}, []string{"more"}},
		{[]string{"train", "--quant", "dfp:w0a8"}, []string{"dfp:w0a8", "bit width 0"}},
		{[]string{"train", "--quant", "dfp:w33a8"}, []string{"dfp:w33a8", "bit width 33"}},
		{[]string{"train", "--quant", "dpf:w8a8"}, []string{"dpf", "dfp or int8"}},
		{[]string{"train", "--rule", "fc2"}, []string{"fc2", "GLOB=SPEC"}},
		{[]string{"train", "--limit", "64", "--rule", "conf*=w4"}, []string{"conf*", "conv1", "conv2"}},
		{[]string{"train", "--net", "lenett"}, []string{"lenett", "lenet", "nor is there a file"}},
		{[]string{"train", "--net", "taken"}, []string{"taken", "nor is there a file"}},
		{[]string{"train", "--net", "none.yaml"}, []string{"none.yaml"}},
		{[]string{"train", "--net", "bad.yaml"}, []string{"bad.yaml", "line 1", "nett"}},
		{[]string{"train", "--limit", "64", "--net", "small.yaml"}, []string{"net small", "[1 28 28]", "conv1", "29"}},
		{[]string{"inspect", "--net", "bad.yaml"}, []string{"bad.yaml", "line 1", "nett"}},
		{[]string{"inspect", "--net", "small.yaml"}, []string{"small.yaml", "shape: [C, H, W]"}},
		{[]string{"train", "--data", "minst"}, []string{"minst", "mnist"}},
		{[]string{"train", "--data", "mnist"}, []string{"train-images-idx3-ubyte", "--data-dir or BITGRAD_DATA"}},
		{[]string{"train", "--data", "cifar10", "--data-dir", "taken"}, []string{"data_batch_1.bin", "taken"}},
		{[]string{"train", "--out", "taken"}, []string{"taken exists", "--out", "--resume"}},
		{[]string{"train", "--config", "none.yaml"}, []string{"none.yaml"}},
		{[]string{"train", "--config", "bad.yaml"}, []string{"bad.yaml", "line 1", `"net"`}},
		{[]string{"train", "--resume", "taken"}, []string{"taken", "config.yaml"}},
		{[]string{"train", "--resume", "taken", "--lr", "1"}, []string{"--lr", "--resume"}},
		{[]string{"train", "--resume", "taken", "--label-smoothing", "0"}, []string{"--label-smoothing", "--resume"}},
		{[]string{"train", "--batch", "0"}, []string{"batch 0"}},
		{[]string{"train", "--label-smoothing", "1"}, []string{"label_smoothing 1"}},
		{[]string{"train", "--float-lr", "NaN"}, []string{"learning_rate NaN"}},
		{[]string{"quantize"}, []string{"weights"}},
		{[]string{"quantize", "none"}, []string{"none"}},
		{[]string{"quantize", "taken"}, []string{"float.safetensors"}},
		{[]string{"quantize", "taken", "--epochs", "3"}, []string{"--epochs"}},
		{[]string{"finetune", "taken"}, []string{"quantized.safetensors"}},
		{[]string{"eval"}, []string{"from"}},
		{[]string{"eval", "none"}, []string{"none"}},
		{[]string{"verify", "taken"}, []string{"quantized.safetensors"}},
		{[]string{"verify", "bad.yaml"}, []string{"bad.yaml is a file", "directory of a run"}},
		{[]string{"export", "none", "--out", "c"}, []string{"none"}},
		{[]string{"export", "none", "--out", "c", "--format", "onyx"}, []string{"onyx"}},
		{[]string{"inspect"}, []string{"--net"}},
		{[]string{"inspect", "--net", "lenet", "taken"}, []string{"one of them"}},
		{[]string{"bench", "--net", "lenett"}, []string{"lenett", "lenet"}},
		{[]string{"bench", "--net", "none.yaml"}, []string{"none.yaml"}},
		{[]string{"bench", "--mode", "int4"}, []string{"int4", "int8"}},
		{[]string{"bench", "--mode", "infer", "--phase", "frozen"}, []string{"phase frozen", "inference"}},
		{[]string{"bench", "--quant", "int8:w4a4"}, []string{"mode float does not quantize"}},
		{[]string{"bench", "--mode", "qat", "--quant", "dfp:w0a8"}, []string{"bit width 0"}},
		{[]string{"bench", "--batch", "0"}, []string{"batch 0"}},
		{[]string{"bench", "--seconds=-1"}, []string{"-1 seconds"}},
	} {
		code, stdout, stderr := call(t, c.args...)
		name := strings.Join(c.args, " ")
		if code != exitCall {
			t.Errorf("%s: exit code %d, want %d", name, code, exitCall)
		}
		if stdout != "" {
			t.Errorf("%s: on stdout: %s", name, stdout)
		}
		last := lastLine(stderr)
		if !strings.HasPrefix(last, "bitgrad: ") {
			t.Errorf("%s: the last line is %q", name, last)
		}
		for _, w := range c.says {
			if !strings.Contains(last, w) {
				t.Errorf("%s: got %q, want it to say %q", name, last, w)
			}
		}
	}
	entries, err := os.ReadDir(".")
	if err != nil || len(entries) != 3 {
		t.Errorf("a wrong call wrote something: %v, %v", entries, err)
	}
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

func TestProgramIsCalledAsBefore(t *testing.T) {
	for arg0, want := range map[string]string{
		"./bitgrad": "./bitgrad", "bitgrad": "bitgrad", "/tmp/go-build12/b001/exe/bitgrad": "go run ./cmd/bitgrad",
	} {
		if got := program(arg0); got != want {
			t.Errorf("%s: got %s, want %s", arg0, got, want)
		}
	}
}

func TestHelpAndVersion(t *testing.T) {
	for _, args := range [][]string{{}, {"--help"}, {"train", "--help"}, {"inspect", "-h"}, {"--version"}} {
		code, stdout, stderr := call(t, args...)
		if code != exitDone || stdout == "" || stderr != "" {
			t.Errorf("%v: exit code %d, stdout %q, stderr %q", args, code, stdout, stderr)
		}
	}
	_, stdout, _ := call(t, "train", "--help")
	for _, flag := range strings.Fields(`--data --data-dir --net --quant --rule --config --float-epochs --epochs --batch --lr --seed --threads --out --resume --json`) {
		if !strings.Contains(stdout, flag+"=") && !strings.Contains(stdout, flag+" ") {
			t.Errorf("train has no %s:\n%s", flag, stdout)
		}
	}
}

// document is what --json promises of train, written down a second time.
type document struct {
	Net               string   `json:"net"`
	Data              string   `json:"data"`
	Seed              uint64   `json:"seed"`
	Threads           int      `json:"threads"`
	FloatAccuracy     *float64 `json:"float_accuracy"`
	QuantizedAccuracy *float64 `json:"quantized_accuracy"`
	IntegerAccuracy   *float64 `json:"integer_accuracy"`
	Verify            *struct {
		Images     int   `json:"images"`
		Codes      int64 `json:"codes"`
		Mismatches int64 `json:"mismatches"`
		Layers     []struct {
			Name       string `json:"name"`
			Codes      int64  `json:"codes"`
			Mismatches int64  `json:"mismatches"`
		} `json:"layers"`
	} `json:"verify"`
	Layers []struct {
		Name       string   `json:"name"`
		Kind       string   `json:"kind"`
		WeightBits *int     `json:"weight_bits"`
		WeightFL   *float64 `json:"weight_fl"`
		InBits     *int     `json:"in_bits"`
		InFL       *float64 `json:"in_fl"`
		OutBits    *int     `json:"out_bits"`
		OutFL      *float64 `json:"out_fl"`
		Params     int      `json:"params"`
		MACs       int64    `json:"macs"`
		Bytes      int64    `json:"bytes"`
	} `json:"layers"`
	FloatBytes   int64  `json:"float_bytes"`
	IntegerBytes *int64 `json:"integer_bytes"`
	ImagesPerS   struct {
		Float     *float64 `json:"float"`
		Quantized *float64 `json:"quantized"`
		Integer   *float64 `json:"integer"`
	} `json:"images_per_s"`
	Seconds      float64           `json:"seconds"`
	PeakRSSBytes int64             `json:"peak_rss_bytes"`
	Files        map[string]string `json:"files"`
}

// strict decodes exactly one document: no unknown field, no missing one, nothing
// behind it.
func strict(t *testing.T, text string, into any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if _, err := d.Token(); err != io.EOF {
		t.Fatalf("there is text behind the document:\n%s", text)
	}
	var raw any
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		t.Fatal(err)
	}
	complete(t, raw, reflect.TypeOf(into).Elem(), "")
}

// complete checks that the JSON value has every field of a struct type.
func complete(t *testing.T, v any, typ reflect.Type, path string) {
	t.Helper()
	if v == nil {
		return
	}
	switch typ.Kind() {
	case reflect.Pointer:
		complete(t, v, typ.Elem(), path)
	case reflect.Slice:
		for _, x := range v.([]any) {
			complete(t, x, typ.Elem(), path+"[]")
		}
	case reflect.Struct:
		fields := v.(map[string]any)
		for f := range typ.Fields() {
			name := f.Tag.Get("json")
			x, ok := fields[name]
			if !ok {
				t.Errorf("field %s.%s is missing", path, name)
			}
			complete(t, x, f.Type, path+"."+name)
		}
	}
}

// One run goes through all commands.
func TestCommands(t *testing.T) {
	t.Chdir(t.TempDir())
	code, stdout, stderr := call(t, quick("--json")...)
	if code != exitDone {
		t.Fatalf("exit code %d:\n%s", code, stderr)
	}
	var d document
	strict(t, stdout, &d)
	if d.Net != "smallconvnet" || d.Data != "digits" || d.Seed != 1 || d.Threads != 1 || d.Verify.Mismatches != 0 || d.Verify.Images != 8 ||
		*d.QuantizedAccuracy != *d.IntegerAccuracy || len(d.Layers) != 7 || *d.Layers[1].WeightBits != 8 || d.Layers[1].WeightFL == nil || d.Seconds <= 0 {
		t.Errorf("got %s", stdout)
	}
	if d.Files["model"] != filepath.Join("runs", "001", "model.safetensors") {
		t.Errorf("files: %v", d.Files)
	}
	for name, path := range d.Files {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}

	code, again, stderr := call(t, "train", "--resume", "runs/001", "--json")
	if code != exitDone || again != stdout || !strings.Contains(stderr, "finished") {
		t.Errorf("resuming a finished run: exit code %d, %s\n%s", code, again, stderr)
	}

	code, stdout, stderr = call(t, "quantize", "runs/001", "--quant", "int8:w8a8,per-channel", "--limit", "256", "--verify-images", "4", "--threads", "1")
	if code != exitDone || !strings.Contains(stdout, "0 differ") || !strings.Contains(stderr, "run: runs/002") {
		t.Errorf("quantize: exit code %d, %s\n%s", code, stdout, stderr)
	}
	code, stdout, stderr = call(t, "finetune", "runs/002", "--epochs", "1", "--limit", "256", "--verify-images", "4", "--threads", "1", "--out", "tuned")
	if code != exitDone || !strings.Contains(stdout, "0 differ") {
		t.Errorf("finetune: exit code %d, %s\n%s", code, stdout, stderr)
	}
	for _, from := range []string{"runs/001/float.safetensors", "runs/001/quantized.safetensors", "runs/001", "tuned"} {
		code, stdout, stderr = call(t, "eval", from, "--images", "50", "--json")
		var e struct {
			What     string  `json:"what"`
			Net      string  `json:"net"`
			Data     string  `json:"data"`
			Images   int     `json:"images"`
			Accuracy float64 `json:"accuracy"`
			Top5     float64 `json:"top5"`
			Classes  []struct {
				Name     string  `json:"name"`
				Images   int     `json:"images"`
				Correct  int     `json:"correct"`
				Accuracy float64 `json:"accuracy"`
			} `json:"classes"`
		}
		if code != exitDone {
			t.Fatalf("eval %s: exit code %d\n%s", from, code, stderr)
		}
		strict(t, stdout, &e)
		if e.Images != 50 || len(e.Classes) != 10 {
			t.Errorf("eval %s: %s", from, stdout)
		}
	}
	code, stdout, stderr = call(t, "verify", "runs/001", "--verify-images", "3", "--json")
	verified := d.Verify
	if strict(t, stdout, verified); code != exitDone || verified.Images != 3 || verified.Mismatches != 0 {
		t.Errorf("verify: exit code %d, %s\n%s", code, stdout, stderr)
	}
	code, stdout, stderr = call(t, "export", "runs/001", "--out", "c", "--json")
	var exported struct {
		Files []string `json:"files"`
	}
	if strict(t, stdout, &exported); code != exitDone || len(exported.Files) != 2 {
		t.Errorf("export: exit code %d, %s\n%s", code, stdout, stderr)
	}
	code, stdout, stderr = call(t, "inspect", "runs/001/quantized.safetensors")
	if code != exitDone || !strings.Contains(stdout, "conv2d + bias + relu + quantize") {
		t.Errorf("inspect: exit code %d, %s\n%s", code, stdout, stderr)
	}

	if err := os.WriteFile("runs/001/model.safetensors", []byte("half a mod"), 0o666); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr = call(t, "eval", "runs/001")
	if code != exitFailed || stdout != "" || !strings.Contains(stderr, "runs/001/model.safetensors") {
		t.Errorf("eval of a damaged model: exit code %d, %s\n%s", code, stdout, stderr)
	}
}

// docs/json.md names every field that any document has.
func TestFieldsAreDocumented(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "json.md"))
	if err != nil {
		t.Fatal(err)
	}
	var names func(typ reflect.Type) []string
	names = func(typ reflect.Type) (list []string) {
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice:
			return names(typ.Elem())
		case reflect.Struct:
			for f := range typ.Fields() {
				if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" {
					list = append(append(list, name), names(f.Type)...)
				}
			}
		}
		return list
	}
	for _, typ := range documents {
		for _, name := range names(typ) {
			if !strings.Contains(string(page), "`"+name+"`") {
				t.Errorf("%v: docs/json.md does not name `%s`", typ, name)
			}
		}
	}
}

// interrupt runs the command until its log holds a word, then stops it.
func interrupt(t *testing.T, c *exec.Cmd, word string, stop func(*os.Process) error) (code int, log string) {
	t.Helper()
	pipe, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	deadline := time.AfterFunc(60*time.Second, func() { c.Process.Kill() })
	defer deadline.Stop()
	var text strings.Builder
	buffer := make([]byte, 4096)
	stopped := false
	for {
		n, err := pipe.Read(buffer)
		text.Write(buffer[:n])
		if !stopped && strings.Contains(text.String(), word) {
			stopped = true
			if err := stop(c.Process); err != nil {
				t.Fatal(err)
			}
		}
		if err != nil {
			break
		}
	}
	c.Wait()
	if !stopped {
		t.Fatalf("%q never came:\n%s", word, text.String())
	}
	return c.ProcessState.ExitCode(), text.String()
}

// documents are the types that commands print.
var documents = []reflect.Type{
	reflect.TypeFor[recipe.Result](), reflect.TypeFor[recipe.Evaluation](), reflect.TypeFor[recipe.Inspection](),
	reflect.TypeFor[export.Diff](),
}
