package recipe

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bitgrad/bitgrad/datasets"
	"github.com/bitgrad/bitgrad/fakequant"
	"github.com/bitgrad/bitgrad/layers"
)

func TestDefaultsAreValid(t *testing.T) {
	for _, data := range append(datasets.Names(), "", "a/folder") {
		c, err := Default(data)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Validate(); err != nil {
			t.Errorf("%q: %v", data, err)
		}
		if c.Tune.FrozenEpochs <= 0 || c.Quant != "dfp:w8a8" {
			t.Errorf("%q: %+v", data, c)
		}
	}
	if c, _ := Default("CIFAR_10"); c.Net != "resnet8" || c.Augment == "none" {
		t.Errorf("names are read as datasets.Open reads them: %+v", c)
	}
}

func TestConfigIsReadAsItIsWritten(t *testing.T) {
	var c Config
	var fill func(v reflect.Value) // every field gets a value that no default has
	fill = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				fill(v.Field(i))
			}
		case reflect.Int:
			v.SetInt(77)
		case reflect.Uint64:
			v.SetUint(math.MaxUint64)
		case reflect.Float64:
			v.SetFloat(0.1 + 0.2)
		case reflect.String:
			v.SetString("7: #x")
		case reflect.Slice:
			v.Set(reflect.ValueOf([]string{"fc*=w2a4", "kind:linear=w4", ""}))
		case reflect.Bool:
			v.SetBool(false)
		default:
			t.Fatalf("a field of kind %v", v.Kind())
		}
	}
	fill(reflect.ValueOf(&c).Elem())
	text, err := c.encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseConfig(text, "")
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if d := cmp.Diff(c, got); d != "" {
		t.Errorf("%s", d)
	}
}

func TestParseConfig(t *testing.T) {
	c, err := ParseConfig([]byte("data: mnist\nnet: mlp\nfloat:\n  epochs: 7\n"), "")
	if err != nil {
		t.Fatal(err)
	}
	if c.Data != "mnist" || c.Net != "mlp" || c.Float.Epochs != 7 || c.Float.LearningRate != 1e-3 || c.Batch != 128 {
		t.Errorf("got %+v", c)
	}
	if c, err = ParseConfig([]byte(`{"data": "mnist", "tune": {"epochs": 3, "range_learning_rate": 0.5}}`), "cifar10"); err != nil {
		t.Fatal(err)
	}
	if c.Data != "cifar10" || c.Net != "resnet8" || c.Tune.Epochs != 3 || c.Tune.RangeLearningRate != 0.5 {
		t.Errorf("JSON, another data set: %+v", c)
	}
	if c, err = ParseConfig(nil, ""); err != nil || c.Data != "digits" {
		t.Errorf("an empty document: %+v, %v", c, err)
	}
	for _, bad := range []struct {
		text string
		says []string
	}{
		{"quantt: dfp:w4a8", []string{"line 1", "quantt", `"quant"`}},
		{"float:\n  epoch: 3", []string{"line 2", "float.epoch", `"epochs"`}},
		{"batch: many", []string{"line 1", "many"}},
		{"batch: 4\nbatch: 5", []string{"batch"}},
		{"seed: -1", []string{"-1"}},
		{"float: 3", []string{"float"}},
		{"[1, 2]", []string{"mapping"}},
		{"{", []string{"line 1"}},
		{"a: b: c", []string{"mapping values"}},
	} {
		_, err := ParseConfig([]byte(bad.text), "")
		if err == nil {
			t.Errorf("%q: no error", bad.text)
			continue
		}
		wantError(t, err, ErrConfig, bad.says...)
	}
}

func FuzzParseConfig(f *testing.F) {
	c, _ := Default("")
	text, _ := c.encode()
	f.Add(text)
	f.Add([]byte(`{"float": {"epochs": 3}, "rules": ["a=w4"]}`))
	f.Add([]byte("&a [*a]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := ParseConfig(text, "")
		if err != nil {
			if !errors.Is(err, ErrConfig) {
				t.Errorf("%v", err)
			}
			return
		}
		if c.Validate() != nil {
			return
		}
		again, err := c.encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseConfig(again, ""); err != nil {
			t.Errorf("%v in\n%s", err, again)
		}
	})
}

