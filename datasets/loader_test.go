package datasets

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// served is a copy of a batch.
type served struct {
	step    int
	pixels  []uint8
	labels  []int32
	indices []int
}

func epoch(t testing.TB, l *Loader, number, first int) []served {
	t.Helper()
	var out []served
	for b, err := range l.Epoch(context.Background(), number, first) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, served{b.Step, slices.Clone(b.Pixels), slices.Clone(b.Labels), slices.Clone(b.Indices)})
	}
	return out
}

func equal(a, b served) bool {
	return a.step == b.step && slices.Equal(a.pixels, b.pixels) && slices.Equal(a.labels, b.labels) && slices.Equal(a.indices, b.indices)
}

func newLoader(t testing.TB, ds Dataset, o LoaderOptions) *Loader {
	t.Helper()
	l, err := NewLoader(ds, o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestEpochServesEverySampleOnce holds for any size of set and batch.
func TestEpochServesEverySampleOnce(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n, batch := rapid.IntRange(1, 25).Draw(rt, "n"), rapid.IntRange(1, 30).Draw(rt, "batch")
		shuffle, drop := rapid.Bool().Draw(rt, "shuffle"), rapid.Bool().Draw(rt, "drop") && batch <= n
		prefetch := rapid.IntRange(0, 4).Draw(rt, "prefetch")
		l := newLoader(t, counted(t, n), LoaderOptions{Batch: batch, Shuffle: shuffle, DropLast: drop, Seed: 5, Prefetch: prefetch})
		seen := make([]int, n)
		steps := 0
		for _, b := range epoch(t, l, 3, 0) {
			if b.step != steps {
				rt.Fatalf("step %d came as number %d", b.step, steps)
			}
			steps++
			if drop && len(b.indices) != batch {
				rt.Fatalf("batch of %d", len(b.indices))
			}
			for i, index := range b.indices {
				seen[index]++
				if b.pixels[i*6] != uint8(10*index) || b.labels[i] != int32(index%3) {
					rt.Fatalf("sample %d has pixels %v, label %d", index, b.pixels[i*6:][:6], b.labels[i])
				}
			}
		}
		if steps != l.Batches() {
			rt.Fatalf("%d batches, Batches() = %d", steps, l.Batches())
		}
		total := 0
		for i, count := range seen {
			total += count
			if count > 1 || count == 0 && !drop {
				rt.Fatalf("sample %d came %d times", i, count)
			}
		}
		if drop && total != n/batch*batch {
			rt.Fatalf("%d samples of %d in batches of %d", total, n, batch)
		}
	})
}

func TestEpochDependsOnSeedAndEpochOnly(t *testing.T) {
	ds, err := Digits(50, 3)
	if err != nil {
		t.Fatal(err)
	}
	options := LoaderOptions{Batch: 8, Shuffle: true, Seed: 11, Augment: []Augmenter{Crop{Pad: 2}, Flip{}, Shift{By: 1}}}
	one := newLoader(t, ds, options)
	first, second := epoch(t, one, 0, 0), epoch(t, one, 1, 0)
	if slices.Equal(first[0].indices, second[0].indices) {
		t.Error("two epochs have the same order")
	}
	options.Prefetch = 3
	two := newLoader(t, ds, options)
	if again := epoch(t, two, 1, 0); !slices.EqualFunc(again, second, equal) {
		t.Error("epoch 1 alone differs from epoch 1 after epoch 0")
	}
	if again := epoch(t, one, 0, 0); !slices.EqualFunc(again, first, equal) {
		t.Error("epoch 0 differs when repeated")
	}
	for from := range one.Batches() + 1 {
		if rest := epoch(t, two, 1, from); !slices.EqualFunc(rest, second[from:], equal) {
			t.Errorf("resumed at batch %d: other bytes", from)
		}
	}
	options.Seed++
	if other := epoch(t, newLoader(t, ds, options), 0, 0); slices.Equal(other[0].indices, first[0].indices) {
		t.Error("two seeds have the same order")
	}

	// How a sample is augmented does not depend on the batch it is in.
	options.Seed, options.Batch, options.Shuffle = 11, 50, false
	ordered := epoch(t, newLoader(t, ds, options), 0, 0)[0]
	size, changed := ds.Info().Size(), 0
	plain := read(t, ds, all(50)...)
	for _, b := range first {
		for i, index := range b.indices {
			got := b.pixels[i*size:][:size]
			if !slices.Equal(got, ordered.pixels[index*size:][:size]) {
				t.Fatalf("sample %d looks different in another batch", index)
			}
			if !slices.Equal(got, plain.Pixels[index*size:][:size]) {
				changed++
			}
		}
	}
	if changed < 40 {
		t.Errorf("augmentation changed %d of 50 images", changed)
	}
}

// TestAugmentationChain checks the order of steps and where the result ends up,
// for odd and even numbers of steps.
func TestAugmentationChain(t *testing.T) {
	for n := range 4 {
		steps := make([]Augmenter, n)
		for i := range steps {
			steps[i] = appendDigit{uint8(i + 1)}
		}
		l := newLoader(t, counted(t, 2), LoaderOptions{Batch: 2, Augment: steps})
		got := epoch(t, l, 0, 0)[0].pixels[0]
		if want := []uint8{0, 1, 12, 123}[n]; got != want {
			t.Errorf("%d steps: %d, want %d", n, got, want)
		}
	}
}

// appendDigit is an augmenter from outside: v becomes 10·v + digit.
type appendDigit struct{ digit uint8 }

