package datasets

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
)

// LoaderOptions says how a [Loader] cuts a data set into batches.
type LoaderOptions struct {
	// Batch is the number of samples per batch, at least 1.
	Batch int
	// Shuffle serves the samples of every epoch in an order of its own; without
	// it they come in the order of the data set.
	Shuffle bool
	// Seed decides, together with the epoch, the order and the augmentation.
	Seed uint64
	// DropLast leaves out the last batch of an epoch where it is not full.
	// Without it every sample is served exactly once and the last batch may be
	// smaller: [Batch.N] tells.
	DropLast bool
	// Augment changes every image, step by step from left to right. Pixels only.
	Augment []Augmenter
	// Prefetch is how many batches are prepared ahead; 0 means 1.
	Prefetch int
}

// Validate says what is wrong with the options for a data set; the error
// matches [ErrOption].
func (o LoaderOptions) Validate(info Info) error {
	if o.Batch < 1 {
		return fmt.Errorf("datasets: loader: batch of %d: want at least 1: %w", o.Batch, ErrOption)
	}
	if o.Prefetch < 0 {
		return fmt.Errorf("datasets: loader: prefetch %d: want at least 0: %w", o.Prefetch, ErrOption)
	}
	if _, ok := product(min(o.Batch, info.N), info.Size()); !ok {
		return fmt.Errorf("datasets: loader: a batch of %d samples of %d values is too large: %w", o.Batch, info.Size(), ErrOption)
	}
	if info.N == 0 {
		return fmt.Errorf("datasets: loader: %s has no samples: %w", info.Name, ErrOption)
	}
	if o.DropLast && info.N < o.Batch {
		return fmt.Errorf("datasets: loader: %s has %d samples, fewer than one batch of %d: %w", info.Name, info.N, o.Batch, ErrOption)
	}
	if len(o.Augment) > 0 && info.Float {
		return fmt.Errorf("datasets: loader: %s holds floats: only pixels are augmented: %w", info.Name, ErrOption)
	}
	for _, a := range o.Augment {
		if a == nil {
			return fmt.Errorf("datasets: loader: nil augmenter: %w", ErrOption)
		}
		if err := a.Validate(info); err != nil {
			return err
		}
	}
	return nil
}

// A Loader serves a data set in batches, epoch by epoch. It runs one epoch at a
// time; loaders are independent of each other and may share a data set.
type Loader struct {
	ds      Dataset
	info    Info
	options LoaderOptions

	busy    atomic.Bool
	order   []int
	slots   []slot
	random  Rand
	scratch []uint8 // one sample
}

// A slot is one of the reused batches, or the error that took its place.
type slot struct {
	batch Batch
	err   error
}

// NewLoader returns a loader. Its memory is a batch for use, one for each that
// is prepared ahead, and the order of an epoch.
func NewLoader(ds Dataset, options LoaderOptions) (*Loader, error) {
	if ds == nil {
		return nil, fmt.Errorf("datasets: loader: nil data set: %w", ErrOption)
	}
	info := ds.Info()
	if err := options.Validate(info); err != nil {
		return nil, err
	}
	options.Batch = min(options.Batch, info.N)
	l := &Loader{
		ds: ds, info: info, options: options,
		order: make([]int, info.N),
		slots: make([]slot, max(options.Prefetch, 1)+1),
	}
	if len(options.Augment) > 0 {
		l.scratch = make([]uint8, info.Size())
	}
	return l, nil
}

// Info describes the data set.
func (l *Loader) Info() Info { return l.info }

// Batches returns the number of batches in an epoch.
func (l *Loader) Batches() int {
	n := l.info.N / l.options.Batch
	if !l.options.DropLast && l.info.N%l.options.Batch != 0 {
		n++
	}
	return n
}

