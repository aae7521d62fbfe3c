package layers

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/internal/parallel"
)

// trainer compiles the training program of a network, with random pixels and
// labels in it.
func trainer(t *testing.T, net *Net, batch int, pool *autograd.Pool) *autograd.Program {
	t.Helper()
	g := net.Graph
	labels := g.Input("labels", autograd.Int32)
	g.SetOutput("loss", autograd.SoftmaxCrossEntropy("loss", g.Output("logits"), labels, 0))
	p, err := g.Compile(autograd.CompileOptions{Mode: autograd.Train, Batch: batch, Pool: pool})
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(3, 5))
	x, _ := p.View("input")
	rows, n := x.Rows()
	for k := range rows {
		for i := range x.U8[x.Row(k):][:n] {
			x.U8[x.Row(k)+i] = uint8(r.UintN(256))
		}
	}
	y, _ := p.View("labels")
	for i := range batch {
		y.I32[y.Row(i)] = int32(r.IntN(net.Classes))
	}
	return p
}

// The slope of the loss along its own gradient is the squared length of the
// gradient. A network with a wrong edge, an operand left out of the backward
// pass or a parameter without gradient fails it.
func TestGradientIsTheSlope(t *testing.T) {
	pool := parallel.New(2)
	defer pool.Close()
	for _, e := range Nets() {
		t.Run(e.Name, func(t *testing.T) {
			net := e.New()
			p := trainer(t, net, 4, pool)
			p.Forward()
			p.Backward()
			if got, want := len(p.Params()), len(net.Graph.Params()); got != want {
				t.Fatalf("%d of %d parameters take part in the backward pass", got, want)
			}
			square := 0.0
			var grads [][]float32
			for _, q := range p.Params() {
				part := 0.0
				for _, g := range q.Grad {
					part += float64(g) * float64(g)
				}
				// A bias in front of a batch norm has no effect.
				if part == 0 && q.Role != autograd.Bias || math.IsNaN(part) {
					t.Errorf("%s has a gradient of length %v", q.Name, math.Sqrt(part))
				}
				square += part
				grads = append(grads, append([]float32(nil), q.Grad...))
			}
			// A step that changes the loss by about 0.0002 each way.
			rate := 0.0002 / square
			along := func(by float64) float64 {
				for i, q := range p.Params() {
					for k, g := range grads[i] {
						q.Value[k] += float32(by * float64(g))
					}
					q.Touch()
				}
				p.Forward()
				return float64(p.Loss())
			}
			up := along(rate)
			down := along(-2 * rate)
			if slope := (up - down) / (2 * rate); math.Abs(slope/square-1) > 0.05 {
				t.Errorf("slope %v along a gradient of squared length %v", slope, square)
			}
		})
	}
}

// A few steps of plain gradient descent on one batch learn it.
func TestSmallConvNetLearns(t *testing.T) {
	net := SmallConvNet()
	p := trainer(t, net, 16, nil)
	var first float32
	for step := range 40 {
		p.Forward()
		p.Backward()
		p.Commit()
		if step == 0 {
			first = p.Loss()
		}
		for _, q := range p.Params() {
			for k, g := range q.Grad {
				q.Value[k] -= 0.1 * g
			}
			q.Touch()
		}
	}
	if last := p.Loss(); !(last < first/10) {
		t.Errorf("the loss went from %v to %v", first, last)
	}
	if v := net.Graph.States()[1].Value[0]; v == 1 {
		t.Error("the moving variance did not move")
	}
}
