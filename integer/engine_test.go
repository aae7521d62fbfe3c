package integer

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/bitgrad/bitgrad/quant"
)

func pixels(m *Model, n int) []uint8 {
	rng := rand.New(rand.NewPCG(7, uint64(n)))
	images := make([]uint8, n*m.Input().Out.Len())
	for i := range images {
		images[i] = uint8(rng.Uint32())
	}
	return images
}

// TestParityCatchesFaults plants faults that change codes by one and expects the
// comparison of engine and interpreter to name the node.
func TestParityCatchesFaults(t *testing.T) {
	m := smallModel(t)
	images := pixels(m, 300)
	if err := compare(m, images, 0); err != nil {
		t.Fatal(err)
	}
	conv := m.Nodes[1].Op.(*Conv)
	for name, fault := range map[string]func(c *Conv){
		"floor for half up": func(c *Conv) {
			c.Bias = slices.Clone(c.Bias)
			for o := range c.Bias {
				c.Bias[o] -= 1 << (c.Requant.Shift[0] - 1)
			}
		},
		"half down for half up": func(c *Conv) {
			c.Bias = slices.Clone(c.Bias)
			for o := range c.Bias {
				c.Bias[o]--
			}
		},
		"a weight off by one": func(c *Conv) {
			c.Weight = slices.Clone(c.Weight)
			c.Weight[4]--
		},
		"a clamp off by one": func(c *Conv) {
			r := *c.Requant
			r.Lo++
			c.Requant = &r
		},
	} {
		t.Run(name, func(t *testing.T) {
			faulty := *conv
			fault(&faulty)
			nodes := slices.Clone(m.Nodes)
			nodes[1].Op = &faulty
			e := must(NewEngine(newModel("faulty", nodes, m.Output, nil, nil), EngineOptions{}))
			err := compareWith(m, e, images)
			if err == nil || !strings.HasPrefix(err.Error(), "node conv (conv), image ") {
				t.Errorf("the comparison says %v", err)
			}
		})
	}
}

// TestEngineIsTheSameHowever runs one batch with different splits, on different numbers
// of goroutines, and from several at once.
func TestEngineIsTheSameHowever(t *testing.T) {
	m := smallModel(t)
	images := pixels(m, 50)
	size, out := m.Input().Out.Len(), m.Nodes[m.Output].Out.Len()
	var want []int64
	for i := range 50 {
		want = append(want, must(Interpret(m, images[i*size:(i+1)*size], nil))...)
	}
	for _, o := range []EngineOptions{{}, {Chunk: 1}, {Chunk: 64}, {Workers: 4}, {Workers: 3, Chunk: 7}} {
		t.Run(fmt.Sprintf("%+v", o), func(t *testing.T) {
			e := must(NewEngine(m, o))
			defer e.Close()
			var wg sync.WaitGroup
			for g := range 4 {
				wg.Go(func() {
					var dst []int64
					for round := range 5 {
						n := 50 - 7*round - g
						var err error
						if dst, err = e.Run(dst, images[:n*size]); err != nil || !slices.Equal(dst, want[:n*out]) {
							t.Errorf("%d images: wrong (%v)", n, err)
						}
					}
				})
			}
			wg.Wait()
		})
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if got, err := m.Run(images); err != nil || !slices.Equal(got, want) {
				t.Errorf("Model.Run: wrong (%v)", err)
			}
		})
	}
	wg.Wait()
	e := must(NewEngine(m, EngineOptions{Workers: 2}))
	e.Close()
	if got := must(e.Run(nil, images)); !slices.Equal(got, want) {
		t.Error("wrong after Close")
	}
}