// Epoch serves the batches of an epoch from number first on. A run that stopped
// after k batches continues with first = k and sees the bytes that it would
// have seen.
//
// A batch, and all that it holds, belongs to the caller until the next one is
// asked for; then it is used again. The first error ends the epoch: that of the
// data set, of ctx, or one that matches [ErrOption] (first is not in
// 0…Batches()) or [ErrBusy]. Leaving the loop early is fine; nothing keeps
// running after it.
func (l *Loader) Epoch(ctx context.Context, epoch, first int) iter.Seq2[*Batch, error] {
	return func(yield func(*Batch, error) bool) {
		if first < 0 || first > l.Batches() {
			yield(nil, fmt.Errorf("datasets: loader: epoch %d: first batch %d: want 0…%d: %w", epoch, first, l.Batches(), ErrOption))
			return
		}
		if !l.busy.CompareAndSwap(false, true) {
			yield(nil, fmt.Errorf("datasets: loader: epoch %d: %w", epoch, ErrBusy))
			return
		}
		defer l.busy.Store(false)
		l.serve(ctx, epoch, first, yield)
	}
}

// serve runs the preparing goroutine and passes on what it prepared.
func (l *Loader) serve(ctx context.Context, epoch, first int, yield func(*Batch, error) bool) {
	free, ready := make(chan *slot, len(l.slots)), make(chan *slot, len(l.slots))
	for i := range l.slots {
		free <- &l.slots[i]
	}
	stop := make(chan struct{})
	var preparing sync.WaitGroup
	defer preparing.Wait()
	defer close(stop)
	preparing.Add(1)
	go func() {
		defer preparing.Done()
		l.prepare(epoch, first, free, ready, stop)
	}()
	for step := first; step < l.Batches(); step++ {
		var s *slot
		select {
		case <-ctx.Done():
		case s = <-ready:
		}
		if err := ctx.Err(); err != nil {
			yield(nil, fmt.Errorf("datasets: epoch %d, batch %d: %w", epoch, step, err))
			return
		}
		if s.err != nil {
			yield(nil, fmt.Errorf("datasets: epoch %d, batch %d: %w", epoch, step, s.err))
			return
		}
		if !yield(&s.batch, nil) {
			return
		}
		free <- s
	}
}

// prepare fills free slots until the epoch ends, a read fails or stop closes.
func (l *Loader) prepare(epoch, first int, free <-chan *slot, ready chan<- *slot, stop <-chan struct{}) {
	l.arrange(epoch)
	for step := first; step < l.Batches(); step++ {
		var s *slot
		select {
		case <-stop:
			return
		case s = <-free:
		}
		s.err = l.fill(&s.batch, epoch, step)
		ready <- s // never blocks: there is room for every slot
		if s.err != nil {
			return
		}
	}
}

// arrange sets the order of an epoch.
func (l *Loader) arrange(epoch int) {
	if l.options.Shuffle {
		l.random.reseed(streamOrder, l.options.Seed, uint64(epoch), 0)
		l.random.shuffle(l.order)
		return
	}
	for i := range l.order {
		l.order[i] = i
	}
}

// fill reads and augments one batch.
func (l *Loader) fill(b *Batch, epoch, step int) error {
	from := step * l.options.Batch
	indices := l.order[from:min(from+l.options.Batch, len(l.order))]
	if err := l.ds.Read(b, indices); err != nil {
		return err
	}
	if b.N != len(indices) || len(b.Labels) != b.N || len(b.Pixels)+len(b.Floats) != b.N*l.info.Size() {
		return fmt.Errorf("the data set gave %d samples, %d labels and %d values for %d samples of %d: %w",
			b.N, len(b.Labels), len(b.Pixels)+len(b.Floats), len(indices), l.info.Size(), ErrShape)
	}
	b.Step = step
	b.Indices = append(b.Indices[:0], indices...)
	if len(l.options.Augment) == 0 {
		return nil
	}
	size := l.info.Size()
	for i, index := range indices {
		l.random.reseed(streamAugment, l.options.Seed, uint64(epoch), uint64(index))
		l.augment(b.Pixels[i*size:][:size])
	}
	return nil
}

// augment applies all steps to one image, to and fro between it and scratch.
func (l *Loader) augment(pixels []uint8) {
	image := func(p []uint8) Image { return Image{H: l.info.H, W: l.info.W, C: l.info.C, Pixels: p} }
	src, dst := pixels, l.scratch
	for _, a := range l.options.Augment {
		a.Augment(image(dst), image(src), &l.random)
		src, dst = dst, src
	}
	if len(l.options.Augment)%2 == 1 {
		copy(pixels, src)
	}
}
