package autograd_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/autograd/optest"
)

// weightedOp is Σ u·x with fixed weights u in NCHW order: a loss with gradient u.
type weightedOp struct{ u []float64 }

func (weightedOp) Name() string { return "weighted" }

func (weightedOp) Infer(autograd.Env, []autograd.Type) (autograd.Spec, error) {
	return autograd.Spec{Out: autograd.Type{Shape: []int{1}, Plain: true}}, nil
}

func (o weightedOp) Bind(b *autograd.Binding) autograd.Step { return weighted{o.u, b} }

type weighted struct {
	u []float64
	b *autograd.Binding
}

func (s weighted) Forward(*autograd.Context) {
	sum := 0.0
	for i, v := range s.b.In[0].Floats(nil) {
		sum += s.u[i] * float64(v)
	}
	s.b.Out.F32[0] = float32(sum)
}

func (s weighted) Backward(*autograd.Context) { setNCHW(s.b.GradIn[0], s.u) }

// setNCHW writes a dense array into a view.
func setNCHW(v autograd.View, data []float64) {
	if v.Plain {
		for i, x := range data {
			v.F32[i] = float32(x)
		}
		return
	}
	k := 0
	for n := range v.L.N {
		for c := range v.L.C {
			for h := range v.L.H {
				for w := range v.L.W {
					v.F32[v.L.At(n, h, w, c)] = float32(data[k])
					k++
				}
			}
		}
	}
}

// A peer is one operation in Bitgrad, in gorgonia and in float64.
type peer struct {
	in       []optest.Array // the first is batched, the others are parameters
	bitgrad  func(in []*autograd.Node) *autograd.Node
	gorgonia func(in []*gorgonia.Node) (*gorgonia.Node, error)
	ref      func(in []optest.Array) optest.Array
	upstream []float64
}

func newPeer(seed uint64, shapes ...[]int) *peer {
	r := rand.New(rand.NewPCG(seed, 1))
	p := &peer{}
	for _, s := range shapes {
		a := optest.NewArray(s...)
		for i := range a.Data {
			a.Data[i] = float64(float32(r.NormFloat64()))
		}
		p.in = append(p.in, a)
	}
	return p
}

// weights draws the upstream gradient.
func (p *peer) weights() []float64 {
	if p.upstream == nil {
		r := rand.New(rand.NewPCG(7, 7))
		for range p.ref(p.in).Data {
			p.upstream = append(p.upstream, float64(float32(r.NormFloat64())))
		}
	}
	return p.upstream
}

// runBitgrad returns the value and the gradients.
func (p *peer) runBitgrad(t *testing.T) (y []float64, grads [][]float64) {
	t.Helper()
	g := autograd.NewGraph("net")
	names := []string{"x", "a", "b"}
	var in []*autograd.Node
	for i, a := range p.in {
		if i == 0 {
			in = append(in, g.Input(names[i], autograd.Float32, a.Shape[1:]...))
		} else {
			in = append(in, g.Param(names[i], autograd.Weight, nil, a.Shape...))
		}
	}
	out := p.bitgrad(in)
	g.SetOutput("y", out)
	g.SetOutput("loss", g.Apply("loss", weightedOp{p.weights()}, out))
	q, err := g.Compile(autograd.CompileOptions{Mode: autograd.Train, Batch: p.in[0].Shape[0], InputGrad: true})
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range p.in {
		v, _ := q.View(names[i])
		setNCHW(v, a.Data)
	}
	q.Forward()
	q.Backward()
	v, _ := q.View("y")
	y = widen(v.Floats(nil))
	for i := range p.in {
		d, _ := q.GradView(names[i])
		grads = append(grads, widen(d.Floats(nil)))
	}
	return y, grads
}

