package autograd_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/autograd/optest"
	"github.com/bitgrad/bitgrad/internal/parallel"
)

// pooledCase is a convolution of c×7×6 with o kernels kh×kw in front of a pool with an output oh×ow.
type pooledCase struct {
	batch, c, o, kh, kw, oh, ow int
	bias                        bool
	act                         autograd.Op
	attrs                       autograd.ConvAttrs
	pool                        autograd.PoolAttrs
	modes                       []autograd.Mode
}

func (k pooledCase) optest() optest.Case {
	c := optest.Case{
		Name: fmt.Sprintf("pooled conv2d %+v", k), Batch: k.batch, Modes: k.modes, Tol: 3e-5, GradTol: 5e-4,
		Inputs: []optest.Input{
			{Name: "x", Shape: []int{k.c, 7, 6}},
			{Name: "w", Shape: []int{k.o, k.c, k.kh, k.kw}, Param: true},
		},
	}
	if k.bias {
		c.Inputs = append(c.Inputs, optest.Input{Name: "bias", Shape: []int{k.o}, Param: true})
	}
	c.Build = func(_ *autograd.Graph, in []*autograd.Node) *autograd.Node {
		o := autograd.PooledConvOp{Conv: autograd.Conv2DOp{ConvAttrs: k.attrs}, Bias: k.bias, Act: k.act, Pool: autograd.MaxPoolOp{PoolAttrs: k.pool}}
		return autograd.Apply("pooled", o, in...)
	}
	c.Ref = func(in []optest.Array) optest.Array {
		y := convRef(in, k.attrs)
		y = poolRef(y, k.pool, k.oh, k.ow, func(window []float64, _ int) float64 { return slices.Max(window) })
		limit := math.Inf(1)
		if _, ok := k.act.(autograd.ReLU6Op); ok {
			limit = 6
		}
		for i := range y.Data {
			if k.act != nil {
				y.Data[i] = min(max(y.Data[i], 0), limit)
			}
		}
		return y
	}
	return c
}

func init() {
	half := autograd.PoolAttrs{KH: 2, KW: 2, StrideH: 2, StrideW: 2}
	overlap := autograd.PoolAttrs{KH: 3, KW: 3, StrideH: 2, StrideW: 2, Pad: autograd.Border{Top: 1, Left: 1, Bottom: 1, Right: 1}}
	same := autograd.ConvAttrs{Pad: autograd.Same(3)}
	for _, k := range []pooledCase{
		{2, 1, 9, 3, 3, 3, 3, true, nil, same, half, nil},
		{17, 3, 20, 5, 5, 3, 2, false, autograd.ReLUOp{}, autograd.ConvAttrs{Pad: autograd.Same(5)}, autograd.PoolAttrs{KH: 2, KW: 3, StrideH: 2, StrideW: 2}, nil},
		{3, 2, 4, 3, 2, 1, 2, true, autograd.ReLU6Op{}, autograd.ConvAttrs{StrideH: 2, DilH: 2}, half, nil},
		{2, 4, 10, 3, 3, 4, 3, true, autograd.ReLUOp{}, same, overlap, nil},
		{2, 16, 16, 3, 3, 4, 3, true, nil, same, overlap, nil}, // whose forward pass goes by tiles
		{1, 3, 8, 3, 3, 7, 6, false, nil, same, autograd.PoolAttrs{}, []autograd.Mode{autograd.Frozen, autograd.Evaluate}},
		{33, 1, 8, 3, 3, 3, 3, true, autograd.ReLUOp{}, same, half, []autograd.Mode{autograd.Frozen, autograd.Evaluate}},
	} {
		suite.Add(k.optest())
	}
}

