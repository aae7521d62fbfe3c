package fakequant

import (
	"math/rand/v2"
	"testing"

	"github.com/bitgrad/bitgrad/autograd"
	"github.com/bitgrad/bitgrad/internal/parallel"
	"github.com/bitgrad/bitgrad/layers"
)

// BenchmarkStep times forward and backward of a training step in images per
// second: float, and quantized in both phases.
func BenchmarkStep(b *testing.B) {
	const batch = 128
	pool := parallel.New(2)
	defer pool.Close()
	for _, net := range []struct {
		name string
		make func() *layers.Net
	}{{"lenet", func() *layers.Net { return layers.LeNet() }}, {"resnet8", func() *layers.Net { return layers.ResNet8() }},
		{"resnet20", func() *layers.Net { return layers.ResNet20() }}} {
		for _, mode := range []string{"float", "train", "frozen", "evaluate"} {
			b.Run(net.name+"/"+mode, func(b *testing.B) {
				g := net.make().Graph
				m := autograd.Train
				if mode != "float" {
					q, _, err := Prepare(g, DFP(8))
					if err != nil {
						b.Fatal(err)
					}
					g = q
				}
				g, err := g.Rewrite(func(e *autograd.Edit) error {
					l := e.Graph().Input("labels", autograd.Int32)
					e.SetOutput("loss", autograd.SoftmaxCrossEntropy("loss", e.Graph().Output("logits"), l, 0))
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
				load := func(p *autograd.Program) {
					r := rand.New(rand.NewPCG(1, 2))
					x, _ := p.View("input")
					for i := range x.U8 {
						x.U8[i] = uint8(r.IntN(256))
					}
				}
				if mode != "float" {
					p, err := g.Compile(autograd.CompileOptions{Mode: autograd.Calibrate, Batch: batch, Pool: pool})
					if err != nil {
						b.Fatal(err)
					}
					load(p)
					p.Forward()
					p.Commit()
					if err := FinishCalibration(g); err != nil {
						b.Fatal(err)
					}
				}
				switch mode {
				case "frozen":
					m = autograd.Frozen
				case "evaluate":
					m = autograd.Evaluate
				}
				o := autograd.CompileOptions{Mode: m, Batch: batch, Pool: pool}
				if m == autograd.Evaluate {
					o.Outputs = []string{"logits"}
				}
				p, err := g.Compile(o)
				if err != nil {
					b.Fatal(err)
				}
				load(p)
				p.Forward() // touches the memory
				p.Backward()
				p.Commit()
				b.ReportAllocs()
				for b.Loop() {
					p.Forward()
					p.Backward()
					p.Commit()
				}
				b.ReportMetric(float64(batch*b.N)/b.Elapsed().Seconds(), "images/s")
			})
		}
	}
}
