package fakequant

import (
	"fmt"
	"math"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/internal/parallel"
)

// pooledNet has max pools behind convolutions: windows that overlap, that are padded, a ReLU6 that cuts
// below the end of the grid, and a stride that its single position makes meaningless.
func pooledNet(t *testing.T) *autograd.Graph {
	t.Helper()
	g := autograd.NewGraph("pooled")
	x := autograd.Normalize("normalize", g.Input("input", autograd.Uint8, 2, 11, 9), []float32{1.0 / 64, 1.0 / 128}, []float32{-2, -1})
	conv := func(name string, x *autograd.Node, o, groups, stride int) *autograd.Node {
		c, _, _ := x.Type().CHW()
		return autograd.Conv2D(name, x, g.Param(name+".weight", autograd.Weight, autograd.HeNormal(), o, c/groups, 3, 3),
			g.Param(name+".bias", autograd.Bias, autograd.Normal(0.3), o), autograd.ConvAttrs{Pad: autograd.Same(3), Groups: groups, StrideH: stride, StrideW: stride})
	}
	x = autograd.MaxPool("pool1", conv("conv1", x, 5, 1, 1), autograd.PoolAttrs{KH: 3, KW: 3, StrideH: 2, StrideW: 2, Pad: autograd.Border{Top: 1, Left: 1}, Size: autograd.PoolCeil})
	x = autograd.MaxPool("pool2", autograd.ReLU6("relu2", conv("conv2", x, 10, 5, 1)), autograd.PoolAttrs{KH: 2, KW: 3, StrideH: 1, StrideW: 2})
	x = autograd.MaxPool("pool3", autograd.ReLU("relu3", conv("conv3", x, 8, 1, 1)), autograd.PoolAttrs{KH: 2, KW: 2, StrideH: 2, StrideW: 2})
	x = autograd.MaxPool("pool4", conv("conv4", x, 6, 1, 2), autograd.PoolAttrs{KH: 1, KW: 1})
	x = autograd.Flatten("flat", x)
	f, _, _ := x.Type().CHW()
	g.SetOutput("logits", autograd.Linear("fc", x, g.Param("fc.weight", autograd.Weight, autograd.HeNormal(), 5, f), nil))
	if err := g.Err(); err != nil {
		t.Fatal(err)
	}
	g.Initialize(3)
	// Large enough that the ReLU6 cuts.
	for i, v := range g.Node("conv2.weight").Param().Value {
		g.Node("conv2.weight").Param().Value[i] = 4 * v
	}
	return g
}

// TestPoolBehindConvolution compares training with max pools inside the convolutions in front of them with
// max pools as nodes of their own, for any number of workers.
func TestPoolBehindConvolution(t *testing.T) {
	apart := Passes()
	for i, p := range apart {
		if p.Name == "integer-conv" { // evaluation leaves pools alone
			apart[i].Apply = func(_ autograd.Mode, e *autograd.Edit) error { return passIntConv(autograd.Evaluate, e) }
		}
	}
	for name, spec := range specs() {
		for _, mode := range []autograd.Mode{autograd.Train, autograd.Frozen} {
			t.Run(fmt.Sprintf("%s/%s", name, mode), func(t *testing.T) {
				g, _, err := Prepare(pooledNet(t), spec)
				if err != nil {
					t.Fatal(err)
				}
				g = withLoss(t, g)
				calibrated(t, g)
				run := func(o autograd.CompileOptions) (*autograd.Program, map[string][]float32) {
					o.Mode, o.Batch, o.Poison = mode, testBatch, true
					p, err := g.Compile(o)
					if err != nil {
						t.Fatal(err)
					}
					loadRandom(p, 5)
					p.Forward()
					p.Backward()
					got := map[string][]float32{"loss": {p.Loss()}}
					for _, q := range p.Params() {
						got[q.Name] = append([]float32(nil), q.Grad...)
					}
					for _, s := range g.States() {
						if s.Staged() {
							got[s.Name] = append([]float32(nil), s.Stage()...)
						}
					}
					p.Discard()
					return p, got
				}
				p, want := run(autograd.CompileOptions{Plain: true, Passes: apart})
				if n := pools(p); n != 4 {
					t.Fatalf("%d max pools stand alone, want 4", n)
				}
				var one map[string][]float32 // of a single worker
				for _, workers := range []int{1, 2, 9} {
					pool := parallel.New(workers)
					p, got := run(autograd.CompileOptions{Pool: pool})
					pool.Close()
					if n := pools(p); n != 0 {
						t.Fatalf("%d max pools stand alone, want none", n)
					}
					if one == nil {
						one = got
					}
					for k, w := range want {
						if len(got[k]) != len(w) {
							t.Fatalf("%d workers: %s has %d elements, want %d", workers, k, len(got[k]), len(w))
						}
						// Sums in front of a pool round in another order. Of those of the ranges' gradients little remains.
						tol := 3e-6 * largest(w)
						if len(w) == 1 {
							tol = 1e-3 * largest(w)
						}
						for i, v := range got[k] {
							if diff := math.Abs(float64(v) - float64(w[i])); !(diff <= tol) {
								t.Errorf("%d workers: %s[%d]: %v, want %v", workers, k, i, v, w[i])
							}
							if v != one[k][i] {
								t.Errorf("%d workers: %s[%d]: %v, one has %v", workers, k, i, v, one[k][i])
							}
						}
					}
				}
			})
		}
	}
}

// pools counts the max pools that are nodes.
func pools(p *autograd.Program) int {
	n := 0
	for _, k := range p.Graph().Nodes() {
		if _, ok := k.Op().(autograd.MaxPoolOp); ok {
			n++
		}
	}
	return n
}

// largest returns the largest absolute value.
func largest(x []float32) float64 {
	m := 0.0
	for _, v := range x {
		m = max(m, math.Abs(float64(v)))
	}
	return m
}
