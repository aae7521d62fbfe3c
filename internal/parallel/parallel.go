// Package parallel is the only place where Bitgrad spreads work over goroutines.
//
// A Pool owns a fixed set of worker goroutines. Run hands them the integers
// 0..n-1, each exactly once; whoever is free takes the next one, and the caller
// takes part as worker 0. Which worker gets which item depends on timing, so
// items must write to disjoint places, or to scratch memory chosen by the worker
// number; a result that has to be the same for every number of workers must be
// a function of the item alone.
//
//	pool := parallel.New(4)
//	defer pool.Close()
//	pool.Run(len(rows), func(worker, i int) { scale(rows[i], 2) })
package parallel

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// A Pool runs loops on a fixed number of workers. It is safe for concurrent
// use. A nil *Pool is a pool of one worker, the caller.
type Pool struct {
	*shared // workers refer to this part alone, so that an unused Pool can be collected
}

// shared is what a Pool and its goroutines have in common.
type shared struct {
	busy   sync.Mutex // held during a Run; a second Run finds it held and works inline
	closed bool       // guarded by busy
	wake   []chan struct{}

	// One loop. fn and n are written while state is 0 and read by members only.
	fn    func(worker, i int)
	n     int64
	next  atomic.Int64 // the next item to hand out
	state atomic.Int64 // open bit + number of workers inside the loop
	idle  chan struct{}
	fault atomic.Pointer[fault]
}

// fault is a value that fn panicked with.
type fault struct{ value any }

// open is the bit of state that lets workers enter; the bits below count them.
const open = 1 << 32

// New returns a pool of the given number of workers, the caller of Run included;
// a number below 1 means GOMAXPROCS. The goroutines live until Close, or until
// the pool is garbage.
func New(workers int) *Pool {
	if workers < 1 {
		workers = runtime.GOMAXPROCS(0)
	}
	s := &shared{wake: make([]chan struct{}, workers-1), idle: make(chan struct{}, 1)}
	for i := range s.wake {
		s.wake[i] = make(chan struct{}, 1)
		go s.work(i+1, s.wake[i])
	}
	p := &Pool{s}
	runtime.AddCleanup(p, (*shared).close, s)
	return p
}

// Workers returns the number of workers, the caller included: worker numbers
// are below it.
func (p *Pool) Workers() int {
	if p == nil {
		return 1
	}
	return len(p.wake) + 1
}

// Close ends the workers, after a loop that is running. Later loops run on
// their callers. Close may be called twice, but not from within a loop.
func (p *Pool) Close() {
	if p != nil {
		p.close()
	}
}

func (s *shared) close() {
	s.busy.Lock()
	defer s.busy.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	for _, c := range s.wake {
		close(c)
	}
}

// Run calls fn(worker, i) once for each i in [0, n) and returns when all calls
// have returned. Calls with the same worker number never overlap within one Run.
// Run allocates nothing; a closure that is built once costs nothing either.
//
// A Run from within fn, or while another goroutine's Run is in progress, does
// its work inline with worker number 0: scratch memory that is chosen by worker
// number belongs to the outermost loop.
//
// If fn panics, items that have not begun are dropped and Run panics with the
// same value after the calls in progress have returned.
func (p *Pool) Run(n int, fn func(worker, i int)) {
	if p == nil || n <= 1 || len(p.wake) == 0 || !p.busy.TryLock() {
		inline(n, fn)
		return
	}
	s := p.shared
	if s.closed {
		s.busy.Unlock()
		inline(n, fn)
		return
	}
	defer s.finish()
	s.fn, s.n = fn, int64(n)
	s.next.Store(0)
	s.state.Store(open)
	for _, c := range s.wake[:min(len(s.wake), n-1)] {
		select {
		case c <- struct{}{}:
		default: // still has a wake-up to answer
		}
	}
	s.take(0)
	runtime.KeepAlive(p)
}

func inline(n int, fn func(worker, i int)) {
	for i := range n {
		fn(0, i)
	}
}

// take does items until none is left. It keeps the value of a panic for finish.
func (s *shared) take(worker int) {
	defer s.keepFault()
	for i := s.next.Add(1) - 1; i < s.n; i = s.next.Add(1) - 1 {
		s.fn(worker, int(i))
	}
}

func (s *shared) keepFault() {
	if v := recover(); v != nil {
		s.fault.CompareAndSwap(nil, &fault{v})
		s.next.Store(s.n)
	}
}

// finish closes the loop to workers that have not entered, waits for those that
// have, and passes a panic on.
func (s *shared) finish() {
	s.next.Store(s.n)
	if s.state.Add(-open) > 0 {
		receive(s.idle)
	}
	s.fn = nil
	f := s.fault.Swap(nil)
	s.busy.Unlock()
	if f != nil {
		panic(f.value)
	}
}

// work is the life of one worker. A wake-up that comes after its loop was
// closed is answered by going back to sleep.
func (s *shared) work(worker int, wake <-chan struct{}) {
	for receive(wake) {
		if s.enter() {
			s.member(worker)
		}
	}
}

// patience is how often a goroutine looks before it sleeps: for some tens of microseconds, in which the
// next of many short loops begins, while waking a thread takes longer than such a loop.
const patience = 8000

// receive waits for c; it returns false once c is closed.
func receive(c <-chan struct{}) bool {
	for range patience {
		select {
		case _, ok := <-c:
			return ok
		default:
		}
	}
	_, ok := <-c
	return ok
}

func (s *shared) enter() bool {
	for {
		v := s.state.Load()
		if v < open {
			return false
		}
		if s.state.CompareAndSwap(v, v+1) {
			return true
		}
	}
}

func (s *shared) member(worker int) {
	defer s.leave()
	s.take(worker)
}

func (s *shared) leave() {
	if s.state.Add(-1) == 0 { // the loop is closed and this was the last worker inside
		s.idle <- struct{}{}
	}
}
