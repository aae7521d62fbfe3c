package integer

import (
	"fmt"
	"testing"

	"github.com/bitgrad/bitgrad/quant"
)

// residualModel is a network of the shape of ResNet-20 for 32×32 pixels: 41 million
// multiply-accumulates for an image.
func residualModel(t testing.TB) *Model {
	b := NewBuilder("resnet20")
	in := quant.Grid{BitWidth: 8, Signed: true, Scale: []float32{quant.PowerOfTwo(6)}}
	act := quant.Grid{BitWidth: 4, Scale: []float32{quant.PowerOfTwo(2)}}
	wg := quant.Grid{BitWidth: 4, Signed: true, Scale: []float32{quant.PowerOfTwo(5)}}
	conv := func(name string, x Ref, o, k, stride int) Ref {
		n := b.Node(x)
		r := must(quant.NewRequantizer(quant.Shift, quant.AccScale(n.Grid, wg), act))
		w := make([]int32, o*n.Out.C*k*k)
		for i := range w {
			w[i] = int32(i%31*i%15) - 7
		}
		return b.Conv(name, x, Conv{O: o, KH: k, KW: k, StrideH: stride, StrideW: stride, Pad: PadAll(k / 2), Weight: w, WeightGrid: wg, Requant: &r, Grid: act})
	}
	x := b.Input("input", Input{C: 3, H: 32, W: 32, A: []float32{0.01, 0.01, 0.01}, B: []float32{-1, -1, -1}, Grid: in})
	x = conv("stem", x, 16, 3, 1)
	for stage, o := range []int{16, 32, 64} {
		for block := range 3 {
			name, stride := fmt.Sprintf("stage%d.block%d", stage, block), 1
			if stage > 0 && block == 0 {
				stride = 2
			}
			y := conv(name+".conv2", conv(name+".conv1", x, o, 3, stride), o, 3, 1)
			if stride > 1 {
				x = conv(name+".shortcut", x, o, 1, stride)
			}
			add := must(quant.NewAddShift(act, act, act, false))
			x = b.Add(name+".add", x, y, Add{add, act})
		}
	}
	avg := must(quant.NewAveragePoolShift(act, act))
	x = b.AvgPool("pool", x, AvgPool{KH: 8, KW: 8, StrideH: 1, StrideW: 1, OH: 1, OW: 1, Rule: avg, Grid: act})
	w := make([]int32, 10*64)
	for i := range w {
		w[i] = int32(i%15) - 7
	}
	x = b.Linear("logits", b.Flatten("flat", x), Linear{O: 10, Weight: w, WeightGrid: wg})
	m, _, err := b.Build(x)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func BenchmarkEngine(b *testing.B) {
	m := residualModel(b)
	for _, o := range []EngineOptions{{Chunk: 1}, {}, {Workers: 2}} {
		b.Run(fmt.Sprintf("workers=%d,chunk=%d", max(o.Workers, 1), o.Chunk), func(b *testing.B) {
			e, err := NewEngine(m, o)
			if err != nil {
				b.Fatal(err)
			}
			defer e.Close()
			images := make([]uint8, 64*m.Input().Out.Len())
			for i := range images {
				images[i] = uint8(i * 37)
			}
			var dst []int64
			for b.Loop() {
				if dst, err = e.Run(dst, images); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(64*float64(b.N)/b.Elapsed().Seconds(), "images/s")
		})
	}
}
