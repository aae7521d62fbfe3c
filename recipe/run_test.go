package recipe

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bitgrad/bitgrad/integer"
	"github.com/bitgrad/bitgrad/internal/files"
	"github.com/bitgrad/bitgrad/train"
)

func TestRunMakesEverything(t *testing.T) {
	var log logText
	dir := filepath.Join(t.TempDir(), "a", "run")
	c := tiny(t)
	c.Rules = []string{"conv2=w4", "fc=w8a8"}
	r := start(t, c, Options{Dir: dir, Threads: 2, Log: &log})

	if r.Verify == nil || r.Verify.Mismatches != 0 || r.Verify.Images != 24 || r.Verify.Codes == 0 {
		t.Errorf("verify: %+v", r.Verify)
	}
	for name, a := range map[string]*float64{"float": r.FloatAccuracy, "quantized": r.QuantizedAccuracy, "integer": r.IntegerAccuracy} {
		if a == nil {
			t.Fatalf("no %s accuracy", name)
		}
		if *a < 0.25 || *a > 1 {
			t.Errorf("%s accuracy %v: a network that learned something has more than 0.25", name, *a)
		}
	}
	if *r.QuantizedAccuracy != *r.IntegerAccuracy {
		t.Errorf("quantized accuracy %v, integer accuracy %v: the codes are the same", *r.QuantizedAccuracy, *r.IntegerAccuracy)
	}
	for name, rate := range map[string]*float64{"float": r.ImagesPerS.Float, "quantized": r.ImagesPerS.Quantized, "integer": r.ImagesPerS.Integer} {
		if rate == nil || *rate <= 0 {
			t.Errorf("%s: %v images per second", name, rate)
		}
	}
	if r.Threads != 2 || r.Seconds <= 0 || r.Seed != 1 || r.Net != "smallconvnet" || r.Data != "digits" {
		t.Errorf("got %+v", r)
	}
	i := slices.IndexFunc(r.Layers, func(l Layer) bool { return l.Name == "conv2" })
	if i < 0 || *r.Layers[i].WeightBits != 4 || r.Layers[i].Bytes >= 1152 {
		t.Errorf("conv2 has 1152 weights of 4 bits: %+v", r.Layers)
	}
	if want := int64(4 * (9122 + 48)); r.FloatBytes != want {
		t.Errorf("float_bytes %d, want %d", r.FloatBytes, want)
	}
	for name, path := range r.Files {
		if _, err := os.Stat(path); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(r.Files) != 11 {
		t.Errorf("files: %v", r.Files)
	}
	log.wants(t, "data: digits", "note: limit", "[1/7] float", "[5/7] verify", "epoch 1/2", "(frozen)", "differ", "worst sum", "smallconvnet.h")

	metrics, err := os.ReadFile(filepath.Join(dir, metricsFile))
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(string(metrics), "\n"); len(lines) != 6 || !strings.HasPrefix(lines[0], "stage,epoch,") ||
		!strings.HasPrefix(lines[1], "float,1,") || !strings.HasPrefix(lines[4], "finetune,2,") {
		t.Errorf("metrics:\n%s", metrics)
	}
	var table bytes.Buffer
	if err := r.WriteTable(&table); err != nil {
		t.Fatal(err)
	}
	for _, w := range []string{"conv2", "4 bit fl", "accuracy", "0 differ"} {
		if !strings.Contains(table.String(), w) {
			t.Errorf("the table does not say %q:\n%s", w, table.String())
		}
	}
	for _, c := range []struct{ name, what string }{{floatFile, "float"}, {rangesFile, "quantized"}, {tunedFile, "quantized"}, {modelFile, "integer"}, {"", "integer"}} {
		s, err := Open(filepath.Join(dir, c.name))
		if err != nil || s.What != c.what {
			t.Errorf("open %q: %v, %v", c.name, s, err)
		}
	}
	before := content(t, dir)
	again, err := Resume(t.Context(), dir, Options{})
	if err != nil || !again.Finished() || r.Finished() {
		t.Fatalf("resuming a finished run: %v, %v", again, err)
	}
	same(t, content(t, dir), before)
}

func TestThreadsChangeNothing(t *testing.T) {
	one := start(t, tiny(t), Options{Threads: 1})
	three := start(t, tiny(t), Options{Threads: 3})
	same(t, content(t, three.Dir()), content(t, one.Dir()))
}

func TestSeedChangesTheResult(t *testing.T) {
	c := tiny(t)
	c.Integer, c.Tune.Epochs, c.Float.Epochs = false, 0, 1
	a := start(t, c, Options{})
	c.Seed++
	b := start(t, c, Options{})
	if content(t, a.Dir())[floatFile] == content(t, b.Dir())[floatFile] {
		t.Error("two seeds give the same weights")
	}
}

// A run that is stopped at any moment, and stopped again while it continues, ends
// with the bytes of one that was left alone.
func TestResumeFromAnyMoment(t *testing.T) {
	want := content(t, start(t, tiny(t), Options{}).Dir())
	random := rand.New(rand.NewPCG(3, 4))
	stages := map[string]bool{}
	for range 3 {
		dir := filepath.Join(t.TempDir(), "run")
		_, err := Start(newCountdown(t.Context(), 2+random.Int64N(40)), tiny(t), Options{Dir: dir, Threads: 1})
		for stops := 0; err != nil; stops++ {
			var stopped *StageError
			if !errors.As(err, &stopped) || !stopped.Interrupted || stopped.Command() != "bitgrad train --resume "+dir {
				t.Fatalf("not an interruption: %v", err)
			}
			stages[stopped.Stage] = true
			if stops > 100 {
				t.Fatal("the run does not come to an end")
			}
			_, err = Resume(newCountdown(t.Context(), 1+random.Int64N(60)), dir, Options{Threads: 1 + stops%2})
		}
		same(t, content(t, dir), want)
	}
	if !stages["float"] || !stages["finetune"] {
		t.Errorf("stopped in %v only", stages)
	}
}

// A run that another process is at work on cannot be continued: it is left alone, and
// the call was wrong.
func TestResumeWhileAtWork(t *testing.T) {
	want := content(t, start(t, tiny(t), Options{}).Dir())
	dir := filepath.Join(t.TempDir(), "run")
	tries := 0
	log := logFunc(func(text string) {
		if !strings.Contains(text, "epoch 1/") {
			return
		}
		tries++
		_, err := Resume(t.Context(), dir, Options{})
		wantError(t, err, train.ErrBusy, "files: run directory "+dir+" is in use by another process")
		if !IsCall(err) {
			t.Error("it is the call that was wrong")
		}
	})
	start(t, tiny(t), Options{Dir: dir, Log: log})
	if tries != 2 {
		t.Errorf("tried %d times", tries)
	}
	same(t, content(t, dir), want)
}

// logFunc is a writer that looks at what it is told.
type logFunc func(text string)

func (f logFunc) Write(text []byte) (int, error) {
	f(string(text))
	return len(text), nil
}

// What a kill between a stage's file and the journal leaves behind is done again.
func TestStageIsDoneAgain(t *testing.T) {
	c := tiny(t)
	dir := start(t, c, Options{}).Dir()
	want := content(t, dir)
	for _, s := range c.Stages() {
		var j journal
		if err := readDocument(dir, journalFile, &j); err != nil {
			t.Fatal(err)
		}
		whole := j.Done
		j.Done = whole[:slices.Index(whole, s)]
		for _, err := range []error{
			writeDocument(dir, journalFile, j), os.Remove(filepath.Join(dir, resultFile)),
			os.WriteFile(filepath.Join(dir, ".bitgrad-0123456789abcdef.tmp"), []byte("half a file"), 0o666),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Resume(t.Context(), dir, Options{Threads: 1}); err != nil {
			t.Fatalf("again from %s: %v", s, err)
		}
		same(t, content(t, dir), want)
	}
}

func TestTasksFollowOneAnother(t *testing.T) {
	c := tiny(t)
	c.Export = nil
	first := start(t, c, Options{})

	q, err := DefaultFrom(Quantize, first.Dir(), "")
	if err != nil {
		t.Fatal(err)
	}
	if q.Net != "smallconvnet" || q.Data != "digits" || q.Tune.Epochs != 0 || q.Task != Quantize {
		t.Errorf("defaults from weights: %+v", q)
	}
	q.Limit, q.Calibration, q.Verify, q.Quant, q.Export = 256, 64, 4, "int8:w8a8,per-channel", nil
	second := start(t, q, Options{From: first.Dir()})
	if *second.FloatAccuracy != *first.FloatAccuracy {
		t.Errorf("float accuracy %v becomes %v", *first.FloatAccuracy, *second.FloatAccuracy)
	}
	if l := second.Layers[1]; l.WeightFL != nil || len(*l.WeightScale) != 8 || *l.WeightZeroPoint != 0 {
		t.Errorf("scales per channel: %+v", l)
	}

	f, err := DefaultFrom(FineTune, second.Dir(), "")
	if err != nil {
		t.Fatal(err)
	}
	if f.Quant != q.Quant {
		t.Errorf("quant %q, want %q", f.Quant, q.Quant)
	}
	f.Limit, f.Verify, f.Export, f.Tune.Epochs = 256, 4, nil, 1
	third := start(t, f, Options{From: second.Dir()})
	if third.FloatAccuracy != nil || third.QuantizedAccuracy == nil || third.Verify.Mismatches != 0 {
		t.Errorf("fine-tuned: %+v", third)
	}

	f.Rules = []string{"fc=w4"}
	_, err = Start(t.Context(), f, Options{From: second.Dir(), Dir: filepath.Join(t.TempDir(), "x")})
	wantError(t, err, ErrConfig, "int8:w8a8,per-channel", "fc=w4")
	f.Rules = nil
	_, err = Start(t.Context(), f, Options{From: filepath.Join(first.Dir(), floatFile), Dir: filepath.Join(t.TempDir(), "x")})
	wantError(t, err, ErrConfig, "bitgrad quantize")
	q.Net = "lenet"
	_, err = Start(t.Context(), q, Options{From: first.Dir(), Dir: filepath.Join(t.TempDir(), "x")})
	wantError(t, err, ErrConfig, "smallconvnet", "lenet")
}

func TestFloatControl(t *testing.T) {
	c := tiny(t)
	c.Quant = Float
	var log logText
	r := start(t, c, Options{Log: &log})
	log.wants(t, "epoch 4/4")
	if r.FloatAccuracy == nil || r.QuantizedAccuracy != nil || r.IntegerBytes != nil || r.Verify != nil || len(r.Layers) != 0 {
		t.Errorf("got %+v", r)
	}
	var b bytes.Buffer
	if err := r.WriteTable(&b); err != nil || !strings.Contains(b.String(), "float") {
		t.Errorf("table %q, %v", b.String(), err)
	}
}

// A network that nothing has trained yet is not evaluated.
func TestFromNothing(t *testing.T) {
	c := tiny(t)
	c.Float.Epochs, c.Tune.LearningRate = 0, 0.01
	var log logText
	r := start(t, c, Options{Log: &log})
	if r.FloatAccuracy != nil || r.QuantizedAccuracy == nil || r.IntegerAccuracy == nil || *r.IntegerAccuracy < 0.25 {
		t.Errorf("got %+v", r)
	}
	for text, want := range map[string]bool{"float accuracy": false, "before fine-tuning": false, "quantized accuracy": true} {
		if strings.Contains(log.String(), text) != want {
			t.Errorf("%q: want %v in\n%s", text, want, log.String())
		}
	}
	var b bytes.Buffer
	if err := r.WriteTable(&b); err != nil || !strings.Contains(b.String(), "quantized  ") {
		t.Errorf("table %q, %v", b.String(), err)
	}
}

func TestWithoutIntegerModel(t *testing.T) {
	c := tiny(t)
	c.Net, c.Limit, c.Float.Epochs, c.Tune.Epochs = "cifar10full", 64, 0, 0
	dir := filepath.Join(t.TempDir(), "run")
	_, err := Start(t.Context(), c, Options{Dir: dir, Threads: 1})
	wantError(t, err, ErrConfig, "norm1", "lrn", "--no-integer")
	if exists(dir, "") {
		t.Error("a run directory was made for a call that was wrong")
	}
	c.Integer = false
	if r := start(t, c, Options{Dir: dir}); r.QuantizedAccuracy == nil || r.IntegerAccuracy != nil {
		t.Errorf("got %+v", r)
	}
}

func TestVerifyFindsAPlantedFault(t *testing.T) {
	c := tiny(t)
	c.Export = nil
	dir := start(t, c, Options{}).Dir()
	f, err := files.LoadSafetensors(filepath.Join(dir, modelFile))
	if err != nil {
		t.Fatal(err)
	}
	tensors := f.Tensors()
	for i, x := range tensors {
		if x.Name == "conv2.weight" {
			tensors[i].Data = bytes.Clone(x.Data)
			tensors[i].Data[7] ^= 1
		}
	}
	altered := filepath.Join(dir, "altered.safetensors")
	if err := files.SaveSafetensors(altered, tensors, f.Metadata()); err != nil {
		t.Fatal(err)
	}
	if _, err := integer.Load(altered); err != nil {
		t.Fatalf("the altered model is a model: %v", err)
	}
	d, err := Verify(t.Context(), dir, altered, UseOptions{Images: 16, Threads: 1})
	wantError(t, err, ErrDiffers, "conv2")
	if d == nil || d.Mismatches == 0 || IsCall(err) {
		t.Errorf("got %+v, %v", d, err)
	}
	if d, err := Verify(t.Context(), dir, "", UseOptions{Images: 16, Threads: 1}); err != nil || d.Mismatches != 0 {
		t.Errorf("the model itself: %+v, %v", d, err)
	}
}
