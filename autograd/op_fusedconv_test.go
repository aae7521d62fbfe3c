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

// fusedCase is a convolution 3×3 of c×6×5 with o kernels, and stages behind it.
type fusedCase struct {
	batch, c, o          int
	bias, norm, residual bool
	act                  autograd.Op
	attrs                autograd.ConvAttrs
	modes                []autograd.Mode
}

func (k fusedCase) name() string {
	s := fmt.Sprintf("fused conv2d %d×%d→%d %s", k.batch, k.c, k.o, k.attrs)
	s += fmt.Sprintf(" bias %v norm %v residual %v", k.bias, k.norm, k.residual)
	if k.act != nil {
		s += " " + k.act.Name()
	}
	return s + fmt.Sprint(k.modes)
}

func (k fusedCase) optest() optest.Case {
	groups := max(k.attrs.Groups, 1)
	c := optest.Case{
		Name: k.name(), Batch: k.batch, Modes: k.modes, Tol: 3e-5, GradTol: 5e-4,
		Inputs: []optest.Input{
			{Name: "x", Shape: []int{k.c, 6, 5}},
			{Name: "w", Shape: []int{k.o, k.c / groups, 3, 3}, Param: true},
		},
	}
	add := func(name string, shape ...int) {
		c.Inputs = append(c.Inputs, optest.Input{Name: name, Shape: shape, Param: name != "residual"})
	}
	if k.bias {
		add("bias", k.o)
	}
	if k.norm {
		add("gamma", k.o)
		add("beta", k.o)
	}
	if k.residual {
		stride := max(k.attrs.StrideH, 1)
		add("residual", k.o, (6+stride-1)/stride, (5+stride-1)/stride)
	}
	c.Build = func(_ *autograd.Graph, in []*autograd.Node) *autograd.Node {
		o := autograd.FusedConvOp{Conv: autograd.Conv2DOp{ConvAttrs: k.attrs}, Bias: k.bias, Residual: k.residual, Act: k.act}
		if k.norm {
			mean, variance := make([]float32, k.o), make([]float32, k.o)
			for i := range mean {
				mean[i], variance[i] = float32(i)/4-0.3, 0.5+float32(i)/8
			}
			o.Norm = &autograd.BatchNormOp{BatchNormAttrs: autograd.BatchNormAttrs{Eps: 1e-3},
				Mean: autograd.NewState("mean", mean), Var: autograd.NewState("var", variance)}
		}
		return autograd.Apply("fused", o, in...)
	}
	c.Ref = func(in []optest.Array) optest.Array { return k.reference(in) }
	return c
}

// reference takes the stages one by one, in float64.
func (k fusedCase) reference(in []optest.Array) optest.Array {
	n := 2
	if k.bias {
		n = 3
	}
	y := convRef(in[:n], k.attrs)
	if in = in[n:]; k.norm {
		moving := len(k.modes) > 0
		y = batchNormRef([]optest.Array{y, in[0], in[1]}, float64(float32(1e-3)), func(c int) (float64, float64) {
			if moving {
				return float64(float32(c)/4 - 0.3), float64(0.5 + float32(c)/8)
			}
			return channelStats(y, c)
		})
		in = in[2:]
	}
	limit := math.Inf(1)
	if _, ok := k.act.(autograd.ReLU6Op); ok {
		limit = 6
	}
	for i := range y.Data {
		if k.residual {
			y.Data[i] += in[0].Data[i]
		}
		if k.act != nil {
			y.Data[i] = min(max(y.Data[i], 0), limit)
		}
	}
	return y
}

