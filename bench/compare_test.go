package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/bitgrad/bitgrad/internal/measure"
)

// The test binary plays every part of a comparison: bench itself where asCommand is set,
// and Python where the first argument is a script of another framework.
const asCommand = "BITGRAD_TEST_COMMAND"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && strings.HasSuffix(os.Args[1], "_step.py") {
		os.Exit(playPeer(filepath.Base(os.Args[1]), os.Args[2:]))
	}
	if os.Getenv(asCommand) != "" {
		main()
	}
	os.Exit(m.Run())
}

// playPeer is a framework in which a step takes exactly as long as we want: PyTorch is
// fast compiled and slow otherwise, ONNX Runtime is not installed, OpenVINO breaks down in
// the second round, TensorFlow at the start.
func playPeer(script string, args []string) int {
	line := strings.Join(args, " ")
	switch {
	case script == onnxScript && !strings.Contains(line, "openvino"):
		fmt.Fprintln(os.Stderr, "warning: something")
		fmt.Fprintln(os.Stderr, "not installed: No module named 'onnxruntime'")
		return missingCode
	case script == tfScript:
		fmt.Fprintln(os.Stderr, "Traceback")
		fmt.Fprintln(os.Stderr, "ValueError: no")
		return 1
	}
	rate := 1000.0
	if strings.Contains(line, "--compile") {
		rate = 4000
	}
	fmt.Println("Statistics collection 100%")
	fmt.Println("ready")
	for n := 0; ; n++ {
		var seconds string
		if _, err := fmt.Scanln(&seconds); err != nil {
			return 0
		}
		if script == onnxScript && n == 1 {
			fmt.Fprintln(os.Stderr, "Segmentation fault")
			return 139
		}
		fmt.Println("a word in between")
		fmt.Printf(`{"peer":"fake 1.0","images_per_s":%v,"batch":%d,"threads":1,"peak_rss_mb":%d}`+"\n", rate, 2, 700+n)
	}
}

// compareArgs is a comparison with that cast.
func compareArgs(t *testing.T, more ...string) []string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(asCommand, "1")
	return append([]string{"compare", "--net", "lenet", "--batch", "2", "--threads", "1", "--rounds", "3", "--turns", "2", "--seconds", "0.01",
		"--peers", "peers", "--python", self, "--preload", "none"}, more...)
}

