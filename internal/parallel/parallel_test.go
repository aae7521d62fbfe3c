package parallel

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestRunVisitsEachItemOnce(t *testing.T) {
	for _, workers := range []int{1, 2, 3, 7} {
		pool := New(workers)
		defer pool.Close()
		for _, n := range []int{-1, 0, 1, 2, 3, 100} {
			t.Run(fmt.Sprintf("workers=%d/n=%d", workers, n), func(t *testing.T) {
				for range 50 {
					seen := make([]atomic.Int32, max(n, 0))
					pool.Run(n, func(worker, i int) {
						if worker < 0 || worker >= pool.Workers() {
							t.Errorf("worker %d of %d", worker, pool.Workers())
						}
						seen[i].Add(1)
					})
					for i := range seen {
						if got := seen[i].Load(); got != 1 {
							t.Fatalf("item %d ran %d times, want 1", i, got)
						}
					}
				}
			})
		}
	}
}

func TestWorkersUseScratchAlone(t *testing.T) {
	pool := New(4)
	defer pool.Close()
	scratch := make([]int, pool.Workers()) // plain memory: the race detector watches it
	for range 100 {
		pool.Run(64, func(worker, i int) { scratch[worker]++ })
	}
	sum := 0
	for _, v := range scratch {
		sum += v
	}
	if sum != 6400 {
		t.Errorf("scratch counters sum to %d, want 6400", sum)
	}
}

func TestSeveralWorkersTakePart(t *testing.T) {
	pool := New(2)
	defer pool.Close()
	var both sync.WaitGroup
	both.Add(2)
	pool.Run(2, func(worker, i int) { both.Done(); both.Wait() }) // returns only if two items run at once
}

func TestNilPoolRunsInline(t *testing.T) {
	var pool *Pool
	sum := 0
	pool.Run(5, func(worker, i int) { sum += i + worker })
	if sum != 10 || pool.Workers() != 1 {
		t.Errorf("sum %d, workers %d, want 10, 1", sum, pool.Workers())
	}
	pool.Close()
}

func TestNestedRun(t *testing.T) {
	pool := New(3)
	defer pool.Close()
	var count atomic.Int64
	pool.Run(8, func(_, i int) {
		pool.Run(8, func(worker, j int) {
			if worker != 0 {
				t.Errorf("nested worker %d, want 0", worker)
			}
			count.Add(1)
		})
	})
	if count.Load() != 64 {
		t.Errorf("%d nested calls, want 64", count.Load())
	}
}

func TestConcurrentRuns(t *testing.T) {
	pool := New(2)
	defer pool.Close()
	var wg sync.WaitGroup
	var count atomic.Int64
	for range 4 {
		wg.Go(func() {
			for range 100 {
				pool.Run(10, func(_, _ int) { count.Add(1) })
			}
		})
	}
	wg.Wait()
	if count.Load() != 4000 {
		t.Errorf("%d calls, want 4000", count.Load())
	}
}

func TestPanicReachesCaller(t *testing.T) {
	pool := New(2)
	defer pool.Close()
	fault := errors.New("fault")
	for item := range 4 {
		func() {
			defer func() {
				if got := recover(); got != fault {
					t.Errorf("item %d: recovered %v, want %v", item, got, fault)
				}
			}()
			pool.Run(4, func(_, i int) {
				if i == item {
					panic(fault)
				}
			})
		}()
	}
	ok := 0
	pool.Run(1, func(_, _ int) { ok++ })
	var count atomic.Int32
	pool.Run(10, func(_, _ int) { count.Add(1) })
	if ok != 1 || count.Load() != 10 {
		t.Errorf("after a panic: %d and %d calls, want 1 and 10", ok, count.Load())
	}
}

func TestClose(t *testing.T) {
	pool := New(3)
	pool.Close()
	pool.Close()
	sum := 0
	pool.Run(4, func(_, i int) { sum += i })
	if sum != 6 {
		t.Errorf("sum after Close %d, want 6", sum)
	}
}

func TestUnusedPoolEnds(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 4 {
		New(5).Run(3, func(_, _ int) {})
	}
	for range 200 {
		runtime.GC()
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(time.Millisecond) // cleanups run on a goroutine of the runtime
	}
	t.Errorf("%d goroutines, want at most %d", runtime.NumGoroutine(), before)
}

func TestRunAllocatesNothing(t *testing.T) {
	pool := New(2)
	defer pool.Close()
	var count atomic.Int64
	fn := func(_, _ int) { count.Add(1) }
	if got := testing.AllocsPerRun(100, func() { pool.Run(16, fn) }); got != 0 {
		t.Errorf("%v allocations per Run, want 0", got)
	}
}

func BenchmarkRun(b *testing.B) {
	pool := New(2)
	defer pool.Close()
	fn := func(_, _ int) {}
	for b.Loop() {
		pool.Run(8, fn)
	}
}
