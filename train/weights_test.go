package train

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/fakequant"
	"github.com/bitgrad/bitgrad/internal/files"
)

func TestWeightsRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "weights.safetensors")
	g, h := convNet(t, 1), convNet(t, 2)
	for _, s := range g.States() {
		s.Value[0] = 0.25
	}
	if err := SaveWeights(path, g, map[string]string{"note": "x"}); err != nil {
		t.Fatal(err)
	}
	version := h.Node("fc.weight").Param().Version()
	r, err := LoadWeights(h, path, LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	sameValues(t, "loaded", h, g)
	if len(r.Loaded) != 7 || len(r.Missing)+len(r.Unexpected)+len(r.Mismatched)+len(r.Ignored) != 0 || r.String() != "7 loaded" {
		t.Errorf("report %+v", r)
	}
	if h.Node("fc.weight").Param().Version() == version {
		t.Error("the parameters were not touched")
	}
}

func TestCopyWeights(t *testing.T) {
	g, h := convNet(t, 1), convNet(t, 2)
	g.States()[0].Value[0] = 0.25
	if err := CopyWeights(h, g); err != nil {
		t.Fatal(err)
	}
	sameValues(t, "copied", h, g)
	h.Params()[0].Value[0]++
	h.States()[0].Value[0]++
	if g.Params()[0].Value[0] == h.Params()[0].Value[0] || g.States()[0].Value[0] != 0.25 {
		t.Error("the networks share their memory")
	}
	for _, other := range []*autograd.Graph{nil, autograd.NewGraph("empty"), perceptron(t, 1)} {
		before := values(h)
		if err := CopyWeights(h, other); err == nil || !slices.Equal(values(h), before) {
			t.Errorf("copied from another network: %v", err)
		}
	}
}

// pytorch is the state dict that a model like convNet has there.
func pytorch(prefix string) []files.Tensor {
	ones := func(n int) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(i) + 0.5
		}
		return v
	}
	return []files.Tensor{
		files.FromFloat32s(prefix+"conv1.weight", []int{4, 1, 3, 3}, ones(36)),
		files.FromFloat32s(prefix+"conv1.bn.weight", []int{4}, ones(4)),
		files.FromFloat32s(prefix+"conv1.bn.bias", []int{4}, ones(4)),
		files.FromFloat32s(prefix+"conv1.bn.running_mean", []int{4}, ones(4)),
		files.FromFloat64s(prefix+"conv1.bn.running_var", []int{4}, []float64{1, 2, 3, 4}),
		files.FromInt64s(prefix+"conv1.bn.num_batches_tracked", []int{}, []int64{77}),
		files.FromFloat32s(prefix+"fc.weight", []int{3, 36}, ones(108)),
		files.FromFloat32s(prefix+"fc.bias", []int{3}, ones(3)),
	}
}

