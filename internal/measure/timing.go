package measure

import (
	"context"
	"runtime"
	"slices"
	"time"

	"github.com/bitgrad/bitgrad/internal/host"
)

// A Limit says how long a job is timed: for so many steps, or until the time is up
// and at least five are done.
type Limit struct {
	// Warmup is the number of steps that do not count; 0 means 5.
	Warmup int
	// Steps is the most that count; 0 means 60.
	Steps int
	// Seconds is the longest time after the warm-up; 0 means 6.
	Seconds float64
}

// fewest is the number of steps that count, however long they take; longest is the number
// that room is made for before.
const (
	fewest  = 5
	longest = 1 << 16
)

func (l Limit) complete() (Limit, error) {
	if l.Warmup < 0 || l.Steps < 0 || !(l.Seconds >= 0) {
		return l, configError("%d steps of warm-up, %d steps, %v seconds: must not be negative", l.Warmup, l.Steps, l.Seconds)
	}
	if l.Warmup == 0 {
		l.Warmup = 5
	}
	if l.Steps == 0 {
		l.Steps = 60
	}
	if l.Seconds == 0 {
		l.Seconds = 6
	}
	return l, nil
}

// A Timing is how long the steps of a job took.
type Timing struct {
	Steps        int
	Batch        int
	Median, Best time.Duration
	// Allocs is the number of allocations of a step, on all threads.
	Allocs float64
	// PeakRSS is the most memory that the process had held when the steps were done,
	// in bytes; 0 where the system does not tell.
	PeakRSS int64
}

// ImagesPerSecond returns the rate of the median step.
func (t Timing) ImagesPerSecond() float64 { return float64(t.Batch) / t.Median.Seconds() }

// Time runs the job for as long as l says and returns how long its steps took.
func (j *Job) Time(ctx context.Context, l Limit) (Timing, error) {
	l, err := l.complete()
	if err != nil {
		return Timing{}, err
	}
	for range l.Warmup {
		if err := j.Step(); err != nil {
			return Timing{}, err
		}
	}
	took := make([]time.Duration, 0, min(l.Steps, longest))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for begin := time.Now(); len(took) < l.Steps && (len(took) < fewest || time.Since(begin).Seconds() < l.Seconds); {
		if err := ctx.Err(); err != nil {
			return Timing{}, err
		}
		start := time.Now()
		if err := j.Step(); err != nil {
			return Timing{}, err
		}
		took = append(took, time.Since(start))
	}
	runtime.ReadMemStats(&after)
	return Timing{Steps: len(took), Batch: j.Batch, Median: median(took), Best: slices.Min(took),
		Allocs: float64(after.Mallocs-before.Mallocs) / float64(len(took)), PeakRSS: host.PeakRSS()}, nil
}

func median(took []time.Duration) time.Duration {
	s := slices.Sorted(slices.Values(took))
	n := len(s)
	if n == 0 {
		return 0
	}
	return (s[(n-1)/2] + s[n/2]) / 2
}