func widen(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

// runGorgonia does the same on gorgonia's tape machine, in float64.
func (p *peer) runGorgonia(t *testing.T) (y []float64, grads [][]float64) {
	t.Helper()
	g := gorgonia.NewGraph()
	var in []*gorgonia.Node
	for i, a := range p.in {
		v := tensor.New(tensor.WithShape(a.Shape...), tensor.WithBacking(append([]float64(nil), a.Data...)))
		in = append(in, gorgonia.NodeFromAny(g, v, gorgonia.WithName([]string{"x", "a", "b"}[i])))
	}
	out, err := p.gorgonia(in)
	if err != nil {
		t.Fatal(err)
	}
	u := gorgonia.NodeFromAny(g, tensor.New(tensor.WithShape(out.Shape()...), tensor.WithBacking(append([]float64(nil), p.weights()...))), gorgonia.WithName("u"))
	prod, err := gorgonia.HadamardProd(out, u)
	if err != nil {
		t.Fatal(err)
	}
	cost, err := gorgonia.Sum(prod)
	if err != nil {
		t.Fatal(err)
	}
	var value gorgonia.Value
	gorgonia.Read(out, &value)
	ds, err := gorgonia.Grad(cost, in...)
	if err != nil {
		t.Fatal(err)
	}
	grads = make([][]float64, len(in))
	vals := make([]gorgonia.Value, len(in))
	for i := range ds {
		gorgonia.Read(ds[i], &vals[i])
	}
	m := gorgonia.NewTapeMachine(g, gorgonia.BindDualValues(in...))
	defer m.Close()
	if err := m.RunAll(); err != nil {
		t.Fatal(err)
	}
	for i := range vals {
		grads[i] = append([]float64(nil), vals[i].Data().([]float64)...)
	}
	return append([]float64(nil), value.Data().([]float64)...), grads
}

// differences returns the gradients of the float64 reference.
func (p *peer) differences() [][]float64 {
	u := p.weights()
	loss := func(in []optest.Array) float64 {
		sum := 0.0
		for i, v := range p.ref(in).Data {
			sum += u[i] * v
		}
		return sum
	}
	var grads [][]float64
	for i, a := range p.in {
		in := append([]optest.Array(nil), p.in...)
		in[i] = a.Clone()
		d := make([]float64, len(a.Data))
		for k, x := range a.Data {
			const h = 1e-5
			in[i].Data[k] = x + h
			up := loss(in)
			in[i].Data[k] = x - h
			d[k] = (up - loss(in)) / (2 * h)
			in[i].Data[k] = x
		}
		grads = append(grads, d)
	}
	return grads
}

// apart returns the largest |a − b| / (1 + |b|).
func apart(a, b []float64) float64 {
	if len(a) != len(b) {
		return math.Inf(1)
	}
	worst := 0.0
	for i := range a {
		worst = max(worst, math.Abs(a[i]-b[i])/(1+math.Abs(b[i])))
	}
	return worst
}

// agree compares Bitgrad with gorgonia, value and gradients.
func (p *peer) agree(t *testing.T) {
	t.Helper()
	y, grads := p.runBitgrad(t)
	wantY, want := p.runGorgonia(t)
	if d := apart(y, wantY); d > 1e-5 {
		t.Errorf("values are %.2g apart", d)
	}
	for i := range want {
		if d := apart(grads[i], want[i]); d > 1e-4 {
			t.Errorf("gradients of operand %d are %.2g apart", i, d)
		}
	}
}

func TestConv2DAgreesWithGorgonia(t *testing.T) {
	for _, c := range []struct {
		name         string
		x, w         []int
		attrs        autograd.ConvAttrs
		padH, padW   int
		strideH, dil int
	}{
		{"plain", []int{2, 3, 6, 7}, []int{4, 3, 3, 3}, autograd.ConvAttrs{}, 0, 0, 1, 1},
		{"one channel", []int{1, 1, 5, 5}, []int{1, 1, 5, 5}, autograd.ConvAttrs{}, 0, 0, 1, 1},
		{"padding", []int{3, 2, 5, 5}, []int{17, 2, 3, 3}, autograd.ConvAttrs{Pad: autograd.Same(3)}, 1, 1, 1, 1},
		{"oblong", []int{2, 3, 6, 7}, []int{2, 3, 1, 5}, autograd.ConvAttrs{Pad: autograd.Border{Left: 2, Right: 2}}, 0, 2, 1, 1},
		{"stride 2", []int{2, 3, 7, 7}, []int{4, 3, 3, 3}, autograd.ConvAttrs{StrideH: 2, StrideW: 2, Pad: autograd.Same(3)}, 1, 1, 2, 1},
		{"stride 3", []int{2, 2, 9, 9}, []int{3, 2, 2, 2}, autograd.ConvAttrs{StrideH: 3, StrideW: 3}, 0, 0, 3, 1},
		{"dilation 2", []int{2, 3, 7, 6}, []int{4, 3, 3, 3}, autograd.ConvAttrs{DilH: 2, DilW: 2, Pad: autograd.Same(5)}, 2, 2, 1, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPeer(1, c.x, c.w)
			p.ref = func(in []optest.Array) optest.Array { return convRef(in, c.attrs) }
			p.bitgrad = func(in []*autograd.Node) *autograd.Node {
				return autograd.Conv2D("conv", in[0], in[1], nil, c.attrs)
			}
			p.gorgonia = func(in []*gorgonia.Node) (*gorgonia.Node, error) {
				return gorgonia.Conv2d(in[0], in[1], tensor.Shape(c.w[2:]), []int{c.padH, c.padW}, []int{c.strideH, c.strideH}, []int{c.dil, c.dil})
			}
			p.agree(t)
		})
	}
}