// pooledNet has the chains that fuse with a pool, and some that do not: another reader, groups, Winograd, a pool of
// stride 1.
func pooledNet(t *testing.T) *autograd.Graph {
	t.Helper()
	g := autograd.NewGraph("pooled")
	conv := func(name string, x *autograd.Node, o, k, groups int) *autograd.Node {
		c, _, _ := x.Type().CHW()
		return autograd.Conv2D(name, x, g.Param(name+".weight", autograd.Weight, autograd.HeNormal(), o, c/groups, k, k),
			g.Param(name+".bias", autograd.Bias, autograd.Normal(0.2), o), autograd.ConvAttrs{Groups: groups, Pad: autograd.Same(k)})
	}
	half := autograd.PoolAttrs{KH: 2, KW: 2, StrideH: 2, StrideW: 2}
	x := g.Input("x", autograd.Float32, 1, 48, 40)
	a := autograd.MaxPool("pool1", conv("conv1", x, 20, 5, 1), half)
	b := autograd.MaxPool("pool2", autograd.ReLU6("relu2", conv("conv2", a, 40, 5, 1)), autograd.PoolAttrs{KH: 3, KW: 3, StrideH: 2, StrideW: 2})
	c := autograd.ReLU("relu3", autograd.MaxPool("pool3", conv("conv3", b, 24, 5, 1), half))
	tiles := autograd.MaxPool("pool4", conv("conv4", c, 16, 3, 1), autograd.PoolAttrs{KH: 2, KW: 2})
	groups := autograd.MaxPool("pool5", conv("conv5", c, 24, 5, 2), autograd.PoolAttrs{KH: 2, KW: 2})
	slow := autograd.MaxPool("pool6", conv("conv6", c, 24, 5, 1), autograd.PoolAttrs{KH: 2, KW: 2})
	front := conv("conv7", a, 20, 5, 1) // has two readers
	y := autograd.Concat("concat", autograd.Concat("sums", tiles, groups, slow), tiles)
	y = autograd.Concat("all", autograd.Flatten("flat1", y), autograd.Flatten("flat2", autograd.Multiply("product", autograd.MaxPool("pool7", front, half), autograd.MaxPool("pool8", front, half))))
	g.SetOutput("y", autograd.Linear("fc", y, g.Param("fc.weight", autograd.Weight, autograd.HeNormal(), 5, y.Type().Shape[1]), nil))
	g.SetOutput("loss", autograd.SoftmaxCrossEntropy("loss", g.Output("y"), g.Input("labels", autograd.Int32), 0))
	if err := g.Err(); err != nil {
		t.Fatal(err)
	}
	g.Initialize(4)
	return g
}

// TestPooledConvIsTheSame compares what is fused with what is not: the results are equal, and the gradients, whose
// sums have another order, for every number of workers.
func TestPooledConvIsTheSame(t *testing.T) {
	const fused = "conv1:conv2d_pool conv2:conv2d_pool conv3:conv2d_pool conv4:conv2d pool4:max_pool"
	run := func(o autograd.CompileOptions) (results, gradients map[string][]float32, ops string) {
		g := pooledNet(t)
		o.Loss, o.InputGrad, o.Poison = "loss", true, true
		p := compile(t, g, o)
		fillSine(p)
		for range 2 { // the second step sees what the first left behind
			p.Forward()
			p.Backward()
		}
		y, _ := p.View("y")
		results = map[string][]float32{"y": y.Floats(nil), "loss": {p.Loss()}}
		dx, _ := p.GradView("x")
		gradients = map[string][]float32{"dx": dx.Floats(nil)}
		for _, q := range p.Params() {
			gradients[q.Name] = slices.Clone(q.Grad)
		}
		for _, n := range p.Graph().Nodes() {
			if n.Op() != nil {
				ops += " " + n.Name() + ":" + n.Op().Name()
			}
		}
		return results, gradients, ops
	}
	for _, mode := range []autograd.Mode{autograd.Train, autograd.Frozen, autograd.Evaluate} {
		for _, batch := range []int{1, 5, 20} {
			want, wantGradients, _ := run(autograd.CompileOptions{Mode: mode, Batch: batch, Plain: true})
			var one map[string][]float32
			for workers := 1; workers <= 3; workers++ {
				pool := parallel.New(workers)
				got, gradients, ops := run(autograd.CompileOptions{Mode: mode, Batch: batch, Pool: pool})
				pool.Close()
				if !strings.Contains(ops, fused) || !strings.Contains(ops, "conv7:conv2d") {
					t.Fatalf("it ran %s, want %s", ops, fused)
				}
				for name, w := range want {
					if !slices.Equal(got[name], w) {
						t.Errorf("%s, batch %d, %d workers: %s is %v, want %v", mode, batch, workers, name, got[name][:1], w[:1])
					}
				}
				if one == nil {
					one = gradients
				}
				for name, w := range wantGradients {
					if !slices.Equal(gradients[name], one[name]) {
						t.Errorf("%s, batch %d, %d workers: the gradient of %s differs from that of one worker", mode, batch, workers, name)
					}
					largest := 0.0
					for _, v := range w {
						largest = max(largest, math.Abs(float64(v)))
					}
					for i, v := range gradients[name] {
						if diff := math.Abs(float64(v) - float64(w[i])); !(diff <= 1e-5*largest) {
							t.Fatalf("%s, batch %d: element %d of the gradient of %s is %v, want %v", mode, batch, i, name, v, w[i])
						}
					}
				}
			}
		}
	}
}

