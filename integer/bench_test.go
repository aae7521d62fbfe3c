package integer

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/bitgrad/bitgrad/internal/kernels"
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

// BenchmarkConvDriver runs layers of ResNet-20 and LeNet on codes, from codes to codes, and the same layers
// on floats, in turns, and reports the least time of each in 10^9 multiply-accumulates per second, and
// their ratio. With bits, the driver also says where gradients pass, as in training.
func BenchmarkConvDriver(b *testing.B) {
	padded := func(c, o, k, size, stride int) kernels.ConvShape {
		p := k / 2
		return kernels.ConvShape{C: c, O: o, KH: k, KW: k, StrideH: stride, StrideW: stride, PadTop: p, PadLeft: p, PadBottom: p, PadRight: p, H: size, W: size}
	}
	const linear = 0 // height of what is not an image
	for _, l := range []struct {
		name string
		kernels.ConvShape
	}{
		{"resnet 3-16", padded(3, 16, 3, 32, 1)},
		{"resnet 16-16", padded(16, 16, 3, 32, 1)},
		{"resnet 16-32 stride 2", padded(16, 32, 3, 32, 2)},
		{"resnet 32-32", padded(32, 32, 3, 16, 1)},
		{"resnet 64-64", padded(64, 64, 3, 8, 1)},
		{"lenet 1-20", kernels.ConvShape{C: 1, O: 20, KH: 5, KW: 5, H: 28, W: 28}},
		{"lenet 20-50", kernels.ConvShape{C: 20, O: 50, KH: 5, KW: 5, H: 12, W: 12}},
		{"lenet 800-500", kernels.ConvShape{C: 800, O: 500, H: linear}},
		{"lenet 500-10", kernels.ConvShape{C: 500, O: 10, H: linear}},
		{"mobilenet depthwise 64", kernels.ConvShape{C: 64, O: 64, Groups: 64, KH: 3, KW: 3, PadTop: 1, PadLeft: 1, PadBottom: 1, PadRight: 1, H: 16, W: 16}},
	} {
		for _, bits := range []int{8, 4} {
			for _, pass := range []bool{false, true} {
				name := fmt.Sprintf("%s/w%da%d", l.name, bits, bits)
				if pass {
					name += " bits"
				}
				b.Run(name, func(b *testing.B) { benchmarkDriver(b, l.ConvShape, bits, pass) })
			}
		}
	}
}

func benchmarkDriver(b *testing.B, s kernels.ConvShape, bits int, pass bool) {
	images, linear := 4, s.H == 0
	if linear {
		images = 64
	}
	c := newDriverCase(b, s, linear, bits, bits, images)
	s = c.shape
	requant := must(quant.NewRequantizer(quant.Shift, []float64{1.0 / 256}, quant.Grid{BitWidth: bits, Scale: []float32{1}}))
	c.d.SetRequant(&requant)
	taps := &Taps{}
	if pass {
		lo, hi := make([]int64, s.O), make([]int64, s.O)
		for i := range hi {
			hi[i] = 1 << 16
		}
		c.d.SetPass(lo, hi)
		taps.Pass = make([]byte, images*s.OH*c.d.PassRow())
	}
	y, scratch := c.output(bits), c.scratch()

	xl, yl := c.x.L, kernels.Dense(images, s.OH, s.OW, s.O)
	x, dense, packed, bias := make([]float32, len(c.x.U8)), make([]float32, len(c.want)), make([]float32, s.ForwardSize()), make([]float32, s.O)
	s.PackForward(packed, make([]float32, s.WeightSize()))
	fc := kernels.Linear{I: s.C, O: s.O}
	float, codes := math.Inf(1), math.Inf(1)
	for b.Loop() {
		start := time.Now()
		if linear {
			fc.Forward(dense, x, packed, bias, 0, images)
		} else {
			s.Forward(dense, yl, x, xl, packed, bias, 0, images)
		}
		middle := time.Now()
		c.d.Forward(y, c.x, 0, images, scratch, taps)
		float, codes = min(float, float64(middle.Sub(start))), min(codes, float64(time.Since(middle)))
	}
	macs := float64(s.MACs()) * float64(images)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(macs/float, "float-GMAC/s")
	b.ReportMetric(macs/codes, "int-GMAC/s")
	b.ReportMetric(float/codes, "ratio")
}