func TestValidate(t *testing.T) {
	for name, bad := range map[string]struct {
		change   func(c *Config)
		sentinel error
		says     string
	}{
		"task":          {func(c *Config) { c.Task = "learn" }, ErrConfig, "learn"},
		"data":          {func(c *Config) { c.Data = "" }, ErrConfig, "digits"},
		"net":           {func(c *Config) { c.Net = "lenett" }, layers.ErrNet, "lenet"},
		"normalize":     {func(c *Config) { c.Normalize = "no" }, ErrConfig, "normalize"},
		"width 0":       {func(c *Config) { c.Quant = "dfp:w0a8" }, fakequant.ErrSpec, "bit width 0"},
		"width 33":      {func(c *Config) { c.Quant = "dfp:w8a33" }, fakequant.ErrSpec, "bit width 33"},
		"rule":          {func(c *Config) { c.Rules = []string{"fc"} }, fakequant.ErrSpec, "GLOB=SPEC"},
		"float rule":    {func(c *Config) { c.Quant, c.Rules = Float, []string{"fc=w4"} }, ErrConfig, "fc=w4"},
		"float task":    {func(c *Config) { c.Quant, c.Task = Float, FineTune }, ErrConfig, "finetune"},
		"batch":         {func(c *Config) { c.Batch = 0 }, ErrConfig, "batch 0"},
		"limit":         {func(c *Config) { c.Limit = -1 }, ErrConfig, "-1"},
		"verify":        {func(c *Config) { c.Verify = -2 }, ErrConfig, "-2"},
		"calibration":   {func(c *Config) { c.Calibration = 0 }, ErrConfig, "calibration_images 0"},
		"augment":       {func(c *Config) { c.Augment = "spin" }, datasets.ErrOption, "spin"},
		"epochs":        {func(c *Config) { c.Float.Epochs = -1 }, ErrConfig, "float.epochs -1"},
		"optimizer":     {func(c *Config) { c.Tune.Optimizer = "rms" }, ErrConfig, "tune.optimizer"},
		"rate 0":        {func(c *Config) { c.Float.LearningRate = 0 }, ErrConfig, "float.learning_rate 0"},
		"rate NaN":      {func(c *Config) { c.Tune.LearningRate = math.NaN() }, ErrConfig, "tune.learning_rate NaN"},
		"range rate":    {func(c *Config) { c.Tune.RangeLearningRate = math.Inf(1) }, ErrConfig, "range_learning_rate"},
		"warmup":        {func(c *Config) { c.Float.Warmup = 1.5 }, ErrConfig, "float.warmup 1.5"},
		"decay":         {func(c *Config) { c.Float.WeightDecay = -1 }, ErrConfig, "float.weight_decay"},
		"smoothing":     {func(c *Config) { c.LabelSmoothing = 1 }, ErrConfig, "label_smoothing 1"},
		"not frozen":    {func(c *Config) { c.Tune.FrozenEpochs = 0 }, ErrConfig, "frozen"},
		"export format": {func(c *Config) { c.Export = []string{"cc"} }, ErrConfig, "cc"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := Default("digits")
			if err != nil {
				t.Fatal(err)
			}
			bad.change(&c)
			err = c.Validate()
			wantError(t, err, bad.sentinel, bad.says)
			if !IsCall(err) {
				t.Errorf("%v: the call is wrong", err)
			}
			dir := filepath.Join(t.TempDir(), "run")
			if _, err := Start(t.Context(), c, Options{Dir: dir, From: "x"}); err == nil || exists(dir, "") {
				t.Errorf("start: %v, and a directory: %v", err, exists(dir, ""))
			}
		})
	}
}

func TestStartRefuses(t *testing.T) {
	dir := t.TempDir()
	try := func(change func(c *Config, o *Options)) error {
		c := tiny(t)
		o := Options{Dir: filepath.Join(dir, "run"), Threads: 1}
		change(&c, &o)
		_, err := Start(t.Context(), c, o)
		if !IsCall(err) {
			t.Errorf("%v: the call is wrong", err)
		}
		return err
	}
	wantError(t, try(func(c *Config, o *Options) { o.Dir = dir }), nil, dir, "exists", "--resume")
	wantError(t, try(func(c *Config, o *Options) { c.Rules = []string{"conf*=w4"} }), fakequant.ErrRule, "conf*", "conv1")
	wantError(t, try(func(c *Config, o *Options) { c.Data = "mnist" }), datasets.ErrMissing, "train-images")
	wantError(t, try(func(c *Config, o *Options) { c.Data = "minst" }), datasets.ErrUnknown, "mnist")
	wantError(t, try(func(c *Config, o *Options) { o.Threads = -1 }), ErrConfig, "-1")
	wantError(t, try(func(c *Config, o *Options) { c.Augment = "crop=28" }), datasets.ErrOption, "28")
	wantError(t, try(func(c *Config, o *Options) { c.Task = Quantize }), ErrConfig, "weights")
	wantError(t, try(func(c *Config, o *Options) { o.From = filepath.Join(dir, "none") }), os.ErrNotExist, "none")
	wantError(t, try(func(c *Config, o *Options) { o.From = dir }), ErrConfig, "float.safetensors")
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("something was written: %v", entries)
	}
	_, err := Resume(t.Context(), dir, Options{})
	wantError(t, err, ErrConfig, "config.yaml")
	if err := os.WriteFile(filepath.Join(dir, configFile), []byte("batch: 0\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	_, err = Resume(t.Context(), dir, Options{})
	wantError(t, err, ErrRun, "batch 0")
}
