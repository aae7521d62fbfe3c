package train

import (
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"
	"time"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/datasets"
	"github.com/bitgrad/bitgrad/fakequant"
	"github.com/bitgrad/bitgrad/layers"
	"github.com/bitgrad/bitgrad/optim"
)

// TestStepAllocatesNothing counts what Fit allocates between two steps of an
// epoch: reading ahead, augmentation, forward and backward pass, clipping,
// update and commit, in every phase.
func TestStepAllocatesNothing(t *testing.T) {
	nets := []struct {
		name string
		make func() *layers.Net
		like datasets.Info
	}{
		{"lenet", func() *layers.Net { return layers.LeNet() }, datasets.Info{Name: "noise", C: 1, H: 28, W: 28, Classes: 10}},
		{"resnet20", func() *layers.Net { return layers.ResNet20() }, datasets.Info{Name: "noise", C: 3, H: 32, W: 32, Classes: 10}},
	}
	modes := []struct {
		name   string
		spec   string // empty: float
		frozen float64
		change func(*Options)
	}{
		{"float", "", 0, func(o *Options) { o.Accumulate = 2 }},
		{"learned", "dfp:w8a8", 0, func(o *Options) { o.Optimizer.Method = optim.AdamW{} }},
		{"learned, frozen", "dfp:w4a4", 1, nil},
		{"observed", "int8:w8a8,per-channel,ste", 0, nil},
		{"observed, frozen", "int8:w8a8,per-channel,ste", 1, nil},
	}
	for _, net := range nets {
		for _, mode := range modes {
			t.Run(net.name+"/"+mode.name, func(t *testing.T) {
				opt := Options{Epochs: 1, FrozenEpochs: mode.frozen, Batch: 4, Optimizer: sgd(1e-4), Workers: 2,
					Augment: []datasets.Augmenter{datasets.Crop{Pad: 2}, datasets.Flip{}}}
				opt.Optimizer.ClipNorm = 1
				if mode.change != nil {
					mode.change(&opt)
				}
				steps, most := 200, uint64(8)
				if testing.Short() {
					steps, opt.Batch = 5, 1
				}
				n := allocations(t, net.make().Graph, net.like, mode.spec, opt, steps)
				if t.Logf("%d steps allocate %d times", steps, n); n > most {
					t.Errorf("%d steps allocate %d times, at most %d are accepted", steps, n, most)
				}
			})
		}
	}
}

// allocations trains a network for some steps and counts, after a few, how often
// anything in the process allocates.
func allocations(t *testing.T, g *autograd.Graph, like datasets.Info, spec string, opt Options, steps int) uint64 {
	t.Helper()
	const warm = 3
	ds := noise(t, (warm+steps)*opt.Batch*max(opt.Accumulate, 1), like)
	g.Initialize(1)
	if spec != "" {
		s, err := fakequant.ParseSpec(spec)
		if err != nil {
			t.Fatal(err)
		}
		if g, _, err = fakequant.Prepare(g, s); err != nil {
			t.Fatal(err)
		}
		if err := Calibrate(ctx, g, ds, CalibrateOptions{Images: 4, Batch: 4}); err != nil {
			t.Fatal(err)
		}
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	fillRuntime()
	var before, after runtime.MemStats
	opt.OnStep = func(s Step) {
		switch s.Step {
		case warm:
			runtime.ReadMemStats(&before)
		case int64(warm + steps):
			runtime.ReadMemStats(&after)
		}
	}
	fit(t, g, ds, opt)
	return after.Mallocs - before.Mallocs
}

// fillRuntime has the runtime allocate what long training makes it allocate
// sooner or later. A goroutine that waits takes a record from the cache of its
// processor and gives it to the cache of the one it wakes up on. So caches run
// empty, and records are allocated, until those that are full (128 records) pass
// on what they are given.
func fillRuntime() {
	var ready, done sync.WaitGroup
	gate := make(chan struct{})
	for range 512 * runtime.GOMAXPROCS(0) {
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-gate
		})
	}
	ready.Wait()
	time.Sleep(10 * time.Millisecond) // until the last ones wait
	close(gate)
	done.Wait()
}

// noise returns images of random pixels with random labels.
func noise(t *testing.T, n int, like datasets.Info) datasets.Dataset {
	t.Helper()
	r := rand.New(rand.NewPCG(uint64(n), 3))
	pixels, labels := make([]uint8, n*like.Size()), make([]int32, n)
	for i := range pixels {
		pixels[i] = uint8(r.IntN(256))
	}
	for i := range labels {
		labels[i] = int32(r.IntN(like.Classes))
	}
	ds, err := datasets.FromPixels(like, pixels, labels)
	if err != nil {
		t.Fatal(err)
	}
	return ds
}
