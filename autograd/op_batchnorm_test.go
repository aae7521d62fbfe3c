package autograd_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/autograd/optest"
	"github.com/bitgrad/bitgrad/quant"
)

// channelStats returns mean and biased variance of channel c.
func channelStats(x optest.Array, c int) (mean, variance float64) {
	var of []float64
	for k, v := range x.Data {
		if channelOf(x, k) == c {
			of = append(of, v)
			mean += v
		}
	}
	n := float64(len(of))
	mean /= n
	for _, v := range of {
		variance += (v - mean) * (v - mean) / n
	}
	return mean, variance
}

// batchNormRef normalizes with statistics of the batch, or with those given.
func batchNormRef(in []optest.Array, eps float64, stats func(c int) (mean, variance float64)) optest.Array {
	x := in[0]
	shift, scale := make([]float64, x.Shape[1]), make([]float64, x.Shape[1])
	for c := range shift {
		m, v := stats(c)
		scale[c] = in[1].At(c) / math.Sqrt(v+eps)
		shift[c] = in[2].At(c) - m*scale[c]
	}
	return perChannel(x, func(v float64, c int) float64 { return v*scale[c] + shift[c] })
}

// moving gives a batch norm statistics other than 0 and 1.
func moving(n *autograd.Node) (mean, variance []float32) {
	op := n.Op().(autograd.BatchNormOp)
	for c := range op.Mean.Value {
		op.Mean.Value[c] = float32(c)/4 - 0.3
		op.Var.Value[c] = 0.5 + float32(c)/8
	}
	return op.Mean.Value, op.Var.Value
}

func init() {
	for _, k := range []struct {
		batch int
		shape []int
		eps   float32
		grid  *quant.Grid
		draw  optest.Sampler
	}{
		{2, []int{3, 4, 5}, 0, nil, nil},
		{1, []int{17, 3, 3}, 1e-3, nil, nil},
		{5, []int{4}, 1e-2, nil, nil},
		{1, []int{1, 2, 2}, 1e-3, nil, nil},
		{70, []int{2, 6, 6}, 1e-3, nil, nil}, // several parts
		{4, []int{3, 4, 4}, 1e-5, nil, optest.Uniform(20, 22)},
		{2, []int{3, 4, 5}, 1e-3, &quant.Grid{BitWidth: 8, ZeroPoint: 99, Scale: []float32{0.02}}, nil},
	} {
		eps := float64(k.eps)
		if eps == 0 {
			eps = 1e-5
		}
		base := optest.Case{
			Batch: k.batch,
			Inputs: []optest.Input{
				{Name: "x", Shape: k.shape, Grid: k.grid, Draw: k.draw},
				{Name: "gamma", Shape: k.shape[:1], Param: true},
				{Name: "beta", Shape: k.shape[:1], Param: true},
			},
			Build: func(_ *autograd.Graph, in []*autograd.Node) *autograd.Node {
				y := autograd.BatchNorm("bn", in[0], in[1], in[2], autograd.BatchNormAttrs{Eps: k.eps})
				moving(y)
				return y
			},
			Tol: 3e-5, GradTol: 3e-4,
		}
		batch, fixed := base, base
		batch.Name = fmt.Sprintf("batch norm of a batch %d %v eps %v grid %v", k.batch, k.shape, k.eps, k.grid)
		batch.Ref = func(in []optest.Array) optest.Array {
			return batchNormRef(in, eps, func(c int) (float64, float64) { return channelStats(in[0], c) })
		}
		fixed.Name = fmt.Sprintf("batch norm with moving statistics %d %v eps %v grid %v", k.batch, k.shape, k.eps, k.grid)
		fixed.Modes = []autograd.Mode{autograd.Frozen, autograd.Evaluate, autograd.Calibrate}
		fixed.Ref = func(in []optest.Array) optest.Array {
			return batchNormRef(in, eps, func(c int) (float64, float64) {
				return float64(float32(c)/4 - 0.3), float64(0.5 + float32(c)/8)
			})
		}
		suite.Add(batch, fixed)
	}
}

