package fakequant

import (
	"math/rand/v2"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/internal/parallel"
	"github.com/bitgrad/bitgrad/layers"
)

func run(t *testing.T, net *layers.Net, spec Spec, rules ...Rule) {
	t.Helper()
	net.Graph.Initialize(1)
	g, rep, err := Prepare(net.Graph, spec, rules...)
	if err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + rep.String())
	g, err = g.Rewrite(func(e *autograd.Edit) error {
		labels := e.Graph().Input("labels", autograd.Int32)
		e.SetOutput("loss", autograd.SoftmaxCrossEntropy("loss", e.Graph().Output("logits"), labels, 0))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	pool := parallel.New(2)
	defer pool.Close()
	r := rand.New(rand.NewPCG(1, 2))
	const n = 8
	load := func(p *autograd.Program) {
		x, _ := p.View("input")
		for i := range x.U8 {
			x.U8[i] = uint8(r.IntN(256))
		}
		l, _ := p.View("labels")
		for i := range l.I32 {
			l.I32[i] = int32(i % 10)
		}
	}
	for _, m := range []autograd.Mode{autograd.Calibrate, autograd.Train, autograd.Frozen, autograd.Evaluate} {
		p, err := g.Compile(autograd.CompileOptions{Mode: m, Batch: n, Pool: pool})
		if err != nil {
			t.Fatal(m, err)
		}
		if m != autograd.Calibrate {
			for _, nd := range p.Graph().Nodes() {
				if nd.Op() != nil && !nd.Type().Plain {
					t.Log(m, nd.Name(), nd.Kind(), nd.Type())
				}
			}
		}
		for step := range 12 {
			if step == 0 {
				load(p)
			}
			p.SetStep(uint64(step), 0)
			load2 := step == 0
			_ = load2
			p.Forward()
			if m.Training() {
				p.Backward()
				for _, q := range p.Params() {
					lr := float32(0.02)
					if q.Role == autograd.RangeParam {
						lr = 0.001
					}
					for i, d := range q.Grad {
						q.Value[i] -= lr * d
					}
					q.Touch()
				}
			}
			p.Commit()
			t.Log(m, step, p.Loss(), p.NaNs())
			if !m.Training() {
				break
			}
			load(p)
			r = rand.New(rand.NewPCG(1, 2))
			load(p)
		}
		if m == autograd.Calibrate {
			if err := FinishCalibration(g); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestSmokeLeNet(t *testing.T) {
	net := layers.LeNet()
	run(t, net, DFP(8))
	net = layers.LeNet()
	run(t, net, Int(8))
}

func TestSmokeResNet8(t *testing.T) {
	net := layers.ResNet8()
	run(t, net, DFP(8))
	net = layers.ResNet8()
	s := Int(8)
	yes := true
	s.PerChannel = &yes
	run(t, net, s)
	net = layers.ResNet8()
	s.Estimator = STE{}
	run(t, net, s)
}
