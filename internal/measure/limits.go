package measure

import (
	"runtime"
	"time"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/internal/cpu"
	"github.com/bitgrad/bitgrad/internal/kernels"
	"github.com/bitgrad/bitgrad/internal/parallel"
)

// Limits are what the machine does at best with the instructions that the kernels
// use, measured by loops that do nothing else.
type Limits struct {
	Threads int `json:"-"`
	// FMA is the rate of multiplications and additions of float32 in registers, Dot
	// that of bytes into int32; a multiply-accumulate counts as two operations.
	FMA Rate `json:"fma"`
	Dot Rate `json:"dot"`
	// Tile is that of bytes on the tile registers of AMX; 0 where the level has none.
	Tile Rate `json:"tile,omitzero"`
	// Memory is the rate of the sum of two arrays into a third, by the bytes of all
	// three on all threads, in ascending order. Each array counts once.
	Memory []Bandwidth `json:"memory"`
}

// A Rate is operations per second on one thread and on all.
type Rate struct {
	One float64 `json:"one_thread"`
	All float64 `json:"all_threads"`
}

// Bandwidth is bytes per second where so many bytes are in use.
type Bandwidth struct {
	Bytes int `json:"bytes"`
	Rate
}

// limitTime is how long each limit is measured, and limitTries how often; the best
// counts.
const (
	limitTime  = 8 * time.Millisecond
	limitTries = 12
)

// workingSets are the bytes per thread that the bandwidth is measured with: they fit
// the caches of the first, second and third level of most machines, and none.
var workingSets = []int{24 << 10, 192 << 10, 1536 << 10, 12 << 20, 96 << 20}

// Measure finds the limits of the machine for a number of threads, 0 for GOMAXPROCS.
// It takes about a second, and
// the machine should have nothing else to do.
func Measure(threads int) Limits {
	pool := parallel.New(threads)
	defer pool.Close()
	l := Limits{Threads: pool.Workers()}
	l.FMA = both(fmaGauge(pool))
	l.Dot = both(dotGauge(pool))
	if cpu.Level() >= cpu.AMX {
		l.Tile = both(tileGauge(pool))
	}
	for _, bytes := range workingSets {
		buffers := make([][]float32, 3*l.Threads)
		for i := range buffers {
			buffers[i] = make([]float32, bytes/12)
			for k := range buffers[i] {
				buffers[i][k] = 1
			}
		}
		rate := both(newGauge(pool, func(worker int) func(rounds int) float64 {
			b := buffers[3*worker:]
			return func(rounds int) float64 {
				for range rounds {
					kernels.Add(b[0], b[1], b[2])
				}
				return float64(12*len(b[0])) * float64(rounds)
			}
		}))
		l.Memory = append(l.Memory, Bandwidth{bytes * l.Threads, rate})
		buffers = nil
		if bytes >= 12<<20 {
			runtime.GC() // the large ones must not add up
		}
	}
	return l
}

// Bytes returns the higher of the rates of products of bytes on all threads, which their
// kernels are held to.
func (l Limits) Bytes() float64 { return max(l.Dot.All, l.Tile.All) }

// A gauge measures a rate, as often as it is asked.
type gauge struct {
	pool   *autograd.Pool
	loops  []func(rounds int) float64 // of the workers; they do so many rounds and return how much that is
	rounds int                        // that are long enough for the clock
}

// newGauge returns the gauge of the loops that start makes.
func newGauge(pool *autograd.Pool, start func(worker int) func(rounds int) float64) *gauge {
	g := &gauge{pool: pool, rounds: 1}
	for i := range pool.Workers() {
		g.loops = append(g.loops, start(i))
	}
	for ; ; g.rounds *= 2 {
		begin := time.Now()
		g.loops[0](g.rounds)
		if time.Since(begin) > limitTime/2 {
			return g
		}
	}
}

// one returns the rate of one thread, all that of all at once.
func (g *gauge) one() float64 {
	begin := time.Now()
	return g.loops[0](g.rounds) / time.Since(begin).Seconds()
}

func (g *gauge) all() float64 {
	done := make([]float64, len(g.loops))
	begin := time.Now()
	g.pool.Run(len(g.loops), func(_, i int) { done[i] = g.loops[i](g.rounds) })
	took, sum := time.Since(begin).Seconds(), 0.0
	for _, d := range done {
		sum += d
	}
	return sum / took
}

// both returns the best rates of some tries.
func both(g *gauge) Rate {
	var r Rate
	for range limitTries {
		r.One, r.All = max(r.One, g.one()), max(r.All, g.all())
	}
	return r
}

func fmaGauge(pool *autograd.Pool) *gauge {
	return newGauge(pool, func(int) func(rounds int) float64 {
		var acc [kernels.PeakLanes]float32
		return func(rounds int) float64 {
			kernels.PeakFMA(&acc, 0.5, 1, 64*rounds)
			return 2 * kernels.PeakLanes * 64 * float64(rounds)
		}
	})
}

func dotGauge(pool *autograd.Pool) *gauge {
	return newGauge(pool, func(int) func(rounds int) float64 {
		var acc [kernels.PeakLanes]int32
		var x [64]uint8
		var w [64]int8
		return func(rounds int) float64 {
			kernels.PeakDot(&acc, &x, &w, 64*rounds)
			return 8 * kernels.PeakLanes * 64 * float64(rounds)
		}
	})
}

func tileGauge(pool *autograd.Pool) *gauge {
	return newGauge(pool, func(int) func(rounds int) float64 {
		var acc [kernels.PeakTileLanes]int32
		var x [1024]uint8
		var w [1024]int8
		return func(rounds int) float64 {
			kernels.PeakTile(&acc, &x, &w, 8*rounds)
			return 128 * kernels.PeakTileLanes * 8 * float64(rounds)
		}
	})
}

// byteGauge returns the gauge of the fastest products of bytes.
func byteGauge(pool *autograd.Pool) *gauge {
	if cpu.Level() >= cpu.AMX {
		return tileGauge(pool)
	}
	return dotGauge(pool)
}

// memory returns the bandwidth on all threads where so many bytes are in use.
func (l Limits) memory(bytes int64) float64 {
	rate := 0.0
	for _, b := range l.Memory {
		if rate = b.All; int64(b.Bytes) >= bytes {
			break
		}
	}
	return rate
}