func (a appendDigit) Augment(dst, src Image, _ *Rand) {
	for i, v := range src.Pixels {
		dst.Pixels[i] = 10*v + a.digit
	}
}
func (appendDigit) Validate(Info) error { return nil }
func (appendDigit) String() string      { return "digit" }

func TestLoaderErrors(t *testing.T) {
	ds := counted(t, 5)
	floats, err := FromFloats(Info{C: 1, H: 2, W: 2}, make([]float32, 4), []int32{0})
	if err != nil {
		t.Fatal(err)
	}
	none, err := Subset(ds, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		ds Dataset
		o  LoaderOptions
	}{
		"nil":         {nil, LoaderOptions{Batch: 1}},
		"batch":       {ds, LoaderOptions{}},
		"prefetch":    {ds, LoaderOptions{Batch: 1, Prefetch: -1}},
		"empty":       {none, LoaderOptions{Batch: 1}},
		"drop":        {ds, LoaderOptions{Batch: 6, DropLast: true}},
		"floats":      {floats, LoaderOptions{Batch: 1, Augment: []Augmenter{Flip{}}}},
		"augment":     {ds, LoaderOptions{Batch: 1, Augment: []Augmenter{Crop{Pad: 2}}}},
		"nil augment": {ds, LoaderOptions{Batch: 1, Augment: []Augmenter{nil}}},
	} {
		if _, err := NewLoader(c.ds, c.o); !errors.Is(err, ErrOption) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	l := newLoader(t, ds, LoaderOptions{Batch: 2})
	for _, first := range []int{-1, 4} {
		for b, err := range l.Epoch(context.Background(), 0, first) {
			if b != nil || !errors.Is(err, ErrOption) {
				t.Errorf("first %d: %v, %v", first, b, err)
			}
		}
	}
	for range l.Epoch(context.Background(), 0, 0) {
		for b, err := range l.Epoch(context.Background(), 0, 0) {
			if b != nil || !errors.Is(err, ErrBusy) {
				t.Errorf("nested epoch: %v, %v", b, err)
			}
		}
		break
	}
	if l.Info().N != 5 || l.Info().Name != "counted" {
		t.Errorf("info %+v", l.Info())
	}
	if got := len(epoch(t, l, 0, 0)); got != 3 {
		t.Errorf("after leaving early: %d batches, want 3", got)
	}
}

// faulty fails, or lies about its size, from a certain sample on.
type faulty struct {
	Dataset
	from int
	lie  bool
}

var errDisk = errors.New("disk on fire")

func (f faulty) Read(dst *Batch, indices []int) error {
	if slices.Max(indices) < f.from {
		return f.Dataset.Read(dst, indices)
	}
	if f.lie {
		return f.Dataset.Read(dst, indices[1:])
	}
	return errDisk
}

func TestEpochEndsAtTheFirstError(t *testing.T) {
	for _, c := range []struct {
		lie  bool
		want error
	}{{false, errDisk}, {true, ErrShape}} {
		l := newLoader(t, faulty{counted(t, 20), 11, c.lie}, LoaderOptions{Batch: 5, Prefetch: 2})
		var good, bad int
		for b, err := range l.Epoch(context.Background(), 7, 0) {
			if err == nil {
				good++
				continue
			}
			bad++
			if b != nil || !errors.Is(err, c.want) || !strings.Contains(err.Error(), "epoch 7, batch 2") {
				t.Errorf("batch %v, error %v", b, err)
			}
		}
		if good != 2 || bad != 1 {
			t.Errorf("%d batches and %d errors, want 2 and 1", good, bad)
		}
	}
}

func TestEpochStopsWithItsContext(t *testing.T) {
	l := newLoader(t, counted(t, 20), LoaderOptions{Batch: 2})
	before := runtime.NumGoroutine()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	steps := 0
	for b, err := range l.Epoch(ctx, 0, 0) {
		if steps++; steps < 4 {
			if err != nil {
				t.Fatal(err)
			}
			if steps == 3 {
				cancel()
			}
			continue
		}
		if b != nil || !errors.Is(err, context.Canceled) {
			t.Errorf("after the end: %v, %v", b, err)
		}
	}
	if steps != 4 {
		t.Errorf("%d turns, want 3 batches and an error", steps)
	}
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("%d goroutines, before %d", after, before)
	}
}

// TestBatchesDoNotAllocate compares an epoch of many batches with one of a
// single batch: what an epoch costs once is the difference's other side.
func TestBatchesDoNotAllocate(t *testing.T) {
	base := counted(t, 20)
	part, err := Subset(foreign{base}, 0, 20)
	if err != nil {
		t.Fatal(err)
	}
	for name, ds := range map[string]Dataset{"memory": base, "subset": part} {
		l := newLoader(t, ds, LoaderOptions{
			Batch: 1, Shuffle: true, Augment: []Augmenter{Crop{Pad: 1}, Flip{}, Shift{By: 1}}, Prefetch: 2,
		})
		mallocs := func(first int) uint64 {
			var before, after runtime.MemStats
			least := ^uint64(0)
			for number := range 20 {
				runtime.ReadMemStats(&before)
				for _, err := range l.Epoch(context.Background(), number, first) {
					if err != nil {
						t.Fatal(err)
					}
				}
				runtime.ReadMemStats(&after)
				least = min(least, after.Mallocs-before.Mallocs)
			}
			return least
		}
		mallocs(0)
		if many, one := mallocs(0), mallocs(l.Batches()-1); many > one {
			t.Errorf("%s: an epoch of %d batches makes %d allocations, one of a single batch %d", name, l.Batches(), many, one)
		}
	}
}