func init() {
	same := autograd.ConvAttrs{Pad: autograd.Same(3)}
	half, groups, depthwise := same, same, same
	half.StrideH, half.StrideW = 2, 2
	groups.Groups, depthwise.Groups = 2, 4
	fixed := []autograd.Mode{autograd.Frozen, autograd.Evaluate}
	relu, relu6 := autograd.ReLUOp{}, autograd.ReLU6Op{}
	for _, k := range []fusedCase{
		{2, 3, 4, false, true, true, relu, same, nil},
		{2, 3, 4, true, true, false, relu6, half, nil},
		{1, 4, 18, false, true, false, nil, groups, nil},
		{20, 1, 3, true, true, true, nil, half, nil}, // an image at a time
		{33, 2, 3, false, true, true, relu6, same, nil},
		{3, 4, 4, true, false, true, relu, depthwise, nil},
		{3, 3, 4, true, false, false, relu, half, nil},
		{2, 3, 4, false, false, true, nil, same, nil},
		{2, 16, 24, false, true, true, relu, same, nil}, // by tiles
		{3, 24, 16, true, true, true, relu6, same, fixed},
		{2, 3, 4, false, true, true, relu, same, fixed},
		{18, 3, 4, true, true, false, relu6, half, fixed},
		{2, 3, 4, true, false, true, relu, same, fixed},
	} {
		suite.Add(k.optest())
	}
}

// chainNet has every chain that fuses, and chains that do not because somebody else reads what
// lies inside.
func chainNet(t *testing.T) *autograd.Graph {
	t.Helper()
	g := autograd.NewGraph("chains")
	conv := func(name string, x *autograd.Node, o, stride, groups int, bias bool) *autograd.Node {
		c, _, _ := x.Type().CHW()
		w := g.Param(name+".weight", autograd.Weight, autograd.HeNormal(), o, c/groups, 3, 3)
		var b *autograd.Node
		if bias {
			b = g.Param(name+".bias", autograd.Bias, autograd.Normal(0.2), o)
		}
		return autograd.Conv2D(name, x, w, b, autograd.ConvAttrs{StrideH: stride, StrideW: stride, Groups: groups, Pad: autograd.Same(3)})
	}
	bn := func(name string, x *autograd.Node) *autograd.Node {
		c, _, _ := x.Type().CHW()
		return autograd.BatchNorm(name, x, g.Param(name+".weight", autograd.Gamma, autograd.Uniform(1), c),
			g.Param(name+".bias", autograd.Beta, autograd.Normal(0.2), c), autograd.BatchNormAttrs{})
	}
	x := g.Input("x", autograd.Float32, 3, 9, 7)
	a := autograd.ReLU("relu1", bn("bn1", conv("conv1", x, 16, 1, 1, false)))
	b := bn("bn3", conv("conv3", autograd.ReLU6("relu2", bn("bn2", conv("conv2", a, 16, 1, 1, true))), 16, 1, 2, false))
	c := autograd.ReLU("relu3", autograd.Add("add1", b, a))
	d := autograd.Add("add2", bn("bn5", conv("short", c, 6, 2, 1, false)), bn("bn4", conv("conv4", c, 6, 2, 1, false)))
	e := autograd.ReLU("relu4", conv("depthwise", d, 6, 1, 6, true))
	f := autograd.ReLU("relu5", autograd.Add("add3", conv("conv5", e, 6, 1, 1, true), d))
	twice := conv("twice", f, 6, 1, 1, false) // has two readers
	h := autograd.Multiply("mul", autograd.ReLU("relu6", twice), twice)
	y := autograd.Flatten("flat", h)
	g.SetOutput("y", autograd.Linear("fc", y, g.Param("fc.weight", autograd.Weight, autograd.HeNormal(), 5, y.Type().Shape[1]), nil))
	g.SetOutput("loss", autograd.SoftmaxCrossEntropy("loss", g.Output("y"), g.Input("labels", autograd.Int32), 0))
	if err := g.Err(); err != nil {
		t.Fatal(err)
	}
	g.Initialize(4)
	return g
}

// chainStep runs a step and returns output, loss and gradients, and the operations that ran.
func chainStep(t *testing.T, opt autograd.CompileOptions) (values map[string][]float32, ops []string) {
	t.Helper()
	g := chainNet(t)
	opt.Loss, opt.InputGrad = "loss", true
	p := compile(t, g, opt)
	fillSine(p)
	for range 2 { // the second step sees what the first left behind
		p.Forward()
		p.Backward()
		p.Commit()
	}
	y, _ := p.View("y")
	dx, _ := p.GradView("x")
	values = map[string][]float32{"y": y.Floats(nil), "dx": dx.Floats(nil), "loss": {p.Loss()}}
	for _, q := range p.Params() {
		values[q.Name] = slices.Clone(q.Grad)
	}
	for _, s := range g.States() {
		values[s.Name] = slices.Clone(s.Value)
	}
	for _, n := range p.Graph().Nodes() {
		if n.Op() != nil {
			ops = append(ops, n.Name()+":"+n.Op().Name())
		}
	}
	return values, ops
}

