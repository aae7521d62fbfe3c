package fakequant

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/internal/parallel"
)

// mixedNet has every kind of node that fuses: convolutions with and without
// batch norm and bias, strides, groups, a residual sum, a product, averages, a
// concatenation, a pointwise function and a linear layer.
func mixedNet(t *testing.T) *autograd.Graph {
	t.Helper()
	g := autograd.NewGraph("mixed")
	x := g.Input("input", autograd.Uint8, 2, 9, 9)
	x = autograd.Normalize("normalize", x, []float32{1.0 / 64, 1.0 / 128}, []float32{-2, -1})
	conv := func(name string, x *autograd.Node, o, k, groups int, bias bool, a autograd.ConvAttrs) *autograd.Node {
		c, _, _ := x.Type().CHW()
		w := g.Param(name+".weight", autograd.Weight, autograd.HeNormal(), o, c/groups, k, k)
		var b *autograd.Node
		if bias {
			b = g.Param(name+".bias", autograd.Bias, autograd.Normal(0.1), o)
		}
		a.Groups = groups
		return autograd.Conv2D(name, x, w, b, a)
	}
	bn := func(name string, x *autograd.Node) *autograd.Node {
		c, _, _ := x.Type().CHW()
		return autograd.BatchNorm(name, x, g.Param(name+".weight", autograd.Gamma, autograd.Uniform(1), c),
			g.Param(name+".bias", autograd.Beta, autograd.Normal(0.2), c), autograd.BatchNormAttrs{Momentum: 0.5})
	}
	same := autograd.ConvAttrs{Pad: autograd.Same(3)}
	a := autograd.ReLU("relu1", bn("bn1", conv("conv1", x, 6, 3, 1, false, same)))
	b := autograd.ReLU6("relu2", bn("bn2", conv("conv2", a, 6, 3, 2, true, same)))
	s := autograd.ReLU("relu3", autograd.Add("add", bn("bn3", conv("conv3", b, 6, 3, 6, false, same)), a))
	m := autograd.Multiply("mul", s, conv("gate", a, 6, 1, 1, true, autograd.ConvAttrs{}))
	p := autograd.MaxPool("pool", m, autograd.PoolAttrs{KH: 3, KW: 3, StrideH: 2, StrideW: 2})
	q := autograd.AveragePool("avg", s, autograd.AveragePoolAttrs{PoolAttrs: autograd.PoolAttrs{KH: 3, KW: 3, StrideH: 2, StrideW: 2}})
	c := autograd.Concat("cat", p, q)
	d := autograd.Tanh("tanh", conv("down", c, 8, 3, 1, true, autograd.ConvAttrs{StrideH: 2, StrideW: 2, Pad: autograd.Border{Bottom: 1, Right: 1}}))
	e := autograd.Flatten("flat", d)
	f, _, _ := e.Type().CHW()
	h := autograd.ReLU("relu4", autograd.Linear("fc1", e, g.Param("fc1.weight", autograd.Weight, autograd.HeNormal(), 12, f), g.Param("fc1.bias", autograd.Bias, autograd.Normal(0.1), 12)))
	g.SetOutput("logits", autograd.Linear("fc2", h, g.Param("fc2.weight", autograd.Weight, autograd.HeNormal(), 5, 12), g.Param("fc2.bias", autograd.Bias, autograd.Normal(0.1), 5)))
	if err := g.Err(); err != nil {
		t.Fatal(err)
	}
	g.Initialize(3)
	return g
}

