package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// benchDocument is what --json promises of bench, written down a second time.
type benchDocument struct {
	Net                string   `json:"net"`
	Mode               string   `json:"mode"`
	Phase              *string  `json:"phase"`
	Quant              string   `json:"quant"`
	Rules              []string `json:"rules"`
	Batch              int      `json:"batch"`
	Threads            int      `json:"threads"`
	CPU                string   `json:"cpu"`
	Level              string   `json:"level"`
	ImagesPerS         float64  `json:"images_per_s"`
	SecondsPerStep     float64  `json:"seconds_per_step"`
	BestSecondsPerStep float64  `json:"best_seconds_per_step"`
	Steps              int      `json:"steps"`
	AllocsPerStep      float64  `json:"allocs_per_step"`
	PlannedBytes       int64    `json:"planned_bytes"`
	PeakRSSBytes       int64    `json:"peak_rss_bytes"`
	Limits             *struct {
		FMA    benchRate `json:"fma"`
		Dot    benchRate `json:"dot"`
		Memory []struct {
			Bytes int64 `json:"bytes"`
			benchRate
		} `json:"memory"`
	} `json:"limits"`
	Nodes []struct {
		Name      string  `json:"name"`
		Kind      string  `json:"kind"`
		Direction string  `json:"direction"`
		Seconds   float64 `json:"seconds"`
		MACs      int64   `json:"macs"`
		Integers  bool    `json:"integers"`
		Bytes     int64   `json:"bytes"`
		Limit     string  `json:"limit"`
		Share     float64 `json:"share"`
		Allocs    float64 `json:"allocs"`
	} `json:"nodes"`
}

type benchRate struct {
	OneThread  float64 `json:"one_thread"`
	AllThreads float64 `json:"all_threads"`
}

func benchCall(t *testing.T, more ...string) benchDocument {
	t.Helper()
	args := append([]string{"bench", "--net", "smallconvnet", "--batch", "4", "--threads", "1", "--seconds", "0.01", "--json"}, more...)
	code, stdout, stderr := call(t, args...)
	if code != exitDone || stderr != "" {
		t.Fatalf("%v: exit code %d: %s", more, code, stderr)
	}
	var d benchDocument
	strict := json.NewDecoder(bytes.NewReader([]byte(stdout)))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&d); err != nil {
		t.Fatalf("%v: %v\n%s", more, err, stdout)
	}
	return d
}

func TestBench(t *testing.T) {
	d := benchCall(t)
	if d.Net != "smallconvnet" || d.Mode != "float" || d.Phase == nil || *d.Phase != "batch" || d.Quant != "float" || d.Rules == nil ||
		d.Batch != 4 || d.Threads != 1 || d.CPU == "" || d.Level == "" || d.ImagesPerS <= 0 || d.BestSecondsPerStep <= 0 ||
		d.SecondsPerStep < d.BestSecondsPerStep || d.Steps < 5 || d.PlannedBytes <= 0 || d.Limits != nil || d.Nodes == nil || len(d.Nodes) > 0 {
		t.Errorf("%+v", d)
	}
	if d := benchCall(t, "--mode", "int8", "--quant", "dfp:w4a8", "--rule", "fc=w2"); d.Phase != nil || d.Quant != "dfp:w4a8" || len(d.Rules) != 1 {
		t.Errorf("%+v", d)
	}
}

// TestBenchFile measures a network of the user's.
func TestBenchFile(t *testing.T) {
	t.Chdir(t.TempDir())
	text := "name: own\ninput: {shape: [2, 9, 9]}\nlayers:\n  - {conv: conv1, out: 4, kernel: 3, pad: same, bn: true, activation: relu}\n  - {linear: fc, out: classes}\n"
	if err := os.WriteFile("own.yaml", []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	if d := benchCall(t, "--net", "own.yaml", "--mode", "qat"); d.Net != "own" || d.ImagesPerS <= 0 {
		t.Errorf("%+v", d)
	}
}

func TestBenchByNode(t *testing.T) {
	d := benchCall(t, "--mode", "qat", "--phase", "frozen", "--by-node", "--floats")
	if d.Limits == nil || d.Limits.FMA.OneThread <= 0 || d.Limits.Dot.AllThreads <= 0 || len(d.Limits.Memory) == 0 || d.Limits.Memory[0].Bytes <= 0 {
		t.Fatalf("%+v", d.Limits)
	}
	sum := 0.0
	directions := map[string]bool{}
	for _, n := range d.Nodes {
		sum += n.Seconds
		directions[n.Direction] = true
	}
	if len(directions) != 4 || sum <= 0 || sum > 100*d.SecondsPerStep {
		t.Errorf("%v, %v s of %v", directions, sum, d.SecondsPerStep)
	}
	code, stdout, _ := call(t, "bench", "--net", "smallconvnet", "--batch", "4", "--seconds", "0.01", "--by-node")
	if code != exitDone || !strings.Contains(stdout, "fused_conv2d") || !strings.Contains(stdout, "limits of the machine") {
		t.Errorf("exit code %d:\n%s", code, stdout)
	}
}
