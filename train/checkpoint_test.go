package train

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/datasets"
	"github.com/bitgrad/bitgrad/fakequant"
	"github.com/bitgrad/bitgrad/internal/files"
	"github.com/bitgrad/bitgrad/optim"
)

// listing returns the content of every file in a directory.
func listing(t testing.TB, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name()] = string(b)
	}
	return all
}

func sameFiles(t testing.TB, got, want map[string]string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got[name] != want[name] {
			t.Errorf("%s differs", name)
		}
	}
	if len(got) != len(want) {
		t.Errorf("files %v, want %v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
}

// resumable is a run that is long enough to be interrupted: 3 epochs of 6 steps.
func resumable(t testing.TB, dir string) Options {
	opt := everything(t)
	opt.Dir, opt.CheckpointSteps = dir, 4
	opt.Optimizer = optim.Config{Method: optim.AdamW{}, LearningRate: 0.02, WeightDecay: 1e-3, Schedule: optim.Cosine{Steps: 18},
		Groups: []optim.Group{{Roles: []autograd.Role{autograd.RangeParam}, Method: optim.Adam{}, LearningRate: 0.2}}}
	return opt
}

// interrupted runs a network to its end although it is stopped after each of
// the given steps, and every time continued by a new network that knows nothing
// of the old one.
func interrupted(t testing.TB, dir string, build func() *autograd.Graph, kills []int64, harm func(*Options, int)) *autograd.Graph {
	t.Helper()
	for i := 0; ; i++ {
		opt := resumable(t, dir)
		opt.Workers = 1 + i%3
		if c, err := ReadCheckpoint(dir); err == nil {
			opt.Resume = c
		} else if !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		opt.OnStep = func(s Step) {
			if i < len(kills) && s.Step == kills[i] {
				cancel()
			}
		}
		if harm != nil {
			harm(&opt, i)
		}
		g := build()
		_, err := Fit(ctx, g, bars(t, 100, 3), opt)
		cancel()
		switch {
		case err == nil:
			return g
		case errors.Is(err, context.Canceled):
			var stop *StoppedError
			if !errors.As(err, &stop) || stop.Checkpoint != filepath.Join(dir, CheckpointFile) || stop.Steps < kills[i] {
				t.Fatalf("stopped by %v", err)
			}
		case !errors.Is(err, files.ErrNoSpace):
			t.Fatal(err)
		}
	}
}

func TestResumeEqualsUndisturbed(t *testing.T) {
	nets := map[string]func() *autograd.Graph{
		"float": func() *autograd.Graph { return convNet(t, 5) },
		"dfp":   func() *autograd.Graph { return calibrated(t, 5, fakequant.DFP(4)) },
		"int8": func() *autograd.Graph {
			spec := fakequant.Int(8)
			spec.Estimator = fakequant.STE{}
			return calibrated(t, 5, spec)
		},
	}
	for name, build := range nets {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			whole := build()
			r, err := Fit(ctx, whole, bars(t, 100, 3), resumable(t, dir))
			if err != nil {
				t.Fatal(err)
			}
			want := listing(t, dir)
			if len(want) != 4 {
				t.Fatalf("files %v", slices.Sorted(maps.Keys(want)))
			}
			if name == "dfp" && len(r.FLChanges) == 0 {
				t.Error("no fractional length changed: the test sees less than it should")
			}
			random := rand.New(rand.NewPCG(1, 2))
			check := func(kills []int64, fail func(*Options, int)) {
				t.Helper()
				dir := t.TempDir()
				g := interrupted(t, dir, build, kills, fail)
				sameValues(t, fmt.Sprintf("killed after %v", kills), g, whole)
				sameFiles(t, listing(t, dir), want)
			}
			for kill := int64(1); kill <= r.Steps; kill++ {
				check([]int64{kill}, nil)
			}
			for range 3 {
				kills := []int64{1 + random.Int64N(6), 7 + random.Int64N(6), 13 + random.Int64N(6)}
				check(kills, nil)
			}
			// Where the disk fills up during the n-th file, the last checkpoint that
			// was completed is where it goes on.
			for range 6 {
				check(nil, func(o *Options, i int) {
					if i == 3 {
						return
					}
					n := random.IntN(12)
					o.limit = func(w io.Writer) io.Writer {
						if n--; n >= 0 {
							return w
						}
						return files.LimitSpace(random.Int64N(200))(w)
					}
				})
			}
		})
	}
}