func withLoss(t *testing.T, g *autograd.Graph) *autograd.Graph {
	t.Helper()
	h, err := g.Rewrite(func(e *autograd.Edit) error {
		labels := e.Graph().Input("labels", autograd.Int32)
		e.SetOutput("loss", autograd.SoftmaxCrossEntropy("loss", e.Graph().Output("logits"), labels, 0))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

const testBatch = 6

func compileFor(t *testing.T, g *autograd.Graph, mode autograd.Mode, pool *autograd.Pool, plain bool) *autograd.Program {
	t.Helper()
	return compileBatch(t, g, mode, testBatch, pool, plain)
}

func compileBatch(t *testing.T, g *autograd.Graph, mode autograd.Mode, batch int, pool *autograd.Pool, plain bool) *autograd.Program {
	t.Helper()
	p, err := g.Compile(autograd.CompileOptions{Mode: mode, Batch: batch, Pool: pool, Plain: plain})
	if err != nil {
		t.Fatalf("%s: %v", mode, err)
	}
	return p
}

func loadRandom(p *autograd.Program, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 2))
	x, _ := p.View("input")
	for i := range x.U8 {
		x.U8[i] = uint8(r.IntN(256))
	}
	l, _ := p.View("labels")
	for i := range l.I32 {
		l.I32[i] = int32(i % 5)
	}
}

// prepared trains the float net for a few steps, so that the moving statistics
// mean something, and returns it quantized and calibrated.
func prepared(t *testing.T, spec Spec, rules ...Rule) *autograd.Graph {
	t.Helper()
	g := mixedNet(t)
	p := compileFor(t, withLoss(t, g), autograd.Train, nil, false)
	for i := range 6 {
		loadRandom(p, uint64(i))
		p.Forward()
		p.Commit()
	}
	q, _, err := Prepare(g, spec, rules...)
	if err != nil {
		t.Fatal(err)
	}
	q = withLoss(t, q)
	p = compileFor(t, q, autograd.Calibrate, nil, false)
	for i := range 3 {
		loadRandom(p, uint64(i))
		p.Forward()
		p.Commit()
	}
	if err := FinishCalibration(q); err != nil {
		t.Fatal(err)
	}
	return q
}

func specs() map[string]Spec {
	yes := true
	ste := Int(8)
	ste.Estimator, ste.PerChannel = STE{}, &yes
	lsq := Int(4)
	lsq.PerChannel = &yes
	dste := DFP(6)
	dste.Estimator = STE{}
	return map[string]Spec{"dfp8": DFP(8), "dfp4": DFP(4), "int8": Int(8), "int8-ste": ste, "int4-lsq": lsq, "dfp6-ste": dste}
}

// TestFusedEqualsUnfused compares the integer nodes with the same graph run node
// by node on floats: every code, the loss and every gradient. Power-of-two scales
// make the float run exact; with others a value within float32 rounding of a tie
// may fall on its other side.
func TestFusedEqualsUnfused(t *testing.T) {
	for name, spec := range specs() {
		for _, mode := range []autograd.Mode{autograd.Train, autograd.Frozen} {
			t.Run(fmt.Sprintf("%s/%s", name, mode), func(t *testing.T) {
				g := prepared(t, spec)
				fused, plain := compileFor(t, g, mode, nil, false), compileFor(t, g, mode, nil, true)
				for _, n := range fused.Graph().Nodes() {
					if n.Op() != nil && !n.Type().Plain && !n.Type().IsCodes() && n.Name() != "loss" {
						t.Errorf("%s (%s) is not on codes: %s", n.Name(), n.Kind(), n.Type())
					}
				}
				grads, codes := map[string][]float32{}, map[string][]int64{}
				keep := func(check bool) func(*autograd.Node, autograd.View) {
					return func(n *autograd.Node, v autograd.View) {
						name := strings.TrimSuffix(n.Name(), ".out")
						if !v.IsCodes() || v.Plain || name == "fc2" {
							return
						}
						if !check {
							codes[name] = v.Codes(nil)
							return
						}
						differ, most := compareCodes(codes[name], v.Codes(nil))
						if most > 0 && (spec.Scheme == FixedPoint || most > 1 || differ > 0.005) {
							t.Errorf("codes of %s: %.2f %% differ by up to %d", name, 100*differ, most)
						}
					}
				}
				fused.Tap(keep(false))
				plain.Tap(keep(true))
				run := func(p *autograd.Program) float32 {
					loadRandom(p, 9)
					p.Forward()
					p.Backward()
					p.Discard()
					return p.Loss()
				}
				a := run(fused)
				for _, p := range fused.Params() {
					grads[p.Name] = append([]float32(nil), p.Grad...)
				}
				b := run(plain)
				// Logits on one scale are rounded once more than the unfused ones.
				loss, angle, length := 1e-5, 1e-5, 1e-3
				if spec.Scheme == Integer {
					loss, angle, length = 0.01, 0.02, 0.1
				}
				if math.Abs(float64(a-b)) > loss*math.Abs(float64(b)) {
					t.Errorf("loss: fused %v, unfused %v", a, b)
				}
				for _, p := range plain.Params() {
					have := grads[p.Name]
					var dot, na, nb float64
					for i, v := range p.Grad {
						dot += float64(v) * float64(have[i])
						na += float64(v) * float64(v)
						nb += float64(have[i]) * float64(have[i])
					}
					cos := dot / math.Sqrt(na*nb+1e-30)
					ratio := math.Sqrt(nb / (na + 1e-30))
					if na < 1e-12 && nb < 1e-12 {
						continue
					}
					if cos < 1-angle || math.Abs(ratio-1) > length {
						t.Errorf("gradient of %s: cosine %.4f, ratio %.4f", p.Name, cos, ratio)
					}
				}
			})
		}
	}
}

// compareCodes returns the share of codes that differ and the largest difference.
func compareCodes(a, b []int64) (share float64, most int64) {
	n := 0
	for i := range a {
		if a[i] != b[i] {
			n++
			most = max(most, a[i]-b[i], b[i]-a[i])
		}
	}
	return float64(n) / float64(len(a)), most
}

// TestThreadsChangeNothing runs a step with 1, 2 and 3 workers, also on batches of which workers share
// the images.
func TestThreadsChangeNothing(t *testing.T) {
	for name, spec := range specs() {
		for _, batch := range []int{1, 2, testBatch} {
			t.Run(fmt.Sprintf("%s/%d", name, batch), func(t *testing.T) { threadsChangeNothing(t, spec, batch) })
		}
	}
}

func threadsChangeNothing(t *testing.T, spec Spec, batch int) {
	var want map[string][]float32
	for _, workers := range []int{1, 2, 3} {
		pool := parallel.New(workers)
		g := prepared(t, spec)
		got := map[string][]float32{}
		for _, mode := range []autograd.Mode{autograd.Train, autograd.Frozen} {
			p := compileBatch(t, g, mode, batch, pool, false)
			loadRandom(p, 4)
			p.Forward()
			p.Backward()
			p.Commit()
			for _, q := range p.Params() {
				got[mode.String()+q.Name] = append([]float32(nil), q.Grad...)
			}
			for _, s := range g.States() {
				got[mode.String()+s.Name] = append([]float32(nil), s.Value...)
			}
		}
		pool.Close()
		if want == nil {
			want = got
			continue
		}
		for k, v := range got {
			for i := range v {
				if math.Float32bits(v[i]) != math.Float32bits(want[k][i]) {
					t.Fatalf("%s[%d]: %v with %d workers, %v with 1", k, i, v[i], workers, want[k][i])
				}
			}
		}
	}
}