// batchNormNet normalizes x [N 2] with attributes a.
func batchNormNet(t *testing.T, mode autograd.Mode, a autograd.BatchNormAttrs, rows ...[2]float32) (*autograd.Program, autograd.BatchNormOp) {
	t.Helper()
	g := autograd.NewGraph("net")
	x := g.Input("x", autograd.Float32, 2)
	y := autograd.BatchNorm("bn", x, g.Param("gamma", autograd.Gamma, autograd.Ones(), 2), g.Param("beta", autograd.Beta, autograd.Zeros(), 2), a)
	g.SetOutput("y", y)
	g.Initialize(1)
	p, err := g.Compile(autograd.CompileOptions{Batch: len(rows), Mode: mode})
	if err != nil {
		t.Fatal(err)
	}
	v, _ := p.View("x")
	for n, r := range rows {
		copy(v.F32[v.Row(n):], r[:])
	}
	return p, y.Op().(autograd.BatchNormOp)
}

// Two rows 1 and 5: mean 3, variance 4, unbiased 8.
func TestBatchNormMovesItsStatistics(t *testing.T) {
	for _, c := range []struct {
		unbiased bool
		variance float32
	}{{false, 1 + 0.25*3}, {true, 1 + 0.25*7}} {
		p, op := batchNormNet(t, autograd.Train, autograd.BatchNormAttrs{Momentum: 0.25, Unbiased: c.unbiased}, [2]float32{1, -1}, [2]float32{5, -1})
		p.Forward()
		if op.Mean.Value[0] != 0 || op.Var.Value[0] != 1 {
			t.Fatal("statistics moved before Commit")
		}
		p.Commit()
		if op.Mean.Value[0] != 0.75 || op.Var.Value[0] != c.variance {
			t.Errorf("unbiased %v: got mean %v and variance %v, want 0.75 and %v", c.unbiased, op.Mean.Value[0], op.Var.Value[0], c.variance)
		}
		if op.Mean.Value[1] != -0.25 || op.Var.Value[1] != 0.75 {
			t.Errorf("constant channel: got mean %v and variance %v, want -0.25 and 0.75", op.Mean.Value[1], op.Var.Value[1])
		}
		p.Forward()
		p.Discard()
		if op.Mean.Value[0] != 0.75 {
			t.Error("statistics moved in spite of Discard")
		}
	}
}

func TestBatchNormKeepsItsStatistics(t *testing.T) {
	rows := [][2]float32{{1, -1}, {5, -1}}
	for _, mode := range []autograd.Mode{autograd.Evaluate, autograd.Frozen, autograd.Calibrate} {
		p, op := batchNormNet(t, mode, autograd.BatchNormAttrs{}, rows...)
		p.Forward()
		p.Commit()
		if op.Mean.Value[0] != 0 || op.Var.Value[0] != 1 {
			t.Errorf("%s: statistics moved", mode)
		}
	}
	// One value per channel has no variance.
	p, op := batchNormNet(t, autograd.Train, autograd.BatchNormAttrs{Unbiased: true}, rows[1])
	p.Forward()
	p.Commit()
	y, _ := p.View("y")
	if op.Mean.Value[0] != 0 || op.Var.Value[0] != 1 || math.Abs(float64(y.Floats(nil)[0])) > 1e-3 {
		t.Errorf("one value: got mean %v, variance %v, result %v, want 0, 1, 0", op.Mean.Value[0], op.Var.Value[0], y.Floats(nil)[0])
	}
}

func TestBatchNormErrors(t *testing.T) {
	nan := float32(math.NaN())
	for _, c := range []struct {
		name  string
		gamma int
		attrs autograd.BatchNormAttrs
		want  string
	}{
		{"gamma", 3, autograd.BatchNormAttrs{}, "bn: batch_norm [N 2] × [3] × [2]: gamma [3]: must be [2]"},
		{"eps", 2, autograd.BatchNormAttrs{Eps: -1}, "epsilon -1: must be positive"},
		{"nan", 2, autograd.BatchNormAttrs{Eps: nan}, "epsilon NaN: must be positive"},
		{"momentum", 2, autograd.BatchNormAttrs{Momentum: 1.5}, "momentum 1.5: must be from 0 to 1"},
	} {
		g := autograd.NewGraph("net")
		autograd.BatchNorm("bn", g.Input("x", autograd.Float32, 2), g.Param("gamma", autograd.Gamma, nil, c.gamma), g.Param("beta", autograd.Beta, nil, 2), c.attrs)
		if err := g.Err(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
		}
	}
	autograd.BatchNorm("bn", nil, nil, nil, autograd.BatchNormAttrs{}) // must not panic
}