func TestCompare(t *testing.T) {
	file := filepath.Join(t.TempDir(), "speed.csv")
	code, stdout, stderr := call(t, "", compareArgs(t, "--mode", "float,int8", "--json", "--csv", file)...)
	if code != exitDone {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	var d comparison
	if err := json.Unmarshal([]byte(stdout), &d); err != nil {
		t.Fatal(err)
	}
	others := map[string][]string{}
	for _, r := range d.Ratios {
		others[r.Ours] = append(others[r.Ours], r.Other)
		if r.Other == "gorgonia" {
			continue // it is really there
		}
		want := float64(r.OursRate / r.Rate) // the others are as fast in every round
		if r.Rounds != 3 || r.Median < 0.99*want || r.Median > 1.01*want || r.Min > r.Lower || r.Lower > r.Median || r.Median > r.Upper || r.Upper > r.Max {
			t.Errorf("%+v", r)
		}
		if r.MB != 705 || r.OursMB <= 0 || r.CPU == "" || r.Level == "" || r.Version != "fake 1.0" || r.Net != "lenet" {
			t.Errorf("%+v", r)
		}
	}
	others["bitgrad float batch"] = slices.DeleteFunc(others["bitgrad float batch"], func(name string) bool { return name == "gorgonia" })
	if got, want := others["bitgrad float batch"], []string{"torch compiled", "torch compiled channels_last", "torch compiled channels_last bf16",
		"torch eager", "torch eager channels_last"}; !slices.Equal(got, want) {
		t.Errorf("float is compared with %q, want %q, fastest first", got, want)
	}
	if got, want := others["bitgrad int8 w8a8"], []string{"torch int8-pt2e compiled", "torch int8"}; !slices.Equal(got, want) {
		t.Errorf("int8 is compared with %q, want %q", got, want)
	}
	why := map[string]string{}
	for _, a := range d.Absent {
		why[a.Name] = a.Why
	}
	for name, want := range map[string]string{
		"tensorflow": "ValueError: no", "onnxruntime u8s8": "not installed: No module named 'onnxruntime'",
		"openvino": "Segmentation fault", "litert": "ValueError: no",
	} {
		if !strings.Contains(why[name], want) {
			t.Errorf("%s is absent because %q, want %q", name, why[name], want)
		}
	}
	rows, err := readRows(file)
	if err != nil || len(rows) != len(d.Ratios) {
		t.Fatalf("%d rows of %d ratios: %v", len(rows), len(d.Ratios), err)
	}
	if median, _ := strconv.ParseFloat(rows[0][slices.Index(columns, "ratio_median")], 64); median < 0.99*d.Ratios[0].Median-0.001 || median > 1.01*d.Ratios[0].Median+0.001 {
		t.Errorf("the file says %v, the document %v", median, d.Ratios[0].Median)
	}

	// A second comparison replaces its own rows and leaves the others.
	code, stdout, stderr = call(t, "", compareArgs(t, "--mode", "float", "--only", "bitgrad*", "--only", "torch eager", "--csv", file)...)
	if code != exitDone {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	for _, want := range []string{"bitgrad float batch", "torch eager", "lower quartile"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	if again, err := readRows(file); err != nil || len(again) != len(rows) {
		t.Errorf("%d rows after the second comparison, want %d: %v", len(again), len(rows), err)
	}
}

func TestNothingIsInstalled(t *testing.T) {
	args := compareArgs(t, "--mode", "float", "--python", filepath.Join(t.TempDir(), "python"))
	code, stdout, stderr := call(t, "", args...)
	if code != exitDone || strings.Count(stdout, "no such file") != len(peers["float"])-1 || !strings.Contains(stdout, "gorgonia") || !strings.Contains(stdout, "not compared:") {
		t.Errorf("exit code %d, %s\n%s", code, stdout, stderr)
	}
}

func TestWrongComparisons(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.csv")
	if err := os.WriteFile(bad, []byte("a,b\n1,2\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"compare", "--net", "resnet9"}, "resnet9"},
		{[]string{"compare", "--peers", "peers", "--mode", "flaot"}, `mode "flaot": must be float, qat, infer, int8`},
		{[]string{"compare", "--peers", "peers", "--rounds", "0"}, "0 rounds"},
		{[]string{"compare", "--peers", "peers", "--turns", "0"}, "in 0 turns"},
		{[]string{"compare", "--peers", "nowhere"}, "nowhere has no torch_step.py"},
		{[]string{"compare", "--peers", "peers", "--csv", bad}, "no table of ratios"},
	} {
		code, stdout, stderr := call(t, "", c.args...)
		if code != exitCall || stdout != "" || !strings.Contains(stderr, c.says) {
			t.Errorf("%q: exit code %d, stdout %q, stderr %q, want %q", c.args, code, stdout, stderr, c.says)
		}
	}
}

// TestRatios pairs rounds: a slow round of both sides is no slow ratio.
func TestRatios(t *testing.T) {
	rounds := func(rates ...float64) (m []measurement) {
		for _, r := range rates {
			m = append(m, measurement{ImagesPerS: r, Batch: 8, Threads: 2, PeakRSSMB: int64(r)})
		}
		return m
	}
	h := heat{net: "lenet", mode: "qat"}
	found := ratios(h, []*turns{
		{contender{name: "bitgrad float batch", ours: true}, rounds(100, 50, 100), 1},
		{contender{name: "bitgrad qat", ours: true}, rounds(200, 100, 220), 1},
		{contender{name: "torch"}, rounds(50, 25, 100), 1},
	})
	var got []string
	for _, r := range found {
		got = append(got, r.Ours+" / "+r.Other)
	}
	if want := []string{"bitgrad float batch / torch", "bitgrad qat / bitgrad float batch", "bitgrad qat / torch"}; !slices.Equal(got, want) {
		t.Fatalf("%q, want %q", got, want)
	}
	if r := found[2]; r.Spread != (measure.Spread{Min: 2.2, Lower: 3.1, Median: 4, Upper: 4, Max: 4}) || r.OursRate != 200 || r.Rate != 50 || r.OursMB != 220 {
		t.Errorf("%+v", r)
	}
}

// TestTurns takes the mean of a round's turns.
func TestTurns(t *testing.T) {
	t3 := turns{each: 3}
	for _, rate := range []float64{90, 100, 110, 20, 10, 60} {
		t3.took = append(t3.took, measurement{ImagesPerS: rate})
	}
	got := t3.rates()
	for i, want := range []float64{100, 30} {
		if len(got) != 2 || math.Abs(got[i]-want) > 1e-9 {
			t.Fatalf("%v, want 100 and 30", got)
		}
	}
}

func TestCleanEnvironment(t *testing.T) {
	got := cleanEnvironment([]string{"HOME=/", "OMP_NUM_THREADS=1", "OPENBLAS_X=1", "MKL_Y=2", "LD_PRELOAD=a", "ONEDNN_MAX_CPU_ISA=AVX2"})
	if want := []string{"NNCF_EXTENSION_LOAD_TIMEOUT=0", "HOME=/", "ONEDNN_MAX_CPU_ISA=AVX2"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestContenders expects names that are unique within a heat.
func TestContenders(t *testing.T) {
	c := compareCommand{Python: "python", Peers: "peers", Batch: 1, Threads: 1}
	for _, mode := range heats {
		names := map[string]bool{}
		for _, k := range c.contenders("lenet", mode, "bench").contenders {
			if names[k.name] {
				t.Errorf("%s: two contenders are named %q", mode, k.name)
			}
			names[k.name] = true
			if script := k.argv[1]; !k.ours && script != "gorgonia" && !exists(script) {
				t.Errorf("%s: there is no %s", k.name, k.argv[1])
			}
		}
	}
	if _, err := start(t.Context(), contender{argv: []string{"no-such-program-anywhere"}}); !errors.Is(err, errMissing) {
		t.Errorf("a program that is not there: %v", err)
	}
}