func TestLinearAgreesWithGorgonia(t *testing.T) {
	for _, k := range [][3]int{{1, 3, 2}, {5, 17, 4}, {33, 4, 40}} {
		n, i, o := k[0], k[1], k[2]
		p := newPeer(2, []int{n, i}, []int{o, i}, []int{o})
		p.ref = linearRef
		p.bitgrad = func(in []*autograd.Node) *autograd.Node { return autograd.Linear("fc", in[0], in[1], in[2]) }
		p.gorgonia = func(in []*gorgonia.Node) (*gorgonia.Node, error) {
			wt, err := gorgonia.Transpose(in[1], 1, 0)
			if err != nil {
				return nil, err
			}
			xw, err := gorgonia.Mul(in[0], wt)
			if err != nil {
				return nil, err
			}
			return gorgonia.BroadcastAdd(xw, in[2], nil, []byte{0})
		}
		p.agree(t)
	}
}

// poolPeer is a pool of an image [2 3 6 8] in Bitgrad and in gorgonia.
func poolPeer(a autograd.PoolAttrs, oh, ow int, f func(window []float64, cells int) float64) *peer {
	p := newPeer(3, []int{2, 3, 6, 8})
	p.ref = func(in []optest.Array) optest.Array { return poolRef(in[0], a, oh, ow, f) }
	return p
}

// poolGeometries are those that both sides express.
var poolGeometries = []struct {
	attrs  autograd.PoolAttrs
	oh, ow int
}{
	{autograd.PoolAttrs{KH: 2, KW: 2, StrideH: 2, StrideW: 2}, 3, 4},
	{autograd.PoolAttrs{KH: 3, KW: 2, StrideH: 1, StrideW: 3}, 4, 3},
	{autograd.PoolAttrs{KH: 3, KW: 3, StrideH: 2, StrideW: 2, Pad: autograd.Same(3)}, 3, 4},
}

func TestMaxPoolAgreesWithGorgonia(t *testing.T) {
	for _, c := range poolGeometries {
		t.Run(c.attrs.String(), func(t *testing.T) {
			p := poolPeer(c.attrs, c.oh, c.ow, func(w []float64, _ int) float64 { return slices.Max(w) })
			p.bitgrad = func(in []*autograd.Node) *autograd.Node { return autograd.MaxPool("pool", in[0], c.attrs) }
			p.gorgonia = func(in []*gorgonia.Node) (*gorgonia.Node, error) {
				a := c.attrs
				return gorgonia.MaxPool2D(in[0], tensor.Shape{a.KH, a.KW}, []int{a.Pad.Top, a.Pad.Left}, []int{a.StrideH, a.StrideW})
			}
			p.agree(t)
		})
	}
}

// gorgonia's AveragePool2D divides the sum of a window by the width of the
// image, and its gradient is that of no pool (see gorgoniaAverageGradient).
// Bitgrad follows the definition.
func TestAveragePoolDiffersFromGorgonia(t *testing.T) {
	for _, c := range poolGeometries {
		t.Run(c.attrs.String(), func(t *testing.T) {
			p := poolPeer(c.attrs, c.oh, c.ow, func(w []float64, _ int) float64 { return mean(w) })
			p.bitgrad = func(in []*autograd.Node) *autograd.Node {
				return autograd.AveragePool("pool", in[0], autograd.AveragePoolAttrs{PoolAttrs: c.attrs})
			}
			p.gorgonia = func(in []*gorgonia.Node) (*gorgonia.Node, error) {
				a := c.attrs
				return gorgonia.AveragePool2D(in[0], tensor.Shape{a.KH, a.KW}, []int{a.Pad.Top, a.Pad.Left}, []int{a.StrideH, a.StrideW})
			}
			y, grads := p.runBitgrad(t)
			if d := apart(y, p.ref(p.in).Data); d > 1e-5 {
				t.Errorf("the value is %.2g from the definition", d)
			}
			if d := apart(grads[0], p.differences()[0]); d > 1e-4 {
				t.Errorf("the gradient is %.2g from the definition", d)
			}

			sums := poolRef(p.in[0], c.attrs, c.oh, c.ow, func(w []float64, _ int) float64 { return mean(w) * float64(len(w)) / 8 })
			gradient := gorgoniaAverageGradient(p.in[0], c.attrs, c.oh, c.ow, p.weights())
			gy, gg := p.runGorgonia(t)
			if d := apart(gy, sums.Data); d > 1e-9 {
				t.Errorf("gorgonia's value is %.2g from what it was: it has changed", d)
			}
			if d := apart(gg[0], gradient); d > 1e-9 {
				t.Errorf("gorgonia's gradient is %.2g from what it was: it has changed", d)
			}
		})
	}
}

