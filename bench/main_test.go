package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/bitgrad/bitgrad/internal/measure"
)

// call runs the command in this process.
func call(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, log strings.Builder
	code = run(t.Context(), args, strings.NewReader(stdin), &out, &log)
	return code, out.String(), log.String()
}

func TestWrongCalls(t *testing.T) {
	for _, c := range []struct{ args, says string }{
		{"stepp", "stepp"},
		{"step", "--net"},
		{"step --net resnet9", `net "resnet9": there are lenet, cifarfull, resnet8, resnet20, mobilenet`},
		{"step --net resnet20conv", "resnet20"},
		{"step --net lenet --mode int4", "int8"},
		{"step --net lenet --phase cold", `phase "cold"`},
		{"step --net lenet --mode lsq --phase observe", "use mode qat"},
		{"step --net lenet --mode qat --quant int9000:w8", "int9000"},
		{"step --net lenet --input images", "images"},
		{"step --net lenet --batch 0", "batch 0"},
		{"step --net lenet --steps=-1", "-1 steps"},
		{"train", "--net"},
		{"train --net resnet9", `net "resnet9"`},
		{"train --net lenet --mode infer", "mode infer does not train"},
		{"train --net lenet --optimizer adm", `optimizer "adm": must be adam or sgd`},
		{"train --net lenet --augment crop", `augmentation "crop"`},
		{"train --net lenet --augment crop=40", "pad 40"},
		{"train --net lenet --rounds 0", "0 rounds"},
		{"gorgonia --net resnet8", "measured on lenet"},
		{"gorgonia --batch 0", "batch 0"},
		{"kernels --net resnet9", `net "resnet9"`},
		{"kernels --batch 0", "batch 0"},
		{"kernels --seconds 0", "0 seconds"},
		{"kernels --rounds 0", "0 rounds"},
		{"kernels --kernel forwrad", `kernel "forwrad": must be one of forward, input gradient, weight gradient, bytes forward`},
	} {
		code, stdout, stderr := call(t, "", strings.Fields(c.args)...)
		if code != exitCall || stdout != "" || !strings.HasPrefix(stderr, "bench: ") || !strings.Contains(stderr, c.says) {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q, want %q", c.args, code, stdout, stderr, c.says)
		}
	}
	if code, stdout, stderr := call(t, ""); code != exitDone || !strings.Contains(stdout, "step") || stderr != "" {
		t.Errorf("without arguments: exit code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}

// A line is what the scripts of all frameworks print, written down a second time.
type line struct {
	Peer       *string  `json:"peer"`
	Net        *string  `json:"net"`
	Mode       *string  `json:"mode"`
	Config     *string  `json:"config"`
	Batch      *int     `json:"batch"`
	Threads    *int     `json:"threads"`
	ImagesPerS *float64 `json:"images_per_s"`
	MSPerStep  *float64 `json:"ms_per_step"`
	MSBest     *float64 `json:"ms_best"`
	Steps      *int     `json:"steps"`
	PeakRSSMB  *int     `json:"peak_rss_mb"`
}

func parse(t *testing.T, text string) line {
	t.Helper()
	var l line
	if err := json.Unmarshal([]byte(text), &l); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if l.Peer == nil || l.Net == nil || l.Mode == nil || l.Config == nil || l.Batch == nil || l.Threads == nil || l.ImagesPerS == nil ||
		l.MSPerStep == nil || l.MSBest == nil || l.Steps == nil || l.PeakRSSMB == nil {
		t.Fatalf("a field is missing: %s", text)
	}
	if rate := 1000 * float64(*l.Batch) / *l.MSPerStep; *l.ImagesPerS < 0.99*rate || *l.ImagesPerS > 1.01*rate || *l.MSBest > *l.MSPerStep {
		t.Errorf("images/s and milliseconds disagree: %s", text)
	}
	return l
}

func TestStep(t *testing.T) {
	for _, c := range []struct{ args, config string }{
		{"--net lenet --mode float", "batch"},
		{"--net cifarfull --mode infer", ""},
		{"--net resnet8 --mode qat --phase frozen", "int8:w8a8 frozen"},
		{"--net resnet20 --mode lsq --quant dfp:w4a4 --rule fc=w8", "dfp:w4a4 fc=w8 batch"},
		{"--net mobilenet --mode int8 --input pixels", "int8:w8a8 pixels"},
	} {
		args := strings.Fields("step --json --batch 2 --threads 1 --warmup 1 --steps 5 --seconds 0.01 " + c.args)
		code, stdout, stderr := call(t, "", args...)
		if code != exitDone || stderr != "" || strings.Count(stdout, "\n") != 1 {
			t.Fatalf("%s: exit code %d, %q, %q", c.args, code, stdout, stderr)
		}
		l := parse(t, stdout)
		words := strings.Fields(c.args)
		if *l.Net != words[1] || *l.Mode != words[3] || !strings.HasSuffix(*l.Config, c.config) || *l.Batch != 2 || *l.Threads != 1 || *l.Steps != 5 {
			t.Errorf("%s: %s", c.args, stdout)
		}
	}
	code, stdout, _ := call(t, "", "step", "--net", "lenet", "--batch", "2", "--seconds", "0.01")
	if code != exitDone || !strings.Contains(stdout, "images/s") || strings.HasPrefix(stdout, "{") {
		t.Errorf("exit code %d, %q", code, stdout)
	}
}

func TestTrain(t *testing.T) {
	args := strings.Fields("train --net lenet --mode qat --phase observe --optimizer adam --augment shift=1 --batch 2 --threads 1 --rounds 2 --seconds 0.01")
	code, stdout, stderr := call(t, "", append(args, "--json")...)
	var l fitLine
	if err := json.Unmarshal([]byte(stdout), &l); code != exitDone || stderr != "" || err != nil {
		t.Fatalf("exit code %d, %v, %q, %q", code, err, stdout, stderr)
	}
	if l.Net != "lenet" || l.Mode != "qat" || !strings.HasSuffix(l.Config, "int8:w8a8 observe pixels") || l.Optimizer != "adam" || l.Augment != "shift=1" ||
		l.Batch != 2 || l.Threads != 1 || l.Rounds != 2 || l.Train <= 0 || l.Step <= 0 || l.Ratio.Lower <= 0 {
		t.Errorf("%s", stdout)
	}
	code, stdout, _ = call(t, "", args...)
	if code != exitDone || !strings.Contains(stdout, "quartiles") || !strings.Contains(stdout, "of 2 rounds") {
		t.Errorf("exit code %d, %q", code, stdout)
	}
}

// TestServe takes turns as compare does.
func TestServe(t *testing.T) {
	args := strings.Fields("step --serve --net lenet --mode infer --batch 2 --threads 1")
	code, stdout, stderr := call(t, "0.01\n0.02\n", args...)
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	if code != exitDone || stderr != "" || len(lines) != 3 || lines[0] != "ready" {
		t.Fatalf("exit code %d, %q, %q", code, stdout, stderr)
	}
	parse(t, lines[1])
	parse(t, lines[2])
	if code, _, stderr := call(t, "soon\n", args...); code != exitCall || !strings.Contains(stderr, `"soon" on stdin`) {
		t.Errorf("exit code %d, %q", code, stderr)
	}
}

// Two kernels of one kind: in the first round they reach a half and a quarter of peaks of 100 and 200, in the second twice
// as much.
func TestKernelSums(t *testing.T) {
	line := func(seconds, peak float64) measure.KernelLine {
		return measure.KernelLine{Net: "a", Kernel: measure.ForwardKernel, Count: 2, MACs: 50, Seconds: seconds, Peak: peak}
	}
	rounds := [][]measure.KernelLine{{line(2, 100), line(2, 200)}, {line(1, 100), line(1, 200)}}
	got := sums("a", "all", rounds, func(measure.KernelLine) bool { return true })
	want := []kernelSum{{Net: "a", Which: "all", Kernel: measure.ForwardKernel, Seconds: 4, MACs: 200, OfPeak: 0.5, LowerQuartile: (1.0/3 + 0.5) / 2}}
	if diff := cmp.Diff(want, got, cmpopts.EquateApprox(0, 1e-12)); diff != "" {
		t.Error(diff)
	}
	if best := fastest(rounds); best[0].Seconds != 1 || best[1].Seconds != 1 {
		t.Errorf("fastest: %+v", best)
	}
	if none := sums("b", "all", rounds, func(measure.KernelLine) bool { return true }); none != nil {
		t.Errorf("of a network without lines: %+v", none)
	}
}

func TestKernels(t *testing.T) {
	args := strings.Fields("kernels --net resnet8 --net mobilenet --batch 2 --threads 1 --seconds 0.0001 --rounds 2")
	code, stdout, stderr := call(t, "", append(args, "--json")...)
	if code != exitDone || stderr != "" {
		t.Fatalf("exit code %d, %q", code, stderr)
	}
	var d kernelDocument
	if err := json.Unmarshal([]byte(stdout), &d); err != nil {
		t.Fatal(err)
	}
	macs := map[[2]string]int64{}
	for _, l := range d.Kernels {
		macs[[2]string{l.Net, l.Kernel}] += int64(l.Count) * l.MACs
		if l.Seconds <= 0 || l.Share <= 0 || l.OfPeak <= 0 || l.Peak <= 0 || l.Bytes <= 0 {
			t.Errorf("%+v", l)
		}
	}
	for _, kernel := range []string{"forward", "input gradient", "weight gradient", "bytes forward"} {
		if got, want := macs[[2]string{"resnet8", kernel}], int64(2*12501632); got != want {
			t.Errorf("resnet8, %s: %d multiply-accumulates, want %d", kernel, got, want)
		}
		if got, want := macs[[2]string{"mobilenet", kernel}], int64(2*22930432); got != want {
			t.Errorf("mobilenet, %s: %d multiply-accumulates, want %d", kernel, got, want)
		}
	}
	sums := map[string]int64{}
	for _, s := range d.Sums {
		if s.Kernel == "forward" && s.Net == "resnet8" {
			sums[s.Which] = s.MACs
		}
	}
	if first, fc := int64(2*16*27*32*32), int64(2*640); sums["all"] != 2*12501632 || sums["convolutions from 16 channels"] != 2*12501632-first-fc {
		t.Errorf("sums %v", sums)
	}
	code, stdout, _ = call(t, "", append(args, "--kernel", "bytes forward", "--json")...)
	var bytes kernelDocument
	if err := json.Unmarshal([]byte(stdout), &bytes); code != exitDone || err != nil || len(bytes.Sums) != 4 || 4*len(bytes.Kernels) != len(d.Kernels) {
		t.Errorf("one kernel: exit code %d, %v:\n%s", code, err, stdout)
	}
	code, stdout, _ = call(t, "", args...)
	if code != exitDone || !strings.Contains(stdout, "3×3 depthwise 64 stride 2") || !strings.Contains(stdout, "fma: ") {
		t.Errorf("exit code %d:\n%s", code, stdout)
	}
}
