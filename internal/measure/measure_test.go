package measure

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/fakequant"
	"github.com/bitgrad/bitgrad/internal/cpu"
	"github.com/bitgrad/bitgrad/internal/host"
	"github.com/bitgrad/bitgrad/layers"
)

// tiny is a measurement that takes a moment.
func tiny(mode, phase string) Config {
	return Config{Net: "smallconvnet", Mode: mode, Phase: phase, Batch: 4, Threads: 2}
}

var short = Limit{Warmup: 1, Steps: 5, Seconds: 0.001}

var someLimits = Limits{FMA: Rate{1e9, 2e9}, Dot: Rate{4e9, 8e9}, Memory: []Bandwidth{{1000, Rate{1e9, 2e9}}, {1e6, Rate{1e8, 2e8}}}}

func newJob(t *testing.T, c Config) *Job {
	t.Helper()
	j, err := New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(j.Close)
	return j
}

// every lists the modes with their phases.
func every() []Config {
	configs := []Config{tiny(Infer, ""), tiny(Int8, ""), tiny(Float, ""), tiny(Float, Frozen)}
	for _, phase := range Phases {
		configs = append(configs, tiny(QAT, phase))
	}
	return append(configs, tiny(LSQ, Batch), tiny(LSQ, Frozen))
}

func TestWrongConfigs(t *testing.T) {
	for _, c := range []struct {
		change func(c *Config)
		err    error
		says   string
	}{
		{func(c *Config) { c.Mode = "flaot" }, ErrConfig, `mode "flaot": must be float, qat, lsq, infer or int8`},
		{func(c *Config) { c.Mode = "" }, ErrConfig, `mode ""`},
		{func(c *Config) { c.Net = "resnet9" }, layers.ErrNet, "resnet9"},
		{func(c *Config) { c.Phase = "warm" }, ErrConfig, `phase "warm": must be batch, observe or frozen`},
		{func(c *Config) { c.Batch = 0 }, ErrConfig, "batch 0"},
		{func(c *Config) { c.Threads = -1 }, ErrConfig, "-1 threads"},
		{func(c *Config) { c.Mode, c.Phase = Infer, Batch }, ErrConfig, "has no phases"},
		{func(c *Config) { c.Mode, c.Phase = Int8, Frozen }, ErrConfig, "has no phases"},
		{func(c *Config) { c.Phase = Observe }, ErrConfig, "has no observers"},
		{func(c *Config) { c.Mode, c.Phase = LSQ, Observe }, ErrConfig, "use mode qat"},
		{func(c *Config) { c.Quant = "int8:w8a8" }, ErrConfig, "mode float does not quantize"},
		{func(c *Config) { c.Mode, c.Rules = Infer, []string{"fc=w4"} }, ErrConfig, "mode infer does not quantize"},
		{func(c *Config) { c.Mode, c.Quant = QAT, "float" }, ErrConfig, "float is no way to"},
		{func(c *Config) { c.Mode, c.Quant = QAT, "int8:w8a8,lsq" }, ErrConfig, "use mode lsq"},
		{func(c *Config) { c.Mode, c.Quant = LSQ, "int8:w8a8,ste" }, ErrConfig, "use mode qat"},
		{func(c *Config) { c.Mode, c.Quant = QAT, "int8:w8a8,ema" }, ErrConfig, "leave out ema"},
		{func(c *Config) { c.Mode, c.Quant = QAT, "int8:w0a8" }, fakequant.ErrSpec, "bit width 0"},
		{func(c *Config) { c.Mode, c.Rules = QAT, []string{"fd=w4"} }, fakequant.ErrRule, "fd"},
		{func(c *Config) { c.Mode, c.Rules = QAT, []string{"fc"} }, fakequant.ErrSpec, "GLOB=SPEC"},
	} {
		config := tiny(Float, "")
		c.change(&config)
		j, err := New(t.Context(), config)
		if err == nil {
			j.Close()
			t.Errorf("%+v: no error, want %q", config, c.says)
			continue
		}
		if !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v, want %q", config, err, c.says)
		}
	}
	j := newJob(t, tiny(Infer, ""))
	for _, l := range []Limit{{Warmup: -1}, {Steps: -1}, {Seconds: -1}} {
		if _, err := j.Time(t.Context(), l); !errors.Is(err, ErrConfig) {
			t.Errorf("%+v: %v", l, err)
		}
	}
}

func TestTime(t *testing.T) {
	for _, c := range every() {
		for _, pixels := range []bool{false, true} {
			c.Pixels = pixels
			t.Run(strings.TrimSpace(c.Mode+" "+c.Phase), func(t *testing.T) {
				j := newJob(t, c)
				timing, err := j.Time(t.Context(), short)
				if err != nil {
					t.Fatal(err)
				}
				if timing.Steps != 5 || timing.Batch != 4 || timing.Best <= 0 || timing.Best > timing.Median {
					t.Errorf("%+v", timing)
				}
				if got, want := timing.ImagesPerSecond(), 4/timing.Median.Seconds(); got != want {
					t.Errorf("%v images/s, want %v", got, want)
				}
				if j.n != 6 {
					t.Errorf("%d steps, want 1 + 5", j.n)
				}
			})
		}
	}
}