// TestWorkersShareTheRowsOfAnImage runs single images whose every convolution is shared, also by
// more workers than there are rows, and from several goroutines at once.
func TestWorkersShareTheRowsOfAnImage(t *testing.T) {
	m := smallModel(t)
	images := pixels(m, 6)
	size := m.Input().Out.Len()
	for _, workers := range []int{2, 3, 40} {
		e := must(NewEngine(m, EngineOptions{Workers: workers}))
		e.shared = 0
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				image := images[i*size : (i+1)*size]
				want := must(Interpret(m, image, nil))
				for range 20 {
					if got, err := e.Run(nil, image); err != nil || !slices.Equal(got, want) {
						t.Errorf("%d workers: image %d: %v (%v), want %v", workers, i, got, err, want)
					}
				}
			})
		}
		wg.Wait()
		e.Close()
	}
}

// TestEngineIsWatched counts what an observer is told: for each group of images, on
// one worker, every node in order.
func TestEngineIsWatched(t *testing.T) {
	m := smallModel(t)
	const workers = 3
	var next [workers]int
	var groups [workers]int
	e := must(NewEngine(m, EngineOptions{Workers: workers, Chunk: 2, Watch: func(worker, node int) {
		if node < 0 {
			groups[worker]++
			next[worker] = 0
			return
		}
		if node != next[worker] {
			t.Errorf("worker %d: node %d after %d", worker, node, next[worker]-1)
		}
		next[worker]++
	}}))
	defer e.Close()
	images := pixels(m, 11)
	got := must(e.Run(nil, images))
	if want := must(m.Run(images)); !slices.Equal(got, want) {
		t.Error("a watched engine computes something else")
	}
	if n := groups[0] + groups[1] + groups[2]; n != 6 {
		t.Errorf("%d groups of at most 2 of 11 images", n)
	}
	for worker, n := range next {
		if groups[worker] > 0 && n != len(m.Nodes) {
			t.Errorf("worker %d: %d of %d nodes", worker, n, len(m.Nodes))
		}
	}
}

// A larger network meets every kernel of the machine: panels of 16 and 32, strides, linear
// layers with many inputs.
func TestResidualNetwork(t *testing.T) {
	m := residualModel(t)
	if testing.Short() {
		t.Skip("nested loops over 41 million products")
	}
	if err := compare(m, pixels(m, 1), 0); err != nil {
		t.Fatal(err)
	}
}

// TestSlots checks that buffers are reused only where the border keeps its code, and that
// the codes of a node survive until their last reader.
func TestSlots(t *testing.T) {
	m := residualModel(t)
	e := must(NewEngine(m, EngineOptions{}))
	if len(e.slots) > 16 {
		t.Errorf("%d buffers for %d nodes", len(e.slots), len(m.Nodes))
	}
	for i := range m.Nodes {
		s := e.slots[e.slotOf[i]]
		if s.t != m.Nodes[i].Out || s.zero != m.Nodes[i].Grid.ZeroPoint {
			t.Errorf("node %s shares a buffer of %v, zero %d", m.Nodes[i].Name, s.t, s.zero)
		}
	}
}

func TestRunAllocates(t *testing.T) {
	m := smallModel(t)
	e := must(NewEngine(m, EngineOptions{}))
	images := pixels(m, 20)
	dst := must(e.Run(nil, images))
	// The buffers of a chunk take 8 allocations; they are pooled, and the race detector empties
	// pools now and then.
	if n := testing.AllocsPerRun(50, func() { dst = must(e.Run(dst, images)) }); n > 6 {
		t.Errorf("%v allocations in a run", n)
	}
}

func TestNodes(t *testing.T) {
	m := smallModel(t)
	if n := m.Node("conv"); n == nil || n.Out != (Type{2, 3, 3, 4, false}) || !n.Grid.Equal(quant.Grid{BitWidth: 4, Scale: []float32{0.25}}) {
		t.Errorf("node conv: %+v", n)
	}
	if m.Node("nothing") != nil {
		t.Error("a node that does not exist was found")
	}
	if out := m.Nodes[m.Output]; !out.Out.Accumulator() || out.Grid.Scale[0] != 0.125 {
		t.Errorf("the logits are %v on %v", out.Out, out.Grid)
	}
}