// fillSine fills the input x of a program.
func fillSine(p *autograd.Program) {
	x, _ := p.View("x")
	rows, length := x.Rows()
	for r := range rows {
		for i := range length {
			x.F32[x.Row(r)+i] = float32(math.Sin(float64(r*length+i) * 2.3))
		}
	}
}

// What is fused has the bytes of what is not: results, gradients and statistics.
func TestFusedConvIsTheSame(t *testing.T) {
	pool := parallel.New(3)
	defer pool.Close()
	const fused = "conv1:fused_conv2d conv2:fused_conv2d conv3:fused_conv2d conv4:fused_conv2d short:fused_conv2d " +
		"depthwise:fused_conv2d conv5:fused_conv2d twice:conv2d relu6:relu mul:multiply flat:flatten fc:linear loss:crossentropy"
	for _, mode := range []autograd.Mode{autograd.Train, autograd.Frozen, autograd.Evaluate} {
		for _, batch := range []int{1, 5, 20, 70} {
			want, _ := chainStep(t, autograd.CompileOptions{Mode: mode, Batch: batch, Plain: true})
			for _, p := range []*autograd.Pool{nil, pool} {
				got, ops := chainStep(t, autograd.CompileOptions{Mode: mode, Batch: batch, Pool: p, Poison: true})
				for name, w := range want {
					if !slices.Equal(got[name], w) {
						t.Errorf("%s, batch %d, %d workers: %s is %v, want %v", mode, batch, p.Workers(), name, got[name][:1], w[:1])
					}
				}
				if all := strings.Join(ops, " "); all != fused {
					t.Errorf("%s: it ran %s, want %s", mode, all, fused)
				}
			}
		}
	}
}

func TestFusedConvErrors(t *testing.T) {
	g := autograd.NewGraph("net")
	x := g.Input("x", autograd.Float32, 3, 6, 6)
	w, b := g.Param("w", autograd.Weight, nil, 4, 3, 3, 3), g.Param("b", autograd.Bias, nil, 4)
	other := g.Input("other", autograd.Float32, 4, 6, 6)
	codes := g.Input("codes", autograd.Uint8, 4, 4, 4)
	norm := &autograd.BatchNormOp{Mean: autograd.NewState("m", make([]float32, 3)), Var: autograd.NewState("v", make([]float32, 3))}
	for _, c := range []struct {
		op   autograd.FusedConvOp
		in   []*autograd.Node
		want string
	}{
		{autograd.FusedConvOp{Bias: true}, []*autograd.Node{x, w}, "2 operands, its stages have 3"},
		{autograd.FusedConvOp{Act: autograd.LeakyReLUOp{}}, []*autograd.Node{x, w}, "activation leaky_relu: must be relu or relu6"},
		{autograd.FusedConvOp{Residual: true}, []*autograd.Node{x, w, other}, "must be [N 4 4 4]"},
		{autograd.FusedConvOp{Residual: true}, []*autograd.Node{x, w, codes}, "residual"},
		{autograd.FusedConvOp{Norm: norm}, []*autograd.Node{x, w, b, b}, "the moving statistics must have 4 channels"},
		{autograd.FusedConvOp{Norm: norm}, []*autograd.Node{x, w, w, b}, "gamma"},
	} {
		_, err := c.op.Infer(autograd.Env{}, typesOf(c.in))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one with %q", err, c.want)
		}
	}
}

func typesOf(nodes []*autograd.Node) []autograd.Type {
	types := make([]autograd.Type, len(nodes))
	for i, n := range nodes {
		types[i] = n.Type()
	}
	return types
}