// gorgoniaAverageGradient gives the upstream gradient of each window to its last
// element and then, in place, slides the window over the image once more and
// divides by its width.
func gorgoniaAverageGradient(x optest.Array, a autograd.PoolAttrs, oh, ow int, u []float64) []float64 {
	dx := optest.NewArray(x.Shape...)
	y := optest.NewArray(x.Shape[0], x.Shape[1], oh, ow)
	copy(y.Data, u)
	window := func(h, w int) (h0, h1, w0, w1 int) {
		h0, w0 = h*a.StrideH-a.Pad.Top, w*a.StrideW-a.Pad.Left
		return max(h0, 0), min(h0+a.KH, x.Shape[2]), max(w0, 0), min(w0+a.KW, x.Shape[3])
	}
	y.Each(func(v float64, at []int) {
		_, h1, _, w1 := window(at[2], at[3])
		dx.Add(v, at[0], at[1], h1-1, w1-1)
	})
	dx.Each(func(_ float64, at []int) {
		h0, h1, w0, w1 := window(at[2], at[3])
		sum := 0.0
		for h := h0; h < h1; h++ {
			for w := w0; w < w1; w++ {
				sum += dx.At(at[0], at[1], h, w)
			}
		}
		dx.Set(sum/float64(x.Shape[3]), at...)
	})
	return dx.Data
}

// gorgonia has no gradient for its global average pool; the value agrees.
func TestGlobalAveragePoolAgreesWithGorgonia(t *testing.T) {
	p := newPeer(4, []int{2, 5, 3, 4})
	p.ref = func(in []optest.Array) optest.Array {
		return poolRef(in[0], autograd.PoolAttrs{KH: 3, KW: 4}, 1, 1, func(w []float64, _ int) float64 { return mean(w) })
	}
	p.bitgrad = func(in []*autograd.Node) *autograd.Node { return autograd.GlobalAveragePool("pool", in[0]) }
	y, _ := p.runBitgrad(t)

	g := gorgonia.NewGraph()
	x := gorgonia.NodeFromAny(g, tensor.New(tensor.WithShape(2, 5, 3, 4), tensor.WithBacking(p.in[0].Data)), gorgonia.WithName("x"))
	out, err := gorgonia.GlobalAveragePool2D(x)
	if err != nil {
		t.Fatal(err)
	}
	m := gorgonia.NewTapeMachine(g)
	defer m.Close()
	if err := m.RunAll(); err != nil {
		t.Fatal(err)
	}
	if d := apart(y, out.Value().Data().([]float64)); d > 1e-5 {
		t.Errorf("values are %.2g apart", d)
	}
}

func TestBatchNormAgreesWithGorgonia(t *testing.T) {
	for _, shape := range [][]int{{4, 3, 5, 2}, {2, 1, 3, 3}} {
		c := shape[1]
		p := newPeer(5, shape, []int{c}, []int{c})
		p.ref = func(in []optest.Array) optest.Array {
			return batchNormRef(in, 1e-3, func(c int) (float64, float64) { return channelStats(in[0], c) })
		}
		var op autograd.BatchNormOp
		p.bitgrad = func(in []*autograd.Node) *autograd.Node {
			y := autograd.BatchNorm("bn", in[0], in[1], in[2], autograd.BatchNormAttrs{Eps: 1e-3, Momentum: 0.25, Unbiased: true})
			op = y.Op().(autograd.BatchNormOp)
			return y
		}
		var peer *gorgonia.BatchNormOp
		p.gorgonia = func(in []*gorgonia.Node) (*gorgonia.Node, error) {
			scale, err := gorgonia.Reshape(in[1], tensor.Shape{1, c, 1, 1})
			if err != nil {
				return nil, err
			}
			bias, err := gorgonia.Reshape(in[2], tensor.Shape{1, c, 1, 1})
			if err != nil {
				return nil, err
			}
			y, _, _, op, err := gorgonia.BatchNorm(in[0], scale, bias, 0.25, 1e-3)
			peer = op
			return y, err
		}
		p.agree(t)
		mean, variance := peer.Stats()
		gotMean, gotVar := op.Mean.Stage(), op.Var.Stage()
		if d := max(apart(widen(gotMean), mean.Data().([]float64)), apart(widen(gotVar), variance.Data().([]float64))); d > 1e-5 {
			t.Errorf("moving statistics are %.2g apart", d)
		}
	}
}