func TestLoadWeights(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.safetensors")
	strip := func(name string) string { return strings.TrimPrefix(name, "module.") }
	without := func(ts []files.Tensor, name string) []files.Tensor {
		return slices.DeleteFunc(ts, func(x files.Tensor) bool { return x.Name == name })
	}
	bad := files.FromFloat32s("fc.bias", []int{3}, []float32{0, float32(math.NaN()), 0})
	tests := []struct {
		name    string
		tensors []files.Tensor
		opt     LoadOptions
		report  string // or
		want    string
	}{
		{"strict", pytorch(""), LoadOptions{}, "7 loaded", ""},
		{"prefix", pytorch("module."), LoadOptions{Rename: strip}, "7 loaded", ""},
		{"prefix kept", pytorch("module."), LoadOptions{Partial: true}, "", "no name fits: 0 loaded; 7 missing: conv1.weight, "},
		{"misnamed", append(without(pytorch(""), "fc.bias"), files.FromFloat32s("fc.biases", []int{3}, make([]float32, 3))), LoadOptions{},
			"", `6 loaded; 1 missing: fc.bias; 1 unexpected: fc.biases; nearest: "fc.biases"`},
		{"partial", append(without(pytorch(""), "fc.bias"), files.FromFloat32s("extra", []int{3}, make([]float32, 3))), LoadOptions{Partial: true},
			"6 loaded; 1 missing: fc.bias; 1 unexpected: extra", ""},
		{"shape", append(without(pytorch(""), "fc.weight"), files.FromFloat32s("fc.weight", []int{36, 3}, make([]float32, 108))), LoadOptions{},
			"", "6 loaded; 1 mismatched: fc.weight is [36 3] in the file and [3 36] in the graph"},
		{"type", append(without(pytorch(""), "fc.bias"), files.FromInt32s("fc.bias", []int{3}, make([]int32, 3))), LoadOptions{Partial: true},
			"6 loaded; 1 mismatched: fc.bias holds I32 in the file", ""},
		{"NaN", append(without(pytorch(""), "fc.bias"), bad), LoadOptions{Partial: true}, "", "fc.bias holds NaN at element 1"},
		{"twice", append(pytorch(""), files.FromFloat32s("module.fc.bias", []int{3}, make([]float32, 3))), LoadOptions{Rename: strip},
			"", "both become fc.bias"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := files.SaveSafetensors(path, tt.tensors, nil); err != nil {
				t.Fatal(err)
			}
			g := convNet(t, 1)
			before := values(g)
			r, err := LoadWeights(g, path, tt.opt)
			if tt.want != "" {
				if !errors.Is(err, ErrWeights) || !strings.Contains(fmt.Sprint(err), tt.want) {
					t.Errorf("got  %v\nwant %s", err, tt.want)
				}
				if !slices.Equal(values(g), before) {
					t.Error("the network changed")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if r.String() != tt.report {
				t.Errorf("got  %s\nwant %s", r, tt.report)
			}
			if len(r.Ignored) != 1 || !strings.HasSuffix(r.Ignored[0], "num_batches_tracked") {
				t.Errorf("ignored %v", r.Ignored)
			}
			if x := g.Node("conv1.weight").Param().Value[35]; x != 35.5 {
				t.Errorf("conv1.weight ends in %v", x)
			}
		})
	}
}

// A checkpoint is a file of weights too, and so is that of the best epoch; the
// weights of a float network go into a prepared one.
func TestLoadWeightsFromRun(t *testing.T) {
	dir := t.TempDir()
	g := convNet(t, 1)
	opt := resumable(t, dir)
	fit(t, g, bars(t, 100, 3), opt)
	h := convNet(t, 2)
	r, err := LoadWeights(h, filepath.Join(dir, BestFile), LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	sameValues(t, "best", h, g)
	if len(r.Ignored) != 0 {
		t.Errorf("ignored %v", r.Ignored)
	}
	if r, err = LoadWeights(h, filepath.Join(dir, CheckpointFile), LoadOptions{}); err != nil {
		t.Fatal(err)
	}
	if len(r.Loaded) != 7 || len(r.Ignored) == 0 {
		t.Errorf("report %s, ignored %v", r, r.Ignored)
	}
	q := quantizedNet(t, 3, fakequant.DFP(8))
	r, err = LoadWeights(q, filepath.Join(dir, BestFile), LoadOptions{Partial: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Loaded) != 7 || len(r.Missing) == 0 || len(r.Unexpected) != 0 {
		t.Errorf("report %s", r)
	}
	if !slices.Equal(q.Node("fc.weight").Param().Value, g.Node("fc.weight").Param().Value) {
		t.Error("the prepared graph has other weights")
	}
}

func TestWeightsErrors(t *testing.T) {
	if _, err := LoadWeights(nil, "x", LoadOptions{}); !errors.Is(err, ErrData) {
		t.Errorf("no graph: %v", err)
	}
	if err := SaveWeights("x", nil, nil); !errors.Is(err, ErrData) {
		t.Errorf("no graph: %v", err)
	}
	if _, err := LoadWeights(convNet(t, 1), filepath.Join(t.TempDir(), "none"), LoadOptions{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}