// TestManySteps asks for as many steps as there are numbers: the time is the limit.
func TestManySteps(t *testing.T) {
	j := newJob(t, tiny(Infer, ""))
	before := host.PeakRSS()
	for range 3 {
		timing, err := j.Time(t.Context(), Limit{Warmup: 1, Steps: math.MaxInt, Seconds: 0.02})
		if err != nil || timing.Steps < 5 {
			t.Fatalf("%+v, %v", timing, err)
		}
	}
	if after := host.PeakRSS(); after > before+64<<20 {
		t.Errorf("the steps took %d bytes", after-before)
	}
}

// TestTrainingSteps expects that what is timed is training: the loss falls.
func TestTrainingSteps(t *testing.T) {
	for _, c := range every() {
		if !c.Training() {
			continue
		}
		j := newJob(t, c)
		if err := j.Step(); err != nil {
			t.Fatal(err)
		}
		first := j.program.Loss()
		for range 100 {
			if err := j.Step(); err != nil {
				t.Fatal(err)
			}
		}
		if last := j.program.Loss(); !(last < first) {
			t.Errorf("%s %s: the loss goes from %v to %v", c.Mode, c.Phase, first, last)
		}
	}
}

// TestPhases looks at what makes the phases different: what moves.
func TestPhases(t *testing.T) {
	for _, c := range []struct {
		mode, phase        string
		statistics, ranges bool
	}{
		{Float, Batch, true, false}, {Float, Frozen, false, false},
		{QAT, Batch, true, false}, {QAT, Observe, true, true}, {QAT, Frozen, false, false},
		{LSQ, Batch, true, true}, {LSQ, Frozen, false, true},
	} {
		config := tiny(c.mode, c.phase)
		j := newJob(t, config)
		values := func() (statistics, ranges []float32) {
			for _, s := range j.program.Graph().States() {
				switch {
				case strings.HasSuffix(s.Name, ".running_mean"):
					statistics = append(statistics, s.Value...)
				case strings.HasSuffix(s.Name, ".range"):
					ranges = append(ranges, s.Value...)
				}
			}
			for _, p := range j.program.Graph().Params() {
				if p.Role == autograd.RangeParam {
					ranges = append(ranges, p.Value...)
				}
			}
			return statistics, ranges
		}
		s0, r0 := values()
		for range 2 {
			if err := j.Step(); err != nil {
				t.Fatal(err)
			}
		}
		s1, r1 := values()
		if slices.Equal(s0, s1) == c.statistics || slices.Equal(r0, r1) == c.ranges {
			t.Errorf("%s %s: statistics %v to %v, ranges %v to %v", c.mode, c.phase, s0, s1, r0, r1)
		}
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	j := newJob(t, tiny(Infer, ""))
	if _, err := j.Time(ctx, short); !errors.Is(err, context.Canceled) {
		t.Errorf("Time: %v", err)
	}
	if _, err := j.Profile(ctx, short, someLimits); !errors.Is(err, context.Canceled) {
		t.Errorf("Profile: %v", err)
	}
}

func TestProfile(t *testing.T) {
	for _, c := range every() {
		t.Run(strings.TrimSpace(c.Mode+" "+c.Phase), func(t *testing.T) {
			j := newJob(t, c)
			p, err := j.Profile(t.Context(), short, someLimits)
			if err != nil {
				t.Fatal(err)
			}
			net, err := layers.ByName(c.Net)
			if err != nil {
				t.Fatal(err)
			}
			macs := map[string]int64{}
			directions := map[string]int{}
			for _, l := range p.Lines {
				macs[l.Direction] += l.MACs
				directions[l.Direction]++
				idle := l.Kind == "input" && c.Mode != Int8 // its border alone is filled
				if l.Seconds <= 0 || l.Limit == "" || !idle && (l.Bytes <= 0 || l.Share <= 0) {
					t.Errorf("%+v", l)
				}
				if (l.Node == "") != (l.Direction == loading || l.Direction == updating) {
					t.Errorf("%+v", l)
				}
				if want := l.Direction == forward && l.MACs > 0 && c.Quantized(); l.Integers != want {
					t.Errorf("%s %s: on integers: %v, want %v", l.Node, l.Direction, l.Integers, want)
				}
			}
			all := net().MACs() * int64(c.Batch)
			first := int64(8 * 9 * 28 * 28 * c.Batch) // the input of conv1 needs no gradient
			if c.Mode == LSQ {
				first = 0 // but for the learned range of the samples
			}
			if macs[forward] != all {
				t.Errorf("%d multiply-accumulates forward, want %d", macs[forward], all)
			}
			want := int64(0)
			if c.Training() {
				want = 2*all - first
			}
			if macs[backward] != want {
				t.Errorf("%d multiply-accumulates backward, want %d", macs[backward], want)
			}
			if c.Training() != (directions[updating] == 1) || (c.Mode == Int8) != (directions[loading] == 0) {
				t.Errorf("lines by direction: %v", directions)
			}
			if timing, err := j.Time(t.Context(), short); err != nil || timing.Steps != 5 {
				t.Errorf("the job does not go on: %+v, %v", timing, err)
			}
		})
	}
}

// TestAllocationsAreCounted plants some in a part of a step.
func TestAllocationsAreCounted(t *testing.T) {
	c := &clocks{places: map[place]*samples{}}
	var keep [][]byte
	c.begin(true)
	for range 10 {
		keep = append(keep, make([]byte, 100))
	}
	c.mark(place{direction: loading})
	c.end()
	if n := c.at(place{direction: loading}).allocs; n < 10 || n > 20 || len(keep) != 10 {
		t.Errorf("%d allocations, want 10 and a few for the slice", n)
	}
}

func TestBound(t *testing.T) {
	for _, c := range []struct {
		line  Line
		limit string
		share float64
	}{
		{Line{Seconds: 1, MACs: 5e8, Bytes: 100}, "fma", 0.5},
		{Line{Seconds: 1, MACs: 1e9, Bytes: 100, Integers: true}, "dot", 0.25},
		{Line{Seconds: 1, MACs: 1e3, Bytes: 1000}, "fma", 1e-6},
		{Line{Seconds: 1e-6, MACs: 1, Bytes: 1000}, "memory", 0.5},
		{Line{Seconds: 1e-2, Bytes: 1e6}, "memory", 0.5},
		{Line{Seconds: 1, Bytes: 1e8}, "memory", 0.5}, // beyond the largest that was measured
	} {
		l := c.line
		l.bound(someLimits)
		if l.Limit != c.limit || l.Share < c.share*0.999 || l.Share > c.share*1.001 {
			t.Errorf("%+v: %s %v, want %s %v", c.line, l.Limit, l.Share, c.limit, c.share)
		}
	}
}

// Products of bytes are held to the tiles where there are any.
func TestBoundOfTiles(t *testing.T) {
	l, tiles := Line{Seconds: 1, MACs: 1e9, Bytes: 100, Integers: true}, someLimits
	tiles.Tile = Rate{8e9, 16e9}
	l.bound(tiles)
	var text strings.Builder
	if err := tiles.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	if l.Limit != "dot" || l.Share != 0.125 || !strings.Contains(text.String(), "on tiles") {
		t.Errorf("%s %v of\n%s", l.Limit, l.Share, text.String())
	}
}

func TestLimits(t *testing.T) {
	l := Measure(2)
	if l.Threads != 2 || len(l.Memory) != len(workingSets) {
		t.Fatalf("%+v", l)
	}
	rates := []Rate{l.FMA, l.Dot, l.Memory[0].Rate, l.Memory[4].Rate}
	if cpu.Level() >= cpu.AMX {
		rates = append(rates, l.Tile)
	} else if l.Tile != (Rate{}) {
		t.Errorf("tiles that are not there: %+v", l.Tile)
	}
	for i, r := range rates {
		if r.One < 1e7 || r.All < 1e7 || r.One > 1e14 || r.All > 1e14 {
			t.Errorf("limit %d: %+v", i, r)
		}
	}
}

func TestReport(t *testing.T) {
	j := newJob(t, tiny(QAT, Frozen))
	p, err := j.Profile(t.Context(), short, someLimits)
	if err != nil {
		t.Fatal(err)
	}
	var text, doc strings.Builder
	r := j.Report(p.Timing, p)
	if err := errors.Join(r.WriteText(&text), r.WriteJSON(&doc)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"conv1 ", "int_conv2d", "backward", "GB/s", "limits of the machine", "images/s", "int8:w8a8 frozen"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
	var back Report
	if err := json.Unmarshal([]byte(doc.String()), &back); err != nil {
		t.Fatal(err)
	}
	if back.Net != "smallconvnet" || *back.Phase != Frozen || back.Limits == nil || len(back.Nodes) != len(p.Lines) || back.SecondsPerStep <= 0 {
		t.Errorf("%s", doc.String())
	}
}

func TestSpread(t *testing.T) {
	if got, want := SpreadOf([]float64{5, 1, 4, 2, 3}), (Spread{1, 2, 3, 4, 5}); got != want {
		t.Errorf("%v, want %v", got, want)
	}
	if got, want := SpreadOf([]float64{4, 1}), (Spread{1, 1.75, 2.5, 3.25, 4}); got != want {
		t.Errorf("%v, want %v", got, want)
	}
	if got := SpreadOf(nil); got != (Spread{}) {
		t.Errorf("%v without values", got)
	}
	if got := median([]time.Duration{9, 1, 4}); got != 4 {
		t.Errorf("median %v", got)
	}
	if got := median([]time.Duration{9, 1, 4, 6}); got != 5 {
		t.Errorf("median %v", got)
	}
}