// A new graph need not be calibrated to be continued.
func TestResumeUncalibrated(t *testing.T) {
	dir := t.TempDir()
	opt := resumable(t, dir)
	g := calibrated(t, 5, fakequant.DFP(4))
	fit(t, g, bars(t, 100, 3), opt)
	c, err := ReadCheckpoint(dir)
	if err != nil {
		t.Fatal(err)
	}
	opt.Resume = c
	h := quantizedNet(t, 99, fakequant.DFP(4))
	var out bytes.Buffer
	opt.Progress = &out
	r := fit(t, h, bars(t, 100, 3), opt)
	sameValues(t, "resumed at the end", h, g)
	if r.Steps != 18 || len(r.Epochs) != 3 || c.Steps != 18 || c.Net != "convnet" {
		t.Errorf("%d steps, %d epochs; the checkpoint says %d", r.Steps, len(r.Epochs), c.Steps)
	}
	if want := "continuing after step 18 of 18, in epoch 3 of 3\n"; out.String() != want {
		t.Errorf("progress %q, want %q", out.String(), want)
	}
}

func TestStopDuringValidation(t *testing.T) {
	several := bars(t, 300, 4) // more images than go through an evaluation together
	whole, dir := convNet(t, 5), t.TempDir()
	opt := resumable(t, dir)
	opt.Validation = several
	fit(t, whole, bars(t, 100, 3), opt)
	want := listing(t, dir)

	dir = t.TempDir()
	opt = resumable(t, dir)
	ctx, cancel := context.WithCancel(context.Background())
	opt.Validation = cancelling{several, cancel}
	_, err := Fit(ctx, convNet(t, 5), bars(t, 100, 3), opt)
	var stop *StoppedError
	if !errors.As(err, &stop) || stop.Epoch != 1 || stop.Steps != 6 {
		t.Fatalf("got %v", err)
	}
	if text := "train: stopped: after step 6 of 18, in epoch 1; continue from " + stop.Checkpoint + ": context canceled"; err.Error() != text {
		t.Errorf("got  %v\nwant %s", err, text)
	}
	c, err := ReadCheckpoint(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Epochs) != 0 || c.Steps != 6 {
		t.Errorf("the checkpoint has %d epochs and %d steps", len(c.Epochs), c.Steps)
	}
	opt = resumable(t, dir)
	opt.Validation = several
	opt.Resume = c
	g := convNet(t, 6)
	fit(t, g, bars(t, 100, 3), opt)
	sameValues(t, "stopped during validation", g, whole)
	sameFiles(t, listing(t, dir), want)
}

// cancelling cancels once the second batch is read; the first read is that of
// the fingerprint.
type cancelling struct {
	datasets.Dataset
	cancel context.CancelFunc
}

func (c cancelling) Read(dst *datasets.Batch, indices []int) error {
	if len(indices) > 0 && indices[0] > 0 {
		c.cancel()
	}
	return c.Dataset.Read(dst, indices)
}

// TestDirectoryInUse: while a run is at work on its directory, another can
// neither continue nor replace it.
func TestDirectoryInUse(t *testing.T) {
	whole, dir := convNet(t, 5), t.TempDir()
	fit(t, whole, bars(t, 100, 3), resumable(t, dir))
	want := listing(t, dir)

	dir = t.TempDir()
	opt := resumable(t, dir)
	tries := 0
	opt.OnEpoch = func(Epoch) {
		tries++
		other := resumable(t, dir)
		for range 2 {
			_, err := Fit(ctx, convNet(t, 6), bars(t, 100, 3), other)
			if text := "train: fit: files: run directory " + dir + " is in use by another process"; !errors.Is(err, ErrBusy) || !strings.HasPrefix(err.Error(), text) {
				t.Errorf("got  %v\nwant %s", err, text)
			}
			if other.Resume, err = ReadCheckpoint(dir); err != nil {
				t.Fatal(err)
			}
		}
	}
	g := convNet(t, 5)
	fit(t, g, bars(t, 100, 3), opt)
	if tries == 0 {
		t.Error("never tried")
	}
	sameValues(t, "disturbed", g, whole)
	sameFiles(t, listing(t, dir), want)
}