func TestPooledConvErrors(t *testing.T) {
	g := autograd.NewGraph("net")
	x := g.Input("x", autograd.Float32, 4, 20, 20)
	w, b := g.Param("w", autograd.Weight, nil, 4, 4, 3, 3), g.Param("b", autograd.Bias, nil, 4)
	grouped := g.Param("grouped", autograd.Weight, nil, 4, 2, 3, 3)
	half := autograd.MaxPoolOp{PoolAttrs: autograd.PoolAttrs{KH: 2, KW: 2, StrideH: 2, StrideW: 2}}
	const apart = "the convolution and its pool stay apart"
	for _, c := range []struct {
		op   autograd.PooledConvOp
		in   []*autograd.Node
		want string
	}{
		{autograd.PooledConvOp{Bias: true, Pool: half}, []*autograd.Node{x, w}, "an input, a weight and the bias expected"},
		{autograd.PooledConvOp{Pool: half}, []*autograd.Node{x, w, b}, "an input, a weight and the bias expected"},
		{autograd.PooledConvOp{Act: autograd.LeakyReLUOp{}, Pool: half}, []*autograd.Node{x, w}, "activation leaky_relu: must be relu or relu6"},
		{autograd.PooledConvOp{Pool: half}, []*autograd.Node{x, b}, "the weight must be [O I H W]"},
		{autograd.PooledConvOp{Pool: autograd.MaxPoolOp{PoolAttrs: autograd.PoolAttrs{KH: 30}}}, []*autograd.Node{x, w}, "the kernel covers 30, the padded input has 18"},
		{autograd.PooledConvOp{Pool: autograd.MaxPoolOp{PoolAttrs: autograd.PoolAttrs{KH: 17, KW: 17}}}, []*autograd.Node{x, w}, apart},
		{autograd.PooledConvOp{Conv: autograd.Conv2DOp{ConvAttrs: autograd.ConvAttrs{Groups: 2}}, Pool: half}, []*autograd.Node{x, grouped}, apart},
		{autograd.PooledConvOp{Conv: autograd.Conv2DOp{ConvAttrs: autograd.ConvAttrs{DilW: 2}}, Pool: half}, []*autograd.Node{x, w}, apart},
	} {
		_, err := c.op.Infer(autograd.Env{}, typesOf(c.in))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one with %q", err, c.want)
		}
		if c.op.Pays(c.in[0].Type(), c.in[1].Type()) && c.want == apart {
			t.Errorf("%+v pays", c.op)
		}
	}
}