func TestCheckpointRefused(t *testing.T) {
	dir := t.TempDir()
	base := Options{Epochs: 2, Batch: 10, Optimizer: sgd(0.1), Dir: dir, Seed: 1}
	fit(t, convNet(t, 1), bars(t, 30, 1), base)
	path := filepath.Join(dir, CheckpointFile)
	c, err := ReadCheckpoint(path)
	if err != nil {
		t.Fatal(err)
	}
	other := convNet(t, 1)
	if other, err = other.Rewrite(func(e *autograd.Edit) error {
		e.SetOp(e.Node("drop"), autograd.DropoutOp{Rate: 0.2}, e.Node("pool1"))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	smaller := perceptron(t, 1)
	tests := []struct {
		name   string
		g      *autograd.Graph
		ds     datasets.Dataset
		change func(*Options)
		want   []string
	}{
		{"batch", convNet(t, 1), bars(t, 30, 1), func(o *Options) { o.Batch = 15 }, []string{"batch: 10 in the checkpoint, 15 in this run"}},
		{"several", convNet(t, 1), bars(t, 30, 1), func(o *Options) { o.Seed, o.Epochs = 2, 3 },
			[]string{"epochs: 2 in the checkpoint, 3 in this run; seed: 1 in the checkpoint, 2 in this run"}},
		{"optimizer", convNet(t, 1), bars(t, 30, 1), func(o *Options) { o.Optimizer.Schedule = optim.Constant{} },
			[]string{"optimizer: ", "Schedule:nil", "Schedule:optim.Constant{}"}},
		{"data", convNet(t, 1), bars(t, 30, 2), func(*Options) {}, []string{"data: bars: 30 samples [1 6 6], 3 classes, "}},
		{"validation", convNet(t, 1), bars(t, 30, 1), func(o *Options) { o.Validation = bars(t, 5, 1) }, []string{"validation: none in the checkpoint, bars: 5 "}},
		{"node", other, bars(t, 30, 1), func(*Options) {}, []string{"graph: drop = dropout(pool1) [N 4 3 3]"}},
		{"graph", smaller, moons(t, 30, 1), func(*Options) {}, []string{"graph: input = input() [N 1 6 6] uint8 in the checkpoint, input = input() [N 2] in this run"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := values(tt.g)
			o := base
			o.Resume = c
			tt.change(&o)
			_, err := Fit(ctx, tt.g, tt.ds, o)
			if !errors.Is(err, ErrCheckpoint) {
				t.Fatalf("got %v", err)
			}
			for _, w := range append(tt.want, path) {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("got  %v\nwant %s", err, w)
				}
			}
			if !slices.Equal(values(tt.g), before) {
				t.Error("the network changed")
			}
		})
	}
	t.Run("occupied", func(t *testing.T) {
		before := listing(t, dir)
		_, err := Fit(ctx, convNet(t, 1), bars(t, 30, 1), base)
		if !errors.Is(err, ErrCheckpoint) || !strings.Contains(err.Error(), "the directory holds a run already") {
			t.Errorf("got %v", err)
		}
		sameFiles(t, listing(t, dir), before)
	})
}

// rewrite changes a checkpoint and seals it again.
func rewrite(t *testing.T, from, to string, change func(tensors map[string]files.Tensor, meta map[string]string)) {
	t.Helper()
	f, err := files.LoadSafetensors(from)
	if err != nil {
		t.Fatal(err)
	}
	tensors := map[string]files.Tensor{}
	for _, x := range f.Tensors() {
		x.Data = bytes.Clone(x.Data)
		tensors[x.Name] = x
	}
	meta := f.Metadata()
	change(tensors, meta)
	if err := files.SaveSafetensors(to, slices.Collect(maps.Values(tensors)), meta); err != nil {
		t.Fatal(err)
	}
}

func TestCheckpointDamaged(t *testing.T) {
	dir := t.TempDir()
	opt := resumable(t, dir)
	fit(t, convNet(t, 1), bars(t, 100, 3), opt)
	path := filepath.Join(dir, CheckpointFile)
	bad := filepath.Join(t.TempDir(), "bad.safetensors")
	type tensors = map[string]files.Tensor
	put := func(name string, i int, x float32) func(tensors, map[string]string) {
		return func(ts tensors, _ map[string]string) {
			v, err := ts[name].Float32s()
			if err != nil {
				t.Fatal(err)
			}
			v[i] = x
			ts[name] = files.FromFloat32s(name, ts[name].Shape, v)
		}
	}
	position := func(p ...int64) func(tensors, map[string]string) {
		return func(ts tensors, _ map[string]string) {
			ts[positionName] = files.FromInt64s(positionName, []int{len(p)}, p)
		}
	}
	tests := []struct {
		name   string
		change func(tensors, map[string]string)
		want   string
	}{
		{"NaN", put("conv1.weight", 17, float32(math.NaN())), "parameter conv1.weight holds NaN at element 17"},
		{"state", put("conv1.bn.running_var", 2, float32(math.Inf(1))), "state conv1.bn.running_var holds +Inf at element 2"},
		{"vector", put("optimizer/fc.weight.exp_avg", 0, float32(math.NaN())), "optimizer vector optimizer/fc.weight.exp_avg holds NaN at element 0"},
		{"best", put("best/fc.bias", 1, float32(math.Inf(-1))), "parameter best/fc.bias holds -Inf at element 1"},
		{"missing", func(ts tensors, _ map[string]string) { delete(ts, "fc.bias") }, "parameter fc.bias is missing"},
		{"counter", func(ts tensors, _ map[string]string) { delete(ts, "counter/fc.bias.steps") }, "counter counter/fc.bias.steps is missing"},
		{"surplus", func(ts tensors, _ map[string]string) { ts["x"] = files.FromUint8s("x", []int{1}, []uint8{1}) }, "x belongs to nothing in this run"},
		{"shape", func(ts tensors, _ map[string]string) {
			ts["fc.bias"] = files.FromFloat32s("fc.bias", []int{2}, []float32{1, 2})
		}, "parameter fc.bias is [2], must be [3]"},
		{"kernels", func(_ tensors, m map[string]string) { m[kernelsKey] = "abacus" }, "kernels: abacus in the checkpoint, "},
		{"format", func(_ tensors, m map[string]string) { m[formatKey] = "bitgrad.checkpoint/0" }, `its format is "bitgrad.checkpoint/0", not "bitgrad.checkpoint/1"`},
		{"epochs", position(4, 0, 0, 0, 0), "4 complete epochs and metrics of 3"},
		{"place", position(3, 1, 0, 0, 1), "run/position: [3 1 0 0 1]"},
		{"short", position(1), "run/position and run/sums have 1 and 2 entries, not 5 and 2"},
		{"metrics", func(ts tensors, _ map[string]string) {
			b := []byte(strings.Join(metricsHeader, ",") + "\n1,2,asleep,1,1,1,1,1\n")
			ts[metricsName] = files.FromUint8s(metricsName, []int{len(b)}, b)
		}, `run/metrics: line 2: phase "asleep"`},
		{"no log", func(ts tensors, _ map[string]string) { delete(ts, changesName) }, "run/changes"},
		{"lengths", func(ts tensors, _ map[string]string) {
			ts[lengthsName] = files.FromInt32s(lengthsName, []int{1}, []int32{1})
		}, "run/lengths is missing, or not of length 0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rewrite(t, path, bad, tt.change)
			g := convNet(t, 2)
			before := values(g)
			o := opt
			var err error
			if o.Resume, err = ReadCheckpoint(bad); err == nil {
				_, err = Fit(ctx, g, bars(t, 100, 3), o)
			}
			if !errors.Is(err, ErrCheckpoint) || !strings.Contains(fmt.Sprint(err), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
			if !slices.Equal(values(g), before) {
				t.Error("the network changed")
			}
		})
	}
	t.Run("other kernels", func(t *testing.T) {
		rewrite(t, path, bad, func(_ tensors, m map[string]string) { m[kernelsKey] = "abacus" })
		c, err := ReadCheckpoint(bad)
		if err != nil {
			t.Fatal(err)
		}
		o := opt
		o.Resume, o.OtherKernels = c, true
		fit(t, convNet(t, 2), bars(t, 100, 3), o)
	})
	t.Run("bit", func(t *testing.T) {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		b[len(b)-5] ^= 4
		if err := os.WriteFile(bad, b, 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadCheckpoint(bad); !errors.Is(err, files.ErrChecksum) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("unsealed", func(t *testing.T) {
		f, err := files.LoadSafetensors(path)
		if err != nil {
			t.Fatal(err)
		}
		meta := f.Metadata()
		delete(meta, files.ChecksumKey)
		err = files.WriteAtomic(bad, func(w io.Writer) error { return files.WriteSafetensors(w, f.Tensors(), meta) })
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ReadCheckpoint(bad); !errors.Is(err, ErrCheckpoint) || !strings.Contains(err.Error(), "it has no checksum") {
			t.Errorf("got %v", err)
		}
	})
}

// Files that are newer or older than the checkpoint are put right.
func TestResumeRepairsFiles(t *testing.T) {
	dir := t.TempDir()
	opt := resumable(t, dir)
	fit(t, convNet(t, 1), bars(t, 100, 3), opt)
	want := listing(t, dir)
	for _, name := range []string{MetricsFile, BestFile} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("something else"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, ".bitgrad-0123456789abcdef.tmp"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	var err error
	if opt.Resume, err = ReadCheckpoint(dir); err != nil {
		t.Fatal(err)
	}
	fit(t, convNet(t, 2), bars(t, 100, 3), opt)
	sameFiles(t, listing(t, dir), want)
}

func TestMetricsFile(t *testing.T) {
	dir := t.TempDir()
	opt := Options{Epochs: 2, Batch: 10, Optimizer: sgd(0.1), Dir: dir, FrozenEpochs: 1}
	r := fit(t, convNet(t, 1), bars(t, 30, 1), opt)
	text := listing(t, dir)[MetricsFile]
	want := fmt.Sprintf("epoch,step,phase,loss,train_accuracy,validation_loss,validation_accuracy,learning_rate\n"+
		"1,3,train,%v,%v,,,0.1\n2,6,frozen,%v,%v,,,0.1\n", r.Epochs[0].Loss, r.Epochs[0].Accuracy, r.Epochs[1].Loss, r.Epochs[1].Accuracy)
	if text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
	if got := listing(t, dir)[FLFile]; got != "step,quantizer,channel,from,to\n" {
		t.Errorf("changes %q", got)
	}
	changes := []FLChange{{3, "conv1 weights", 2, 7, 6}, {9, `odd, "name"`, 0, -1, 0}}
	if back, err := parseFL(formatFL(changes)); err != nil || !slices.Equal(back, changes) {
		t.Errorf("changes read back as %v, %v", back, err)
	}
}

// described has everything that a setting may hold.
type described struct {
	Name    string
	Rate    *float64
	Next    any
	List    []int
	Table   map[string]int
	Compute func()
	self    *described
}

func TestDescribe(t *testing.T) {
	rate := 0.5
	d := described{Name: "a b", Rate: &rate, Next: optim.Adam{Beta1: 0.9}, List: []int{1, 2}, Table: map[string]int{"y": 2, "x": 1}}
	want := `train.described{Name:"a b" Rate:0.5 Next:optim.Adam{Beta1:0.9 Beta2:0 Eps:0} List:[1 2] Table:map["x":1 "y":2] Compute:func() self:nil}`
	if got := describe(d); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	d.self = &d
	if got := describe(&d); !strings.Contains(got, "…") {
		t.Errorf("a value that contains itself: %s", got)
	}
}
